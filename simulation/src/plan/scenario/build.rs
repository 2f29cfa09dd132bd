//! What a scenario's text means, checked against its own limits.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use comity_protocol::event::Precedence;
use comity_protocol::identity::Name;

use super::raw::{Document, RawEvent, RawLink, RawPrecedence, RawSize, RawTraffic, RawWhat};
use super::{
    DURATION_MAX_MS, HAPPENINGS_MAX, PARTNERS_MAX, POSTS_MAX, Planned, PlannedLink, Refusal,
    Scenario, Size, TEXT_MAX, Traffic, What, read,
};
use crate::plan::links::{Capacity, LinkShape, Shape, Turns};
use crate::plan::trace::Trace;
use crate::plan::values::{Rate, Span};

/// How long a run goes on after the last post unless the scenario says otherwise.
const SETTLE_MS: u64 = 5 * 60_000;
/// A name fits a line.
const NAME_LETTERS: usize = 80;
const MILLION: u64 = 1_000_000;
/// The longest latency, jitter, turnaround or hold.
const DELAY_MAX: Span = Span(600 * MILLION);
/// A hostile partner's flood unless the scenario says otherwise: posts a minute, and their bytes.
const FLOOD: (u64, u64) = (600, 1_000);

type Found<'a, T> = (&'a Document<'a>, &'a T);

/// Makes a scenario of a text and of the profile that it builds on.
pub fn scenario(
    own: &Document<'_>,
    base: Option<&Document<'_>>,
    folder: &Path,
) -> Result<Scenario, Refusal> {
    let partners = partners(own, base)?;
    let duration = pick(own, base, |document| document.raw.duration.as_ref());
    let Some((document, duration)) = duration else {
        return Err(own.refuse(0..0, "duration: how long people post is missing"));
    };
    let settle = pick(own, base, |document| document.raw.settle.as_ref());
    let settle_ms = settle.map_or(SETTLE_MS, |(_, settle)| settle.get_ref().ms());
    let duration_ms = duration.get_ref().ms();
    if duration_ms < 1_000 || duration_ms.saturating_add(settle_ms) > DURATION_MAX_MS {
        let what = "duration: from 1s, and 7d at most with the time to settle";
        return Err(document.refuse(duration.span(), what));
    }
    let reader = Reader {
        partners: &partners,
        end_ms: duration_ms + settle_ms,
        folder,
    };
    let links = reader.links(own, base)?;
    let traffic = pick(own, base, |document| document.raw.traffic.as_ref());
    let Some((document, list)) = traffic.filter(|(_, list)| !list.is_empty()) else {
        return Err(own.refuse(0..0, "traffic: nobody posts; add a [[traffic]]"));
    };
    let traffic: Vec<Traffic> = list
        .iter()
        .map(|it| reader.traffic(it.get_ref(), duration_ms, &Place(document, it.span())))
        .collect::<Result<_, _>>()?;
    let events = pick(own, base, |document| document.raw.events.as_ref());
    let mut planned = Vec::new();
    if let Some((document, list)) = events {
        for it in list {
            planned.push(reader.event(it.get_ref(), &Place(document, it.span()))?);
        }
    }
    let text = |of: fn(&Document<'_>) -> Option<String>| of(own).or_else(|| base.and_then(of));
    let name = own.raw.name.as_deref().unwrap_or_default();
    if name.chars().count() > NAME_LETTERS || name.contains(char::is_control) {
        let what = format!("name: one line, {NAME_LETTERS} letters at most");
        return Err(own.refuse(0..0, what));
    }
    let scenario = Scenario {
        name: text(|it| it.raw.name.clone()).unwrap_or_else(|| "scenario".into()),
        about: text(|it| it.raw.about.clone()).unwrap_or_default(),
        sources: pick(own, base, |it| it.raw.sources.as_ref())
            .map_or_else(Vec::new, |(_, sources)| sources.clone()),
        duration_ms,
        settle_ms,
        partners,
        links,
        traffic,
        events: planned,
    };
    bounded(own, scenario)
}

/// Refuses what would take too long.
fn bounded(own: &Document<'_>, scenario: Scenario) -> Result<Scenario, Refusal> {
    let of = |traffic: &Traffic| {
        let minutes_ms = traffic.end_ms - traffic.begin_ms;
        traffic.from.len() as u64 * traffic.posts_per_minute * (minutes_ms / 1000) / 60 / MILLION
    };
    let flood = |event: &Planned| match event.what {
        What::Hostile {
            posts_per_minute, ..
        } => {
            let ms = (scenario.duration_ms + scenario.settle_ms).saturating_sub(event.at_ms);
            posts_per_minute * (ms / 1000) / 60
        }
        _ => 0,
    };
    let posts: u64 = scenario.traffic.iter().map(of).sum();
    let posts = posts + scenario.events.iter().map(flood).sum::<u64>();
    if posts > POSTS_MAX {
        return Err(own.refuse(
            0..0,
            format!("traffic: some {posts} posts in all; {POSTS_MAX} at most, so shorten it"),
        ));
    }
    let outages: usize = scenario.links.values().map(|link| link.down.len()).sum();
    if outages + scenario.events.len() > HAPPENINGS_MAX {
        let what = format!("links: more than {HAPPENINGS_MAX} outages and events in all");
        return Err(own.refuse(0..0, what));
    }
    Ok(scenario)
}

/// What the scenario says, or else its profile, and which of the two it was.
fn pick<'a, T>(
    own: &'a Document<'a>,
    base: Option<&'a Document<'a>>,
    of: impl Fn(&'a Document<'a>) -> Option<&'a T>,
) -> Option<Found<'a, T>> {
    let found = of(own).map(|it| (own, it));
    found.or_else(|| base.and_then(|base| of(base).map(|it| (base, it))))
}

