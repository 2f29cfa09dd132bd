//! What a sysadmin's command asks of a node, and what the node answers.
//!
//! One request and its answers are lines of JSON on the node's admin socket
//! (`DIR/admin.sock`, a Unix socket of mode 0600: whoever may open it is an administrator). A
//! request is one line; the answer is any number of [`Reply::Item`] lines and then exactly one
//! [`Reply::Done`] or [`Reply::Failed`]. When no node is running, the command opens the same
//! directory itself and asks the same questions in its own process.

use crate::home::people::AccountRole;
use comity_protocol::event::{Category, Label};
use serde::{Deserialize, Deserializer, Serialize};

/// The longest line, in bytes, that either side of the admin socket accepts. An import batch is
/// the largest honest line: 512 posts, most of them short, none above 64 KiB.
pub const MAX_LINE: usize = 64 << 20;

/// A question or an order to the node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Answers one [`NodeStatus`].
    #[serde(deserialize_with = "no_fields")]
    Status,
    /// Makes a peering invitation. Answers one [`PeeringFile`] without words.
    PeerInvite {
        /// How long the invitation may be accepted, in seconds.
        expires_in_s: u64,
        /// The addresses (`host:port`) at which the invited partner will reach this node; empty
        /// for those of the configuration.
        addresses: Vec<String>,
    },
    /// Takes an invitation or the reply to one. Answers one [`PeeringFile`]: with the reply to
    /// carry back when an invitation was taken, and with the twelve words in both cases.
    PeerAccept {
        /// The contents of the file.
        file: String,
        /// As in [`Request::PeerInvite`].
        addresses: Vec<String>,
    },
    /// Declares that the words were compared out of band and puts the pact in force.
    PeerApprove {
        partner: String,
        /// The twelve words as the other side read them; they must equal this side's.
        words: Vec<String>,
    },
    /// Answers a [`PeerInfo`] per peer.
    #[serde(deserialize_with = "no_fields")]
    PeerList,
    /// Closes the link and withholds everything from that partner until resumed.
    PeerSuspend {
        partner: String,
    },
    PeerResume {
        partner: String,
    },
    /// Ends the pact for good; peering anew needs a new invitation.
    PeerRevoke {
        partner: String,
    },
    /// Answers one [`ChannelInfo`].
    ChannelCreate {
        name: String,
        #[serde(default)]
        history: History,
        /// Owners needed for what one owner alone may not do; 0 for a majority.
        #[serde(default)]
        quorum: u8,
    },
    /// Invites a peer's organisation to a shared channel.
    ChannelShare {
        channel: String,
        partner: String,
        role: Role,
    },
    /// Accepts an invitation; `channel` is a name or the start of an id.
    ChannelAccept {
        channel: String,
    },
    ChannelLeave {
        channel: String,
    },
    /// Changes a partner's role. Answers one [`Decided`].
    ChannelGrant {
        channel: String,
        partner: String,
        role: Role,
    },
    /// Ends a partner's membership. Answers one [`Decided`].
    ChannelRemove {
        channel: String,
        partner: String,
    },
    /// Ends a partner's membership until it is shared anew. Answers one [`Decided`].
    ChannelSuspend {
        channel: String,
        partner: String,
    },
    /// Endorses, as an owner, what another owner proposes. Answers one [`Decided`].
    ChannelEndorse {
        channel: String,
        act: MembershipAct,
        partner: String,
        /// For an invitation and a grant: the role.
        role: Option<Role>,
    },
    /// Answers a [`ChannelInfo`] per channel.
    #[serde(deserialize_with = "no_fields")]
    ChannelList,
    /// Answers one [`ChannelInfo`].
    ChannelShow {
        channel: String,
    },
    /// Answers one [`Written`].
    Post {
        channel: String,
        user: String,
        message: String,
        /// The id (or its start) of the post replied to.
        reply_to: Option<String>,
        /// The claimed time; the node's clock when absent.
        create_at_ms: Option<u64>,
        precedence: Precedence,
        /// The partners that it is for, by name or the start of the id, this one included in any
        /// case; empty for all members or, for a reply, the readers of the post replied to.
        #[serde(default)]
        to: Vec<String>,
    },
    /// Replaces the message of an own user's post. Answers one [`Written`].
    Edit {
        post: String,
        user: String,
        message: String,
    },
    /// Withdraws an own user's post. Answers one [`Written`].
    Redact {
        post: String,
        user: String,
    },
    /// Adds (or withdraws) a reaction. Answers one [`Written`].
    React {
        post: String,
        user: String,
        emoji: String,
        remove: bool,
        /// As in [`Request::Post`]; empty for the readers of the post.
        #[serde(default)]
        to: Vec<String>,
    },
    /// Pins a post (or takes that back). Answers one [`Written`].
    Pin {
        post: String,
        user: String,
        remove: bool,
        /// As in [`Request::React`].
        #[serde(default)]
        to: Vec<String>,
    },
    /// Says how far a post came at an own user. Answers one [`Written`].
    Receipt {
        post: String,
        user: String,
        state: ReceiptState,
        /// As in [`Request::React`].
        #[serde(default)]
        to: Vec<String>,
    },
    /// Answers a [`PostInfo`] per post, in timeline order, the last `limit` ones.
    Read {
        channel: String,
        limit: usize,
    },
    /// Answers a [`PostInfo`] per post, channels sorted by name, posts in timeline order.
    Export {
        channel: Option<String>,
    },
    /// Asks how far an import has come. Answers one [`ImportProgress`] per channel of the file
    /// that has any.
    ImportStatus {
        /// SHA-256 of the (uncompressed) file and of what decides which lines are this node's, as
        /// hex.
        import: String,
    },
    /// Posts a batch. Lines at or below the channel's mark are skipped; the mark moves with the
    /// posts, in one write. Lines of one import must come in ascending order per channel.
    /// Answers one [`Imported`].
    Import {
        import: String,
        posts: Vec<ImportPost>,
    },
    /// Begins to hand over a file. Answers one [`FileUpload`].
    FileBegin(NewFile),
    /// Hands over the next chunk, from 0: as many bytes as a chunk has, or the rest.
    FileChunk {
        upload: String,
        chunk: u32,
        /// Base64 with padding.
        data: String,
    },
    /// Sends the file whose chunks were all handed over. Answers one [`Written`].
    FileFinish {
        upload: String,
    },
    /// Answers a [`FileInfo`] per file, in timeline order.
    FileList {
        channel: String,
    },
    /// Fetches what is not held of a file. Answers one [`FileInfo`], then a [`FileProgress`] now
    /// and then, and ends when all is held. What was fetched is kept, also if this ends early.
    FileFetch {
        /// The file's id or the start of it.
        file: String,
        /// How long to wait for a partner that has it, while nothing comes, in seconds.
        wait_s: u64,
    },
    /// Answers one [`FileData`]: a chunk that is held, opened.
    FileRead {
        file: String,
        chunk: u32,
    },
    /// Answers a [`WriterInfo`] per writer of this node, in the order in which they come into use.
    #[serde(deserialize_with = "no_fields")]
    WriterList,
    /// Never uses a writer of this node again. Answers a [`WriterActed`] per channel.
    WriterRetire {
        /// The writer's id or the start of it.
        writer: String,
    },
    /// Gives the partner's seat to another writer of this node. Answers a [`WriterActed`] per
    /// channel.
    SeatMove {
        writer: String,
        /// In this channel only.
        channel: Option<String>,
    },
    /// Answers a [`LostSeatInfo`] per seat that none of this node's writers can act from.
    SeatsLost {
        channel: Option<String>,
    },
    /// Carries a seat transfer that the partner's root has signed. Answers one [`WriterActed`].
    SeatTransfer {
        /// The channel's id.
        channel: String,
        /// A seat transfer's body, Base64 with padding.
        transfer: String,
    },
    /// Makes an account for a user of this partner. Answers one [`UserInfo`].
    UserAdd {
        name: String,
        password: String,
        #[serde(default)]
        email: String,
        /// A member's where there are none.
        #[serde(default)]
        roles: Vec<AccountRole>,
    },
    /// Gives a user these roles and no others. Answers one [`UserInfo`].
    UserRoles {
        name: String,
        roles: Vec<AccountRole>,
    },
    /// Puts an account under the care of the organisation's provider: it logs in there from now on,
    /// and by no password here. Answers one [`UserInfo`].
    UserLink {
        name: String,
        /// Such as `oidc:corp`.
        source: String,
        /// The provider's own name for the user, such as its `sub`.
        subject: String,
    },
    /// Makes the token that lets the organisation's provisioning in; the one before ends. Answers one
    /// [`ProvisioningToken`].
    ProvisioningToken {
        /// How long it lets in, in seconds.
        lasts_s: u64,
    },
    /// Answers a [`UserInfo`] per account, by name.
    #[serde(deserialize_with = "no_fields")]
    UserList,
    /// Sets a user's password, and ends all of the user's sessions. Answers one [`UserInfo`].
    UserPassword {
        name: String,
        password: String,
    },
    /// Lets a user log in, or not any more: that ends all of the user's sessions at once. Answers
    /// one [`UserInfo`].
    UserActive {
        name: String,
        active: bool,
    },
    /// Answers a [`UserSessionInfo`] per session and access token of a user, last used first.
    UserSessions {
        name: String,
    },
    /// Ends one session of a user, or all of them. Answers one [`UserInfo`].
    UserLogout {
        name: String,
        /// The session's id, or the start of it; none for all.
        session: Option<String>,
    },
    /// Answers one [`Digests`].
    #[serde(deserialize_with = "no_fields")]
    Digests,
    /// Stops the node gracefully.
    #[serde(deserialize_with = "no_fields")]
    Stop,
}

