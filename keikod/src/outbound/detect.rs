//! Which protocol is spoken at a URL that a person typed.

use super::a2a::{self, Card, CardKey};
use super::http::{Http, shown};
use super::mcp::{self, Session, Target};
use ::http::HeaderMap;
use keiko_core::refusal::{Code, Refusal, Result};
use tokio::time::Instant;
use url::Url;

/// What was found.
pub enum Detected {
    /// An MCP server, connected.
    Mcp {
        /// Where it answers, which may be one segment below what was asked for.
        url: Url,
        /// Open, so that tools can be listed without a second greeting.
        session: Box<Session>,
    },
    /// An A2A agent.
    A2a {
        /// Its card.
        card: Box<Card>,
    },
}

/// Finds out: a card first, since asking for one has no effect on anybody, then MCP.
pub async fn detect(
    http: &Http,
    url: &Url,
    credentials: &HeaderMap,
    keys: &[CardKey],
    deadline: Instant,
) -> Result<Detected> {
    let card = match a2a::find(http, url, credentials, keys, deadline).await {
        Ok(card) => return Ok(Detected::A2a { card: Box::new(card) }),
        Err(refusal) => refusal,
    };
    if !is_nothing_known(&card) {
        return Err(card);
    }
    match mcp_at(http, url, credentials, deadline).await {
        Ok((url, session)) => Ok(Detected::Mcp { url, session: Box::new(session) }),
        Err(mcp) if is_nothing_known(&mcp) => {
            let code = if card.code == mcp.code { mcp.code } else { Code::ProtocolUnknown };
            let message = format!("{} speaks neither A2A nor MCP", shown(url));
            Err(Refusal::new(code, message).cause(told(card)).cause(told(mcp)))
        }
        Err(mcp) => Err(mcp),
    }
}

/// Something answers, and it is not what was looked for: another path or protocol may be.
fn is_nothing_known(refusal: &Refusal) -> bool {
    matches!(refusal.code, Code::ProtocolUnknown | Code::PeerNoEndpoint | Code::PeerGarbage)
}

/// In one line.
fn told(refusal: Refusal) -> String {
    let causes = refusal.causes.into_iter().take(1);
    std::iter::once(refusal.message).chain(causes).collect::<Vec<_>>().join(": ")
}

/// For `agent register`: a card, or a word about what is there instead.
pub async fn agent(
    http: &Http,
    url: &Url,
    credentials: &HeaderMap,
    keys: &[CardKey],
    deadline: Instant,
) -> Result<Card> {
    match detect(http, url, credentials, keys, deadline).await? {
        Detected::A2a { card } => Ok(*card),
        Detected::Mcp { url, session } => {
            session.close().await;
            Err(Refusal::new(
                Code::ProtocolUnknown,
                format!("{} is an MCP server, not an agent", shown(&url)),
            )
            .hint(format!("keikoctl mcp register {url}")))
        }
    }
}

/// For `mcp register`: a session, or a word about what is there instead.
pub async fn mcp_server(
    http: &Http,
    url: &Url,
    credentials: &HeaderMap,
    deadline: Instant,
) -> Result<(Url, Session)> {
    let refusal = match mcp_at(http, url, credentials, deadline).await {
        Err(refusal) if is_nothing_known(&refusal) => refusal,
        result => return result,
    };
    match a2a::find(http, url, credentials, &[], deadline).await {
        Ok(_) => Err(Refusal::new(
            Code::ProtocolUnknown,
            format!("{} is an agent, not an MCP server", shown(url)),
        )
        .hint(format!("keikoctl agent register {url}"))),
        Err(_) => Err(refusal),
    }
}

/// At the URL as it is, then at `/mcp` below it, where servers are by habit.
async fn mcp_at(
    http: &Http,
    url: &Url,
    credentials: &HeaderMap,
    deadline: Instant,
) -> Result<(Url, Session)> {
    let connect = |url: Url| {
        let target = Target::Http { url, credentials: credentials.clone() };
        mcp::connect(http, target, None, deadline)
    };
    let refusal = match connect(url.clone()).await {
        Ok(session) => return Ok((url.clone(), session)),
        Err(refusal) => refusal,
    };
    let habit = url.path().trim_end_matches('/').ends_with("/mcp");
    if !is_nothing_known(&refusal) || habit {
        return Err(refusal);
    }
    let mut below = url.clone();
    below.set_path(&format!("{}/mcp", url.path().trim_end_matches('/')));
    match connect(below.clone()).await {
        Ok(session) => Ok((below, session)),
        Err(below) if is_nothing_known(&below) => Err(refusal),
        Err(below) => Err(below),
    }
}