fn partners(own: &Document<'_>, base: Option<&Document<'_>>) -> Result<Vec<String>, Refusal> {
    let Some((document, list)) = pick(own, base, |it| it.raw.partners.as_ref()) else {
        return Err(own.refuse(0..0, "partners: there are none"));
    };
    let mut partners: Vec<String> = Vec::new();
    for name in list {
        let text = name.get_ref();
        let refuse = |what: &str| Err(document.refuse(name.span(), format!("partners: {what}")));
        if Name::try_from(text.clone()).is_err() {
            return refuse(&format!("`{text}` is no short name, such as alpha"));
        }
        if partners.contains(text) {
            return refuse(&format!("`{text}` is there twice"));
        }
        partners.push(text.clone());
    }
    if !(2..=PARTNERS_MAX).contains(&partners.len()) {
        let span = list.first().map_or(0..0, |name| name.span());
        let what = format!("partners: from 2 to {PARTNERS_MAX}, not {}", partners.len());
        return Err(document.refuse(span, what));
    }
    Ok(partners)
}

/// Where something stands.
struct Place<'a>(&'a Document<'a>, Range<usize>);

impl Place<'_> {
    fn refuse(&self, what: impl Into<String>) -> Refusal {
        self.0.refuse(self.1.clone(), what)
    }
}

/// Reads the parts of a scenario with these partners.
struct Reader<'a> {
    partners: &'a [String],
    end_ms: u64,
    folder: &'a Path,
}

