//! Refusals in the words of `MLflow`: a code that clients branch on, its HTTP status, and a message.

use std::fmt;

/// The codes of `MLflow`'s protocol that are answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A field is missing, of the wrong type, or contradicts what is recorded.
    InvalidParameterValue,
    /// It cannot be read at all.
    BadRequest,
    /// It is not there.
    ResourceDoesNotExist,
    /// It is there already; `MLflow`'s clients go on with what is there.
    ResourceAlreadyExists,
    /// It is known and not built.
    NotImplemented,
}

impl Code {
    /// The word of the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidParameterValue => "INVALID_PARAMETER_VALUE",
            Self::BadRequest => "BAD_REQUEST",
            Self::ResourceDoesNotExist => "RESOURCE_DOES_NOT_EXIST",
            Self::ResourceAlreadyExists => "RESOURCE_ALREADY_EXISTS",
            Self::NotImplemented => "NOT_IMPLEMENTED",
        }
    }

    /// The status that `MLflow`'s own server answers with it.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidParameterValue | Self::BadRequest | Self::ResourceAlreadyExists => 400,
            Self::ResourceDoesNotExist => 404,
            Self::NotImplemented => 501,
        }
    }
}

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What clients branch on.
    pub code: Code,
    /// What people read.
    pub message: String,
}

impl Error {
    /// A refusal.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// What was sent is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameterValue, message)
    }

    /// What is asked for is not there.
    pub fn missing(what: &str, name: &str) -> Self {
        Self::new(Code::ResourceDoesNotExist, format!("Could not find {what} '{}'", name.escape_debug()))
    }

    /// What is to be made is there already.
    pub fn exists(what: &str, name: &str) -> Self {
        Self::new(Code::ResourceAlreadyExists, format!("{what} '{}' already exists", name.escape_debug()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Error {}