/// Serde by itself lets a variant without fields pass with any.
fn no_fields<'de, D: Deserializer<'de>>(fields: D) -> Result<(), D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NoFields {}

    NoFields::deserialize(fields).map(|NoFields {}| ())
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Whether a mark that hardly anything bears can be left out.
fn is_false(mark: &bool) -> bool {
    !mark
}

/// One line of an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and nearly all are items"
)]
pub enum Reply {
    Item { item: Item },
    Done,
    Failed { error: ApiError },
}

/// A value in an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Item {
    Status(NodeStatus),
    Peering(PeeringFile),
    Peer(PeerInfo),
    Channel(ChannelInfo),
    Decided(Decided),
    Written(Written),
    Post(PostInfo),
    ImportProgress(ImportProgress),
    Imported(Imported),
    FileUpload(FileUpload),
    File(FileInfo),
    FileProgress(FileProgress),
    FileData(FileData),
    Writer(WriterInfo),
    WriterActed(WriterActed),
    LostSeat(LostSeatInfo),
    User(UserInfo),
    UserSession(UserSessionInfo),
    ProvisioningToken(ProvisioningToken),
    Digests(Digests),
}

/// Why a request failed: what happened, whose fault it is and what to do next.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{what}")]
pub struct ApiError {
    /// A stable word for programs, such as `no_such_channel`.
    pub code: String,
    pub what: String,
    pub fault: Fault,
    /// What the reader can do next; may be empty.
    pub advice: String,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Whoever gave the command or wrote the configuration.
    Operator,
    /// The user named in the request.
    User,
    /// Another partner.
    Peer,
    /// This node: a bug, a full disk, a broken store.
    Node,
}

