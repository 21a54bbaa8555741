//! A command made again: it is run and observed as always, and nothing of it is hashed, kept or told.

use std::path::Path;

use super::command::{self, Ended};
use super::secret::Secrets;
use super::values::{self, Values};
use super::{Cause, OBSERVED_VARIABLE, RunError, RunSpec, check, gather_secrets};
use crate::capture::Trace;

/// What came of it.
pub(crate) struct Again {
    /// As shells give it.
    pub(crate) exit_code: i32,
    /// Why it never ran.
    pub(crate) not_started: Option<String>,
    /// Why it was ended from outside.
    pub(crate) cause: Option<Cause>,
    /// The values that it gave, without secrets; the error says why they are none.
    pub(crate) values: Result<Values, String>,
    /// What was observed.
    pub(crate) trace: Option<Trace>,
}

/// Runs a command; its logs grow in a folder that is the caller's.
pub(crate) fn again(spec: &RunSpec, live: &Path) -> Result<Again, RunError> {
    check(spec)?;
    let secrets = gather_secrets(spec, &[])?;
    // Nothing is recorded, but an interrupt is to end the command and not us.
    spec.control.recorded();
    let observed = spec.is_observed().then(|| (OBSERVED_VARIABLE.into(), "1".into()));
    let finished = command::run(spec, observed.into_iter().collect(), Some(live), &secrets, spec.audience());
    spec.control.over();
    let not_started = if let Ended::NotStarted(_, why) = &finished.ended { Some(why.clone()) } else { None };
    Ok(Again {
        exit_code: finished.ended.code(),
        not_started,
        cause: finished.cause,
        values: read_values(spec, &secrets),
        trace: finished.trace,
    })
}

fn read_values(spec: &RunSpec, secrets: &Secrets) -> Result<Values, String> {
    let Some(file) = &spec.values else { return Ok(Values::new()) };
    let mut read = values::read(&file.path)?;
    for value in read.values_mut() {
        if let Some(clean) = values::masked(value, secrets) {
            *value = clean;
        }
    }
    Ok(read)
}
