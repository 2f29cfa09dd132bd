//! Provisioned users: each is an account here, the one that its own provider logs in where there is
//! one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::super::{accounts, auth};
use super::answer::{Refusal, Scim};
use super::query::Query;
use super::schema::{GROUPS, Resource, USERS};
use super::{Asked, patch, taken};
use crate::home::id::Id;
use crate::home::people::{Account, Claims, Kept, Provisioned, Wanted, subject};

pub fn make(asked: &Asked<'_>, body: &Value) -> Scim<Resource> {
    let resource = taken(&USERS, body)?;
    must_be_free(asked, &resource, None)?;
    let kept = keep(asked, None, resource)?;
    let text = format!("{} '{}'", kept.account.id, kept.account.username);
    asked.record("provisioned_user_made", &text);
    Ok(shape(asked, &kept.provisioned))
}

pub fn get(asked: &Asked<'_>, id: &str) -> Scim<Resource> {
    Ok(shape(asked, &held(asked, id)?))
}

pub fn replace(asked: &Asked<'_>, id: &str, body: &Value) -> Scim<Resource> {
    let held = held(asked, id)?;
    update(asked, &held, taken(&USERS, body)?)
}

pub fn change(asked: &Asked<'_>, id: &str, body: &Value) -> Scim<Resource> {
    let held = held(asked, id)?;
    let changed = patch::patched(&USERS, &held.resource, body)?;
    update(asked, &held, changed)
}

fn update(asked: &Asked<'_>, held: &Provisioned, resource: Resource) -> Scim<Resource> {
    must_be_free(asked, &resource, Some(held.id))?;
    let changed = differing(&held.resource, &resource);
    let kept = keep(asked, Some(held.id), resource)?;
    if !changed.is_empty() {
        let text = format!("{}: {}", held.id, changed.join(", "));
        asked.record("provisioned_user_changed", &text);
    }
    Ok(shape(asked, &kept.provisioned))
}

/// The names of what is not as it was.
fn differing(before: &Resource, after: &Resource) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name));
    changed.cloned().collect()
}

/// Ends a user for good: the account is disabled and stays so, and its name is nobody else's.
pub fn delete(asked: &Asked<'_>, id: &str) -> Scim<()> {
    let held = held(asked, id)?;
    let people = &asked.web.home.people;
    asked.record("provisioned_user_deleted", &held.id.to_string());
    if let Some(account) = people.account(&held.id) {
        asked.web.home.join_by_group(&account, &BTreeSet::new())?;
    }
    people.forget_provisioned(held.id)?;
    accounts::end_with_programs(asked.web, held.id)?;
    Ok(())
}

/// The ids of the users that a query asks for.
pub fn found(asked: &Asked<'_>, query: &Query) -> Vec<Id> {
    let made = query
        .filter
        .as_ref()
        .is_some_and(|it| it.asks_what_is_made());
    asked.web.home.people.provisioned_where(|user| match made {
        false => query.matches(&USERS, &user.resource),
        true => {
            let mut resource = user.resource.clone();
            describe(asked, user, &mut resource);
            query.matches(&USERS, &resource)
        }
    })
}

/// Applies the rules again to these users: their groups, or the rules, have changed.
pub fn settle_all(asked: &Asked<'_>, users: impl IntoIterator<Item = Id>) -> Scim<()> {
    for user in users {
        let Some(held) = asked.web.home.people.provisioned(&user) else {
            continue;
        };
        keep(asked, Some(user), held.resource)?;
    }
    Ok(())
}

fn held(asked: &Asked<'_>, id: &str) -> Scim<Provisioned> {
    let held = Id::parse(id).and_then(|id| asked.web.home.people.provisioned(&id));
    held.ok_or_else(Refusal::missing)
}

fn text<'a>(resource: &'a Resource, name: &str) -> &'a str {
    resource.get(name).and_then(Value::as_str).unwrap_or("")
}

/// Refuses a `userName` that another user has, in whatever case.
fn must_be_free(asked: &Asked<'_>, resource: &Resource, own: Option<Id>) -> Scim<()> {
    let name = text(resource, "userName").to_lowercase();
    let is_other = |user: &Provisioned| {
        Some(user.id) != own && text(&user.resource, "userName").to_lowercase() == name
    };
    match asked.web.home.people.provisioned_where(is_other).is_empty() {
        true => Ok(()),
        false => Err(Refusal::taken("another user has this 'userName'")),
    }
}

/// Makes the account as the provisioning wants it, and sees to all that follows.
fn keep(asked: &Asked<'_>, id: Option<Id>, resource: Resource) -> Scim<Kept> {
    let external = text(&resource, "externalId");
    let source = asked.config.subject_source.as_deref();
    if external.is_empty()
        && let Some(source) = source
    {
        return Err(Refusal::value(format!(
            "'externalId' is missing: it is to be what {source} calls the user, so that its log-in finds the account"
        )));
    }
    // Without a name elsewhere the account's own id is what vouches for it.
    let subject = subject(source, external);
    let people = &asked.web.home.people;
    let groups = id.map_or_else(Vec::new, |id| people.scim_groups_of(&id));
    let groups: Vec<String> = groups.into_iter().map(|(_, name)| name).collect();
    let part = |name: &str| {
        let whole = resource.get("name").and_then(Value::as_object);
        whole.map_or("", |it| text(it, name)).to_string()
    };
    let claims = Claims {
        subject,
        username: account_name(text(&resource, "userName")),
        email: address(&resource),
        first_name: part("givenName"),
        last_name: part("familyName"),
        groups: groups.clone(),
        attributes: attributes(&resource),
    };
    let wanted = Wanted {
        id,
        claims,
        active: resource.get("active").and_then(Value::as_bool),
        resource,
    };
    let kept = people.keep_provisioned(&asked.config.rules, wanted)?;
    follow(asked, &kept, &groups)?;
    Ok(kept)
}

