//! Events of open and directed lanes: rules 10 to 18 of section 10.

use std::collections::{BTreeMap, BTreeSet};

use super::{Act, Ids, Oracle, Place, View};
use crate::body::{EmptyBody, KeyBody, Role, Wrap};
use crate::codec::Canonical;
use crate::event::{Category, Event, Kind, Label};
use crate::id::{EventId, LaneId, PartnerId, WriterId};

/// A lane other than the control lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    pub id: LaneId,
    pub is_open: bool,
    pub audience: BTreeSet<PartnerId>,
}

/// An act that ends a partner's membership, or takes the seat from one of its writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    pub act: EventId,
    pub partner: PartnerId,
    /// The one writer that it displaces; all of the partner's where it ends the membership.
    pub displaced: Option<WriterId>,
}

impl Ending {
    pub fn has_in_scope(&self, author: PartnerId, writer: WriterId) -> bool {
        match self.displaced {
            Some(displaced) => displaced == writer,
            None => self.partner == author,
        }
    }
}

/// Per partner its admissions and key announcements, and the current announcement.
pub type Keying = BTreeMap<PartnerId, (Ids, Option<EventId>)>;

impl Oracle {
    pub(super) fn accept_message(
        &self,
        event: &Event,
        place: &Place,
    ) -> Option<(PartnerId, Lane, Option<EventId>)> {
        let author = self.may_write_messages(event, &place.view)?;
        let lane = self.lane_meant(event, place)?;
        let fits = self.may_write_in(event, &lane, author, &place.view)
            && self.cites_nothing_narrower(&lane, place)
            && self.cuts_where_it_must(event, &lane, author, place)
            && match event.header.kind() {
                Kind::Roster if !lane.is_open => false,
                Kind::Cut => EmptyBody::from_bytes(&event.body).is_ok(),
                Kind::Evidence => self.proved_by(event, place).is_some(),
                // By section 21, once its author is known.
                Kind::Ack => true,
                Kind::Key => self.names_exactly_the_audience(event, &lane, place),
                _ => self.is_sealed_under_the_latest_epoch(event, &lane, place),
            };
        let about = self.about_in_effect(event, author, &lane, place);
        fits.then_some((author, lane, about))
    }

    /// Rule 10.
    fn may_write_messages(&self, event: &Event, view: &View) -> Option<PartnerId> {
        let author = view.partner_with_writer(&event.header.writer)?;
        let role = view.role(&author)?;
        let reads_only = matches!(
            event.header.kind(),
            Kind::Key | Kind::Receipt | Kind::Roster | Kind::Cut | Kind::Evidence | Kind::Ack
        );
        (reads_only || role >= Role::Contributor).then_some(author)
    }

    /// Rule 11.
    fn lane_meant(&self, event: &Event, place: &Place) -> Option<Lane> {
        let id = event.header.lane;
        let in_lane = |parent: &&EventId| self.event(parent).header.lane == id;
        let named = place.parents().find(in_lane);
        let named = named.map(|parent| self.lane_of(parent).clone());
        if event.header.kind() != Kind::Key {
            return named;
        }
        let (form, audience) = match KeyBody::from_bytes(&event.body).ok()?.audience {
            Some(audience) => ("directed", audience.into_iter().collect()),
            None => ("open", place.view.active()),
        };
        (self.lane_id(form, &audience) == id).then(|| Lane {
            id,
            is_open: form == "open",
            audience,
        })
    }

    /// Rule 12.
    fn may_write_in(&self, event: &Event, lane: &Lane, author: PartnerId, view: &View) -> bool {
        let active = view.active();
        let is_current = if lane.is_open {
            lane.audience == active
        } else {
            lane.audience.is_subset(&active)
        };
        let late = matches!(event.header.kind(), Kind::Cut | Kind::Evidence | Kind::Ack);
        lane.audience.contains(&author) && (late || is_current)
    }

    /// Rule 13.
    fn cites_nothing_narrower(&self, lane: &Lane, place: &Place) -> bool {
        let active = place.view.active();
        let mut elsewhere = place.deps.iter().map(|dep| self.lane_of(dep));
        elsewhere.all(|dep| dep.id == lane.id || self.may_cite(lane, dep, &active))
    }

    /// Whether all who read a lane, or will when they join, may read another.
    pub fn may_cite(&self, lane: &Lane, cited: &Lane, members: &BTreeSet<PartnerId>) -> bool {
        let read_by_all_to_come = lane.is_open && self.is_history_open();
        lane.audience.is_subset(&self.readers(cited, members))
            && (cited.is_open || !read_by_all_to_come)
    }

