//! Groups of the organisation's provisioning: by their names the rules give roles and channels.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Refusal, Scim};
use super::query::Query;
use super::schema::{GROUPS, Resource, USERS};
use super::{Asked, patch, taken, users};
use crate::home::id::Id;
use crate::home::people::{MEMBERS, ScimGroup};

/// A group as it is to be.
struct Wanted {
    name: String,
    external_id: Option<String>,
    members: BTreeSet<Id>,
}

pub fn make(asked: &Asked<'_>, body: &Value) -> Scim<Resource> {
    let wanted = wanted(asked, &taken(&GROUPS, body)?, None)?;
    let people = &asked.web.home.people;
    let made = people.add_scim_group(wanted.name, wanted.external_id, wanted.members)?;
    let Some(group) = made else {
        let text = "The node holds no more groups: delete some that it does not need.";
        return Err(Refusal::new(StatusCode::INSUFFICIENT_STORAGE, text));
    };
    let text = format!(
        "{} '{}': {} members",
        group.id,
        group.name,
        group.members.len()
    );
    asked.record("provisioned_group_made", &text);
    if matters(asked, &group.name) {
        users::settle_all(asked, group.members.iter().copied())?;
    }
    Ok(shape(asked, &group))
}

pub fn get(asked: &Asked<'_>, id: &str) -> Scim<Resource> {
    Ok(shape(asked, &held(asked, id)?))
}

pub fn replace(asked: &Asked<'_>, id: &str, body: &Value) -> Scim<Resource> {
    let held = held(asked, id)?;
    update(asked, held, &taken(&GROUPS, body)?)
}

pub fn change(asked: &Asked<'_>, id: &str, body: &Value) -> Scim<Resource> {
    let held = held(asked, id)?;
    let changed = patch::patched(&GROUPS, &kept(&held), body)?;
    update(asked, held, &changed)
}

fn update(asked: &Asked<'_>, before: ScimGroup, resource: &Resource) -> Scim<Resource> {
    let wanted = wanted(asked, resource, Some(before.id))?;
    let after = ScimGroup {
        name: wanted.name,
        external_id: wanted.external_id,
        members: wanted.members,
        ..before.clone()
    };
    if after == before {
        return Ok(shape(asked, &before));
    }
    let after = asked.web.home.people.set_scim_group(after)?;
    let come: Vec<Id> = after.members.difference(&before.members).copied().collect();
    let gone: Vec<Id> = before.members.difference(&after.members).copied().collect();
    let text = format!(
        "{} '{}': {} came ({}), {} went ({})",
        after.id,
        after.name,
        come.len(),
        listed(&come),
        gone.len(),
        listed(&gone)
    );
    asked.record("provisioned_group_changed", &text);
    if matters(asked, &before.name) || matters(asked, &after.name) {
        // Those that stayed, too: the name may be another, and an earlier change may have been cut off.
        users::settle_all(asked, gone.into_iter().chain(after.members.iter().copied()))?;
    }
    Ok(shape(asked, &after))
}

/// As many as the audit record is to name.
fn listed(users: &[Id]) -> String {
    let named: Vec<String> = users.iter().take(20).map(Id::to_string).collect();
    named.join(" ")
}

pub fn delete(asked: &Asked<'_>, id: &str) -> Scim<()> {
    let held = held(asked, id)?;
    let text = format!("{} '{}'", held.id, held.name);
    asked.record("provisioned_group_deleted", &text);
    asked.web.home.people.end_scim_group(held.id)?;
    if matters(asked, &held.name) {
        users::settle_all(asked, held.members)?;
    }
    Ok(())
}

/// The ids of the groups that a query asks for.
pub fn found(asked: &Asked<'_>, query: &Query) -> Vec<Id> {
    let is_asked = query.filter.is_some();
    asked.web.home.people.scim_groups_where(|group| {
        !is_asked || {
            let mut resource = kept(group);
            describe(asked, group, &mut resource);
            query.matches(&GROUPS, &resource)
        }
    })
}

/// Whether anything follows from being in a group of this name.
fn matters(asked: &Asked<'_>, name: &str) -> bool {
    let rules = &asked.config.rules;
    rules.allow.iter().any(|it| it == name)
        || rules.roles.contains_key(name)
        || rules.channels.contains_key(name)
}

fn held(asked: &Asked<'_>, id: &str) -> Scim<ScimGroup> {
    let held = Id::parse(id).and_then(|id| asked.web.home.people.scim_group(&id));
    held.ok_or_else(Refusal::missing)
}

/// A group as a client described it: of a name that no other has, and of users that are there.
fn wanted(asked: &Asked<'_>, resource: &Resource, own: Option<Id>) -> Scim<Wanted> {
    let text = |name: &str| resource.get(name).and_then(Value::as_str);
    let name = text("displayName").unwrap_or_default().to_string();
    let is_other = |group: &ScimGroup| {
        Some(group.id) != own && group.name.to_lowercase() == name.to_lowercase()
    };
    let people = &asked.web.home.people;
    if !people.scim_groups_where(is_other).is_empty() {
        return Err(Refusal::taken("another group has this 'displayName'"));
    }
    let given = resource.get("members").and_then(Value::as_array);
    let mut members = BTreeSet::new();
    for member in given.into_iter().flatten() {
        let id = member_id(member).filter(|id| people.provisioned(id).is_some());
        members.insert(id.ok_or_else(|| {
            Refusal::value("a member is not a user here; groups in groups are not taken")
        })?);
    }
    if members.len() > MEMBERS {
        let text = format!("a group has {MEMBERS} members at most");
        return Err(Refusal::value(text));
    }
    Ok(Wanted {
        external_id: text("externalId").map(String::from),
        name,
        members,
    })
}

/// The user that a member names, by its id or its address.
fn member_id(member: &Value) -> Option<Id> {
    let kind = member.get("type").and_then(Value::as_str).unwrap_or("User");
    if !kind.eq_ignore_ascii_case(USERS.name) {
        return None;
    }
    let value = member.get("value").or_else(|| member.get("$ref"))?;
    Id::parse(value.as_str()?.rsplit('/').next()?)
}

/// A group with what a client may change of it.
fn kept(group: &ScimGroup) -> Resource {
    let mut resource = Resource::new();
    resource.insert("displayName".into(), group.name.clone().into());
    if let Some(external) = &group.external_id {
        resource.insert("externalId".into(), external.clone().into());
    }
    if !group.members.is_empty() {
        let members = group.members.iter().map(|id| json!({"value": id}));
        resource.insert("members".into(), members.collect());
    }
    resource
}

fn shape(asked: &Asked<'_>, group: &ScimGroup) -> Resource {
    let mut resource = kept(group);
    resource.insert("schemas".into(), json!([GROUPS.core.id]));
    describe(asked, group, &mut resource);
    if let Some(Value::Array(members)) = resource.get_mut("members") {
        for member in members {
            let id = member["value"].as_str().unwrap_or_default();
            let location = asked.location(&USERS, id);
            member["$ref"] = location.into();
            member["type"] = USERS.name.into();
        }
    }
    resource
}

/// Adds what is not kept with a group but follows from it.
fn describe(asked: &Asked<'_>, group: &ScimGroup, resource: &mut Resource) {
    let id = group.id.to_string();
    let meta = asked.meta(&GROUPS, &id, group.created_ms, group.updated_ms);
    resource.insert("id".into(), id.into());
    resource.insert("meta".into(), meta);
}
