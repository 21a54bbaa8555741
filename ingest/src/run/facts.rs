//! Facts beside the files: parameters, metrics, the job's name.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use lineage_store::event::{Json, canonical};
use serde_json::{Map, Number, Value};

use super::redact::{REDACTED, is_secret_name, redact_text};

/// The largest whole number that every reader of JSON keeps.
const WHOLE_MAX: u64 = 1 << 53;
/// The largest file of metrics that is read.
const METRICS_BYTES_MAX: u64 = 16 * 1024 * 1024;
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

fn is_safe(number: &Number) -> bool {
    match number.as_i64() {
        Some(whole) => whole.unsigned_abs() <= WHOLE_MAX,
        None => !number.is_u64() && number.as_f64().is_some_and(f64::is_finite),
    }
}

/// The metrics of a JSON file, nested names joined by dots; what is no number is left out and named.
pub(super) fn metrics(path: &Path) -> Result<(Json, Vec<String>), String> {
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > METRICS_BYTES_MAX {
        return Err(format!("it has {size} bytes; at most {METRICS_BYTES_MAX} are read"));
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let value: Value = match serde_json::from_str(&text) {
        Ok(value) => value,
        // Python writes NaN and Infinity bare.
        Err(error) => canonical::quote_non_finite(&text)
            .and_then(|fixed| serde_json::from_str(&fixed).ok())
            .ok_or_else(|| format!("it is no JSON: {error}"))?,
    };
    let Value::Object(object) = value else { return Err("it is no JSON object of numbers".to_owned()) };
    let (mut flat, mut skipped) = (Map::new(), Vec::new());
    flatten("", object, &mut flat, &mut skipped);
    Ok((Json::from_value(&Value::Object(flat))?, skipped))
}

fn flatten(prefix: &str, object: Map<String, Value>, flat: &mut Map<String, Value>, skipped: &mut Vec<String>) {
    for (key, value) in object {
        let name = format!("{prefix}{key}");
        match value {
            Value::Object(inner) => flatten(&format!("{name}."), inner, flat, skipped),
            Value::Number(number) if is_safe(&number) => drop(flat.insert(name, Value::Number(number))),
            Value::String(word) if matches!(word.as_str(), "NaN" | "Infinity" | "-Infinity") => {
                flat.insert(name, Value::String(word));
            }
            _ => skipped.push(name),
        }
    }
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
    fn metrics_are_flattened() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), r#"{"acc":0.5,"test":{"auc":1,"f1":NaN},"name":"x","list":[1]}"#).expect("written");
        let (metrics_found, skipped) = metrics(file.path()).expect("metrics");
        assert_eq!(metrics_found.as_str(), r#"{"acc":0.5,"test.auc":1,"test.f1":"NaN"}"#);
        assert_eq!(skipped, ["list", "name"]);
        fs::write(file.path(), "[1]").expect("written");
        assert!(metrics(file.path()).is_err());
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
