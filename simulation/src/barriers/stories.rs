//! What the rules do, told event by event.

use super::acks::names;
use super::bits::Bits;
use super::check::{compare, one_chain};
use super::history::{
    CONTROL, Event, History, Invalid, Kind, Lane, PARTNERS, Proposal, Role, Setting, WRITERS,
};
use super::rules::{Finality, Rules};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const D: usize = 3;

/// A history written by hand. Event 0 is the charter.
struct Script {
    history: History,
    /// The claimed time; it goes on by itself.
    time: u32,
}

impl Script {
    fn new(founders: &[Role], audiences: &[u8], rules: Rules) -> Script {
        let mut roles = [None; PARTNERS];
        for (partner, role) in founders.iter().enumerate() {
            roles[partner] = Some(*role);
        }
        let lanes = [u8::MAX].iter().chain(audiences);
        let history = History::new(Setting {
            rules,
            partners: founders.len() + 1,
            founders: roles,
            lanes: lanes
                .map(|audience| Lane {
                    audience: *audience,
                })
                .collect(),
            quorum: 0,
            liars: 0,
        });
        let mut script = Script { history, time: 0 };
        script.say(A, CONTROL, Kind::Charter, &[]);
        script
    }

    /// Writes an event whose past is that of the ones cited, by the seat that the past knows.
    fn say(&mut self, author: usize, lane: usize, kind: Kind, on: &[usize]) -> usize {
        let writer = self.history.view(self.past(on)).seat[author];
        self.try_say(writer, lane, kind, on)
            .expect("the script's event is valid")
    }

    fn try_say(
        &mut self,
        writer: usize,
        lane: usize,
        kind: Kind,
        on: &[usize],
    ) -> Result<usize, Invalid> {
        let past = self.past(on);
        let prev = self.history.tip(past, writer, lane);
        self.time += 1;
        self.history.add(Event {
            author: writer / WRITERS,
            writer,
            lane,
            seq: prev.map_or(1, |prev| self.history.events[prev].seq + 1),
            prev,
            past,
            kind,
            time: self.time,
        })
    }

    fn past(&self, on: &[usize]) -> Bits {
        on.iter()
            .fold(Bits::EMPTY, |past, at| past | self.history.with(*at))
    }

    /// Every partner acknowledges on what all wrote in the round before.
    fn rounds(
        &mut self,
        partners: &[usize],
        lane: usize,
        from: u16,
        to: u16,
        on: &[usize],
    ) -> Vec<usize> {
        let mut heads = on.to_vec();
        for number in from..=to {
            let before = heads.clone();
            let acks = partners.iter();
            heads = acks
                .map(|partner| self.say(*partner, lane, Kind::Ack(number), &before))
                .collect();
        }
        heads
    }

    fn set(&self, lane: usize, number: u16, on: &[usize]) -> String {
        names(self.history.set(self.past(on), lane, number))
    }

    fn stands(&self, lane: usize, on: &[usize]) -> Vec<u16> {
        let chain = self.history.chain(self.past(on), lane);
        chain
            .iter()
            .map(|one| self.history.certificates[*one].number)
            .collect()
    }
}

fn owners(partners: usize) -> Script {
    Script::new(&[Role::Owner; 4][..partners], &[], Rules::default())
}

#[test]
fn a_barrier_stands_after_three_rounds() {
    let mut script = owners(3);
    let two = script.rounds(&[A, B, C], CONTROL, 1, 2, &[0]);
    assert!(script.stands(CONTROL, &two).is_empty());
    let three = script.rounds(&[A, B, C], CONTROL, 3, 3, &two);
    assert!(script.stands(CONTROL, &three[..2]).is_empty());
    assert_eq!(script.stands(CONTROL, &three), [1]);
}

#[test]
fn an_ack_needs_the_one_before_of_all() {
    let mut script = owners(3);
    let one = script.rounds(&[A, B, C], CONTROL, 1, 1, &[0]);
    let early = script.try_say(A * WRITERS, CONTROL, Kind::Ack(2), &one[..2]);
    assert_eq!(early, Err(Invalid::AckMissing));
    let again = script.try_say(A * WRITERS, CONTROL, Kind::Ack(1), &one);
    assert_eq!(again, Err(Invalid::OldNumber));
}

