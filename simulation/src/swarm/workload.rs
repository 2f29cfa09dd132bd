//! What the partners' own people do: found channels, join, write, change roles.

use std::collections::BTreeSet;

use comity_protocol::authority::Status;
use comity_protocol::body::Role;
use comity_protocol::channel::Channel;
use comity_protocol::event::{Kind, Precedence, UserName};
use comity_protocol::graph::Pos;
use comity_protocol::id::{ChannelId, PartnerId};
use comity_protocol::identity::Name;
use comity_protocol::keys::Entropy;
use comity_protocol::lane::History;
use comity_protocol::replica::{Command, CommandError, Draft, Input, ReceiptState, Written};
use comity_protocol::wire::{Activity, Ephemeral, Sign};

use super::schedule::{Action, Verb};
use super::{Happening, Swarm};

/// An order that is not answered yet.
#[derive(Debug)]
pub struct Order {
    pub node: usize,
    pub verb: Verb,
}

impl Swarm {
    pub(super) fn order_of(&mut self, action: Action) {
        let mut node = (action.node % self.nodes.len() as u64) as usize;
        if action.verb == Verb::Found {
            let name = Name::try_from(format!("channel-{}", action.b)).expect("a legal name");
            let history = match action.a {
                0 => History::FromJoin,
                _ => History::All,
            };
            // A quorum of a majority.
            let command = Command::CreateChannel {
                name,
                history,
                quorum: 0,
            };
            return self.order(node, action.verb, command);
        }
        let Some(&channel) = self
            .channels
            .get((action.a % self.channels.len().max(1) as u64) as usize)
        else {
            return;
        };
        if action.node == u64::MAX {
            // Whoever founded it.
            let founder = (0..self.nodes.len()).find(|node| self.is_owner(*node, channel));
            let Some(founder) = founder else { return };
            node = founder;
        }
        let Some(command) = self.command_of(node, channel, action) else {
            return;
        };
        self.order(node, action.verb, command);
    }

    fn is_owner(&self, node: usize, channel: ChannelId) -> bool {
        let id = self.id_of(node);
        let held = self
            .replica(node)
            .and_then(|it| it.channels().get(&channel));
        let member = held.and_then(|held| held.present().member(&id));
        member.is_some_and(|member| member.role == Role::Owner)
    }

    fn command_of(&mut self, node: usize, channel: ChannelId, action: Action) -> Option<Command> {
        let pick = action.b;
        let draft = self.draft(node, channel, None, pick);
        let held = self.replica(node)?.channels().get(&channel)?;
        let text = format!("{} of {node} at {}", action.verb.word(), self.now_ms);
        Some(match action.verb {
            Verb::Post => Command::Post {
                channel,
                draft,
                text,
                reply_to: None,
                rows: Vec::new(),
            },
            Verb::Direct => {
                let audience = some_members(held, &self.id_of(node), pick);
                let draft = self.draft(node, channel, Some(audience), pick);
                Command::Post {
                    channel,
                    draft,
                    text,
                    reply_to: None,
                    rows: Vec::new(),
                }
            }
            Verb::Reply => Command::Post {
                channel,
                draft,
                text,
                reply_to: Some(pick_target(held, pick, None)?),
                rows: Vec::new(),
            },
            Verb::Edit => Command::Edit {
                channel,
                draft,
                target: pick_target(held, pick, Some(self.id_of(node)))?,
                text,
            },
            Verb::Redact => Command::Redact {
                channel,
                draft,
                target: pick_target(held, pick, Some(self.id_of(node)))?,
                reason: String::new(),
            },
            Verb::React => Command::React {
                channel,
                draft,
                target: pick_target(held, pick, None)?,
                emoji: "+1".into(),
                withdrawn: pick.is_multiple_of(5),
            },
            Verb::Pin => Command::Pin {
                channel,
                draft,
                target: pick_target(held, pick, None)?,
                withdrawn: false,
            },
            Verb::Receipt => Command::Receipt {
                channel,
                draft,
                target: pick_target(held, pick, None)?,
                state: ReceiptState::Read,
            },
            Verb::Leave => Command::Leave { channel },
            _ => self.role_command(channel, action)?,
        })
    }

    fn role_command(&self, channel: ChannelId, action: Action) -> Option<Command> {
        let roles = [
            Role::Contributor,
            Role::Admin,
            Role::Owner,
            Role::Observer,
            Role::Contributor,
        ];
        let target = &self.papers[(action.b % 256 % self.papers.len() as u64) as usize];
        let role = roles[(action.b / 256 % roles.len() as u64) as usize];
        let partner = target.id;
        Some(match action.verb {
            Verb::Invite => Command::Share {
                channel,
                partner: target.identity.clone(),
                role,
            },
            Verb::Grant => Command::Grant {
                channel,
                partner,
                role,
            },
            Verb::Remove => Command::Remove { channel, partner },
            Verb::Suspend => Command::Suspend { channel, partner },
            _ => return None,
        })
    }

