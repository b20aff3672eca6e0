//! From the log's words to the room's own.

use super::model::{Acquire, By, LockKind, Op, Spot};
use super::window;
use crate::id::Name;
use crate::limits::{
    BARRIER_PARTIES_MAX, EXPIRE_SESSIONS_MAX, LOCK_HOLDERS_MAX, LOCK_VALUE_BYTES_MAX,
    SESSION_NAME_CHARS_MAX, SESSION_TTL_MS_DEFAULT, SESSION_TTL_MS_MAX, SESSION_TTL_MS_MIN,
};
use crate::refusal::{Code, Refusal, Result, refuse};
use keiko_proto::v1::coordination_op as op;
use keiko_proto::v1::{AcquireLock, ArriveAtBarrier, CoordinationOp, OpenSession, ReleaseLock};

pub(super) fn parse(op: CoordinationOp, unix_ms: u64) -> Result<Op> {
    match op.op {
        Some(op::Op::OpenSession(open)) => parse_open(open),
        Some(op::Op::KeepSession(keep)) => Ok(Op::KeepSession(by(keep.id, keep.as_admin)?)),
        Some(op::Op::CloseSession(close)) => Ok(Op::CloseSession(by(close.id, close.as_admin)?)),
        Some(op::Op::ExpireSessions(expire)) => {
            if expire.items.len() > EXPIRE_SESSIONS_MAX {
                return refuse(
                    Code::LimitExceeded,
                    format!(
                        "{} sessions to end, at most {EXPIRE_SESSIONS_MAX}",
                        expire.items.len()
                    ),
                );
            }
            Ok(Op::ExpireSessions(expire.items))
        }
        Some(op::Op::AcquireLock(acquire)) => parse_acquire(acquire).map(Op::Acquire),
        Some(op::Op::ReleaseLock(release)) => parse_release(release),
        Some(op::Op::WithdrawWaiter(withdraw)) => Ok(Op::Withdraw {
            spot: Spot::parse("lock", &withdraw.namespace, &withdraw.name)?,
            by: by(withdraw.session, withdraw.as_admin)?,
            ticket: withdraw.ticket,
        }),
        Some(op::Op::ArriveAtBarrier(arrive)) => parse_arrive(arrive),
        Some(op::Op::LeaveBarrier(leave)) => Ok(Op::Leave {
            spot: Spot::parse("barrier", &leave.namespace, &leave.name)?,
            by: by(leave.session, leave.as_admin)?,
            generation: leave.generation,
        }),
        Some(op::Op::DeclareWindow(declare)) => {
            let window = declare.window.unwrap_or_default();
            window::check(&window, unix_ms)?;
            Ok(Op::DeclareWindow(window))
        }
        Some(op::Op::DeleteWindow(delete)) => {
            Ok(Op::DeleteWindow(Name::parse("window", &delete.name)?))
        }
        None => refuse(Code::MalformedEntry, "the coordination entry names no op"),
    }
}

fn parse_open(open: OpenSession) -> Result<Op> {
    let OpenSession { id, name, ttl_ms } = open;
    check_session_id(&id)?;
    if name.chars().count() > SESSION_NAME_CHARS_MAX || name.contains(char::is_control) {
        return refuse(
            Code::InvalidArgument,
            format!(
                "a session's name has at most {SESSION_NAME_CHARS_MAX} characters on one line: \
                 {name:?}"
            ),
        );
    }
    let ttl_ms = if ttl_ms == 0 { SESSION_TTL_MS_DEFAULT } else { ttl_ms };
    if !(SESSION_TTL_MS_MIN..=SESSION_TTL_MS_MAX).contains(&ttl_ms) {
        return Err(Refusal::new(
            Code::InvalidArgument,
            format!("a session lives from 1 s to 10 min without a keepalive, not {ttl_ms} ms"),
        )
        .hint("take a --ttl in between, and keep the session each third of it"));
    }
    Ok(Op::OpenSession { id, name, ttl_ms })
}

fn by(session: String, as_admin: bool) -> Result<By> {
    check_session_id(&session)?;
    Ok(By { session, as_admin })
}

/// A UUID in lower case, as it is written: an id that is a key stands for one session only.
fn check_session_id(id: &str) -> Result<()> {
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    if id.len() == 36 && id.bytes().enumerate().all(fits) {
        return Ok(());
    }
    Err(Refusal::new(Code::InvalidArgument, format!("{id:?} is not the id of a session"))
        .hint("it is a UUID, as OpenSession gave it"))
}

fn parse_acquire(acquire: AcquireLock) -> Result<Acquire> {
    let AcquireLock { session, namespace, name, kind, limit, value, wait, as_admin } = acquire;
    let (kind, spot) = (LockKind::parse(&kind)?, Spot::parse("lock", &namespace, &name)?);
    let most = match kind {
        LockKind::Lock | LockKind::Election => 1,
        LockKind::Semaphore => LOCK_HOLDERS_MAX,
    };
    if limit == 0 || limit as usize > most {
        return Err(Refusal::new(
            Code::InvalidArgument,
            format!("{} of {limit} holders: it has from 1 to {most}", kind.as_str()),
        )
        .hint("a semaphore is what several hold at a time"));
    }
    if value.len() > LOCK_VALUE_BYTES_MAX || value.contains(char::is_control) {
        return refuse(
            Code::InvalidArgument,
            format!("a holder's value has at most {LOCK_VALUE_BYTES_MAX} bytes on one line"),
        );
    }
    Ok(Acquire { by: by(session, as_admin)?, spot, kind, limit, value, wait })
}

fn parse_release(release: ReleaseLock) -> Result<Op> {
    let ReleaseLock { namespace, name, session, token, as_admin } = release;
    let spot = Spot::parse("lock", &namespace, &name)?;
    let session = match session.as_str() {
        "" => None,
        id => {
            check_session_id(id)?;
            Some(session)
        }
    };
    if session.is_none() && token == 0 {
        return Err(Refusal::new(
            Code::InvalidArgument,
            "it is not said whose grant is given back",
        )
        .hint("name the session, or the fencing token of the grant"));
    }
    Ok(Op::Release { spot, session, token, as_admin })
}

fn parse_arrive(arrive: ArriveAtBarrier) -> Result<Op> {
    let ArriveAtBarrier { session, namespace, name, parties, as_admin } = arrive;
    let spot = Spot::parse("barrier", &namespace, &name)?;
    if parties == 0 || parties as usize > BARRIER_PARTIES_MAX {
        return refuse(
            Code::InvalidArgument,
            format!("from 1 to {BARRIER_PARTIES_MAX} meet at a barrier, not {parties}"),
        );
    }
    Ok(Op::Arrive { by: by(session, as_admin)?, spot, parties })
}
