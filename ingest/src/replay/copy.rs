//! The copy: a folder of its own in which everything that an attempt read lies as it lay then.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use lineage_store::artifact::Artifacts;
use lineage_store::digest::Blake3;

use super::recorded::Recorded;
use super::survey::{From, Here, Survey};

/// The folders of one attempt that is made again.
#[derive(Debug)]
pub(super) struct Copy {
    /// All of it.
    pub(super) folder: PathBuf,
    /// What stands for the folder of then.
    pub(super) files: PathBuf,
}

impl Copy {
    /// Lays out what an attempt read, below a folder that must not exist.
    pub(super) fn lay_out(
        recorded: &Recorded,
        survey: &Survey,
        here: &Here<'_>,
        folder: &Path,
    ) -> Result<Self, String> {
        let copy = Self { folder: folder.to_owned(), files: folder.join("files") };
        copy.fill(recorded, survey, here).map_err(|error| format!("the copy cannot be made: {error}"))?;
        Ok(copy)
    }

    /// A folder of the attempt beside the files: `tmp`, `log`.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder in which the command runs.
    pub(super) fn cwd(&self, recorded: &Recorded) -> PathBuf {
        recorded.below(&recorded.folder).map_or_else(|| self.files.clone(), |below| self.files.join(below))
    }

    fn fill(&self, recorded: &Recorded, survey: &Survey, here: &Here<'_>) -> Result<(), String> {
        let told = |error: io::Error| error.to_string();
        for folder in [self.files.clone(), self.cwd(recorded), self.beside("tmp"), self.beside("own")] {
            fs::create_dir_all(&folder).map_err(told)?;
        }
        for (path, digest, from) in &survey.files {
            let Some(below) = recorded.below(path) else { continue };
            let to = self.files.join(below);
            match from {
                From::Store => restore(digest, &to, here.artifacts)?,
                From::File => copy_of(&here.workspace.join(path), &to, digest)?,
            }
            if recorded.executable.contains(path) {
                make_executable(&to).map_err(told)?;
            }
        }
        let listed = recorded.surroundings.folders.iter().map(|(folder, _)| folder);
        for folder in listed.filter_map(|folder| recorded.below(folder)) {
            fs::create_dir_all(self.files.join(folder)).map_err(told)?;
        }
        for (path, digest) in &recorded.written {
            let Some(below) = recorded.below(path) else { continue };
            let to = self.files.join(below);
            // Whoever wrote into a folder mostly found it there.
            let is_folder = here.artifacts.manifest(digest).is_ok_and(|manifest| manifest.is_some());
            let folder = if is_folder { Some(&*to) } else { to.parent() };
            folder.map_or(Ok(()), fs::create_dir_all).map_err(told)?;
        }
        for (alias, target) in &recorded.links {
            let (Some(alias), Some(target)) = (recorded.below(alias), recorded.below(target)) else { continue };
            let alias = self.files.join(alias);
            if alias.symlink_metadata().is_ok() {
                continue;
            }
            alias.parent().map_or(Ok(()), fs::create_dir_all).map_err(told)?;
            symlink(self.files.join(target), alias).map_err(told)?;
        }
        Ok(())
    }
}

/// Verified bytes of the store; of a folder every file, beside what is there.
fn restore(digest: &Blake3, to: &Path, artifacts: &Artifacts) -> Result<(), String> {
    let manifest = artifacts.manifest(digest).map_err(|error| error.to_string())?;
    let Some(manifest) = manifest else { return restore_file(digest, to, false, artifacts) };
    let mut entries = manifest.entries().iter();
    entries.try_for_each(|entry| restore_file(&entry.digest, &to.join(&entry.path), entry.executable, artifacts))
}

fn restore_file(digest: &Blake3, to: &Path, executable: bool, artifacts: &Artifacts) -> Result<(), String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", to.display());
    to.parent().map_or(Ok(()), fs::create_dir_all).map_err(|error| wrong(&error))?;
    // A file may be named by itself and as one of a folder.
    if !to.exists() {
        artifacts.get(digest, to).map_err(|error| wrong(&error))?;
    }
    if executable { make_executable(to).map_err(|error| wrong(&error)) } else { Ok(()) }
}

/// A copy of a file or folder that must have the bytes of then.
fn copy_of(from: &Path, to: &Path, digest: &Blake3) -> Result<(), String> {
    copy_below(from, to).map_err(|error| format!("{}: {error}", from.display()))?;
    let now = Artifacts::hash_path(to).map_err(|error| error.to_string())?;
    if now.digest == *digest { Ok(()) } else { Err(format!("{} has just changed", from.display())) }
}

fn copy_below(from: &Path, to: &Path) -> io::Result<()> {
    to.parent().map_or(Ok(()), fs::create_dir_all)?;
    if !from.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_below(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn make_executable(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o100))
}
