//! The arguments of every command, and their help.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::demo::names::MAX_PARTNERS;
use super::time::parse_span;
use super::words::Words;
use crate::api::{History, MembershipAct, Precedence, ReceiptState, Role};
use crate::config::{self, DEFAULT_LISTEN};
use crate::home::people::AccountRole;

/// The environment variable that names the node's directory.
const DIRECTORY_VARIABLE: &str = "COMITY_DIR";
const DEFAULT_DIRECTORY: &str = "comity-data";
/// The largest quorum that a charter may ask for: every partner of the largest channel.
const MAX_QUORUM: i64 = comity_protocol::limits::PARTNERS as i64;

/// Shared channels between organisations that host nothing for one another.
#[derive(Debug, Parser)]
#[command(
    name = "comity",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 ok, 1 warning, 2 failed, 3 unknown.\n\n\
                  Example: see it run, three partners on this machine\n  comity demo"
)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub struct Common {
    /// The node's directory [default: $COMITY_DIR, or ./comity-data]
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print JSON, one object a line, for programs
    #[arg(long, global = true)]
    pub json: bool,
}

impl Common {
    /// The node's directory: as given, or of the environment, or the default.
    pub fn directory(&self) -> PathBuf {
        self.dir
            .clone()
            .or_else(|| std::env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from))
            .unwrap_or_else(|| DEFAULT_DIRECTORY.into())
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a node: its directory, keys and configuration
    Init(InitArgs),
    /// Run the node until it is stopped
    Serve(ServeArgs),
    /// Check the node's directory, keys and configuration
    #[command(after_help = "Example:\n  comity check --dir /var/lib/comity")]
    Check,
    /// Show how the node is doing
    #[command(
        after_help = "Exits with 0 when all is well, 1 with warnings, 2 when the node is not \
                      running, 3 when it does not answer.\n\n\
                      Example:\n  comity status --dir /var/lib/comity"
    )]
    Status,
    /// Peer with other partners
    #[command(subcommand)]
    Peer(PeerCommand),
    /// Create and share channels
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// Post a message
    Post(PostArgs),
    /// Replace the message of a post
    Edit(EditArgs),
    /// Withdraw a post
    Redact(RedactArgs),
    /// React to a post
    React(ReactArgs),
    /// Pin a post, or take that back
    Pin(PinArgs),
    /// Say that a post was delivered to a user, or read
    Receipt(ReceiptArgs),
    /// Send files, and fetch those of others
    #[command(subcommand)]
    File(FileCommand),
    /// Show the last posts and files of a channel
    Read(ReadArgs),
    /// Print all posts and files in timeline order, one JSON object a line
    Export(ExportArgs),
    /// Post what a Mattermost bulk export contains
    Import(ImportArgs),
    /// Look after the node's keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Look after the accounts of the partner's own users
    #[command(subcommand)]
    User(UserCommand),
    /// Look after the node's writers, its spares, and the partner's seat in channels
    #[command(subcommand)]
    Writer(WriterCommand),
    /// Show that the node has nothing of what is not for its partner
    ProveSegregation(SegregationArgs),
    /// Simulate a channel on the links of a mission
    Simulate(SimulateArgs),
    /// Run several partners on this machine and let them talk
    Demo(DemoArgs),
    /// Stop the running node gracefully
    #[command(after_help = "Example:\n  comity stop --dir /var/lib/comity")]
    Stop,
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make an account
    Add(UserAddArgs),
    /// List the accounts
    #[command(after_help = "Example:\n  comity user list")]
    List,
    /// Set a user's password, and end all of the user's sessions
    Password(UserPasswordArgs),
    /// Give a user these roles and no others; docs/roles.md says what each may do
    Roles(UserRolesArgs),
    /// Put an account under the care of the organisation's provider, at which it logs in from now on
    Link(UserLinkArgs),
    /// Make the token by which the organisation's provisioning (SCIM) is let in; it is shown once
    ProvisioningToken(ProvisioningTokenArgs),
    /// Let a user log in no more, and end all of the user's sessions
    #[command(after_help = "Example:\n  comity user disable alice")]
    Disable(UserName),
    /// Let a user log in again
    #[command(after_help = "Example:\n  comity user enable alice")]
    Enable(UserName),
    /// List a user's sessions: the device, from where and when it was used last
    #[command(after_help = "Example:\n  comity user sessions alice")]
    Sessions(UserName),
    /// End one session of a user, or all of them
    Logout(UserLogoutArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  comity user logout alice --session qz5gtm")]
pub struct UserLogoutArgs {
    /// The user's name
    pub name: String,
    /// End this session only, by its id or the start of it
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
}

#[derive(Debug, Args)]
pub struct UserName {
    /// The user's name
    pub name: String,
}

#[derive(Debug, Args)]
pub struct PasswordSource {
    /// Take the password from the first line of this file [default: of standard input]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  comity user add alice --password-file alice.txt")]
pub struct UserAddArgs {
    /// The user's name: letters, digits, '.', '-' and '_'
    pub name: String,
    #[command(flatten)]
    pub password: PasswordSource,
    /// The user's mail address, by which the user may log in, too
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    pub email: String,
    /// What the user may do; may be given again [default: member]
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<AccountRole>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  comity user roles carol security_officer auditor")]
pub struct UserRolesArgs {
    /// The user's name
    pub name: String,
    /// The roles; with none, the user may do nothing
    #[arg(value_name = "ROLE")]
    pub roles: Vec<AccountRole>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  comity user link alice oidc:corp 248289761001")]
pub struct UserLinkArgs {
    /// The user's name here
    pub name: String,
    /// Which provider: oidc:NAME, saml:NAME, ldap or scim
    pub source: String,
    /// The provider's own name for the user, which it gives to nobody else
    pub subject: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  comity user provisioning-token --lasts 90d")]
pub struct ProvisioningTokenArgs {
    /// How long the token lets in: a number and s, m, h, d or w
    #[arg(long, value_name = "SPAN", default_value = "365d", value_parser = parse_span)]
    pub lasts: std::time::Duration,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  comity user password alice --password-file new.txt")]
pub struct UserPasswordArgs {
    /// The user's name
    pub name: String,
    #[command(flatten)]
    pub password: PasswordSource,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    comity init alpha --dir /var/lib/comity --address node.alpha.example:7443")]
pub struct InitArgs {
    /// The short name of the partner, such as alpha; what others will see
    pub partner: String,
    /// The UDP address and port to listen on
    #[arg(long, value_name = "IP:PORT", default_value = DEFAULT_LISTEN)]
    pub listen: std::net::SocketAddr,
    /// An address at which other partners reach this node; may be repeated
    #[arg(long = "address", value_name = "HOST:PORT", value_parser = address)]
    pub addresses: Vec<String>,
    /// The address and port at which the node serves its own users [default: it serves none]
    #[arg(long, value_name = "IP:PORT")]
    pub http: Option<std::net::SocketAddr>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Stops on Ctrl-C, SIGTERM or `comity stop`. Logs to standard error.\n\n\
                  After a restore, --restored is given once, at the first start, before any other \
                  command writes in the directory: each time that it is given uses up a spare \
                  writer. See docs/operations.md, 'After restoring a backup'.\n\n\
                  Examples:\n  comity serve --dir /var/lib/comity\n  \
                  comity serve --dir /var/lib/comity --restored"
)]
pub struct ServeArgs {
    /// The directory was put back from a backup: never write again as the writers that it has
    /// used. TIMES is how often this same backup was put back, this time included
    #[arg(long, value_name = "TIMES", num_args = 0..=1, require_equals = true,
          default_missing_value = "1", value_parser = clap::value_parser!(u8).range(1..))]
    pub restored: Option<u8>,
    /// Stop when standard input ends, so as not to outlive whoever started it
    #[arg(long, hide = true)]
    pub until_stdin_ends: bool,
}

#[derive(Debug, Subcommand)]
pub enum PeerCommand {
    /// Write an invitation, a file to carry to another partner
    Invite(InviteArgs),
    /// Take an invitation, and write the reply; or take a reply
    Accept(AcceptArgs),
    /// Put the pact in force after comparing the twelve words
    Approve(ApproveArgs),
    /// List the peers and their links
    #[command(after_help = "Example:\n  comity peer list")]
    List,
    /// Close the link and withhold everything from a peer until resumed
    #[command(after_help = "Example:\n  comity peer suspend bravo")]
    Suspend(PeerName),
    /// Take a suspension back
    #[command(after_help = "Example:\n  comity peer resume bravo")]
    Resume(PeerName),
    /// End the pact for good; peering anew needs a new invitation
    #[command(after_help = "Example:\n  comity peer revoke bravo")]
    Revoke(PeerName),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  comity peer invite --out for-bravo.invite --expires 3d")]
pub struct InviteArgs {
    /// Where to write the invitation, a file that does not exist yet; standard output if absent
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How long the invitation may be accepted (s, m, h, d, w)
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = parse_span)]
    pub expires: Duration,
    /// An address for this partner to reach this node, instead of those of the configuration;
    /// may be repeated
    #[arg(long = "address", value_name = "HOST:PORT", value_parser = address)]
    pub addresses: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comity peer accept for-bravo.invite --out for-alpha.reply   (the invited side)\n  \
    comity peer accept for-alpha.reply                          (the inviting side)")]
pub struct AcceptArgs {
    /// The invitation or the reply; - for standard input
    pub file: PathBuf,
    /// Where to write the reply, a file that does not exist yet; standard output if absent
    #[arg(long, value_name = "REPLY")]
    pub out: Option<PathBuf>,
    /// An address for this partner to reach this node, instead of those of the configuration;
    /// may be repeated
    #[arg(long = "address", value_name = "HOST:PORT", value_parser = address)]
    pub addresses: Vec<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "At a terminal, without --words, this shows the words of this side and asks \
                  whether the other side read the same.\n\n\
                  Examples:\n  comity peer approve bravo\n  \
                  comity peer approve bravo --words \"twelve words as the other side read them\""
)]
pub struct ApproveArgs {
    /// The partner to approve
    pub partner: String,
    /// The twelve words as the other side read them, in one argument
    #[arg(long, value_name = "WORDS")]
    pub words: Option<Words>,
}

#[derive(Debug, Args)]
pub struct PeerName {
    /// The partner's short name
    pub partner: String,
}

#[derive(Debug, Subcommand)]
pub enum ChannelCommand {
    /// Create a channel, of which this partner is the owner
    Create(CreateArgs),
    /// Invite a peer to a channel
    Share(ShareArgs),
    /// Accept the invitation to a channel
    #[command(after_help = "Example:\n  comity channel accept harbour")]
    Accept(ChannelName),
    /// Leave a channel
    #[command(after_help = "Example:\n  comity channel leave harbour")]
    Leave(ChannelName),
    /// Change what a partner may do
    Grant(GrantArgs),
    /// End a partner's membership
    #[command(
        after_help = "The partner keeps what it has received. It gets nothing that is written \
                      from now on, and the members' keys change with their next messages. It \
                      comes back by: comity channel share.\n\n\
                      Example:\n  comity channel remove harbour charlie"
    )]
    Remove(MemberArgs),
    /// End a partner's membership for a time: as remove, shown as suspended
    #[command(after_help = "It is lifted by: comity channel share.\n\n\
                      Example:\n  comity channel suspend harbour charlie")]
    Suspend(MemberArgs),
    /// Endorse, as an owner, what one owner alone may not do
    Endorse(EndorseArgs),
    /// List the channels and their members
    #[command(after_help = "Example:\n  comity channel list")]
    List,
    /// Show a channel: its members and rules
    #[command(after_help = "Example:\n  comity channel show harbour")]
    Show(ChannelName),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Neither can be changed later: both are part of the charter.\n\n\
                  Examples:\n  comity channel create harbour\n  \
                  comity channel create archive --history all --quorum 2"
)]
pub struct CreateArgs {
    /// The channel's name
    pub channel: String,
    /// What a partner that joins may read of what was written before
    #[arg(long, value_enum, default_value = "from_join")]
    pub history: History,
    /// How many owners must endorse what one owner alone may not do: acts on owners, and making
    /// owners; 0 for a majority of the owners
    #[arg(long, value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u8).range(0..=MAX_QUORUM))]
    pub quorum: u8,
}

