//! Patterns of files: `*`, `?`, `[...]` within one part of a path, `**` for any number of folders.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The most files that one pattern may match.
const MATCHES_MAX: usize = 1_000_000;

/// The files that a pattern matches, and the folder below which it varies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Matches {
    pub(super) base: PathBuf,
    /// Sorted.
    pub(super) files: Vec<PathBuf>,
}

/// Whether a text has anything to expand.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Expands a pattern below a folder. As in a shell, wildcards do not match names that begin with a dot.
pub(super) fn expand(folder: &Path, pattern: &str) -> io::Result<Matches> {
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let start = if pattern.starts_with('/') { PathBuf::from("/") } else { folder.to_owned() };
    let n_fixed = parts.iter().position(|part| is_pattern(part)).unwrap_or(parts.len());
    let base = parts[..n_fixed].iter().fold(start, |path, part| path.join(part));
    let mut files = Vec::new();
    walk(&base, &parts[n_fixed..], &mut files)?;
    files.sort();
    files.dedup();
    Ok(Matches { base, files })
}

fn walk(folder: &Path, parts: &[&str], files: &mut Vec<PathBuf>) -> io::Result<()> {
    let Some((part, rest)) = parts.split_first() else { return Ok(()) };
    if !is_pattern(part) {
        let path = folder.join(part);
        return if rest.is_empty() { take(path, files) } else { walk(&path, rest, files) };
    }
    let any_depth = *part == "**";
    if any_depth && !rest.is_empty() {
        walk(folder, rest, files)?;
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", folder.display()))),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| matches(part, name)) else { continue };
        let path = folder.join(name);
        let kind = entry.file_type()?;
        if any_depth && kind.is_symlink() && path.is_dir() {
            let what =
                format!("{} is a link to a folder, which `**` does not follow; declare it itself", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        match (any_depth, rest.is_empty()) {
            (true, _) if kind.is_dir() => walk(&path, parts, files)?,
            (_, true) => take(path, files)?,
            (true, false) => {}
            (false, false) => walk(&path, rest, files)?,
        }
    }
    Ok(())
}

/// Takes a regular file; folders do not match by themselves.
fn take(path: PathBuf, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if files.len() == MATCHES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it matches more than {MATCHES_MAX} files")));
    }
    if path.is_file() {
        files.push(path);
    }
    Ok(())
}

/// Whether a name matches one part of a pattern.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on after the last star took one more character.
    let mut retry = None;
    while n < name.len() {
        match one(&pattern[p..], name[n]) {
            Step::Star => {
                retry = Some((p + 1, n));
                p += 1;
                continue;
            }
            Step::Takes(width) => {
                p += width;
                n += 1;
                continue;
            }
            Step::Differs => {}
        }
        let Some((after, taken)) = retry else { return false };
        retry = Some((after, taken + 1));
        (p, n) = (after, taken + 1);
    }
    pattern[p..].iter().all(|c| *c == '*')
}

enum Step {
    Star,
    Takes(usize),
    Differs,
}

fn one(pattern: &[char], c: char) -> Step {
    match pattern {
        ['*', ..] => Step::Star,
        ['?', ..] => Step::Takes(1),
        ['[', rest @ ..] => set(rest, c),
        [literal, ..] if *literal == c => Step::Takes(1),
        _ => Step::Differs,
    }
}

/// A set after its `[`: characters, ranges, `!` or `^` first to negate, `]` first for itself; unclosed: a plain `[`.
fn set(rest: &[char], c: char) -> Step {
    let negated = matches!(rest.first(), Some('!' | '^'));
    let body = usize::from(negated);
    let Some(end) = rest.iter().skip(body + 1).position(|c| *c == ']').map(|i| i + body + 1) else {
        return if c == '[' { Step::Takes(1) } else { Step::Differs };
    };
    let (mut i, mut found) = (body, false);
    while i < end {
        let is_range = i + 2 < end && rest[i + 1] == '-';
        let last = if is_range { rest[i + 2] } else { rest[i] };
        found |= (rest[i]..=last).contains(&c);
        i += if is_range { 3 } else { 1 };
    }
    if found == negated { Step::Differs } else { Step::Takes(end + 2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_match() {
        for (pattern, name) in [
            ("*.csv", "a.csv"),
            ("a*b*c", "axxbyybc"),
            ("?x", "äx"),
            ("[a-c]1", "b1"),
            ("[!a]1", "b1"),
            ("[]]", "]"),
            ("[", "["),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("*.csv", "a.tsv"), ("*", ".hidden"), ("?", ""), ("[a-c]1", "d1"), ("[!a]1", "a1"), ("a*b", "abc")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        assert!(!matches("*a*a*a*a*a*a*a*a*b", &"a".repeat(200)));
    }

    #[test]
    fn patterns_expand() {
        let folder = tempfile::TempDir::new().expect("a folder");
        for path in ["d/a.csv", "d/b.csv", "d/x/c.csv", "d/x/y/d.csv", "d/.h/e.csv", "d/note.txt"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, "x").expect("a file");
        }
        let names = |pattern: &str| {
            let found = expand(folder.path(), pattern).expect("expanded");
            let below = |f: &PathBuf| f.strip_prefix(&found.base).expect("below").display().to_string();
            found.files.iter().map(below).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names("d/*.csv"), "a.csv b.csv");
        assert_eq!(names("./d/**/*.csv"), "a.csv b.csv x/c.csv x/y/d.csv");
        assert_eq!(names("d/**"), "a.csv b.csv note.txt x/c.csv x/y/d.csv");
        assert_eq!(names("d/*/y/d.csv"), "x/y/d.csv");
        assert_eq!(names("none/*"), "");
        let absolute = format!("{}/d/*.csv", folder.path().display());
        assert_eq!(names(&absolute), "a.csv b.csv");
    }
}
