//! Requests to other servers: to those who vouch for checkpoints, and to those whose history is imported.

use std::time::Duration;

use anyhow::Context as _;

/// Longer than any witness or time-stamping authority should need, and any server to take a connection.
const TIMEOUT: Duration = Duration::from_secs(20);
/// An answer is a few signatures, or one token with certificates.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// An answer: the status, and the body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as text, with anything else replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A server that is asked again and again over kept connections; its silence and its answers have bounds.
pub(crate) struct Peer {
    agent: ureq::Agent,
    base: String,
    /// The value of `Authorization`, if the server wants one.
    authorization: Option<String>,
}

/// The longest that a peer may say nothing, while an answer is awaited or comes; a large file may take all day.
const PEER_SILENCE: Duration = Duration::from_mins(5);
/// An answer of a peer is a page of a list.
const PEER_ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

impl Peer {
    /// A server by its address; users and tokens come from the caller.
    pub(crate) fn new(base: &str, authorization: Option<String>) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(TIMEOUT))
            .timeout_per_read(Some(PEER_SILENCE))
            .timeout_per_write(Some(PEER_SILENCE))
            .http_status_as_error(false)
            .user_agent(concat!("lineage/", env!("CARGO_PKG_VERSION")));
        let agent = ureq::Agent::new_with_config(config.build());
        Self { agent, base: base.trim_end_matches('/').to_owned(), authorization }
    }

    /// Gets, with parameters; any status is an answer.
    pub(crate) fn get(&self, path: &str, parameters: &[(String, String)]) -> anyhow::Result<Answer> {
        let answer = self.begin(path, parameters)?;
        self.finish(answer, path)
    }

    /// Gets what may be large; `None` if it is not there.
    pub(crate) fn open(&self, path: &str) -> anyhow::Result<Option<impl std::io::Read + use<>>> {
        let answer = self.begin(path, &[])?;
        match answer.status().as_u16() {
            200 => Ok(Some(answer.into_body().into_reader())),
            404 => Ok(None),
            status => anyhow::bail!("{}{path} answers with {status}", self.base),
        }
    }

    fn begin(&self, path: &str, parameters: &[(String, String)]) -> anyhow::Result<ureq::http::Response<ureq::Body>> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        for (key, value) in parameters {
            request = request.query(key, value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        request.call().with_context(|| format!("cannot reach {}", self.base))
    }

    /// Posts JSON; any status is an answer.
    pub(crate) fn post(&self, path: &str, body: &str) -> anyhow::Result<Answer> {
        let mut request = self.agent.post(format!("{}{path}", self.base)).header("Content-Type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let answer = request.send(body).with_context(|| format!("cannot reach {}", self.base))?;
        self.finish(answer, path)
    }

    fn finish(&self, mut answer: ureq::http::Response<ureq::Body>, path: &str) -> anyhow::Result<Answer> {
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(PEER_ANSWER_BYTES_MAX).read_to_vec();
        Ok(Answer { status, body: body.with_context(|| format!("cannot read the answer of {}{path}", self.base))? })
    }
}

/// Posts bytes; any status is an answer. Redirects are not followed: who vouches is named, not found.
pub(crate) fn post(url: &str, content_type: &str, body: &[u8]) -> anyhow::Result<Answer> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("lineage/", env!("CARGO_PKG_VERSION")));
    let agent = ureq::Agent::new_with_config(config.build());
    let sent = agent.post(url).header("Content-Type", content_type).send(body);
    let mut answer = sent.with_context(|| format!("cannot reach {url}"))?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    Ok(Answer { status, body: body.with_context(|| format!("cannot read the answer of {url}"))? })
}
