//! Every "no" that the network gets.

use crate::network::{ask, grpc};
use crate::objects::names;
use keiko_core::refusal::Code;
use keiko_tests::shared::unique;
use keiko_tests::web::{Reply, Web};
use keiko_tests::{Node, Plan, ctl, fake, report, shared};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

const UNAUTHENTICATED: i32 = 16;

#[tokio::test]
async fn without_identity_every_method_is_refused() {
    let node = shared();
    let mut methods = Vec::new();
    for service in keiko_proto::json::pool().services() {
        methods.extend(service.methods().map(|m| format!("/{}/{}", service.full_name(), m.name())));
    }
    assert!(methods.len() > 15, "{methods:?}");
    methods.push("/grpc.health.v1.Health/Watch".to_owned());
    methods.push("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".to_owned());
    methods.push("/keiko.v1.Registry/Nothing".to_owned());
    methods.push("/none.at.All/Nothing".to_owned());
    for method in methods {
        let status = grpc(node, &method, None).await;
        assert_eq!(status.code, UNAUTHENTICATED, "{method}: {status:?}");
        assert!(status.message.starts_with("KEIKO-0020"), "{method}: {status:?}");
    }
    let health = grpc(node, "/grpc.health.v1.Health/Check", None).await;
    assert!(health.code <= 0, "{health:?}");
}

#[tokio::test]
async fn without_identity_every_path_is_refused() {
    let node = shared();
    let openapi =
        keiko_tests::http::get(&node.socket(), "/openapi.json").expect("it answers").json();
    let mut paths = vec![("get".to_owned(), "/openapi.json".to_owned())];
    for (path, item) in openapi["paths"].as_object().expect("it has paths") {
        for verb in item.as_object().expect("a path has verbs").keys() {
            paths.push((verb.clone(), path.replace(['{', '}'], "")));
        }
    }
    assert!(paths.len() > 15, "{paths:?}");
    for path in ["/", "/metrics", "/v1/nothing", "/livez/x", "/debug/pprof"] {
        paths.push(("get".to_owned(), path.to_owned()));
    }
    paths.retain(|(_, path)| path != "/livez" && path != "/readyz");
    for (verb, path) in paths {
        let (status, body) = ask(node, &verb, &path, None, None).await;
        assert_eq!((status, &body["code"]), (401, &"KEIKO-0020".into()), "{verb} {path}: {body}");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(ask(node, "get", path, None, None).await.0, 200, "{path}");
    }
}

