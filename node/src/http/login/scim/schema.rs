//! The schemas that this node speaks (RFC 7643): which attributes it keeps, and of what form. All else
//! that a client sends is passed over.

use serde_json::{Map, Value, json};

use super::answer::{Refusal, Scim};

pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
pub const COMITY: &str = "urn:ietf:params:scim:schemas:extension:comity:2.0:User";

/// The longest text of an attribute, in bytes: what an account takes.
const TEXT_BYTES: usize = 256;
/// Values of an attribute that has several; a group's members have a bound of their own.
const VALUES: usize = 32;

/// A resource as JSON.
pub type Resource = Map<String, Value>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Truth,
    Reference,
    Complex(&'static [Attribute]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    ReadWrite,
    ReadOnly,
    Immutable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    pub name: &'static str,
    pub kind: Kind,
    pub several: bool,
    pub required: bool,
    pub exact: bool,
    pub change: Change,
    unique: bool,
    description: &'static str,
    canonical: &'static [&'static str],
    /// The most values, where there may be several.
    most: usize,
}

/// A schema: the core one of a type, or an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    pub id: &'static str,
    pub name: &'static str,
    description: &'static str,
    pub attributes: &'static [Attribute],
}

/// A type of resource with its schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Type {
    pub name: &'static str,
    pub endpoint: &'static str,
    description: &'static str,
    pub core: &'static Schema,
    pub extensions: &'static [&'static Schema],
}

const fn text(name: &'static str, description: &'static str) -> Attribute {
    Attribute {
        name,
        kind: Kind::Text,
        several: false,
        required: false,
        exact: false,
        change: Change::ReadWrite,
        unique: false,
        description,
        canonical: &[],
        most: VALUES,
    }
}

const fn complex(
    name: &'static str,
    description: &'static str,
    parts: &'static [Attribute],
) -> Attribute {
    Attribute {
        kind: Kind::Complex(parts),
        ..text(name, description)
    }
}

const fn several(attribute: Attribute) -> Attribute {
    Attribute {
        several: true,
        ..attribute
    }
}

const fn read_only(attribute: Attribute) -> Attribute {
    Attribute {
        change: Change::ReadOnly,
        exact: true,
        ..attribute
    }
}

const fn immutable(attribute: Attribute) -> Attribute {
    Attribute {
        change: Change::Immutable,
        exact: true,
        ..attribute
    }
}

/// What resources of every type have and no schema lists (RFC 7643, section 3.1).
pub static COMMON: [Attribute; 4] = [
    read_only(text("id", "")),
    Attribute {
        exact: true,
        ..text("externalId", "")
    },
    read_only(complex(
        "meta",
        "",
        &[
            read_only(text("resourceType", "")),
            read_only(text("created", "")),
            read_only(text("lastModified", "")),
            read_only(text("location", "")),
        ],
    )),
    read_only(several(text("schemas", ""))),
];

static USER_SCHEMA: Schema = Schema {
    id: USER,
    name: "User",
    description: "A user of this partner",
    attributes: &[
        Attribute {
            required: true,
            unique: true,
            ..text(
                "userName",
                "What the organisation calls the user; the account's name here follows from the first one and stays",
            )
        },
        complex(
            "name",
            "The parts of the user's name",
            &[
                text("givenName", "The given name"),
                text("familyName", "The family name"),
                text("formatted", "The whole name, as it is to be shown"),
            ],
        ),
        text("displayName", "The name that is to be shown"),
        text("title", "The user's title or position"),
        text("userType", "What the user is to the organisation"),
        text("preferredLanguage", "The language that the user prefers"),
        text("locale", "How dates and numbers are written for the user"),
        text("timezone", "The user's time zone, such as Europe/Rome"),
        Attribute {
            kind: Kind::Truth,
            ..text("active", "Whether the user may log in")
        },
        several(complex(
            "emails",
            "Mail addresses; the primary one, or else the first, is the account's",
            &[
                text("value", "The address"),
                text("display", "How the address is to be shown"),
                text("type", "What it is for, such as work"),
                Attribute {
                    kind: Kind::Truth,
                    ..text("primary", "Whether it is the one to use")
                },
            ],
        )),
        read_only(several(complex(
            "groups",
            "The groups that the user is in; a group's members are changed at the group",
            &[
                read_only(text("value", "The id of the group")),
                read_only(Attribute {
                    kind: Kind::Reference,
                    canonical: &["Group"],
                    ..text("$ref", "Where the group is")
                }),
                read_only(text("display", "The name of the group")),
            ],
        ))),
    ],
};

static ENTERPRISE_SCHEMA: Schema = Schema {
    id: ENTERPRISE,
    name: "EnterpriseUser",
    description: "What an organisation says of its users",
    attributes: &[
        text(
            "employeeNumber",
            "The number that the organisation gave the user",
        ),
        text("costCenter", "The cost centre"),
        text("organization", "The organisation"),
        text("division", "The division"),
        text("department", "The department"),
        complex(
            "manager",
            "The user's manager",
            &[text(
                "value",
                "The manager's id, as the organisation has it",
            )],
        ),
    ],
};

