//! Every limit of the protocol, with its reason. Those that bear on validity are fixed by the
//! protocol's version; the others are this implementation's and may differ between nodes.

/// The protocol version that this implementation writes, and the highest it reads.
pub const VERSION: u8 = 1;

// Validity: the same at every node.

/// A header of 96 references of 75 bytes, with a label, fits twice over.
pub const HEADER_BYTES: usize = 16 << 10;
/// Keeps one event's work bounded; what does not fit is cited by later events. An ack cites one of
/// every partner.
pub const DEPS: usize = PARTNERS;
/// Keeps one event's work bounded; where there are more, merges gather them.
pub const CONTROL_HEADS: usize = 32;
/// The longest message of real chat seen is 4.4 kB; 32 key wraps of 1,240 bytes fit too.
pub const BODY_BYTES: usize = 64 << 10;
/// The longest message, in bytes of UTF-8: a body less the seal and the encoding's own bytes.
pub const MESSAGE_BYTES: usize = BODY_BYTES - 40;
/// 32 wraps of 1,240 bytes fill 40 kB of a body.
pub const WRAPS: usize = 32;
/// Two key events' worth of wraps name every partner.
pub const KEY_PARTS: usize = 2;
/// A coalition's size; bounds every per-partner table.
pub const PARTNERS: usize = 64;
/// A headquarters, two ships and a standby.
pub const WRITERS_PER_PARTNER: usize = 4;
/// One endorsement per partner.
pub const ENDORSEMENTS: usize = PARTNERS;
/// The fold settles at once where no act's basis is in dispute; each dispute that rests on
/// another takes one round more.
pub const FOLD_ROUNDS: usize = 16;
/// Room for `rank.surname.firstname` in any script.
pub const USER_NAME_BYTES: usize = 64;
/// A channel's or partner's name on a line of a terminal.
pub const NAME_BYTES: usize = 64;

// What readers show of files and rosters: sealed, so no rule of acceptance.

/// The longest file, in bytes: 1,024 chunks, whose hashes fit a body.
pub const FILE_BYTES: u64 = 1 << 30;
/// The plaintext of a chunk: little to fetch again, and few enough to list.
pub const CHUNK_BYTES: usize = 1 << 20;
/// A chunk as it travels: with its tag.
pub const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + comity_crypto::CHUNK_OVERHEAD;
/// Chunks of the longest file.
pub const CHUNKS: usize = FILE_BYTES as usize / CHUNK_BYTES;
/// A user's name for people, in any script.
pub const DISPLAY_NAME_BYTES: usize = 256;
/// Users of one roster event: with the longest names they just fit a body.
pub const ROSTER_USERS: usize = 200;
/// What file systems take as a name.
pub const FILE_NAME_BYTES: usize = 255;
/// Type and subtype of 63 characters each (RFC 6838), and the slash.
pub const MEDIA_TYPE_BYTES: usize = 127;

// Local: quotas delay, they never decide.

