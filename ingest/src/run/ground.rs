//! The ground: what the runs of one pipeline have in common, looked at once for all of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lineage_store::artifact::{Artifacts, Stamp};
use lineage_store::digest::Blake3;
use lineage_store::event::Json;
use serde_json::{Map, Value};

use super::surroundings::{self, Surroundings};
use super::{RunError, RunSpec, code, gather_secrets};
use crate::capture::PythonHook;

/// Programs by path: the marks of the file, and what is said of it.
type Programs = HashMap<PathBuf, (Stamp, Value)>;

/// What does not change from one run to the next: the repository of the code, the machine, programs.
#[derive(Debug)]
pub struct Ground {
    /// The top of the repository, if there is one.
    top: Option<PathBuf>,
    remotes: Vec<(String, String)>,
    repository: Map<String, Value>,
    surroundings: Surroundings,
    programs: Mutex<Programs>,
    /// Digests of large files.
    hashed: Mutex<HashMap<PathBuf, (Stamp, Blake3)>>,
    /// What asks Python programs, where a folder was given for it.
    hook: Option<PythonHook>,
}

/// Digests of files of so many bytes are remembered: hashing one takes longer than a tick of the coarsest clock of a
/// kernel (10 ms), so whatever is written to it afterwards gives it another time.
const LARGE_BYTES: u64 = 64 << 20;

impl Ground {
    /// Looks at a folder as runs with these settings would; what differs from the commit is stored.
    pub fn look(spec: &RunSpec, folder: &Path, artifacts: &Artifacts) -> Result<Self, RunError> {
        let mut spec = spec.clone();
        folder.clone_into(&mut spec.cwd);
        let remotes = code::remotes(&spec.cwd);
        let secrets = gather_secrets(&spec, &remotes)?;
        Ok(Self {
            top: code::top_folder(folder).map(Path::to_owned),
            repository: code::repository(&spec, &remotes, artifacts, &secrets),
            surroundings: surroundings::of_process(&spec),
            programs: Mutex::default(),
            hashed: Mutex::default(),
            hook: None,
            remotes,
        })
    }

    /// With a new folder for what the runs have in common, which lives at least as long as they do.
    pub(crate) fn in_folder(self, folder: &Path) -> Self {
        // Without it every run has a hook of its own.
        Self { hook: PythonHook::install(folder).ok(), ..self }
    }

    /// The hook of a run that keeps its files in a folder.
    pub(super) fn hook(&self, live: &Path) -> Option<PythonHook> {
        self.hook.as_ref().map(|hook| hook.share(live.join("told")))
    }

    /// The addresses of the repository that a folder lies in, if it is this one.
    pub(super) fn remotes(&self, folder: &Path) -> Option<Vec<(String, String)>> {
        self.is_of(folder).then(|| self.remotes.clone())
    }

    /// What git knows of a folder, if it lies in this repository.
    pub(super) fn repository(&self, folder: &Path) -> Option<Map<String, Value>> {
        self.is_of(folder).then(|| self.repository.clone())
    }

    fn is_of(&self, folder: &Path) -> bool {
        code::top_folder(folder) == self.top.as_deref()
    }

    /// What git knows, as events tell it.
    pub(crate) fn code(&self) -> Json {
        Json::from_value(&Value::Object(self.repository.clone())).unwrap_or_default()
    }

    /// What this process and the machine give to every command alike.
    pub(super) fn surroundings(&self) -> Surroundings {
        self.surroundings.clone()
    }

    /// The digest of a file or of a folder's manifest; `None` if it is not there or cannot be read.
    pub(crate) fn digest(&self, path: &Path) -> Option<Blake3> {
        let metadata = path.metadata().ok()?;
        let stamp = Some(Stamp::of(&metadata)).filter(|_| metadata.is_file() && metadata.len() >= LARGE_BYTES);
        let hashed = || self.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(now), Some((then, digest))) = (stamp, hashed().get(path))
            && now == *then
        {
            return Some(*digest);
        }
        let stored = Artifacts::hash_path(path).ok()?;
        let after = path.metadata().ok().map(|metadata| Stamp::of(&metadata));
        if let Some(stamp) = stamp.filter(|stamp| after == Some(*stamp) && !stored.unstable) {
            hashed().insert(path.to_owned(), (stamp, stored.digest));
        }
        Some(stored.digest)
    }

    /// What is said of a program; it is hashed again only if its file has changed.
    pub(super) fn program(&self, path: &Path, describe: impl FnOnce(&Path) -> Value) -> Value {
        let stamp = path.metadata().ok().map(|metadata| Stamp::of(&metadata));
        let programs = || self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(now), Some((then, said))) = (&stamp, programs().get(path))
            && now == then
        {
            return said.clone();
        }
        let said = describe(path);
        if let Some(stamp) = stamp {
            programs().insert(path.to_owned(), (stamp, said.clone()));
        }
        said
    }
}
