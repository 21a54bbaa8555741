//! The fence: a thread and all that it starts can write only below some folders (Landlock); what they may read is as
//! before.

use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};

use super::kernel;

/// Rights of Landlock, each a bit, by the version that brought them.
const WRITE_FILE: u64 = 1 << 1;
/// To remove folders and files, and to make files of every kind.
const REMOVE_AND_MAKE: u64 = 0b1_1111_1111 << 4;
/// To move files to other folders; without it no move between folders is allowed at all. Version 2.
const REFER: u64 = 1 << 13;
/// To cut files. Version 3.
const TRUNCATE: u64 = 1 << 14;

/// Keeps this thread from writing anywhere but below some folders that are there; false if the kernel cannot.
///
/// It cannot be taken back, so it belongs into a thread of its own. Such a thread gets no rights by setuid any more.
pub fn fence_writes(folders: &[&Path]) -> io::Result<bool> {
    let rights = match kernel::landlock_version() {
        // Before version 2 nothing could be moved between folders of the copy.
        ..2 => return Ok(false),
        2 => WRITE_FILE | REMOVE_AND_MAKE | REFER,
        _ => WRITE_FILE | REMOVE_AND_MAKE | REFER | TRUNCATE,
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = folders.iter().map(|folder| Ok(open(*folder, flags, Mode::empty())?));
    kernel::restrict(rights, &opened.collect::<io::Result<Vec<_>>>()?)?;
    Ok(true)
}