/// One key serves at most this many events, then the writer draws another.
pub const EPOCH_EVENTS: u64 = 4096;
/// A frame on a stream; QUIC delivers it whole or the link closes.
pub const FRAME_BYTES: usize = 1 << 20;
/// Events frames are cut near this size, so that precedence is felt and memory stays small.
pub const EVENTS_FRAME_BYTES: usize = 64 << 10;
/// Events in one frame: unpacked they weigh a good ten times what they do packed.
pub const EVENTS_PER_FRAME: usize = 1024;
/// Parked events per sending peer, in bytes; a peer that sends more loses its own oldest.
pub const PARKED_BYTES_PER_PEER: usize = 16 << 20;
/// Signatures under verification per peer, in bytes of events, before its ranges are paused.
pub const VERIFYING_BYTES_PER_PEER: usize = 4 << 20;
/// Events that one `want` may ask for.
pub const WANT_EVENTS: u64 = 2048;
/// Ranges asked of one peer at a time.
pub const WANTS_PER_PEER: usize = 16;
/// Lanes and logs a peer may tell of; bounds what its tables cost here.
pub const LOGS_PER_PEER: usize = 65_536;
/// Lanes that a peer may show on a link; bounds what they cost here (64 bytes each).
pub const LANES_SHOWN: usize = 65_536;
/// Lanes that a writer may begin in a day, as a receiver sees it: each costs tables for ever.
pub const LANES_PER_WRITER: u64 = 64;
/// Control events of a partner in a day: each makes every later view dearer, for ever.
pub const CONTROL_EVENTS_PER_DAY: u64 = 1_000;
/// Signs in one ephemeral frame: bounds what one input costs.
pub const EPHEMERAL_PER_FRAME: usize = 256;
/// Ephemeral signs that are taken of a peer in a second: hundreds that begin to type at a time.
pub const EPHEMERAL_PER_S: u64 = 256;
/// Ephemeral signs that are taken of a peer at once: all its users when a link comes up.
pub const EPHEMERAL_AT_ONCE: u64 = 16_384;
/// Forks that wait for the store to be proved: each holds two headers at most.
pub const SUSPECTS: usize = 64;
/// Evidence that this node writes in a channel in a day: a liar that forks its log ever earlier
/// does not make others write without end.
pub const EVIDENCE_PER_DAY: u64 = 64;
/// Secrets asked for or given in one frame.
pub const KEYS_PER_FRAME: usize = 32;
/// Secrets given to one peer within [`GIVING_MS`]: each costs an X-Wing encapsulation of 150 µs,
/// so that one peer cannot take more than 1 % of a core.
pub const KEYS_GIVEN: usize = 64;
/// Channels that a peer may have on offer at a time, or have told of without an invitation.
pub const INVITATIONS_PER_PEER: usize = 256;
/// Lanes in one `have` frame.
pub const HAVE_LANES: usize = 4096;
/// Log contexts open on one stream; the least recently opened gives way.
pub const STREAM_LOGS: u32 = 4096;
/// A part of a chunk in one frame: what is more urgent waits behind one of these at most.
pub const PIECE_BYTES: usize = 128 << 10;
/// Pieces asked of one peer and not answered yet, over all files: 1 MiB under way.
pub const PIECES_PER_PEER: usize = 8;
/// Files that are fetched at a time; each assembles one chunk in memory.
pub const FETCHES: usize = 16;
/// Views of a channel's control state kept for reuse.
pub const VIEWS_CACHED: usize = 256;

/// Numbers that a node tries for an ack of its own, from the highest held downwards: who is behind
/// by more enters at the top.
pub const ACKS_TRIED: usize = 4;

/// Peers that must have shown, since the start, that none of this node's own logs goes on where it
/// ends here, before it acknowledges by itself: one may lie.
pub const CONFIRMATIONS: usize = 2;
/// What a barrier has moved by less is not marked as late: partners that write at the same time
/// pass one another by a second or two.
pub const LATE_MS: u64 = 10_000;
/// Events that must be settled since a node's last floor before it writes another: a few hundred
/// bytes for each thousand.
pub const FLOOR_EVENTS: u64 = 1_000;
/// Of a lane so many of the last barriers are kept to compare others' floors with: an hour of them.
pub const HISTORIES: usize = 4_096;
/// Of fewer remaining members more than two thirds of a set cannot know of a removal.
pub const LEAST_TO_FORCE: usize = 3;

// Times of acknowledging, in milliseconds.

/// What comes in this long after the first event that nobody has acknowledged is in one ack.
pub const ACK_DELAY_MS: u64 = 250;
/// Acks of one partner in one lane are this far apart: three of them make an event final.
pub const ACK_MS: u64 = 1_000;
/// And this far for each reader of the lane: all together write eight a second at most.
pub const ACK_MS_PER_READER: u64 = 125;

// Times of the sync machine, in milliseconds.

/// Head adverts are gathered this long: it bounds the delay through a relay.
pub const ADVERT_MS: u64 = 100;
/// Head adverts that nobody needs are gathered longer and longer, up to this: in a full mesh every
/// node hears everything from its author.
pub const ADVERT_MAX_MS: u64 = 1_600;
/// How long to wait for the author's own push before asking a relay.
pub const RELAY_GRACE_MS: u64 = 400;
/// A range that brings nothing for this long is asked for again, elsewhere where possible.
pub const WANT_TIMEOUT_MS: u64 = 5_000;
/// The span over which lanes, control events and bytes are counted.
pub const DAY_MS: u64 = 24 * 3600 * 1000;
/// What was over a quota is asked for again after this.
pub const POSTPONE_MS: u64 = 60_000;
/// The span over which secrets given to one peer are counted.
pub const GIVING_MS: u64 = 1_000;
/// An answer to a question for secrets is awaited this long.
pub const ASK_KEYS_MS: u64 = 5_000;
/// A piece of a file is awaited this long: 35 kbit/s for one piece.
pub const PIECE_MS: u64 = 30_000;
/// Every lane's digest is compared with every peer this often, traffic or none.
pub const ANTI_ENTROPY_MS: u64 = 15_000;
/// A key serves at most this long.
pub const EPOCH_MS: u64 = 24 * 3600 * 1000;
