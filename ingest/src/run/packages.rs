//! Packages: the Python packages that are installed in a folder, without asking Python.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// Name and version of each, as the folders beside them tell.
pub(crate) fn installed(folder: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let package = |file: OsString| {
        let file = file.to_string_lossy();
        let (name, version) = file.strip_suffix(".dist-info")?.rsplit_once('-')?;
        Some((name.to_owned(), version.to_owned()))
    };
    files.filter_map(package).collect()
}
