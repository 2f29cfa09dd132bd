//! What a set of effective acts makes of one partner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Act, ControlEvent, Member, Status, WriterList};
use crate::body::Role;
use crate::graph::{ChainIx, FrontierIx, Graph};
use crate::id::WriterId;
use crate::limits;

/// The effective acts that bear on one partner, by sort.
#[derive(Debug, Default, Clone)]
pub(super) struct Acts {
    /// On its membership and its role.
    bearing: Track,
    pub admissions: Track,
    accepts: Track,
    keys: Track,
    seats: Track,
    /// Introductions and seat transfers: they bring writers.
    lists: Vec<Arc<ControlEvent>>,
    /// Retirements and seat transfers: they take one away.
    losses: Vec<(Arc<ControlEvent>, WriterId)>,
}

/// Acts by chain, each chain's in order.
#[derive(Debug, Default, Clone)]
pub(super) struct Track(BTreeMap<ChainIx, Vec<Arc<ControlEvent>>>);

impl Track {
    fn push(&mut self, event: &Arc<ControlEvent>) {
        let chain = self.0.entry(event.pos.chain).or_default();
        chain.push(event.clone());
    }

    pub fn iter(&self) -> impl Iterator<Item = &ControlEvent> {
        self.0.values().flatten().map(Arc::as_ref)
    }

    /// The last act of each chain, or the last one that lies in a frontier: of one chain nothing
    /// else can be in no other one's past.
    fn ends(&self, graph: &Graph, within: Option<FrontierIx>) -> Vec<&ControlEvent> {
        let mut ends = Vec::new();
        for (chain, acts) in &self.0 {
            let upto = within.map_or(u64::MAX, |frontier| graph.frontier_upto(frontier, *chain));
            let after = acts.partition_point(|act| act.pos.seq <= upto);
            ends.extend(after.checked_sub(1).map(|last| acts[last].as_ref()));
        }
        ends
    }

    /// Those acts that lie in no other one's past.
    fn last(&self, graph: &Graph, within: Option<FrontierIx>) -> Vec<&ControlEvent> {
        let ends = self.ends(graph, within);
        if ends.len() < 2 {
            return ends;
        }
        let followed = |act: &ControlEvent| ends.iter().any(|other| other.holds(graph, act));
        ends.iter().copied().filter(|act| !followed(act)).collect()
    }
}

impl Acts {
    /// Adds an act; those of one chain come in its order.
    pub fn push(&mut self, event: &Arc<ControlEvent>) {
        match &event.act {
            Act::Charter { .. } | Act::Invite { .. } => {
                self.bearing.push(event);
                self.admissions.push(event);
            }
            Act::Grant { .. } | Act::Remove { .. } | Act::Suspend { .. } | Act::Leave => {
                self.bearing.push(event);
            }
            Act::Accept { .. } => self.accepts.push(event),
            Act::SeatMove { .. } => self.seats.push(event),
            Act::SeatTransfer { .. } => {
                self.seats.push(event);
                self.lists.push(event.clone());
                self.losses
                    .extend(event.judged.displaces.map(|writer| (event.clone(), writer)));
            }
            Act::WriterIntroduce { .. } => self.lists.push(event.clone()),
            Act::WriterRetire { writer } => self.losses.push((event.clone(), *writer)),
            Act::SealingKey { .. } | Act::Endorse { .. } | Act::Merge | Act::Evidence { .. } => {}
        }
        if event.act.sealing_key().is_some() {
            self.keys.push(event);
        }
    }

    /// Status and role by these acts, or by those that lie in a frontier; nothing without an
    /// admission.
    pub fn rank(&self, graph: &Graph, within: Option<FrontierIx>) -> Option<(Status, Role)> {
        let admissions = self.admissions.last(graph, within);
        if admissions.is_empty() {
            return None;
        }
        let joined = admissions
            .iter()
            .any(|admission| matches!(admission.act, Act::Charter { .. }))
            || self.accepts.ends(graph, within).iter().any(|accept| {
                let mut admissions = admissions.iter();
                admissions.any(|admission| accept.holds(graph, admission))
            });
        let bearing = self.bearing.last(graph, within);
        let status = status(&bearing, joined);
        // Whoever is gone has no rank left, whatever was granted at the same time.
        let roles = bearing.iter().filter_map(|event| event.act.role_given());
        let role = roles.min().filter(|_| status <= Status::Active);
        Some((status, role.unwrap_or(Role::Observer)))
    }

