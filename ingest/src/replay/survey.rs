//! The survey: what of an attempt is still there, what is missing, and what is other than it was, told before anything
//! starts.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Component, Path, PathBuf};

use lineage_store::artifact::Artifacts;
use lineage_store::digest::Blake3;
use lineage_store::event::Kind;
use serde_json::Value;

use super::recorded::Recorded;
use crate::run::{REDACTED, installed, is_recorded, mark, platform};

/// What there is now.
#[derive(Clone, Copy)]
pub struct Here<'a> {
    /// The stored bytes.
    pub artifacts: &'a Artifacts,
    /// The folder that holds the store: where the files lay.
    pub workspace: &'a Path,
    /// The environment of the caller.
    pub variables: &'a [(OsString, OsString)],
    /// The key of fingerprints of secrets.
    pub key: Option<&'a [u8; 32]>,
}

impl Here<'_> {
    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_os_str())
    }
}

/// What kind of thing is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapKind {
    /// The bytes of an input.
    Input,
    /// The bytes of a script or source.
    Code,
    /// A part of the command that was masked.
    Argument,
    /// A secret that the command was given.
    Secret,
    /// The document of `LINEAGE_IN`.
    Document,
    /// A program that is not installed.
    Program,
    /// An output outside of every folder that can be copied.
    Output,
    /// Whatever it is, doing it twice is no replay.
    Effect,
    /// What would be needed was never recorded.
    Record,
}

impl GapKind {
    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Code => "code",
            Self::Argument => "argument",
            Self::Secret => "secret",
            Self::Document => "document",
            Self::Program => "program",
            Self::Output => "output",
            Self::Effect => "effect",
            Self::Record => "record",
        }
    }
}

/// Something without which an attempt cannot be made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What kind of thing.
    pub kind: GapKind,
    /// Its path or name; empty if it is all of it.
    pub name: String,
    /// Why it is missing.
    pub why: String,
}

impl Gap {
    /// A gap.
    pub fn new(kind: GapKind, name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, name: name.into(), why: why.into() }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => f.write_str(&self.why),
            name => write!(f, "{} {name}: {}", self.kind.as_str(), self.why),
        }
    }
}

/// Where the bytes of a file come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// The artifacts of the store.
    Store,
    /// The file itself, which still has the bytes of then.
    File,
}

/// What can be done again of an attempt, and what cannot.
#[derive(Debug, Default)]
pub struct Survey {
    /// What is missing; with any the attempt cannot be made again.
    pub gaps: Vec<Gap>,
    /// What is other than it was, or cannot be set apart from the rest of the machine.
    pub differences: Vec<String>,
    /// Files to be laid out.
    pub(super) files: Vec<(String, Blake3, From)>,
}

impl Survey {
    /// Looks for everything that an attempt needs.
    pub fn of(recorded: &Recorded, here: &Here<'_>) -> Self {
        let mut survey = Self::default();
        survey.command(recorded);
        survey.files(recorded, here);
        survey.document(recorded, here);
        survey.secrets(recorded, here);
        survey.programs(recorded, here);
        survey.packages(recorded);
        survey.machine(recorded);
        survey.variables(recorded, here);
        survey.isolation(recorded);
        survey
    }

    /// Of an attempt of which nothing else can be said.
    pub fn hopeless(gap: Gap) -> Self {
        Self { gaps: vec![gap], ..Self::default() }
    }

    fn miss(&mut self, kind: GapKind, name: impl Into<String>, why: impl Into<String>) {
        self.gaps.push(Gap::new(kind, name, why));
    }

    fn differ(&mut self, what: String) {
        self.differences.push(what);
    }

    fn command(&mut self, recorded: &Recorded) {
        if recorded.kind == Kind::Deployment {
            self.miss(GapKind::Effect, "", "it is a deployment, which would take effect once more");
        }
        if let Some(at) = recorded.masked_argument() {
            self.miss(GapKind::Argument, at.to_string(), "a secret in it was masked, so it is not known");
        }
        if recorded.argv.is_empty() {
            self.miss(GapKind::Record, "", "its command is not recorded");
        }
        if recorded.below(&recorded.folder).is_none() {
            self.miss(GapKind::Record, &recorded.folder, "the folder in which it ran cannot be copied");
        }
        for path in recorded.written.keys().filter(|path| recorded.below(path).is_none()) {
            self.miss(GapKind::Output, path, "it lies outside of the folder that is copied, and would be overwritten");
        }
    }

