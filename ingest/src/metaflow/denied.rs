//! Why a request of a client is not served.

use std::fmt;

use lineage_store::event::Refusal;

/// Why a request of a client is not served; each is a status of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// What is asked for is not there (404): to clients a plain "does not exist".
    Missing(String),
    /// What is to be made is there (409): clients read it instead.
    Exists(String),
    /// The request cannot be read (400).
    Malformed(String),
    /// The request can be read and is wrong (422).
    Invalid(String),
    /// Tags that the system set cannot be removed (422, in the words of Netflix's service, which clients show).
    SystemTags(Vec<String>),
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) | Self::Exists(what) | Self::Malformed(what) | Self::Invalid(what) => f.write_str(what),
            Self::SystemTags(tags) => {
                let tags: Vec<String> = tags.iter().map(|tag| quoted(tag)).collect();
                write!(f, "Cannot remove tags that are existing system tags {{{}}}", tags.join(", "))
            }
        }
    }
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self::Invalid(refusal.to_string())
    }
}

/// A text as Python shows it.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::from(quote);
    for c in text.chars() {
        if c == quote || c == '\\' {
            shown.push('\\');
        }
        shown.push(c);
    }
    shown.push(quote);
    shown
}

#[cfg(test)]
mod tests {
    use super::Denied;

    #[test]
    fn system_tags_are_told_as_python_does() {
        let tags = |tags: &[&str]| Denied::SystemTags(tags.iter().map(|tag| (*tag).to_owned()).collect()).to_string();
        assert_eq!(tags(&["user:alice"]), "Cannot remove tags that are existing system tags {'user:alice'}");
        assert!(tags(&["it's", "a\\b"]).ends_with(r#"{"it's", 'a\\b'}"#));
    }
}
