//! A backup, as it is made and sent.
//!
//! Any member makes it, of its own state, once that holds all that was acknowledged before the call.
//! The files are written beside the store first, so that the cluster's life goes on meanwhile; a word
//! now and then says that they still are. Whoever goes away ends it. In pieces nothing is written
//! here: they are cut off the rows as they are sent.

use super::super::{Control, clock};
use super::nodes::allowed;
use super::service::Service;
use crate::backup::Source;
use crate::backup::pieces::{self, Sink};
use crate::consensus::Exported;
use crate::net::{Permission, status::to_status};
use crate::store::View;
use keiko_core::features;
use keiko_core::hash::{Hash, hex};
use keiko_core::id::GroupId;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::{cluster, journal};
use keiko_proto::v1::backup_response::Item;
use keiko_proto::v1::{
    BackupEnd, BackupFile, BackupGroup, BackupHeader, BackupPiece, BackupRequest, BackupResponse,
    Consistency, Node,
};
use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};

/// Parts that are read ahead of the reader: 2 MiB.
const PARTS_AHEAD: usize = 4;
/// How often somebody who waits for the first byte hears that there is still something to wait for.
const WORD_EVERY: Duration = Duration::from_secs(2);
/// One part: a message that every client takes.
const PART_BYTES: usize = 512 << 10;
/// What all files may take to be written: 480 GiB at 140 MB/s.
pub(super) const EXPORT_DEADLINE: Duration = Duration::from_secs(3600);
/// What a reader may take for one part before it counts as gone.
const READER_DEADLINE: Duration = Duration::from_secs(120);

pub(super) type BackupStream =
    Pin<Box<dyn Stream<Item = std::result::Result<BackupResponse, Status>> + Send>>;
type Sender = mpsc::Sender<std::result::Result<BackupResponse, Status>>;

/// What the control group's state says beside its files.
#[derive(Debug)]
pub(super) struct About {
    cluster_id: String,
    nodes: Vec<Node>,
    next_node_id: Option<u64>,
    oldest_revision: u64,
}

impl Service {
    pub(super) async fn back_up(&self, request: Request<BackupRequest>) -> Result<BackupStream> {
        let caller = allowed(&request, Permission::ClusterAdmin)?;
        // All that was acknowledged before this call is to be in it.
        self.control.read(Consistency::Linearizable.into(), |_| ()).await?;
        tracing::info!(actor = %caller, "a backup is made");
        let (sender, receiver) = mpsc::channel(PARTS_AHEAD);
        let control = self.control.clone();
        let BackupRequest { pieces, known } = request.into_inner();
        tokio::spawn(async move {
            let making = async {
                match pieces {
                    true => make_pieces(&control, &sender, known).await,
                    false => make(&control, &sender).await,
                }
            };
            let made = tokio::select! {
                made = making => made,
                () = control.closing().cancelled() => {
                    Err(Refusal::new(Code::Draining, "this node is shutting down")
                        .hint("ask another member"))
                }
            };
            if let Err(refusal) = made {
                tracing::warn!(code = %refusal.code, "the backup broke off: {refusal}");
                // The reader may be gone, and then nobody needs the reason.
                let _gone = sender.try_send(Err(to_status(&refusal)));
            }
        });
        Ok(Box::pin(ReceiverStream::new(receiver)))
    }
}

async fn make(control: &Control, sender: &Sender) -> Result<()> {
    let exporting = control.consensus().export(About::read);
    let (export, about) = within(exporting, sender).await?;
    let header = header(export.groups.iter().map(group_of).collect(), about, control)?;
    let mut source = Source::new(export, &header)?;
    send(sender, Item::Header(header)).await?;
    while let Some(part) = source.next().await? {
        send(sender, Item::Data(part)).await?;
    }
    let end = source.end();
    // Whoever has the end finds nothing left beside the store.
    drop(source);
    send(sender, Item::End(end)).await
}

/// The same in pieces, but for those that the reader knows.
async fn make_pieces(control: &Control, sender: &Sender, known: Vec<Vec<u8>>) -> Result<()> {
    let known = known.into_iter().filter_map(|hash| Hash::try_from(hash).ok()).collect();
    let (runtime, sender) = (Handle::current(), sender.clone());
    let hasher = blake3::Hasher::new();
    let sent = Sent { sender, runtime, known, hasher, bytes: 0, about: None, groups: Vec::new() };
    let walking = control.consensus().walk(sent, |sent, view, shown| {
        if shown.group == GroupId::CONTROL {
            sent.about = Some(About::read(view));
        }
        let group = pieces::cut(view, &shown, sent)?;
        sent.groups.push(group);
        Ok(())
    });
    let walked = tokio::time::timeout(EXPORT_DEADLINE, walking).await.map_err(|_| late())?;
    let Sent { sender, hasher, bytes, about, groups, .. } = walked?;
    let header = header(groups, about.ok_or_else(nothing)?, control)?;
    send(&sender, Item::Header(header)).await?;
    let blake3 = hex(hasher.finalize().as_bytes());
    send(&sender, Item::End(BackupEnd { bytes, blake3 })).await
}

