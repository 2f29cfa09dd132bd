//! What a query asks for: which resources, which page of them, and which of their attributes.

use std::collections::BTreeMap;

use axum::http::Uri;
use serde_json::Value;

use super::answer::{Refusal, Scim};
use super::filter::Filter;
use super::schema::{Place, Resource, Type};

/// The most resources in one answer, and as many as there are where the client does not say.
pub const COUNT: usize = 200;
const USUAL_COUNT: usize = 100;
/// Attributes that one query names.
const NAMED: usize = 64;

#[derive(Debug)]
pub struct Query {
    pub filter: Option<Filter>,
    /// The first of the page, counted from 1.
    pub start: usize,
    pub count: usize,
    with: Vec<String>,
    without: Vec<String>,
}

impl Query {
    pub fn of_uri(uri: &Uri) -> Scim<Query> {
        let given = axum::extract::Query::<BTreeMap<String, String>>::try_from_uri(uri);
        let given = given.map_err(|error| Refusal::syntax(error.body_text()))?.0;
        let names = |key: &str| {
            let listed = given.get(key).map_or("", String::as_str).split(',');
            let listed = listed.map(str::trim).filter(|it| !it.is_empty());
            listed.map(String::from).collect()
        };
        let number = |key: &str| match given.get(key) {
            None => Ok(None),
            Some(text) => text
                .parse::<i64>()
                .map(Some)
                .map_err(|_| Refusal::value(format!("'{key}' is a number"))),
        };
        Query::new(
            given.get("filter").map(String::as_str),
            number("startIndex")?,
            number("count")?,
            names("attributes"),
            names("excludedAttributes"),
        )
    }

    pub fn of_body(body: &Value) -> Scim<Query> {
        let names = |key: &str| -> Scim<Vec<String>> {
            match body.get(key) {
                None | Some(Value::Null) => Ok(Vec::new()),
                Some(Value::Array(names)) => {
                    let texts = names.iter().map(|it| it.as_str().map(String::from));
                    let texts: Option<Vec<String>> = texts.collect();
                    texts.ok_or_else(|| Refusal::value(format!("'{key}' is a list of names")))
                }
                Some(_) => Err(Refusal::value(format!("'{key}' is a list of names"))),
            }
        };
        let number = |key: &str| match body.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_i64()
                .map(Some)
                .ok_or_else(|| Refusal::value(format!("'{key}' is a number"))),
        };
        Query::new(
            body.get("filter").and_then(Value::as_str),
            number("startIndex")?,
            number("count")?,
            names("attributes")?,
            names("excludedAttributes")?,
        )
    }

    fn new(
        filter: Option<&str>,
        start: Option<i64>,
        count: Option<i64>,
        with: Vec<String>,
        without: Vec<String>,
    ) -> Scim<Query> {
        if with.len() + without.len() > NAMED {
            return Err(Refusal::value(format!(
                "a query names {NAMED} attributes at most"
            )));
        }
        // Numbers below the least count as the least (section 3.4.2.4).
        let least = |number: i64, least: usize| usize::try_from(number).unwrap_or(0).max(least);
        Ok(Query {
            filter: filter.map(Filter::parse).transpose()?,
            start: least(start.unwrap_or(1), 1),
            count: count.map_or(USUAL_COUNT, |it| least(it, 0)).min(COUNT),
            with,
            without,
        })
    }

    /// Refuses a filter that fits none of the types that are looked through.
    pub fn check(&self, types: &[&Type]) -> Scim<()> {
        let Some(filter) = &self.filter else {
            return Ok(());
        };
        let mut checked = types.iter().map(|of| filter.check(of));
        match checked.clone().any(|it| it.is_ok()) {
            true => Ok(()),
            false => checked.next().unwrap_or(Ok(())),
        }
    }

    pub fn matches(&self, of: &Type, resource: &Resource) -> bool {
        let Some(filter) = &self.filter else {
            return true;
        };
        filter.check(of).is_ok() && filter.matches(of, resource)
    }

    /// A resource with the attributes that were asked for (section 3.9); its id and schemas always.
    pub fn shown(&self, of: &Type, mut resource: Resource) -> Scim<Resource> {
        if !self.with.is_empty() {
            let mut shown = Resource::new();
            for always in ["schemas", "id"] {
                if let Some(value) = resource.get(always) {
                    shown.insert(always.to_string(), value.clone());
                }
            }
            for place in self.with.iter().filter_map(|name| of.place(name)) {
                copy(&place, &resource, &mut shown);
            }
            return Ok(shown);
        }
        for place in self.without.iter().filter_map(|name| of.place(name)) {
            remove(&place, &mut resource);
        }
        Ok(resource)
    }
}