/// A partner's role in a channel, as commands write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Observer,
    Contributor,
    Admin,
    Owner,
}

impl Role {
    /// The role as commands write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Observer => "observer",
            Role::Contributor => "contributor",
            Role::Admin => "admin",
            Role::Owner => "owner",
        }
    }
}

/// What may be decided about another partner's membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MembershipAct {
    Invite,
    Grant,
    Remove,
    Suspend,
}

impl MembershipAct {
    /// The act as commands write it.
    pub fn as_str(self) -> &'static str {
        match self {
            MembershipAct::Invite => "invite",
            MembershipAct::Grant => "grant",
            MembershipAct::Remove => "remove",
            MembershipAct::Suspend => "suspend",
        }
    }
}

/// What a partner that joins a channel may read of what was written before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// Nothing: it reads what is written from then on.
    #[default]
    FromJoin,
    /// All that was for all members; never what was for some.
    All,
}

/// How far a post came at a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    Delivered,
    Read,
}

/// Whether a message is for all members at the time or for a stated audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneForm {
    Open,
    Directed,
}

/// How urgent a message is (ACP 127); it orders what is sent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precedence {
    #[default]
    Routine,
    Priority,
    Immediate,
    Flash,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeStatus {
    pub partner: String,
    pub partner_id: String,
    pub version: String,
    pub listen: String,
    /// `serving`, or `offline` when a command opened the directory itself.
    pub mode: String,
    pub uptime_s: u64,
    pub channels: u64,
    pub events: u64,
    pub posts: u64,
    pub parked_events: u64,
    pub parked_bytes: u64,
    pub disk_bytes: u64,
    pub rss_bytes: u64,
    /// UDP payload bytes since the start of the process.
    pub wire_bytes_sent: u64,
    pub wire_bytes_received: u64,
    /// The datagrams that carried them; each has headers of its own on the link.
    pub wire_datagrams_sent: u64,
    pub wire_datagrams_received: u64,
    /// User and system time of all threads since the start of the process, in milliseconds.
    pub cpu_ms: u64,
    /// How often peers came up against each limit since the start of the process.
    #[serde(default)]
    pub limits_met: std::collections::BTreeMap<String, u64>,
    /// Of this node's writers: those that it can go on under after a restore.
    #[serde(default)]
    pub spare_writers: u64,
    /// Those that it never uses again: its store may be older than what they wrote.
    #[serde(default)]
    pub spent_writers: u64,
    /// Channels in which none of this node's writers can act from the partner's seat.
    #[serde(default)]
    pub lost_seats: Vec<String>,
    pub peers: Vec<PeerInfo>,
    /// What an operator should look at; empty when all is well.
    pub warnings: Vec<String>,
}

