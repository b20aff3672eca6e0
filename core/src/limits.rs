//! Every maximum, with its arithmetic. What is over one is refused with a code that names it.

/// An encoded entry. One consensus append carries at least one entry, and the wire between nodes
/// takes 64 MiB, so sixteen of the largest travel together.
pub const ENTRY_BYTES_MAX: usize = 4 << 20;

/// An encoded object. A card of 256 KiB is fifty times the largest seen in the wild (5 KiB).
pub const OBJECT_BYTES_MAX: usize = 256 << 10;

/// Tools of one server, skills of one agent. The largest public server lists 200; with 4 KiB each,
/// 1,024 fill one entry of 4 MiB.
pub const PARTS_MAX: usize = 1024;

/// A name or namespace: a DNS label, so that a name can become a host name.
pub const NAME_CHARS_MAX: usize = 63;

/// A tool's or skill's own name as its server gives it (MCP allows 128).
pub const PART_NAME_CHARS_MAX: usize = 128;

/// A label's key or value, as in Kubernetes.
pub const LABEL_CHARS_MAX: usize = 63;

/// Labels or annotations of one object: 64 × 126 characters stay below 8 KiB.
pub const LABELS_MAX: usize = 64;

/// Terms of a label selector.
pub const SELECTOR_TERMS_MAX: usize = 16;

/// Words of a command: more than any real server has.
pub const COMMAND_WORDS_MAX: usize = 256;

/// All words of a command with their ends: half of what Linux takes for a single argument, and a
/// quarter of an object.
pub const COMMAND_BYTES_MAX: usize = 64 << 10;

/// A credential's name: what a file system takes.
pub const CREDENTIAL_NAME_BYTES_MAX: usize = 255;

/// Credentials that one entry names.
pub const CREDENTIALS_MAX: usize = 16;

/// What one entry needs: more is a platform, not a dependency.
pub const DEPENDS_MAX: usize = 64;

/// Entries that a look for a cycle visits: a fleet of 10,000 in one chain. What needs more of them
/// is refused.
pub const GRAPH_NODES_MAX: usize = 10_000;

/// The shortest lease: five heartbeats of a second, above any pause of a garbage collector.
pub const LEASE_TTL_MS_MIN: u64 = 5_000;

/// The longest lease. What beats less than hourly is registered without one.
pub const LEASE_TTL_MS_MAX: u64 = 3600 * 1000;

/// How long an entry may stay without calls behind its lease: a day.
pub const LEASE_GRACE_MS_MAX: u64 = 24 * 3600 * 1000;

/// Declarations of one stream that are under way at once: 128 of 256 KiB are 32 MiB.
pub const APPLIES_UNDER_WAY_MAX: usize = 128;

/// Heartbeats of one call: 1,000 of 200 bytes are 200 KiB.
pub const BEATS_MAX: usize = 1000;

/// Why an operator suspended something: two lines.
pub const REASON_CHARS_MAX: usize = 256;
/// Of where backups lie: a bucket's name has 63, a path below it or on a disk rarely more than 255.
pub const BACKUP_PLACE_CHARS_MAX: usize = 512;

/// What a probe found wrong, for people.
pub const HEALTH_MESSAGE_CHARS_MAX: usize = 512;

/// Parts that an event shows field by field; of the others it gives the names. 64 × 8 fields of
/// 2 × 256 characters are 256 KiB.
pub const OFFER_PARTS_SHOWN_MAX: usize = 64;

/// How much of a field's text an event shows.
pub const OFFER_FIELD_CHARS_MAX: usize = 256;

/// A URL: what browsers and proxies agree on.
pub const URL_CHARS_MAX: usize = 2048;

/// Items of one page of a list; 1,000 objects of 4 KiB fill one message of 4 MiB.
pub const PAGE_ITEMS_MAX: u32 = 1000;

/// Bytes of the objects in one answer, once there is at least one: with the frame around them they
/// stay below the 4 MiB that clients decode by default.
pub const ANSWER_BYTES_MAX: usize = 3 << 20;

/// Past versions that one call returns.
pub const HISTORY_ITEMS_MAX: u32 = 1000;

/// Keys that one compaction entry removes: about 1 MiB of tombstones, some 5 ms of apply.
pub const COMPACT_KEYS_MAX: usize = 4096;

/// Expired replies that one entry forgets: more than one, so that the window always drains.
pub const DEDUP_EXPIRE_MAX: usize = 64;

/// Replies expire a second's worth at a time.
pub const DEDUP_EXPIRE_STEP_MS: u64 = 1000;

/// How long a reply is kept for retries.
pub const DEDUP_WINDOW_MS: u64 = 10 * 60 * 1000;

/// How far ahead of the stamp the time inside a request id may be.
pub const REQUEST_ID_AHEAD_MS: u64 = 60 * 1000;

/// Members. Each hears every other four times a second: 64 of them beat 16,128 times a second in
/// all, 252 times each.
pub const NODES_MAX: usize = 64;

/// host:port of a node: a DNS name of 253, brackets, a colon and five digits.
pub const NODE_ADDRESS_CHARS_MAX: usize = 253 + 2 + 1 + 5;

/// What a node calls its release: a semantic version with what was built.
pub const NODE_VERSION_CHARS_MAX: usize = 64;

/// Tokens, with those that were traded and did not expire yet: 4,096 × 400 bytes are below 2 MiB of
/// state.
pub const TOKENS_MAX: usize = 4096;

/// The longest life of a token: 90 days.
pub const TOKEN_TTL_MS_MAX: u64 = 90 * 24 * 3600 * 1000;

/// Expired tokens that one entry removes.
pub const PRUNE_TOKENS_MAX: usize = 1024;

