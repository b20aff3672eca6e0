//! A session, and how it is kept while this command does something.
//!
//! When it ends is the server's to say. What is known here is the least that it lives: one ttl from
//! when it was kept last, counted from before the call, so that a slow answer makes it shorter and
//! never longer. Where that is over nobody may count on it any more, also if nobody said so.

use crate::fault::Outcome;
use crate::print::time::short;
use crate::session::QUICK;
use keiko_client::Client;
use keiko_client::proto::v1::{
    AcquireLockRequest, AcquireLockResponse, ArriveRequest, ArriveResponse, CloseSessionRequest,
    KeepSessionRequest, KeepSessionResponse, OpenSessionRequest, Session,
};
use keiko_core::refusal::{Code, Refusal};
use std::cell::Cell;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

/// It is kept so often in one ttl: two may fail.
const SHARE: u32 = 3;
/// After a try that failed.
const AGAIN: Duration = Duration::from_millis(100);
/// The server answers a call within ten minutes. Who waits longer asks again, and keeps its place.
const ROUND: Duration = Duration::from_secs(9 * 60);

/// A session that this command keeps.
pub(super) struct Life {
    client: Client,
    pub id: String,
    ttl: Duration,
    /// It lives at least until then.
    ends: Cell<Instant>,
    /// Nobody else knows it.
    is_own: bool,
}

impl Life {
    /// Opens one. Without a ttl it is the server's usual one.
    pub(super) async fn open(client: &Client, ttl: Option<Duration>) -> Outcome<Self> {
        let sent = Instant::now();
        let ttl_ms = ttl.map_or(0, |ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        let request = OpenSessionRequest { name: me(), ttl_ms, request_id: Vec::new() };
        let opened = client
            .within(QUICK)
            .write(None, request, |client, request| async move {
                client.coordination().open_session(request).await
            })
            .await?;
        Ok(Self::of(client, opened.session.unwrap_or_default(), sent, true))
    }

    /// One that is there.
    pub(super) async fn join(client: &Client, id: &str) -> Outcome<Self> {
        let sent = Instant::now();
        Ok(Self::of(client, renew(client, id).await?, sent, false))
    }

    fn of(client: &Client, session: Session, sent: Instant, is_own: bool) -> Self {
        let Session { id, ttl_ms, .. } = session;
        let ttl = Duration::from_millis(ttl_ms);
        Self { client: client.clone(), id, ttl, ends: Cell::new(sent + ttl), is_own }
    }

    /// Keeps it, again and again. Comes back only when it is lost, and says why.
    pub(super) async fn keep(&self) -> Refusal {
        let share = self.ttl / SHARE;
        let client = self.client.within(share.max(Duration::from_secs(1)));
        // Whoever kept it before may have been dropped on the way: the turn is counted from its end.
        let mut next = self.ends.get() + share - self.ttl;
        let mut last = None;
        loop {
            sleep_until(next.min(self.ends.get())).await;
            let sent = Instant::now();
            if sent >= self.ends.get() {
                return self.unheard(last);
            }
            match timeout_at(self.ends.get(), keep(&client, &self.id)).await {
                Ok(Ok(_)) => {
                    self.ends.set(sent + self.ttl);
                    next = sent + share;
                }
                Ok(Err(error)) if may_pass(&error) => {
                    last = Some(error.refusal.message);
                    next = Instant::now() + AGAIN;
                }
                Ok(Err(error)) => return Refusal::from_wire(*error.refusal),
                Err(_) => return self.unheard(last),
            }
        }
    }

    /// Once more, so that it lives for one whole ttl from now on.
    pub(super) async fn renew(&self) -> Outcome<Session> {
        renew(&self.client, &self.id).await
    }

    fn unheard(&self, last: Option<String>) -> Refusal {
        let ttl = short(u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX));
        let lost = Refusal::new(Code::SessionEnded, format!("the session {} was lost", self.id))
            .cause(format!("it could not be kept for {ttl}, so it counts as over"));
        let lost = last.into_iter().fold(lost, Refusal::cause);
        lost.hint("a longer --ttl outlives longer pauses; keikoctl status")
    }

    /// Takes a lock while the session is kept. With a time it waits in turn, `Duration::MAX` for
    /// ever. What was refused for good closes a session of our own.
    pub(super) async fn acquire(
        &self,
        asked: &AcquireLockRequest,
        wait: Option<Duration>,
        id: Option<Uuid>,
    ) -> Outcome<AcquireLockResponse> {
        let request = AcquireLockRequest { session: self.id.clone(), ..asked.clone() };
        let granted = tokio::select! {
            granted = self.ask(request, wait, id) => granted,
            lost = self.keep() => Err(lost.into()),
        };
        if granted.is_err() {
            self.drop_own().await;
        }
        granted
    }

