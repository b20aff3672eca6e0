//! Coded refusals: every "no" that Keiko says, with what to do next.
//!
//! A [`Code`] is for ever: its number is never reused and its meaning never changes. Each has a page
//! `docs/errors/KEIKO-nnnn.md`, which `keikoctl explain` prints. The law refuses with the same type
//! as the hands and the face, so that one error looks the same wherever it was found.

use keiko_proto::v1 as wire;
use std::fmt;

/// What kind of "no" it is: decides the gRPC code, the HTTP status and the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A defect or a fault of the machine. Exit 1.
    Internal,
    /// The call may have happened or not; nobody can tell. Exit 1.
    OutcomeUnknown,
    /// The far side failed in its own right. Exit 1.
    Failed,
    /// A named limit was met. Exit 1.
    Exhausted,
    /// The request is malformed. Exit 2.
    Usage,
    /// The far side can't be reached. Exit 3.
    Unreachable,
    /// Nobody proved who calls. Exit 4.
    Unauthenticated,
    /// Who calls may not do that. Exit 4.
    Forbidden,
    /// A deadline passed. Exit 5.
    Timeout,
    /// No such thing. Exit 6.
    NotFound,
    /// Somebody else was first, or the name is ambiguous. Exit 7.
    Conflict,
    /// There is no leader or no quorum. Exit 8.
    NoQuorum,
    /// The state of things does not allow it now. Exit 1.
    Precondition,
}

impl Class {
    /// The exit code of `keikoctl`, as pinned in the CLI contract.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Internal
            | Self::OutcomeUnknown
            | Self::Failed
            | Self::Exhausted
            | Self::Precondition => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Unauthenticated | Self::Forbidden => 4,
            Self::Timeout => 5,
            Self::NotFound => 6,
            Self::Conflict => 7,
            Self::NoQuorum => 8,
        }
    }

    /// The number of the google.rpc.Code.
    pub const fn grpc_code(self) -> i32 {
        match self {
            Self::Internal => 13,
            Self::OutcomeUnknown => 2,
            Self::Failed => 10,
            Self::Exhausted => 8,
            Self::Usage => 3,
            Self::Unreachable | Self::NoQuorum => 14,
            Self::Unauthenticated => 16,
            Self::Forbidden => 7,
            Self::Timeout => 4,
            Self::NotFound => 5,
            Self::Conflict => 6,
            Self::Precondition => 9,
        }
    }

    /// The HTTP status of the JSON face.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Internal | Self::OutcomeUnknown => 500,
            Self::Failed => 502,
            Self::Exhausted => 429,
            Self::Usage => 400,
            Self::Unreachable | Self::NoQuorum => 503,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::Timeout => 504,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Precondition => 412,
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $number:literal $name:ident $class:ident $retryable:literal;)*) => {
        /// A code of the table below; `KEIKO-nnnn` when shown.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Code { $($(#[$doc])* $name = $number,)* }

        impl Code {
            /// Every code, in order of its number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What kind of "no" it is.
            pub const fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)* }
            }

            /// True if the same request may succeed when it is sent again unchanged.
            pub const fn retryable(self) -> bool {
                match self { $(Self::$name => $retryable,)* }
            }

            /// The code with this number, if it is known to this build.
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

