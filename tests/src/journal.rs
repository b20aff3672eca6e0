//! The journal as the witness of what was acknowledged.

use crate::Node;
use keiko_client::proto::v1::{self as wire, tail_response::Item};
use keiko_client::{Client, Endpoint, Identity, Result};
use std::collections::BTreeMap;

/// Connects over the socket.
pub async fn connect(node: &Node) -> Client {
    try_connect(node).await.expect("the node is ready, and tells its clock")
}

/// The same to a node that may end.
pub async fn try_connect(node: &Node) -> Result<Client> {
    let endpoint = Endpoint::Unix(node.socket());
    let client = Client::connect(endpoint, Identity::Process).await?;
    client.status().await?;
    Ok(client)
}

/// Every request in the journal from a revision on, with its revision.
pub async fn journal(client: &Client, from: u64) -> BTreeMap<String, u64> {
    try_journal(client, from).await.expect("the journal")
}

/// The same of a node that may end.
pub async fn try_journal(client: &Client, from: u64) -> Result<BTreeMap<String, u64>> {
    let request = wire::TailRequest { from_revision: from, ..Default::default() };
    let mut tail = client.tail(request).await?;
    let mut found = BTreeMap::new();
    while let Some(item) = tail.next().await? {
        match item {
            Item::Event(event) if !event.request_id.is_empty() => {
                found.insert(event.request_id, event.revision);
            }
            Item::Event(_) | Item::Bookmark(_) => {}
            Item::Resync(resync) => panic!("nothing may be gone: {resync:?}"),
        }
    }
    Ok(found)
}