#[test]
fn a_fork_cited_by_two_puts_the_forker_out_of_the_set_and_no_one_else() {
    let mut script = owners(3);
    let one = script.say(C, CONTROL, Kind::Merge, &[0]);
    let other = script.say(C, CONTROL, Kind::Endorse(Proposal::Remove(A)), &[0]);
    let a = script.say(A, CONTROL, Kind::Merge, &[one]);
    let b = script.say(B, CONTROL, Kind::Merge, &[other]);
    assert_eq!(script.set(CONTROL, 1, &[a]), "ABC");
    assert_eq!(script.set(CONTROL, 1, &[b]), "ABC");
    assert_eq!(script.set(CONTROL, 1, &[a, b]), "AB");
    let acks = script.rounds(&[A, B], CONTROL, 1, 3, &[a, b]);
    assert_eq!(script.stands(CONTROL, &acks), [1]);
}

#[test]
fn a_stale_second_writer_of_an_owner_comes_late_and_changes_nothing_below() {
    let mut script = Script::new(&[Role::Owner, Role::Admin], &[0b11], Rules::default());
    let post = script.say(B, 1, Kind::Post, &[0]);
    let acks = script.rounds(&[A, B], 1, 1, 3, &[post]);
    let before = script.past(&acks);
    assert_eq!(script.stands(1, &acks), [1]);
    script.time = 0;
    let stale = script
        .try_say(A * WRITERS + 1, 1, Kind::Post, &[0])
        .expect("valid for ever");
    let after = before | Bits::of(stale);
    let order = script.history.placed(after, 1);
    let place = |at| order.iter().position(|(one, _)| *one == at);
    assert!(
        place(stale) > place(acks[0] - 4),
        "after what the barrier holds"
    );
    assert!(order.iter().any(|(at, placed)| *at == stale && placed.late));
    assert_eq!(compare(&script.history, 1, before, after), Ok(()));
}

#[test]
fn two_quorums_that_share_a_liar_suspend_each_other_and_only_one_is_forced_out() {
    let mut script = owners(4);
    let (first, second) = (Proposal::Suspend(B), Proposal::Suspend(A));
    let a = script.say(A, CONTROL, Kind::Endorse(first), &[0]);
    let liar = script.say(D, CONTROL, Kind::Endorse(first), &[0]);
    let b = script.say(B, CONTROL, Kind::Endorse(second), &[0]);
    let fork = script.say(D, CONTROL, Kind::Endorse(second), &[0]);
    let suspends_b = script.say(A, CONTROL, Kind::Act(first), &[a, liar]);
    let suspends_a = script.say(B, CONTROL, Kind::Act(second), &[b, fork]);
    let view = script.history.view(script.past(&[suspends_a, suspends_b]));
    assert_eq!(view.active.count_ones(), 2, "both are suspended");

    // The fork is hidden still from those who see one branch: nobody can be forced out by half.
    assert_eq!(script.set(CONTROL, 1, &[suspends_b]), "ABCD");
    let cites: Vec<usize> = [A, B, C]
        .map(|one| script.say(one, CONTROL, Kind::Merge, &[suspends_a, suspends_b]))
        .to_vec();
    // Once it shows, the liar is out, and two of four are no two thirds.
    assert_eq!(script.set(CONTROL, 1, &cites), "ABC");
    let acks = script.rounds(&[A, B, C], CONTROL, 1, 3, &cites);
    assert_eq!(script.stands(CONTROL, &acks), [1]);
    assert_eq!(one_chain(&script.history, CONTROL), Ok(()));
}

#[test]
fn of_two_who_are_removed_at_once_the_first_is_forced_out() {
    let roles = [
        Role::Owner,
        Role::Contributor,
        Role::Contributor,
        Role::Contributor,
    ];
    let removed = |rules| {
        let mut script = Script::new(&roles, &[], rules);
        let first = script.say(A, CONTROL, Kind::Act(Proposal::Remove(B)), &[0]);
        let second = script.say(A, CONTROL, Kind::Act(Proposal::Remove(C)), &[first]);
        let cites: Vec<usize> = [B, C, D]
            .map(|one| script.say(one, CONTROL, Kind::Merge, &[second]))
            .to_vec();
        script.set(CONTROL, 1, &cites)
    };
    assert_eq!(removed(Rules::default()), "ACD");
    let ambiguous = Rules {
        forced_count: true,
        ..Rules::default()
    };
    assert_eq!(removed(ambiguous), "AD");
}

