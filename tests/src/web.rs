//! A small HTTP server that answers as it is told, also wrongly, and keeps what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const BODY_BYTES_MAX: u64 = 8 << 20;

/// A request that was read to its end.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// As in `GET`.
    pub method: String,
    /// With its query.
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    /// The connection ends without a word.
    hang_up: bool,
}

impl Reply {
    /// 200 with JSON.
    pub fn json(body: &serde_json::Value) -> Self {
        Self::status(200, &body.to_string()).header("content-type", "application/json")
    }

    /// Any status and text.
    pub fn status(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.to_owned(), hang_up: false }
    }

    /// A redirect.
    pub fn redirect(to: &str) -> Self {
        Self::status(307, "").header("location", to)
    }

    /// Reads the request and closes the connection.
    pub fn hang_up() -> Self {
        Self { hang_up: true, ..Self::status(200, "") }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

type Answerer = dyn Fn(&Asked, &str) -> Reply + Send + Sync;

/// A server on loopback, until it is dropped.
pub struct Web {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
}

impl Web {
    /// `answer` gets the request and the server's own base URL.
    pub fn start(answer: impl Fn(&Asked, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (asked, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let answer: Arc<Answerer> = Arc::new(answer);
        let (kept, ended) = (Arc::clone(&asked), Arc::clone(&stop));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
                // A caller that breaks off is no failure of the test.
                std::thread::spawn(move || serve(&stream, &*answer, &kept, address).is_ok());
            }
        });
        Self { address, asked, stop }
    }

    /// As in `http://127.0.0.1:41000`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the one that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    stream: &TcpStream,
    answer: &Answerer,
    kept: &Mutex<Vec<Asked>>,
    address: SocketAddr,
) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    loop {
        let Some(asked) = read(&mut reader)? else { return Ok(()) };
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
        let reply = answer(&asked, &format!("http://{address}"));
        if reply.hang_up {
            return Ok(());
        }
        let mut text =
            format!("HTTP/1.1 {} x\r\ncontent-length: {}\r\n", reply.status, reply.body.len());
        for (name, value) in &reply.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut stream = stream;
        stream.write_all(format!("{text}\r\n{}", reply.body).as_bytes())?;
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let method = words.next().unwrap_or_default();
    let path = words.next().unwrap_or_default();
    let mut asked = Asked { method, path, ..Asked::default() };
    loop {
        line.clear();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            asked.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let length = asked.headers.get("content-length").and_then(|text| text.parse().ok());
    let mut body = Vec::new();
    reader.take(length.unwrap_or(0).min(BODY_BYTES_MAX)).read_to_end(&mut body)?;
    asked.body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(asked))
}