impl Reader<'_> {
    fn partner(&self, field: &str, name: &str, place: &Place<'_>) -> Result<usize, Refusal> {
        let at = self.partners.iter().position(|partner| partner == name);
        at.ok_or_else(|| {
            place.refuse(format!(
                "{field}: there is no partner `{name}`; there are {}. A scenario with partners of \
                 its own states its own links, traffic and events too",
                self.partners.join(", ")
            ))
        })
    }

    fn named(&self, field: &str, names: &[String], at: &Place<'_>) -> Result<Vec<usize>, Refusal> {
        if names.is_empty() {
            return Err(at.refuse(format!("{field}: names nobody")));
        }
        names
            .iter()
            .map(|name| self.partner(field, name, at))
            .collect()
    }

    fn links(
        &self,
        own: &Document<'_>,
        base: Option<&Document<'_>>,
    ) -> Result<BTreeMap<(usize, usize), PlannedLink>, Refusal> {
        let mut common = RawLink::default();
        let mut links = BTreeMap::new();
        for document in base.into_iter().chain([own]) {
            if let Some(link) = &document.raw.link {
                let place = Place(document, link.span());
                if link.get_ref().between.is_some() {
                    return Err(place.refuse("link.between: belongs into a [[links]]"));
                }
                common = link.get_ref().over(&common);
                // Checked here, where its place is known.
                self.link(&common, &place)?;
            }
        }
        let all = Place(own, 0..0);
        for a in 0..self.partners.len() {
            for b in a + 1..self.partners.len() {
                links.insert((a, b), Some(self.link(&common, &all)?));
            }
        }
        if let Some((document, list)) = pick(own, base, |it| it.raw.links.as_ref()) {
            for it in list {
                let (place, raw) = (Place(document, it.span()), it.get_ref());
                let Some([one, other]) = &raw.between else {
                    return Err(place.refuse("links.between: the two partners are missing"));
                };
                let one = self.partner("links.between", one, &place)?;
                let other = self.partner("links.between", other, &place)?;
                if one == other {
                    return Err(place.refuse("links.between: names one partner twice"));
                }
                let mut link = self.link(&raw.over(&common), &place)?;
                if one > other {
                    std::mem::swap(&mut link.shape.forth, &mut link.shape.back);
                }
                let absent = raw.absent.unwrap_or(false);
                let key = (one.min(other), one.max(other));
                links.insert(key, (!absent).then_some(link));
            }
        }
        let there = links.into_iter();
        Ok(there.filter_map(|(key, link)| Some((key, link?))).collect())
    }

    fn link(&self, raw: &RawLink, place: &Place<'_>) -> Result<PlannedLink, Refusal> {
        let delay = |field: &str, span: Option<Span>| match span.unwrap_or(Span(0)) {
            span if span <= DELAY_MAX => Ok(span.0),
            _ => Err(place.refuse(format!("{field}: 10m at most"))),
        };
        let loss = raw.loss_percent.map_or(0, |loss| loss.0 / 100);
        if loss > 500_000 {
            return Err(place.refuse("loss_percent: from 0 to 50"));
        }
        let forth = Shape {
            latency_us: delay("latency", raw.latency)?,
            jitter_us: delay("jitter", raw.jitter)?,
            loss_ppm: loss,
            capacity: self.capacity(raw.rate, raw.trace.as_deref(), place)?,
        };
        let mut back = forth.clone();
        if raw.rate_back.is_some() || raw.trace_back.is_some() {
            back.capacity = self.capacity(raw.rate_back, raw.trace_back.as_deref(), place)?;
        }
        let turnaround_us = delay("turnaround", raw.turnaround)?;
        let hold_us = delay("hold", raw.hold)?;
        if raw.turnaround.is_none() && raw.hold.is_some() {
            return Err(place.refuse("hold: only with a turnaround, on a shared medium"));
        }
        let traced = matches!(forth.capacity, Capacity::Trace(_));
        if raw.turnaround.is_some() && traced {
            return Err(place.refuse("turnaround: not with a trace, which has its own times"));
        }
        let turns = raw.turnaround.map(|_| Turns {
            turnaround_us,
            hold_us,
        });
        Ok(PlannedLink {
            shape: LinkShape { forth, back, turns },
            down: self.down(raw, place)?,
        })
    }

    fn capacity(
        &self,
        rate: Option<Rate>,
        trace: Option<&str>,
        place: &Place<'_>,
    ) -> Result<Capacity, Refusal> {
        match (rate, trace) {
            (Some(_), Some(_)) => Err(place.refuse("rate: a link has a rate or a trace, not both")),
            (Some(Rate(Some(bits))), None) => Ok(Capacity::Rate(bits)),
            (_, None) => Ok(Capacity::Unlimited),
            (None, Some(path)) => {
                let refuse = |what: String| place.refuse(format!("trace: {path}: {what}"));
                let text = read(&self.folder.join(path)).map_err(|error| refuse(error.0))?;
                let trace = Trace::parse(&text).map_err(refuse)?;
                Ok(Capacity::Trace(Arc::new(trace)))
            }
        }
    }

    /// The outages of a link, merged.
    fn down(&self, raw: &RawLink, place: &Place<'_>) -> Result<Vec<(u64, u64)>, Refusal> {
        let mut down = Vec::new();
        for outage in raw.down.iter().flatten() {
            let (mut at, lasts) = (outage.at.ms(), outage.lasts.ms());
            if lasts == 0 {
                return Err(place.refuse("down.for: at least 1ms"));
            }
            let every = outage.every.map(Span::ms);
            if every.is_some_and(|every| every <= lasts) {
                return Err(place.refuse("down.every: longer than the outage itself"));
            }
            while at < self.end_ms {
                if down.len() == HAPPENINGS_MAX {
                    let what = format!("down: more than {HAPPENINGS_MAX} outages");
                    return Err(place.refuse(what));
                }
                down.push((at, (at + lasts).min(self.end_ms)));
                let Some(every) = every else { break };
                at += every;
            }
        }
        Ok(merged(down))
    }

    fn traffic(
        &self,
        raw: &RawTraffic,
        duration_ms: u64,
        place: &Place<'_>,
    ) -> Result<Traffic, Refusal> {
        let from = match &raw.from {
            Some(names) => self.named("traffic.from", names, place)?,
            None => (0..self.partners.len()).collect(),
        };
        let to = match &raw.to {
            Some(names) => Some(
                self.named("traffic.to", names, place)?
                    .into_iter()
                    .collect(),
            ),
            None => None,
        };
        let begin_ms = raw.begin.map_or(0, Span::ms);
        let end_ms = raw.end.map_or(duration_ms, Span::ms).min(duration_ms);
        if begin_ms >= end_ms {
            return Err(place.refuse("traffic.begin: must lie before the end and the duration"));
        }
        Ok(Traffic {
            from,
            posts_per_minute: raw.posts_per_minute.0,
            sizes: sizes(raw, place)?,
            to,
            precedence: match raw.precedence {
                Some(RawPrecedence::Flash) => Precedence::Flash,
                Some(RawPrecedence::Immediate) => Precedence::Immediate,
                Some(RawPrecedence::Priority) => Precedence::Priority,
                Some(RawPrecedence::Routine) | None => Precedence::Routine,
            },
            begin_ms,
            end_ms,
        })
    }

    fn event(&self, raw: &RawEvent, place: &Place<'_>) -> Result<Planned, Refusal> {
        let at_ms = raw.at.ms();
        if at_ms >= self.end_ms {
            return Err(place.refuse("events.at: after the end of the run"));
        }
        let lasts = || match raw.lasts.map(Span::ms) {
            Some(ms) if ms > 0 => Ok(ms),
            _ => Err(place.refuse("events.for: how long it lasts is missing, as in for = \"10m\"")),
        };
        let what = match raw.what {
            RawWhat::Partition => What::Partition {
                groups: self.groups(raw, place)?,
                for_ms: lasts()?,
            },
            RawWhat::Leave => What::Leave(self.one(raw, place)?),
            RawWhat::Remove => match self.one(raw, place)? {
                0 => {
                    let what = "events.partner: the first partner owns the channel and cannot be \
                                removed from it by others";
                    return Err(place.refuse(what));
                }
                partner => What::Remove(partner),
            },
            RawWhat::Silent => What::Silent(self.one(raw, place)?),
            RawWhat::Hostile => What::Hostile {
                partner: self.one(raw, place)?,
                posts_per_minute: raw.posts_per_minute.map_or(FLOOD.0, |it| it.0 / MILLION),
                bytes: length("events.bytes", raw.bytes.unwrap_or(FLOOD.1), place)?,
            },
            RawWhat::Crash => What::Crash {
                partner: self.one(raw, place)?,
                for_ms: lasts()?,
            },
        };
        allowed(raw, place)?;
        Ok(Planned { at_ms, what })
    }

    fn one(&self, raw: &RawEvent, place: &Place<'_>) -> Result<usize, Refusal> {
        let Some(name) = &raw.partner else {
            return Err(place.refuse("events.partner: whom it befalls is missing"));
        };
        self.partner("events.partner", name, place)
    }

    fn groups(&self, raw: &RawEvent, place: &Place<'_>) -> Result<Vec<BTreeSet<usize>>, Refusal> {
        let mut seen = BTreeSet::new();
        let mut groups = Vec::new();
        for names in raw.groups.iter().flatten() {
            let group: BTreeSet<usize> = self
                .named("events.groups", names, place)?
                .into_iter()
                .collect();
            if group.iter().any(|partner| !seen.insert(*partner)) {
                return Err(place.refuse("events.groups: a partner is in two groups"));
            }
            groups.push(group);
        }
        let rest: BTreeSet<usize> = (0..self.partners.len())
            .filter(|partner| !seen.contains(partner))
            .collect();
        if !rest.is_empty() {
            groups.push(rest);
        }
        if groups.len() < 2 {
            let what = "events.groups: who is apart from whom is missing, as in \
                        groups = [[\"alpha\"], [\"bravo\", \"charlie\"]]";
            return Err(place.refuse(what));
        }
        Ok(groups)
    }
}

