//! A front between a client and the server, which refuses requests or loses answers as networks do.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::http::Connection;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is passed on, and its answer comes back.
    Pass,
    /// It is answered with 503 and never arrives.
    Refuse,
    /// It arrives, and its answer is lost.
    Lose,
}

/// A front on a free port, which lives as long as the process.
pub struct Front {
    /// Where clients connect to.
    pub address: SocketAddr,
    /// The requests so far.
    pub requests: Arc<AtomicU64>,
}

/// Decides by the number of the request, from 0.
type Decide = dyn Fn(u64) -> Fate + Send + Sync;

impl Front {
    /// Starts one before a server.
    pub fn start(upstream: SocketAddr, decide: impl Fn(u64) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicU64::new(0));
        let (counter, decide) = (Arc::clone(&requests), Arc::new(decide));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (counter, decide) = (Arc::clone(&counter), Arc::clone(&decide));
                // Either end may close the connection at any time.
                std::thread::spawn(move || serve(stream, upstream, &counter, &*decide).ok());
            }
        });
        Self { address, requests }
    }
}

fn serve(stream: TcpStream, upstream: SocketAddr, counter: &AtomicU64, decide: &Decide) -> io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    let mut behind = Connection::open(upstream)?;
    loop {
        let mut first = String::new();
        if input.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, v)| v.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        input.read_exact(&mut body)?;
        headers.retain(|(name, _)| !["host", "content-length", "connection"].contains(&name.as_str()));
        let fate = decide(counter.fetch_add(1, Ordering::Relaxed));
        if fate == Fate::Refuse {
            out.write_all(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = behind.ask(method, target, &headers, &body)?;
        if fate == Fate::Lose {
            return Ok(());
        }
        let kind = answer.header("content-type").unwrap_or("application/json");
        let (status, length) = (answer.status, answer.body.len());
        write!(out, "HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n")?;
        out.write_all(&answer.body)?;
    }
}
