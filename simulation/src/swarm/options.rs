//! What a seed makes of a run: the mesh, the kinds of fault, and how many of each.

use super::dice::Dice;
use super::schedule::Verb;

/// Kinds of fault, each on or off in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    LinkLoss,
    Clogs,
    Partitions,
    Flapping,
    Congestion,
    Crashes,
    Pauses,
    Backups,
    Wipes,
    Damage,
    DiskTrouble,
    Clocks,
    Twins,
    Forgers,
    Liars,
    Floods,
    Loss,
    Jitter,
}

impl Fault {
    pub const ALL: &[Fault] = &[
        Fault::LinkLoss,
        Fault::Clogs,
        Fault::Partitions,
        Fault::Flapping,
        Fault::Congestion,
        Fault::Crashes,
        Fault::Pauses,
        Fault::Backups,
        Fault::Wipes,
        Fault::Damage,
        Fault::DiskTrouble,
        Fault::Clocks,
        Fault::Twins,
        Fault::Forgers,
        Fault::Liars,
        Fault::Floods,
        Fault::Loss,
        Fault::Jitter,
    ];

    pub fn verbs(self) -> &'static [Verb] {
        match self {
            Fault::LinkLoss => &[Verb::Cut, Verb::Cut, Verb::Isolate],
            Fault::Clogs => &[Verb::Clog, Verb::Slow],
            Fault::Partitions => &[Verb::Split, Verb::OneWay],
            Fault::Flapping => &[Verb::Flap],
            Fault::Congestion => &[Verb::Overflow],
            Fault::Crashes => &[Verb::Crash],
            Fault::Pauses => &[Verb::Pause],
            Fault::Backups => &[Verb::Snapshot],
            Fault::Wipes => &[Verb::Wipe],
            Fault::Damage => &[Verb::Rot, Verb::Misdirect],
            Fault::DiskTrouble => &[Verb::SyncError, Verb::Full, Verb::Stall],
            Fault::Clocks => &[Verb::Drift, Verb::Jump, Verb::Stick],
            Fault::Twins => &[Verb::Swap],
            Fault::Forgers => &[
                Verb::Forge,
                Verb::ForkPost,
                Verb::Backdate,
                Verb::WrongKey,
                Verb::WrongAudience,
                Verb::WidenDep,
                Verb::QuorumGame,
                Verb::GhostAct,
                Verb::Deep,
                Verb::Wide,
            ],
            Fault::Liars => &[
                Verb::Garbage,
                Verb::Replay,
                Verb::LieHeads,
                Verb::AskForeign,
                Verb::AskForeign,
                Verb::Withhold,
                Verb::Leak,
                Verb::Echo,
                Verb::Corrupt,
            ],
            Fault::Floods => &[Verb::Flood, Verb::Oversize, Verb::OfferMany],
            // The weather of all links all the time, not done at one.
            Fault::Loss | Fault::Jitter => &[],
        }
    }

    /// In how many of a hundred runs with some faults there is this one: bad links are the rule.
    fn percent(self) -> u64 {
        match self {
            Fault::Loss | Fault::Jitter => 60,
            _ => 30,
        }
    }

    pub fn is_byzantine(self) -> bool {
        let byzantine = [Fault::Twins, Fault::Forgers, Fault::Liars, Fault::Floods];
        byzantine.contains(&self)
    }
}

/// A run, but for its schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub seed: u64,
    pub partners: u64,
    /// The partner in hostile hands, if any; the last one.
    pub byzantine: bool,
    /// It runs twice, with the same keys.
    pub twins: bool,
    pub channels: u64,
    pub orders: u64,
    /// How long orders and faults go on, ms.
    pub span_ms: u64,
    /// Faults of a kind, about.
    pub rate: u64,
    pub faults: Vec<Fault>,
    /// Pairs of partners without a direct link.
    pub apart: Vec<(u64, u64)>,
    /// A frame's usual delay, ms.
    pub delay_ms: u64,
    /// Of a hundred frames so many lose a packet, or take a detour.
    pub loss: u64,
    pub jitter: u64,
    /// Whether keys and signatures are real; otherwise stand-ins, in a build that has them, or real
    /// keys and a table of the signatures made.
    pub real_signatures: bool,
    /// Whether the partner in hostile hands is still there when the others heal.
    pub byzantine_stays: bool,
}

impl Options {
    /// Draws a run: three in five with some faults, one in five with all, one in five calm.
    pub fn draw(seed: u64) -> Options {
        let mut dice = Dice::new(seed);
        let sort = dice.below("sort", 0, 5);
        let faults: Vec<Fault> = match sort {
            0 => Vec::new(),
            1 => Fault::ALL.to_vec(),
            _ => {
                let some = Fault::ALL.iter().copied();
                some.filter(|fault| dice.percent("fault", *fault as u64, fault.percent()))
                    .collect()
            }
        };
        let byzantine = faults.iter().any(|fault| fault.is_byzantine());
        let partners = 2 + dice
            .below("partners", 0, 6)
            .min(dice.below("partners", 1, 6));
        let partners = partners.max(if byzantine { 3 } else { 2 });
        let mut options = Options {
            seed,
            partners,
            byzantine,
            twins: faults.contains(&Fault::Twins),
            channels: 1 + dice.below("channels", 0, 3),
            orders: dice.between("orders", 0, 15, 70),
            span_ms: dice.between("span", 0, 12_000, 60_000),
            rate: dice.between("rate", 0, 2, 6),
            faults,
            apart: Vec::new(),
            delay_ms: 1 + dice.below("delay", 0, 120),
            loss: 0,
            jitter: 0,
            real_signatures: dice.below("signatures", 0, 10) == 0,
            byzantine_stays: dice.percent("byzantine-stays", 0, 50),
        };
        options.apart = apart(&options, &mut dice);
        if options.has(Fault::Loss) {
            options.loss = dice.between("loss", 0, 2, 30);
        }
        if options.has(Fault::Jitter) {
            options.jitter = dice.between("jitter", 0, 2, 30);
        }
        options
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// How many nodes there are: twins are two.
    pub fn nodes(&self) -> u64 {
        self.partners + u64::from(self.twins)
    }

    /// The partner of a node.
    pub fn partner_of(&self, node: u64) -> u64 {
        node.min(self.partners - 1)
    }

    /// One line for people and for scenario files.
    pub fn line(&self) -> String {
        format!(
            "seed {} partners {} byzantine {} twins {} channels {} orders {} span_ms {} rate {} \
             delay_ms {} loss {} jitter {} real_signatures {} byzantine_stays {} apart {:?} faults {:?}",
            self.seed,
            self.partners,
            self.byzantine,
            self.twins,
            self.channels,
            self.orders,
            self.span_ms,
            self.rate,
            self.delay_ms,
            self.loss,
            self.jitter,
            self.real_signatures,
            self.byzantine_stays,
            self.apart,
            self.faults
        )
    }
}

/// Some pairs have no direct link; everybody stays within reach of everybody.
fn apart(options: &Options, dice: &mut Dice) -> Vec<(u64, u64)> {
    let mut apart = Vec::new();
    if options.partners < 3 || !dice.percent("sparse", 0, 40) {
        return apart;
    }
    let centre = dice.below("centre", 0, options.partners);
    for a in 0..options.partners {
        for b in a + 1..options.partners {
            if a != centre && b != centre && dice.percent("apart", a * 64 + b, 40) {
                apart.push((a, b));
            }
        }
    }
    apart
}
