//! From the log's words to the room's own.

use super::model::Op;
use crate::refusal::{Code, Refusal, Result};
use keiko_proto::v1::{JournalOp, journal_op};

pub(super) fn parse(op: JournalOp) -> Result<Op> {
    match op.op {
        Some(journal_op::Op::Compact(compact)) => {
            Ok(Op::Compact { before: compact.before_revision })
        }
        None => Err(Refusal::new(Code::MalformedEntry, "the journal entry names no op")),
    }
}