    pub(super) fn is_history_open(&self) -> bool {
        let history = self.charter.as_ref().map(|charter| charter.history);
        history == Some(2)
    }

    /// Who may read a lane where these are the members (section 5).
    pub fn readers(&self, lane: &Lane, members: &BTreeSet<PartnerId>) -> BTreeSet<PartnerId> {
        if lane.is_open && self.is_history_open() {
            lane.audience.union(members).copied().collect()
        } else {
            lane.audience.clone()
        }
    }

    /// Rule 14.
    fn cuts_where_it_must(
        &self,
        event: &Event,
        lane: &Lane,
        author: PartnerId,
        place: &Place,
    ) -> bool {
        let writer = event.header.writer;
        let prev = place.prev.as_ref();
        let has_new = !self
            .new_endings(prev, writer, author, lane, &place.view)
            .is_empty();
        let in_lane = |dep: &EventId| self.event(dep).header.lane == lane.id;
        let is_named = prev.is_some() || place.deps.iter().any(in_lane);
        if event.header.kind() == Kind::Cut {
            has_new || prev.is_some_and(|prev| self.event(prev).header.kind() == Kind::Cut)
        } else {
            !is_named || !has_new
        }
    }

    /// The endings of a view that a writer has not cut this lane for.
    pub fn new_endings(
        &self,
        prev: Option<&EventId>,
        writer: WriterId,
        author: PartnerId,
        lane: &Lane,
        view: &View,
    ) -> Vec<Ending> {
        let known =
            |ending: &Ending| prev.is_some_and(|prev| self.frontier(prev).contains(&ending.act));
        let mut endings = self.endings(view);
        endings.retain(|ending| {
            lane.audience.contains(&ending.partner)
                && !ending.has_in_scope(author, writer)
                && !known(ending)
        });
        endings
    }

    pub fn endings(&self, view: &View) -> Vec<Ending> {
        let ending = |act: &EventId| {
            let judgement = self.judgement(act);
            let partner = judgement.target?;
            let displaced = judgement.displaces;
            (judgement.ends(partner) || displaced.is_some()).then_some(Ending {
                act: *act,
                partner,
                displaced,
            })
        };
        view.effective.iter().filter_map(ending).collect()
    }

    /// Rule 15.
    fn names_exactly_the_audience(&self, event: &Event, lane: &Lane, place: &Place) -> bool {
        let Ok(body) = KeyBody::from_bytes(&event.body) else {
            return false;
        };
        if !is_well_formed(&body) || !body.wraps.iter().all(|wrap| is_current(wrap, lane, place)) {
            return false;
        }
        let Some(parts) = &body.parts else {
            return true;
        };
        let keying = keying(&lane.audience, &place.view);
        let mut named: Vec<PartnerId> = body.wraps.iter().map(|wrap| wrap.partner).collect();
        let mut before = place.prev;
        for part in parts.iter().rev() {
            if before != Some(*part) || self.event(part).header.kind() != Kind::Key {
                return false;
            }
            let Ok(earlier) = KeyBody::from_bytes(&self.event(part).body) else {
                return false;
            };
            if earlier.parts.is_some()
                || earlier.commitment != body.commitment
                || self.keying_of(part) != keying
            {
                return false;
            }
            named.extend(earlier.wraps.iter().map(|wrap| wrap.partner));
            before = self.event(part).header.prev;
        }
        named.sort_unstable();
        named.into_iter().eq(lane.audience.iter().copied())
    }

    /// Rule 16.
    fn is_sealed_under_the_latest_epoch(&self, event: &Event, lane: &Lane, place: &Place) -> bool {
        let latest = place.prev.and_then(|prev| self.latest_epoch(prev));
        let same =
            |key_event: EventId| self.keying_of(&key_event) == keying(&lane.audience, &place.view);
        latest == event.header.key_event && latest.is_some_and(same)
    }

    /// The last complete key event at or before `id` in its log.
    pub fn latest_epoch(&self, id: EventId) -> Option<EventId> {
        let event = self.event(&id);
        let complete =
            |event: &Event| KeyBody::from_bytes(&event.body).is_ok_and(|body| body.parts.is_some());
        if event.header.kind() == Kind::Key && complete(event) {
            return Some(id);
        }
        self.latest_epoch(event.header.prev?)
    }

    fn keying_of(&self, key_event: &EventId) -> Keying {
        let view = self.view(self.frontier(key_event));
        keying(&self.lane_of(key_event).audience, &view)
    }