#[test]
fn half_of_a_set_must_not_force_out_the_others() {
    let roles = [
        Role::Owner,
        Role::Contributor,
        Role::Contributor,
        Role::Contributor,
    ];
    let five = [&roles[..], &roles[1..2]].concat();
    let sides = |forcing| {
        let rules = Rules {
            forcing,
            ..Rules::default()
        };
        let mut script = Script::new(&five, &[], rules);
        let side = |script: &mut Script, mine: [usize; 2], others: [usize; 2]| {
            let one = script.say(A, CONTROL, Kind::Act(Proposal::Remove(others[0])), &[0]);
            let two = script.say(A, CONTROL, Kind::Act(Proposal::Remove(others[1])), &[one]);
            let cites = mine.map(|one| script.say(one, CONTROL, Kind::Merge, &[two]));
            let set = script.set(CONTROL, 1, &cites);
            if set.len() == 3 {
                script.rounds(&[A, mine[0], mine[1]], CONTROL, 1, 3, &cites);
            }
            set
        };
        let sets = [
            side(&mut script, [1, 2], [3, 4]),
            side(&mut script, [3, 4], [1, 2]),
        ];
        (sets, one_chain(&script.history, CONTROL).is_ok())
    };
    let whole = ["ABCDE".to_string(), "ABCDE".to_string()];
    assert_eq!(sides((2, 3)), (whole, true));
    assert_eq!(
        sides((1, 2)),
        (["ABC".to_string(), "ADE".to_string()], false)
    );
}

#[test]
fn of_three_partners_nobody_is_forced_out() {
    let mut script = Script::new(
        &[Role::Owner, Role::Admin, Role::Contributor],
        &[],
        Rules::default(),
    );
    let act = script.say(A, CONTROL, Kind::Act(Proposal::Remove(C)), &[0]);
    let b = script.say(B, CONTROL, Kind::Merge, &[act]);
    let acks = script.rounds(&[A, B], CONTROL, 1, 1, &[b]);
    assert_eq!(script.set(CONTROL, 2, &acks), "ABC");
    let next = script.try_say(A * WRITERS, CONTROL, Kind::Ack(2), &acks);
    assert_eq!(next, Err(Invalid::AckMissing));
}

#[test]
fn by_majority_two_of_three_go_on_and_one_of_two_does_not() {
    let rules = Rules {
        finality: Finality::Crash,
        ..Rules::default()
    };
    let mut script = Script::new(&[Role::Owner; 3], &[], rules);
    let acks = script.rounds(&[A, B], CONTROL, 1, 3, &[0]);
    assert_eq!(script.stands(CONTROL, &acks), [1]);

    let mut script = Script::new(&[Role::Owner; 2], &[], rules);
    let one = script.say(A, CONTROL, Kind::Ack(1), &[0]);
    let next = script.try_say(A * WRITERS, CONTROL, Kind::Ack(2), &[one]);
    assert_eq!(next, Err(Invalid::AckMissing));
}

#[test]
fn a_joiner_is_waited_for_from_its_first_ack_on() {
    let mut script = owners(2);
    let invite = script.say(
        A,
        CONTROL,
        Kind::Act(Proposal::Invite(C, Role::Contributor)),
        &[0],
    );
    let accept = script.say(C, CONTROL, Kind::Accept, &[invite]);
    let two = script.rounds(&[A, B], CONTROL, 1, 2, &[accept]);
    assert_eq!(script.set(CONTROL, 3, &two), "AB");
    let first = script.say(C, CONTROL, Kind::Ack(3), &two);
    let on = [two[0], two[1], first];
    assert_eq!(
        script.set(CONTROL, 3, &on),
        "AB",
        "not of the number that it enters with"
    );
    assert_eq!(script.set(CONTROL, 4, &on), "ABC");
    let three = script.rounds(&[A, B], CONTROL, 3, 3, &on);
    let all = [three[0], three[1], first];
    let later = script.rounds(&[A, B, C], CONTROL, 4, 6, &all);
    assert!(script.stands(CONTROL, &later).ends_with(&[3, 4]));
}