    fn draft(
        &self,
        node: usize,
        _channel: ChannelId,
        audience: Option<BTreeSet<PartnerId>>,
        pick: u64,
    ) -> Draft {
        let precedence = match pick % 11 {
            0 => Precedence::Flash,
            1 => Precedence::Immediate,
            2 => Precedence::Priority,
            _ => Precedence::Routine,
        };
        Draft {
            user: UserName::try_from("user".to_string()).expect("a legal name"),
            claimed_ms: self.now_at(node).wall.0,
            precedence,
            audience,
            label: None,
        }
    }

    /// Gives an order to a node, if its process is up.
    pub(super) fn order(&mut self, node: usize, verb: Verb, command: Command) {
        if !self.nodes[node].is_up() {
            return;
        }
        self.log(node, || format!("orders {command:?}"));
        if let Command::Post { channel, draft, .. } = &command {
            // Whoever posts was seen to type.
            let typing = Sign {
                user: draft.user.clone(),
                activity: Activity::Typing as u8,
                root: None,
            };
            let told = Ephemeral {
                channel: *channel,
                signs: vec![typing],
            };
            self.handle(node, Input::Ephemeral(told));
            if !self.nodes[node].is_up() {
                return;
            }
        }
        let ticket = self.tickets;
        self.tickets += 1;
        self.orders.insert(ticket, Order { node, verb });
        let entropy = Entropy::new(self.dice.bytes("entropy", node as u64));
        let command = Box::new(command);
        self.handle(
            node,
            Input::Command {
                ticket,
                command,
                entropy,
            },
        );
    }

    pub(super) fn answered(
        &mut self,
        node: usize,
        ticket: u64,
        result: Result<Written, CommandError>,
    ) {
        let Some(order) = self.orders.remove(&ticket) else {
            return;
        };
        let written = match result {
            Ok(written) => written,
            Err(CommandError::Internal(why)) => {
                let what = format!("node {node} could not {}: {why}", order.verb.word());
                return self.fail("own event", what);
            }
            Err(refused) => {
                self.count(refusal(&refused));
                return self.log(node, || format!("is refused: {refused}"));
            }
        };
        self.count("orders done");
        if order.verb == Verb::Found {
            self.channels.push(written.channel);
        }
        if written.audience.len() == 1 {
            self.count("notes to oneself");
        }
        self.log(node, || format!("done: {:?}", written.id));
        if !self.nodes[node].byzantine {
            let held = self.holds_on_disk(node, &written.id);
            if !held {
                let what = format!("node {node} answered before {} was stored", written.id);
                return self.fail("acknowledged", what);
            }
            self.oracles.acknowledged.done(node, &written);
            if self.first_word.is_some_and(|first| ticket >= first) {
                self.words.push((node, written.id));
            }
        }
    }

    /// An invitation is taken up after a while.
    pub(super) fn consider_invitation(&mut self, node: usize, channel: ChannelId) {
        let id = self.id_of(node);
        let held = self
            .replica(node)
            .and_then(|it| it.channels().get(&channel));
        let status = held.and_then(|held| held.present().members.get(&id));
        if status.is_some_and(|member| member.status == Status::Invited) {
            let after = self.dice.between("join", node as u64, 20, 1_500);
            self.schedule(after, Happening::Join { node, channel });
        }
    }

    pub(super) fn join(&mut self, node: usize, channel: ChannelId) {
        let id = self.id_of(node);
        let held = self
            .replica(node)
            .and_then(|it| it.channels().get(&channel));
        let status = held.and_then(|held| held.present().members.get(&id));
        if status.is_some_and(|member| member.status == Status::Invited) {
            self.count("joins");
            self.order(node, Verb::Invite, Command::Accept { channel });
        }
    }
}

fn refusal(refused: &CommandError) -> &'static str {
    match refused {
        CommandError::NoSuchChannel => "refused: no such channel",
        CommandError::NotMember(_) => "refused: not a member",
        CommandError::NotAllowed => "refused: not allowed",
        CommandError::AlreadyThere(_) => "refused: already there",
        CommandError::QuorumMissing { .. } => "refused: quorum missing",
        CommandError::NoMember(_) => "refused: no member",
        CommandError::RestoredFromOldCopy => "refused: restored from an old copy",
        CommandError::NotAPost => "refused: not a post",
        _ => "refused: otherwise",
    }
}

/// The author and some other members.
fn some_members(channel: &Channel, own: &PartnerId, pick: u64) -> BTreeSet<PartnerId> {
    let members = channel.present().active();
    let chosen = members.iter().enumerate();
    let chosen = chosen.filter(|(at, partner)| *partner == own || (pick >> at) & 1 == 1);
    chosen.map(|(_, partner)| *partner).collect()
}

/// A message to say something about; one of a partner's own if asked.
fn pick_target(channel: &Channel, pick: u64, of: Option<PartnerId>) -> Option<Pos> {
    let mut posts = channel.timeline().to_vec();
    posts.retain(|pos| {
        let own = of.is_none_or(|of| channel.author(*pos).partner == of);
        channel.entry(*pos).kind == Kind::Post && own
    });
    let late = posts.len().saturating_sub(6);
    let posts = &posts[late..];
    posts
        .get(pick.checked_rem(posts.len() as u64)? as usize)
        .copied()
}
