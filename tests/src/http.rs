//! HTTP/1.1 by hand, over the unix socket: what comes is seen as it comes.

use serde_json::Value;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub text: String,
}

impl Answer {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// One GET.
pub fn get(socket: &Path, path: &str) -> Result<Answer> {
    ask(socket, "GET", path, &[], "")
}

/// One request; the answer is read to its end.
pub fn ask(
    socket: &Path,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer> {
    let mut opened = open(socket, method, path, headers, body)?;
    let mut bytes = Vec::new();
    if opened.chunked {
        while let Some(chunk) = opened.chunk()? {
            bytes.extend(chunk);
        }
    } else {
        match opened.length {
            Some(length) => opened.stream.by_ref().take(length).read_to_end(&mut bytes)?,
            None => opened.stream.read_to_end(&mut bytes)?,
        };
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Answer { text, ..opened.head })
}

/// An answer whose head was read.
pub struct Opened {
    /// The head; its text is empty.
    pub head: Answer,
    stream: BufReader<UnixStream>,
    chunked: bool,
    length: Option<u64>,
}

/// Sends a request and reads the head of its answer.
pub fn open(
    socket: &Path,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Opened> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    match stream.write_all(format!("{text}\r\n{body}").as_bytes()) {
        // Who refuses a large body answers before it has read all of it.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written?,
    }
    let mut stream = BufReader::new(stream);
    let status = line(&mut stream)?;
    let status = status.split(' ').nth(1).and_then(|number| number.parse().ok());
    let status = status.ok_or_else(|| malformed("no status"))?;
    let mut headers = Vec::new();
    loop {
        let line = line(&mut stream)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let head = Answer { status, headers, text: String::new() };
    let chunked = head.header("transfer-encoding") == Some("chunked");
    let length = head.header("content-length").and_then(|text| text.parse().ok());
    Ok(Opened { head, stream, chunked, length })
}

impl Opened {
    /// The next chunk; none at the end.
    pub fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let size = line(&mut self.stream)?;
        let size = usize::from_str_radix(&size, 16).map_err(|_| malformed("no chunk"))?;
        let mut bytes = vec![0; size];
        self.stream.read_exact(&mut bytes)?;
        line(&mut self.stream)?;
        Ok((size > 0).then_some(bytes))
    }
}

fn line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(malformed("the connection ended"));
    }
    Ok(line.trim_end().to_owned())
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}
