//! Requests to those who vouch for checkpoints: one POST, with bounded time and size.

use std::time::Duration;

use anyhow::Context as _;

/// Longer than any witness or time-stamping authority should need.
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
