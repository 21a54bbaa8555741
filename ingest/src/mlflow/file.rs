//! Files: what clients send through the artifact proxy, listed by path and kept by digest.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;

use lineage_store::artifact::{Entry, Manifest};
use lineage_store::digest::{Blake3, from_hex, to_hex};
use lineage_store::event::{EntityKind, Kind, Output, Ref, State};
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::error::Error;
use super::fact::{Fact, NewFile};
use super::ledger::Ledger;
use super::pen::{Pen, digests};
use super::run::Run;
use super::{Answer, answer};

/// The longest path of a file, in bytes.
const PATH_BYTES_MAX: usize = 1024;
/// The address of the proxy's files.
const SCHEME: &str = "mlflow-artifacts:";

/// One file.
#[derive(Clone, Copy, Debug)]
struct File {
    blake3: Blake3,
    sha256: [u8; 32],
    size: u64,
}

/// All files by their paths.
#[derive(Debug, Default)]
pub(super) struct Files(BTreeMap<Box<str>, File>);

impl Files {
    pub(super) fn add(&mut self, new: NewFile) {
        let sha256 = from_hex(new.sha256.as_bytes()).and_then(|bytes| bytes.try_into().ok());
        if let (Some(blake3), Some(sha256)) = (Blake3::from_hex(&new.blake3), sha256) {
            self.0.insert(new.path.into(), File { blake3, sha256, size: new.size });
        }
    }

    /// Takes a file, or every file of a folder, out of the list.
    pub(super) fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        let gone: Vec<Box<str>> = self.below(&below).map(|(path, _)| path.into()).collect();
        self.0.remove(path);
        for path in gone {
            self.0.remove(&path);
        }
    }

    /// The files whose paths begin with a text.
    fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a File)> {
        let from = self.0.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.map(|(path, file)| (&**path, file)).take_while(move |(path, _)| path.starts_with(prefix))
    }

    /// What lies in a folder: names, and sizes of files.
    fn list(&self, folder: &str) -> Vec<(String, Option<u64>)> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let (mut found, mut from) = (Vec::new(), prefix.clone());
        // Each folder below is left with one step, however much it holds.
        while let Some((path, file)) = self.0.range::<str, _>((Bound::Included(&*from), Bound::Unbounded)).next() {
            let Some(rest) = path.strip_prefix(&*prefix) else { break };
            if let Some((name, _)) = rest.split_once('/') {
                found.push((name.to_owned(), None));
                from = format!("{prefix}{name}0");
            } else {
                found.push((rest.to_owned(), Some(file.size)));
                from = format!("{path}\0");
            }
        }
        found
    }

    /// The files of an address as one version: a file, or the list of a folder's files.
    pub(super) fn version(&self, uri: &str, pen_keep: &mut dyn FnMut(Vec<u8>) -> (Blake3, String)) -> Option<Stored> {
        let path = key_of(uri)?;
        if let Some(file) = self.0.get(&*path) {
            return Some(Stored { blake3: file.blake3, sha256: to_hex(&file.sha256), size: file.size });
        }
        let prefix = format!("{path}/");
        let entry = |(path, file): (&str, &File)| Entry {
            path: path[prefix.len()..].to_owned(),
            digest: file.blake3,
            sha256: to_hex(&file.sha256),
            size: file.size,
            executable: false,
        };
        let entries: Vec<Entry> = self.below(&prefix).map(entry).collect();
        if entries.is_empty() {
            return None;
        }
        let manifest = Manifest::new(entries).ok()?;
        let (blake3, sha256) = pen_keep(manifest.to_bytes());
        Some(Stored { blake3, sha256, size: manifest.size() })
    }
}

/// Digests and size of what is stored.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    blake3: Blake3,
    sha256: String,
    size: u64,
}

/// A model as an output, with the digests of its files as far as they are here.
pub(super) fn model_output(pen: &mut Pen<'_>, mut reference: Ref, uri: &str) -> Output {
    let files = &pen.ledger.files;
    let stored = files.version(uri, &mut |bytes| pen.keep(bytes));
    if let Some(stored) = &stored {
        digests(&mut reference, stored.blake3, &stored.sha256);
    }
    Output { reference, size: stored.map(|stored| stored.size), ..Output::default() }
}

/// The path of an address of the proxy; `None` for any other address.
pub(super) fn path_of(uri: &str) -> Option<&str> {
    let rest = uri.strip_prefix(SCHEME)?;
    let path = match rest.strip_prefix("//") {
        // With the name of a server.
        Some(rest) => rest.split_once('/')?.1,
        None => rest.trim_start_matches('/'),
    };
    Some(path.trim_end_matches('/'))
}

