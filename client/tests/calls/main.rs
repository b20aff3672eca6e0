//! What the client promises, against servers that misbehave on purpose.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod authority;
mod backup;
mod certificates;
mod members;
mod repeats;
mod script;

use keiko_client::proto::v1 as wire;
use keiko_client::{Client, Endpoint, Identity};
use script::Script;
use std::path::Path;
use tokio_stream::wrappers::UnixListenerStream;

/// A client of a server on a socket in this folder.
async fn over_socket(folder: &Path, script: &Script) -> Client {
    let path = folder.join("keiko.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(script.server().serve_with_incoming(UnixListenerStream::new(listener)));
    Client::connect(Endpoint::Unix(path), Identity::Process).await.unwrap()
}

/// A write.
async fn token(client: &Client, id: Option<uuid::Uuid>) -> keiko_client::Result<()> {
    let message = wire::CreateAgentTokenRequest::default();
    let call = |client: Client, request| async move {
        client.security().create_agent_token(request).await
    };
    client.write(id, message, call).await.map(drop)
}