    /// All that these acts make of the partner.
    pub fn member(&self, graph: &Graph) -> Option<Member> {
        let (status, role) = self.rank(graph, None)?;
        let admissions = self.admissions.last(graph, None);
        let admission = *admissions.iter().max_by_key(|event| event.place())?;
        let keys = self.keys.last(graph, None);
        let key = keys.iter().max_by_key(|event| event.place());
        let seat = self.seat(graph, admission)?;
        Some(Member {
            status,
            role,
            seat,
            writers: self.writers(graph, admission, seat),
            number: self.number(graph, admission),
            session: self.session(),
            admissions: admissions
                .iter()
                .chain(&keys)
                .map(|event| event.id)
                .collect(),
            sealing_key: key.and_then(|event| Some((event.id, event.act.sealing_key()?.clone()))),
        })
    }

    /// Of concurrent acts on the seat the one that knew of the greatest number; with that known
    /// to a move, a transfer of the same list is an old one carried again.
    fn seat(&self, graph: &Graph, admission: &ControlEvent) -> Option<WriterId> {
        let seats = self.seats.last(graph, None);
        let latest = seats
            .iter()
            .filter(|event| event.holds(graph, admission))
            .max_by_key(|event| match &event.act {
                Act::SeatTransfer { list, .. } => (list.number, false, event.place()),
                _ => (event.judged.number, true, event.place()),
            });
        match latest.map(|event| &event.act) {
            Some(Act::SeatMove { writer }) => Some(*writer),
            Some(Act::SeatTransfer { seat, .. }) => Some(*seat),
            _ => admission.act.list()?.writers.first().copied(),
        }
    }

    /// The lists that came after the admission.
    fn lists(&self, graph: &Graph, admission: &ControlEvent) -> impl Iterator<Item = &WriterList> {
        let since = self
            .lists
            .iter()
            .filter(|event| event.holds(graph, admission));
        since.filter_map(|event| event.act.list())
    }

    /// Accepts, and the charter, after the first; and transfers of the seat.
    fn session(&self) -> u64 {
        let charters = self.admissions.iter();
        let charters = charters.filter(|event| matches!(event.act, Act::Charter { .. }));
        let comings = charters.count() + self.accepts.iter().count();
        let transfers = self.seats.iter();
        let transfers = transfers.filter(|event| matches!(event.act, Act::SeatTransfer { .. }));
        (comings.saturating_sub(1) + transfers.count()) as u64
    }

    fn number(&self, graph: &Graph, admission: &ControlEvent) -> u64 {
        let first = admission.act.list().map(|list| list.number);
        let further = self.lists(graph, admission).map(|list| list.number);
        first.into_iter().chain(further).max().unwrap_or(0)
    }

    fn writers(
        &self,
        graph: &Graph,
        admission: &ControlEvent,
        seat: WriterId,
    ) -> BTreeSet<WriterId> {
        let mut writers: BTreeSet<WriterId> = admission
            .act
            .list()
            .into_iter()
            .chain(self.lists(graph, admission))
            .flat_map(|list| list.writers.iter().copied())
            .collect();
        for (event, writer) in &self.losses {
            if event.holds(graph, admission) {
                writers.remove(writer);
            }
        }
        // Only a forked log can bring more.
        if writers.len() > limits::WRITERS_PER_PARTNER {
            let seat = Some(seat).filter(|seat| writers.remove(seat));
            let kept = seat.into_iter().chain(writers);
            writers = kept.take(limits::WRITERS_PER_PARTNER).collect();
        }
        writers
    }
}

fn status(bearing: &[&ControlEvent], joined: bool) -> Status {
    let any = |wanted: fn(&Act) -> bool| bearing.iter().any(|event| wanted(&event.act));
    if any(|act| matches!(act, Act::Remove { .. })) {
        Status::Removed
    } else if any(|act| matches!(act, Act::Leave)) {
        Status::Left
    } else if any(|act| matches!(act, Act::Suspend { .. })) {
        Status::Suspended
    } else if joined {
        Status::Active
    } else {
        Status::Invited
    }
}