/// A session of a user's device, or an access token of a user's program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UserSessionInfo {
    pub id: String,
    /// `device` or `token`.
    pub kind: String,
    /// What the device is called, or what the token is for.
    pub device: String,
    /// From where it was used last; empty where that is not known.
    pub address: String,
    /// Unix milliseconds.
    pub created_ms: u64,
    pub used_ms: u64,
}

/// A user of this partner that has an account at this node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UserInfo {
    pub name: String,
    pub id: String,
    pub email: String,
    /// Whether the user may log in.
    pub active: bool,
    pub sessions: u64,
    pub roles: Vec<AccountRole>,
    /// Who vouches for the user: `local`, or a provider such as `oidc:corp`.
    pub source: String,
}

/// What lets the organisation's provisioning in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProvisioningToken {
    /// Told this once.
    pub token: String,
    /// When it ends, in Unix milliseconds.
    pub until_ms: u64,
}

/// A writer of this node: a signing key of its own, with a log of its own in each lane.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WriterInfo {
    pub id: String,
    /// `in_use`, `spare` or `spent` (never used again).
    pub state: String,
    /// Channels in which it is the partner's seat.
    pub seat_in: Vec<String>,
    /// Channels in which it may write.
    pub known_in: Vec<String>,
    /// Channels of this partner in which it may not write: they do not know it, or not any more.
    pub unknown_in: Vec<String>,
}

