//! Filters of queries (RFC 7644, section 3.4.2.2): read into a tree of bounded size, and held to
//! resources. No text of a filter goes anywhere else.

use serde_json::Value;

use super::answer::{Refusal, Scim};
use super::schema::{Kind, Place, Resource, Type};

/// The longest filter, in bytes, its deepest nesting, and the most comparisons in it: a client asks for
/// a user by its name or id, or for a few of these.
const BYTES: usize = 2_048;
const DEPTH: usize = 8;
const TESTS: usize = 32;

/// A filter as it was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Present(String),
    Compare(String, Comparison, Value),
    /// One value of an attribute fulfils all: `emails[type eq "work"]`.
    Within(String, Box<Filter>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Contains,
    Starts,
    Ends,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    fn parse(word: &str) -> Option<Comparison> {
        let words = [
            ("eq", Comparison::Equal),
            ("ne", Comparison::NotEqual),
            ("co", Comparison::Contains),
            ("sw", Comparison::Starts),
            ("ew", Comparison::Ends),
            ("gt", Comparison::Greater),
            ("ge", Comparison::GreaterOrEqual),
            ("lt", Comparison::Less),
            ("le", Comparison::LessOrEqual),
        ];
        let mut known = words.into_iter();
        known
            .find(|(own, _)| own.eq_ignore_ascii_case(word))
            .map(|(_, comparison)| comparison)
    }

    fn of_texts(self, held: &str, wanted: &str) -> bool {
        match self {
            Comparison::Equal => held == wanted,
            Comparison::NotEqual => held != wanted,
            Comparison::Contains => held.contains(wanted),
            Comparison::Starts => held.starts_with(wanted),
            Comparison::Ends => held.ends_with(wanted),
            Comparison::Greater => held > wanted,
            Comparison::GreaterOrEqual => held >= wanted,
            Comparison::Less => held < wanted,
            Comparison::LessOrEqual => held <= wanted,
        }
    }
}

impl Filter {
    pub fn parse(text: &str) -> Scim<Filter> {
        if text.len() > BYTES {
            return Err(Refusal::filter(format!(
                "a filter has {BYTES} bytes at most"
            )));
        }
        let mut parser = Parser {
            rest: text,
            tests: 0,
        };
        let filter = parser.either(0, false)?;
        match parser.rest.trim_start() {
            "" => Ok(filter),
            rest => Err(unexpected(rest)),
        }
    }

    /// Refuses what names an attribute that resources of this type do not have, or that is not kept
    /// with them.
    pub fn check(&self, of: &Type) -> Scim<()> {
        let known = |path: &str| {
            let place = of.place(path).filter(|place| {
                let name = place.attribute.map(|it| it.name);
                !matches!(name, None | Some("groups" | "schemas"))
            });
            place.ok_or_else(|| Refusal::filter(format!("'{}' cannot be filtered by", shown(path))))
        };
        match self {
            Filter::And(one, other) | Filter::Or(one, other) => {
                one.check(of)?;
                other.check(of)
            }
            Filter::Not(inner) => inner.check(of),
            Filter::Present(path) => known(path).map(drop),
            Filter::Compare(path, comparison, value) => {
                let place = known(path)?;
                let kind = place.compared().map(|it| it.kind);
                let is_text = matches!(kind, Some(Kind::Text | Kind::Reference));
                let is_equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
                let fits = match value {
                    Value::String(_) => is_text,
                    Value::Bool(_) => kind == Some(Kind::Truth) && is_equality,
                    Value::Null => is_equality,
                    _ => false,
                };
                match fits {
                    true => Ok(()),
                    false => Err(Refusal::filter(format!(
                        "'{}' is not compared like that",
                        shown(path)
                    ))),
                }
            }
            Filter::Within(path, inner) => {
                let place = known(path)?;
                let parts = place.attribute.filter(|_| place.part.is_none());
                let Some(parts) = parts.filter(|it| !it.parts().is_empty()) else {
                    return Err(Refusal::filter(format!("'{}' has no parts", shown(path))));
                };
                inner.check_within(parts.name, of)
            }
        }
    }

    /// The same for a filter in brackets, whose names are those of parts.
    pub fn check_within(&self, attribute: &str, of: &Type) -> Scim<()> {
        let whole = |name: &String| format!("{attribute}.{name}");
        match self {
            Filter::And(one, other) | Filter::Or(one, other) => {
                one.check_within(attribute, of)?;
                other.check_within(attribute, of)
            }
            Filter::Not(inner) => inner.check_within(attribute, of),
            Filter::Present(name) => Filter::Present(whole(name)).check(of),
            Filter::Compare(name, comparison, value) => {
                Filter::Compare(whole(name), *comparison, value.clone()).check(of)
            }
            Filter::Within(..) => Err(Refusal::filter("brackets in brackets")),
        }
    }

