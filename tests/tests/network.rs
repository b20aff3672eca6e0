//! The API as the network sees it: TLS, gRPC by hand, HTTP.

use keiko_tests::Node;
use reqwest::{Certificate, Client, Method, Response};
use serde_json::Value;

/// What gRPC answered.
#[derive(Debug)]
pub(crate) struct Status {
    /// `grpc-status`; -1 if there was none.
    pub(crate) code: i32,
    /// `grpc-message`, percent-decoded as far as it matters here.
    pub(crate) message: String,
}

/// A client that trusts the node's cluster.
pub(crate) fn client(node: &Node) -> Client {
    let ca = Certificate::from_pem(&node.ca_pem()).expect("ca.pem holds a certificate");
    let builder = Client::builder().tls_certs_only([ca]).no_proxy();
    builder.timeout(keiko_tests::DEADLINE).build().expect("a client")
}

/// One HTTP/JSON call over TLS.
pub(crate) async fn ask(
    node: &Node,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> (u16, Value) {
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
    let mut request = client(node).request(method, format!("https://{}{path}", node.api()));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// One gRPC call with an empty message over TLS.
pub(crate) async fn grpc(node: &Node, path: &str, token: Option<&str>) -> Status {
    let url = format!("https://{}{path}", node.api());
    let request = client(node).post(url).header("content-type", "application/grpc");
    let mut request = request.header("te", "trailers").body(vec![0_u8; 5]);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    status(&request.send().await.expect("an answer"))
}

/// A refusal is all head: no body comes before its status.
fn status(response: &Response) -> Status {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let code = header("grpc-status").and_then(|code| code.parse().ok()).unwrap_or(-1);
    Status { code, message: header("grpc-message").unwrap_or_default().to_owned() }
}
