//! Why an agent or a server does not work: a closed set, so that programs can decide by it.

use crate::refusal::{Code, Refusal};

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident $text:literal $reason:literal $weight:ident;)*) => {
        /// A class of the table below; kebab-case in the status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FailureClass { $($(#[$doc])* $name,)* }

        impl FailureClass {
            /// Every class.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As in the status.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The same as the reason of a condition.
            pub const fn condition_reason(self) -> &'static str {
                match self { $(Self::$name => $reason,)* }
            }

            const fn weight(self) -> Weight {
                match self { $(Self::$name => Weight::$weight,)* }
            }
        }
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// It may be another in a second.
    Soft,
    /// Once is enough: it is so until somebody changes it.
    Hard,
}

classes! {
    /// The node has not the credential that it names, or may not send it there.
    MissingCredential "missing-credential" "MissingCredential" Hard;
    /// It wants credentials, or others.
    Unauthorized "unauthorized" "Unauthorized" Soft;
    /// It did not answer in time.
    Timeout "timeout" "Timeout" Soft;
    /// Nobody is there.
    Unreachable "unreachable" "Unreachable" Hard;
    /// Its TLS is not what the URL says, or its certificate is not trusted.
    Tls "tls" "Tls" Soft;
    /// It redirects in a loop, or to where nothing may be asked.
    Redirect "redirect" "Redirect" Soft;
    /// It is there, and nothing of ours is at that path.
    NotFound "not-found" "NotFound" Soft;
    /// It speaks a version of its protocol that Keiko does not.
    OldEra "old-era" "OldEra" Soft;
    /// What it declares is not a schema that can be kept.
    Schema "schema" "Schema" Soft;
    /// What it says is not of its protocol.
    Protocol "protocol" "Protocol" Soft;
    /// It says more than can be taken.
    TooLarge "too-large" "TooLarge" Soft;
    /// Its command ended or can't be started.
    CommandEnded "command-ended" "CommandEnded" Hard;
    /// Its command may not run on the node.
    ExecRefused "exec-refused" "ExecRefused" Hard;
    /// The egress policy forbids its address.
    EgressDenied "egress-denied" "EgressDenied" Hard;
    /// Its card is malformed or of another host.
    InvalidCard "invalid-card" "InvalidCard" Soft;
    /// Its card is signed, and the signature is wrong.
    BadSignature "bad-signature" "BadSignature" Soft;
    /// The node that runs its command is down.
    NodeDown "node-down" "NodeDown" Hard;
    /// It sent no heartbeat for longer than its lease.
    LeaseExpired "lease-expired" "LeaseExpired" Hard;
    /// It says itself that it is not ready.
    NotReady "not-ready" "NotReady" Hard;
    /// It answered with an error of its protocol.
    Refused "refused" "Refused" Soft;
    /// A fault of this node.
    Internal "internal" "Internal" Soft;
}

impl FailureClass {
    /// From the status.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|class| class.as_str() == text)
    }

    /// True if once is enough: the far side is gone, or something has to be changed first.
    pub fn is_hard(self) -> bool {
        self.weight() == Weight::Hard
    }

    /// What a refusal says of the far side that it is about.
    #[allow(clippy::too_many_lines, reason = "a line for each code")]
    pub fn of(refusal: &Refusal) -> Self {
        match refusal.code {
            Code::CredentialMissing | Code::CredentialRefused => Self::MissingCredential,
            Code::PeerUnauthorized => Self::Unauthorized,
            Code::PeerTimeout | Code::DeadlineExceeded | Code::WaitTimeout => Self::Timeout,
            Code::PeerUnreachable | Code::Unreachable => Self::Unreachable,
            Code::PeerTls | Code::WrongCluster => Self::Tls,
            Code::PeerRedirect => Self::Redirect,
            Code::PeerNoEndpoint => Self::NotFound,
            Code::PeerVersion => Self::OldEra,
            Code::PeerSchema => Self::Schema,
            Code::PeerGarbage | Code::ProtocolUnknown => Self::Protocol,
            Code::PeerTooLarge | Code::LimitExceeded => Self::TooLarge,
            Code::ChildFailed => Self::CommandEnded,
            Code::ExecRefused => Self::ExecRefused,
            Code::EgressDenied => Self::EgressDenied,
            Code::CardInvalid => Self::InvalidCard,
            Code::NotReadyEntry | Code::Suspended | Code::NotReady | Code::NoCandidate => {
                Self::NotReady
            }
            Code::PeerError | Code::OutcomeUnknown | Code::ArgumentsInvalid => Self::Refused,
            // Of this node, of who asks, or of the cluster: nothing that the far side did.
            Code::Internal
            | Code::InvalidArgument
            | Code::MalformedEntry
            | Code::FeatureLevel
            | Code::UnknownMethod
            | Code::NoEndpoint
            | Code::WrongNode
            | Code::Unauthenticated
            | Code::TokenInvalid
            | Code::TokenUsed
            | Code::TokenExpired
            | Code::CertificateInvalid
            | Code::PermissionDenied
            | Code::NotFound
            | Code::NameTaken
            | Code::RevisionConflict
            | Code::Ambiguous
            | Code::Compacted
            | Code::FutureRevision
            | Code::RequestIdExpired
            | Code::MembershipRefused
            | Code::NotAMember
            | Code::ClockOff
            | Code::NoLeader
            | Code::NotFounded
            | Code::AlreadyFounded
            | Code::Draining
            | Code::DiskFull
            | Code::StateDiverged
            | Code::Isolated
            | Code::UpgradeRefused
            | Code::StillHeard
            | Code::RepairRefused
            | Code::DataFolderLocked
            | Code::DataFolderUnwritable
            | Code::DataFolderNewer
            | Code::ConfigInvalid
            | Code::PortInUse
            | Code::SocketPath
            | Code::StoreDamaged
            | Code::ChecksumMismatch
            | Code::DiskFault
            | Code::KeyMaterial
            | Code::DependencyCycle
            | Code::ManifestInvalid
            | Code::ContextInvalid
            | Code::InUse
            | Code::BackupInvalid
            | Code::TargetNotEmpty
            | Code::RecoveryRefused
            | Code::KeyExchange
            | Code::AuthorityChanged
            | Code::RotationRefused
            | Code::BackupPlace
            | Code::BackupUnderWay
            | Code::SessionEnded
            | Code::LockHeld
            | Code::LockMismatch
            | Code::FenceStale
            | Code::LockNotHeld => Self::Internal,
        }
    }
}
