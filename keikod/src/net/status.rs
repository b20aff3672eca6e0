//! A coded refusal in the words of gRPC and of HTTP, and back.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use keiko_core::refusal::{Class, Code, Refusal};
use keiko_proto::v1 as wire;
use prost::Message as _;
use serde_json::json;
use tonic::Status;
use tonic::body::Body;

/// The status of a refusal: the code by its class, the text for people, the whole in the details.
pub fn to_status(refusal: &Refusal) -> Status {
    let code = match refusal.code {
        // Clients probe for services: they know "not there" by this code only.
        Code::UnknownMethod => tonic::Code::Unimplemented,
        code => tonic::Code::from_i32(code.class().grpc_code()),
    };
    let details = Bytes::from(refusal.to_wire().encode_to_vec());
    Status::with_details(code, refusal.to_string(), details)
}

/// The refusal in a status. What was not coded by us gets the nearest code.
pub fn to_refusal(status: &Status) -> Refusal {
    if !status.details().is_empty()
        && let Ok(wire) = wire::Refusal::decode(status.details())
        && wire.code != 0
    {
        return Refusal::from_wire(wire);
    }
    let code = match status.code() {
        tonic::Code::InvalidArgument | tonic::Code::OutOfRange => Code::InvalidArgument,
        tonic::Code::Unimplemented => Code::UnknownMethod,
        tonic::Code::NotFound => Code::NotFound,
        tonic::Code::AlreadyExists => Code::NameTaken,
        tonic::Code::Aborted => Code::RevisionConflict,
        tonic::Code::Unauthenticated => Code::Unauthenticated,
        tonic::Code::PermissionDenied => Code::PermissionDenied,
        tonic::Code::DeadlineExceeded => Code::DeadlineExceeded,
        tonic::Code::ResourceExhausted => Code::LimitExceeded,
        tonic::Code::Unavailable => Code::NotReady,
        _ => Code::Internal,
    };
    let message = match status.message() {
        "" => status.code().description(),
        text => text,
    };
    Refusal::new(code, message)
}

/// What an HTTP error says of its request.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// UUID, text; empty if the caller gave none.
    pub request_id: String,
    /// Hex; empty if there is no trace.
    pub trace_id: String,
}

/// The JSON object that stands for a refusal on every face.
pub fn to_json(refusal: &Refusal, origin: &Origin) -> serde_json::Value {
    json!({
        "code": refusal.code.to_string(),
        "message": refusal.message,
        "causes": refusal.causes,
        "hints": refusal.hints,
        "retryable": refusal.code.retryable(),
        "request_id": origin.request_id,
        "trace_id": origin.trace_id,
    })
}

/// The HTTP status of a refusal.
pub fn http_status(refusal: &Refusal) -> StatusCode {
    let number = match refusal.code {
        Code::UnknownMethod => 404,
        code => code.class().http_status(),
    };
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The whole HTTP answer.
pub fn to_http(refusal: &Refusal, origin: &Origin) -> Response<Body> {
    let mut response = json_response(http_status(refusal), &to_json(refusal, origin));
    if refusal.code.class() == Class::Unauthenticated {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// An HTTP answer with a JSON body.
pub fn json_response(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut text = value.to_string();
    text.push('\n');
    body_response(status, "application/json", text)
}

/// An HTTP answer with a body that is at hand.
pub fn body_response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Body::new(http_body_util::Full::new(body.into())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire() {
        for code in Code::ALL {
            let refusal = Refusal::new(*code, "no").cause("why").hint("what next");
            let status = to_status(&refusal);
            assert_eq!(to_refusal(&status), refusal);
            assert_eq!(status.message(), format!("{code}: no"));
            assert!(http_status(&refusal).as_u16() >= 400);
        }
    }

    #[test]
    fn what_others_coded_gets_the_nearest_code() {
        for (status, code) in [
            (Status::unimplemented(""), Code::UnknownMethod),
            (Status::resource_exhausted("too big"), Code::LimitExceeded),
            (Status::invalid_argument("x"), Code::InvalidArgument),
            (Status::unknown("x"), Code::Internal),
            (
                Status::with_details(tonic::Code::NotFound, "x", Bytes::from_static(b"\xff")),
                Code::NotFound,
            ),
        ] {
            let refusal = to_refusal(&status);
            assert_eq!(refusal.code, code);
            assert!(!refusal.message.is_empty());
        }
    }

    #[test]
    fn the_json_of_an_error_names_its_request() {
        let origin = Origin { request_id: "r".into(), trace_id: "t".into() };
        let json = to_json(&Refusal::new(Code::NotFound, "no").hint("look"), &origin);
        assert_eq!(json["code"], "KEIKO-0030");
        assert_eq!(json["hints"][0], "look");
        assert_eq!(json["trace_id"], "t");
        assert_eq!(json["retryable"], false);
    }
}
