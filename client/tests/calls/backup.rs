//! A backup is whole only once its end was seen, and only if its bytes are those that were sent.

use super::over_socket;
use super::script::Script;
use keiko_client::proto::v1 as wire;
use keiko_client::{Result, code};
use wire::backup_response::Item;

fn end(bytes: &[u8]) -> Item {
    let blake3 = blake3::hash(bytes).to_hex().to_string();
    Item::End(wire::BackupEnd { bytes: bytes.len() as u64, blake3 })
}

/// What arrives of this.
async fn receive(items: Vec<Item>) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let script = Script::default();
    script.0.lock().unwrap().backup = items;
    let client = over_socket(folder.path(), &script).await;
    let mut backup = client.backup().await?;
    let mut bytes = Vec::new();
    while let Some(part) = backup.next().await? {
        bytes.extend(part);
    }
    assert_eq!(backup.bytes(), bytes.len() as u64);
    assert_eq!(backup.header.map(|header| header.cluster_id), Some("c".to_owned()));
    Ok(bytes)
}

#[tokio::test]
async fn what_is_cut_or_changed_is_no_backup() {
    let header =
        Item::Header(wire::BackupHeader { cluster_id: "c".to_owned(), ..Default::default() });
    let data = |bytes: &[u8]| Item::Data(bytes.to_vec());
    let whole = vec![header.clone(), data(b"one"), data(b"two"), end(b"onetwo")];
    assert_eq!(receive(whole.clone()).await.unwrap(), b"onetwo");
    let refused = |error: keiko_client::Error| error.refusal.code;
    let cut = receive(whole[..3].to_vec()).await;
    assert_eq!(cut.map_err(refused), Err(code::UNREACHABLE));
    for wrong in [end(b"onetwo!"), end(b"onetw0")] {
        let changed = vec![header.clone(), data(b"one"), data(b"two"), wrong];
        assert_eq!(receive(changed).await.map_err(refused), Err(code::INTERNAL));
    }
}