/// What an order on a writer came to in one channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WriterActed {
    pub channel: String,
    pub channel_id: String,
    pub writer: String,
    /// `introduced`, `retired`, `moved`, `transferred` or `refused`.
    pub done: String,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// A seat that the root has to transfer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LostSeatInfo {
    pub channel: String,
    pub channel_id: String,
    /// The id of this partner, whose root is to sign.
    pub partner_id: String,
    /// The writer of this node that takes the seat.
    pub writer: String,
    /// A seat transfer's body that lacks the root's signature, Base64 with padding.
    pub transfer: String,
    /// Whether the channel knows no writer that this node may use: another member has to carry it.
    pub by_another: bool,
}

/// A file to carry to the other partner, and the words to compare.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeeringFile {
    /// The other partner's name, when it is known yet.
    pub partner: Option<String>,
    /// The file to hand over; absent when the exchange is complete on this side.
    pub file: Option<String>,
    /// Twelve words, once both files are known to this side.
    pub words: Option<Vec<String>>,
    /// When the invitation expires, Unix milliseconds.
    pub expires_at_ms: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeerInfo {
    pub partner: String,
    pub partner_id: String,
    /// `waiting` (words not approved here), `active`, `suspended` or `revoked`.
    pub state: String,
    pub words: Option<Vec<String>>,
    pub addresses: Vec<String>,
    pub connected: bool,
    pub remote: Option<String>,
    /// The negotiated key exchange group, such as `X25519MLKEM768`.
    pub group: Option<String>,
    pub rtt_ms: Option<f64>,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    /// Events the peer is known to lack.
    pub behind_events: u64,
    pub reconnections: u64,
    pub last_error: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChannelInfo {
    pub name: String,
    pub id: String,
    /// This partner's own status: `invited`, `active`, `left`, `removed` or `suspended`.
    pub status: String,
    pub members: Vec<MemberInfo>,
    pub posts: u64,
    pub events: u64,
    pub history: History,
    /// By the charter: owners needed for what one owner alone may not do; 0 for a majority.
    pub quorum: u8,
    /// What owners have endorsed and nobody has carried out; told of a single channel only.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub proposals: Vec<ProposalInfo>,
    /// How far each lane that this partner reads is final; told of a single channel only.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub lanes: Vec<LaneInfo>,
}

/// How far a lane is final.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LaneInfo {
    /// `control`, `open` or `directed`.
    pub form: String,
    /// The partners that read it; of the control lane the members.
    pub audience: Vec<String>,
    /// The number of the last barrier that stands; 0 for none.
    pub barrier: u64,
    /// Events that are not final, acknowledgements apart.
    pub not_final: u64,
    /// The partners whose acknowledgement is waited for.
    pub waits_for: Vec<String>,
}

/// A proposal that waits for endorsements of owners, or for being carried out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProposalInfo {
    pub act: MembershipAct,
    pub partner: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<Role>,
    /// The owners that have endorsed it.
    pub endorsed_by: Vec<String>,
    /// How many owners must.
    pub needed: u64,
}

/// A decision about a partner's membership, as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Decided {
    pub channel: String,
    pub channel_id: String,
    pub partner: String,
    pub partner_id: String,
    /// What happened, such as `removed`.
    pub done: String,
    /// What follows from it, a sentence each, for people.
    pub consequences: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MemberInfo {
    pub partner: String,
    pub partner_id: String,
    pub role: Role,
    pub status: String,
    /// The ids of the nodes that may write for the partner, the one first that acts for it in
    /// matters of membership.
    pub writers: Vec<String>,
}

