//! Documents that others read: paths whose form somebody else laid down, beside the API's own.
//!
//! The network asks who calls, bounds the time, and answers GET and HEAD with an entity tag; what
//! is in a document, and who may read it, is the business of whoever implements [`Pages`].

use super::identity::Identity;
use super::status::{self, Origin, body_response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use keiko_core::refusal::{Code, Refusal, Result};
use tonic::body::Body;

/// Where documents come from.
#[tonic::async_trait]
pub trait Pages: Send + Sync + 'static {
    /// True if there may be a document at this path, still percent-encoded. Asked at every request
    /// that is no call of the API, so it must be cheap.
    fn has(&self, path: &str) -> bool;

    /// Reads one. Whoever answers asks for the permission.
    async fn read(&self, asked: Asked) -> Result<Document>;
}

/// Which document is asked for, and by whom.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who calls.
    pub identity: Identity,
    /// Still percent-encoded.
    pub path: String,
    /// Without the question mark; may be empty.
    pub query: String,
    /// What the caller calls this node, if it came over the network: only good for links.
    pub authority: Option<String>,
}

/// A document as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its media type.
    pub content_type: &'static str,
    /// All of it.
    pub body: Bytes,
}

/// What of a request is needed for its answer; a body can't be shared between threads.
pub(super) struct Head {
    is_head: bool,
    asked: Asked,
    if_none_match: Option<HeaderValue>,
}

impl Head {
    /// None if the method is neither GET nor HEAD.
    pub(super) fn of(request: &Request<Body>, identity: Identity, remote: bool) -> Option<Self> {
        let is_head = match *request.method() {
            Method::GET => false,
            Method::HEAD => true,
            _ => return None,
        };
        let uri = request.uri();
        let authority = match uri.authority() {
            Some(authority) => Some(authority.to_string()),
            None => host(request.headers()),
        };
        let asked = Asked {
            identity,
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            authority: authority.filter(|_| remote),
        };
        let if_none_match = request.headers().get(header::IF_NONE_MATCH).cloned();
        Some(Self { is_head, asked, if_none_match })
    }
}

/// What HTTP/1 calls this node, if it is one that fits in a URL.
fn host(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    host.parse::<http::uri::Authority>().ok().map(|authority| authority.to_string())
}

/// The whole answer.
pub(super) async fn answer(pages: &dyn Pages, head: Head) -> Result<Response<Body>> {
    let Head { is_head, asked, if_none_match } = head;
    let Document { content_type, body } = pages.read(asked).await?;
    let tag = tag(&body);
    let length = HeaderValue::from(body.len());
    let is_known = if_none_match.is_some_and(|known| names(&known, &tag));
    let mut response = match (is_known, is_head) {
        (true, _) => body_response(StatusCode::NOT_MODIFIED, content_type, Bytes::new()),
        (false, true) => body_response(StatusCode::OK, content_type, Bytes::new()),
        (false, false) => body_response(StatusCode::OK, content_type, body),
    };
    let headers = response.headers_mut();
    if is_head && !is_known {
        headers.insert(header::CONTENT_LENGTH, length);
    }
    // Kept, but asked about each time: what is said of health is of this moment.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}

/// 405 with what is allowed.
pub(super) fn wrong_method(path: &str, origin: &Origin) -> Response<Body> {
    let refusal = Refusal::new(Code::UnknownMethod, format!("{path} takes another method"))
        .hint("it can only be read: GET or HEAD");
    let mut response = status::to_http(&refusal, origin);
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// The same bytes have the same tag, on every node.
fn tag(body: &[u8]) -> String {
    format!("\"{}\"", &blake3::hash(body).to_hex()[..32])
}

/// True if one of the tags in the header is `tag`, compared weakly (RFC 9110, 8.8.3.2).
fn names(header: &HeaderValue, tag: &str) -> bool {
    let Ok(text) = header.to_str() else { return false };
    text.split(',').map(str::trim).any(|known| {
        let strong = known.strip_prefix("W/").unwrap_or(known);
        strong == tag || strong == "*"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One;

    #[tonic::async_trait]
    impl Pages for One {
        fn has(&self, path: &str) -> bool {
            path == "/one"
        }

        async fn read(&self, asked: Asked) -> Result<Document> {
            let authority = asked.authority.unwrap_or_default();
            let body = Bytes::from(format!("{}?{}@{authority}", asked.path, asked.query));
            Ok(Document { content_type: "text/plain", body })
        }
    }

    fn request(method: Method, tag: &str) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = "/one?a=b".parse().unwrap();
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("n1:7340"));
        if !tag.is_empty() {
            request.headers_mut().insert(header::IF_NONE_MATCH, tag.parse().unwrap());
        }
        request
    }

    async fn ask(method: Method, tag: &str, remote: bool) -> (Response<()>, String) {
        use http_body_util::BodyExt as _;
        let identity = Identity::Socket { node: "n1".into(), uid: 0 };
        let head = Head::of(&request(method, tag), identity, remote).unwrap();
        let (head, body) = answer(&One, head).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (Response::from_parts(head, ()), String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn what_is_known_is_not_sent_again() {
        let (first, text) = ask(Method::GET, "", true).await;
        assert_eq!((first.status(), text.as_str()), (StatusCode::OK, "/one?a=b@n1:7340"));
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        for (known, expect) in [
            (tag.clone(), 304),
            (format!("W/{tag}"), 304),
            (format!("\"x\", {tag}"), 304),
            ("*".to_owned(), 304),
            ("\"x\"".to_owned(), 200),
            (tag.trim_matches('"').to_owned(), 200),
        ] {
            for method in [Method::GET, Method::HEAD] {
                let (answer, text) = ask(method.clone(), &known, true).await;
                assert_eq!(answer.status().as_u16(), expect, "{method} {known}");
                assert_eq!(text.is_empty(), expect == 304 || method == Method::HEAD);
                assert_eq!(answer.headers()[header::ETAG], tag.as_str());
            }
        }
    }

    #[tokio::test]
    async fn a_head_says_how_long_it_is() {
        let (answer, text) = ask(Method::HEAD, "", false).await;
        assert_eq!(text, "");
        assert_eq!(answer.headers()[header::CONTENT_LENGTH], "9", "no authority on the socket");
        assert!(One.has("/one"));
    }

    #[test]
    fn other_methods() {
        let identity = Identity::Socket { node: "n1".into(), uid: 0 };
        for method in [Method::POST, Method::DELETE, Method::OPTIONS] {
            assert!(Head::of(&request(method, ""), identity.clone(), true).is_none());
        }
        let refused = wrong_method("/one", &Origin::default());
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(refused.headers()[header::ALLOW], "GET, HEAD");
    }
}
