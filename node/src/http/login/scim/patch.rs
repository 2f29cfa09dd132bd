//! Changes of parts of a resource (RFC 7644, section 3.5.2).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::answer::{Refusal, Scim};
use super::filter::{Comparison, Filter, is_path, shown};
use super::schema::{Attribute, Change, Place, Resource, Type};

/// Changes in one request: clients send a few, or one for each member of a group.
const OPERATIONS: usize = 100;
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Add,
    Replace,
    Remove,
}

/// What a path names: an attribute or a part of one, perhaps of some of its values.
struct Target {
    place: Place,
    which: Option<Filter>,
}

/// The resource after all changes of a request; none of them counts if one is refused.
pub fn patched(of: &Type, resource: &Resource, body: &Value) -> Scim<Resource> {
    let schemas = body.get("schemas").and_then(Value::as_array);
    let is_patch = schemas.is_some_and(|all| all.iter().any(|it| it == PATCH));
    let operations = field(body, "Operations").and_then(Value::as_array);
    let (true, Some(operations)) = (is_patch, operations) else {
        return Err(Refusal::syntax(format!(
            "a change has 'schemas' with '{PATCH}' and a list of 'Operations'"
        )));
    };
    if operations.is_empty() || operations.len() > OPERATIONS {
        let text = format!("a change has 1 to {OPERATIONS} operations");
        return Err(Refusal::value(text));
    }
    let mut changed = resource.clone();
    for operation in operations {
        operate(of, &mut changed, operation)?;
    }
    // What was put together piece by piece is held to the schemas as a whole.
    let changed = of.taken(&changed)?;
    of.check(&changed)?;
    Ok(changed)
}

fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let mut fields = object.as_object()?.iter();
    fields
        .find(|(own, _)| own.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn operate(of: &Type, resource: &mut Resource, operation: &Value) -> Scim<()> {
    let word = field(operation, "op").and_then(Value::as_str).unwrap_or("");
    let act = match word.to_ascii_lowercase().as_str() {
        "add" => Act::Add,
        "replace" => Act::Replace,
        "remove" => Act::Remove,
        _ => return Err(Refusal::syntax("'op' is add, replace or remove")),
    };
    let value = field(operation, "value").unwrap_or(&Value::Null);
    match field(operation, "path") {
        Some(Value::String(path)) => {
            let target = Target::parse(of, path)?;
            target.must_be_open(act)?;
            target.change(of, resource, act, value)
        }
        None | Some(Value::Null) => without_path(of, resource, act, value),
        Some(_) => Err(Refusal::path("a path is a text")),
    }
}

/// Each attribute of an object is a target of its own; what is not kept here is passed over.
fn without_path(of: &Type, resource: &mut Resource, act: Act, value: &Value) -> Scim<()> {
    if act == Act::Remove {
        return Err(Refusal::target("'remove' needs a path"));
    }
    let Value::Object(values) = value else {
        return Err(Refusal::value("without a path the value is an object"));
    };
    for (path, value) in values {
        let Ok(target) = Target::parse(of, path) else {
            continue;
        };
        // As in a whole resource that is sent back.
        if target.must_be_open(act).is_err() {
            continue;
        }
        target.change(of, resource, act, value)?;
    }
    Ok(())
}

impl Target {
    fn parse(of: &Type, path: &str) -> Scim<Target> {
        let refused = || Refusal::path(format!("'{}' names nothing here", shown(path)));
        let path = path.trim();
        let Some((attribute, rest)) = path.split_once('[') else {
            let place = Some(path)
                .filter(|it| is_path(it))
                .and_then(|it| of.place(it));
            let place = place.ok_or_else(refused)?;
            return Ok(Target { place, which: None });
        };
        let (_, after) = rest.rsplit_once(']').ok_or_else(refused)?;
        let bracketed = &path[..path.len() - after.len()];
        if !is_path(attribute) || !(after.is_empty() || after.starts_with('.')) {
            return Err(refused());
        }
        let place = of
            .place(&format!("{attribute}{after}"))
            .ok_or_else(refused)?;
        let filter = Filter::parse(bracketed)?;
        let Filter::Within(_, inner) = filter else {
            return Err(refused());
        };
        let named = place
            .attribute
            .filter(|it| it.several && !it.parts().is_empty());
        let named = named.ok_or_else(refused)?;
        inner.check_within(named.name, of)?;
        Ok(Target {
            place,
            which: Some(*inner),
        })
    }

    /// Refuses what clients cannot change.
    fn must_be_open(&self, act: Act) -> Scim<()> {
        let all = [self.place.attribute, self.place.part];
        let mut named = all.into_iter().flatten();
        let fixed = |it: &Attribute| match it.change {
            Change::ReadOnly => true,
            Change::Immutable => self.place.part.is_some(),
            Change::ReadWrite => false,
        };
        if named.any(fixed) {
            return Err(Refusal::mutability("this cannot be changed"));
        }
        let is_whole = self.place.part.is_none() && self.which.is_none();
        let required = self.place.attribute.is_some_and(|it| it.required);
        match act == Act::Remove && is_whole && required {
            true => Err(Refusal::mutability("this cannot be removed")),
            false => Ok(()),
        }
    }

    fn change(&self, of: &Type, resource: &mut Resource, act: Act, value: &Value) -> Scim<()> {
        let Some(attribute) = self.place.attribute else {
            return self.change_extension(of, resource, act, value);
        };
        let holder = match self.place.extension {
            Some(extension) => {
                let held = resource.entry(extension.id).or_insert_with(empty);
                held.as_object_mut()
                    .ok_or_else(|| Refusal::value("an extension is an object"))?
            }
            None => resource,
        };
        if attribute.several {
            self.change_values(attribute, holder, act, value)?;
        } else {
            self.change_one(attribute, holder, act, value)?;
        }
        if let Some(extension) = self.place.extension {
            let is_empty = |it: &Value| it.as_object().is_some_and(Map::is_empty);
            if resource.get(extension.id).is_some_and(is_empty) {
                resource.remove(extension.id);
            }
        }
        Ok(())
    }

    /// A whole extension: each of its attributes, or all at once.
    fn change_extension(
        &self,
        of: &Type,
        resource: &mut Resource,
        act: Act,
        value: &Value,
    ) -> Scim<()> {
        let Some(extension) = self.place.extension else {
            return Ok(());
        };
        if act != Act::Add {
            resource.remove(extension.id);
        }
        if act == Act::Remove {
            return Ok(());
        }
        let Value::Object(values) = value else {
            return Err(Refusal::value("an extension is an object"));
        };
        for (name, value) in values {
            let Some(attribute) = extension.attribute(name) else {
                continue;
            };
            let target = Target {
                place: Place {
                    extension: Some(extension),
                    attribute: Some(attribute),
                    part: None,
                },
                which: None,
            };
            if target.must_be_open(act).is_ok() {
                target.change(of, resource, act, value)?;
            }
        }
        Ok(())
    }

    fn change_one(
        &self,
        attribute: &'static Attribute,
        holder: &mut Resource,
        act: Act,
        value: &Value,
    ) -> Scim<()> {
        let Some(part) = self.place.part else {
            let taken = match act {
                Act::Remove => None,
                _ => attribute.taken(value)?,
            };
            match (taken, holder.get_mut(attribute.name)) {
                // The parts that are not named stay.
                (Some(Value::Object(new)), Some(Value::Object(held))) => held.extend(new),
                (Some(new), _) => {
                    holder.insert(attribute.name.to_string(), new);
                }
                (None, _) => {
                    holder.remove(attribute.name);
                }
            }
            return Ok(());
        };
        let held = holder.entry(attribute.name).or_insert_with(empty);
        set_part(held, part, act, value)?;
        if held.as_object().is_some_and(Map::is_empty) {
            holder.remove(attribute.name);
        }
        Ok(())
    }

    fn change_values(
        &self,
        attribute: &'static Attribute,
        holder: &mut Resource,
        act: Act,
        value: &Value,
    ) -> Scim<()> {
        let held = match holder.remove(attribute.name) {
            Some(Value::Array(values)) => values,
            _ => Vec::new(),
        };
        let values = match (&self.which, self.place.part) {
            (None, None) => all_values(attribute, held, act, value)?,
            (None, Some(part)) => {
                let everyone = |_: &Value| true;
                some_values(attribute, held, everyone, Some(part), act, value)?
            }
            (Some(which), part) => {
                let is_one = |it: &Value| which.matches_value(attribute, it);
                if act == Act::Add && !held.iter().any(is_one) {
                    added_anew(attribute, held, which, part, value)?
                } else {
                    some_values(attribute, held, is_one, part, act, value)?
                }
            }
        };
        if !values.is_empty() {
            holder.insert(attribute.name.to_string(), Value::Array(values));
        }
        Ok(())
    }
}

fn empty() -> Value {
    Value::Object(Map::new())
}

/// An attribute with all its values.
fn all_values(
    attribute: &'static Attribute,
    held: Vec<Value>,
    act: Act,
    value: &Value,
) -> Scim<Vec<Value>> {
    let given = match attribute.taken(value)? {
        Some(Value::Array(values)) => values,
        _ => Vec::new(),
    };
    match act {
        Act::Replace => Ok(given),
        Act::Add => Ok(with(held, given)),
        Act::Remove if value.is_null() => Ok(Vec::new()),
        // Beside the specification: some clients name the values that are to go.
        Act::Remove => {
            let key = |it: &Value| it.get("value").unwrap_or(it).to_string();
            let gone: BTreeSet<String> = given.iter().map(key).collect();
            let mut held = held;
            held.retain(|it| !gone.contains(&key(it)));
            Ok(held)
        }
    }
}

/// Adds those values that are not there; one that is primary takes that from the others.
fn with(mut held: Vec<Value>, given: Vec<Value>) -> Vec<Value> {
    let known: BTreeSet<String> = held.iter().map(Value::to_string).collect();
    let new: Vec<Value> = given
        .into_iter()
        .filter(|it| !known.contains(&it.to_string()))
        .collect();
    if new.iter().any(is_primary) {
        held.iter_mut().for_each(not_primary);
    }
    held.extend(new);
    held
}

fn is_primary(value: &Value) -> bool {
    value.get("primary") == Some(&Value::Bool(true))
}

fn not_primary(value: &mut Value) {
    if is_primary(value) {
        value["primary"] = Value::Bool(false);
    }
}

/// Those values of an attribute that are meant, or a part of each.
fn some_values(
    attribute: &'static Attribute,
    mut held: Vec<Value>,
    is_one: impl Fn(&Value) -> bool,
    part: Option<&'static Attribute>,
    act: Act,
    value: &Value,
) -> Scim<Vec<Value>> {
    if !held.iter().any(&is_one) {
        return match act {
            // What is not there needs no removal.
            Act::Remove => Ok(held),
            _ => Err(Refusal::target("the path fits no value")),
        };
    }
    let Some(part) = part else {
        if act == Act::Remove {
            held.retain(|it| !is_one(it));
            return Ok(held);
        }
        let Some(Value::Object(new)) = attribute.one(value)? else {
            return Err(Refusal::value("the value is to be an object"));
        };
        for it in held.iter_mut().filter(|it| is_one(it)) {
            match (act, it.as_object_mut()) {
                (Act::Add, Some(held)) => held.extend(new.clone()),
                _ => *it = Value::Object(new.clone()),
            }
        }
        return Ok(held);
    };
    let meant: Vec<usize> = (0..held.len()).filter(|at| is_one(&held[*at])).collect();
    let is_made_primary =
        part.name == "primary" && act != Act::Remove && *value == Value::Bool(true);
    if is_made_primary {
        held.iter_mut().for_each(not_primary);
    }
    for at in meant {
        set_part(&mut held[at], part, act, value)?;
    }
    held.retain(|it| it.as_object().is_none_or(|it| !it.is_empty()));
    Ok(held)
}

/// A value that a filter asks for and that is not there, such as `emails[type eq "work"].value`.
fn added_anew(
    attribute: &'static Attribute,
    held: Vec<Value>,
    which: &Filter,
    part: Option<&'static Attribute>,
    value: &Value,
) -> Scim<Vec<Value>> {
    let Filter::Compare(name, Comparison::Equal, wanted) = which else {
        return Err(Refusal::target("the path fits no value"));
    };
    let mut new = empty();
    if let Some(named) = attribute.part(name) {
        set_part(&mut new, named, Act::Add, wanted)?;
    }
    if let Some(part) = part {
        set_part(&mut new, part, Act::Add, value)?;
        return Ok(with(held, vec![new]));
    }
    let Some(Value::Object(given)) = attribute.one(value)? else {
        return Err(Refusal::value("the value is to be an object"));
    };
    if let Some(new) = new.as_object_mut() {
        new.extend(given);
    }
    Ok(with(held, vec![new]))
}

fn set_part(held: &mut Value, part: &'static Attribute, act: Act, value: &Value) -> Scim<()> {
    let Some(held) = held.as_object_mut() else {
        return Err(Refusal::target("this has no parts"));
    };
    let taken = match act {
        Act::Remove => None,
        _ => part.taken(value)?,
    };
    match taken {
        Some(value) => {
            held.insert(part.name.to_string(), value);
        }
        None => {
            held.remove(part.name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::schema::{ENTERPRISE, GROUPS, USERS};
    use super::*;

    fn user() -> Resource {
        let user = json!({
            "userName": "babs",
            "title": "Tour Guide",
            "name": {"givenName": "Barbara", "familyName": "Jensen"},
            "emails": [
                {"type": "work", "value": "bjensen@example.com", "primary": true},
                {"type": "home", "value": "babs@jensen.org"}
            ],
            ENTERPRISE: {"department": "Tours"}
        });
        user.as_object().unwrap().clone()
    }

    fn group() -> Resource {
        let group = json!({
            "displayName": "Tour Guides",
            "members": [{"value": "aa"}, {"value": "bb"}]
        });
        group.as_object().unwrap().clone()
    }

    fn after(of: &Type, resource: Resource, operations: Value) -> Scim<Value> {
        let body = json!({"schemas": [PATCH], "Operations": operations});
        patched(of, &resource, &body).map(Value::Object)
    }

    fn refused(of: &Type, resource: Resource, operation: Value) -> &'static str {
        let refusal = after(of, resource, json!([operation])).unwrap_err();
        refusal.kind.unwrap()
    }

    /// The examples of RFC 7644, section 3.5.2.1.
    #[test]
    fn a_member_and_an_address_are_added() {
        let operation = json!([{"op": "add", "path": "members", "value": [
            {"display": "Babs Jensen", "$ref": "https://example.com/v2/Users/cc", "value": "cc"}
        ]}]);
        let changed = after(&GROUPS, group(), operation).unwrap();
        assert_eq!(changed["members"].as_array().unwrap().len(), 3);
        assert_eq!(changed["members"][2]["value"], "cc");

        let operation = json!([{"op": "add", "value": {
            "emails": [{"value": "babs@new.example", "type": "home", "primary": true}],
            "nickName": "Babs"
        }}]);
        let changed = after(&USERS, user(), operation).unwrap();
        assert_eq!(changed["emails"].as_array().unwrap().len(), 3);
        assert_eq!(changed["emails"][2]["primary"], true);
        assert_eq!(
            changed["emails"][0]["primary"], false,
            "there is one primary address"
        );
        assert!(
            changed.get("nickName").is_none(),
            "what is not kept is passed over"
        );
    }

    /// The examples of section 3.5.2.2.
    #[test]
    fn members_are_removed_one_all_and_by_a_filter() {
        let one = json!([{"op": "remove", "path": "members[value eq \"aa\"]"}]);
        let changed = after(&GROUPS, group(), one).unwrap();
        assert_eq!(changed["members"], json!([{"value": "bb"}]));
        let all = json!([{"op": "remove", "path": "members"}]);
        assert!(
            after(&GROUPS, group(), all)
                .unwrap()
                .get("members")
                .is_none()
        );
        let address = json!([{"op": "remove",
            "path": "emails[type eq \"work\" and value ew \"example.com\"]"}]);
        let changed = after(&USERS, user(), address).unwrap();
        assert_eq!(changed["emails"].as_array().unwrap().len(), 1);
        let swapped = json!([
            {"op": "remove", "path": "members[value eq \"aa\"]"},
            {"op": "add", "path": "members", "value": [{"value": "dd"}]}
        ]);
        let changed = after(&GROUPS, group(), swapped).unwrap();
        assert_eq!(
            changed["members"],
            json!([{"value": "bb"}, {"value": "dd"}])
        );
        let named = json!([{"op": "Remove", "path": "members", "value": [{"value": "bb"}]}]);
        let changed = after(&GROUPS, group(), named).unwrap();
        assert_eq!(changed["members"], json!([{"value": "aa"}]));
    }

    /// The examples of section 3.5.2.3.
    #[test]
    fn values_are_replaced_whole_in_part_and_without_a_path() {
        let all = json!([{"op": "replace", "path": "members", "value": [{"value": "xx"}]}]);
        let changed = after(&GROUPS, group(), all).unwrap();
        assert_eq!(changed["members"], json!([{"value": "xx"}]));
        let address = json!([{"op": "replace", "path": "emails[type eq \"work\"]",
            "value": {"type": "work", "value": "new@example.com", "primary": true}}]);
        let changed = after(&USERS, user(), address).unwrap();
        assert_eq!(changed["emails"][0]["value"], "new@example.com");
        let part = json!([{"op": "replace", "path": "emails[type eq \"work\"].value",
            "value": "part@example.com"}]);
        let changed = after(&USERS, user(), part).unwrap();
        assert_eq!(changed["emails"][0]["value"], "part@example.com");
        assert_eq!(changed["emails"][0]["primary"], true);
        let whole = json!([{"op": "replace", "value": {
            "emails": [{"value": "only@example.com"}], "name.familyName": "Smith"}}]);
        let changed = after(&USERS, user(), whole).unwrap();
        assert_eq!(changed["emails"], json!([{"value": "only@example.com"}]));
        assert_eq!(
            changed["name"],
            json!({"givenName": "Barbara", "familyName": "Smith"})
        );
    }

    #[test]
    fn extensions_are_changed_by_their_urn_whole_and_in_part() {
        let part = json!([{"op": "Replace", "path": format!("{ENTERPRISE}:department"),
            "value": "Sales"}]);
        let changed = after(&USERS, user(), part).unwrap();
        assert_eq!(changed[ENTERPRISE]["department"], "Sales");
        let within = json!([{"op": "add", "value": {ENTERPRISE: {"division": "West"}}}]);
        let changed = after(&USERS, user(), within).unwrap();
        assert_eq!(
            changed[ENTERPRISE],
            json!({"department": "Tours", "division": "West"})
        );
        let gone = json!([{"op": "remove", "path": ENTERPRISE}]);
        assert!(
            after(&USERS, user(), gone)
                .unwrap()
                .get(ENTERPRISE)
                .is_none()
        );
    }

    #[test]
    fn words_of_real_clients_are_understood() {
        let active = json!([{"op": "Replace", "path": "active", "value": "False"}]);
        assert_eq!(after(&USERS, user(), active).unwrap()["active"], false);
        let new = json!([{"op": "Add", "path": "emails[type eq \"other\"].value",
            "value": "o@example.com"}]);
        let changed = after(&USERS, user(), new).unwrap();
        assert_eq!(
            changed["emails"][2],
            json!({"type": "other", "value": "o@example.com"})
        );
    }

    #[test]
    fn what_cannot_be_changed_or_found_is_refused_by_its_word() {
        for (operation, word) in [
            (
                json!({"op": "replace", "path": "id", "value": "x"}),
                "mutability",
            ),
            (
                json!({"op": "add", "path": "groups", "value": []}),
                "mutability",
            ),
            (json!({"op": "remove", "path": "userName"}), "mutability"),
            (json!({"op": "remove"}), "noTarget"),
            (
                json!({"op": "replace", "path": "emails[type eq \"x\"].value", "value": "a"}),
                "noTarget",
            ),
            (
                json!({"op": "replace", "path": "password", "value": "a"}),
                "invalidPath",
            ),
            (
                json!({"op": "replace", "path": "emails[", "value": "a"}),
                "invalidPath",
            ),
            (
                json!({"op": "replace", "path": "title[value pr]", "value": "a"}),
                "invalidPath",
            ),
            (
                json!({"op": "replace", "path": "emails[type xx 1]", "value": {}}),
                "invalidFilter",
            ),
            (
                json!({"op": "replace", "path": "active", "value": "maybe"}),
                "invalidValue",
            ),
            (
                json!({"op": "replace", "path": "title", "value": {"a": 1}}),
                "invalidValue",
            ),
            (json!({"op": "replace", "value": "a"}), "invalidValue"),
            (json!({"op": "move", "path": "title"}), "invalidSyntax"),
            (json!({"path": "title"}), "invalidSyntax"),
        ] {
            assert_eq!(
                refused(&USERS, user(), operation.clone()),
                word,
                "{operation}"
            );
        }
        let part = json!({"op": "replace", "path": "members[value eq \"aa\"].value", "value": "b"});
        assert_eq!(refused(&GROUPS, group(), part), "mutability");
    }

    #[test]
    fn requests_are_bounded_and_hold_together() {
        let one = json!({"op": "replace", "path": "title", "value": "x"});
        let many = Value::Array(vec![one.clone(); OPERATIONS + 1]);
        assert!(after(&USERS, user(), many).is_err());
        assert!(after(&USERS, user(), json!([])).is_err());
        let body = json!({"Operations": [one]});
        assert!(
            patched(&USERS, &user(), &body).is_err(),
            "it does not say what it is"
        );
        let long = json!([{"op": "replace", "path": "title", "value": "x".repeat(257)}]);
        assert!(after(&USERS, user(), long).is_err());
        let two = json!([{"op": "add", "path": "emails", "value": [
            {"value": "a", "primary": true}, {"value": "b", "primary": true}]}]);
        assert!(after(&USERS, user(), two).is_err());
    }
}