    fn files(&mut self, recorded: &Recorded, here: &Here<'_>) {
        for (path, digest) in &recorded.read {
            let at = here.workspace.join(path);
            let is_as_then = || Artifacts::hash_path(&at).is_ok_and(|stored| stored.digest == *digest);
            if recorded.below(path).is_none() {
                // What is named by its whole path is read where it lies.
                if is_as_then() {
                    self.differ(format!("{path} is read where it lies, outside of the copy"));
                } else {
                    self.lost(recorded, path, digest, "it is read by its whole path, and there");
                }
            } else if is_kept(digest, here.artifacts) {
                self.files.push((path.clone(), *digest, From::Store));
            } else if is_as_then() {
                self.files.push((path.clone(), *digest, From::File));
            } else {
                self.lost(recorded, path, digest, "its bytes were not kept, and in the working folder");
            }
        }
        self.standard_input(recorded, here);
        for path in &recorded.unhashed {
            self.miss(GapKind::Input, path, "its bytes were never hashed, as it changed or could not be read");
        }
    }

    /// A file that was its standard input, if nobody told that it was read.
    fn standard_input(&mut self, recorded: &Recorded, here: &Here<'_>) {
        let [Some(path), _] = &recorded.streams else { return };
        if recorded.read.contains_key(path) || recorded.unhashed.contains(path) {
            return;
        }
        if recorded.below(path).is_none() && here.workspace.join(path).is_file() {
            self.differ(format!("{path}, its standard input, is read where it lies, and may be other than it was"));
        } else {
            self.miss(GapKind::Input, path, "it was its standard input, and its bytes were not recorded");
        }
    }

    fn lost(&mut self, recorded: &Recorded, path: &str, digest: &Blake3, why: &str) {
        let kind = if recorded.code.contains(digest) { GapKind::Code } else { GapKind::Input };
        self.miss(kind, path, format!("{why} it is gone or has others ({digest} was read)"));
    }

    fn document(&mut self, recorded: &Recorded, here: &Here<'_>) {
        let Some(step) = &recorded.step else { return };
        match step.document(here.artifacts) {
            Err(why) => self.miss(GapKind::Document, "LINEAGE_IN", why),
            Ok(document) => {
                let digest = Blake3::of(document.to_string().as_bytes()).to_string();
                if step.document_digest.as_ref().is_some_and(|then| *then != digest) {
                    let why = "it cannot be made as it was; a value or parameter in it was masked or taken away";
                    self.miss(GapKind::Document, "LINEAGE_IN", why);
                }
            }
        }
    }

    /// Secrets are never kept, so they come from the environment of now.
    fn secrets(&mut self, recorded: &Recorded, here: &Here<'_>) {
        for (name, prints) in &recorded.surroundings.fingerprints {
            let is_declared = recorded.step.as_ref().is_some_and(|step| step.secrets.contains(name));
            let now = here.variable(name);
            let print = |value: &OsStr| {
                let bytes = value.as_encoded_bytes().trim_ascii();
                here.key.map(|key| Blake3::keyed(key, bytes).hex())
            };
            match now {
                None if is_declared => {
                    self.miss(GapKind::Secret, name, "the variable is not set, and its value is never kept");
                }
                None => {}
                Some(value) => {
                    let same = print(value).is_some_and(|now| prints.iter().any(|then| now.starts_with(then.as_str())));
                    if !same {
                        self.differ(format!("the secret {name} has another value"));
                    }
                }
            }
        }
        let set = recorded.step.iter().flat_map(|step| &step.set);
        let masked: Vec<&String> = set.filter(|(_, value)| value.contains(REDACTED)).map(|(name, _)| name).collect();
        for name in masked {
            self.miss(GapKind::Secret, name, "the step set this variable to a value that was masked");
        }
    }

