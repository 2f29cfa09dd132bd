//! The sets of algorithms that a channel's charter can fix.

/// A set of algorithms, fixed by a channel's charter and never lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Suite {
    /// Ed25519, SHA-256, X-Wing (ML-KEM-768 with X25519), AES-256-GCM.
    Default = 1,
    /// ML-DSA-87, SHA-384, ML-KEM-1024, AES-256-GCM: the algorithms of the NSA's CNSA 2.0. Its
    /// number is reserved; it is not implemented.
    Cnsa = 2,
}

impl Suite {
    /// Gives the suite of a number on the wire, or `None` for a number that names none.
    pub fn from_id(id: u8) -> Option<Suite> {
        match id {
            1 => Some(Suite::Default),
            2 => Some(Suite::Cnsa),
            _ => None,
        }
    }

    /// Gives the suite's number on the wire.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// Tells whether this version can use the suite. A charter that fixes one it cannot use must
    /// be refused.
    pub fn is_implemented(self) -> bool {
        matches!(self, Suite::Default)
    }

    /// Gives the name that people see, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Default => "default",
            Suite::Cnsa => "cnsa",
        }
    }
}
