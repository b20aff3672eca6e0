//! The table of routes, read once from the annotations of the protos.

use super::template::Template;
use http::Method;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::google::api::{HttpRule, http_rule::Pattern};
use prost_reflect::{DescriptorPool, MethodDescriptor};

/// Where the request's fields come from, besides the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// The query.
    None,
    /// The body: `body: "*"`.
    Whole,
}

/// One way to call one method.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) verb: Method,
    pub(super) template: Template,
    /// As written in the proto.
    pub(super) pattern: String,
    pub(super) payload: Payload,
    pub(super) method: MethodDescriptor,
    /// As in `/keiko.v1.Registry/Get`.
    pub(super) path: String,
}

/// Every route of the pool; what says more comes first.
pub(super) fn table(pool: &DescriptorPool) -> Result<Vec<Route>> {
    let extension = pool
        .get_extension_by_name("google.api.http")
        .ok_or_else(|| Refusal::new(Code::Internal, "the protos have no google.api.http"))?;
    let mut routes = Vec::new();
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let options = method.options();
        if !options.has_extension(&extension) {
            continue;
        }
        let rule = options
            .get_extension(&extension)
            .as_message()
            .and_then(|rule| rule.transcode_to::<HttpRule>().ok())
            .ok_or_else(|| unusable(&method))?;
        let more = rule.additional_bindings.clone();
        for rule in std::iter::once(rule).chain(more) {
            routes.push(route(&method, rule)?);
        }
    }
    routes.sort_by_key(|route: &Route| std::cmp::Reverse(route.template.weight()));
    Ok(routes)
}

fn route(method: &MethodDescriptor, rule: HttpRule) -> Result<Route> {
    let (verb, pattern) = match rule.pattern {
        Some(Pattern::Get(pattern)) => (Method::GET, pattern),
        Some(Pattern::Put(pattern)) => (Method::PUT, pattern),
        Some(Pattern::Post(pattern)) => (Method::POST, pattern),
        Some(Pattern::Delete(pattern)) => (Method::DELETE, pattern),
        Some(Pattern::Patch(pattern)) => (Method::PATCH, pattern),
        None => return Err(unusable(method)),
    };
    let payload = match rule.body.as_str() {
        "" => Payload::None,
        "*" => Payload::Whole,
        _ => return Err(unusable(method)),
    };
    // A client that streams can't be told in one body.
    if method.is_client_streaming() {
        return Err(unusable(method));
    }
    let template = Template::parse(&pattern)?;
    for field in template.fields() {
        if super::fields::find(&method.input(), field.split('.').next().unwrap_or(field)).is_none()
        {
            return Err(unusable(method));
        }
    }
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    Ok(Route { verb, template, pattern, payload, method: method.clone(), path })
}

fn unusable(method: &MethodDescriptor) -> Refusal {
    Refusal::new(
        Code::Internal,
        format!("the annotation google.api.http of {} can't be used", method.full_name()),
    )
}