#[test]
fn only_tls_1_3() {
    let node = shared();
    tls(node, &rustls::version::TLS13).expect("TLS 1.3 works");
    tls(node, &rustls::version::TLS12).expect_err("TLS 1.2 is refused");
    let mut plain = TcpStream::connect(node.api()).expect("it listens");
    plain.set_read_timeout(Some(keiko_tests::DEADLINE)).expect("a socket");
    plain.write_all(b"GET /livez HTTP/1.0\r\n\r\n").expect("it is sent");
    let mut answer = Vec::new();
    // An alert or nothing, and the end.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

/// One handshake.
fn tls(node: &Node, version: &'static rustls::SupportedProtocolVersion) -> std::io::Result<()> {
    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(&node.ca_pem()).expect("ca.pem holds a certificate");
    roots.add(ca).expect("it is a CA");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("the version is known")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = TcpStream::connect(node.api())?;
    stream.set_read_timeout(Some(keiko_tests::DEADLINE))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(())
}

#[test]
fn a_lone_interpreter_is_no_rule() {
    let place = keiko_tests::place::Place::new();
    let config = place.join("keiko.toml");
    for line in [r#"["/bin/sh"]"#, r#"["/usr/bin/python3", "-u"]"#, r#"["/usr/bin/env", "node"]"#] {
        std::fs::write(&config, format!("[exec]\nallow = [{line}]\n")).expect("a file");
        ctl::keikod(&format!("check --config {}", config.display()))
            .refused(2, Code::ConfigInvalid)
            .says("add the program");
    }
}

#[test]
fn credentials_are_named_never_given() {
    let node = shared();
    let agent = fake::agent::start("secretive");
    let name = unique("secretive");
    for header in ["Authorization=Bearer-x", "Authorization=@/etc/passwd", "Authorization=@../x"] {
        let line = format!("agent register {name} {} --header {header}", agent.url());
        let refused = node.ctl.run(&line);
        assert!([2, 4].contains(&refused.status), "{refused}");
        assert_eq!(refused.stdout, "", "{refused}");
        assert!(!refused.stderr.contains("Bearer-x"), "the value is shown: {refused}");
    }
    node.ctl.refused(&format!("agent get {name}"), 6, Code::NotFound);
    assert!(agent.asked().is_empty(), "{:?}", agent.asked());
    let line = format!("agent register {name} {} --header X-Key=@not-there", agent.url());
    node.ctl.refused(&line, 1, Code::CredentialMissing);
}

#[tokio::test]
async fn a_credential_goes_where_it_is_bound_and_nowhere_else() {
    const SECRET: &str = "a-secret-that-is-nowhere-else";
    let mine = fake::agent::start("mine");
    let thief = fake::agent::start("thief");
    let config = format!("[credentials.named]\nto = [\"{}\"]\n", mine.url());
    let node = Node::start(Plan::config(&config));
    node.credential("bound", SECRET);
    node.credential("named", SECRET);
    let has_secret = |web: &Web| {
        web.asked().iter().any(|asked| asked.headers.get("x-key").is_some_and(|key| key == SECRET))
    };

    // Over the socket it is bound to that origin.
    node.ctl.ok(&format!("agent register bound {} --header X-Key=@bound", mine.url()));
    assert!(has_secret(&mine));
    node.ctl.ok("agent call bound hi");

    // By token, only a line of keiko.toml opens the way.
    let token = node.ctl.ok("agent token free").stdout.trim().to_owned();
    let register = async |url: String, credential: &str| {
        let headers = serde_json::json!([{"name": "X-Key", "credential": credential}]);
        let body = serde_json::json!({"name": "free", "url": url, "headers": headers});
        ask(&node, "post", "/v1/agents", Some(&token), Some(&body)).await
    };
    let (status, body) = register(thief.url(), "bound").await;
    assert_eq!((status, &body["code"]), (403, &"KEIKO-0024".into()), "{body}");
    let (status, body) = register(thief.url(), "named").await;
    assert_eq!((status, &body["code"]), (403, &"KEIKO-0024".into()), "{body}");
    let (status, body) = register(mine.url(), "named").await;
    assert_eq!(status, 200, "{body}");

    // A redirect to another origin goes without it.
    let away = thief.url();
    let redirecting = Web::start(move |asked, _| Reply::redirect(&format!("{away}{}", asked.path)));
    let line = format!("agent register away {} --header X-Key=@bound", redirecting.url());
    node.ctl.run(&line);
    assert!(has_secret(&redirecting));
    assert!(!has_secret(&thief), "{:?}", thief.asked());

    // Nobody can read it: not from an object, not from the journal, not from the log.
    for line in ["agent list -o json", "agent get bound -o yaml", "event tail --from 0 -o jsonl"] {
        assert!(!node.ctl.ok(line).stdout.contains(SECRET), "{line}");
    }
    assert!(!node.log().contains(SECRET), "the log holds it");
}

#[test]
fn the_neighbourhood_is_closed() {
    let node = shared();
    let name = unique("closed");
    let redirecting =
        Web::start(|_, _| Reply::redirect("http://169.254.169.254/latest/meta-data/"));
    let own = format!("https://{}", node.api());
    let metrics = format!("http://{}", node.metrics());
    let targets = [
        redirecting.url(),
        "http://169.254.169.254".to_owned(),
        "http://2852039166".to_owned(),
        "http://0xa9fea9fe".to_owned(),
        "http://[::ffff:169.254.169.254]".to_owned(),
        "http://[fe80::1]".to_owned(),
        "http://metadata.google.internal".to_owned(),
        "http://0.0.0.0:1".to_owned(),
        own,
        metrics,
    ];
    for target in &targets {
        // Who sends us there is to blame, and not the policy.
        let (status, code) = match *target == redirecting.url() {
            true => (1, Code::PeerRedirect),
            false => (4, Code::EgressDenied),
        };
        for noun in ["agent", "mcp"] {
            node.ctl.refused(&format!("{noun} register {name} {target}"), status, code);
        }
    }
    for noun in ["agent", "mcp"] {
        assert!(!names(&node.ctl.json(&format!("{noun} list"))).contains(&name));
    }
}

#[test]
fn who_is_not_admitted_gets_no_further_than_the_socket() {
    let test = "refusals::who_is_not_admitted_gets_no_further_than_the_socket";
    if !nix::unistd::Uid::effective().is_root() {
        return report::skip(test, "only root can be somebody else");
    }
    let nobody = nix::unistd::User::from_name("nobody").ok().flatten().expect("nobody is known");
    let group =
        nix::unistd::Group::from_gid(nobody.gid).ok().flatten().expect("its group is known");
    let flags = "--socket {socket}";
    let place = keiko_tests::place::Place::new();
    let socket = place.join("open.sock");
    let flags = flags.replace("{socket}", &socket.display().to_string());
    let config = format!("[socket]\ngroup = \"{}\"\n", group.name);
    let mut node = Node::prepare(Plan { flags, ..Plan::config(&config) });
    node.launch();
    let admin = keiko_tests::Ctl::new(Some(format!("unix:{}", socket.display())));
    keiko_tests::eventually("ready", || {
        let status = admin.run("status");
        keiko_tests::wait::expect(status.status == 0, || status.to_string())
    });
    // The build folder may be closed to nobody.
    let copy = place.join("keikoctl");
    std::fs::copy(keiko_tests::programs::path("keikoctl"), &copy).expect("a copy");
    let as_nobody = |endpoint: &str| {
        use std::os::unix::process::CommandExt as _;
        let mut command = std::process::Command::new(&copy);
        command.args(["status", "--endpoint", endpoint]).env_clear().current_dir("/");
        command.uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw());
        ctl::run(command, &format!("keikoctl status --endpoint {endpoint} # as nobody"), "")
    };
    // Through the door, and turned away behind it: its uid is not in `[socket] uids`.
    as_nobody(&format!("unix:{}", socket.display()))
        .refused(4, Code::Unauthenticated)
        .says("[socket] uids");
    // A reload admits it.
    node.configure(&format!("{config}uids = [{}]\n", nobody.uid));
    node.signal(nix::sys::signal::Signal::SIGHUP);
    keiko_tests::eventually("admitted", || {
        let status = as_nobody(&format!("unix:{}", socket.display()));
        keiko_tests::wait::expect(status.status == 0, || status.to_string())
    });
    // The usual socket does not even open.
    let inside = shared().socket();
    as_nobody(&format!("unix:{}", inside.display())).refused(3, Code::Unreachable);
}
