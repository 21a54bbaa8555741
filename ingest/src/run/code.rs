//! Where the code came from: the commit of the folder, and the bytes of the script.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use lineage_store::artifact::Artifacts;
use lineage_store::event::Json;
use serde_json::{Map, Value, json};

use super::RunSpec;
use super::facts::script_argument;
use super::files::path_name;
use super::redact::{redact_text, strip_login};
use super::secret::Secrets;

/// The largest file among the arguments that is taken for a script.
const SCRIPT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A diff, and all code files that git does not know together, are kept up to so many bytes.
const DIFF_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// The largest file that git does not know and that is kept.
const CODE_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The most files that git does not know and that are kept.
const CODE_FILES_MAX: usize = 200;
/// What git says of a folder is read up to so many bytes.
const STATUS_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What lies in a store is no code.
const STORE_FOLDER: &str = lineage_store::FOLDER;
/// The endings of files that are code.
const CODE_ENDINGS: &[&str] = &[
    "R", "Rmd", "c", "cc", "cfg", "cpp", "go", "h", "hpp", "ini", "ipynb", "java", "jl", "js", "lua", "pl", "py",
    "pyx", "qmd", "r", "rb", "rs", "scala", "sh", "sql", "toml", "ts", "yaml", "yml",
];

/// What is known of the code; empty where nothing is.
pub(super) fn describe(spec: &RunSpec, mut repository: Map<String, Value>) -> Json {
    if let Some((path, digest)) = script(spec) {
        repository.insert("script".to_owned(), json!(path));
        repository.insert("script_digest".to_owned(), json!(digest));
    }
    Json::from_value(&Value::Object(repository)).unwrap_or_default()
}

/// What git knows of the folder of a run; what differs from the commit is stored.
pub(super) fn repository(
    spec: &RunSpec,
    remotes: &[(String, String)],
    artifacts: &Artifacts,
    secrets: &Secrets,
) -> Map<String, Value> {
    let mut code = Map::new();
    let status = top_folder(&spec.cwd)
        .map(|_| git(&spec.cwd, &["status", "--porcelain=v2", "--branch", "--untracked-files=all"], STATUS_BYTES_MAX));
    if let Some(Output { bytes, .. }) = status.flatten() {
        let untracked = read_status(&String::from_utf8_lossy(&bytes), &mut code);
        if let Some((_, address)) = remotes.iter().find(|(name, _)| name == "origin") {
            code.insert("repo".to_owned(), json!(redact_text(&strip_login(address))));
        }
        if code.get("dirty") == Some(&json!(true)) && code.contains_key("commit") {
            code.insert("diff".to_owned(), diff(spec, artifacts, secrets));
        }
        if let Some(top) = top_folder(&spec.cwd).filter(|_| !untracked.is_empty()) {
            code.insert("untracked".to_owned(), snapshot(top, &untracked, artifacts, secrets));
        }
    }
    code
}

/// The names and addresses of the repository's remotes; the addresses may hold logins.
pub(super) fn remotes(folder: &Path) -> Vec<(String, String)> {
    if top_folder(folder).is_none() {
        return Vec::new();
    }
    let listed = git(folder, &["config", "--get-regexp", r"^remote\..*url$"], STATUS_BYTES_MAX);
    let text = listed.map(|output| String::from_utf8_lossy(&output.bytes).into_owned()).unwrap_or_default();
    let remote = |line: &str| {
        let (key, address) = line.split_once(' ')?;
        let name = key.strip_prefix("remote.")?.rsplit_once('.')?.0;
        Some((name.to_owned(), address.to_owned()))
    };
    text.lines().filter_map(remote).collect()
}

/// The top of the repository that a folder lies in.
pub(super) fn top_folder(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|folder| folder.join(".git").exists())
}

