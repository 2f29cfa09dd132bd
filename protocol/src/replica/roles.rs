//! Orders that bear on who a partner is in a channel: invitations, roles, removals, and the
//! owners' endorsements of what needs several of them; the partner's own writers and seat.

use std::collections::BTreeSet;

use super::Replica;
use super::orders::{Command, CommandError, Written};
use crate::authority::{self, Act, WriterList, proposal};
use crate::body::{
    CertificatesBody, EndorseBody, GrantBody, InviteBody, RemoveBody, Role, SeatTransferBody,
    WriterBody,
};
use crate::channel::Channel;
use crate::codec::Canonical;
use crate::event::Kind;
use crate::id::{ChannelId, EventId, Hash, PartnerId, WriterId};
use crate::identity::Identity;
use crate::time::Now;

/// What a quorum of owners may decide, or one partner whose role suffices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proposal {
    Invite { identity: Box<Identity>, role: Role },
    Grant { partner: PartnerId, role: Role },
    Remove { partner: PartnerId },
    Suspend { partner: PartnerId },
}

/// A proposal that owners have endorsed and nobody has carried out yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenProposal {
    /// What the endorsements name.
    pub id: Hash,
    pub proposal: Proposal,
    pub endorsers: Vec<PartnerId>,
    /// How many owners must endorse it.
    pub needed: usize,
    /// How many owners there are to do so.
    pub owners: usize,
}

/// What stands between a proposal and its being carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prospect {
    /// The partner's role suffices.
    ByRole,
    /// It takes owners that endorse it.
    ByOwners {
        endorsers: BTreeSet<PartnerId>,
        /// How many owners must endorse it.
        needed: usize,
        /// Those whose endorsements count.
        owners: BTreeSet<PartnerId>,
    },
    /// The partner's role does not let it, whoever endorses it.
    NotAllowed,
}

impl Proposal {
    pub fn kind(&self) -> Kind {
        match self {
            Proposal::Invite { .. } => Kind::Invite,
            Proposal::Grant { .. } => Kind::Grant,
            Proposal::Remove { .. } => Kind::Remove,
            Proposal::Suspend { .. } => Kind::Suspend,
        }
    }

    /// The partner that it is about.
    pub fn partner(&self) -> PartnerId {
        match self {
            Proposal::Invite { identity, .. } => identity.partner(),
            Proposal::Grant { partner, .. }
            | Proposal::Remove { partner }
            | Proposal::Suspend { partner } => *partner,
        }
    }

    /// What endorsements of it name.
    pub fn id(&self, channel: &ChannelId) -> Hash {
        let partner = self.partner().0;
        match self {
            Proposal::Invite { identity, role } => {
                proposal(channel, Kind::Invite, &identity.to_bytes(), Some(*role))
            }
            Proposal::Grant { role, .. } => proposal(channel, Kind::Grant, &partner, Some(*role)),
            other => proposal(channel, other.kind(), &partner, None),
        }
    }

    /// The act that carries it out, and its body.
    fn act(&self, channel: &ChannelId, mut endorsements: Vec<EventId>) -> (Act, Vec<u8>) {
        endorsements.sort_unstable();
        match self {
            Proposal::Invite { identity, role } => {
                let body = InviteBody {
                    partner: (**identity).clone(),
                    role: *role,
                    endorsements,
                };
                (Act::invite(channel, &body), body.to_bytes())
            }
            Proposal::Grant { partner, role } => {
                let body = GrantBody {
                    partner: *partner,
                    role: *role,
                    endorsements,
                };
                (Act::grant(channel, &body), body.to_bytes())
            }
            Proposal::Remove { partner } => {
                let body = RemoveBody {
                    partner: *partner,
                    endorsements,
                };
                (Act::remove(channel, &body), body.to_bytes())
            }
            Proposal::Suspend { partner } => {
                let body = RemoveBody {
                    partner: *partner,
                    endorsements,
                };
                (Act::suspend(channel, &body), body.to_bytes())
            }
        }
    }
}