static COMITY_SCHEMA: Schema = Schema {
    id: COMITY,
    name: "ComityUser",
    description: "What decides on what a user may read, and the name of the account",
    attributes: &[
        several(text(
            "nationality",
            "The user's nationalities, as the channels' labels name them",
        )),
        several(text(
            "clearance",
            "The user's clearances, as the channels' labels name them",
        )),
    ],
};

static GROUP_SCHEMA: Schema = Schema {
    id: GROUP,
    name: "Group",
    description: "A group of users, by whose name the node's configuration gives roles and channels",
    attributes: &[
        Attribute {
            required: true,
            unique: true,
            ..text("displayName", "The name of the group")
        },
        Attribute {
            most: crate::home::people::MEMBERS,
            ..several(complex(
                "members",
                "The users in the group; groups in groups are refused",
                &[
                    immutable(text("value", "The id of the user")),
                    immutable(Attribute {
                        kind: Kind::Reference,
                        canonical: &["User"],
                        ..text("$ref", "Where the user is")
                    }),
                    immutable(Attribute {
                        canonical: &["User"],
                        ..text("type", "User")
                    }),
                ],
            ))
        },
    ],
};

pub static USERS: Type = Type {
    name: "User",
    endpoint: "Users",
    description: "Users of this partner",
    core: &USER_SCHEMA,
    extensions: &[&ENTERPRISE_SCHEMA, &COMITY_SCHEMA],
};

pub static GROUPS: Type = Type {
    name: "Group",
    endpoint: "Groups",
    description: "Groups of users",
    core: &GROUP_SCHEMA,
    extensions: &[],
};

pub static TYPES: [&Type; 2] = [&USERS, &GROUPS];

/// An attribute's place in a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The extension that it is in; none for the core.
    pub extension: Option<&'static Schema>,
    /// None for a whole extension.
    pub attribute: Option<&'static Attribute>,
    pub part: Option<&'static Attribute>,
}

impl Attribute {
    pub fn parts(&self) -> &'static [Attribute] {
        match self.kind {
            Kind::Complex(parts) => parts,
            _ => &[],
        }
    }

    pub fn part(&self, name: &str) -> Option<&'static Attribute> {
        named(self.parts(), name)
    }

    /// A value as it is kept: of the attribute's form and length, its parts spelled as the schema does.
    /// None for null and for what is empty (RFC 7643, section 2.5).
    pub fn taken(&self, value: &Value) -> Scim<Option<Value>> {
        if value.is_null() {
            return Ok(None);
        }
        if !self.several {
            return self.one(value);
        }
        let values = match value {
            Value::Array(values) => values.as_slice(),
            single => std::slice::from_ref(single),
        };
        if values.len() > self.most {
            let text = format!("'{}' has {} values at most", self.name, self.most);
            return Err(Refusal::value(text));
        }
        let mut taken = Vec::new();
        for value in values {
            taken.extend(self.one(value)?);
        }
        let is_primary = |it: &&Value| it.get("primary") == Some(&Value::Bool(true));
        if taken.iter().filter(is_primary).count() > 1 {
            return Err(Refusal::value(format!(
                "'{}' has more than one primary value",
                self.name
            )));
        }
        Ok((!taken.is_empty()).then_some(Value::Array(taken)))
    }

    /// The same for one of its values.
    pub fn one(&self, value: &Value) -> Scim<Option<Value>> {
        match (self.kind, value) {
            (_, Value::Null) => Ok(None),
            (Kind::Truth, Value::Bool(_)) => Ok(Some(value.clone())),
            // Some clients write it so.
            (Kind::Truth, Value::String(text)) if text.eq_ignore_ascii_case("true") => {
                Ok(Some(Value::Bool(true)))
            }
            (Kind::Truth, Value::String(text)) if text.eq_ignore_ascii_case("false") => {
                Ok(Some(Value::Bool(false)))
            }
            (Kind::Text | Kind::Reference, Value::String(text)) => match text.len() {
                0 => Ok(None),
                1..=TEXT_BYTES => Ok(Some(value.clone())),
                _ => Err(Refusal::value(format!(
                    "'{}' has {TEXT_BYTES} bytes at most",
                    self.name
                ))),
            },
            (Kind::Complex(parts), Value::Object(given)) => {
                let taken = taken(parts, given)?;
                Ok((!taken.is_empty()).then_some(Value::Object(taken)))
            }
            _ => Err(Refusal::value(format!(
                "'{}' is to be {}",
                self.name,
                self.form()
            ))),
        }
    }

    fn form(&self) -> &'static str {
        match self.kind {
            Kind::Text => "a text",
            Kind::Truth => "true or false",
            Kind::Reference => "a reference",
            Kind::Complex(_) => "an object",
        }
    }

    fn described(&self) -> Value {
        let kind = match self.kind {
            Kind::Text => "string",
            Kind::Truth => "boolean",
            Kind::Reference => "reference",
            Kind::Complex(_) => "complex",
        };
        let change = match self.change {
            Change::ReadWrite => "readWrite",
            Change::ReadOnly => "readOnly",
            Change::Immutable => "immutable",
        };
        let mut described = json!({
            "name": self.name,
            "type": kind,
            "multiValued": self.several,
            "description": self.description,
            "required": self.required,
            "caseExact": self.exact,
            "mutability": change,
            "returned": "default",
            "uniqueness": if self.unique { "server" } else { "none" },
        });
        match self.kind {
            Kind::Complex(parts) => {
                described["subAttributes"] = parts.iter().map(Attribute::described).collect();
            }
            Kind::Reference => described["referenceTypes"] = json!(self.canonical),
            _ if !self.canonical.is_empty() => {
                described["canonicalValues"] = json!(self.canonical);
            }
            _ => {}
        }
        described
    }
}

