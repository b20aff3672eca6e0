use super::testing::{http, mute, nobody, serve, soon};
use super::*;
use axum::Router;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{any, get};
use http::HeaderName;
use std::time::Duration;

fn get_from(url: &str) -> Request {
    Request::new(Method::GET, parse_url(url).unwrap())
}

async fn code(request: Request) -> (Code, bool) {
    let error = http().send(request, 64, soon()).await.unwrap_err();
    (error.refusal.code, error.surely_not_run)
}

/// Says which of the two headers arrived.
async fn echo(headers: HeaderMap) -> String {
    let has = |name| headers.contains_key::<&str>(name);
    format!("secret={} plain={}", has("x-secret"), has("x-plain"))
}

fn with_headers(url: &str) -> Request {
    get_from(url)
        .header(HeaderName::from_static("x-plain"), http::HeaderValue::from_static("1"))
        .credentials(&secret_headers([("x-secret", b"s".as_slice())]).unwrap())
}

#[tokio::test]
async fn metadata_is_refused_at_once_and_behind_a_redirect() {
    for target in
        ["http://169.254.169.254/latest", "http://metadata.google.internal/", "http://[fe80::1]/"]
    {
        let app = Router::new().route("/", any(move || async move { Redirect::temporary(target) }));
        let redirecting = format!("http://{}/", serve(app).await);
        for (url, expect) in
            [(target.to_owned(), Code::EgressDenied), (redirecting, Code::PeerRedirect)]
        {
            assert_eq!(code(get_from(&url)).await, (expect, true), "{url}");
            let post = Request::new(Method::POST, parse_url(&url).unwrap()).json(b"{}".to_vec());
            assert_eq!(code(post).await, (expect, true), "POST {url}");
        }
    }
}

#[tokio::test]
async fn a_name_is_judged_by_its_addresses() {
    let address = serve(Router::new().route("/", get(echo))).await;
    let http = http();
    let url = format!("http://localhost:{}/", address.port());
    assert!(http.send(get_from(&url), 64, soon()).await.is_ok());
    http.set_policy(Policy::new(&[], &[], vec![address.port()]).unwrap());
    let refused = http.send(get_from(&url), 64, soon()).await.unwrap_err();
    assert_eq!(refused.refusal.code, Code::EgressDenied, "own port by name, after a reload");
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    let far = serve(Router::new().route("/", get(echo))).await;
    let away = format!("http://{far}/");
    let app = Router::new()
        .route("/", get(echo))
        .route("/same", get(|| async { Redirect::permanent("/") }))
        .route("/away", get(move || async move { Redirect::temporary(&away) }));
    let near = serve(app).await;
    for (path, expect) in [
        ("/", "secret=true plain=true"),
        ("/same", "secret=true plain=true"),
        ("/away", "secret=false plain=true"),
    ] {
        let answer =
            http().send(with_headers(&format!("http://{near}{path}")), 64, soon()).await.unwrap();
        assert_eq!(answer.body, expect, "{path}");
    }
}

