//! The sorts of runs that are searched.

use super::explore::Profile;
use super::history::Role::{Admin, Contributor, Owner};
use super::rules::{Finality, Rules};

/// Runs in which every promise must hold.
pub fn sound() -> Vec<Profile> {
    vec![
        Profile::plain("three partners, two lie", &[Owner; 3], 2),
        Profile::plain("four partners, three lie", &[Owner; 4], 3),
        Profile {
            audiences: &[0b111, 0b011, 0b1111],
            // Nobody leaves: the honest one that stays need not read the narrow lanes.
            removes: true,
            acts: 35,
            ..Profile::plain("four lanes, removals", &[Owner, Owner, Admin, Admin], 1)
        },
        Profile {
            moves: true,
            transfers: true,
            acts: 20,
            ..Profile::plain("seats move", &[Owner; 3], 2)
        },
        Profile {
            removes: true,
            invites: true,
            partners: 7,
            acts: 45,
            ..Profile::plain("partners join", &[Owner; 4], 2)
        },
        Profile {
            who_lies: Some(1),
            purge: 20,
            removes: true,
            acts: 60,
            ..Profile::plain(
                "acts of several ranks",
                &[Owner, Admin, Admin, Contributor],
                1,
            )
        },
        purged(&[Owner, Contributor, Contributor, Contributor]),
        purged(&[Owner, Contributor, Contributor, Contributor, Contributor]),
        puppets(),
        crash(&[Owner, Admin]),
        crash(&[Owner, Admin, Contributor]),
        crash(&[Owner, Admin, Contributor, Contributor, Contributor]),
    ]
}

/// The only owner lies, and removes whom it likes on each side of a mesh that is cut in two.
pub fn purged(founders: &'static [super::history::Role]) -> Profile {
    Profile {
        removes: true,
        acts: 70,
        who_lies: Some(1),
        events: 60,
        lasting: true,
        purge: 25,
        ..Profile::plain("a lying owner purges", founders, 1)
    }
}

fn puppets() -> Profile {
    Profile {
        invites: true,
        partners: 7,
        who_lies: Some(0b111_0001),
        ..purged(&[Owner, Contributor, Contributor, Contributor])
    }
}

/// Nobody lies, and a majority is enough.
pub fn crash(founders: &'static [super::history::Role]) -> Profile {
    Profile {
        removes: true,
        leaves: true,
        acts: 30,
        rules: Rules {
            finality: Finality::Crash,
            ..Rules::default()
        },
        ..Profile::plain("finality by majority", founders, 0)
    }
}