#[derive(Debug, Args)]
pub struct MemberArgs {
    /// The channel's name or the start of its id
    pub channel: String,
    /// The partner, by name or the start of the id
    pub partner: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  comity channel grant harbour bravo admin")]
pub struct GrantArgs {
    #[command(flatten)]
    pub member: MemberArgs,
    /// What the partner may do from now on
    #[arg(value_enum)]
    pub role: Role,
}

#[derive(Debug, Args)]
#[command(
    after_help = "An owner who tries what needs several owners endorses it by that, and is told \
                  what the others have to type. When enough have endorsed, any owner carries it \
                  out by the plain command. `comity channel show` tells how far it is.\n\n\
                  Examples:\n  comity channel endorse harbour remove delta\n  \
                  comity channel endorse harbour grant bravo --role owner"
)]
pub struct EndorseArgs {
    /// The channel's name or the start of its id
    pub channel: String,
    /// What is proposed
    #[arg(value_enum)]
    pub act: MembershipAct,
    /// The partner that it is about, by name or the start of the id
    pub partner: String,
    /// The role that is proposed, for invite and grant
    #[arg(long, value_enum)]
    pub role: Option<Role>,
}

#[derive(Debug, Args)]
pub struct ChannelName {
    /// The channel's name or the start of its id
    pub channel: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  comity channel share harbour bravo --role contributor")]
pub struct ShareArgs {
    /// The channel's name or the start of its id
    pub channel: String,
    /// The peer to invite
    pub partner: String,
    /// What the peer may do
    #[arg(long, value_enum, default_value = "contributor")]
    pub role: Role,
}

/// For whom a message is.
#[derive(Debug, Args)]
pub struct To {
    /// The partners that it is for, by name or the start of the id, this one included in any
    /// case; all others receive nothing of it [default: whoever may read it]
    #[arg(long, value_name = "PARTNERS", value_delimiter = ',')]
    pub to: Vec<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is trimmed: a message read from standard input keeps its last \
                  newline.\n\n\
                  Examples:\n  comity post harbour 'The pilot is on board.' --user alice\n  \
                  comity post harbour 'Between us three.' --user alice --to bravo,charlie\n  \
                  printf %s \"$TEXT\" | comity post harbour - --user alice --precedence priority"
)]
pub struct PostArgs {
    /// The channel's name or the start of its id
    pub channel: String,
    /// The message; - for standard input
    pub message: String,
    /// The user of this partner who posts
    #[arg(long, value_name = "NAME")]
    pub user: String,
    /// The id, or its start, of the post replied to
    #[arg(long, value_name = "POST")]
    pub reply_to: Option<String>,
    /// The claimed time in Unix milliseconds; the node's clock if absent
    #[arg(long, value_name = "MS")]
    pub create_at: Option<u64>,
    /// How urgent it is
    #[arg(long, value_enum, default_value = "routine")]
    pub precedence: Precedence,
    #[command(flatten)]
    pub to: To,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    comity edit 3f9a2c 'The pilot is on board since 0610.' --user alice")]
pub struct EditArgs {
    /// The id, or its start, of the post
    pub post: String,
    /// The new message; - for standard input
    pub message: String,
    /// The user who wrote the post
    #[arg(long, value_name = "NAME")]
    pub user: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  comity redact 3f9a2c --user alice")]
pub struct RedactArgs {
    /// The id, or its start, of the post
    pub post: String,
    /// The user who wrote the post
    #[arg(long, value_name = "NAME")]
    pub user: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  comity react 3f9a2c +1 --user alice\n  \
    comity react 3f9a2c +1 --user alice --remove")]
pub struct ReactArgs {
    /// The id, or its start, of the post
    pub post: String,
    /// The emoji or its name
    pub emoji: String,
    /// The user who reacts
    #[arg(long, value_name = "NAME")]
    pub user: String,
    /// Withdraw the reaction
    #[arg(long)]
    pub remove: bool,
    #[command(flatten)]
    pub to: To,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  comity pin 3f9a2c --user alice\n  \
    comity pin 3f9a2c --user alice --remove")]
pub struct PinArgs {
    /// The id, or its start, of the post
    pub post: String,
    /// The user who pins it
    #[arg(long, value_name = "NAME")]
    pub user: String,
    /// Take the pin off, whoever set it
    #[arg(long)]
    pub remove: bool,
    #[command(flatten)]
    pub to: To,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  comity receipt 3f9a2c --state read --user alice")]
pub struct ReceiptArgs {
    /// The id, or its start, of the post
    pub post: String,
    /// How far it came
    #[arg(long, value_enum)]
    pub state: ReceiptState,
    /// The user at whom it came so far
    #[arg(long, value_name = "NAME")]
    pub user: String,
    #[command(flatten)]
    pub to: To,
}

#[derive(Debug, Subcommand)]
pub enum FileCommand {
    /// Send a file
    Send(FileSendArgs),
    /// Fetch a file from whoever has it, and write it
    Get(FileGetArgs),
    /// List the files of a channel
    List(FileListArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "The file is handed to the node, which must be running; others fetch it from \
                  there when they want it. At most 1 GiB.\n\n\
                  Examples:\n  comity file send harbour plan.pdf --user alice --to bravo,charlie\n  \
                  comity file send harbour plan.pdf --user alice --post 3f9a2c"
)]
pub struct FileSendArgs {
    /// The channel's name or the start of its id
    pub channel: String,
    /// The file
    pub path: PathBuf,
    /// The user of this partner who sends it
    #[arg(long, value_name = "NAME")]
    pub user: String,
    /// The partners that it is for, besides this one [default: all members, or the readers of
    /// the post]
    #[arg(long, value_name = "PARTNERS", value_delimiter = ',')]
    pub to: Vec<String>,
    /// The id, or its start, of the post that it belongs to
    #[arg(long, value_name = "POST")]
    pub post: Option<String>,
    /// The name that others see [default: the last part of the path]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// What it contains, such as application/pdf [default: application/octet-stream]
    #[arg(long, value_name = "TYPE")]
    pub media_type: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "What was fetched is kept by the node: an interrupted fetch goes on where it \
                  ended. Nothing is overwritten without --force.\n\n\
                  Example:\n  comity file get 7c41d9 --output plan.pdf"
)]
pub struct FileGetArgs {
    /// The id, or its start, of the file
    pub file: String,
    /// Where to write it; the name that its author gave it is not used
    #[arg(long, value_name = "PATH")]
    pub output: PathBuf,
    /// Overwrite a file that exists
    #[arg(long)]
    pub force: bool,
    /// How long to wait for a partner that has it, while nothing comes (s, m, h, d, w)
    #[arg(long, value_name = "SPAN", default_value = "1m", value_parser = parse_span)]
    pub wait: Duration,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  comity file list harbour")]
pub struct FileListArgs {
    /// The channel's name or the start of its id
    pub channel: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  comity read harbour --limit 20")]
pub struct ReadArgs {
    /// The channel's name or the start of its id
    pub channel: String,
    /// How many posts to show, the last ones
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Works on a running node and on the directory of a stopped one. Each line has \
                  channel, id, author (name@partner), create_at (ms), message (or why there is \
                  none), form (open, or directed to some), audience, state, pinned.\n\n\
                  Example:\n  comity export --dir /var/lib/comity --channel harbour > harbour.jsonl"
)]
pub struct ExportArgs {
    /// Only this channel
    #[arg(long, value_name = "NAME")]
    pub channel: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "FILE is Mattermost bulk-import JSONL, plain or .xz, or the directory of an \
                  unpacked Slack export, whose authors are all taken for this partner's. Its \
                  channels must exist on this node. The whole file is read first and refused if any line is malformed, \
                  so that a corrected file starts from nothing. Importing a file again posts \
                  nothing twice; an interrupted import continues.\n\n\
                  Examples:\n  comity import chat.jsonl.xz --dir /var/lib/comity\n  \
                  comity import chat.jsonl.xz --spread alpha,bravo,charlie,delta\n  \
                  comity import slack-export/ --format slack"
)]
pub struct ImportArgs {
    /// The file, or the directory of an unpacked Slack export
    pub file: PathBuf,
    /// What it is [default: slack for a directory, mattermost for a file]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<super::import::Format>,
    /// Post for the authors of this partner [default: the node's own partner]
    #[arg(long, value_name = "NAME")]
    pub partner: Option<String>,
    /// Spread the authors by a hash of their names over these partners, instead of by their
    /// organisation (`position`, or else the first label of the e-mail's domain)
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub spread: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Seal everything in the store again under a new storage key; the node must be stopped
    RotateStorage(RotateStorageArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "The old key opens nothing of the store afterwards; keep it only as long as \
                  backups made before. A rotation that is interrupted leaves the store under one \
                  of the two keys, and the node finds the right one by itself.\n\n\
                  Where the key is a systemd credential, --new-key is needed. The command makes \
                  that file and tells what to do with it; given again, it rotates.\n\n\
                  Examples:\n  comity key rotate-storage --dir /var/lib/comity\n  \
                  comity key rotate-storage --new-key /run/comity-new.key"
)]
pub struct RotateStorageArgs {
    /// Take the new key from this file, which is made if it does not exist; without this, a fresh
    /// key is drawn
    #[arg(long, value_name = "FILE")]
    pub new_key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum WriterCommand {
    /// List the node's writers: the one in use, the spares, and those never used again
    #[command(after_help = "Example:\n  comity writer list")]
    List,
    /// Make one more spare writer, and introduce it in the channels; the node must be stopped
    Add(WriterAddArgs),
    /// Never use a writer again, and take it out of the channels
    #[command(
        after_help = "A writer that has the partner's seat in a channel is retired there once the \
                      seat has moved. A retired writer does not come back.\n\n\
                      Example:\n  comity writer retire 5be1f0"
    )]
    Retire(WriterId),
    /// Give the partner's seat to another writer of this node
    MoveSeat(MoveSeatArgs),
    /// Take lost seats back, by the root key
    TransferSeat(TransferSeatArgs),
    /// Carry seat transfers that another member's root has signed into the channels
    #[command(
        after_help = "A partner none of whose writers is known in a channel any more cannot carry \
                      them itself. Whoever carries them adds nothing: the root key has signed \
                      every one, and the node checks it.\n\n\
                      Example:\n  comity writer carry from-bravo.transfer"
    )]
    Carry(CarryArgs),
}

#[derive(Debug, Args)]
pub struct CarryArgs {
    /// The file that 'comity writer transfer-seat --out' made at the other partner
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct WriterId {
    /// The writer's id, or its start: 'comity writer list'
    pub writer: String,
}

#[derive(Debug, Args)]
pub struct RootKey {
    /// The file of the partner's root keys [default: root.key in the node's directory]
    #[arg(long, value_name = "FILE")]
    pub root_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The root key signs a new list of the node's writers, without those that are \
                  never used again. Bring the file with the root keys for this one command, and \
                  take it away again.\n\n\
                  Example:\n  comity writer add --root-key /media/safe/root.key"
)]
pub struct WriterAddArgs {
    #[command(flatten)]
    pub root: RootKey,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Only the seat can give itself away. Where it cannot, since its writer is never \
                  used again: comity writer transfer-seat.\n\n\
                  Example:\n  comity writer move-seat 5be1f0 --channel harbour"
)]
pub struct MoveSeatArgs {
    #[command(flatten)]
    pub writer: WriterId,
    /// In this channel only
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "After a restore, and once the node has read back from its peers what it wrote \
                  since the backup: what the former seat did up to the last event that is held \
                  here stands, and nothing of it that comes later. The former seat is a writer no \
                  more. The root key stays in this process; the node is given what it signed.\n\n\
                  Example:\n  comity writer transfer-seat --root-key /media/safe/root.key"
)]
pub struct TransferSeatArgs {
    #[command(flatten)]
    pub root: RootKey,
    /// In this channel only
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// Write what this node cannot carry itself to this file, which does not exist yet, for
    /// another member: comity writer carry
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The node must be stopped; nothing in its directory is changed. By itself the \
                  command judges every row of the store. What the node must not have it cannot \
                  know: a partner that may have it exports needles, and the command searches \
                  every byte of every file and every opened value for them.\n\n\
                  The file of needles holds plaintext and keys. That it was made is in the audit \
                  record of the node that made it.\n\n\
                  Exits with 0 when nothing was found, 1 when there are files that are not a \
                  node's, 2 when something was found, 3 when something could not be looked at.\n\n\
                  Examples:\n  comity prove-segregation --dir /var/lib/comity\n  \
                  comity prove-segregation --export-needles charlie.needles --excluding charlie\n  \
                  comity prove-segregation --needles charlie.needles --also /var/log/comity"
)]
pub struct SegregationArgs {
    /// Search for the needles in this file
    #[arg(long, value_name = "FILE", conflicts_with = "export_needles")]
    pub needles: Option<PathBuf>,
    /// Search this file or directory too; may be repeated
    #[arg(long, value_name = "PATH", requires = "needles")]
    pub also: Vec<PathBuf>,
    /// Write needles to this file, which does not exist yet
    #[arg(long, value_name = "FILE", requires = "excluding")]
    pub export_needles: Option<PathBuf>,
    /// The partner that must not have what is exported
    #[arg(long, value_name = "PARTNER", requires = "export_needles")]
    pub excluding: Option<String>,
    /// Export of this channel only
    #[arg(long, value_name = "CHANNEL", requires = "export_needles")]
    pub channel: Option<String>,
    /// Export of this event only, by its id or the start of it
    #[arg(long, value_name = "EVENT", requires = "export_needles")]
    pub event: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Starts one `comity serve` per partner, peers them by the commands a sysadmin \
                  uses, creates and shares a channel per room of the file, lets every author \
                  post at the home node of the author's organisation, waits until all nodes hold \
                  the same, and prints a table.\n\n\
                  Examples:\n  comity demo\n  \
                  comity demo --partners 5 --import chat.jsonl.xz --keep ./demo --once"
)]
pub struct DemoArgs {
    /// How many partners take part
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u8).range(2..=MAX_PARTNERS as i64))]
    pub partners: u8,
    /// Mattermost bulk-import JSONL, plain or .xz [default: an invented sample]
    #[arg(long, value_name = "FILE")]
    pub import: Option<PathBuf>,
    /// End after the table
    #[arg(long)]
    pub once: bool,
    /// Once every node answers, write where they are and who can log in, as JSON
    #[arg(long, value_name = "FILE")]
    pub ready: Option<PathBuf>,
    /// Leave each node's data in DIR/PARTNER; continue with what is there
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Runs the nodes' own machines on simulated links, and tells how long posts take, \
                  what waits, and what it costs. Uses no network and no node's directory. \
                  docs/planning.md lists what a scenario may say.\n\n\
                  Profiles: lan, wan, geo-satcom, ship-shore, hf-9600, denied-6h.\n\n\
                  Examples:\n  comity simulate geo-satcom\n  \
                  comity simulate fjord.toml --runs 10 --report fjord-report"
)]
pub struct SimulateArgs {
    /// A file that describes partners, links, traffic and events; or the name of a profile
    #[arg(value_name = "SCENARIO")]
    pub scenario: String,
    /// How many runs to add up, each with the next seed
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=comity_simulation::plan::RUNS_MAX))]
    pub runs: u64,
    /// Write the report there: report.html, a page with plots, and report.json
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// What is drawn by chance is drawn from this
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub seed: u64,
}