/// Ends what the user may not have any more, puts it on record, and takes the user into its groups'
/// channels.
fn follow(asked: &Asked<'_>, kept: &Kept, groups: &[String]) -> Scim<()> {
    let account = &kept.account;
    let before = kept.before.as_ref();
    if before.map(|it| &it.roles) != Some(&account.roles) {
        let roles: Vec<&str> = account.roles.iter().map(|role| role.name()).collect();
        let text = format!("{} by scim: {}", account.id, roles.join(", "));
        asked.record("roles_set", &text);
    }
    match (before.map(Account::is_active), account.is_active()) {
        (Some(true), false) => {
            asked.record("user_disabled", &format!("{} by scim", account.id));
            accounts::end_with_programs(asked.web, account.id)?;
        }
        (Some(false), true) => asked.record("user_enabled", &format!("{} by scim", account.id)),
        _ => {}
    }
    let subject = account.subject.as_ref();
    if let Some(before) = before.filter(|it| it.subject.as_ref() != subject) {
        let named = subject.map_or("", |it| it.name.as_str());
        asked.record(
            "user_linked",
            &format!("{} with {named} by scim", before.id),
        );
        auth::end_all(asked.web, account.id)?;
    }
    let channels = match account.is_active() {
        true => asked.config.rules.channels(groups),
        false => BTreeSet::new(),
    };
    asked.web.home.join_by_group(account, &channels)?;
    Ok(())
}

/// The name of the account of a new user: of a mail address what stands before the `@`, in small
/// letters, and after a `u` where it begins with a digit, as personnel numbers do. Nothing else is made
/// to fit; where the name is taken already, there is no account.
fn account_name(user_name: &str) -> String {
    let local = user_name.split('@').next().unwrap_or_default();
    let local = local.to_lowercase();
    match local.starts_with(|it: char| it.is_ascii_digit()) {
        true => format!("u{local}"),
        false => local,
    }
}

/// The primary mail address, or else the first.
fn address(resource: &Resource) -> String {
    let all = resource.get("emails").and_then(Value::as_array);
    let all = all.map_or(&[][..], Vec::as_slice);
    let primary = all.iter().find(|it| it["primary"] == Value::Bool(true));
    let address = primary.or(all.first()).and_then(|it| it["value"].as_str());
    address.unwrap_or_default().to_string()
}

/// What the rules may keep of a user: texts of the core schema and the extensions, by their names.
fn attributes(resource: &Resource) -> BTreeMap<String, Vec<String>> {
    let mut said = BTreeMap::new();
    let within = resource.values().filter_map(Value::as_object);
    for object in [resource].into_iter().chain(within) {
        for (name, value) in object {
            let values: Vec<String> = match value {
                Value::String(text) => vec![text.clone()],
                Value::Array(values) => values
                    .iter()
                    .filter_map(|it| Some(it.as_str()?.to_string()))
                    .collect(),
                _ => continue,
            };
            if !values.is_empty() {
                said.insert(name.clone(), values);
            }
        }
    }
    said
}

fn shape(asked: &Asked<'_>, user: &Provisioned) -> Resource {
    let mut resource = user.resource.clone();
    let extensions = USERS.extensions.iter().map(|it| it.id);
    let mut schemas = vec![USERS.core.id];
    schemas.extend(extensions.filter(|id| user.resource.contains_key(*id)));
    resource.insert("schemas".into(), json!(schemas));
    describe(asked, user, &mut resource);
    let groups = asked.web.home.people.scim_groups_of(&user.id);
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|(id, name)| {
            let location = asked.location(&GROUPS, &id.to_string());
            json!({"value": id, "$ref": location, "display": name})
        })
        .collect();
    if !groups.is_empty() {
        resource.insert("groups".into(), Value::Array(groups));
    }
    resource
}

/// Adds what is not kept with a user but follows from it.
fn describe(asked: &Asked<'_>, user: &Provisioned, resource: &mut Resource) {
    let id = user.id.to_string();
    let meta = asked.meta(&USERS, &id, user.created_ms, user.updated_ms);
    resource.insert("id".into(), id.into());
    resource.insert("meta".into(), meta);
}

#[cfg(test)]
mod tests {
    use super::super::schema::COMITY;
    use super::*;

    #[test]
    fn the_accounts_name_follows_from_the_users() {
        for (given, wanted) in [
            ("Alice@corp.example", "alice"),
            ("bjensen", "bjensen"),
            ("20431", "u20431"),
            ("Élan", "élan"),
        ] {
            assert_eq!(account_name(given), wanted);
        }
    }

    #[test]
    fn what_is_said_of_a_user_comes_from_all_schemas() {
        let user = json!({
            "title": "Major",
            "active": true,
            "emails": [{"value": "a@example"}, {"value": "b@example", "primary": true}],
            "name": {"givenName": "Ann"},
            COMITY: {"clearance": ["SECRET"], "nationality": ["ITA", "FRA"]}
        });
        let user = user.as_object().unwrap();
        assert_eq!(address(user), "b@example");
        let said = attributes(user);
        assert_eq!(said["clearance"], ["SECRET"]);
        assert_eq!(said["nationality"], ["ITA", "FRA"]);
        assert_eq!(said["title"], ["Major"]);
    }
}
