//! What is given to an attempt and known before it: its environment, and what decides on reuse.

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde_json::{Value, json};

use crate::pipeline::known::Known;
use crate::pipeline::order::Order;
use crate::pipeline::spec::Spec;
use crate::pipeline::step::Step;
use crate::run::{Declared, REDACTED, RunSpec, is_secret_name, redact_arguments};

/// Variables of ours that every step gets, as programs do not work without them.
const PASSED: &[&str] = &[
    "CONDA_PREFIX",
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "PYTHONPATH",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
];
/// Those among them on which results depend.
const KEYED: &[&str] =
    &["CONDA_PREFIX", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TZ", "VIRTUAL_ENV"];

/// The environment of a step: what programs need, what the specification names, and its own variables.
pub(super) fn variables(
    ours: &[(OsString, OsString)],
    spec: &Spec,
    own: &[(String, String)],
) -> Vec<(OsString, OsString)> {
    let named = |name: &OsString| {
        let is = |list: &[String]| list.iter().any(|known| name == known.as_str());
        PASSED.iter().any(|known| name == known) || is(&spec.env) || is(&spec.secrets)
    };
    let is_own = |name: &OsString| own.iter().any(|(known, _)| name == known.as_str());
    let mut variables: Vec<_> = ours.iter().filter(|(name, _)| named(name) && !is_own(name)).cloned().collect();
    variables.extend(own.iter().map(|(name, value)| (name.into(), value.into())));
    variables
}

/// What is known before the step runs, without secrets.
pub(super) fn known(spec: &RunSpec, step: &Step, own: &[(String, String)], order: &Order) -> Known {
    let mut known = Known::default();
    let (argv, _) = redact_arguments(&spec.argv);
    known.add("argument", json!(argv));
    known.add("kind", json!(step.kind.as_str()));
    let folder = spec.cwd.strip_prefix(&order.folder).unwrap_or(&spec.cwd);
    known.add("folder", json!(folder.to_string_lossy()));
    let keyed = |name: &str| KEYED.contains(&name) || spec.recorded_variables.iter().any(|known| known == name);
    let mut variables: BTreeMap<String, Value> = BTreeMap::new();
    for (name, value) in &spec.variables {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        if keyed(&name) || own.iter().any(|(own, _)| *own == name) {
            variables.insert(name.to_string(), masked(spec, &name, &value));
        }
    }
    known.add("variable", json!(variables));
    let patterns = |list: &[Declared]| -> Vec<String> { list.iter().map(Declared::to_string).collect() };
    known.add("declared input", json!(patterns(&spec.inputs)));
    known.add("declared output", json!(patterns(&spec.outputs)));
    known.add("metrics file", json!(spec.metrics_file));
    known.add("platform", json!(format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)));
    known
}

/// The value of a variable, unless its name or the specification says that it is a secret.
pub(super) fn masked(spec: &RunSpec, name: &str, value: &str) -> Value {
    let secret = is_secret_name(name) || spec.secrets.iter().any(|secret| secret == name);
    if secret { json!(REDACTED) } else { json!(value) }
}
