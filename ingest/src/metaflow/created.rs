//! What clients send with everything that they make: who made it, and its tags.

use serde::Deserialize;

use super::denied::Denied;

/// The members of a creation that mean something here; the others are kept as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Created {
    /// Who made it.
    pub(super) user_name: Option<String>,
    /// The tags of its user.
    pub(super) tags: Option<Vec<String>>,
    /// The tags that the client sets by itself.
    pub(super) system_tags: Option<Vec<String>>,
    /// The name of a run that a scheduler names.
    run_number: Option<Id>,
    /// The name of a task that a scheduler names.
    task_id: Option<Id>,
}

/// An id, which clients write as a number or as text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

impl Id {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

impl Created {
    /// Reads the body of a creation; an empty one says nothing.
    pub(super) fn read(body: &[u8]) -> Result<(Self, &str), Denied> {
        let text = std::str::from_utf8(body).map_err(|_| Denied::Malformed("the body is not UTF-8".to_owned()))?;
        let text = if text.trim().is_empty() { "{}" } else { text };
        let created = Self::parse(text).map_err(|error| Denied::Malformed(format!("the body is wrong: {error}")))?;
        Ok((created, text))
    }

    /// Reads what an event kept of a creation.
    pub(super) fn kept(sent: Option<&str>) -> Self {
        sent.and_then(|text| Self::parse(text).ok()).unwrap_or_default()
    }

    fn parse(text: &str) -> serde_json::Result<Self> {
        // An object: serde would also take the fields of a struct as a list.
        let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
        serde_json::from_value(members.into())
    }

    /// The name of a new run, if a scheduler gave one.
    pub(super) fn run(&self) -> Option<String> {
        self.run_number.as_ref().map(Id::text).filter(|id| !id.is_empty())
    }

    /// The name of a new task, if a scheduler gave one.
    pub(super) fn task(&self) -> Option<String> {
        self.task_id.as_ref().map(Id::text).filter(|id| !id.is_empty())
    }

    /// Who made it: the user, else whoever sent it.
    pub(super) fn actor(&self, caller: &str) -> String {
        self.user_name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| caller.to_owned())
    }

    /// The software that the system tags tell, by its name there.
    pub(super) fn system(&self, key: &str) -> Option<&str> {
        self.system_tags.iter().flatten().find_map(|tag| tag.strip_prefix(key)?.strip_prefix(':'))
    }
}