/// What differs from the commit, without secrets.
fn diff(spec: &RunSpec, artifacts: &Artifacts, secrets: &Secrets) -> Value {
    let arguments = ["diff", "HEAD", "--no-color", "--no-ext-diff", "--no-textconv", "--submodule=short"];
    match git(&spec.cwd, &arguments, DIFF_BYTES_MAX) {
        Some(Output { cut: true, .. }) => json!({ "not_kept": format!("it has more than {DIFF_BYTES_MAX} bytes") }),
        Some(Output { bytes, .. }) => keep(&bytes, artifacts, secrets),
        None => json!({ "not_kept": "git diff failed" }),
    }
}

/// Stores a text without its secrets.
fn keep(bytes: &[u8], artifacts: &Artifacts, secrets: &Secrets) -> Value {
    let (clean, n_masked) = secrets.mask_bytes(bytes);
    match artifacts.put_bytes(&clean) {
        Ok(stored) if n_masked > 0 => {
            json!({ "digest": stored.digest.to_string(), "size": stored.size, "masked": n_masked })
        }
        Ok(stored) => json!({ "digest": stored.digest.to_string(), "size": stored.size }),
        Err(error) => json!({ "not_kept": error.to_string() }),
    }
}

/// The code files that git does not know, each stored without its secrets; what was left out is counted.
fn snapshot(top: &Path, untracked: &[String], artifacts: &Artifacts, secrets: &Secrets) -> Value {
    let (mut files, mut left_out, mut total) = (Vec::new(), 0u64, 0);
    let is_code = |path: &&String| {
        let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
        CODE_ENDINGS.contains(&ending) || path.rsplit('/').next() == Some("Makefile")
    };
    for path in untracked.iter().filter(is_code) {
        let file = top.join(path);
        let size = file.symlink_metadata().ok().filter(std::fs::Metadata::is_file).map(|m| m.len());
        let fits =
            |size: &u64| *size <= CODE_FILE_BYTES_MAX && total + size <= DIFF_BYTES_MAX && files.len() < CODE_FILES_MAX;
        match size.filter(fits).and_then(|size| Some((size, std::fs::read(&file).ok()?))) {
            Some((size, bytes)) => {
                total += size;
                let mut kept = keep(&bytes, artifacts, secrets);
                kept["path"] = json!(path);
                files.push(kept);
            }
            None => left_out += 1,
        }
    }
    json!({ "files": files, "left_out": left_out, "others": untracked.iter().filter(|path| !is_code(path)).count() })
}

/// Reads what git says; the files that it does not know.
fn read_status(status: &str, code: &mut Map<String, Value>) -> Vec<String> {
    let (mut dirty, mut untracked) = (false, Vec::new());
    for line in status.lines() {
        match (line.strip_prefix("# branch."), line.strip_prefix("? ")) {
            (Some(fact), _) => match fact.split_once(' ') {
                Some(("oid", commit)) if commit != "(initial)" => {
                    code.insert("commit".to_owned(), json!(commit));
                }
                Some(("head", branch)) if branch != "(detached)" => {
                    code.insert("branch".to_owned(), json!(branch));
                }
                _ => {}
            },
            // A quoted path has unusual characters; it is told among the others.
            (None, Some(path)) if !path.split('/').any(|part| part == STORE_FOLDER) => untracked.push(path.to_owned()),
            (None, Some(_)) => {}
            (None, None) => dirty |= !line.starts_with('#'),
        }
    }
    code.insert("dirty".to_owned(), json!(dirty));
    untracked
}

struct Output {
    bytes: Vec<u8>,
    /// Whether there was more than was asked for.
    cut: bool,
}

/// The output of a git command, up to a number of bytes; `None` if there is no git or it fails.
fn git(folder: &Path, arguments: &[&str], bytes_max: u64) -> Option<Output> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments).env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut bytes = Vec::new();
    let read = child.stdout.take()?.take(bytes_max + 1).read_to_end(&mut bytes);
    let cut = bytes.len() as u64 > bytes_max;
    // Its output was closed, so it ends.
    let status = child.wait().ok()?;
    (read.is_ok() && (cut || status.success())).then_some(Output { bytes, cut })
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
        let mut code = Map::new();
        assert_eq!(read_status("# branch.oid 12ab\n? new.py\n", &mut code), ["new.py"]);
        assert_eq!(code["dirty"], false, "what git does not know is told apart");
    }
}
