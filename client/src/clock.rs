//! Request ids on the server's clock: UUIDv7, whose time the server compares with its own.
//!
//! Until the server was asked, its clock counts as ours; a clock that is wrong is noticed by the
//! first refusal (KEIKO-0036) and corrected then, so that a right one costs no extra call.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::{NoContext, Timestamp, Uuid};

#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// The server's clock minus ours, ms.
    offset_ms: AtomicI64,
}

impl Clock {
    /// Learns the server's clock from a reply. Zero means that the reply said nothing.
    pub(crate) fn learn(&self, server_unix_ms: u64) {
        if server_unix_ms == 0 {
            return;
        }
        let server = i64::try_from(server_unix_ms).unwrap_or(i64::MAX);
        self.offset_ms.store(server.saturating_sub(our_unix_ms()), Ordering::Relaxed);
    }

    /// A request id for now.
    pub(crate) fn request_id(&self) -> Uuid {
        let now_ms = our_unix_ms().saturating_add(self.offset_ms.load(Ordering::Relaxed)).max(0);
        let now_ms = u64::try_from(now_ms).unwrap_or_default();
        let nanos = u32::try_from(now_ms % 1000 * 1_000_000).unwrap_or_default();
        Uuid::new_v7(Timestamp::from_unix(NoContext, now_ms / 1000, nanos))
    }
}

fn our_unix_ms() -> i64 {
    // A clock before 1970 counts as 1970: the server's answer sets it right.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_ms(id: Uuid) -> i64 {
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        i64::try_from(seconds * 1000 + u64::from(nanos / 1_000_000)).unwrap()
    }

    #[test]
    fn ids_are_made_on_the_servers_clock() {
        let clock = Clock::default();
        assert!((made_ms(clock.request_id()) - our_unix_ms()).abs() < 5_000);
        clock.learn(0);
        assert!((made_ms(clock.request_id()) - our_unix_ms()).abs() < 5_000);
        let year_ms = 365 * 24 * 3600 * 1000;
        clock.learn(u64::try_from(our_unix_ms() + year_ms).unwrap());
        let id = clock.request_id();
        assert!((made_ms(id) - our_unix_ms() - year_ms).abs() < 5_000);
        assert_eq!(id.get_version_num(), 7);
    }
}