impl Schema {
    pub fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        named(self.attributes, name)
    }

    pub fn described(&self) -> Value {
        let attributes = self.attributes.iter().map(Attribute::described);
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "attributes": attributes.collect::<Vec<Value>>(),
        })
    }
}

impl Type {
    /// The place that a path names (RFC 7644, section 3.10), in whatever case; none where there is no
    /// such attribute.
    pub fn place(&self, path: &str) -> Option<Place> {
        let extension = |id: &str| {
            let mut all = self.extensions.iter();
            all.find(|it| it.id.eq_ignore_ascii_case(id)).copied()
        };
        if let Some(extension) = extension(path) {
            return Some(Place {
                extension: Some(extension),
                attribute: None,
                part: None,
            });
        }
        let (extension, names) = match path.rsplit_once(':') {
            Some((id, names)) if id.eq_ignore_ascii_case(self.core.id) => (None, names),
            Some((id, names)) => (Some(extension(id)?), names),
            None => (None, path),
        };
        let (name, part) = match names.split_once('.') {
            Some((name, part)) => (name, Some(part)),
            None => (names, None),
        };
        let attribute = match extension {
            Some(extension) => extension.attribute(name)?,
            None => self.core.attribute(name).or_else(|| named(&COMMON, name))?,
        };
        let part = match part {
            Some(part) => Some(attribute.part(part)?),
            None => None,
        };
        Some(Place {
            extension,
            attribute: Some(attribute),
            part,
        })
    }

    /// What is kept of a whole resource that a client sent.
    pub fn taken(&self, given: &Resource) -> Scim<Resource> {
        let mut kept = taken(self.core.attributes, given)?;
        kept.extend(taken(&COMMON, given)?);
        for extension in self.extensions {
            let within = given
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(extension.id));
            let Some((_, Value::Object(within))) = within else {
                continue;
            };
            let within = taken(extension.attributes, within)?;
            if !within.is_empty() {
                kept.insert(extension.id.to_string(), Value::Object(within));
            }
        }
        Ok(kept)
    }

    /// Whether a resource has all that it must have.
    pub fn check(&self, resource: &Resource) -> Scim<()> {
        let required = self.core.attributes.iter().filter(|it| it.required);
        for attribute in required {
            if !resource.contains_key(attribute.name) {
                return Err(Refusal::value(format!("'{}' is missing", attribute.name)));
            }
        }
        Ok(())
    }

    pub fn described(&self, base: &str) -> Value {
        let extensions = self.extensions.iter();
        let extensions: Vec<Value> = extensions
            .map(|it| json!({"schema": it.id, "required": false}))
            .collect();
        let location = format!("{base}/ResourceTypes/{}", self.name);
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": self.name,
            "name": self.name,
            "description": self.description,
            "endpoint": format!("/{}", self.endpoint),
            "schema": self.core.id,
            "schemaExtensions": extensions,
            "meta": {"resourceType": "ResourceType", "location": location},
        })
    }
}

fn named(all: &'static [Attribute], name: &str) -> Option<&'static Attribute> {
    all.iter().find(|it| it.name.eq_ignore_ascii_case(name))
}

/// Of an object what has a place among the attributes and may be set.
fn taken(attributes: &'static [Attribute], given: &Resource) -> Scim<Resource> {
    let mut kept = Resource::new();
    for (name, value) in given {
        let Some(attribute) = named(attributes, name) else {
            continue;
        };
        if attribute.change == Change::ReadOnly {
            continue;
        }
        if let Some(value) = attribute.taken(value)? {
            kept.insert(attribute.name.to_string(), value);
        }
    }
    Ok(kept)
}
