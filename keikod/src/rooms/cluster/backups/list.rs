//! What there is in the place, and the calls.

use super::{Keeper, blocking};
use crate::backup::place::Place;
use crate::backup::placed::{Placed, names};
use keiko_core::backup::restored_path;
use keiko_core::cluster::{RESTORED, backup_notes};
use keiko_core::id::GroupId;
use keiko_core::refusal::Result;
use keiko_proto::v1::{BackupInfo, BackupNote, ListBackupsResponse};
use serde_json::Value;

/// Shown at most: four rungs of a hundred are 400.
const SHOWN_MAX: usize = 400;
/// What came of a rehearsal is a line.
const WORD_BYTES_MAX: usize = 64 << 10;

impl Keeper {
    /// What there is, and how the schedule stands.
    pub(in crate::rooms::cluster) async fn list(&self) -> Result<ListBackupsResponse> {
        let standing = self.standing().await?;
        let read = |view: &crate::store::View<'_>| backup_notes(view, GroupId::CONTROL);
        let notes = self.inner.control.read_local(read).await?;
        let settings = self.settings();
        let now_ms = self.inner.control.now_ms();
        let place = settings.place.as_ref().map(|place| place.value.clone()).unwrap_or_default();
        let items = match place.clone() {
            place if place.is_empty() => Vec::new(),
            place => blocking(move || items(&place)).await?,
        };
        Ok(ListBackupsResponse {
            place,
            items,
            notes,
            every_ms: settings.every_ms(),
            rehearse_every_ms: settings.rehearse_every_ms(),
            recovery_point_ms: standing.recovery_point_ms(now_ms).unwrap_or_default(),
            recovery_time_ms: standing.restored.map_or(0, |note| note.took_ms),
        })
    }

    /// How often one is made; none where no place is named.
    pub(in crate::rooms::cluster) fn every_ms(&self) -> Option<u64> {
        let settings = self.settings();
        settings.place.as_ref().map(|_| settings.every_ms())
    }

    /// Makes one to its end, even if the caller goes away.
    pub(in crate::rooms::cluster) async fn make_now(&self) -> Result<BackupNote> {
        let keeper = self.clone();
        to_its_end(async move { keeper.back_up().await }).await
    }

    /// The same for a rehearsal.
    pub(in crate::rooms::cluster) async fn rehearse_now(&self) -> Result<BackupNote> {
        let keeper = self.clone();
        to_its_end(async move { keeper.rehearse().await }).await
    }
}

async fn to_its_end(
    work: impl Future<Output = Result<BackupNote>> + Send + 'static,
) -> Result<BackupNote> {
    use keiko_core::refusal::{Code, Refusal};
    tokio::spawn(work).await.unwrap_or_else(|error| {
        Err(Refusal::new(Code::Internal, "the work on a backup broke off").cause(error))
    })
}

/// Newest first.
fn items(place: &str) -> Result<Vec<BackupInfo>> {
    let place = Place::open(place)?;
    let names = names(&place)?;
    let mut items = Vec::new();
    for name in names.iter().rev().take(SHOWN_MAX) {
        let mut info = BackupInfo {
            name: name.to_string(),
            created_unix_ms: name.created_ms(),
            ..Default::default()
        };
        match Placed::open(&place, name) {
            Ok(Some(placed)) => about(&mut info, &placed),
            // It went meanwhile.
            Ok(None) => continue,
            Err(refusal) => info.restore_failure = refusal.message,
        }
        if let Some(word) = place.get(&restored_path(&info.name), WORD_BYTES_MAX)? {
            let word: Value = serde_json::from_slice(&word).unwrap_or_default();
            info.restored_unix_ms = word["unix_ms"].as_u64().unwrap_or_default();
            info.restore_took_ms = word["took_ms"].as_u64().unwrap_or_default();
            if word["outcome"] != RESTORED {
                let reason = word["reason"].as_str().unwrap_or("it could not be restored");
                reason.clone_into(&mut info.restore_failure);
            }
        }
        items.push(info);
    }
    Ok(items)
}

fn about(info: &mut BackupInfo, placed: &Placed) {
    let header = &placed.header;
    info.cluster_id.clone_from(&header.cluster_id);
    info.node.clone_from(&header.node);
    info.bytes = placed.bytes();
    if let Some(group) = header.groups.first() {
        (info.revision, info.state_unix_ms) = (group.revision, group.unix_ms);
    }
}