impl Channel {
    /// What owners have endorsed of late and nobody has carried out: proposals about partners
    /// that the channel knows, by their ids.
    pub fn proposals(&self, own: &PartnerId) -> Vec<OpenProposal> {
        let roles = [Role::Observer, Role::Contributor, Role::Admin, Role::Owner];
        let mut open = Vec::new();
        for partner in self.present().members.keys().copied() {
            let mut candidates = vec![Proposal::Remove { partner }, Proposal::Suspend { partner }];
            for role in roles {
                candidates.push(Proposal::Grant { partner, role });
                if let Some(identity) = self.identity(&partner) {
                    let identity = Box::new(identity.clone());
                    candidates.push(Proposal::Invite { identity, role });
                }
            }
            open.extend(
                candidates
                    .into_iter()
                    .filter_map(|it| self.endorsed(own, it)),
            );
        }
        open.sort_by_key(|proposal| proposal.id);
        open
    }

    /// How far a proposal has come, also one about a partner that the channel does not know yet;
    /// nothing where no owner has endorsed it.
    pub fn endorsed(&self, own: &PartnerId, proposal: Proposal) -> Option<OpenProposal> {
        let (act, _) = proposal.act(&self.id, Vec::new());
        let quorum = self.quorum_for(own, &act)?;
        if quorum.endorsements.is_empty() {
            return None;
        }
        Some(OpenProposal {
            id: quorum.proposal,
            proposal,
            endorsers: quorum.endorsements.iter().map(|(by, _)| *by).collect(),
            needed: quorum.needed,
            owners: quorum.owners,
        })
    }

    /// What stands between a proposal and its being carried out by `own`, as far as is known here.
    /// A proposal that could not change anything is refused.
    pub fn prospect(&self, own: &PartnerId, proposal: &Proposal) -> Result<Prospect, CommandError> {
        self.demand_sensible(proposal)?;
        let view = self.present();
        let (act, _) = proposal.act(&self.id, Vec::new());
        let judged = authority::judge(view, own, &act);
        if judged.rank > authority::Rank::None {
            return Ok(Prospect::ByRole);
        }
        let is_owner = |partner: &PartnerId| {
            let member = view.member(partner);
            member.is_some_and(|member| member.role == Role::Owner)
        };
        let quorum = self.quorum_for(own, &act);
        let quorum = quorum.filter(|_| judged.above.is_some() && is_owner(own));
        let Some(quorum) = quorum else {
            return Ok(Prospect::NotAllowed);
        };
        let target = proposal.partner();
        let mut owners = view.active();
        owners.retain(|partner| is_owner(partner) && !(judged.revokes && *partner == target));
        Ok(Prospect::ByOwners {
            endorsers: quorum.endorsements.iter().map(|(by, _)| *by).collect(),
            needed: quorum.needed,
            owners,
        })
    }

    /// What could not change anything is refused before it is written.
    fn demand_sensible(&self, proposal: &Proposal) -> Result<(), CommandError> {
        let members = &self.present().members;
        let there = members.get(&proposal.partner()).map(|member| member.status);
        match (proposal, there) {
            (Proposal::Invite { .. }, Some(status)) if status <= authority::Status::Active => {
                Err(CommandError::AlreadyThere(status.as_str()))
            }
            (Proposal::Invite { .. }, _) => Ok(()),
            (Proposal::Remove { .. }, Some(status)) if status < authority::Status::Removed => {
                Ok(())
            }
            (_, Some(status)) if status <= authority::Status::Active => Ok(()),
            (_, Some(status)) => Err(CommandError::AlreadyThere(status.as_str())),
            (_, None) => Err(CommandError::NoMember(proposal.partner())),
        }
    }
}

