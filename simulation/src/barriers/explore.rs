//! Random histories: honest nodes that hear of events in any order and answer by the rules, and
//! liars that write whatever is valid, on any past, in as many branches as they like.

use super::authority::{Rank, Status};
use super::bits::Bits;
use super::chance::Dice;
use super::check::{Broken, Violation, compare, few_lie, framed, one_chain, unsettled};
use super::history::{
    CONTROL, Event, History, Invalid, Kind, Lane, PARTNERS, Proposal, Role, Setting, WRITERS,
};
use super::rules::{Finality, Rules};

/// What happens in a sort of runs, and how often.
#[derive(Debug, Clone)]
pub struct Profile {
    pub name: &'static str,
    pub rules: Rules,
    pub partners: usize,
    /// Roles of the founders, the first partners; the others may be invited.
    pub founders: &'static [Role],
    /// Audiences of the lanes besides control, as masks.
    pub audiences: &'static [u8],
    pub quorum: usize,
    /// How many lie, at most; who is drawn from the seed. The first honest one never leaves, is
    /// never moved by its root, and is an anchor.
    pub liars: usize,
    /// Who lies, if it is not to be drawn.
    pub who_lies: Option<u8>,
    pub events: usize,
    pub steps: usize,
    /// In a hundred own events of a node: acts, of these sorts.
    pub acts: usize,
    pub removes: bool,
    /// In a hundred events of a liar: removals.
    pub purge: usize,
    pub leaves: bool,
    pub invites: bool,
    pub moves: bool,
    pub transfers: bool,
    /// The honest are divided into two groups now and then.
    pub divides: bool,
    /// Once divided they stay so until the end.
    pub lasting: bool,
}