#[test]
fn a_moved_seat_goes_on_with_the_numbers_and_a_transferred_one_enters_anew() {
    let mut script = owners(3);
    let one = script.rounds(&[A, B, C], CONTROL, 1, 1, &[0]);
    let moved = script.say(A, CONTROL, Kind::SeatMove(A * WRITERS + 1), &one);
    assert_eq!(script.set(CONTROL, 2, &[moved]), "ABC");
    let two = script.rounds(&[A, B, C], CONTROL, 2, 4, &[moved]);
    assert_eq!(script.stands(CONTROL, &two), [1, 2]);
    let kind = Kind::SeatTransfer(B, B * WRITERS + 1);
    let transfer = script.say(A, CONTROL, kind, &two);
    assert_eq!(script.set(CONTROL, 5, &[transfer]), "AC");
    let entry = script.say(B, CONTROL, Kind::Ack(5), &[transfer]);
    assert_eq!(script.set(CONTROL, 6, &[entry]), "ACB1");
}

#[test]
fn an_act_that_comes_late_voids_nothing_under_a_barrier() {
    let roles = [Role::Owner, Role::Admin, Role::Contributor];
    let voided = |layers| {
        let rules = Rules {
            layers,
            ..Rules::default()
        };
        let mut script = Script::new(&roles, &[], rules);
        let grant = script.say(
            B,
            CONTROL,
            Kind::Act(Proposal::Invite(D, Role::Contributor)),
            &[0],
        );
        let acks = script.rounds(&[A, B, C], CONTROL, 1, 3, &[grant]);
        assert_eq!(script.stands(CONTROL, &acks), [1]);
        // The owner writes a second log from the start.
        let late = script.say(A, CONTROL, Kind::Act(Proposal::Remove(B)), &[0]);
        let all = [acks[0], acks[1], acks[2], late];
        !script.history.view(script.past(&all)).effective.has(grant)
    };
    assert!(voided(false));
    assert!(!voided(true));
}

#[test]
fn an_accomplice_lets_nothing_stand_that_a_barrier_holds_as_flagged() {
    let rules = Rules::default();
    let roles = [
        Role::Owner,
        Role::Admin,
        Role::Contributor,
        Role::Contributor,
    ];
    let mut script = Script::new(&roles, &[0b1111], rules);
    let removal = script.say(A, CONTROL, Kind::Act(Proposal::Remove(D)), &[0]);
    let cites: Vec<usize> = [B, C]
        .map(|one| script.say(one, CONTROL, Kind::Merge, &[removal]))
        .to_vec();
    let cuts: Vec<usize> = [A, B, C]
        .map(|one| script.say(one, 1, Kind::Cut, &[removal, cites[0], cites[1]]))
        .to_vec();
    // What it wrote unheard comes after the cuts.
    let stale = script.say(D, 1, Kind::Post, &[0]);
    let heads = [cuts[0], cuts[1], cuts[2], stale];
    let acks = script.rounds(&[A, B, C], 1, 1, 3, &heads);
    assert_eq!(script.stands(1, &acks), [1]);
    let before = script.past(&acks);
    assert!(script.history.flagged(before, 1).has(stale));
    // C forks its cut away and vouches for it.
    let voucher = script.say(C, 1, Kind::Post, &[stale]);
    let after = before | Bits::of(voucher);
    assert!(script.history.flagged(after, 1).has(stale));
    assert_eq!(compare(&script.history, 1, before, after), Ok(()));
}

#[test]
fn a_floor_needs_a_barrier_that_stands_in_its_own_past() {
    let mut script = owners(2);
    let two = script.rounds(&[A, B], CONTROL, 1, 2, &[0]);
    let early = script.try_say(A * WRITERS, CONTROL, Kind::Floor(1), &two);
    assert_eq!(early, Err(Invalid::NoSuchBarrier));
    let three = script.rounds(&[A, B], CONTROL, 3, 3, &two);
    assert!(
        script
            .try_say(A * WRITERS, CONTROL, Kind::Floor(1), &three)
            .is_ok()
    );
}

#[test]
fn a_post_is_final_when_both_barriers_hold_what_it_rests_on() {
    let mut script = Script::new(&[Role::Owner; 2], &[0b11], Rules::default());
    let merge = script.say(A, CONTROL, Kind::Merge, &[0]);
    let post = script.say(A, 1, Kind::Post, &[merge]);
    let acks = script.rounds(&[A, B], 1, 1, 3, &[post]);
    assert!(!script.history.is_final(script.past(&acks), post));
    let control = script.rounds(&[A, B], CONTROL, 1, 3, &[merge]);
    let all = [acks[0], acks[1], control[0], control[1]];
    assert!(script.history.is_final(script.past(&all), post));
}
