//! Packages: which installed Python packages a step really opened, and their versions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::role::package_of;

/// The largest list of a package's files that is read.
const RECORD_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The names and versions of the packages to which opened files belong.
pub(super) fn versions<'a>(opened: impl Iterator<Item = &'a Path>) -> BTreeMap<String, String> {
    let mut by_folder: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for path in opened {
        if let Some((folder, top)) = package_of(path)
            && let Some(name) = importable(&top.to_string_lossy())
        {
            by_folder.entry(folder).or_default().insert(name);
        }
    }
    let mut found = BTreeMap::new();
    for (folder, imports) in by_folder {
        in_folder(&folder, imports, &mut found);
    }
    found
}

/// The folders in which those packages are installed; a package that comes, goes or changes its version changes the names
/// in one of them.
pub(super) fn folders<'a>(opened: impl Iterator<Item = &'a Path>) -> BTreeSet<PathBuf> {
    opened.filter_map(|path| package_of(path).map(|(folder, _)| folder)).collect()
}

/// The name under which a file or folder beside others is imported; `None` for what describes packages.
fn importable(top: &str) -> Option<String> {
    let name = top.split('.').next().unwrap_or_default();
    let ending = top.rsplit_once('.').map_or("", |(_, ending)| ending);
    let ignored = matches!(ending, "dist-info" | "egg-info" | "pth");
    (!ignored && !name.is_empty() && name != "__pycache__" && !name.starts_with('_')).then(|| name.to_owned())
}

fn in_folder(folder: &Path, mut imports: BTreeSet<String>, found: &mut BTreeMap<String, String>) {
    let mut others = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let Some((name, version)) = file.strip_suffix(".dist-info").and_then(|stem| stem.rsplit_once('-')) else {
            continue;
        };
        let same = |import: &String| import.to_lowercase() == name.to_lowercase().replace('-', "_");
        match imports.iter().find(|import| same(import)).cloned() {
            Some(import) => {
                imports.remove(&import);
                found.insert(name.to_owned(), version.to_owned());
            }
            None => others.push((name.to_owned(), version.to_owned(), entry.path())),
        }
    }
    // Packages that are imported by another name say so in their list of files.
    for (name, version, path) in others {
        if imports.is_empty() {
            break;
        }
        let provided = tops(&path);
        if imports.iter().any(|import| provided.contains(import)) {
            imports.retain(|import| !provided.contains(import));
            found.insert(name, version);
        }
    }
}

/// The names that a package can be imported by.
fn tops(info: &Path) -> BTreeSet<String> {
    let read = |file: &str| {
        let path = info.join(file);
        let small = path.metadata().is_ok_and(|metadata| metadata.len() <= RECORD_BYTES_MAX);
        small.then(|| fs::read_to_string(path).ok()).flatten()
    };
    if let Some(text) = read("top_level.txt") {
        return text.lines().map(|line| line.trim().to_owned()).collect();
    }
    let record = read("RECORD").unwrap_or_default();
    record.lines().filter_map(|line| importable(line.split(['/', ',']).next()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opened_packages_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let site = folder.path().join("lib/site-packages");
        for (info, file, text) in [
            ("pandas-3.1.1.dist-info", "RECORD", "pandas/__init__.py,,\n"),
            ("python_dateutil-2.9.0.dist-info", "top_level.txt", "dateutil\n"),
            ("scikit_learn-1.9.dist-info", "RECORD", "../../bin/x,,\nsklearn/__init__.py,sha256=x,1\n"),
            ("unused-1.dist-info", "RECORD", "unused/__init__.py,,\n"),
        ] {
            fs::create_dir_all(site.join(info)).expect("a folder");
            fs::write(site.join(info).join(file), text).expect("a file");
        }
        let opened =
            ["pandas/io/x.py", "dateutil/tz.py", "sklearn/base.py", "pandas-3.1.1.dist-info/METADATA", "six.py"];
        let opened: Vec<PathBuf> = opened.iter().map(|path| site.join(path)).collect();
        let found = versions(opened.iter().map(PathBuf::as_path));
        let found: Vec<_> = found.iter().map(|(name, version)| format!("{name} {version}")).collect();
        assert_eq!(found, ["pandas 3.1.1", "python_dateutil 2.9.0", "scikit_learn 1.9"]);
    }
}
