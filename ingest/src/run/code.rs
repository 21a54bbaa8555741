//! Where the code came from: the commit of the folder, and the bytes of the script.

use std::path::Path;
use std::process::{Command, Stdio};

use lineage_store::artifact::Artifacts;
use lineage_store::event::Json;
use serde_json::{Map, Value, json};

use super::RunSpec;
use super::facts::script_argument;
use super::files::path_name;
use super::redact::{redact_text, strip_login};

/// The largest file among the arguments that is taken for a script.
const SCRIPT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What is known of the code; empty where nothing is.
pub(super) fn describe(spec: &RunSpec) -> Json {
    let mut code = Map::new();
    let in_repository = spec.cwd.ancestors().any(|folder| folder.join(".git").exists());
    if in_repository
        && let Some(status) = git(&spec.cwd, &["status", "--porcelain=v2", "--branch", "--untracked-files=no"])
    {
        read_status(&status, &mut code);
        if let Some(remote) = git(&spec.cwd, &["remote", "get-url", "origin"]) {
            code.insert("repo".to_owned(), json!(redact_text(&strip_login(remote.trim()))));
        }
    }
    if let Some((path, digest)) = script(spec) {
        code.insert("script".to_owned(), json!(path));
        code.insert("script_digest".to_owned(), json!(digest));
    }
    Json::from_value(&Value::Object(code)).unwrap_or_default()
}

fn read_status(status: &str, code: &mut Map<String, Value>) {
    let mut dirty = false;
    for line in status.lines() {
        match line.strip_prefix("# branch.") {
            Some(fact) => match fact.split_once(' ') {
                Some(("oid", commit)) if commit != "(initial)" => {
                    code.insert("commit".to_owned(), json!(commit));
                }
                Some(("head", branch)) if branch != "(detached)" => {
                    code.insert("branch".to_owned(), json!(branch));
                }
                _ => {}
            },
            None => dirty |= !line.starts_with('#'),
        }
    }
    code.insert("dirty".to_owned(), json!(dirty));
}

/// The output of a git command; `None` if there is no git or it fails.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments).env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The script that runs, if it lies in the workspace, with the digest of its bytes.
fn script(spec: &RunSpec) -> Option<(String, String)> {
    let program = spec.argv.first()?.to_str().filter(|program| program.contains('/'));
    let named = script_argument(&spec.argv).map(|script| spec.cwd.join(&*script));
    let path = named.or_else(|| program.map(|program| spec.cwd.join(program)))?;
    let is_script = path.metadata().is_ok_and(|m| m.is_file() && m.len() <= SCRIPT_BYTES_MAX);
    if !is_script {
        return None;
    }
    let name = path_name(&path, spec).ok().filter(|name| !name.starts_with('/'))?;
    Some((name, Artifacts::hash_path(&path).ok()?.digest.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read() {
        let mut code = Map::new();
        read_status("# branch.oid 12ab\n# branch.head main\n# branch.upstream origin/main\n", &mut code);
        assert_eq!(Value::Object(code).to_string(), r#"{"branch":"main","commit":"12ab","dirty":false}"#);
        let mut code = Map::new();
        read_status("# branch.oid (initial)\n# branch.head (detached)\n1 .M N... 100644 train.py\n", &mut code);
        assert_eq!(Value::Object(code).to_string(), r#"{"dirty":true}"#);
    }
}
