//! What is answered: bytes with a type, or a refusal that says why and what to do.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

/// What an endpoint comes to.
pub(crate) type Reply = Result<Response<Body>, Refused>;

/// The type of JSON bodies.
pub(crate) const JSON: &str = "application/json";

/// Why a request is not served.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    /// The word under which it is counted.
    reason: &'static str,
    message: String,
    help: Option<String>,
    /// Further members of the body.
    more: Option<Value>,
    /// In how many seconds the same request may be served.
    retry_after: Option<u32>,
}

impl Refused {
    /// A refusal, counted under a word.
    pub(crate) fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into(), help: None, more: None, retry_after: None }
    }

    /// What was sent cannot be read.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    /// What was sent can be read and is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
    }

    /// What is asked for is not there.
    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "missing", message)
    }

    /// The same request may be served a little later.
    pub(crate) fn later(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason, message).after(1)
    }

    /// The store failed.
    pub(crate) fn store(error: &lineage_store::StoreError) -> Self {
        use lineage_store::StoreError as E;
        match error {
            E::NoArtifact { .. } => Self::missing(error.to_string()),
            E::Refused(refusal) => Self::invalid(refusal.to_string()),
            E::BeyondHead { .. } => Self::bad(error.to_string()),
            _ => Self::later("store", error.to_string()),
        }
    }

    /// Says in how many seconds to come back.
    pub(crate) fn after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Says what to do.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds members to the body.
    pub(crate) fn with(mut self, more: Value) -> Self {
        self.more = Some(more);
        self
    }

    /// The word under which it is counted.
    pub(crate) fn reason(&self) -> &'static str {
        self.reason
    }

    /// Whether a valid token is missing.
    pub(crate) fn is_unauthorized(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// Why.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same request may be served later.
    pub(crate) fn is_temporary(&self) -> bool {
        self.retry_after.is_some()
    }

    /// The answer: `{"code":404,"message":"…","help":"…"}`, as Marquez has it.
    pub(crate) fn into_response(self) -> Response<Body> {
        let mut body = json!({ "code": self.status.as_u16(), "message": self.message });
        if let (Some(object), Some(help)) = (body.as_object_mut(), self.help) {
            object.insert("help".to_owned(), help.into());
        }
        if let (Some(object), Some(Value::Object(more))) = (body.as_object_mut(), self.more) {
            object.extend(more);
        }
        let mut response = json_with(self.status, &body);
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Bytes of a type.
pub(crate) fn bytes(content_type: &'static str, bytes: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(bytes.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // What is data here must never run in a browser.
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}

/// A JSON body.
pub(crate) fn json(value: &Value) -> Response<Body> {
    json_with(StatusCode::OK, value)
}

/// A JSON body with a status.
pub(crate) fn json_with(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = bytes(JSON, value.to_string());
    *response.status_mut() = status;
    response
}