/// What was sent so far, in pieces.
struct Sent {
    sender: Sender,
    runtime: Handle,
    known: BTreeSet<Hash>,
    /// Of all data.
    hasher: blake3::Hasher,
    bytes: u64,
    about: Option<About>,
    groups: Vec<BackupGroup>,
}

impl Sink for Sent {
    fn take(&mut self, piece: &BackupPiece, hash: Hash, bytes: Vec<u8>) -> Result<()> {
        self.runtime.block_on(send(&self.sender, Item::Piece(piece.clone())))?;
        // A piece that is twice in a backup is sent once.
        if !self.known.insert(hash) {
            return Ok(());
        }
        for part in bytes.chunks(PART_BYTES) {
            self.hasher.update(part);
            self.bytes += part.len() as u64;
            self.runtime.block_on(send(&self.sender, Item::Data(part.to_vec())))?;
        }
        Ok(())
    }
}

/// Waits for the files, with a word to the reader now and then.
async fn within<T>(exporting: impl Future<Output = Result<T>>, sender: &Sender) -> Result<T> {
    let mut exporting = std::pin::pin!(tokio::time::timeout(EXPORT_DEADLINE, exporting));
    loop {
        tokio::select! {
            exported = &mut exporting => return exported.unwrap_or_else(|_| {
                Err(late())
            }),
            () = sender.closed() => return Err(gone()),
            () = tokio::time::sleep(WORD_EVERY) => {
                // One that does not read yet has words enough to come.
                let _full = sender.try_send(Ok(BackupResponse { item: None }));
            }
        }
    }
}

async fn send(sender: &Sender, item: Item) -> Result<()> {
    let sent = sender.send(Ok(BackupResponse { item: Some(item) }));
    match tokio::time::timeout(READER_DEADLINE, sent).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(gone()),
    }
}

fn late() -> Refusal {
    Refusal::new(Code::DeadlineExceeded, "the backup took longer than an hour")
}

pub(super) fn nothing() -> Refusal {
    Refusal::new(Code::NotFounded, "this node holds no cluster yet")
        .hint("keikoctl cluster init, or start keikod with --init")
}

fn gone() -> Refusal {
    Refusal::new(Code::Unreachable, "whoever asked for the backup reads no more")
}

impl About {
    pub(super) fn read(view: &View<'_>) -> Self {
        let group = GroupId::CONTROL;
        Self {
            cluster_id: cluster::record(view, group)
                .map(|record| record.cluster_id)
                .unwrap_or_default(),
            nodes: cluster::nodes(view, group),
            next_node_id: cluster::next_id(view, group),
            oldest_revision: journal::oldest_revision(view, group),
        }
    }
}

/// What a backup of these groups says of itself.
pub(super) fn header(
    mut groups: Vec<BackupGroup>,
    about: About,
    control: &Control,
) -> Result<BackupHeader> {
    let About { cluster_id, nodes, next_node_id, oldest_revision } = about;
    if cluster_id.is_empty() {
        return Err(Refusal::new(Code::NotFounded, "the founding of this cluster is not done yet")
            .hint("start keikod again: it completes it"));
    }
    let next_node_id = next_node_id
        .ok_or_else(|| Refusal::new(Code::LimitExceeded, "there are no more ids for nodes"))?;
    // What other groups keep they keep from their beginning on.
    let control_group = u32::from(GroupId::CONTROL.0);
    for group in groups.iter_mut().filter(|group| group.group == control_group) {
        group.oldest_revision = oldest_revision;
    }
    Ok(BackupHeader {
        cluster_id,
        created_unix_ms: clock::unix_ms(),
        node: control.node().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        feature_level: features::LEVEL,
        groups,
        nodes,
        next_node_id,
    })
}

fn group_of(exported: &Exported) -> BackupGroup {
    let Exported { group, last, head, files } = exported;
    let files = files.iter().map(|file| BackupFile {
        family: file.family.clone(),
        name: file.name.clone(),
        length: file.length,
        blake3: hex(&file.blake3),
    });
    BackupGroup {
        group: u32::from(group.0),
        revision: head.revision,
        unix_ms: head.unix_ms,
        term: last.term,
        index: last.index,
        state_hash: hex(&head.hash),
        oldest_revision: 0,
        files: files.collect(),
        pieces: Vec::new(),
    }
}