    /// Whether the filter asks for what is not kept with a resource but made for each answer: its id
    /// and when it changed.
    pub fn asks_what_is_made(&self) -> bool {
        let made = |path: &str| {
            let name = path.rsplit(':').next().unwrap_or_default();
            let name = name.split('.').next().unwrap_or_default();
            ["id", "meta"]
                .iter()
                .any(|it| it.eq_ignore_ascii_case(name))
        };
        match self {
            Filter::And(one, other) | Filter::Or(one, other) => {
                one.asks_what_is_made() || other.asks_what_is_made()
            }
            Filter::Not(inner) => inner.asks_what_is_made(),
            Filter::Present(path) | Filter::Compare(path, ..) | Filter::Within(path, _) => {
                made(path)
            }
        }
    }

    /// Whether a resource is one that the filter asks for.
    pub fn matches(&self, of: &Type, resource: &Resource) -> bool {
        match self {
            Filter::And(one, other) => one.matches(of, resource) && other.matches(of, resource),
            Filter::Or(one, other) => one.matches(of, resource) || other.matches(of, resource),
            Filter::Not(inner) => !inner.matches(of, resource),
            Filter::Present(path) => of
                .place(path)
                .is_some_and(|place| !place.values(resource).is_empty()),
            Filter::Compare(path, comparison, wanted) => {
                let Some(place) = of.place(path) else {
                    return false;
                };
                let held = place.values(resource);
                let exact = place.compared().is_some_and(|it| it.exact);
                is_any(&held, *comparison, wanted, exact)
            }
            Filter::Within(path, inner) => {
                let Some(place) = of.place(path) else {
                    return false;
                };
                let Some(attribute) = place.attribute else {
                    return false;
                };
                let values = place.whole(resource);
                values
                    .iter()
                    .any(|value| inner.matches_value(attribute, value))
            }
        }
    }

    /// Whether one value of an attribute is one that a filter in brackets asks for.
    pub fn matches_value(&self, attribute: &super::schema::Attribute, value: &Value) -> bool {
        let held = |name: &String| {
            let part = attribute.part(name)?;
            Some((part, value.get(part.name)?))
        };
        match self {
            Filter::And(one, other) => {
                one.matches_value(attribute, value) && other.matches_value(attribute, value)
            }
            Filter::Or(one, other) => {
                one.matches_value(attribute, value) || other.matches_value(attribute, value)
            }
            Filter::Not(inner) => !inner.matches_value(attribute, value),
            Filter::Present(name) => held(name).is_some(),
            Filter::Compare(name, comparison, wanted) => match held(name) {
                Some((part, held)) => is_any(&[held], *comparison, wanted, part.exact),
                None => is_any(&[], *comparison, wanted, false),
            },
            Filter::Within(..) => false,
        }
    }
}

impl Place {
    /// The attribute whose values are compared: of an object its `value`.
    pub fn compared(&self) -> Option<&'static super::schema::Attribute> {
        let attribute = self.attribute?;
        self.part
            .or_else(|| attribute.part("value"))
            .or(Some(attribute))
    }

    /// The values of the attribute, parts and all.
    pub fn whole<'a>(&self, resource: &'a Resource) -> Vec<&'a Value> {
        let held = match self.extension {
            Some(extension) => resource.get(extension.id).and_then(Value::as_object),
            None => Some(resource),
        };
        let value = match (held, self.attribute) {
            (Some(held), Some(attribute)) => held.get(attribute.name),
            _ => None,
        };
        match value {
            Some(Value::Array(values)) => values.iter().collect(),
            Some(value) => vec![value],
            None => Vec::new(),
        }
    }

    /// The values that a comparison looks at.
    fn values<'a>(&self, resource: &'a Resource) -> Vec<&'a Value> {
        let whole = self.whole(resource);
        let Some(part) = self.compared().filter(|it| Some(*it) != self.attribute) else {
            return whole;
        };
        // A presence test of an object without `value` is about the object.
        whole
            .into_iter()
            .filter_map(|value| value.get(part.name))
            .collect()
    }
}

fn is_any(held: &[&Value], comparison: Comparison, wanted: &Value, exact: bool) -> bool {
    if wanted.is_null() {
        return held.is_empty() == (comparison == Comparison::Equal);
    }
    if held.is_empty() {
        return comparison == Comparison::NotEqual;
    }
    held.iter().any(|value| match (value, wanted) {
        (Value::String(held), Value::String(wanted)) if exact => comparison.of_texts(held, wanted),
        (Value::String(held), Value::String(wanted)) => {
            comparison.of_texts(&held.to_lowercase(), &wanted.to_lowercase())
        }
        (held, wanted) => (*held == wanted) == (comparison == Comparison::Equal),
    })
}

