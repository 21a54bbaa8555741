//! A task that is being watched: its memory, its folders and its root, read from outside while it waits.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::calls::At;
use super::kernel;

/// The longest path that the kernel takes, with its end.
pub(super) const PATH_MAX: usize = 4096;
/// Most paths are shorter, so that one small read is enough.
const PATH_USUAL: usize = 256;
/// No page is smaller: what lies on one page is readable as a whole or not at all.
const PAGE: u64 = 4096;

/// Why something of a task could not be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// The path is longer than any that exists, so the call fails.
    TooLong,
    /// The memory or the folder cannot be read.
    Unreadable,
}

/// Reads the memory of tasks by the first means that works.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Whether `process_vm_readv` was refused, as strict containers do.
    refused: bool,
}

impl Memory {
    /// Bytes at an address; fewer if what follows is not mapped.
    pub(super) fn read(&mut self, task: i32, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.refused {
            match kernel::read_memory(task, address, buffer) {
                Ok(n) => return Ok(n),
                Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => self.refused = true,
                Err(error) => return Err(error),
            }
        }
        File::open(format!("/proc/{task}/mem"))?.read_at(buffer, address)
    }

    /// A text that ends with a null byte.
    pub(super) fn text(&mut self, task: i32, address: u64) -> Result<Vec<u8>, Unread> {
        let mut text = Vec::new();
        let mut step = PATH_USUAL as u64;
        while text.len() < PATH_MAX {
            let at = address.wrapping_add(text.len() as u64);
            // Up to the end of a page, since the next may not be there.
            let n = step.min(PAGE - at % PAGE) as usize;
            let mut part = [0; PAGE as usize];
            let got = self.read(task, at, &mut part[..n]).map_err(|_| Unread::Unreadable)?;
            if let Some(end) = part[..got].iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&part[..end]);
                return if text.len() < PATH_MAX { Ok(text) } else { Err(Unread::TooLong) };
            }
            if got == 0 {
                return Err(Unread::Unreadable);
            }
            text.extend_from_slice(&part[..got]);
            step = PAGE;
        }
        Err(Unread::TooLong)
    }

    /// A list of texts that ends with a null pointer, up to a number of texts and bytes.
    pub(super) fn texts(&mut self, task: i32, address: u64, n_max: usize, bytes_max: usize) -> Vec<Vec<u8>> {
        let (mut found, mut size) = (Vec::new(), 0);
        while found.len() < n_max && size < bytes_max {
            let mut pointer = [0; 8];
            let at = address.wrapping_add(8 * found.len() as u64);
            match self.read(task, at, &mut pointer) {
                Ok(8) if pointer != [0; 8] => {}
                _ => break,
            }
            let Ok(text) = self.text(task, u64::from_ne_bytes(pointer)) else { break };
            size += text.len();
            found.push(text);
        }
        found
    }

    /// A path as the task wrote it, with the folder to which it belongs; not yet resolved.
    pub(super) fn path(&mut self, task: i32, at: At, folders: &mut Folders) -> Result<Written, Unread> {
        let path = PathBuf::from(OsString::from_vec(self.text(task, at.address)?));
        if path.is_absolute() {
            return Ok(Written { path, folder: None });
        }
        let folder = folders.of(task, at.folder).ok_or(Unread::Unreadable)?;
        // An empty path means the folder, or the file, itself.
        let path = if path.as_os_str().is_empty() { folder.clone() } else { folder.join(path) };
        Ok(Written { path, folder: Some(folder) })
    }
}

/// A path as a task wrote it, made absolute.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// For a relative one as this process sees it, else as the task does.
    pub(super) path: PathBuf,
    /// The folder to which a relative path belongs.
    pub(super) folder: Option<PathBuf>,
}

/// The folders to which relative paths belong.
#[derive(Debug, Default)]
pub(super) struct Folders {
    /// The working folder of the task that asked last. Ids of tasks are not used again while one asks repeatedly.
    last: Option<(i32, PathBuf)>,
}

impl Folders {
    fn of(&mut self, task: i32, folder: i32) -> Option<PathBuf> {
        if folder != libc::AT_FDCWD {
            return fs::read_link(format!("/proc/{task}/fd/{folder}")).ok();
        }
        match &self.last {
            Some((last, path)) if *last == task => return Some(path.clone()),
            _ => {}
        }
        let path = fs::read_link(format!("/proc/{task}/cwd")).ok()?;
        self.last = Some((task, path.clone()));
        Some(path)
    }

    /// Forgets what is known; the next relative path looks anew.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }
}

/// The file to which a path through `/proc` or `/dev` leads, such as that of an open descriptor.
pub(super) fn behind_descriptor(task: i32, path: &Path) -> Option<PathBuf> {
    let link = link_of(task, path)?;
    // Only these lead out of `/proc`.
    let part = link.strip_prefix("/proc").ok()?.components().nth(1)?;
    if !["fd", "cwd", "root"].iter().any(|name| part.as_os_str() == *name) {
        return None;
    }
    // The file may be made by this call, its folder is there.
    let whole = |path: &Path| fs::canonicalize(path).ok();
    let real = whole(&link).or_else(|| Some(whole(link.parent()?)?.join(link.file_name()?)))?;
    (!real.starts_with("/proc") && !real.starts_with("/dev")).then_some(real)
}

/// What a task calls `/proc/self` and `/dev/stdin`, as others see it.
fn link_of(task: i32, path: &Path) -> Option<PathBuf> {
    let own = Path::new("/proc").join(task.to_string());
    if let Ok(rest) = path.strip_prefix("/dev") {
        let standard = ["stdin", "stdout", "stderr"].iter().position(|name| rest == Path::new(name));
        return match standard {
            Some(n) => Some(own.join("fd").join(n.to_string())),
            None => Some(own.join("fd").join(rest.strip_prefix("fd").ok()?)),
        };
    }
    let rest = path.strip_prefix("/proc").ok()?;
    let rest_of_own = rest.strip_prefix("self").or_else(|_| rest.strip_prefix("thread-self"));
    Some(rest_of_own.map_or_else(|_| path.to_owned(), |rest| own.join(rest)))
}