/// People and agents with a certificate: 4,096 × 400 bytes are below 2 MiB of state.
pub const PEOPLE_MAX: usize = 4096;

/// Kinds of refused attempts that one entry tells; the rest is counted only.
pub const REFUSALS_NOTED_MAX: usize = 32;

/// Each text of a refused attempt, as its node cut it: a tool's resource has at most 261
/// characters. 32 attempts of four texts are 64 KiB.
pub const REFUSAL_TEXT_BYTES_MAX: usize = 512;

/// Declared roles: 256 × 16 KiB are 4 MiB of state at worst.
pub const ROLES_MAX: usize = 256;

/// A declared role: some sixty rules of everyday length.
pub const ROLE_BYTES_MAX: usize = 16 << 10;

/// Rules of one role.
pub const ROLE_RULES_MAX: usize = 32;

/// Permissions, and resources, of one rule.
pub const RULE_WORDS_MAX: usize = 64;

/// Bindings: 1,024 × 64 subjects of 140 bytes are 9 MiB of state at worst. Whoever is looked up
/// reads all of them, once after each change: about a millisecond.
pub const BINDINGS_MAX: usize = 1024;

/// Whom one binding names.
pub const BINDING_SUBJECTS_MAX: usize = 64;

/// Subjects whose uses one entry tells: 256 × 15 permissions of 20 bytes are 77 KiB.
pub const USES_NOTED_MAX: usize = 256;

/// By how much revisions go on behind a restore, or behind a quorum that was given up, so that none
/// that was handed out before stands for two things: more than a million a second for an hour. JSON
/// shows numbers up to 2^53, which is two million restores.
pub const REOPEN_REVISIONS: u64 = 1 << 32;

/// By how much the ids of nodes go on behind a quorum that was given up. Whoever was given up may live
/// and let others in under the next ids: none of these may be taken for a member here. Sixteen times
/// as many as a cluster has nodes.
pub const REOPEN_NODE_IDS: u64 = 16 * NODES_MAX as u64;

/// Why a state was reopened: a path, an id, a time and some words.
pub const REOPEN_REASON_BYTES_MAX: usize = 1024;

/// The shortest session: three keepalives and the longest change of leader.
pub const SESSION_TTL_MS_MIN: u64 = 1_000;

/// A session of who names no time: a keepalive each three seconds.
pub const SESSION_TTL_MS_DEFAULT: u64 = 10_000;

/// The longest session: what is held by somebody who died is free again after that.
pub const SESSION_TTL_MS_MAX: u64 = 10 * 60 * 1000;

/// Sessions: kept each third of 10 s, 10,000 of them are 3,000 small entries a second, and 3 MiB of
/// state.
pub const SESSIONS_MAX: usize = 10_000;

/// What people call a session, as in host/pid.
pub const SESSION_NAME_CHARS_MAX: usize = 128;

/// Grants, places in queues and arrivals of one session.
pub const SESSION_PLACES_MAX: usize = 64;

/// The same of all sessions: 65,536 × 2 rows of 200 bytes are 26 MiB, of which values are the most.
pub const PLACES_MAX: usize = 65_536;

/// Sessions that one entry ends: 16 × 64 places, each taken and given to the next in line, are
/// 2,048 events of 800 bytes.
pub const EXPIRE_SESSIONS_MAX: usize = 16;

/// Who may hold a semaphore at a time.
pub const LOCK_HOLDERS_MAX: usize = 1024;

/// Who may wait for one lock.
pub const LOCK_WAITERS_MAX: usize = 1024;

/// What a holder tells everybody: an address with some words.
pub const LOCK_VALUE_BYTES_MAX: usize = 512;

/// Who may meet at a barrier: that many arrivals are removed in the entry that opens it.
pub const BARRIER_PARTIES_MAX: usize = 1024;

/// Barriers, with those that opened within the hour: 4,096 × 200 bytes are below 1 MiB.
pub const BARRIERS_MAX: usize = 4096;

/// How long a barrier that opened remembers how often: who asks that much later begins anew.
pub const BARRIER_IDLE_MS: u64 = 3600 * 1000;

/// Maintenance windows, with those that were over within the last 30 days: 1,024 × 500 bytes are
/// below 1 MiB.
pub const WINDOWS_MAX: usize = 1024;

/// The longest maintenance window: 90 days. What is down for longer is removed.
pub const WINDOW_MS_MAX: u64 = 90 * 24 * 3600 * 1000;

/// How long a maintenance window that is over stays readable, unless it is deleted: 30 days.
pub const WINDOW_KEPT_MS: u64 = 30 * 24 * 3600 * 1000;

/// How long an authority still counts behind a rotation, unless it is said: a person who calls once
/// a week has a certificate of the next one by then.
pub const CA_OVERLAP_MS: u64 = 7 * 24 * 3600 * 1000;

/// The longest overlap: 90 days, three lives of a person's certificate.
pub const CA_OVERLAP_MS_MAX: u64 = 90 * 24 * 3600 * 1000;

/// Authorities that count beside the one that signs: each is a kilobyte in every handshake.
pub const RETIRING_AUTHORITIES_MAX: usize = 4;

/// Authorities that are remembered by their hash, so that who shows an old token hears what it is:
/// 16 × 64 bytes.
pub const FORMER_AUTHORITIES_MAX: usize = 16;

/// Why a rotation was begun: one line.
pub const ROTATION_REASON_BYTES_MAX: usize = 256;

const _: () = assert!(CA_OVERLAP_MS <= CA_OVERLAP_MS_MAX);
const _: () = assert!(OBJECT_BYTES_MAX <= ENTRY_BYTES_MAX);
const _: () = assert!(DEDUP_EXPIRE_MAX > 1);