/// What a write came to; it is on disk, synced.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Written {
    pub id: String,
    pub channel: String,
    /// The partners whose nodes will receive it.
    pub audience: Vec<String>,
    /// Members that it leaves out because the pact with them is suspended or revoked.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub left_out: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostInfo {
    pub channel: String,
    pub id: String,
    /// `name@partner`.
    pub author: String,
    /// The claimed time, Unix milliseconds.
    pub create_at: u64,
    /// Absent while the key or the body is not here, when withdrawn, and when flagged.
    pub message: Option<String>,
    /// Where the message is absent: why, in words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
    pub form: LaneForm,
    /// The partners that it is for.
    pub audience: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reply_to: Option<String>,
    /// Answers to it, and the time of the last one, Unix milliseconds.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub replies: u64,
    #[serde(skip_serializing_if = "is_zero", default)]
    pub last_reply_at: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub edit_at: Option<u64>,
    /// `shown`, `withdrawn`, `flagged` (kept, not shown), `no_key` or `unreadable`.
    pub state: String,
    /// Its writer was proved to have signed two events for one position, and nobody can tell
    /// whether others were shown the same.
    #[serde(skip_serializing_if = "is_false", default)]
    pub forked: bool,
    /// Nothing that any partner does can change any more where it stands and what it is worth.
    #[serde(rename = "final", default)]
    pub is_final: bool,
    /// It came so long after what partners had agreed on that it stands later than its time.
    #[serde(skip_serializing_if = "is_false", default)]
    pub late: bool,
    /// What its author says of how confidential it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub label: Option<LabelInfo>,
    pub pinned: bool,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reactions: Vec<ReactionInfo>,
    /// The furthest that each user says it came.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub receipts: Vec<ReceiptInfo>,
}

/// A confidentiality label, in the shape of STANAG 4774. Without a policy of labels it is told to
/// readers, and whatever is about the message bears one that is no lower; it keeps nobody out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelInfo {
    /// Whose classifications these are; 1 to 64 bytes, as the next.
    pub policy: String,
    pub classification: String,
    /// At most 16.
    #[serde(default)]
    pub categories: Vec<CategoryInfo>,
    #[serde(default)]
    pub originator: String,
    /// Unix milliseconds; the message's own time where a new one has none.
    #[serde(default)]
    pub created_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryInfo {
    pub tag: String,
    pub form: CategoryForm,
    /// At most 64, of 64 bytes each.
    pub values: Vec<String>,
}

/// What a category asks of readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CategoryForm {
    /// All of its values.
    Restrictive,
    /// One of its values, such as a nation in REL TO.
    Permissive,
    /// Nothing.
    Informative,
}

impl LabelInfo {
    /// As a message bears it; what is wrong with it otherwise.
    pub fn label(&self, claimed_ms: u64) -> Result<Label, &'static str> {
        if self.policy.is_empty() || self.classification.is_empty() {
            return Err("a label names a policy and a classification");
        }
        let category = |it: &CategoryInfo| {
            let mut values = it.values.clone();
            values.sort_unstable();
            Category {
                tag: it.tag.clone(),
                form: match it.form {
                    CategoryForm::Restrictive => 1,
                    CategoryForm::Permissive => 2,
                    CategoryForm::Informative => 3,
                },
                values,
            }
        };
        let label = Label {
            policy: self.policy.clone(),
            classification: self.classification.clone(),
            categories: self.categories.iter().map(category).collect(),
            originator: self.originator.clone(),
            created_ms: match self.created_ms {
                0 => claimed_ms,
                created => created,
            },
        };
        let checked = label.check();
        checked.map_err(
            |_| "a label has texts of at most 64 bytes, and at most 16 categories of 64 values",
        )?;
        Ok(label)
    }
}

