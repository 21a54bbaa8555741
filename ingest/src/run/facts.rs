//! Facts beside the files: parameters, the job's name, and a file for metrics.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use lineage_store::event::Json;
use serde_json::{Map, Number, Value};

use super::RunSpec;
use super::lock::stem as live_name;
use super::redact::{REDACTED, is_secret_name, redact_text};

/// The largest whole number that every reader of JSON keeps.
const WHOLE_MAX: u64 = 1 << 53;
/// Programs that run the script which names the job.
const INTERPRETERS: &[&str] =
    &["sh", "bash", "zsh", "dash", "ksh", "python", "pypy", "Rscript", "julia", "node", "perl", "ruby", "php"];

/// Parameters as an object; each value is the number or truth value that it spells, else a text.
pub(super) fn params(params: &[(String, String)]) -> Result<Json, String> {
    let mut object = Map::new();
    for (name, text) in params {
        let value = if is_secret_name(name) { Value::from(REDACTED) } else { scalar(text) };
        if object.insert(name.clone(), value).is_some() {
            return Err(format!("the parameter `{name}` is given twice"));
        }
    }
    Json::from_value(&Value::Object(object))
}

fn scalar(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Bool(truth)) => Value::Bool(truth),
        Ok(Value::Number(number)) if is_safe(&number) => Value::Number(number),
        _ => Value::from(redact_text(text)),
    }
}

/// Whether every reader of JSON keeps a number.
pub(super) fn is_safe(number: &Number) -> bool {
    match number.as_i64() {
        Some(whole) => whole.unsigned_abs() <= WHOLE_MAX,
        None => !number.is_u64() && number.as_f64().is_some_and(f64::is_finite),
    }
}

/// An empty file outside of the store, to which a command may write metrics; only its owner may read it.
///
/// What stands in it is not masked yet, so it must not lie in the store.
pub(super) fn metrics_log(spec: &RunSpec) -> Option<PathBuf> {
    let folder = spec.variables.iter().find(|(name, value)| name == "TMPDIR" && !value.is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("/tmp"), |(_, value)| PathBuf::from(value));
    let path = folder.join(format!("lineage-{}.jsonl", live_name(&spec.run_id)));
    // Without a place for it the command has no such variable, and everything else works.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).ok().map(|_| path)
}

/// The first argument of an interpreter that is no flag: mostly a script.
pub(super) fn script_argument(arguments: &[OsString]) -> Option<Cow<'_, str>> {
    let mut words = arguments.iter().map(|argument| argument.to_string_lossy());
    let program = words.next()?;
    let plain = base_name(&program).trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    words.find(|word| !word.starts_with('-')).filter(|_| INTERPRETERS.contains(&plain))
}

fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// The name of a job that was given none: the script that an interpreter runs, else the program.
pub(super) fn job_name(arguments: &[OsString]) -> String {
    let is_name = |text: &str| text.len() <= 200 && !text.contains(char::is_whitespace);
    let program = arguments.first().map(|program| program.to_string_lossy()).unwrap_or_default();
    let script = script_argument(arguments).filter(|script| is_name(script));
    let name = script.as_deref().unwrap_or(base_name(&program)).trim_start_matches("./");
    let name: String = redact_text(name).chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() { "run".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_typed() {
        let given =
            [("lr", "0.10"), ("n", "3"), ("x", "true"), ("s", "007"), ("big", "9007199254740993"), ("token", "abc")];
        let given = given.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let want = r#"{"big":"9007199254740993","lr":0.1,"n":3,"s":"007","token":"<redacted>","x":true}"#;
        assert_eq!(params(&given).expect("an object").as_str(), want);
        assert!(params(&[given[0].clone(), given[0].clone()]).is_err());
    }

    #[test]
    fn jobs_are_named_by_their_script() {
        for (command, want) in [
            ("python3.11 -u train.py --lr 1", "train.py"),
            ("sh ./prepare.sh", "prepare.sh"),
            ("/usr/bin/make all", "make"),
            ("python -m pkg.train", "pkg.train"),
            ("./deploy.sh x", "deploy.sh"),
        ] {
            let arguments: Vec<_> = command.split(' ').map(OsString::from).collect();
            assert_eq!(job_name(&arguments), want);
        }
        assert_eq!(job_name(&["sh", "-c", "exit 3"].map(OsString::from)), "sh");
    }
}