    fn programs(&mut self, recorded: &Recorded, here: &Here<'_>) {
        let is_copied = |path: &Path| {
            let below = path.strip_prefix(here.workspace).ok().and_then(Path::to_str);
            below.is_some_and(|path| recorded.read.contains_key(path) || recorded.links.contains_key(path))
        };
        let program = recorded.surroundings.program.as_ref().filter(|(path, _)| !is_copied(Path::new(path)));
        if let Some((path, digest)) = program {
            match (Artifacts::digest_file(Path::new(path)), digest) {
                (Err(_), _) => self.miss(GapKind::Program, path, "it is not there any more"),
                (Ok(now), Some(then)) if now.to_string() != *then => {
                    self.differ(format!("the program {path} is another: it was {then} and is {now}"));
                }
                _ => {}
            }
        }
        let first = program.map(|(path, _)| path.as_str()).unwrap_or_default();
        for (path, then) in recorded.surroundings.marks.iter().filter(|(path, _)| *path != first) {
            match mark(Path::new(path)) {
                _ if is_copied(Path::new(path)) => {}
                Some(now) if now == *then => {}
                Some(_) => self.differ(format!("the program {path} is another")),
                None => self.differ(format!("the program {path} is not there any more")),
            }
        }
    }

    fn packages(&mut self, recorded: &Recorded) {
        let folders = &recorded.surroundings.package_folders;
        let now: BTreeMap<String, String> = folders.iter().flat_map(|folder| installed(Path::new(folder))).collect();
        for (name, then) in &recorded.surroundings.packages {
            match now.get(name) {
                Some(now) if now == then => {}
                Some(now) => self.differ(format!("the package {name} was {then} and is {now}")),
                None => self.differ(format!("the package {name} {then} is not installed any more")),
            }
        }
    }

    fn machine(&mut self, recorded: &Recorded) {
        let now = platform();
        for key in ["kernel", "arch", "cpu", "cpu_flags", "gpus", "gpu_driver"] {
            let then = recorded.surroundings.machine.get(key);
            if then != now.get(key) {
                let told = |value: Option<&Value>| value.map_or("none".to_owned(), Value::to_string);
                self.differ(format!("the machine: {key} was {} and is {}", told(then), told(now.get(key))));
            }
        }
    }

    fn variables(&mut self, recorded: &Recorded, here: &Here<'_>) {
        for (name, then) in &recorded.surroundings.variables {
            let now = here.variable(name).map(OsStr::to_string_lossy);
            let is_set = recorded.step.as_ref().is_some_and(|step| step.set.contains_key(name));
            if now.as_deref() != Some(then) && !is_set {
                let now = now.map_or("not set".to_owned(), |now| format!("{now:?}"));
                self.differ(format!("the variable {name} is {now} here; it gets {then:?}, as then"));
            }
        }
        let others = here.variables.iter().map(|(name, _)| name.to_string_lossy());
        let left_out = others.filter(|name| {
            let passed = recorded.step.as_ref().is_none_or(|step| step.variables.iter().any(|passed| passed == name));
            passed && is_recorded(name, &[]) && !recorded.surroundings.variables.contains_key(name.as_ref())
        });
        for name in left_out {
            self.differ(format!("the variable {name} is set here and was not; it is left out"));
        }
    }

    fn isolation(&mut self, recorded: &Recorded) {
        if recorded.completeness != "complete" {
            let how = match recorded.completeness.as_str() {
                "declared" => "only what was declared of it is known",
                "partial" => "it was observed in part",
                _ => "it was not observed",
            };
            self.differ(format!("{how}, so it may have read more than is copied"));
        }
        for host in &recorded.surroundings.connections {
            self.differ(format!("it talked to {host}, whose answers are not kept"));
        }
    }
}

/// Whether the store has the bytes of a digest, with every file of a folder.
pub(super) fn is_kept(digest: &Blake3, artifacts: &Artifacts) -> bool {
    match artifacts.contains(digest).then(|| artifacts.manifest(digest)) {
        Some(Ok(Some(manifest))) => manifest.entries().iter().all(|entry| artifacts.contains(&entry.digest)),
        Some(Ok(None)) => true,
        _ => false,
    }
}

impl Recorded {
    /// Where a path lies below the folder that is copied; none if it is outside, or leads out of it.
    pub(super) fn below<'a>(&self, path: &'a str) -> Option<&'a Path> {
        let path = Path::new(path);
        let below = match (path.is_absolute(), Path::new(&self.folder).is_absolute()) {
            (false, false) => Some(path),
            (true, true) => path.strip_prefix(&self.folder).ok(),
            _ => None,
        };
        below.filter(|path| path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)))
    }

    /// The folder that is copied, where it lay.
    pub(super) fn root(&self, workspace: &Path) -> PathBuf {
        let folder = Path::new(&self.folder);
        if folder.is_absolute() { folder.to_owned() } else { workspace.to_owned() }
    }
}
