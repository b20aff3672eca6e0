//! The journal's events in order, none left out and none twice, over broken connections.

use crate::call::Client;
use crate::error::{Error, Result};
use crate::watch::Patience;
use keiko_proto::v1 as wire;
use tonic::Streaming;
use wire::tail_response::Item;

/// Events from a revision on.
pub struct Tail {
    client: Client,
    request: wire::TailRequest,
    stream: Option<Streaming<wire::TailResponse>>,
    place: Place,
    patience: Patience,
}

impl Client {
    /// Begins to read the journal.
    pub async fn tail(&self, request: wire::TailRequest) -> Result<Tail> {
        let place = Place { left: (request.limit > 0).then_some(request.limit), last: None };
        let client = self.clone();
        let mut tail = Tail { client, request, stream: None, place, patience: Patience::default() };
        tail.reopen().await?;
        Ok(tail)
    }
}

impl Tail {
    /// The next item, or none at the end of what was asked for.
    pub async fn next(&mut self) -> Result<Option<Item>> {
        loop {
            if self.place.left == Some(0) {
                return Ok(None);
            }
            let Some(stream) = &mut self.stream else {
                self.reopen().await?;
                continue;
            };
            match stream.message().await {
                Ok(Some(wire::TailResponse { item: Some(item) })) => {
                    self.patience = Patience::default();
                    if self.place.take(&item, &mut self.request) {
                        return Ok(Some(item));
                    }
                }
                Ok(Some(wire::TailResponse { item: None })) => {}
                Ok(None) if !self.request.follow => return Ok(None),
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

    async fn reopen(&mut self) -> Result<()> {
        self.request.limit = self.place.left.unwrap_or(0);
        let stream = self
            .client
            .open(self.request.clone(), |client, request| async move {
                client.journal().tail(request).await
            })
            .await?;
        self.stream = Some(stream);
        Ok(())
    }
}

#[derive(Debug)]
struct Place {
    /// Events that are still wanted; none: without a limit.
    left: Option<u64>,
    /// Revision and sequence of the last event shown.
    last: Option<(u64, u32)>,
}

impl Place {
    /// Notes an item and from where to go on after it; false if it was shown before.
    fn take(&mut self, item: &Item, request: &mut wire::TailRequest) -> bool {
        match item {
            Item::Event(event) => {
                let this = (event.revision, event.sequence);
                if self.last.is_some_and(|last| this <= last) {
                    return false;
                }
                self.last = Some(this);
                self.left = self.left.map(|left| left.saturating_sub(1));
                // The same revision again: it may hold more.
                request.from_revision = event.revision;
            }
            // Of a node that lags behind the one which showed more.
            Item::Bookmark(bookmark)
                if self.last.is_some_and(|(revision, _)| bookmark.revision < revision) =>
            {
                return false;
            }
            Item::Bookmark(bookmark) => {
                request.from_revision = request.from_revision.max(bookmark.revision + 1);
            }
            Item::Resync(resync) => {
                self.last = None;
                request.from_revision = resync.revision;
            }
        }
        request.only_new = false;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(revision: u64, sequence: u32) -> Item {
        Item::Event(wire::Event { revision, sequence, ..Default::default() })
    }

    #[test]
    fn goes_on_where_it_stopped() {
        let mut request = wire::TailRequest { only_new: true, ..Default::default() };
        let mut place = Place { left: Some(3), last: None };
        for (item, shown, from, left) in [
            (event(4, 0), true, 4, 2),
            (event(4, 0), false, 4, 2),
            (event(4, 1), true, 4, 1),
            (Item::Bookmark(wire::Bookmark { revision: 3 }), false, 4, 1),
            (Item::Bookmark(wire::Bookmark { revision: 6 }), true, 7, 1),
            (event(7, 0), true, 7, 0),
        ] {
            assert_eq!(place.take(&item, &mut request), shown, "{item:?}");
            assert_eq!((request.from_revision, place.left), (from, Some(left)), "{item:?}");
            assert!(!request.only_new);
        }
        let resync = wire::Resync { oldest_revision: 9, revision: 12, reason: String::new() };
        assert!(place.take(&Item::Resync(resync), &mut request));
        assert_eq!(request.from_revision, 12);
    }
}
