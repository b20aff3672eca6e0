//! A bucket that speaks as much S3 as a backup needs: put, also only where nothing is, get, list and
//! delete. It checks no signature.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const BODY_BYTES_MAX: u64 = 16 << 20;
const NAME: &str = "backups";

/// A server on loopback with one bucket, until it is dropped.
pub struct Bucket {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    stop: Arc<AtomicBool>,
}

/// What it holds.
#[derive(Default)]
struct Kept {
    objects: BTreeMap<String, Vec<u8>>,
    /// How often each was put.
    puts: BTreeMap<String, usize>,
}

/// Status, headers beside the usual ones, body.
type Answer = (u16, String, Vec<u8>);

impl Bucket {
    /// Starts it.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let kept = Arc::<Mutex<Kept>>::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, ended) = (Arc::clone(&kept), Arc::clone(&stop));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // A caller that breaks off is no failure of the test.
                std::thread::spawn(move || serve(&stream, &shared).is_ok());
            }
        });
        Self { address, kept, stop }
    }

    /// As a place for backups.
    pub fn place(&self, prefix: &str) -> String {
        format!("s3://{NAME}/{prefix}")
    }

    /// What says who may use it, and where it is.
    pub fn env(&self) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The names of what it holds.
    pub fn names(&self) -> Vec<String> {
        locked(&self.kept).objects.keys().cloned().collect()
    }

    /// How often each was put.
    pub fn puts(&self) -> BTreeMap<String, usize> {
        locked(&self.kept).puts.clone()
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // So that the listener looks.
        let _woken = TcpStream::connect(self.address);
    }
}

fn locked(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request of a connection, which it then closes.
fn serve(stream: &TcpStream, kept: &Mutex<Kept>) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length: u64 =
        headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or_default();
    let mut body = Vec::new();
    reader.take(length.min(BODY_BYTES_MAX)).read_to_end(&mut body)?;
    let mut words = first.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let fresh = headers.contains_key("if-none-match");
    let (status, more, body) = answer(method, target, fresh, body, &mut locked(kept));
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: {}\r\n\
         last-modified: Fri, 20 Nov 2026 08:15:00 GMT\r\netag: \"1\"\r\n{more}\r\n",
        body.len()
    )?;
    if method != "HEAD" {
        stream.write_all(&body)?;
    }
    stream.flush()
}

fn answer(method: &str, target: &str, fresh: bool, body: Vec<u8>, kept: &mut Kept) -> Answer {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let key = decoded(path.trim_start_matches('/'));
    let plain = |status: u16| (status, String::new(), Vec::new());
    let Some(key) = key.strip_prefix(NAME).map(|key| key.trim_start_matches('/').to_owned()) else {
        return plain(404);
    };
    match method {
        "GET" if query.contains("list-type=2") => {
            let xml = "content-type: application/xml\r\n".to_owned();
            (200, xml, listed(query, kept).into_bytes())
        }
        "GET" | "HEAD" => match kept.objects.get(&key) {
            Some(bytes) => (200, String::new(), bytes.clone()),
            None => plain(404),
        },
        "PUT" if fresh && kept.objects.contains_key(&key) => plain(412),
        "PUT" => {
            *kept.puts.entry(key.clone()).or_default() += 1;
            kept.objects.insert(key, body);
            plain(200)
        }
        "DELETE" => {
            kept.objects.remove(&key);
            plain(204)
        }
        _ => plain(405),
    }
}

fn listed(query: &str, kept: &Kept) -> String {
    let prefix = query.split('&').find_map(|part| part.strip_prefix("prefix="));
    let prefix = decoded(prefix.unwrap_or_default());
    let found = kept.objects.iter().filter(|(key, _)| key.starts_with(&prefix));
    let items: String = found
        .map(|(key, bytes)| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2026-11-20T08:15:00.000Z</LastModified>\
                 <ETag>\"1\"</ETag><Size>{}</Size></Contents>",
                bytes.len()
            )
        })
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Name>{NAME}</Name><IsTruncated>false</IsTruncated>{items}</ListBucketResult>"
    )
}

/// Without `%xx`.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, more)) = rest.split_first() {
        let hex = more.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_lists_and_takes_away() {
        let mut kept = Kept::default();
        let mut ask = |method: &str, target: &str, fresh: bool| {
            let (status, _, body) = answer(method, target, fresh, b"x".to_vec(), &mut kept);
            (status, String::from_utf8(body).unwrap())
        };
        assert_eq!(ask("GET", "/backups/a/b", false).0, 404);
        assert_eq!(ask("PUT", "/backups/a/b", true).0, 200);
        assert_eq!(ask("PUT", "/backups/a/b", true).0, 412);
        assert_eq!(ask("GET", "/backups/a/b", false), (200, "x".to_owned()));
        let list = "/backups?list-type=2&prefix=a%2F";
        assert!(ask("GET", list, false).1.contains("<Key>a/b</Key>"));
        assert_eq!(ask("DELETE", "/backups/a/b", false).0, 204);
        assert!(!ask("GET", list, false).1.contains("<Key>"));
    }
}
