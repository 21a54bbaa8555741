//! Places: the parts of a path that lead to a flow, a run, a step or a task.

use serde::{Deserialize, Serialize};

use super::denied::Denied;

/// Where a request leads, as its path says; parts that it does not have are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// The name of the flow.
    pub flow: String,
    /// The id of the run: a number that was handed out, or the name that its scheduler gave.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// The name of the step.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub step: String,
    /// The id of the task: a number that was handed out, or the name that its scheduler gave.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub task: String,
}

impl Place {
    /// A flow.
    pub fn flow(flow: impl Into<String>) -> Self {
        Self { flow: flow.into(), ..Self::default() }
    }

    /// A run of this flow.
    #[must_use]
    pub fn run(self, run: impl Into<String>) -> Self {
        Self { run: run.into(), ..self }
    }

    /// A step of this run.
    #[must_use]
    pub fn step(self, step: impl Into<String>) -> Self {
        Self { step: step.into(), ..self }
    }

    /// A task of this step.
    #[must_use]
    pub fn task(self, task: impl Into<String>) -> Self {
        Self { task: task.into(), ..self }
    }

    /// The name of the run among all flows: `FLOW/RUN`.
    pub(super) fn run_name(&self) -> String {
        format!("{}/{}", self.flow, self.run)
    }

    /// The job of the tasks of this step: `FLOW/STEP`.
    pub(super) fn job(&self) -> String {
        format!("{}/{}", self.flow, self.step)
    }

    /// The path as clients write it, as far as it goes.
    pub fn spec(&self) -> String {
        let parts = [&self.flow, &self.run, &self.step, &self.task];
        let parts: Vec<&str> = parts.into_iter().map(String::as_str).take_while(|part| !part.is_empty()).collect();
        parts.join("/")
    }

    /// The path of a task within its flow: `RUN/STEP/TASK`.
    pub(super) fn within(&self) -> String {
        format!("{}/{}/{}", self.run, self.step, self.task)
    }

    /// The task of a flow with such a path.
    pub(super) fn task_of(flow: &str, within: &str) -> Option<Self> {
        let mut parts = within.splitn(3, '/');
        Some(Self::flow(flow).run(parts.next()?).step(parts.next()?).task(parts.next()?))
    }

    /// Checks names that are new: a slash would make one path of two.
    pub(super) fn check(&self) -> Result<(), Denied> {
        for (what, part) in [("flow", &self.flow), ("run", &self.run), ("step", &self.step), ("task", &self.task)] {
            if part.contains('/') {
                let shown = part.escape_debug();
                return Err(Denied::Malformed(format!("the name of a {what} must not have a slash, as `{shown}` has")));
            }
        }
        Ok(())
    }
}

/// Whether an id is a number, which only the service hands out.
pub(super) fn is_number(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit())
}

/// An id as answers have it: numbers as numbers.
pub(super) fn id(id: &str) -> serde_json::Value {
    id.parse::<u64>().ok().filter(|_| is_number(id)).map_or_else(|| id.into(), Into::into)
}