#[tokio::test]
async fn a_message_stays_with_its_origin() {
    let far = serve(Router::new().route("/", any(|| async { "taken" }))).await;
    let away = format!("http://{far}/");
    let app = Router::new()
        .route("/", any(|| async { "taken" }))
        .route("/same", any(|| async { Redirect::permanent("/") }))
        .route("/away", any(move || async move { Redirect::permanent(&away) }));
    let near = serve(app).await;
    for method in [Method::GET, Method::POST, Method::DELETE] {
        for path in ["/same", "/away"] {
            let url = parse_url(&format!("http://{near}{path}")).unwrap();
            let request = Request::new(method.clone(), url).json(b"{}".to_vec());
            let sent = http().send(request, 64, soon()).await;
            if path == "/same" || method == Method::GET {
                assert_eq!(sent.unwrap().body, "taken", "{method} {path}");
                continue;
            }
            let error = sent.unwrap_err();
            let seen = (error.refusal.code, error.surely_not_run);
            assert_eq!(seen, (Code::PeerRedirect, true), "{method} {path}");
            let hint = format!("register where it points: http://{far}");
            assert_eq!(error.refusal.hints, [hint], "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_credential_does_not_come_back_with_a_redirect_home() {
    let (tell, told) = tokio::sync::watch::channel(String::new());
    let back = move || {
        let home = told.borrow().clone();
        async move { Redirect::temporary(&home) }
    };
    let far = serve(Router::new().route("/", get(back))).await;
    let away = format!("http://{far}/");
    let app = Router::new()
        .route("/", get(echo))
        .route("/away", get(move || async move { Redirect::temporary(&away) }));
    let near = serve(app).await;
    tell.send(format!("http://{near}/")).unwrap();
    let answer =
        http().send(with_headers(&format!("http://{near}/away")), 64, soon()).await.unwrap();
    assert_eq!(answer.body, "secret=false plain=true");
}

#[tokio::test]
async fn redirects_end() {
    let app = Router::new()
        .route("/circle", any(|| async { Redirect::temporary("/circle") }))
        .route("/userinfo", any(|| async { Redirect::temporary("http://u:p@127.0.0.1/") }))
        .fallback(
            |uri: Uri| async move { Redirect::temporary(&format!("{uri}x")).into_response() },
        );
    let address = serve(app).await;
    for path in ["/circle", "/endless", "/userinfo"] {
        let url = format!("http://{address}{path}");
        assert_eq!(code(get_from(&url)).await, (Code::PeerRedirect, true), "{path}");
    }
}

#[tokio::test]
async fn a_message_that_is_redirected_away_may_have_been_processed() {
    let to = |status: u16, target: &'static str| {
        let status = StatusCode::from_u16(status).unwrap();
        any(move || async move { (status, [(header::LOCATION, target)]) })
    };
    let mut app = Router::new();
    for status in [301, 302, 303, 307] {
        app = app
            .route(&format!("/good/{status}"), to(status, "/there"))
            .route(&format!("/bad/{status}"), to(status, "ftp://a/"))
            .route(&format!("/denied/{status}"), to(status, "http://169.254.169.254/"));
    }
    let address = serve(app.route("/there", any(|| async { "done" }))).await;
    for status in [301, 302, 303, 307] {
        for kind in ["good", "bad", "denied"] {
            let url = parse_url(&format!("http://{address}/{kind}/{status}")).unwrap();
            let post = Request::new(Method::POST, url).json(b"{}".to_vec());
            let sent = http().send(post, 64, soon()).await.map_err(|error| {
                let surely = error.surely_not_run;
                (surely, error.of_effect("the message").refusal.code)
            });
            let expect = match (status, kind) {
                (307, "good") => None,
                (307, _) => Some((true, Code::PeerRedirect)),
                _ => Some((false, Code::OutcomeUnknown)),
            };
            assert_eq!(sent.err(), expect, "{kind} {status}");
        }
    }
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let stream = || async {
        let chunks =
            futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 50])));
        axum::body::Body::from_stream(chunks)
    };
    let app = Router::new()
        .route("/sized", get(|| async { [0u8; 65].to_vec() }))
        .route("/endless", get(stream));
    let address = serve(app).await;
    for path in ["/sized", "/endless"] {
        let url = format!("http://{address}{path}");
        assert_eq!(code(get_from(&url)).await, (Code::PeerTooLarge, false), "{path}");
    }
}

#[tokio::test]
async fn silence_and_refusal_are_told_apart() {
    let url = format!("http://{}/", mute().await);
    let deadline = Instant::now() + Duration::from_millis(50);
    let late = http().send(get_from(&url), 64, deadline).await.unwrap_err();
    assert_eq!((late.refusal.code, late.surely_not_run), (Code::PeerTimeout, false));
    let url = format!("http://{}/", nobody().await);
    assert_eq!(code(get_from(&url)).await, (Code::PeerUnreachable, true));
    assert_eq!(code(get_from("http://no-such-name.invalid/")).await, (Code::PeerUnreachable, true));
}

/// Writes `answer` to whoever connects, and closes.
async fn says(answer: &'static [u8]) -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer).await;
        }
    });
    address
}

/// TLS with a certificate that nobody knows.
async fn secure() -> std::net::SocketAddr {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    address
}

#[tokio::test]
async fn tls_where_it_should_not_be_and_the_other_way_round() {
    let plain = serve(Router::new()).await;
    let tls = secure().await;
    for (url, code) in [
        (format!("https://{plain}/"), Code::PeerTls),
        (format!("https://{}/", says(b"SSH-2.0-x\r\n").await), Code::PeerTls),
        (format!("https://{}/", says(b"").await), Code::PeerTls),
        (format!("https://{tls}/"), Code::PeerTls),
        (format!("http://{tls}/"), Code::PeerTls),
        (format!("http://{}/", says(b"SSH-2.0-x\r\n").await), Code::PeerGarbage),
        (format!("http://{}/", says(b"").await), Code::PeerUnreachable),
    ] {
        let http = http();
        let error = http.send(get_from(&url), 64, soon()).await.unwrap_err();
        let error = http.explained(&parse_url(&url).unwrap(), error, soon()).await;
        assert_eq!(error.refusal.code, code, "{url}: {error:?}");
        assert_eq!(error.surely_not_run, code == Code::PeerTls, "{url}");
    }
}