impl From<&Label> for LabelInfo {
    fn from(label: &Label) -> LabelInfo {
        let category = |it: &Category| CategoryInfo {
            tag: it.tag.clone(),
            form: match it.form {
                1 => CategoryForm::Restrictive,
                2 => CategoryForm::Permissive,
                _ => CategoryForm::Informative,
            },
            values: it.values.clone(),
        };
        LabelInfo {
            policy: label.policy.clone(),
            classification: label.classification.clone(),
            categories: label.categories.iter().map(category).collect(),
            originator: label.originator.clone(),
            created_ms: label.created_ms,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReactionInfo {
    pub emoji: String,
    pub author: String,
    /// The claimed time, Unix milliseconds.
    #[serde(default)]
    pub create_at: u64,
}

/// A file that a user wants to send.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewFile {
    pub channel: String,
    pub user: String,
    /// For people; 1 to 255 bytes.
    pub name: String,
    pub media_type: String,
    /// Bytes in all.
    pub size: u64,
    /// The partners that it is for, by name, this one included in any case; empty for all members
    /// or, where it belongs to a post, the readers of the post.
    pub to: Vec<String>,
    /// The id (or its start) of the post that it belongs to.
    pub post: Option<String>,
    /// The claimed time; the node's clock when absent.
    pub create_at_ms: Option<u64>,
    pub precedence: Precedence,
}

/// Where to hand a file's chunks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileUpload {
    pub upload: String,
    /// How many bytes each chunk but the last has.
    pub chunk_bytes: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileInfo {
    pub channel: String,
    pub id: String,
    /// `name@partner`.
    pub author: String,
    /// The claimed time, Unix milliseconds.
    pub create_at: u64,
    /// As its author named it: no path. Absent like the next two where it cannot be read.
    pub name: Option<String>,
    pub media_type: Option<String>,
    /// In bytes.
    pub size: Option<u64>,
    pub audience: Vec<String>,
    /// The post that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub post: Option<String>,
    /// `held`, `partly_held`, `not_fetched`, `withdrawn`, `flagged`, `no_key` or `unreadable`.
    pub state: String,
    /// As [`PostInfo::forked`].
    #[serde(skip_serializing_if = "is_false", default)]
    pub forked: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileProgress {
    /// Bytes of the file that are held.
    pub held: u64,
    pub size: u64,
    /// Who is asked at present.
    pub from: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileData {
    pub chunk: u32,
    /// Base64 with padding.
    pub data: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReceiptInfo {
    /// `name@partner`.
    pub author: String,
    pub state: ReceiptState,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportPost {
    /// The line of the file, from 1.
    pub line: u64,
    pub channel: String,
    pub user: String,
    pub message: String,
    pub create_at_ms: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportProgress {
    pub channel: String,
    /// The last line imported; every earlier line of that channel is imported too.
    pub line: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Imported {
    pub posted: u64,
    pub skipped: u64,
}

/// What one compares between nodes: equal digests mean equal channels. Counts and digests are of
/// what is, or was, shared with another partner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Digests {
    pub posts: u64,
    pub events: u64,
    pub timeline: String,
    pub state: String,
    pub channels: Vec<ChannelDigest>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChannelDigest {
    pub channel: String,
    pub posts: u64,
    pub events: u64,
    pub timeline: String,
    pub state: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_refused_in_every_request() {
        let known = [
            r#""request":"status""#,
            r#""request":"peer_list""#,
            r#""request":"channel_list""#,
            r#""request":"digests""#,
            r#""request":"stop""#,
            r#""request":"channel_leave","channel":"harbour""#,
        ];
        for fields in known {
            let parse = |text: String| serde_json::from_str::<Request>(&text);
            assert!(parse(format!("{{{fields}}}")).is_ok(), "{fields}");
            let unknown = parse(format!(r#"{{{fields},"force":true}}"#)).unwrap_err();
            assert!(unknown.to_string().contains("force"), "{unknown}");
        }
    }

    #[test]
    fn requests_without_fields_read_back() {
        let text = serde_json::to_string(&Request::Status).unwrap();
        assert_eq!(text, r#"{"request":"status"}"#);
        assert!(matches!(serde_json::from_str(&text), Ok(Request::Status)));
    }
}
