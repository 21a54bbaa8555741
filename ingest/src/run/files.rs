//! The files behind declarations: found, hashed, stored and named.

use std::fs;
use std::path::{Component, Path, PathBuf};

use lineage_store::StoreError;
use lineage_store::artifact::{Artifacts, Stamp, Stored};
use lineage_store::event::{EntityKind, Ref};

use super::declared::{Declared, kind_of_path};
use super::secret::Secrets;
use super::{Known, RunError, RunSpec, glob};

/// The most versions that one pattern without a name may make.
const UNNAMED_MAX: usize = 1000;
/// Bytes below this many say too little to be taken for the version of another name.
const KNOWN_BYTES_MIN: u64 = 64;

/// The files of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A file or a folder.
    Path(PathBuf),
    /// Several files below a folder.
    Many { base: PathBuf, files: Vec<PathBuf> },
}

impl Source {
    pub(super) fn hash(&self) -> Result<Stored, StoreError> {
        match self {
            Self::Path(path) => Artifacts::hash_path(path),
            Self::Many { base, files } => Artifacts::hash_many(base, files),
        }
    }

    pub(super) fn put(&self, artifacts: &Artifacts) -> Result<Stored, StoreError> {
        match self {
            Self::Path(path) => artifacts.put_path(path),
            Self::Many { base, files } => artifacts.put_many(base, files),
        }
    }

    /// The path that stands for it: the file, the folder, or the folder below which files were chosen.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Path(path) | Self::Many { base: path, .. } => path,
        }
    }

    /// The marks of every file, by which a rewrite shows; files that vanish have none.
    pub(super) fn stamps(&self) -> Vec<(PathBuf, Option<Stamp>)> {
        let mut found = Vec::new();
        match self {
            Self::Path(path) => stamps_below(path, &mut found),
            Self::Many { files, .. } => files.iter().for_each(|file| found.push((file.clone(), stamp(file)))),
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    /// Its files.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Path(path) if path.is_dir() => self.stamps().into_iter().map(|(path, _)| path).collect(),
            Self::Path(path) => vec![path.clone()],
            Self::Many { files, .. } => files.clone(),
        }
    }

    /// The bytes of all its files.
    pub(super) fn size(&self) -> u64 {
        self.files().iter().filter_map(|file| fs::metadata(file).ok()).map(|m| m.len()).sum()
    }

    /// Whether the value of a secret stands in one of its files.
    pub(super) fn holds(&self, secrets: &Secrets) -> bool {
        !secrets.is_empty() && self.files().iter().any(|file| secrets.are_in(file))
    }

    /// The kind that the endings of its files agree on.
    fn kind(&self) -> EntityKind {
        let files = self.files();
        let mut kinds = files.iter().map(|file| kind_of_path(&file.to_string_lossy()));
        match kinds.next() {
            Some(kind) if kinds.all(|other| other == kind) => kind,
            _ => EntityKind::Artifact,
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata))
}

fn stamps_below(path: &Path, found: &mut Vec<(PathBuf, Option<Stamp>)>) {
    match fs::read_dir(path) {
        Ok(entries) => {
            for entry in entries.flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => stamps_below(&entry.path(), found),
                    _ => found.push((entry.path(), stamp(&entry.path()))),
                }
            }
        }
        Err(_) => found.push((path.to_owned(), stamp(path))),
    }
}

/// One version that a declaration stands for.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) declared: Declared,
    pub(super) source: Source,
}

/// The versions behind a declaration, empty if there is no file.
///
/// A pattern with a name makes one version, without a name one per file.
pub(super) fn find(declared: &Declared, cwd: &Path) -> Result<Vec<Item>, String> {
    let item = |source| Item { declared: declared.clone(), source };
    let path = cwd.join(&declared.pattern);
    if path.exists() {
        return Ok(if is_empty_folder(&path) { Vec::new() } else { vec![item(Source::Path(path))] });
    }
    if !glob::is_pattern(&declared.pattern) {
        return Ok(Vec::new());
    }
    let found = glob::expand(cwd, &declared.pattern).map_err(|error| error.to_string())?;
    let glob::Matches { base, mut files } = found;
    if declared.name.is_none() {
        if files.len() > UNNAMED_MAX {
            return Err(format!(
                "it matches {} files; give them one name: dataset:NAME={}",
                files.len(),
                declared.pattern
            ));
        }
        return Ok(files.into_iter().map(|file| item(Source::Path(file))).collect());
    }
    Ok(match files.len() {
        0 => Vec::new(),
        1 => files.pop().map(|file| item(Source::Path(file))).into_iter().collect(),
        _ => vec![item(Source::Many { base, files })],
    })
}

fn is_empty_folder(path: &Path) -> bool {
    path.is_dir() && Source::Path(path.to_owned()).stamps().is_empty()
}

/// A version that was read or written, as the event will name it.
#[derive(Clone, Debug)]
pub struct Traced {
    /// Its kind, name, namespace and digests.
    pub reference: Ref,
    /// Its bytes and digests.
    pub stored: Stored,
    /// The file or folder.
    pub path: PathBuf,
}

impl Traced {
    /// The name of the version.
    pub fn name(&self) -> &str {
        self.reference.name.as_deref().unwrap_or_default()
    }

    /// The kind of the version.
    pub fn kind(&self) -> EntityKind {
        self.reference.kind.unwrap_or(EntityKind::Artifact)
    }
}

/// Names hashed bytes: as declared, else (inputs) by what is known of the digest, else by path.
pub(super) fn name(item: &Item, stored: Stored, spec: &RunSpec, known: Option<Known<'_>>) -> Result<Traced, RunError> {
    let known = known.filter(|_| stored.size >= KNOWN_BYTES_MIN).and_then(|known| known(&stored.digest));
    let (declared_kind, path) = (item.declared.kind, item.source.path().to_owned());
    let (kind, namespace, name) = match (&item.declared.name, known) {
        (Some(name), Some((kind, namespace, same))) if *name == same && declared_kind.is_none_or(|k| k == kind) => {
            (kind, Some(namespace), same)
        }
        (None, Some((kind, namespace, name))) if declared_kind.is_none_or(|k| k == kind) => {
            (kind, Some(namespace), name)
        }
        (Some(name), _) => (declared_kind.unwrap_or_else(|| item.source.kind()), None, name.clone()),
        (None, _) => (declared_kind.unwrap_or_else(|| item.source.kind()), None, path_name(&path, spec)?),
    };
    let reference = Ref {
        kind: Some(kind),
        namespace: namespace.filter(|n| *n != spec.namespace),
        name: Some(name),
        digest: Some(stored.digest.into()),
        digests: format!("sha256:{}", stored.sha256).parse().into_iter().collect(),
        ..Ref::default()
    };
    Ok(Traced { reference, stored, path })
}

/// The path from the workspace with `/`; outside of it the whole path.
pub(super) fn path_name(path: &Path, spec: &RunSpec) -> Result<String, RunError> {
    let whole = plain(path);
    let below = whole.strip_prefix(plain(&spec.workspace_root)).unwrap_or(&whole);
    let name = if below.as_os_str().is_empty() { Path::new(".") } else { below };
    match name.to_str().filter(|name| !name.chars().any(char::is_control)) {
        Some(name) => Ok(name.to_owned()),
        None => Err(RunError::Unnameable { path: path.to_owned() }),
    }
}

/// A path without `.` and `..` parts, by its text alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}
