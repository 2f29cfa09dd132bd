//! What must hold of a mesh whatever happens to it. Each oracle looks at what nodes do, never at
//! why; what it needs to know it gathers itself, in [`truth::Truth`].

pub mod acceptance;
pub mod acknowledged;
pub mod bounds;
pub mod convergence;
pub mod digests;
pub mod entitlement;
pub mod held;
pub mod publication;
pub mod pulse;
pub mod truth;

use comity_protocol::rows::Row;

use crate::swarm::node::{Node, Papers};

/// What an oracle says: nothing, or its name and what it found.
pub type Verdict = Result<(), (&'static str, String)>;

/// All that look on during a run.
pub struct Oracles {
    pub truth: truth::Truth,
    pub entitlement: entitlement::Entitlement,
    pub acceptance: acceptance::Acceptance,
    pub publication: publication::Publication,
    pub acknowledged: acknowledged::Acknowledged,
    pub bounds: bounds::Bounds,
    pub pulse: pulse::Pulse,
    pub digests: digests::Digests,
}

impl Oracles {
    pub fn new(papers: &[Papers], nodes: &[Node]) -> Oracles {
        Oracles {
            truth: truth::Truth::new(papers, nodes),
            entitlement: entitlement::Entitlement::default(),
            acceptance: acceptance::Acceptance::default(),
            publication: publication::Publication::default(),
            acknowledged: acknowledged::Acknowledged::default(),
            bounds: bounds::Bounds::default(),
            pulse: pulse::Pulse::default(),
            digests: digests::Digests::default(),
        }
    }

    /// A node is about to store an event that it accepted.
    pub fn accepted(&mut self, node: usize, byzantine: bool, row: &Row, now_ms: u64) -> Verdict {
        let Some(id) = self.truth.take(node, row, now_ms)? else {
            return Ok(());
        };
        if byzantine {
            return Ok(());
        }
        self.truth.demand_not_forged(node, &id)?;
        self.acceptance.accepted(node, id)
    }

    /// A node's disk went back in time: it need not hold what it did before.
    pub fn went_back(&mut self, node: usize) {
        self.acknowledged.went_back(node);
    }
}
