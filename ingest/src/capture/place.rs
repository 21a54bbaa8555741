//! Places: from a path as a task wrote it to the file that it means.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::role::plain;
use super::task::Written;

/// A file that a call names.
#[derive(Debug)]
pub(super) struct Place {
    /// Its path without links.
    pub(super) path: PathBuf,
    /// What is there now.
    pub(super) metadata: Option<Metadata>,
}

/// The folders that were resolved already.
#[derive(Debug, Default)]
pub(super) struct Places {
    folders: HashMap<PathBuf, Option<PathBuf>>,
    /// Whether a task may have another root or other mounts than this process.
    roots: bool,
}

impl Places {
    /// From now on paths are looked up under the root of the task that names them.
    pub(super) fn distrust_roots(&mut self) {
        self.roots = true;
        self.forget();
    }

    /// Whether paths mean the same to every task.
    pub(super) fn one_root(&self) -> bool {
        !self.roots
    }

    /// A folder or a link to one was moved or removed.
    pub(super) fn forget(&mut self) {
        self.folders.clear();
    }

    /// The file that a path means; `follow` says whether a link at its end is followed.
    pub(super) fn find(&mut self, task: i32, written: &Written, follow: bool) -> Option<Place> {
        let path = written.path.as_path();
        if self.roots {
            let root = fs::read_link(format!("/proc/{task}/root")).ok()?;
            // A folder outside of its root was opened before it got that root.
            match &written.folder {
                None => return in_root(task, path, follow),
                Some(folder) if folder.starts_with(&root) => {
                    return in_root(task, path.strip_prefix(&root).ok()?, follow);
                }
                Some(_) => {}
            }
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            let path = fs::canonicalize(path).ok()?;
            let metadata = fs::metadata(&path).ok();
            return Some(Place { path, metadata });
        };
        let path = self.folder(folder)?.join(name);
        let metadata = fs::symlink_metadata(&path).ok();
        if follow && metadata.as_ref().is_some_and(Metadata::is_symlink) {
            return Some(through_link(path));
        }
        Some(Place { path, metadata })
    }

    fn folder(&mut self, folder: &Path) -> Option<PathBuf> {
        if let Some(known) = self.folders.get(folder) {
            return known.clone();
        }
        let found = fs::canonicalize(folder).ok();
        // A folder that is not there yet may be made later.
        if found.is_some() {
            self.folders.insert(folder.to_owned(), found.clone());
        }
        found
    }
}

/// The file behind a link; the place where it would be made, if the link leads nowhere.
fn through_link(path: PathBuf) -> Place {
    if let Ok(target) = fs::canonicalize(&path) {
        let metadata = fs::metadata(&target).ok();
        return Place { path: target, metadata };
    }
    let target = fs::read_link(&path).ok().and_then(|text| path.parent().map(|folder| plain(&folder.join(text))));
    Place { path: target.unwrap_or(path), metadata: None }
}

/// Looks a path up under the root of a task.
fn in_root(task: i32, path: &Path, follow: bool) -> Option<Place> {
    let root = fs::File::open(format!("/proc/{task}/root")).ok()?;
    // Under this root an absolute path begins there, as a relative one does.
    let open = |path: &Path, follow: bool| {
        let link = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
        let flags = OFlags::PATH | OFlags::CLOEXEC | link;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        rustix::fs::openat2(&root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok().map(fs::File::from)
    };
    let name_of = |file: &fs::File| fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok();
    if let Some(file) = open(path, follow) {
        return Some(Place { path: name_of(&file)?, metadata: file.metadata().ok() });
    }
    let folder = open(path.parent()?, true)?;
    Some(Place { path: name_of(&folder)?.join(path.file_name()?), metadata: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(path: &Path) -> Written {
        Written { path: path.to_owned(), folder: None }
    }

    #[test]
    fn links_lead_to_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = fs::canonicalize(folder.path()).expect("a path");
        fs::create_dir(root.join("d")).expect("a folder");
        fs::write(root.join("d/a"), "x").expect("a file");
        std::os::unix::fs::symlink("d", root.join("l")).expect("a link");
        std::os::unix::fs::symlink("d/a", root.join("b")).expect("a link");
        std::os::unix::fs::symlink("d/none", root.join("c")).expect("a link");
        let task = std::process::id() as i32;
        let mut places = Places::default();
        for roots in [false, true] {
            if roots {
                places.distrust_roots();
            }
            let mut find = |path: &str, follow| {
                let place = places.find(task, &written(&root.join(path)), follow).expect("a place");
                (place.path.strip_prefix(&root).expect("below").to_owned(), place.metadata.is_some())
            };
            assert_eq!(find("l/a", true), ("d/a".into(), true));
            assert_eq!(find("l/../d/a", true), ("d/a".into(), true));
            assert_eq!(find("b", true), ("d/a".into(), true));
            assert_eq!(find("b", false), ("b".into(), true));
            assert_eq!(find("l/new", true), ("d/new".into(), false));
        }
        places.roots = false;
        let place = places.find(task, &written(&root.join("c")), true).expect("a place");
        assert_eq!((place.path, place.metadata.is_some()), (root.join("d/none"), false));
        assert!(places.find(task, &written(&root.join("no/such")), true).is_none());
    }
}
