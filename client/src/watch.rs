//! A watch that goes on after a broken connection, exactly where it stopped.
//!
//! Invariants: no change is left out in silence and none is shown twice. One revision may hold
//! several changes, so the place is a revision that was seen in full, and a count of what was seen
//! of the next one. Where the place was lost, RESYNC is an item of its own.

use crate::call::Client;
use crate::error::{Error, Result};
use keiko_proto::v1 as wire;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tonic::Streaming;
use wire::watch_response::Type;

/// How long a lost connection is mended before the watch gives up.
const MEND: Duration = Duration::from_secs(120);

/// Objects of one kind: the present, then every change.
pub struct Watch {
    client: Client,
    request: wire::WatchRequest,
    stream: Option<Streaming<wire::WatchResponse>>,
    place: Place,
    patience: Patience,
}

impl Client {
    /// Begins a watch.
    pub async fn watch(&self, request: wire::WatchRequest) -> Result<Watch> {
        let place = Place::after(request.after_revision);
        let client = self.clone();
        let mut watch =
            Watch { client, request, stream: None, place, patience: Patience::default() };
        watch.reopen(&watch.client.clone()).await?;
        Ok(watch)
    }
}

impl Watch {
    /// The next item; it waits as long as that takes.
    pub async fn next(&mut self) -> Result<wire::WatchResponse> {
        loop {
            let Some(stream) = &mut self.stream else {
                self.reopen(&self.client.within(MEND)).await?;
                if let Some(resync) = self.place.lost() {
                    return Ok(resync);
                }
                continue;
            };
            match stream.message().await {
                Ok(Some(item)) => {
                    self.patience = Patience::default();
                    if self.place.take(&item) {
                        return Ok(item);
                    }
                }
                Ok(None) => self.mend(None).await?,
                Err(status) => self.mend(Some(Error::from(status))).await?,
            }
        }
    }

    async fn mend(&mut self, error: Option<Error>) -> Result<()> {
        self.stream = None;
        let mended = self.patience.pause(error).await;
        mended.map_err(|error| self.client.mark(error, None))
    }

    async fn reopen(&mut self, client: &Client) -> Result<()> {
        self.request.after_revision = self.place.resume();
        let stream = client
            .open(self.request.clone(), |client, request| async move {
                client.registry().watch(request).await
            })
            .await?;
        self.stream = Some(stream);
        Ok(())
    }
}

/// How far a watch came.
#[derive(Debug, Default, PartialEq)]
struct Place {
    /// The present was seen in full.
    synced: bool,
    /// Something was shown since the last RESYNC.
    shown: bool,
    /// Everything up to here was seen.
    revision: u64,
    /// Of this later revision, that many changes were seen.
    partial: (u64, u32),
    /// Of this revision, that many changes come again and are left out.
    again: (u64, u32),
}

impl Place {
    fn after(revision: u64) -> Self {
        Self { synced: revision > 0, revision, ..Self::default() }
    }

    /// Notes an item; false if it was shown before.
    fn take(&mut self, item: &wire::WatchResponse) -> bool {
        match item.r#type() {
            // Of a node that lags behind the one which showed more.
            Type::Bookmark if item.revision < self.partial.0 => return false,
            Type::Bookmark => {
                let revision = self.revision.max(item.revision);
                *self = Self { synced: true, shown: true, revision, ..Self::default() };
            }
            Type::Resync => *self = Self::default(),
            Type::Unspecified | Type::Added | Type::Modified | Type::Deleted => {
                if !self.synced {
                    self.shown = true;
                    return true;
                }
                if self.again.0 == item.revision && self.again.1 > 0 {
                    self.again.1 -= 1;
                    return false;
                }
                if self.partial.0 == item.revision {
                    self.partial.1 += 1;
                } else {
                    self.revision = self.revision.max(self.partial.0);
                    self.partial = (item.revision, 1);
                }
                self.shown = true;
            }
        }
        true
    }

    /// After which revision to go on.
    fn resume(&mut self) -> u64 {
        if !self.synced {
            return 0;
        }
        self.again = self.partial;
        self.revision
    }

    /// RESYNC, if the connection broke before the present was seen in full.
    fn lost(&mut self) -> Option<wire::WatchResponse> {
        if self.synced || !self.shown {
            return None;
        }
        *self = Self::default();
        Some(wire::WatchResponse { r#type: Type::Resync.into(), ..Default::default() })
    }
}

/// Waits between attempts, and an end to them.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    since: Option<Instant>,
    breaks: u32,
}

impl Patience {
    /// Waits before the next attempt, or gives the error back if it will not pass.
    pub(crate) async fn pause(&mut self, error: Option<Error>) -> Result<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let error = error.unwrap_or_else(|| {
            Error::new(crate::code::UNREACHABLE, "keikod ended the stream again and again")
        });
        if !error.is_passing() || since.elapsed() > MEND {
            return Err(error);
        }
        // 50 ms, doubled up to 1.6 s.
        sleep(Duration::from_millis(50 << self.breaks.min(5))).await;
        self.breaks = self.breaks.saturating_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: Type, revision: u64) -> wire::WatchResponse {
        wire::WatchResponse { r#type: kind.into(), revision, ..Default::default() }
    }

    #[test]
    fn a_node_that_lags_takes_nothing_back() {
        let mut place = Place::after(7);
        assert!(place.take(&item(Type::Modified, 9)));
        assert_eq!(place.resume(), 7);
        assert!(!place.take(&item(Type::Bookmark, 8)), "9 was shown already");
        assert!(!place.take(&item(Type::Modified, 9)), "once");
        assert!(place.take(&item(Type::Modified, 10)));
        assert!(place.take(&item(Type::Bookmark, 10)));
        assert_eq!(place.resume(), 10);
    }

    #[test]
    fn goes_on_where_it_stopped() {
        let mut place = Place::after(0);
        assert!(place.take(&item(Type::Added, 3)));
        assert_eq!(place.resume(), 0, "the present was not seen in full");
        assert_eq!(place.lost().map(|item| item.r#type()), Some(Type::Resync));
        assert_eq!(place.lost(), None);

        assert!(place.take(&item(Type::Added, 3)));
        assert!(place.take(&item(Type::Bookmark, 7)));
        assert!(place.take(&item(Type::Modified, 9)));
        assert!(place.take(&item(Type::Deleted, 9)));
        assert_eq!(place.resume(), 7, "revision 9 may hold more");
        assert_eq!(place.lost(), None);
        assert!(!place.take(&item(Type::Modified, 9)));
        assert!(!place.take(&item(Type::Deleted, 9)));
        assert!(place.take(&item(Type::Added, 9)));
        assert!(place.take(&item(Type::Added, 12)));
        assert_eq!(place.resume(), 9);
        assert!(!place.take(&item(Type::Added, 12)));
        assert!(place.take(&item(Type::Bookmark, 12)));
        assert_eq!(place.resume(), 12);

        assert!(place.take(&item(Type::Resync, 0)));
        assert_eq!(place.resume(), 0);
        assert_eq!(Place::after(5).resume(), 5);
    }
}