struct Parser<'a> {
    rest: &'a str,
    tests: usize,
}

impl Parser<'_> {
    fn either(&mut self, depth: usize, within: bool) -> Scim<Filter> {
        let mut filter = self.both(depth, within)?;
        while self.word_is("or") {
            let other = self.both(depth, within)?;
            filter = Filter::Or(Box::new(filter), Box::new(other));
        }
        Ok(filter)
    }

    fn both(&mut self, depth: usize, within: bool) -> Scim<Filter> {
        let mut filter = self.term(depth, within)?;
        while self.word_is("and") {
            let other = self.term(depth, within)?;
            filter = Filter::And(Box::new(filter), Box::new(other));
        }
        Ok(filter)
    }

    fn term(&mut self, depth: usize, within: bool) -> Scim<Filter> {
        if depth >= DEPTH {
            return Err(Refusal::filter(format!(
                "a filter nests {DEPTH} deep at most"
            )));
        }
        if self.takes('(') {
            let inner = self.either(depth + 1, within)?;
            self.must(')')?;
            return Ok(inner);
        }
        let before = self.rest;
        if self.word_is("not") {
            if self.takes('(') {
                let inner = self.either(depth + 1, within)?;
                self.must(')')?;
                return Ok(Filter::Not(Box::new(inner)));
            }
            self.rest = before;
        }
        self.test(depth, within)
    }

    fn test(&mut self, depth: usize, within: bool) -> Scim<Filter> {
        self.tests += 1;
        if self.tests > TESTS {
            return Err(Refusal::filter(format!(
                "a filter has {TESTS} comparisons at most"
            )));
        }
        let path = self.word();
        if !is_path(&path) {
            return Err(unexpected(if path.is_empty() { self.rest } else { &path }));
        }
        if self.takes('[') {
            if within {
                return Err(Refusal::filter("brackets in brackets"));
            }
            let inner = self.either(depth + 1, true)?;
            self.must(']')?;
            return Ok(Filter::Within(path, Box::new(inner)));
        }
        let word = self.word();
        if word.eq_ignore_ascii_case("pr") {
            return Ok(Filter::Present(path));
        }
        let Some(comparison) = Comparison::parse(&word) else {
            return Err(unexpected(&word));
        };
        Ok(Filter::Compare(path, comparison, self.value()?))
    }

    /// A value: a text in JSON's quotes, true, false or null. There is no attribute here that is a
    /// number.
    fn value(&mut self) -> Scim<Value> {
        self.rest = self.rest.trim_start();
        if !self.rest.starts_with('"') {
            let word = self.word();
            return match word.to_ascii_lowercase().as_str() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                "null" => Ok(Value::Null),
                _ => Err(unexpected(&word)),
            };
        }
        let mut texts = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        let text = texts.next().and_then(Result::ok);
        let end = texts.byte_offset();
        let Some(text) = text else {
            return Err(Refusal::filter(
                "a text in quotes does not end as it should",
            ));
        };
        self.rest = &self.rest[end..];
        // Nothing is glued to a text.
        match self.rest.chars().next() {
            None | Some(' ' | ')' | ']') => Ok(Value::String(text)),
            Some(_) => Err(unexpected(self.rest)),
        }
    }

    /// What comes up to a space or a bracket.
    fn word(&mut self) -> String {
        self.rest = self.rest.trim_start();
        let end = self.rest.find([' ', '(', ')', '[', ']', '"', '\t', '\n']);
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word.to_string()
    }

    fn word_is(&mut self, wanted: &str) -> bool {
        let before = self.rest;
        let is = self.word().eq_ignore_ascii_case(wanted);
        if !is {
            self.rest = before;
        }
        is
    }

    fn takes(&mut self, wanted: char) -> bool {
        let rest = self.rest.trim_start().strip_prefix(wanted);
        if let Some(rest) = rest {
            self.rest = rest;
        }
        rest.is_some()
    }

    fn must(&mut self, wanted: char) -> Scim<()> {
        match self.takes(wanted) {
            true => Ok(()),
            false => Err(Refusal::filter(format!("a '{wanted}' is missing"))),
        }
    }
}

/// Letters, digits and what URNs and paths are joined with.
pub fn is_path(path: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-$.:".contains(&byte);
    !path.is_empty() && path.bytes().all(allowed)
}

/// As much of what a client sent as an answer repeats.
pub fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

