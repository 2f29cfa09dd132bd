//! What is done to a mesh, and when: a list that a seed writes, that a file can hold, and from
//! which the shrinker takes away.

use super::dice::Dice;
use super::options::{Fault, Options};

/// One thing that is done at a time, with its particulars. Numbers are taken modulo what there is
/// when it is done, so that a schedule stays meaningful when something before it is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    pub at_ms: u64,
    pub verb: Verb,
    /// Who does it, or to whom it is done.
    pub node: u64,
    pub a: u64,
    pub b: u64,
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $verb:ident = $word:literal,)*) => {
        /// What is done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Verb {
            $($(#[$doc])* $verb,)*
        }

        impl Verb {
            pub const ALL: &[Verb] = &[$(Verb::$verb,)*];

            /// The word for it in a scenario file.
            pub fn word(self) -> &'static str {
                match self {
                    $(Verb::$verb => $word,)*
                }
            }
        }
    };
}

verbs! {
    // Orders of the partners' own people. a: channel; b: chooses the target.
    Found = "found",
    Invite = "invite",
    Post = "post",
    Direct = "direct",
    Reply = "reply",
    Edit = "edit",
    Redact = "redact",
    React = "react",
    Pin = "pin",
    Receipt = "receipt",
    Grant = "grant",
    Remove = "remove",
    Suspend = "suspend",
    Leave = "leave",
    // The network. a: the other end or a set of nodes; b: for how long, ms.
    Cut = "cut",
    Clog = "clog",
    Slow = "slow",
    Split = "split",
    OneWay = "one-way",
    Isolate = "isolate",
    Flap = "flap",
    Overflow = "overflow",
    // Processes. a: how; b: for how long, ms.
    Crash = "crash",
    Pause = "pause",
    Snapshot = "snapshot",
    Rollback = "rollback",
    Wipe = "wipe",
    // Disks. a: which row; b: for how long, ms.
    Rot = "rot",
    Misdirect = "misdirect",
    SyncError = "sync-error",
    Full = "full",
    Stall = "stall",
    // Clocks. a: forwards or back; b: how much.
    Drift = "drift",
    Jump = "jump",
    Stick = "stick",
    Mend = "mend",
    // A disk that forgets what it said was synced: no seed does this. It is how to see that the
    // oracles look at all.
    Canary = "canary",
    // Byzantine partners. a: channel; b: chooses.
    Swap = "swap-sides",
    Forge = "forge",
    ForkPost = "fork",
    Backdate = "backdate",
    Garbage = "garbage",
    Oversize = "oversize",
    Replay = "replay",
    Flood = "flood",
    LieHeads = "lie-heads",
    Deep = "deep",
    Wide = "wide",
    WrongKey = "wrong-key",
    WrongAudience = "wrong-audience",
    WidenDep = "widen-dep",
    QuorumGame = "quorum-game",
    GhostAct = "ghost-act",
    AskForeign = "ask-foreign",
    OfferMany = "offer-many",
    Withhold = "withhold",
    Relent = "relent",
    Leak = "leak",
    Echo = "echo",
    Corrupt = "corrupt",
}

impl Verb {
    pub fn is_byzantine(self) -> bool {
        self >= Verb::Swap
    }

    pub fn is_order(self) -> bool {
        self <= Verb::Leave
    }

    pub fn is_fault(self) -> bool {
        !self.is_order() && !self.is_byzantine()
    }
}

impl Action {
    /// A line of a scenario file.
    pub fn line(&self) -> String {
        format!(
            "{} {} {} {} {}",
            self.at_ms,
            self.verb.word(),
            self.node,
            self.a,
            self.b
        )
    }

    /// Reads such a line.
    pub fn parse(line: &str) -> Option<Action> {
        let mut words = line.split_whitespace();
        let at_ms = words.next()?.parse().ok()?;
        let word = words.next()?;
        let verb = *Verb::ALL.iter().find(|verb| verb.word() == word)?;
        let mut number = || words.next()?.parse().ok();
        Some(Action {
            at_ms,
            verb,
            node: number()?,
            a: number()?,
            b: number()?,
        })
    }
}

/// Writes the schedule of a seed.
pub fn draw(options: &Options, dice: &mut Dice) -> Vec<Action> {
    let mut schedule = Vec::new();
    // Some hostile partners are owners among owners, and some admins who are thrown out.
    let owners = options.has(Fault::Forgers) && dice.percent("owners", 0, 35);
    let outcast = options.has(Fault::Forgers) && !owners && dice.percent("outcast", 0, 75);
    for channel in 0..options.channels {
        schedule.push(Action {
            at_ms: 200 + 50 * channel,
            verb: Verb::Found,
            node: dice.below("founder", channel, options.nodes()),
            a: dice.below("history", channel, 2),
            b: channel,
        });
        for guest in 0..options.nodes() {
            if dice.percent("guest", channel * 64 + guest, 80) {
                let role = match (
                    owners,
                    outcast && options.partner_of(guest) + 1 == options.partners,
                ) {
                    (true, _) => 2,
                    (_, true) => 1,
                    _ => dice.below("guest-role", channel * 64 + guest, 4),
                };
                schedule.push(Action {
                    at_ms: 400 + 60 * guest + 30 * channel,
                    verb: Verb::Invite,
                    node: u64::MAX,
                    a: channel,
                    b: guest + 256 * role,
                });
            }
        }
    }
    if outcast {
        cast_out(options, dice, &mut schedule);
    }
    if owners {
        schedule.push(Action {
            at_ms: dice.between("game", 0, options.span_ms / 3, options.span_ms),
            verb: Verb::QuorumGame,
            node: options.partners - 1,
            a: dice.below("game-channel", 0, options.channels),
            b: 0,
        });
    }
    orders(options, dice, &mut schedule);
    for fault in Fault::ALL {
        if options.has(*fault) {
            faults(options, *fault, dice, &mut schedule);
        }
    }
    schedule.sort_by_key(|action| action.at_ms);
    schedule
}