/// The key of the files at an address; `None` for an address of another machine.
///
/// Of the proxy it is the path there. Of the machine where a run was made, without scheme or with `file:`, it begins
/// with `/` or `./`, as no path of the proxy does: such files are here only if they were imported.
pub(super) fn key_of(uri: &str) -> Option<Cow<'_, str>> {
    if let Some(path) = path_of(uri) {
        return Some(path.into());
    }
    let path: Cow<'_, str> = match uri.split_once(':') {
        Some(("file", rest)) => {
            let path = rest.strip_prefix("//").map_or(Some(rest), |rest| Some(&rest[rest.find('/')?..]))?;
            decoded(path)?.into()
        }
        Some((scheme, _)) if !scheme.contains('/') => return None,
        _ => uri.into(),
    };
    let path = path.trim_end_matches('/');
    match (path, path.strip_prefix("./").unwrap_or(path)) {
        ("" | ".", _) => None,
        (path, _) if path.starts_with('/') => Some(path.to_owned().into()),
        (_, rest) => Some(format!("./{rest}").into()),
    }
}

/// A text without the escapes of addresses: `%20` is a space.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escaped = (*byte == b'%').then(|| from_hex(after.get(..2)?)).flatten();
        if let Some(escaped) = escaped {
            bytes.extend(escaped);
            rest = &after[2..];
        } else {
            bytes.push(*byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether an address of the proxy lies within another one.
pub(super) fn is_within(uri: &str, root: &str) -> bool {
    let (Some(path), Some(root)) = (path_of(uri), path_of(root)) else { return false };
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        && path.split('/').all(|part| part != "..")
}

/// A path that a client names, which is only ever a key: plain parts, no way out.
pub fn path(text: &str) -> Result<String, Error> {
    let plain = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && !part.contains(|c: char| c.is_control() || c == '\\')
    };
    let text = text.trim_matches('/');
    if text.len() <= PATH_BYTES_MAX && text.split('/').all(plain) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid(format!("Invalid path '{}'", text.chars().take(100).collect::<String>().escape_debug())))
}

#[derive(Deserialize)]
struct Asked {
    path: Option<String>,
    run_id: Option<String>,
    run_uuid: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    path: String,
    is_dir: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_size: Option<u64>,
}

#[derive(Serialize)]
struct Listed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    root_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<Shown>,
}

fn listed(ledger: &Ledger, folder: &str, before: &str) -> Vec<Shown> {
    let shown = |(name, file_size): (String, Option<u64>)| {
        let path = if before.is_empty() { name } else { format!("{before}/{name}") };
        Shown { path, is_dir: file_size.is_none(), file_size }
    };
    ledger.files.list(folder).into_iter().map(shown).collect()
}

/// `mlflow-artifacts/artifacts?path=`: what lies in a folder.
pub fn list(body: &Body, ledger: &Ledger) -> Answer {
    let asked: Asked = body.read()?;
    let folder = match asked.path.as_deref().map(|path| path.trim_matches('/')) {
        None | Some("") => String::new(),
        Some(folder) => path(folder)?,
    };
    answer(&Listed { root_uri: None, files: listed(ledger, &folder, "") })
}

/// `artifacts/list`: what lies in a folder of a run.
pub fn list_of_run(body: &Body, ledger: &Ledger) -> Answer {
    let asked: Asked = body.read()?;
    let run = ledger.runs.found(asked.run_id.or(asked.run_uuid).as_deref().unwrap_or_default())?;
    let below = match asked.path.as_deref().map(|path| path.trim_matches('/')) {
        None | Some("") => String::new(),
        Some(folder) => path(folder)?,
    };
    let files = match key_of(&run.artifact_uri) {
        Some(root) if below.is_empty() => listed(ledger, &root, ""),
        Some(root) => listed(ledger, &format!("{root}/{below}"), &below),
        None => Vec::new(),
    };
    answer(&Listed { root_uri: Some(&run.artifact_uri), files })
}

/// The digest of a file's bytes.
pub fn digest(ledger: &Ledger, path: &str) -> Result<Blake3, Error> {
    let found = ledger.files.0.get(path).map(|file| file.blake3);
    found.ok_or_else(|| Error::missing("an artifact at", path))
}

/// Writes that a file was stored: an artifact that its run made.
pub fn store(pen: &mut Pen<'_>, file: NewFile) -> Result<(), Error> {
    let blake3 = Blake3::from_hex(&file.blake3).ok_or_else(|| Error::invalid("the digest of the file is none"))?;
    let (sha256, size) = (file.sha256.clone(), file.size);
    let (run, name) = owner(pen.ledger, &file.path);
    let fact = Fact::File(file);
    let mut event = match run {
        Some(run) => pen.of_run(run, Kind::Transform, State::Running, &fact)?,
        None => pen.event(Kind::Register, &fact)?,
    };
    let mut reference = Ref::named(EntityKind::Artifact, name);
    digests(&mut reference, blake3, &sha256);
    event.outputs.push(Output { reference, size: Some(size), ..Output::default() });
    pen.write(event);
    Ok(())
}

