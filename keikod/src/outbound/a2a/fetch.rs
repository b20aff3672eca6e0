//! Where a card is, and whether it changed.

use super::card::Card;
use super::signature::{self, CardKey};
use crate::outbound::http::{Answer, Http, Request, of_status, shown};
use http::header::{ACCEPT, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use keiko_core::limits::OBJECT_BYTES_MAX;
use keiko_core::refusal::{Code, Refusal, Result};
use tokio::time::Instant;
use url::Url;

/// A card: the agent keeps it beside what is read from it, so it may fill half of an object.
pub const CARD_BYTES_MAX: usize = OBJECT_BYTES_MAX / 2;

/// Where 1.0 and later 0.3 put it, and where earlier 0.3 did.
const WELL_KNOWN: [&str; 2] = [".well-known/agent-card.json", ".well-known/agent.json"];

/// What a fetch gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Fetched {
    /// The card that the ETag stands for is still the card.
    Unchanged,
    /// A card.
    Card(Box<Card>),
}

/// Fetches the card at exactly `url`; with `etag` only if it changed.
pub async fn fetch(
    http: &Http,
    url: &Url,
    etag: Option<&str>,
    credentials: &HeaderMap,
    keys: &[CardKey],
    deadline: Instant,
) -> Result<Fetched> {
    let etag = etag.and_then(|etag| HeaderValue::from_str(etag).ok());
    let answer = ask(http, url, etag.clone(), credentials, deadline).await?;
    match answer.status {
        StatusCode::NOT_MODIFIED if etag.is_some() => Ok(Fetched::Unchanged),
        StatusCode::OK => Ok(Fetched::Card(Box::new(accept(&answer, url, keys)?))),
        status => Err(refused(url, status)),
    }
}

/// Finds the card of the agent at `url`, which is its address or its card's.
pub async fn find(
    http: &Http,
    url: &Url,
    credentials: &HeaderMap,
    keys: &[CardKey],
    deadline: Instant,
) -> Result<Card> {
    let mut first = None;
    for candidate in candidates(url) {
        let answer = ask(http, &candidate, None, credentials, deadline).await?;
        let found = match answer.status {
            StatusCode::OK => accept(&answer, &candidate, keys),
            status => Err(refused(&candidate, status)),
        };
        match found {
            Ok(card) => return Ok(card),
            // Who wants to know who asks, or fails, must not look like one without a card.
            Err(refusal) if is_final(&refusal) => return Err(refusal),
            Err(refusal) => first = better(first, refusal),
        }
    }
    Err(first.unwrap_or_else(|| Refusal::new(Code::CardInvalid, "no card was found")))
}

/// A card with a mistake says more than a page that is no card.
fn better(first: Option<Refusal>, next: Refusal) -> Option<Refusal> {
    match first {
        Some(first) if first.code == Code::CardInvalid || next.code != Code::CardInvalid => {
            Some(first)
        }
        _ => Some(next),
    }
}

fn is_final(refusal: &Refusal) -> bool {
    matches!(refusal.code, Code::PeerUnauthorized | Code::PeerError)
}

fn candidates(url: &Url) -> Vec<Url> {
    let mut found = Vec::new();
    let mut add = |candidate: Url| {
        if !found.contains(&candidate) {
            found.push(candidate);
        }
    };
    if url.path().ends_with(".json") || url.path().contains("/.well-known/") {
        add(url.clone());
        return found;
    }
    let below = |base: &Url, path: &str| {
        let mut candidate = base.clone();
        candidate.set_query(None);
        candidate.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
        candidate
    };
    for path in WELL_KNOWN {
        add(below(url, path));
    }
    if url.path() != "/" {
        add(url.clone());
        let mut root = url.clone();
        root.set_path("/");
        for path in WELL_KNOWN {
            add(below(&root, path));
        }
    }
    found
}

async fn ask(
    http: &Http,
    url: &Url,
    etag: Option<HeaderValue>,
    credentials: &HeaderMap,
    deadline: Instant,
) -> Result<Answer> {
    let mut request = Request::new(Method::GET, url.clone())
        .header(ACCEPT, HeaderValue::from_static("application/json"))
        .credentials(credentials);
    if let Some(etag) = etag {
        request = request.header(IF_NONE_MATCH, etag);
    }
    match http.send(request, CARD_BYTES_MAX, deadline).await {
        Ok(answer) => Ok(answer),
        Err(error) => Err(http.explained(url, error, deadline).await.refusal),
    }
}

/// The card belongs to where it was asked for, not to where a redirect led: otherwise any open
/// redirect of a host would vouch for a stranger's card. A bad signature is the caller's to judge.
fn accept(answer: &Answer, url: &Url, keys: &[CardKey]) -> Result<Card> {
    let raw: serde_json::Value = serde_json::from_slice(&answer.body).map_err(|_| {
        let message = format!("{} has no agent card at {}", shown(url), url.path());
        Refusal::new(Code::PeerGarbage, message).cause("it answers something that is not JSON")
    })?;
    let looks_like_card = raw.get("supportedInterfaces").is_some()
        || raw.get("skills").is_some()
        || (raw.get("url").is_some() && raw.get("name").is_some());
    if !looks_like_card && !url.path().contains(".well-known/") {
        let message = format!("{} has no agent card at {}", shown(url), url.path());
        return Err(
            Refusal::new(Code::ProtocolUnknown, message).cause("it answers JSON that is no card")
        );
    }
    let signature = signature::judge(&raw, keys);
    let mut card = Card::read(url, raw)?;
    card.signature = signature;
    card.etag = answer.headers.get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
    Ok(card)
}

fn refused(url: &Url, status: StatusCode) -> Refusal {
    let code = match of_status(status, url) {
        Some(refusal) if is_final(&refusal) => return refusal,
        Some(refusal) => refusal.code,
        None => Code::ProtocolUnknown,
    };
    Refusal::new(code, format!("{} has no agent card at {}", shown(url), url.path()))
        .cause(format!("it answers {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_card_may_be() {
        for (url, expect) in [
            ("http://a", vec!["/.well-known/agent-card.json", "/.well-known/agent.json"]),
            ("http://a/card.json", vec!["/card.json"]),
            ("http://a/x/.well-known/agent-card.json", vec!["/x/.well-known/agent-card.json"]),
            (
                "http://a/x/",
                vec![
                    "/x/.well-known/agent-card.json",
                    "/x/.well-known/agent.json",
                    "/x/",
                    "/.well-known/agent-card.json",
                    "/.well-known/agent.json",
                ],
            ),
        ] {
            let found = candidates(&Url::parse(url).unwrap());
            let paths: Vec<_> = found.iter().map(Url::path).collect();
            assert_eq!(paths, expect, "{url}");
        }
    }
}