/// Puts what is at a place into another resource.
fn copy(place: &Place, from: &Resource, to: &mut Resource) {
    let (from, to) = match place.extension {
        None => (from, to),
        Some(extension) => {
            let Some(within) = from.get(extension.id).and_then(Value::as_object) else {
                return;
            };
            if place.attribute.is_none() {
                to.insert(extension.id.into(), Value::Object(within.clone()));
                return;
            }
            let into = to
                .entry(extension.id)
                .or_insert_with(|| Value::Object(Resource::new()));
            let Some(into) = into.as_object_mut() else {
                return;
            };
            (within, into)
        }
    };
    let Some(attribute) = place.attribute else {
        return;
    };
    let Some(value) = from.get(attribute.name) else {
        return;
    };
    let only = |value: &Value| match (place.part, value) {
        (Some(part), Value::Object(parts)) => {
            let kept = parts.iter().filter(|(name, _)| *name == part.name);
            Value::Object(kept.map(|(name, it)| (name.clone(), it.clone())).collect())
        }
        _ => value.clone(),
    };
    let shown = match value {
        Value::Array(values) => Value::Array(values.iter().map(only).collect()),
        value => only(value),
    };
    to.insert(attribute.name.to_string(), shown);
}

fn remove(place: &Place, from: &mut Resource) {
    let within = match (place.extension, place.attribute) {
        (Some(extension), None) => {
            from.remove(extension.id);
            return;
        }
        (Some(extension), _) => from.get_mut(extension.id).and_then(Value::as_object_mut),
        (None, _) => Some(from),
    };
    let (Some(within), Some(attribute)) = (within, place.attribute) else {
        return;
    };
    if matches!(attribute.name, "id" | "schemas") {
        return;
    }
    let Some(part) = place.part else {
        within.remove(attribute.name);
        return;
    };
    let values = match within.get_mut(attribute.name) {
        Some(Value::Array(values)) => values.iter_mut().collect(),
        Some(value) => vec![value],
        None => Vec::new(),
    };
    for value in values {
        if let Some(parts) = value.as_object_mut() {
            parts.remove(part.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::schema::USERS;
    use super::*;

    fn asked(query: &str) -> Scim<Query> {
        let uri = format!("/scim/v2/Users?{query}");
        Query::of_uri(&uri.parse().unwrap())
    }

    #[test]
    fn a_page_is_bounded_whatever_is_asked() {
        for (query, start, count) in [
            ("", 1, USUAL_COUNT),
            ("startIndex=0&count=-5", 1, 0),
            (
                "startIndex=-9223372036854775808&count=9223372036854775807",
                1,
                COUNT,
            ),
            ("startIndex=11&count=10", 11, 10),
        ] {
            let asked = asked(query).unwrap();
            assert_eq!((asked.start, asked.count), (start, count), "{query}");
        }
        assert!(asked("count=all").is_err());
        assert!(asked(&format!("attributes={}", vec!["a"; NAMED + 1].join(","))).is_err());
    }

    #[test]
    fn attributes_are_shown_as_asked_for_and_ids_always() {
        let user = json!({
            "schemas": ["s"], "id": "i", "userName": "u", "title": "t",
            "name": {"givenName": "g", "familyName": "f"},
            "emails": [{"value": "v", "type": "work"}]
        });
        let user = user.as_object().unwrap();
        let shown =
            |query: &str| Value::Object(asked(query).unwrap().shown(&USERS, user.clone()).unwrap());
        assert_eq!(
            shown("attributes=name.givenName,EMAILS.value,nothing"),
            json!({"schemas": ["s"], "id": "i", "name": {"givenName": "g"}, "emails": [{"value": "v"}]})
        );
        assert_eq!(
            shown("excludedAttributes=id,schemas,title,emails,name.familyName"),
            json!({"schemas": ["s"], "id": "i", "userName": "u", "name": {"givenName": "g"}})
        );
    }
}