impl Replica {
    /// Orders about roles and writers.
    pub(super) fn role_order(
        &mut self,
        command: Command,
        now: Now,
    ) -> Result<Written, CommandError> {
        match command {
            Command::Share {
                channel,
                partner,
                role,
            } => {
                let identity = Box::new(partner);
                self.carry_out(channel, &Proposal::Invite { identity, role }, now)
            }
            Command::Grant {
                channel,
                partner,
                role,
            } => self.carry_out(channel, &Proposal::Grant { partner, role }, now),
            Command::Remove { channel, partner } => {
                self.carry_out(channel, &Proposal::Remove { partner }, now)
            }
            Command::Suspend { channel, partner } => {
                self.carry_out(channel, &Proposal::Suspend { partner }, now)
            }
            Command::Endorse { channel, proposal } => self.endorse(channel, &proposal, now),
            Command::IntroduceWriters { channel, identity } => {
                self.introduce_writers(channel, *identity, now)
            }
            Command::RetireWriter { channel, writer } => {
                let act = Act::WriterRetire { writer };
                self.act_on_writer(channel, Kind::WriterRetire, &act, writer, now)
            }
            Command::MoveSeat { channel, writer } => {
                let act = Act::SeatMove { writer };
                self.act_on_writer(channel, Kind::SeatMove, &act, writer, now)
            }
            Command::TransferSeat { channel, transfer } => {
                let act = Act::SeatTransfer {
                    partner: transfer.certificates.partner,
                    list: WriterList::of(&transfer.certificates),
                    seat: transfer.seat,
                };
                self.write_control(channel, Kind::SeatTransfer, &act, transfer.to_bytes(), now)
            }
            _ => Err(CommandError::Internal("no order about roles".into())),
        }
    }

    /// Carries a proposal out, where the own role suffices or enough owners endorse it; else
    /// endorses it, and says how many it still lacks.
    fn carry_out(
        &mut self,
        id: ChannelId,
        proposal: &Proposal,
        now: Now,
    ) -> Result<Written, CommandError> {
        self.demand_member(id)?;
        let (act, body) = proposal.act(&id, Vec::new());
        match self.channel(id)?.prospect(&self.partner, proposal)? {
            Prospect::ByRole => return self.write(id, proposal.kind(), body, now),
            Prospect::NotAllowed => return Err(CommandError::NotAllowed),
            Prospect::ByOwners { .. } => {}
        }
        if !self.has_endorsed(id, &act)? {
            self.endorse(id, proposal, now)?;
        }
        let channel = self.channel(id)?;
        let quorum = channel
            .quorum_for(&self.partner, &act)
            .ok_or(CommandError::NotAllowed)?;
        if quorum.endorsements.len() < quorum.needed {
            return Err(CommandError::QuorumMissing {
                proposal: quorum.proposal,
                have: quorum.endorsements.len(),
                needed: quorum.needed,
            });
        }
        let endorsements = quorum.endorsements.iter().map(|(_, event)| *event);
        let (_, body) = proposal.act(&id, endorsements.collect());
        self.write(id, proposal.kind(), body, now)
    }

    fn has_endorsed(&self, id: ChannelId, act: &Act) -> Result<bool, CommandError> {
        let quorum = self.channel(id)?.quorum_for(&self.partner, act);
        let by_own = |endorsements: &[(PartnerId, EventId)]| {
            endorsements.iter().any(|(by, _)| *by == self.partner)
        };
        Ok(quorum.is_some_and(|quorum| by_own(&quorum.endorsements)))
    }

    fn endorse(
        &mut self,
        id: ChannelId,
        proposal: &Proposal,
        now: Now,
    ) -> Result<Written, CommandError> {
        self.channel(id)?.demand_sensible(proposal)?;
        let proposal = proposal.id(&id);
        let act = Act::Endorse { proposal };
        let body = EndorseBody { proposal };
        self.write_control(id, Kind::Endorse, &act, body.to_bytes(), now)
    }

    fn introduce_writers(
        &mut self,
        id: ChannelId,
        identity: Identity,
        now: Now,
    ) -> Result<Written, CommandError> {
        let act = Act::WriterIntroduce {
            partner: identity.partner(),
            list: WriterList::of(&identity.certificates),
        };
        let body = CertificatesBody { identity };
        self.write_control(id, Kind::WriterIntroduce, &act, body.to_bytes(), now)
    }

    fn act_on_writer(
        &mut self,
        id: ChannelId,
        kind: Kind,
        act: &Act,
        writer: WriterId,
        now: Now,
    ) -> Result<Written, CommandError> {
        self.write_control(id, kind, act, WriterBody { writer }.to_bytes(), now)
    }
}

/// A root-signed transfer of a seat, to be carried into a channel by any member.
pub type Transfer = SeatTransferBody;