codes! {
    /// A defect, or a fault of the machine.
    1 Internal Internal false;
    /// A field of the request is malformed.
    2 InvalidArgument Usage false;
    /// A named maximum was met.
    3 LimitExceeded Exhausted false;
    /// The deadline of the caller passed.
    4 DeadlineExceeded Timeout true;
    /// The request may have taken effect or not.
    5 OutcomeUnknown OutcomeUnknown false;
    /// The log holds bytes that this law can't read.
    6 MalformedEntry Usage false;
    /// The entry needs a newer release than this one.
    7 FeatureLevel Precondition false;
    /// The server does not offer this call.
    8 UnknownMethod Usage false;

    /// keikoctl found no daemon where it looked.
    10 Unreachable Unreachable true;
    /// No way to a daemon is configured.
    11 NoEndpoint Unreachable false;
    /// The server's certificate is not of the cluster that was expected.
    12 WrongCluster Unauthenticated false;
    /// The daemon is up but not ready.
    13 NotReady Unreachable true;
    /// The key exchange that was offered is not taken.
    14 KeyExchange Unauthenticated false;
    /// Another node answers at this address.
    15 WrongNode Unreachable true;
    /// It is of an authority that the cluster no longer uses.
    16 AuthorityChanged Unauthenticated false;

    /// No identity was presented.
    20 Unauthenticated Unauthenticated false;
    /// The token is unknown or revoked.
    21 TokenInvalid Unauthenticated false;
    /// The caller lacks a permission.
    22 PermissionDenied Forbidden false;
    /// A command may not run on this node.
    23 ExecRefused Forbidden false;
    /// A credential may not be used here.
    24 CredentialRefused Forbidden false;
    /// The egress policy forbids this address.
    25 EgressDenied Forbidden false;
    /// The credential is not in this node's folder.
    26 CredentialMissing Precondition false;
    /// The one-use token was traded already.
    27 TokenUsed Unauthenticated false;
    /// The token expired.
    28 TokenExpired Unauthenticated false;
    /// The certificate is expired, not of this cluster, or not of the key that is known.
    29 CertificateInvalid Unauthenticated false;

    /// No such object.
    30 NotFound NotFound false;
    /// The name belongs to something else.
    31 NameTaken Conflict false;
    /// The object changed since it was read.
    32 RevisionConflict Conflict false;
    /// The name fits more than one thing.
    33 Ambiguous Conflict false;
    /// The revision is older than what is kept.
    34 Compacted Precondition false;
    /// The revision is in the future.
    35 FutureRevision Usage false;
    /// The request id is outside the window of de-duplication.
    36 RequestIdExpired Usage false;
    /// The change of members would lose the quorum, or another one is under way.
    37 MembershipRefused Precondition false;
    /// This node is not, or no longer, a member of the cluster.
    38 NotAMember Forbidden false;
    /// A clock is too far away from the others.
    39 ClockOff Precondition false;

    /// There is no leader.
    40 NoLeader NoQuorum true;
    /// This node holds no cluster yet.
    41 NotFounded Precondition false;
    /// This node already belongs to a cluster.
    42 AlreadyFounded Conflict false;
    /// The node is shutting down.
    43 Draining Unreachable true;
    /// Writes are refused: the disk is nearly full.
    44 DiskFull Exhausted true;
    /// This node's state differs from that of the majority.
    45 StateDiverged Internal false;
    /// This node hears no other member.
    46 Isolated NoQuorum true;
    /// An upgrade would stop the cluster, or is not where it should be.
    49 UpgradeRefused Precondition false;

    /// The far side can't be reached.
    50 PeerUnreachable Unreachable true;
    /// The far side speaks no protocol that Keiko knows.
    51 ProtocolUnknown Failed false;
    /// The far side answered with an error of its protocol.
    52 PeerError Failed false;
    /// The far side did not answer in time and surely did nothing.
    53 PeerTimeout Timeout true;
    /// The arguments do not fit the tool's schema.
    54 ArgumentsInvalid Usage false;
    /// The agent card is malformed or not of this host.
    55 CardInvalid Failed false;
    /// The entry is known but nothing serves it now.
    56 NotReadyEntry Precondition true;
    /// The far side's answer is larger than the limit.
    57 PeerTooLarge Failed false;
    /// A stdio server ended or can't be started.
    58 ChildFailed Failed false;
    /// An operator suspended it, or it is being drained.
    59 Suspended Precondition true;

    /// The data folder is used by another daemon.
    60 DataFolderLocked Conflict false;
    /// The data folder can't be written.
    61 DataFolderUnwritable Precondition false;
    /// The data folder was written by a newer release.
    62 DataFolderNewer Precondition false;
    /// The configuration has an unknown key or a bad value.
    63 ConfigInvalid Usage false;
    /// A port is in use.
    64 PortInUse Conflict false;
    /// The socket path is too long or can't be made.
    65 SocketPath Usage false;
    /// The store is damaged: what was acknowledged is missing.
    66 StoreDamaged Internal false;
    /// A record fails its checksum.
    67 ChecksumMismatch Internal false;
    /// The disk refused a read or a write.
    68 DiskFault Internal false;
    /// Key material is missing or unreadable.
    69 KeyMaterial Precondition false;

    /// The far side's TLS is not what the URL says, or its certificate is not trusted.
    70 PeerTls Failed false;
    /// The far side wants credentials, or others.
    71 PeerUnauthorized Failed false;
    /// Nothing of ours is at that path of the far side.
    72 PeerNoEndpoint Failed false;
    /// The far side speaks a version of its protocol that Keiko does not.
    73 PeerVersion Failed false;
    /// What the far side declares is not a schema that can be kept.
    74 PeerSchema Failed false;
    /// The far side redirects in a loop, or to where nothing may be asked.
    75 PeerRedirect Failed false;
    /// The far side's bytes are not of its protocol.
    76 PeerGarbage Failed false;

    /// What an entry needs would need the entry.
    80 DependencyCycle Precondition false;
    /// The manifest can't be read, or does not fit its kind.
    81 ManifestInvalid Usage false;
    /// What was waited for did not come true.
    82 WaitTimeout Timeout true;
    /// Nobody who offers it can be called now.
    83 NoCandidate Precondition true;
    /// The context, or a file that sets one, can't be used.
    84 ContextInvalid Usage false;
    /// What is to be deleted is still used.
    85 InUse Precondition false;

    /// The file is not a backup that this release can read.
    90 BackupInvalid Precondition false;
    /// A folder or file that must not be there is there.
    91 TargetNotEmpty Conflict false;
    /// A lost quorum can't be given up like this.
    92 RecoveryRefused Precondition false;
    /// The cluster's authority can't be changed like this now.
    93 RotationRefused Precondition false;
    /// Another backup is being written to that place.
    95 BackupUnderWay Conflict true;
    /// The place for backups can't be read or written.
    96 BackupPlace Failed true;
    /// The member that is to be replaced is still heard.
    97 StillHeard Precondition true;
    /// What is damaged can't be repaired like this.
    98 RepairRefused Precondition false;

    /// The session ended, or there never was one.
    100 SessionEnded Precondition false;
    /// Somebody else holds the lock.
    101 LockHeld Conflict true;
    /// The lock or barrier is in use with another kind or number.
    102 LockMismatch Conflict false;
    /// The lock is not held with the token that was shown.
    103 FenceStale Precondition false;
    /// The session does not hold the lock.
    104 LockNotHeld Precondition false;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KEIKO-{:04}", *self as u32)
    }
}

