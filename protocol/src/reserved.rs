//! Bodies of kinds whose form is fixed now and which no channel of version 1 accepts.

use serde::{Deserialize, Serialize};

use crate::codec::Canonical;

/// Own data is kept for fewer days ([`crate::event::Kind::Retention`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionBody {
    pub days: u32,
}

impl Canonical for RetentionBody {
    const NAME: &'static str = "retention body";
    const LIMIT: usize = 16;
}