    /// Whether an event on `view` may be sealed under this epoch.
    pub fn is_current(&self, key_event: &EventId, view: &View) -> bool {
        self.keying_of(key_event) == keying(&self.lane_of(key_event).audience, view)
    }

    /// Rule 18 and the table of section 7.
    fn about_in_effect(
        &self,
        event: &Event,
        author: PartnerId,
        lane: &Lane,
        place: &Place,
    ) -> Option<EventId> {
        let about = event.header.about.as_ref()?;
        if !place.past.contains(&about.id) || self.is_control(&about.id) {
            return None;
        }
        let target = &self.event(&about.id).header;
        let named = (about.lane.unwrap_or(lane.id), about.writer, about.seq);
        let own = self.author(&about.id) == author && target.author == event.header.author;
        let members = place.view.active();
        let readers = self.readers(self.lane_of(&about.id), &members);
        let within = lane.audience.is_subset(&readers);
        let exactly = readers.intersection(&members).eq(&lane.audience);
        let is_post = target.kind() == Kind::Post;
        let may = match event.header.kind() {
            Kind::Post | Kind::React | Kind::Pin | Kind::Receipt | Kind::File => is_post && within,
            Kind::Edit => is_post && own && exactly,
            Kind::Redact => (is_post || target.kind() == Kind::File) && own && exactly,
            _ => false,
        };
        let labelled = dominates(event.header.label.as_ref(), target.label.as_ref());
        let same = named == (target.lane, target.writer, target.seq);
        (same && may && labelled).then_some(about.id)
    }
}

/// The rules of a key body that its form does not show.
fn is_well_formed(body: &KeyBody) -> bool {
    let sorted = |ids: Vec<&PartnerId>| ids.windows(2).all(|pair| pair[0] < pair[1]);
    let audience = body.audience.as_ref();
    (1..=32).contains(&body.wraps.len())
        && sorted(body.wraps.iter().map(|wrap| &wrap.partner).collect())
        && body.wraps.iter().all(|wrap| wrap.sealed.len() == 1168)
        && body.parts.as_ref().is_none_or(|parts| parts.len() <= 1)
        && audience.is_none_or(|audience| {
            (1..=64).contains(&audience.len()) && sorted(audience.iter().collect())
        })
}

/// Whether a wrap is for a partner of the lane, under the sealing key that it has in the view.
fn is_current(wrap: &Wrap, lane: &Lane, place: &Place) -> bool {
    let member = place.view.members.get(&wrap.partner);
    let key = member.and_then(|member| member.sealing_key);
    lane.audience.contains(&wrap.partner) && key.is_some_and(|(_, key)| key == wrap.sealing_key.0)
}

fn keying(audience: &BTreeSet<PartnerId>, view: &View) -> Keying {
    let of = |partner: &PartnerId| {
        let member = view.members.get(partner)?;
        let current = member.sealing_key.map(|(announcement, _)| announcement);
        Some((*partner, (member.admissions_and_keys.clone(), current)))
    };
    audience.iter().filter_map(of).collect()
}

/// Section 10, *Dominates*.
fn dominates(label: Option<&Label>, target: Option<&Label>) -> bool {
    let (label, target) = match (label, target) {
        (_, None) => return true,
        (None, Some(_)) => return false,
        (Some(label), Some(target)) => (label, target),
    };
    let values =
        |category: &Category| -> BTreeSet<String> { category.values.iter().cloned().collect() };
    let met = |theirs: &Category| {
        label.categories.iter().any(|ours| {
            let alike = ours.tag == theirs.tag && ours.form == theirs.form;
            let (ours, theirs_values) = (values(ours), values(theirs));
            alike
                && match theirs.form {
                    1 => theirs_values.is_subset(&ours),
                    _ => !ours.is_empty() && ours.is_subset(&theirs_values),
                }
        })
    };
    let binding = target
        .categories
        .iter()
        .filter(|category| category.form != 3);
    label.policy == target.policy
        && label.classification == target.classification
        && binding.into_iter().all(met)
}

impl Oracle {
    /// Whether an act in effect admits this partner anew after `ending`.
    pub(super) fn readmits(&self, act: &EventId, partner: PartnerId, ending: &EventId) -> bool {
        let judgement = self.judgement(act);
        let admits = matches!(judgement.act, Act::Charter(..) | Act::Invite(..));
        admits && judgement.target == Some(partner) && self.past(act).contains(ending)
    }
}
