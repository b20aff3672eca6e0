//! `context test`: connects, and says which cluster answers, to whom and how fast.

use super::args::TestArgs;
use super::{Surroundings, Way, way};
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::Printer;
use crate::print::time::rfc3339;
use crate::session::{QUICK, Session};
use crate::settings::Files;
use keiko_client::proto::v1::{StatusResponse, WhoAmIRequest, WhoAmIResponse};
use keiko_client::{Badge, Client, Endpoint, Identity};
use keiko_core::refusal::Code;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// One slow answer says little; the quickest of a few says how far it is.
const TRIES: usize = 5;

/// Runs `context test`.
pub(crate) async fn run(args: TestArgs, session: &Session) -> Outcome {
    let around = Surroundings::of_process();
    let way = match &args.name {
        Some(name) => Way::of(Files::read(&around)?.named(name)?)?,
        None => way(&session.globals, &around)?,
    };
    let (name, endpoint, origin) = (way.name.clone(), way.endpoint.clone(), way.origin.clone());
    let started = Instant::now();
    let progress = session.progress(format!("connecting to {endpoint}"));
    let (client, identity) = session.client_by(way, &around, QUICK).await?;
    let connected = started.elapsed();
    let status = status(&client).await?;
    let round_trip = round_trip(&client).await?;
    let caller = who_am_i(&client).await?;
    drop(progress);
    let document = json!({
        "context": name,
        "endpoint": endpoint.to_string(),
        "origin": origin,
        "identity": who(&endpoint, &identity),
        "role": caller.role,
        "scope": caller.scope,
        "permissions": caller.permissions,
        "expiresMs": caller.expires_ms,
        "cluster": status.cluster.as_ref().map_or("", |cluster| &cluster.id),
        "leader": status.leader,
        "version": status.version,
        "connectMs": milliseconds(connected),
        "roundTripUs": u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX),
    });
    session.printer.document(&document, |printer| human(&document, &status, printer))?;
    session.printer.note(match status.version.is_empty() {
        false => "it answers",
        true => "it answers; who this is may not see the cluster's status",
    });
    Ok(Exit::Done)
}

/// A token that is known and may not see the status has been answered, too.
async fn status(client: &Client) -> Outcome<StatusResponse> {
    match client.status().await {
        Ok(status) => Ok(status),
        Err(error) if error.refusal.code == Code::PermissionDenied as u32 => {
            Ok(StatusResponse::default())
        }
        Err(error) => Err(error.into()),
    }
}

/// As the cluster knows the caller. A release that does not tell has been reached all the same, and
/// a token that is only traded is no caller yet.
async fn who_am_i(client: &Client) -> Outcome<WhoAmIResponse> {
    let call = |client: Client, request| async move { client.security().who_am_i(request).await };
    let silent = [Code::UnknownMethod as u32, Code::PermissionDenied as u32];
    match client.read(WhoAmIRequest {}, call).await {
        Ok(caller) => Ok(caller),
        Err(error) if silent.contains(&error.refusal.code) => Ok(WhoAmIResponse::default()),
        Err(error) => Err(error.into()),
    }
}

async fn round_trip(client: &Client) -> Outcome<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let asked = Instant::now();
        status(client).await?;
        best = best.min(asked.elapsed());
    }
    Ok(best)
}

/// As whom: of a token only its id, which is no secret.
pub(crate) fn who(endpoint: &Endpoint, identity: &Identity) -> String {
    match (identity, endpoint) {
        (Identity::Token(text), _) => {
            format!("token {}", text.split('.').nth(1).unwrap_or_default())
        }
        (Identity::Certificate { chain_pem, .. }, _) => {
            Badge::read(chain_pem).map_or_else(|_| "a certificate".to_owned(), |badge| badge.name)
        }
        (Identity::Process, Endpoint::Unix(_)) => format!("uid {}", nix::unistd::geteuid()),
        (Identity::Process, Endpoint::Tls { .. } | Endpoint::Several(_)) => "nobody".to_owned(),
    }
}

/// The role, and of an agent what it may touch.
fn role(role: &str, scope: &str) -> String {
    match scope {
        "" => role.to_owned(),
        scope => format!("{role} of {scope}"),
    }
}

fn until(expires_ms: u64) -> String {
    match expires_ms {
        0 => String::new(),
        expires_ms => rfc3339(expires_ms),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn human(document: &Value, status: &StatusResponse, printer: &Printer) -> String {
    let word = |name: &str| document[name].as_str().unwrap_or_default();
    let number = |name: &str| document[name].as_u64().unwrap_or_default();
    let mut text = String::new();
    let trip = number("roundTripUs");
    for (title, value) in [
        ("context", word("context").to_owned()),
        ("endpoint", format!("{} ({})", word("endpoint"), word("origin"))),
        ("as", word("identity").to_owned()),
        ("role", role(word("role"), word("scope"))),
        ("until", until(number("expiresMs"))),
        ("cluster", word("cluster").to_owned()),
        ("leader", status.leader.clone()),
        ("release", word("version").to_owned()),
        ("connect", format!("{} ms", number("connectMs"))),
        ("round trip", format!("{}.{} ms", trip / 1000, trip % 1000 / 100)),
    ] {
        if !value.is_empty() {
            // Writing to a String can't fail.
            let _ = writeln!(text, "{title:<13}{}", printer.safe(&value));
        }
    }
    text
}
