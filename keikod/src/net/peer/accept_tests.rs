use super::*;
use crate::net::authority::NODE_LIFE;
use crate::net::{Authority, Certificates, Keys, Names, NodeKey};
use futures::StreamExt as _;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::SystemTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const CLUSTER: &str = "c-1";

fn founded(cluster_id: &str) -> Authority {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::open(&folder.path().join("keys")).unwrap();
    Authority::open(&Authority::create(cluster_id, &keys).unwrap().0, &keys).unwrap()
}

/// The members' table, as one node has it.
#[derive(Debug, Default)]
struct Table(Mutex<BTreeMap<String, Pinned>>);

impl Table {
    fn set(&self, name: &str, pin: Pinned) {
        self.0.lock().unwrap().insert(name.to_owned(), pin);
    }
}

impl Pins for Table {
    fn pin(&self, name: &str) -> Pinned {
        self.0.lock().unwrap().get(name).cloned().unwrap_or(Pinned::Unknown)
    }
}

/// A node of this cluster that shows what somebody signed for it then.
fn node(signer: &Authority, name: &str, then: SystemTime) -> PeerTls {
    known(signer, (name, &NodeKey::generate().unwrap()), then, &Arc::default())
}

/// The same with this key, and with these pins.
fn known(
    signer: &Authority,
    (name, key): (&str, &NodeKey),
    then: SystemTime,
    table: &Arc<Table>,
) -> PeerTls {
    let shown = signer.issue_node_at(&Names::new(name, []), key, then).unwrap();
    PeerTls::new(CLUSTER, &Certificates::new(shown).unwrap(), table.clone()).unwrap()
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
    let (address, mut incoming) = listen(&node(&cluster, "n1", now)).await;
    for (then, expired) in
        [(now, false), (now - 2 * NODE_LIFE, true), (now - 300 * NODE_LIFE, true)]
    {
        let learner = node(&cluster, "n2", then);
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
    let (address, mut incoming) = listen(&node(&cluster, "n1", now)).await;
    let (names, key) = (Names::new("n2", []), NodeKey::generate().unwrap());
    let old = cluster.issue_node_at(&names, &key, now - 2 * NODE_LIFE).unwrap();
    let certificates = Certificates::new(old).unwrap();
    let dialer = PeerTls::new(CLUSTER, &certificates, Arc::new(Table::default())).unwrap().dialer();
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
    let listens = NodeKey::generate().unwrap();
    let (address, mut incoming) =
        listen(&known(&cluster, ("n1", &listens), now, &Arc::default())).await;
    let (twin, other) = (founded(CLUSTER), founded("c-2"));
    // Each stranger believes that it meets a member; what is asked is whom that one believes.
    let theirs = Arc::new(Table::default());
    theirs.set("n1", Pinned::Key(listens.key_hash().to_owned()));
    for (signer, then) in [
        (&twin, now),
        (&twin, now - 2 * NODE_LIFE),
        (&other, now),
        (&other, now - 2 * NODE_LIFE),
        (&cluster, now + 2 * NODE_LIFE),
    ] {
        let stranger = known(signer, ("n2", &NodeKey::generate().unwrap()), then, &theirs);
        let mut dialed = stranger.dialer().dial(&address, "n1").await.unwrap();
        // In TLS 1.3 who dials is done before the other side has looked.
        dialed.read_u8().await.unwrap_err();
    }
    let member = node(&cluster, "n3", now);
    let _dialed = member.dialer().dial(&address, "n1").await.unwrap();
    let first = incoming.next().await.unwrap().unwrap();
    assert_eq!(first.connect_info().name, "n3");
}

#[tokio::test]
async fn who_dials_takes_nobody_else() {
    let (cluster, now) = (founded(CLUSTER), SystemTime::now());
    let learner = node(&cluster, "n2", now);
    let other = founded("c-2");
    for (signer, name, then, expect) in [
        (&cluster, "n1", now, None),
        (&cluster, "n3", now, Some(Code::WrongNode)),
        (&cluster, "n1", now - 2 * NODE_LIFE, Some(Code::CertificateInvalid)),
        (&cluster, "n1", now + 2 * NODE_LIFE, Some(Code::CertificateInvalid)),
        (&other, "n1", now, Some(Code::WrongCluster)),
    ] {
        let (address, _incoming) = listen(&node(signer, name, then)).await;
        let dialed = learner.dialer().dial(&address, "n1").await;
        let refused = dialed.err().map(|refusal| refusal.code);
        assert_eq!(refused, expect, "{name}");
    }
}

#[tokio::test]
async fn a_member_is_its_pinned_key_whoever_signed() {
    let (cluster, twin, now) = (founded(CLUSTER), founded(CLUSTER), SystemTime::now());
    let (own, other) = (NodeKey::generate().unwrap(), NodeKey::generate().unwrap());
    let table = Arc::new(Table::default());
    let listens = NodeKey::generate().unwrap();
    let (address, mut incoming) = listen(&known(&cluster, ("n1", &listens), now, &table)).await;
    let theirs = Arc::new(Table::default());
    theirs.set("n1", Pinned::Key(listens.key_hash().to_owned()));
    table.set("n2", Pinned::Key(own.key_hash().to_owned()));
    for (signer, key, then, expect) in [
        (&cluster, &own, now, Some(false)),
        (&twin, &own, now, Some(false)),
        (&cluster, &own, now - 2 * NODE_LIFE, Some(true)),
        (&cluster, &other, now, None),
        (&twin, &other, now, None),
    ] {
        let dialer = known(signer, ("n2", key), then, &theirs).dialer();
        let mut dialed = dialer.dial(&address, "n1").await.unwrap();
        match expect {
            None => drop(dialed.read_u8().await.unwrap_err()),
            Some(expired) => {
                let accepted = incoming.next().await.unwrap().unwrap();
                assert_eq!(accepted.connect_info().expired, expired);
            }
        }
    }
}

#[tokio::test]
async fn who_is_no_member_any_more_is_cut_off() {
    let table = Arc::new(Table::default());
    let standing = |name: &str| Standing {
        due: tokio::time::interval(Duration::from_millis(1)),
        ..Standing::new(table.clone(), name.to_owned(), "k".to_owned())
    };
    table.set("n2", Pinned::Key("k".to_owned()));
    let (mut member, mut newcomer) = (standing("n2"), standing("n3"));
    let is_over = |standing: &mut Standing| {
        let mut context = Context::from_waker(std::task::Waker::noop());
        standing.poll_over(&mut context)
    };
    for (pin, expect) in
        [(Pinned::Key("k".to_owned()), false), (Pinned::Unknown, false), (Pinned::Gone, true)]
    {
        table.set("n2", pin);
        table.set("n3", Pinned::Gone);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(is_over(&mut member), expect);
        assert!(!is_over(&mut newcomer), "it is not known here yet");
    }
}
