//! How a server is recognised, and what comes of the client's own certificate.

use crate::authority::{Authority, asks, at, behind, by, over_tls};
use crate::script::Script;
use keiko_client::proto::v1 as wire;
use keiko_client::{Badge, Client, Identity, Trust, code, enroll};
use rcgen::CertificateParams;
use std::sync::Arc;

#[tokio::test]
async fn a_client_certificate_is_shown_and_what_is_wrong_with_it_is_said() {
    let (script, ca) = (Script::default(), Authority::new("ours"));
    let (port, _serving) = behind(&ca, &script, "127.0.0.1").await;
    let trust = Some(Trust::Authority(ca.der.clone()));
    let expired = |params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    };
    for (identity, expect) in [
        (ca.identity(|_| {}), Ok(())),
        (ca.identity(expired), Err(code::CERTIFICATE_INVALID)),
        (Authority::new("theirs").identity(|_| {}), Err(code::CERTIFICATE_INVALID)),
        (Authority::new("ours").identity(|_| {}), Err(code::CERTIFICATE_INVALID)),
        (Identity::Process, Ok(())),
    ] {
        assert_eq!(asks(by(at(port), identity.clone(), trust.clone())).await, expect);
        // A stream and a call with an effect hear the same.
        let Ok(client) = Client::with(by(at(port), identity, trust.clone())).await else {
            panic!("TLS 1.3 looks at the client's certificate afterwards")
        };
        let once = client.once(wire::InitRequest {}, |client, request| async move {
            client.cluster().init(request).await
        });
        assert_eq!(once.await.map(drop).map_err(|error| error.refusal.code), expect);
    }
    // Without --ca, the CA of the certificate says who the server is.
    assert_eq!(asks(by(at(port), ca.identity(|_| {}), None)).await, Ok(()));
    let foreign = Authority::new("theirs").identity(|_| {});
    assert_eq!(asks(by(at(port), foreign, None)).await, Err(code::WRONG_CLUSTER));
}

#[tokio::test]
async fn a_token_is_traded_for_a_certificate_and_that_for_the_next() {
    let (script, ca) = (Script::default(), Authority::new("ours"));
    script.0.lock().unwrap().ca = Some(Arc::clone(&ca));
    let (port, _serving) = behind(&ca, &script, "127.0.0.1").await;
    let text = format!("keiko.id.secret.{}", blake3::hash(&ca.der));
    let settings = || by(at(port), text.parse().unwrap(), None);
    let enrolled = enroll(settings()).await.unwrap();
    assert_eq!((enrolled.name.as_str(), enrolled.role.as_str()), ("ann", "viewer"));
    assert!(!format!("{enrolled:?}").contains("PRIVATE"));
    let badge = Badge::read(&enrolled.chain_pem).unwrap();
    assert_eq!((badge.name.as_str(), badge.cluster_id.as_str()), ("ann", "c-1"));
    assert_eq!(script.0.lock().unwrap().bearers, [format!("Bearer {text}")]);

    let client = Client::with(by(at(port), enrolled.identity(), None)).await.unwrap();
    let renewed = client.renew(&enrolled.key_pem).await.unwrap();
    assert_eq!(renewed.key_pem, enrolled.key_pem);
    assert_eq!(script.0.lock().unwrap().bearers.len(), 1, "the certificate is who asks");

    // A server that gives the certificate of another cluster is no use.
    script.0.lock().unwrap().ca = Some(Authority::new("theirs"));
    let refused = enroll(settings()).await.unwrap_err();
    assert_eq!(refused.refusal.code, code::WRONG_CLUSTER);
}

#[tokio::test]
async fn the_server_is_recognised_by_its_ca() {
    let script = Script::default();
    let (ca, port) = over_tls(&script, "127.0.0.1").await;
    let (_, elsewhere) = over_tls(&script, "other.example").await;
    let (other_ca, _) = over_tls(&script, "127.0.0.1").await;
    let hash = blake3::hash(&ca);
    let text = format!("keiko.id.secret.{hash}");
    let wrong = format!("keiko.id.secret.{}", blake3::hash(b"another"));
    for (port, token, trust, expect) in [
        (port, &text, None, Ok(())),
        (port, &wrong, None, Err(code::WRONG_CLUSTER)),
        (port, &wrong, Some(Trust::Authority(ca.clone())), Ok(())),
        (port, &text, Some(Trust::Authority(other_ca.clone())), Err(code::WRONG_CLUSTER)),
        (elsewhere, &text, None, Err(code::WRONG_CLUSTER)),
    ] {
        let settings = by(at(port), token.parse().unwrap(), trust);
        let shown = format!("{settings:?}");
        assert_eq!(asks(settings).await, expect, "{shown}");
    }
    assert_eq!(script.0.lock().unwrap().bearers[0], format!("Bearer {text}"));
}