    async fn ask(
        &self,
        mut request: AcquireLockRequest,
        wait: Option<Duration>,
        id: Option<Uuid>,
    ) -> Outcome<AcquireLockResponse> {
        let end = wait.and_then(|wait| Instant::now().checked_add(wait));
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            // The same id is the same request, so it is good for one round.
            let round = match (wait, left) {
                (None, _) => Duration::ZERO,
                (Some(_), left) => left.unwrap_or(ROUND).min(ROUND),
            };
            let is_last = wait.is_none() || left.is_some_and(|left| left <= round);
            request.wait = wait.is_some();
            request.keep_place = !is_last && id.is_none();
            // Zero would be as long as the call may take.
            request.wait_ms = u64::try_from(round.as_millis()).unwrap_or(u64::MAX).max(1);
            let granted = self
                .client
                .within(round + QUICK)
                .write(id, request.clone(), |client, request| async move {
                    client.coordination().acquire_lock(request).await
                })
                .await;
            match granted {
                Ok(granted) => return Ok(granted),
                Err(error) => {
                    if is_last || id.is_some() || !is_late(&error) {
                        return Err(error.into());
                    }
                }
            }
        }
    }

    /// Counts itself in at a barrier, and waits while the session is kept.
    pub(super) async fn arrive(
        &self,
        asked: &ArriveRequest,
        wait: Duration,
    ) -> Outcome<ArriveResponse> {
        let request = ArriveRequest { session: self.id.clone(), ..asked.clone() };
        let arrived = tokio::select! {
            arrived = self.count_in(request, wait) => arrived,
            lost = self.keep() => Err(lost.into()),
        };
        self.drop_own().await;
        arrived
    }

    async fn count_in(
        &self,
        mut request: ArriveRequest,
        wait: Duration,
    ) -> Outcome<ArriveResponse> {
        let begun = Instant::now();
        loop {
            let left = wait.saturating_sub(begun.elapsed());
            let round = left.min(ROUND);
            request.wait_ms = u64::try_from(round.as_millis()).unwrap_or(u64::MAX).max(1);
            let arrived = self
                .client
                .within(round + QUICK)
                .write(None, request.clone(), |client, request| async move {
                    client.coordination().arrive(request).await
                })
                .await;
            match arrived {
                Ok(arrived) => return Ok(arrived),
                Err(error) if is_late(&error) && round < left => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends it: what it holds is given back. Also where what fenced this command is lost.
    pub(super) async fn close(&self) -> Outcome<()> {
        let client = self.client.fenced(None)?.within(QUICK);
        let request = CloseSessionRequest { id: self.id.clone(), request_id: Vec::new() };
        client
            .write(None, request, |client, request| async move {
                client.coordination().close_session(request).await
            })
            .await?;
        Ok(())
    }

    /// Where it can't be closed it ends by itself, a ttl later.
    pub(super) async fn drop_own(&self) {
        if self.is_own {
            let _ends_by_itself = self.close().await;
        }
    }
}

/// Keeps a session once; how it is then.
pub(super) async fn renew(client: &Client, id: &str) -> Outcome<Session> {
    let kept = keep(&client.within(QUICK), id).await?;
    Ok(kept.session.unwrap_or_default())
}

/// Keeping twice is keeping, so it is repeated like a read.
async fn keep(client: &Client, id: &str) -> keiko_client::Result<KeepSessionResponse> {
    let request = KeepSessionRequest { id: id.to_owned() };
    client
        .read(request, |client, request| async move {
            client.coordination().keep_session(request).await
        })
        .await
}

/// True if the next try may succeed: nobody said that the session is over.
fn may_pass(error: &keiko_client::Error) -> bool {
    error.retryable() || error.refusal.code == Code::OutcomeUnknown as u32
}

/// True if it was not this one's turn in time.
fn is_late(error: &keiko_client::Error) -> bool {
    [Code::WaitTimeout as u32, Code::DeadlineExceeded as u32].contains(&error.refusal.code)
}

/// What others read of the session: host/pid.
fn me() -> String {
    let host = nix::unistd::gethostname().unwrap_or_default();
    format!("{}/{}", host.to_string_lossy(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_client::proto::v1::Refusal as Wire;

    #[test]
    fn only_what_the_server_says_for_good_ends_a_session() {
        let error = |code: Code| {
            let wire = Wire { code: code as u32, retryable: code.retryable(), ..Wire::default() };
            keiko_client::Error::from(wire)
        };
        for (code, passes, late) in [
            (Code::NoLeader, true, false),
            (Code::Unreachable, true, false),
            (Code::OutcomeUnknown, true, false),
            (Code::DeadlineExceeded, true, true),
            (Code::WaitTimeout, true, true),
            (Code::SessionEnded, false, false),
            (Code::NotFound, false, false),
            (Code::PermissionDenied, false, false),
            (Code::FenceStale, false, false),
        ] {
            assert_eq!(may_pass(&error(code)), passes, "{code}");
            assert_eq!(is_late(&error(code)), late, "{code}");
        }
    }

    #[test]
    fn a_session_says_whose_it_is() {
        let (_, pid) = me().rsplit_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert_eq!(pid, std::process::id().to_string());
    }
}