fn unexpected(text: &str) -> Refusal {
    match text.is_empty() {
        true => Refusal::filter("the filter ends where something should follow"),
        false => Refusal::filter(format!("'{}' is not expected here", shown(text))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::schema::USERS;
    use super::*;

    fn asked(filter: &str) -> Scim<bool> {
        let user = json!({
            "id": "abc",
            "userName": "Bjensen",
            "title": "Tour Guide",
            "active": true,
            "name": {"familyName": "O'Malley"},
            "emails": [
                {"type": "work", "value": "bjensen@example.com"},
                {"type": "home", "value": "babs@jensen.org"}
            ],
            "meta": {"lastModified": "2011-05-13T04:42:34Z"},
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Tours"}
        });
        let filter = Filter::parse(filter)?;
        filter.check(&USERS)?;
        Ok(filter.matches(&USERS, user.as_object().unwrap()))
    }

    /// The examples of RFC 7644, section 3.4.2.2, where their attributes are kept here.
    #[test]
    fn the_examples_of_the_specification_find_what_they_ask_for() {
        for (filter, wanted) in [
            ("userName eq \"bjensen\"", true),
            ("name.familyName co \"O'Malley\"", true),
            ("userName sw \"J\"", false),
            (
                "urn:ietf:params:scim:schemas:core:2.0:User:userName sw \"b\"",
                true,
            ),
            ("title pr", true),
            ("meta.lastModified gt \"2011-05-13T04:42:34Z\"", false),
            ("meta.lastModified ge \"2011-05-13T04:42:34Z\"", true),
            ("meta.lastModified lt \"2011-05-13T04:42:34Z\"", false),
            ("meta.lastModified le \"2011-05-13T04:42:34Z\"", true),
            ("title pr and userType eq \"Employee\"", false),
            ("title pr or userType eq \"Intern\"", true),
            (
                "userType ne \"Employee\" and not (emails co \"example.com\" or emails.value co \"example.org\")",
                false,
            ),
            (
                "emails[type eq \"work\" and value co \"@example.com\"] or title eq \"x\"",
                true,
            ),
            (
                "emails[type eq \"home\" and value co \"@example.com\"]",
                false,
            ),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq \"tours\"",
                true,
            ),
        ] {
            assert_eq!(asked(filter), Ok(wanted), "{filter}");
        }
    }

    #[test]
    fn and_binds_closer_than_or_and_case_does_not_matter() {
        assert_eq!(
            asked("title PR OR title eq \"x\" AND title eq \"y\""),
            Ok(true)
        );
        assert_eq!(
            asked("(title pr or title pr) and title eq \"y\""),
            Ok(false)
        );
        assert_eq!(asked("USERNAME EQ \"BJENSEN\""), Ok(true));
        // An id is compared exactly.
        assert_eq!(asked("id eq \"ABC\""), Ok(false));
        assert_eq!(asked("not (active eq false)"), Ok(true));
        assert_eq!(asked("externalId eq null"), Ok(true));
    }

    #[test]
    fn what_is_no_filter_is_refused_and_never_guessed_at() {
        for text in [
            "",
            "userName",
            "userName eq",
            "userName eq bjensen",
            "userName eq \"bjensen",
            "userName eq \"a\" or",
            "userName eq \"a\" \"b\"",
            "userName eq \"a\"or title pr",
            "userName eq 'a' or 1=1",
            "userName eq \"a\"; DROP TABLE users",
            "userName eq \"a\")(title pr",
            "(userName eq \"a\"",
            "userName[",
            "emails[value eq \"a\"",
            "emails[emails[value pr]]",
            "not userName pr",
            "userName xx \"a\"",
            "active gt true",
            "active eq \"true\"",
            "password sw \"a\"",
            "groups eq \"a\"",
            "$where eq \"a\"",
            "userName eq {\"$ne\": null}",
            "userName eq 5",
            "title[value pr]",
            "urn:x:y:userName pr",
        ] {
            let refused = asked(text).unwrap_err();
            assert_eq!(refused.kind, Some("invalidFilter"), "{text}");
        }
    }

    #[test]
    fn filters_are_bounded_in_depth_number_and_length() {
        let deep = |levels: usize| format!("{}title pr{}", "(".repeat(levels), ")".repeat(levels));
        assert_eq!(asked(&deep(DEPTH - 1)), Ok(true));
        assert!(asked(&deep(DEPTH)).is_err());
        assert!(asked(&"(".repeat(BYTES)).is_err());
        assert!(asked(&"not (".repeat(BYTES / 5)).is_err());
        let many = |tests: usize| vec!["title pr"; tests].join(" and ");
        assert_eq!(asked(&many(TESTS)), Ok(true));
        assert!(asked(&many(TESTS + 1)).is_err());
        assert!(asked(&format!("title eq \"{}\"", "a".repeat(BYTES))).is_err());
    }
}