/// The longest line of a refusal. Much of it quotes what was given, which may be anything: the law
/// keeps its refusals for retries, and over gRPC they travel in headers, of which a client reads
/// 16 KiB. A message, where each byte may be written as three, and five more lines are 11 KiB there.
pub const LINE_BYTES_MAX: usize = 1024;

/// The line, or what fits of it.
fn line(mut text: String) -> String {
    const MORE: char = '…';
    if text.len() > LINE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(LINE_BYTES_MAX - MORE.len_utf8()));
        text.push(MORE);
    }
    text
}

/// A "no" with its reason and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// Which one of the table.
    pub code: Code,
    /// What was refused, in one line, lower case, without a full stop.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What to do next: commands or settings.
    pub hints: Vec<String>,
}

/// The short way to write it.
pub type Result<T, E = Refusal> = std::result::Result<T, E>;

impl Refusal {
    /// A refusal without cause and hint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: line(message.into()), causes: Vec::new(), hints: Vec::new() }
    }

    /// Adds why.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(line(cause.to_string()));
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(line(hint.into()));
        self
    }

    /// The message as it travels.
    pub fn to_wire(&self) -> wire::Refusal {
        wire::Refusal {
            code: self.code as u32,
            message: self.message.clone(),
            causes: self.causes.clone(),
            hints: self.hints.clone(),
            retryable: self.code.retryable(),
        }
    }

    /// A refusal that came over the wire; an unknown number becomes [`Code::Internal`] and keeps
    /// its number in the causes.
    pub fn from_wire(wire: wire::Refusal) -> Self {
        let wire::Refusal { code: number, message, mut causes, hints, retryable: _ } = wire;
        let code = Code::from_number(number).unwrap_or_else(|| {
            causes.push(format!(
                "the server says KEIKO-{number:04}, which this release does not know"
            ));
            Code::Internal
        });
        Self { code, message, causes, hints }
    }
}

/// `Err(Refusal)` in one word, for the many places that refuse without further words.
pub fn refuse<T>(code: Code, message: impl Into<String>) -> Result<T> {
    Err(Refusal::new(code, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Name;

    #[test]
    fn what_is_quoted_is_bounded() {
        let cut = |text: &str| Refusal::new(Code::Internal, text).cause(text).hint(text);
        for (text, expect) in [
            ("a".repeat(LINE_BYTES_MAX), "a".repeat(LINE_BYTES_MAX)),
            ("a".repeat(LINE_BYTES_MAX + 1), "a".repeat(LINE_BYTES_MAX - 3) + "…"),
            ("é".repeat(LINE_BYTES_MAX), "é".repeat(LINE_BYTES_MAX / 2 - 2) + "…"),
        ] {
            let refusal = cut(&text);
            for line in [&refusal.message, &refusal.causes[0], &refusal.hints[0]] {
                assert_eq!(*line, expect);
            }
        }
        // 8000 characters were a gRPC error without a code.
        let refusal = Name::parse("name", &"A".repeat(1 << 20)).unwrap_err();
        assert!(prost::Message::encoded_len(&refusal.to_wire()) < 2 * LINE_BYTES_MAX);
    }
}