/// The hostile partner is removed by whoever may, and goes on as if it did not know.
fn cast_out(options: &Options, dice: &mut Dice, schedule: &mut Vec<Action>) {
    let last = options.partners - 1;
    let at_ms = options.span_ms / 3;
    schedule.push(Action {
        at_ms,
        verb: Verb::Remove,
        node: u64::MAX,
        a: 0,
        b: last,
    });
    for (number, verb) in [Verb::Backdate, Verb::GhostAct, Verb::Backdate, Verb::Wide]
        .into_iter()
        .enumerate()
    {
        let number = number as u64;
        schedule.push(Action {
            at_ms: dice.between("ghost", number, at_ms + 3_000, options.span_ms),
            verb,
            node: last,
            a: 0,
            b: dice.draw("ghost-b", number) >> 40,
        });
    }
}

const ORDERS: [(Verb, u64); 13] = [
    (Verb::Post, 40),
    (Verb::Direct, 18),
    (Verb::Reply, 10),
    (Verb::Edit, 5),
    (Verb::Redact, 4),
    (Verb::React, 6),
    (Verb::Pin, 2),
    (Verb::Receipt, 3),
    (Verb::Invite, 3),
    (Verb::Grant, 6),
    (Verb::Remove, 4),
    (Verb::Suspend, 1),
    (Verb::Leave, 1),
];

fn orders(options: &Options, dice: &mut Dice, schedule: &mut Vec<Action>) {
    let all: u64 = ORDERS.iter().map(|(_, weight)| weight).sum();
    for number in 0..options.orders {
        let mut at = dice.below("order", number, all);
        let chosen = ORDERS.iter().find(|(_, weight)| {
            let here = at < *weight;
            at = at.saturating_sub(*weight);
            here
        });
        let verb = chosen.map_or(Verb::Post, |(verb, _)| *verb);
        // Half of what is about roles is ordered by somebody who may.
        let about_roles = (Verb::Grant..=Verb::Suspend).contains(&verb) || verb == Verb::Invite;
        let by_owner = about_roles && dice.percent("order-by-owner", number, 50);
        let by = match by_owner {
            true => u64::MAX,
            false => dice.below("order-by", number, options.nodes()),
        };
        schedule.push(Action {
            at_ms: dice.between("order-at", number, 2_000, options.span_ms),
            verb,
            node: by,
            a: dice.below("order-channel", number, options.channels),
            b: dice.draw("order-target", number) >> 16,
        });
    }
}

fn faults(options: &Options, fault: Fault, dice: &mut Dice, schedule: &mut Vec<Action>) {
    let kind = fault as u64;
    if fault.verbs().is_empty() {
        return;
    }
    let count = dice.between("fault-count", kind, 1, 1 + options.rate);
    for number in 0..count {
        let actor = kind * 1_000 + number;
        let verbs = fault.verbs();
        let verb = verbs[dice.below("fault-verb", actor, verbs.len() as u64) as usize];
        let at_ms = dice.between("fault-at", actor, 1_500, options.span_ms);
        let action = Action {
            at_ms,
            verb,
            node: dice.below("fault-node", actor, options.nodes()),
            a: dice.draw("fault-a", actor) >> 40,
            b: dice.draw("fault-b", actor) >> 40,
        };
        schedule.push(action);
        // What undoes it, where it does not pass by itself.
        let undo = match verb {
            Verb::Drift | Verb::Jump | Verb::Stick => Some(Verb::Mend),
            // Some go on as long as they are there.
            Verb::Withhold if action.a.is_multiple_of(2) => None,
            Verb::Withhold | Verb::Echo | Verb::Corrupt => Some(Verb::Relent),
            Verb::Snapshot => Some(Verb::Rollback),
            _ => None,
        };
        if let Some(verb) = undo {
            let later = dice.between("undo", actor, 1_000, 15_000);
            schedule.push(Action {
                at_ms: at_ms + later,
                verb,
                ..action
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_reads_back_from_its_lines() {
        for (number, verb) in Verb::ALL.iter().enumerate() {
            let action = Action {
                at_ms: number as u64,
                verb: *verb,
                node: 1,
                a: 2,
                b: 3,
            };
            assert_eq!(Action::parse(&action.line()), Some(action));
        }
    }
}