impl Profile {
    /// A channel of one lane, control, where nobody acts.
    pub fn plain(name: &'static str, founders: &'static [Role], liars: usize) -> Profile {
        Profile {
            name,
            rules: Rules::default(),
            partners: founders.len(),
            founders,
            audiences: &[],
            quorum: 0,
            liars,
            who_lies: None,
            events: 70,
            steps: 400,
            acts: 10,
            removes: false,
            purge: 0,
            leaves: false,
            invites: false,
            moves: false,
            transfers: false,
            divides: true,
            lasting: false,
        }
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Run {
    pub history: History,
    /// What each honest node holds in the end.
    pub held: [Bits; PARTNERS],
    pub violation: Option<Violation>,
    /// Barriers that stand for somebody, over all lanes.
    pub barriers: usize,
    /// Honest acks written.
    pub acks: usize,
    /// Partners forced out, by the longest chains.
    pub forced: usize,
}

/// Runs one history.
pub fn run(profile: &Profile, seed: u64) -> Run {
    let mut world = World::new(profile, seed);
    let violation = world.play().err();
    let history = world.history;
    let violation = violation.filter(|_| few_lie(&history));
    let chains = world.longest.iter();
    let barriers = chains
        .map(|(held, lane)| history.chain(*held, *lane).len())
        .sum();
    let honest = |at: &usize| history.setting.liars >> history.events[*at].author & 1 == 0;
    let acks = history.ack_events.iter().filter(honest).count();
    let forced = world.longest.iter().map(|(held, lane)| {
        let start = history.top(*held, *lane);
        let whole = match lane {
            &CONTROL => profile.founders.len(),
            lane => history.setting.lanes[*lane].audience.count_ones() as usize,
        };
        start.map_or(0, |start| {
            whole.saturating_sub(history.certificates[start].set.count_ones() as usize)
        })
    });
    Run {
        forced: forced.sum(),
        held: world.held,
        history,
        violation,
        barriers,
        acks,
    }
}

struct World<'a> {
    profile: &'a Profile,
    dice: Dice,
    history: History,
    held: [Bits; PARTNERS],
    /// Two sides that do not hear each other, as a mask of one; 0 if all hear all.
    divided: u8,
    /// Per lane, what the node held whose chain is the longest yet.
    longest: Vec<(Bits, usize)>,
    /// What each node held when it was last looked at whole.
    before: [Bits; PARTNERS],
    anchor: usize,
}

impl<'a> World<'a> {
    fn new(profile: &'a Profile, seed: u64) -> World<'a> {
        let mut dice = Dice::new(seed);
        let mut founders = [None; PARTNERS];
        for (partner, role) in profile.founders.iter().enumerate() {
            founders[partner] = Some(*role);
        }
        let mut lanes = vec![Lane { audience: u8::MAX }];
        lanes.extend(profile.audiences.iter().map(|audience| Lane {
            audience: *audience,
        }));
        let anchor = dice.below(profile.founders.len());
        let mut liars = 0u8;
        for _ in 0..profile.liars {
            let one = dice.below(profile.partners);
            if one != anchor {
                liars |= 1 << one;
            }
        }
        let liars = profile.who_lies.unwrap_or(liars);
        let lanes_count = lanes.len();
        let mut history = History::new(Setting {
            rules: profile.rules,
            partners: profile.partners,
            founders,
            lanes,
            quorum: profile.quorum,
            liars,
        });
        let charter = Event {
            author: 0,
            writer: 0,
            lane: CONTROL,
            seq: 1,
            prev: None,
            past: Bits::EMPTY,
            kind: Kind::Charter,
            time: 0,
        };
        let charter = history.add(charter).expect("a charter on nothing is valid");
        World {
            profile,
            dice,
            history,
            held: [Bits::of(charter); PARTNERS],
            divided: 0,
            longest: (0..lanes_count).map(|lane| (Bits::EMPTY, lane)).collect(),
            before: [Bits::of(charter); PARTNERS],
            anchor,
        }
    }

    fn lies(&self, partner: usize) -> bool {
        self.history.setting.liars >> partner & 1 == 1
    }

    fn play(&mut self) -> Result<(), Violation> {
        for _ in 0..self.profile.steps {
            if self.history.events.len() >= self.profile.events {
                break;
            }
            let stays = self.profile.lasting && self.divided != 0;
            let often = if self.profile.lasting { 10 } else { 3 };
            if self.profile.divides && !stays && self.dice.percent(often) {
                self.divided = self.dice.below(1 << self.profile.partners) as u8;
            }
            if self.dice.percent(if self.profile.lasting { 0 } else { 4 }) {
                self.divided = 0;
            }
            let mut partner = self.dice.below(self.profile.partners);
            if self.profile.lasting && self.dice.percent(15) {
                partner = self.history.setting.liars.trailing_zeros() as usize;
            }
            if self.lies(partner) {
                if let Some(at) = self.lie(partner)
                    && self.history.ack_events.has(at)
                {
                    one_chain(&self.history, self.history.events[at].lane)?;
                }
                continue;
            }
            if self.dice.percent(60) {
                self.hear(partner);
            } else {
                self.write(partner);
            }
            self.look(partner)?;
        }
        self.look_at_all()?;
        self.heal()
    }

    /// Delivers some event with its past to an honest node.
    fn hear(&mut self, partner: usize) {
        let all = self.history.events.len();
        let recent = if self.dice.percent(70) {
            12.min(all)
        } else {
            all
        };
        for _ in 0..4 {
            let at = all - 1 - self.dice.below(recent);
            let author = self.history.events[at].author;
            let apart = (self.divided >> author ^ self.divided >> partner) & 1 == 1;
            if !self.held[partner].has(at) && (!apart || self.lies(author)) {
                self.accept(partner, at);
                return;
            }
        }
    }

    /// Takes an event and its past, unless a further branch comes uncited.
    fn accept(&mut self, partner: usize, at: usize) {
        let lane = self.history.events[at].lane;
        if lane != CONTROL && self.history.setting.lanes[lane].audience >> partner & 1 == 0 {
            return;
        }
        let mut held = self.held[partner];
        let all = held | self.history.with(at);
        for new in (all - held).iter() {
            let event = &self.history.events[new];
            let same = held & self.history.by_author[event.author];
            let further = same.iter().any(|other| {
                let one = &self.history.events[other];
                one.writer == event.writer && one.lane == event.lane && one.seq == event.seq
            });
            let cited = all.iter().any(|other| {
                let one = &self.history.events[other];
                one.writer != event.writer && one.past.has(new)
            });
            if further && !cited {
                return;
            }
            held.insert(new);
        }
        self.held[partner] = held;
    }

    /// An honest node writes: an ack where one is due, else what chance says.
    fn write(&mut self, partner: usize) {
        let lane = self.lane(partner);
        let held = self.history.visible(self.held[partner], lane);
        if self.dice.percent(50) && self.untold(partner, lane, held) {
            self.append(partner, lane, held, Kind::Merge, false);
            return;
        }
        if self.dice.percent(70)
            && let Some(number) = self.next_ack(partner, lane)
        {
            self.append(partner, lane, held, Kind::Ack(number), false);
            return;
        }
        if let Some(kind) = self.something(partner, lane, held) {
            self.append(partner, lane, held, kind, false);
        }
    }

    /// Whether it knows of an ending, or of a fork, that it has not told of by an event that is no
    /// ack.
    fn untold(&self, partner: usize, lane: usize, held: Bits) -> bool {
        let own = held & self.history.by_author[partner] & self.history.lane_events[lane];
        let own = own - self.history.ack_events;
        let told = |act: usize| {
            own.iter()
                .any(|at| self.history.events[at].past.has(act) || at == act)
        };
        let view = self.history.view(held);
        let mut forks = self.history.conflicts.iter();
        lane == CONTROL && view.endings.iter().any(|(act, _)| !told(*act))
            || forks
                .any(|(one, two)| held.has(*one) && held.has(*two) && !(told(*one) && told(*two)))
    }

    fn lane(&mut self, partner: usize) -> usize {
        let lane = self.dice.below(self.history.setting.lanes.len());
        let audience = self.history.setting.lanes[lane].audience;
        if audience >> partner & 1 == 1 {
            lane
        } else {
            CONTROL
        }
    }

    /// What somebody may write that is no ack.
    fn something(&mut self, partner: usize, lane: usize, held: Bits) -> Option<Kind> {
        let view = self.history.view(held);
        if lane != CONTROL {
            return Some(Kind::Post);
        }
        if view.status[partner] == Status::Invited {
            return Some(Kind::Accept);
        }
        if !self.dice.percent(self.profile.acts) {
            return self.dice.percent(30).then_some(Kind::Merge);
        }
        let target = self.dice.below(self.profile.partners);
        let role = [Role::Contributor, Role::Admin, Role::Owner][self.dice.below(3)];
        let free = partner != self.anchor;
        let choice = match self.dice.below(8) {
            0 | 1 if self.profile.removes => Proposal::Remove(target),
            2 if self.profile.removes => Proposal::Suspend(target),
            3 if self.profile.removes => Proposal::Grant(target, role),
            4 if self.profile.invites => Proposal::Invite(target, role),
            5 if self.profile.leaves && free => return Some(Kind::Leave),
            6 if self.profile.moves => {
                let writer = partner * WRITERS + self.dice.below(WRITERS);
                return Some(Kind::SeatMove(writer));
            }
            7 if self.profile.transfers && target != self.anchor => {
                let writer = target * WRITERS + self.dice.below(WRITERS);
                return Some(Kind::SeatTransfer(target, writer));
            }
            _ => return None,
        };
        // An equal needs a quorum: endorse first what is open.
        let open = held
            .iter()
            .filter_map(|at| match self.history.events[at].kind {
                Kind::Endorse(proposal) => Some(proposal),
                _ => None,
            });
        let open: Vec<Proposal> = open.collect();
        let choice = match open.len() {
            0 => choice,
            some if self.dice.percent(60) => open[self.dice.below(some)],
            _ => choice,
        };
        let act = self.event(partner, lane, held, Kind::Act(choice));
        if self.history.judge(&view, &act).rank > Rank::None {
            return Some(Kind::Act(choice));
        }
        let owner = view.role[partner] == Role::Owner;
        owner.then_some(Kind::Endorse(choice))
    }

    /// The ack that is due: the highest that is valid, while something is not settled.
    fn next_ack(&self, partner: usize, lane: usize) -> Option<u16> {
        let held = self.history.visible(self.held[partner], lane);
        if unsettled(&self.history, held, lane).is_empty() {
            return None;
        }
        self.valid_ack(partner, lane, held)
    }

    fn valid_ack(&self, partner: usize, lane: usize, held: Bits) -> Option<u16> {
        let event = self.event(partner, lane, held, Kind::Ack(1));
        let session = self.history.view(held).session[partner];
        let (mut own, mut highest) = (0, 0);
        for at in (held & self.history.lane_events[lane] & self.history.ack_events).iter() {
            let Some(ack) = &self.history.acks[at] else {
                continue;
            };
            highest = highest.max(ack.number);
            if self.history.events[at].author == partner && ack.session == session {
                own = own.max(ack.number);
            }
        }
        let valid = |number: &u16| self.history.judge_ack(&event, *number).is_ok();
        (own + 1..=highest + 1).rev().find(valid)
    }

    fn event(&self, partner: usize, lane: usize, past: Bits, kind: Kind) -> Event {
        let writer = self.history.view(past).seat[partner];
        let prev = self.history.tip(past, writer, lane);
        Event {
            author: partner,
            writer,
            lane,
            seq: prev.map_or(1, |prev| self.history.events[prev].seq + 1),
            prev,
            past,
            kind,
            time: 0,
        }
    }

    /// Adds an event, the cut before it that it owes, and its holder's knowledge of it.
    fn append(
        &mut self,
        partner: usize,
        lane: usize,
        past: Bits,
        kind: Kind,
        lying: bool,
    ) -> Option<usize> {
        let mut event = self.event(partner, lane, past, kind);
        event.time = self.time(lying);
        let view = self.history.view(past);
        if lane != CONTROL && self.history.owes_cut(event.prev, &view, &event) {
            event.kind = Kind::Cut;
        }
        let at = match self.history.add(event) {
            Ok(at) => at,
            Err(reason) => {
                let due = matches!(kind, Kind::Ack(_)) && !lying && reason != Invalid::Full;
                assert!(!due, "an honest ack is invalid: {reason:?}");
                return None;
            }
        };
        if !lying {
            self.held[partner].insert(at);
        }
        Some(at)
    }

    fn time(&mut self, lying: bool) -> u32 {
        let now = self.history.events.len();
        (if lying {
            self.dice.below(2 * now)
        } else {
            now + self.dice.below(4)
        }) as u32
    }

    /// A liar writes on some past or other: what somebody else has seen, with or without more, and
    /// one of its own branches. It knows all that was written.
    fn lie(&mut self, partner: usize) -> Option<usize> {
        let lane = self.lane(partner);
        let mut past = Bits::of(0);
        // A careful one keeps to a side, and shows it only what that side has seen of it.
        let careful = self.divided != 0
            && self
                .dice
                .percent(if self.profile.lasting { 97 } else { 80 });
        let side = self.dice.below(2) as u8;
        let seen = if self.dice.percent(60) {
            1
        } else {
            1 + self.dice.below(3)
        };
        for _ in 0..seen {
            let other = self.dice.below(self.profile.partners);
            let theirs: Vec<usize> = self.history.by_author[other].iter().collect();
            let apart = careful && (self.divided >> other & 1 != side || self.lies(other));
            if !theirs.is_empty() && !apart {
                let back = self.dice.below(theirs.len().min(4)) + 1;
                past |= self.history.with(theirs[theirs.len() - back]);
            }
        }
        if careful && self.dice.percent(95) {
            let own = self.history.by_author[partner] & self.history.lane_events[lane];
            let quiet = |at: &usize| {
                let with = past | self.history.with(*at);
                let seen = self.history.conflicts.iter();
                seen.clone()
                    .all(|(one, two)| !with.has(*one) || !with.has(*two))
            };
            if let Some(own) = own.iter().filter(quiet).last() {
                past |= self.history.with(own);
            }
        } else if !careful && self.dice.percent(40) {
            let own = self.history.by_author[partner] & self.history.lane_events[lane];
            let own: Vec<usize> = own.iter().collect();
            if !own.is_empty() {
                let back = self.dice.below(own.len().min(4)) + 1;
                past |= self.history.with(own[own.len() - back]);
            }
        }
        let past = self.history.visible(past, lane);
        let purge = self.dice.percent(self.profile.purge).then(|| {
            let mut target = self.dice.below(self.profile.partners);
            for _ in 0..3 {
                if careful && (self.divided >> target & 1 == side || self.lies(target)) {
                    target = self.dice.below(self.profile.partners);
                }
            }
            Kind::Act(Proposal::Remove(target))
        });
        let kind = match self.dice.percent(75) {
            _ if purge.is_some() && lane == CONTROL => purge,
            true => self.valid_ack(partner, lane, past).map(Kind::Ack),
            false => self.something(partner, lane, past),
        };
        self.append(partner, lane, past, kind?, true)
    }

    /// Compares what stands for a node with what stands for others; now and then also all that
    /// follows from it.
    fn look(&mut self, partner: usize) -> Result<(), Violation> {
        for lane in 0..self.longest.len() {
            let held = self.held[partner];
            let (known, _) = self.longest[lane];
            let (here, there) = (
                self.history.chain(held, lane),
                self.history.chain(known, lane),
            );
            let common = here.len().min(there.len());
            if here[..common] != there[..common] {
                return Err(Violation {
                    broken: Broken::Uniqueness,
                    lane,
                    one: held,
                    other: known,
                });
            }
            if here.len() > there.len() {
                self.longest[lane].0 = held;
            }
            one_chain(&self.history, lane)?;
        }
        if self.dice.percent(6) {
            self.look_whole(partner)?;
        }
        Ok(())
    }

    fn look_whole(&mut self, partner: usize) -> Result<(), Violation> {
        let (held, before) = (self.held[partner], self.before[partner]);
        for lane in 0..self.longest.len() {
            let audience = self.history.setting.lanes[lane].audience;
            if audience >> partner & 1 == 1 {
                compare(&self.history, lane, before, held)?;
                compare(&self.history, lane, self.longest[lane].0, held)?;
            }
        }
        self.before[partner] = held;
        Ok(())
    }

    fn look_at_all(&mut self) -> Result<(), Violation> {
        for partner in 0..self.profile.partners {
            if !self.lies(partner) {
                self.look(partner)?;
                self.look_whole(partner)?;
            }
        }
        let fail = |at: usize| Violation {
            broken: Broken::Framed,
            lane: self.history.events[at].lane,
            one: Bits::EMPTY,
            other: Bits::EMPTY,
        };
        framed(&self.history).map_or(Ok(()), |(at, _)| Err(fail(at)))
    }

    /// Lets the honest hear everything and acknowledge in turn: where the set has no silent liar,
    /// all must become final.
    fn heal(&mut self) -> Result<(), Violation> {
        self.divided = 0;
        const ROUNDS: usize = 12;
        for _ in 0..ROUNDS {
            for partner in 0..self.profile.partners {
                if self.lies(partner) {
                    continue;
                }
                for at in 0..self.history.events.len() {
                    if !self.held[partner].has(at) {
                        self.accept(partner, at);
                    }
                }
                self.look(partner)?;
                for lane in 0..self.longest.len() {
                    let audience = self.history.setting.lanes[lane].audience;
                    if audience >> partner & 1 == 1 {
                        self.answer(partner, lane);
                    }
                }
            }
        }
        self.look_at_all()?;
        self.settled()
    }

    /// Says first, outside acks, what it has learned of endings, and acknowledges.
    fn answer(&mut self, partner: usize, lane: usize) {
        for _ in 0..2 {
            let held = self.history.visible(self.held[partner], lane);
            if self.untold(partner, lane, held) {
                self.append(partner, lane, held, Kind::Merge, false);
            }
        }
        if let Some(number) = self.next_ack(partner, lane) {
            let held = self.history.visible(self.held[partner], lane);
            let owed = self.append(partner, lane, held, Kind::Ack(number), false);
            let cut = owed.is_some_and(|at| self.history.events[at].kind == Kind::Cut);
            if cut && let Some(number) = self.next_ack(partner, lane) {
                let held = self.history.visible(self.held[partner], lane);
                self.append(partner, lane, held, Kind::Ack(number), false);
            }
        }
    }

    fn settled(&self) -> Result<(), Violation> {
        if self.history.full() || self.profile.rules.finality == Finality::Crash {
            return Ok(());
        }
        for lane in 0..self.longest.len() {
            for partner in 0..self.profile.partners {
                let audience = self.history.setting.lanes[lane].audience;
                let held = self.history.visible(self.held[partner], lane);
                let set = self.history.set(held, lane, u16::MAX);
                let own = super::acks::bit(partner, self.history.view(held).session[partner]);
                if self.lies(partner) || audience >> partner & 1 == 0 || set & own == 0 {
                    continue;
                }
                let heard = super::acks::members(set).all(|(one, _)| !self.lies(one));
                let open = unsettled(&self.history, held, lane);
                if heard && set != 0 && !open.is_empty() {
                    return Err(Violation {
                        broken: Broken::Liveness,
                        lane,
                        one: held,
                        other: open,
                    });
                }
            }
        }
        Ok(())
    }
}