/// The run that a file belongs to, and its name in the lineage: experiment, model if it is of one, and path.
fn owner<'a>(ledger: &'a Ledger, path: &str) -> (Option<&'a Run>, String) {
    let parts: Vec<&str> = path.split('/').collect();
    for (i, _) in parts.iter().enumerate().skip(1).filter(|(_, part)| **part == "artifacts") {
        let rest = parts[i + 1..].join("/");
        if let Some(run) = ledger.runs.get(parts[i - 1]) {
            return (Some(run), format!("{}/{rest}", run.job));
        }
        if let Ok(model) = ledger.models.found(parts[i - 1]) {
            let run = model.run.as_deref().and_then(|run| ledger.runs.get(run));
            let experiment = ledger.experiments.get(&model.experiment).map_or("", |e| e.name.as_str());
            let job = run.map_or(experiment, |run| &run.job);
            return (run, format!("{job}/{}/{rest}", model.name));
        }
    }
    (None, path.to_owned())
}

/// Writes that a file, or a folder, is listed no more; its bytes stay as long as an event names them.
pub fn remove(pen: &mut Pen<'_>, path: &str) -> Result<(), Error> {
    let prefix = format!("{path}/");
    if !pen.ledger.files.0.contains_key(path) && pen.ledger.files.below(&prefix).next().is_none() {
        return Err(Error::missing("an artifact at", path));
    }
    let (run, name) = owner(pen.ledger, path);
    let fact = Fact::FileGone { path: path.to_owned() };
    let mut event = match run {
        Some(run) => pen.of_run(run, Kind::Transform, State::Running, &fact)?,
        None => pen.event(Kind::Register, &fact)?,
    };
    if run.is_none() {
        event.outputs.push(Output { reference: Ref::named(EntityKind::Artifact, name), ..Output::default() });
    }
    pen.write(event);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Files {
        let mut files = Files::default();
        for path in paths {
            let size = path.len() as u64;
            files.add(NewFile { path: (*path).to_owned(), blake3: "01".repeat(32), sha256: "02".repeat(32), size });
        }
        files
    }

    #[test]
    fn folders_are_listed_one_level_deep() {
        let files =
            files(&["1/r/artifacts/a", "1/r/artifacts/d/x", "1/r/artifacts/d/y/z", "1/r/artifacts/d.txt", "1/s"]);
        let names = |folder: &str| files.list(folder).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names("1/r/artifacts"), ["a", "d.txt", "d"]);
        assert_eq!(names("1/r/artifacts/d"), ["x", "y"]);
        assert_eq!(names(""), ["1"]);
        assert_eq!(names("1/r/artifacts/a"), [""; 0]);
        assert_eq!(files.list("1")[1], ("s".to_owned(), Some(3)));
    }

    #[test]
    fn a_folder_is_one_version_by_the_list_of_its_files() {
        let mut files = files(&["1/m/MLmodel", "1/m/data/x", "1/mm"]);
        let mut kept = Vec::new();
        let mut keep = |bytes: Vec<u8>| {
            let digest = Blake3::of(&bytes);
            kept.push(bytes);
            (digest, "0".repeat(64))
        };
        let stored = files.version("mlflow-artifacts:/1/m", &mut keep).expect("files");
        assert_eq!(stored.size, 21);
        assert_eq!(files.version("mlflow-artifacts://host:80/1/mm/", &mut keep).expect("a file").size, 4);
        assert!(
            files.version("s3://b/1/m", &mut keep).is_none()
                && files.version("mlflow-artifacts:/2", &mut keep).is_none()
        );
        assert_eq!(kept.len(), 1);
        let manifest = Manifest::parse(&kept[0]).expect("a manifest");
        assert_eq!(manifest.entries().iter().map(|e| e.path.as_str()).collect::<Vec<_>>(), ["MLmodel", "data/x"]);
        files.remove("1/m");
        assert_eq!(files.list("1"), [("mm".to_owned(), Some(4))]);
    }

    #[test]
    fn addresses_of_machines_are_keys_that_no_path_of_the_proxy_is() {
        for (uri, key) in [
            ("mlflow-artifacts:/1/r/artifacts", Some("1/r/artifacts")),
            ("/srv/mlruns/1/r/artifacts/", Some("/srv/mlruns/1/r/artifacts")),
            ("file:///srv/ml%20runs/%C3%A9", Some("/srv/ml runs/é")),
            ("file://localhost/srv/x", Some("/srv/x")),
            ("file:/srv/100%", Some("/srv/100%")),
            ("./mlruns/1", Some("./mlruns/1")),
            ("mlruns/1:2", Some("./mlruns/1:2")),
            ("s3://bucket/1", None),
            ("file:///%FF", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(key_of(uri).as_deref(), key, "{uri}");
            let is_local = key.is_some_and(|key| key.starts_with(['/', '.']));
            assert!(!is_local || path(key.unwrap_or_default()).as_deref() != Ok(key.unwrap_or_default()), "{uri}");
        }
    }

    #[test]
    fn names_that_would_be_ways_out_are_refused() {
        for bad in ["", "..", "a/../b", "/etc/../passwd", "a//b", "a\\b", "a\0", &"x/".repeat(600), "."] {
            assert!(path(bad).is_err(), "{bad:?}");
        }
        assert_eq!(path("/1/r/artifacts/a b.txt/").expect("a path"), "1/r/artifacts/a b.txt");
    }
}
