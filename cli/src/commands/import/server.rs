//! A tracking server whose history is imported, asked over HTTP.

use std::io::Read;

use lineage_ingest::mlflow::import;
use serde_json::Value;

use crate::http::Peer;

/// A tracking server.
pub(super) struct Server(pub(super) Peer);

impl import::Peer for Server {
    fn ask(&mut self, method: &str, path: &str, body: &Value) -> Result<Option<Value>, String> {
        let path = format!("/api/2.0/{path}");
        let answer = match method {
            "GET" => self.0.get(&path, &parameters(body)),
            _ => self.0.post(&path, &body.to_string()),
        };
        let answer = answer.map_err(|error| format!("{error:#}"))?;
        match answer.status {
            404 => Ok(None),
            200 => serde_json::from_slice(&answer.body).map(Some).map_err(|_| format!("{path} answers no JSON")),
            status => {
                let text: String = answer.text().chars().take(200).collect();
                Err(format!("{path} answers with {status}: {text}"))
            }
        }
    }

    fn open(&mut self, path: &str) -> Result<Option<Box<dyn Read + '_>>, String> {
        let encoded: Vec<String> = path.split('/').map(encode).collect();
        let path = format!("/api/2.0/mlflow-artifacts/artifacts/{}", encoded.join("/"));
        let opened = self.0.open(&path).map_err(|error| format!("{error:#}"))?;
        Ok(opened.map(|bytes| Box::new(bytes) as Box<dyn Read>))
    }
}

/// The members of an object as parameters of an address.
fn parameters(body: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    body.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// A text as one part of a path.
fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