/// Refuses fields that mean nothing for this kind of event.
fn allowed(raw: &RawEvent, place: &Place<'_>) -> Result<(), Refusal> {
    let parted = raw.what == RawWhat::Partition;
    let lasting = parted || raw.what == RawWhat::Crash;
    let flooding = raw.what == RawWhat::Hostile;
    let idle = [
        ("groups", raw.groups.is_some() && !parted),
        ("partner", raw.partner.is_some() && parted),
        ("for", raw.lasts.is_some() && !lasting),
        (
            "posts_per_minute",
            raw.posts_per_minute.is_some() && !flooding,
        ),
        ("bytes", raw.bytes.is_some() && !flooding),
    ];
    match idle.iter().find(|(_, idle)| *idle) {
        Some((field, _)) => Err(place.refuse(format!(
            "events.{field}: means nothing for this kind of event"
        ))),
        None => Ok(()),
    }
}

fn sizes(raw: &RawTraffic, place: &Place<'_>) -> Result<Vec<Size>, Refusal> {
    let list = match (&raw.bytes, &raw.sizes) {
        (Some(bytes), None) => vec![RawSize {
            bytes: Some(*bytes),
            from: None,
            to: None,
            share: 1,
        }],
        (None, Some(list)) if !list.is_empty() && list.len() <= 64 => list.clone(),
        _ => {
            let what = "traffic: how long posts are is missing: either bytes = 200 or \
                        sizes = [{ bytes = 91, share = 80 }, { from = 200, to = 900, share = 20 }]";
            return Err(place.refuse(what));
        }
    };
    let mut sizes = Vec::new();
    for size in list {
        let (least, most) = match (size.bytes, size.from, size.to) {
            (Some(bytes), None, None) => (bytes, bytes),
            (None, Some(from), Some(to)) if from <= to => (from, to),
            _ => return Err(place.refuse("traffic.sizes: either bytes, or from and to")),
        };
        if !(1..=MILLION).contains(&size.share) {
            return Err(place.refuse("traffic.sizes.share: from 1 to 1000000"));
        }
        sizes.push(Size {
            least: length("traffic.sizes", least, place)?,
            most: length("traffic.sizes", most, place)?,
            share: size.share,
        });
    }
    Ok(sizes)
}

fn length(field: &str, bytes: u64, place: &Place<'_>) -> Result<u64, Refusal> {
    if (1..=TEXT_MAX).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(place.refuse(format!("{field}: a post has from 1 to {TEXT_MAX} bytes")))
    }
}

/// Spans of time in order, those that touch made one.
pub fn merged(mut spans: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    spans.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (from, until) in spans {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(until),
            _ => merged.push((from, until)),
        }
    }
    merged
}
