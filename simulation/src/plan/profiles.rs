//! The scenarios that come with the program.

/// A scenario by name.
pub struct Profile {
    pub name: &'static str,
    pub text: &'static str,
}

/// All of them, from the best links to the worst.
pub const PROFILES: [Profile; 6] = [
    Profile {
        name: "lan",
        text: include_str!("profiles/lan.toml"),
    },
    Profile {
        name: "wan",
        text: include_str!("profiles/wan.toml"),
    },
    Profile {
        name: "geo-satcom",
        text: include_str!("profiles/geo-satcom.toml"),
    },
    Profile {
        name: "ship-shore",
        text: include_str!("profiles/ship-shore.toml"),
    },
    Profile {
        name: "hf-9600",
        text: include_str!("profiles/hf-9600.toml"),
    },
    Profile {
        name: "denied-6h",
        text: include_str!("profiles/denied-6h.toml"),
    },
];

/// The profile of a name.
pub fn find(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}

/// The names, for people who mistyped one.
pub fn names() -> String {
    PROFILES.map(|profile| profile.name).join(", ")
}
