//! The exit codes: a promise to scripts, pinned by a test.

use keiko_core::refusal::Refusal;
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what was asked.
    Done,
    /// What was awaited ended badly: a tool's error, an agent's failed task.
    EndedBadly,
    /// Something differs, and the caller asked for it: `diff --exit-code`.
    Different,
    /// It was refused: the class of the refusal says the number.
    Refused(u8),
    /// Ctrl-C.
    Interrupted,
    /// As the command ended that was run.
    Command(u8),
}

impl Exit {
    /// The exit code of a refusal.
    pub(crate) fn of(refusal: &Refusal) -> Self {
        Self::Refused(refusal.code.class().exit_code())
    }

    /// The number that the shell sees.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::EndedBadly => 9,
            Self::Different => 20,
            Self::Refused(number) => number,
            Self::Interrupted => 130,
            Self::Command(number) => number,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// The table as `keikoctl help exit-codes` prints it.
pub(crate) const TABLE: &[(u8, &str)] = &[
    (0, "done"),
    (1, "failure, or the outcome is unknown"),
    (2, "usage: the command line or an argument is malformed"),
    (3, "unreachable: no daemon or far side answers"),
    (4, "authentication or permission"),
    (5, "timeout"),
    (6, "not found"),
    (7, "conflict or ambiguous"),
    (8, "no quorum"),
    (9, "the awaited thing ended badly: a tool's error, an agent's failed task, a check of doctor"),
    (20, "differences found: diff --exit-code"),
    (130, "interrupted"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_core::refusal::Code;

    #[test]
    fn the_numbers_are_pinned() {
        for (code, expect) in [
            (Code::Internal, 1),
            (Code::OutcomeUnknown, 1),
            (Code::PeerError, 1),
            (Code::LimitExceeded, 1),
            (Code::NotFounded, 1),
            (Code::InvalidArgument, 2),
            (Code::Unreachable, 3),
            (Code::NoEndpoint, 3),
            (Code::Unauthenticated, 4),
            (Code::PermissionDenied, 4),
            (Code::DeadlineExceeded, 5),
            (Code::NotFound, 6),
            (Code::NameTaken, 7),
            (Code::Ambiguous, 7),
            (Code::NoLeader, 8),
        ] {
            assert_eq!(Exit::of(&Refusal::new(code, "x")).number(), expect, "{code:?}");
        }
        assert_eq!(Exit::Done.number(), 0);
        assert_eq!(Exit::EndedBadly.number(), 9);
        assert_eq!(Exit::Different.number(), 20);
        assert_eq!(Exit::Interrupted.number(), 130);
        assert_eq!(Exit::Command(3).number(), 3);
    }

    #[test]
    fn every_code_has_an_exit_code_of_the_table() {
        for code in Code::ALL {
            let number = code.class().exit_code();
            assert!(TABLE.iter().any(|(known, _)| *known == number), "{code:?}");
        }
    }
}