fn address(text: &str) -> Result<String, String> {
    if config::is_host_and_port(text) {
        Ok(text.into())
    } else {
        Err("an address has the form host:port".into())
    }
}

impl ValueEnum for Role {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Observer, Self::Contributor, Self::Admin, Self::Owner]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}

impl ValueEnum for MembershipAct {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Invite, Self::Grant, Self::Remove, Self::Suspend]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}

impl ValueEnum for History {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::FromJoin, Self::All]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(history_name(*self)))
    }
}

/// A history rule as commands write it.
pub fn history_name(history: History) -> &'static str {
    match history {
        History::FromJoin => "from_join",
        History::All => "all",
    }
}

impl ValueEnum for ReceiptState {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Delivered, Self::Read]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Delivered => "delivered",
            Self::Read => "read",
        }))
    }
}

impl ValueEnum for Precedence {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Routine, Self::Priority, Self::Immediate, Self::Flash]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Routine => "routine",
            Self::Priority => "priority",
            Self::Immediate => "immediate",
            Self::Flash => "flash",
        }))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_command_shows_an_example() {
        let mut commands = vec![Arguments::command()];
        while let Some(command) = commands.pop() {
            let inner: Vec<_> = command.get_subcommands().cloned().collect();
            let help = command.get_after_help().map(ToString::to_string);
            assert!(
                help.is_some_and(|help| help.contains("Example"))
                    || (!inner.is_empty() && command.get_name() != "comity"),
                "{}",
                command.get_name()
            );
            commands.extend(inner);
        }
    }

    #[test]
    fn common_arguments_may_stand_anywhere() {
        let before = Arguments::parse_from(["comity", "--dir", "a", "status"]);
        let after = Arguments::parse_from(["comity", "status", "--json", "--dir", "a"]);
        assert_eq!(before.common.directory(), after.common.directory());
        assert!(after.common.json);
    }

    #[test]
    fn a_restore_counts_once_unless_said_otherwise() {
        let restored = |arguments: &[&str]| match Arguments::parse_from(arguments).command {
            Command::Serve(args) => args.restored,
            _ => None,
        };
        assert_eq!(restored(&["comity", "serve"]), None);
        assert_eq!(restored(&["comity", "serve", "--restored"]), Some(1));
        assert_eq!(restored(&["comity", "serve", "--restored=2"]), Some(2));
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for wrong in [
            &["comity", "demo", "--partners", "17"][..],
            &["comity", "demo", "--partners", "1"],
            &["comity", "init", "alpha", "--address", "nowhere"],
            &["comity", "peer", "approve", "bravo", "--words", "one two"],
            &["comity", "channel", "share", "x", "bravo", "--role", "king"],
            &["comity", "channel", "create", "x", "--history", "none"],
            &["comity", "channel", "create", "x", "--quorum", "65"],
            &["comity", "receipt", "3f9a2c", "--user", "alice"],
            &["comity", "serve", "--restored=0"],
            &["comity", "serve", "--restored", "2"],
        ] {
            assert!(Arguments::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }
}
