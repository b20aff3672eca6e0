//! HTTP/JSON from the `google.api.http` annotations, so that no endpoint is written twice.
//!
//! Keeps: the table of routes and the OpenAPI document, both made once from the descriptors.
//!
//! Invariant: a call by JSON is the gRPC call, served by the same routes with the same identity;
//! there is no second way in. Never: knows a service or a message by name.

pub mod behalf;
mod call;
mod fields;
mod frames;
mod openapi;
mod route;
mod template;

use super::status::{self, Origin};
use http::{HeaderValue, Method, Response, StatusCode, header};
use keiko_core::refusal::{Code, Refusal, Result};
use route::Route;
use serde_json::Value;
use tonic::body::Body;

pub(super) use call::{Found, request_id};

/// Finds the method for a path.
pub(super) struct Transcoder {
    routes: Vec<Route>,
    openapi: Value,
}

/// A path that leads nowhere.
pub(super) struct Miss {
    path: String,
    /// Empty if no method would do.
    allowed: Vec<Method>,
}

impl Transcoder {
    /// Reads the annotations of every service.
    pub(super) fn new() -> Result<Self> {
        let pool = keiko_proto::json::pool();
        let routes = route::table(pool)?;
        let openapi = openapi::document(pool, &routes);
        Ok(Self { routes, openapi })
    }

    /// The method that answers here.
    pub(super) fn find(&self, verb: &Method, path: &str) -> std::result::Result<Found<'_>, Miss> {
        let mut allowed = Vec::new();
        for route in &self.routes {
            let Some(captures) = route.template.matches(path) else { continue };
            if route.verb == *verb {
                return Ok(Found { route, captures });
            }
            allowed.push(route.verb.clone());
        }
        Err(Miss { path: path.to_owned(), allowed })
    }

    /// The OpenAPI document.
    pub(super) fn openapi(&self) -> &Value {
        &self.openapi
    }
}

impl Miss {
    /// 404, or 405 with what is allowed.
    pub(super) fn answer(&self, origin: &Origin) -> Response<Body> {
        let refusal = if self.allowed.is_empty() {
            Refusal::new(Code::UnknownMethod, format!("there is nothing at {}", self.path))
        } else {
            Refusal::new(Code::UnknownMethod, format!("{} takes another method", self.path))
        };
        let refusal = refusal.hint("/openapi.json lists every path");
        let mut response = status::to_http(&refusal, origin);
        let names: Vec<_> = self.allowed.iter().map(Method::as_str).collect();
        if let Ok(allowed) = HeaderValue::from_str(&names.join(", "))
            && !names.is_empty()
        {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_annotation_is_reachable() {
        let transcoder = Transcoder::new().unwrap();
        let check = |verb: Method, path: &str, expect: &str| {
            let found =
                transcoder.find(&verb, path).ok().map(|found| found.method_path().to_owned());
            assert_eq!(found.as_deref(), Some(expect), "{verb} {path}");
        };
        let object = "/v1/objects/agent/default/hello";
        check(Method::GET, object, "/keiko.v1.Registry/Get");
        check(Method::DELETE, object, "/keiko.v1.Registry/Delete");
        check(Method::GET, &format!("{object}:history"), "/keiko.v1.Registry/History");
        check(Method::GET, "/v1/objects/tools", "/keiko.v1.Registry/List");
        check(Method::POST, "/v1/agents", "/keiko.v1.Registry/RegisterAgent");
        check(Method::POST, "/v1/agents/a/b:call", "/keiko.v1.Registry/CallAgent");
        check(Method::POST, "/v1/agents/a/b:token", "/keiko.v1.Security/CreateAgentToken");
        check(Method::GET, "/v1/mcp-servers/a/b/logs", "/keiko.v1.Registry/Logs");
        check(Method::GET, "/v1/events", "/keiko.v1.Journal/Tail");
        check(Method::GET, "/v1/events/7", "/keiko.v1.Journal/GetEvents");
        check(Method::POST, "/v1/cluster:init", "/keiko.v1.Cluster/Init");
        for route in &transcoder.routes {
            let path = route.pattern.replace(['{', '}'], "");
            check(route.verb.clone(), &path, &route.path);
        }
    }

    #[test]
    fn misses() {
        let transcoder = Transcoder::new().unwrap();
        let check = |verb: Method, path: &str, status: u16, allow: Option<&str>| {
            let Err(miss) = transcoder.find(&verb, path) else { panic!("{path} was found") };
            let response = miss.answer(&Origin::default());
            assert_eq!(response.status().as_u16(), status, "{verb} {path}");
            let got = response.headers().get(header::ALLOW).map(|allow| allow.to_str().unwrap());
            assert_eq!(got, allow);
        };
        check(Method::GET, "/", 404, None);
        check(Method::GET, "/v1/nothing", 404, None);
        check(Method::GET, "/v1/objects/agent/default", 404, None);
        check(Method::PUT, "/v1/status", 405, Some("GET"));
        check(Method::POST, "/v1/objects/agent/default/x", 405, Some("GET, DELETE"));
    }
}
