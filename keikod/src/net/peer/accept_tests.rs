use super::*;
use crate::net::authority::NODE_LIFE;
use crate::net::{Authority, Certificates, Keys, Names, NodeKey};
use futures::StreamExt as _;
use std::time::SystemTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const CLUSTER: &str = "c-1";

fn founded(cluster_id: &str) -> Authority {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::open(&folder.path().join("keys")).unwrap();
    Authority::open(&Authority::create(cluster_id, &keys).unwrap().0, &keys).unwrap()
}

/// A node of this cluster that shows what somebody signed for it then.
fn node(cluster: &Authority, signer: &Authority, name: &str, then: SystemTime) -> PeerTls {
    let (names, key) = (Names::new(name, []), NodeKey::generate().unwrap());
    let shown = signer.issue_node_at(&names, &key, then).unwrap();
    PeerTls::new(cluster.ca_pem(), CLUSTER, &Certificates::new(shown).unwrap()).unwrap()
}

/// Where it accepts, and whom.
async fn listen(tls: &PeerTls) -> (String, Incoming) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (address, tls.accept(listener, CancellationToken::new()))
}

#[tokio::test]
async fn an_expired_certificate_is_good_for_its_renewal_only() {
    let (cluster, now) = (founded(CLUSTER), SystemTime::now());
    let (address, mut incoming) = listen(&node(&cluster, &cluster, "n1", now)).await;
    for (then, expired) in
        [(now, false), (now - 2 * NODE_LIFE, true), (now - 300 * NODE_LIFE, true)]
    {
        let learner = node(&cluster, &cluster, "n2", then);
        let _dialed = learner.dialer().dial(&address, "n1").await.unwrap();
        let mut accepted = incoming.next().await.unwrap().unwrap();
        let from = accepted.connect_info();
        assert_eq!((from.name.as_str(), from.expired), ("n2", expired));
        let refused = from.check_holds().err().map(|refusal| refusal.code);
        assert_eq!(refused, expired.then_some(Code::CertificateInvalid));
        assert_eq!(accepted.closes.is_some(), expired);
        if expired {
            accepted.closes = Some(Box::pin(tokio::time::sleep(Duration::ZERO)));
            let ended = accepted.read_u8().await.unwrap_err();
            assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        }
    }
}

#[tokio::test]
async fn who_renewed_comes_again_with_what_it_was_given() {
    let (cluster, now) = (founded(CLUSTER), SystemTime::now());
    let (address, mut incoming) = listen(&node(&cluster, &cluster, "n1", now)).await;
    let (names, key) = (Names::new("n2", []), NodeKey::generate().unwrap());
    let old = cluster.issue_node_at(&names, &key, now - 2 * NODE_LIFE).unwrap();
    let certificates = Certificates::new(old).unwrap();
    let dialer = PeerTls::new(cluster.ca_pem(), CLUSTER, &certificates).unwrap().dialer();
    for expired in [true, false] {
        let mut dialed = dialer.dial(&address, "n1").await.unwrap();
        let mut accepted = incoming.next().await.unwrap().unwrap();
        assert_eq!(accepted.connect_info().expired, expired);
        // In front of the first byte come tickets, if there are any: they must not bring it back.
        accepted.write_u8(7).await.unwrap();
        accepted.flush().await.unwrap();
        assert_eq!(dialed.read_u8().await.unwrap(), 7);
        certificates.show(cluster.issue_node(&names, &key).unwrap()).unwrap();
    }
}

#[tokio::test]
async fn who_is_no_node_of_this_cluster_is_not_let_in() {
    let (cluster, now) = (founded(CLUSTER), SystemTime::now());
    let (address, mut incoming) = listen(&node(&cluster, &cluster, "n1", now)).await;
    let (twin, other) = (founded(CLUSTER), founded("c-2"));
    for (signer, then) in [
        (&twin, now),
        (&twin, now - 2 * NODE_LIFE),
        (&other, now),
        (&other, now - 2 * NODE_LIFE),
        (&cluster, now + 2 * NODE_LIFE),
    ] {
        let stranger = node(&cluster, signer, "n2", then);
        let mut dialed = stranger.dialer().dial(&address, "n1").await.unwrap();
        // In TLS 1.3 who dials is done before the other side has looked.
        dialed.read_u8().await.unwrap_err();
    }
    let member = node(&cluster, &cluster, "n3", now);
    let _dialed = member.dialer().dial(&address, "n1").await.unwrap();
    let first = incoming.next().await.unwrap().unwrap();
    assert_eq!(first.connect_info().name, "n3");
}

#[tokio::test]
async fn who_dials_takes_nobody_else() {
    let (cluster, now) = (founded(CLUSTER), SystemTime::now());
    let learner = node(&cluster, &cluster, "n2", now);
    let other = founded("c-2");
    for (signer, name, then, expect) in [
        (&cluster, "n1", now, None),
        (&cluster, "n3", now, Some(Code::WrongNode)),
        (&cluster, "n1", now - 2 * NODE_LIFE, Some(Code::CertificateInvalid)),
        (&cluster, "n1", now + 2 * NODE_LIFE, Some(Code::CertificateInvalid)),
        (&other, "n1", now, Some(Code::WrongCluster)),
    ] {
        let (address, _incoming) = listen(&node(signer, signer, name, then)).await;
        let dialed = learner.dialer().dial(&address, "n1").await;
        let refused = dialed.err().map(|refusal| refusal.code);
        assert_eq!(refused, expect, "{name}");
    }
}
