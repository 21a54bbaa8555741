//! Roles: what a path is for, decided by rules that are data.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use lineage_store::digest::Blake3;

/// The rules that come with the program.
const BUILT_IN: &str = include_str!("rules.txt");

/// What a path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// What a step is about: its inputs and outputs.
    Data,
    /// What the step does, as text.
    Code,
    /// Installed packages and interpreters.
    Env,
    /// The operating system.
    System,
    /// What programs keep for themselves: caches, locks, devices.
    Volatile,
    /// Files that came and went within the step.
    Temp,
}

impl Role {
    /// Every role, in the order in which counts list them.
    pub const ALL: [Self; 6] = [Self::Data, Self::Code, Self::Env, Self::System, Self::Volatile, Self::Temp];

    /// The word of rules and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Code => "code",
            Self::Env => "env",
            Self::System => "system",
            Self::Volatile => "volatile",
            Self::Temp => "temp",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// Whether files of this role are inputs and outputs of a step.
    pub fn is_recorded(self) -> bool {
        matches!(self, Self::Data | Self::Code)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    /// The parts of a pattern; absolute ones are for files outside the workspace.
    Pattern { absolute: bool, parts: Vec<Vec<u8>> },
    /// A folder that holds a file of this name.
    Holds(String),
}

impl Test {
    /// A part that every path has which matches, if one stands in the pattern.
    fn part(&self) -> Option<Vec<u8>> {
        let Self::Pattern { parts, .. } = self else { return None };
        parts.iter().find(|part| !part.contains(&b'*')).cloned()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    role: Role,
    test: Test,
}

/// The rules by which a path gets its role; without further rules those of the program. Copies share one text.
#[derive(Clone, Debug)]
pub struct Rules(Arc<Read>);

/// Rules that were read, ready to be asked.
#[derive(Debug, Default)]
struct Read {
    rules: Vec<Rule>,
    index: Index,
    hash: String,
}

impl Default for Rules {
    fn default() -> Self {
        static OWN: OnceLock<Rules> = OnceLock::new();
        // A test holds that these rules are right.
        OWN.get_or_init(|| Self::new([]).unwrap_or_else(|_| Self(Arc::default()))).clone()
    }
}

impl Rules {
    /// The rules of the program, after those of the caller, which decide first: lines of `ROLE PATTERN`.
    pub fn new<'a>(own: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut text = String::new();
        for line in own {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(BUILT_IN);
        let rules = text.lines().filter_map(|line| parse(line).transpose()).collect::<Result<Vec<_>, _>>()?;
        let hash = Blake3::of(text.as_bytes()).to_string();
        Ok(Self(Arc::new(Read { index: Index::of(&rules), rules, hash })))
    }

    /// The digest of the rules' text.
    pub fn hash(&self) -> &str {
        &self.0.hash
    }
}

fn parse(line: &str) -> Result<Option<Rule>, String> {
    let text = line.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let wrong = |what: &str| format!("the rule `{text}` {what}; write ROLE PATTERN, such as `data /mnt/lake/**`");
    let (word, rest) = text.split_once(char::is_whitespace).ok_or_else(|| wrong("has no pattern"))?;
    let role = Role::from_word(word).ok_or_else(|| wrong("has no known role"))?;
    let rest = rest.trim();
    let test = if let Some(("with", file)) = rest.split_once(char::is_whitespace) {
        Test::Holds(file.trim().to_owned())
    } else {
        let absolute = rest.starts_with('/');
        if !absolute && !rest.starts_with("**/") {
            return Err(wrong("begins neither with / nor with **/"));
        }
        let parts = rest.split('/').filter(|part| !part.is_empty());
        Test::Pattern { absolute, parts: parts.map(|part| part.as_bytes().to_owned()).collect() }
    };
    Ok(Some(Rule { role, test }))
}

/// Rules by what their patterns begin or end with, since most paths of a step meet most of them in vain.
#[derive(Debug, Default)]
struct Index {
    /// `**/NAME/**`
    folders: HashMap<Vec<u8>, usize>,
    /// `**/NAME`
    names: HashMap<Vec<u8>, usize>,
    /// `**/*.ENDING`
    endings: HashMap<Vec<u8>, usize>,
    /// `/NAME/**`
    roots: HashMap<Vec<u8>, usize>,
    /// All others, each with a part that a path must have.
    rest: Vec<(usize, Option<Vec<u8>>)>,
}

impl Index {
    fn of(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        let plain = |part: &[u8]| !part.contains(&b'*');
        for (at, rule) in rules.iter().enumerate() {
            let place = match &rule.test {
                Test::Pattern { absolute, parts } => match (absolute, &parts[..]) {
                    (true, [name, all]) if plain(name) && all == b"**" => Some((&mut index.roots, name.clone())),
                    (false, [_, name, all]) if plain(name) && all == b"**" => Some((&mut index.folders, name.clone())),
                    (false, [_, name]) if plain(name) => Some((&mut index.names, name.clone())),
                    (false, [_, name]) if name.starts_with(b"*.") && plain(&name[2..]) => {
                        Some((&mut index.endings, name[2..].to_vec()))
                    }
                    _ => None,
                },
                Test::Holds(_) => None,
            };
            match place {
                // The first of two equal rules decides.
                Some((map, key)) => drop(map.entry(key).or_insert(at)),
                None => index.rest.push((at, rule.test.part())),
            }
        }
        index
    }

    /// The first rule whose pattern is in one of the tables.
    fn first(&self, parts: &[&[u8]], is_outside: bool) -> Option<usize> {
        let folders = parts.iter().filter_map(|part| self.folders.get(*part));
        let name = parts.last().copied().unwrap_or_default();
        let dots = name.iter().enumerate().filter(|(_, byte)| **byte == b'.');
        let endings = dots.filter_map(|(at, _)| self.endings.get(&name[at + 1..]));
        let root = parts.first().filter(|_| is_outside).and_then(|part| self.roots.get(*part));
        folders.chain(endings).chain(self.names.get(name)).chain(root).min().copied()
    }
}

/// The roles of the paths that one step meets.
#[derive(Debug)]
pub(super) struct Roles {
    rules: Rules,
    workspace: PathBuf,
    /// A file that is data whatever the rules say.
    document: Option<PathBuf>,
    /// Whether a folder holds a file that a rule asks for.
    holds: HashMap<PathBuf, Option<Role>>,
}

impl Roles {
    pub(super) fn new(rules: Rules, workspace: PathBuf) -> Self {
        Self { rules, workspace, document: None, holds: HashMap::new() }
    }

    /// With a file that is data whatever the rules say.
    pub(super) fn with_document(mut self, document: Option<PathBuf>) -> Self {
        self.document = document;
        self
    }

    pub(super) fn hash(&self) -> &str {
        self.rules.hash()
    }

    /// The role of an absolute path without `.` and `..`.
    pub(super) fn of(&mut self, path: &Path) -> Role {
        if self.document.as_deref() == Some(path) {
            return Role::Data;
        }
        let whole = path.as_os_str().as_bytes();
        // What lies above the workspace says nothing about the files in it.
        let below = path.strip_prefix(&self.workspace).ok().filter(|_| self.workspace.parent().is_some());
        let is_outside = below.is_none();
        let text = below.map_or(whole, |below| below.as_os_str().as_bytes());
        let parts: Vec<&[u8]> = text.split(|b| *b == b'/').filter(|part| !part.is_empty()).collect();
        let read = Arc::clone(&self.rules.0);
        let first = read.index.first(&parts, is_outside);
        for (at, part) in &read.index.rest {
            if first.is_some_and(|first| first < *at) {
                break;
            }
            if part.as_ref().is_some_and(|part| !parts.contains(&part.as_slice())) {
                continue;
            }
            let rule = &read.rules[*at];
            let role = match &rule.test {
                Test::Pattern { absolute, parts: pattern } => {
                    ((is_outside || !absolute) && matches(pattern, &parts)).then_some(rule.role)
                }
                Test::Holds(_) => self.marked(path, is_outside),
            };
            if let Some(role) = role {
                return role;
            }
        }
        first.map_or(Role::Data, |first| read.rules[first].role)
    }

    /// The role of the nearest folder above a path that holds what a rule asks for.
    fn marked(&mut self, path: &Path, is_outside: bool) -> Option<Role> {
        let folder = path.parent().filter(|folder| is_outside || folder.starts_with(&self.workspace))?;
        if let Some(known) = self.holds.get(folder) {
            return *known;
        }
        let rules = self.rules.0.rules.iter();
        let own = rules.filter_map(|rule| match &rule.test {
            Test::Holds(file) if folder.join(file).exists() => Some(rule.role),
            _ => None,
        });
        let role = own.into_iter().next().or_else(|| self.marked(folder, is_outside));
        self.holds.insert(folder.to_owned(), role);
        role
    }
}

/// Whether the parts of a path match those of a pattern; `**` stands for any number of them.
fn matches(pattern: &[Vec<u8>], parts: &[&[u8]]) -> bool {
    match pattern.split_first() {
        None => parts.is_empty(),
        Some((first, rest)) if first == b"**" => {
            rest.is_empty() || (0..=parts.len()).any(|skip| matches(rest, &parts[skip..]))
        }
        Some((first, rest)) => {
            parts.split_first().is_some_and(|(part, others)| matches_part(first, part) && matches(rest, others))
        }
    }
}

/// Whether a name matches a part with at most a few `*` in it.
fn matches_part(pattern: &[u8], name: &[u8]) -> bool {
    let Some(star) = pattern.iter().position(|byte| *byte == b'*') else { return pattern == name };
    let (head, tail) = (&pattern[..star], &pattern[star + 1..]);
    name.strip_prefix(head).is_some_and(|rest| (0..=rest.len()).any(|skip| matches_part(tail, &rest[skip..])))
}

/// A path without `.` and `..` parts, by its text alone.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

/// The name of a Python package in a path of an installed one: the part behind `site-packages`.
pub(super) fn package_of(path: &Path) -> Option<(PathBuf, &OsStr)> {
    let mut parts = path.components();
    while let Some(part) = parts.next_back() {
        let before = parts.as_path();
        if before.ends_with("site-packages") || before.ends_with("dist-packages") {
            return Some((before.to_owned(), part.as_os_str()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles() -> Roles {
        Roles::new(Rules::new([]).expect("rules"), "/home/ana/churn".into())
    }

    #[test]
    fn paths_have_roles() {
        assert!(!Rules::default().hash().is_empty());
        let mut roles = roles();
        for (path, role) in [
            ("/home/ana/churn/data/a.csv", Role::Data),
            ("/home/ana/churn/train.py", Role::Code),
            ("/home/ana/churn/Makefile", Role::Code),
            ("/home/ana/churn/usr/lib/x.csv", Role::Data),
            ("/home/ana/churn/__pycache__/x.cpython-311.pyc", Role::Volatile),
            ("/home/ana/churn/.lineage/journal/head", Role::Volatile),
            ("/home/ana/churn/env/lib/python3.11/site-packages/pandas/io.py", Role::Env),
            ("/home/ana/.cache/huggingface/hub/models--x/blobs/1", Role::Data),
            ("/home/ana/.cache/fontconfig/1", Role::Volatile),
            ("/home/ana/.pyenv/version", Role::Env),
            ("/home/ana/.matplotlib/rc", Role::Volatile),
            ("/home/ana/other/a.csv", Role::Data),
            ("/home/ana/churn/.env", Role::Volatile),
            ("/home/ana/churn/.dvc/x.csv", Role::Data),
            ("/usr/lib/python3/dist-packages/numpy/x.so", Role::Env),
            ("/usr/lib/x86_64-linux-gnu/libc.so.6", Role::System),
            ("/etc/ld.so.cache", Role::System),
            ("/dev/null", Role::Volatile),
            ("/proc/self/maps", Role::Volatile),
            ("/tmp/in.csv", Role::Data),
            ("/mnt/lake/2026/x.parquet", Role::Data),
        ] {
            assert_eq!(roles.of(Path::new(path)), role, "{path}");
        }
    }

    #[test]
    fn the_index_finds_what_the_rules_say() {
        let mut roles = roles();
        let names =
            ["a.csv", "x.tar.gz", "b.pyc", ".git", "usr", "site-packages", "Makefile", "lock", "c.lock", "tmp", "R"];
        for (i, first) in names.iter().enumerate() {
            for second in names {
                let path = if i % 2 == 0 { "/home/ana/churn/" } else { "/" };
                let path = PathBuf::from(format!("{path}{first}/{second}"));
                let text = path.strip_prefix(&roles.workspace).unwrap_or(&path).as_os_str().as_bytes().to_owned();
                let parts: Vec<&[u8]> = text.split(|b| *b == b'/').filter(|part| !part.is_empty()).collect();
                let is_outside = !path.starts_with(&roles.workspace);
                let plainly = roles.rules.0.rules.iter().find(|rule| match &rule.test {
                    Test::Pattern { absolute, parts: pattern } => (is_outside || !absolute) && matches(pattern, &parts),
                    Test::Holds(_) => false,
                });
                let plainly = plainly.map_or(Role::Data, |rule| rule.role);
                assert_eq!(roles.of(&path), plainly, "{}", path.display());
            }
        }
    }

    #[test]
    fn a_folder_is_known_by_what_it_holds() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        std::fs::create_dir_all(root.join("w/venv/bin")).expect("folders");
        std::fs::write(root.join("w/venv/pyvenv.cfg"), "").expect("a file");
        std::fs::write(root.join("pyvenv.cfg"), "").expect("a file");
        let mut roles = Roles::new(Rules::new([]).expect("rules"), root.join("w"));
        assert_eq!(roles.of(&root.join("w/venv/bin/tool")), Role::Env);
        assert_eq!(roles.of(&root.join("w/data.csv")), Role::Data, "a marker above the workspace");
        assert_eq!(roles.of(&root.join("other.csv")), Role::Env);
    }

    #[test]
    fn own_rules_decide_first_and_change_the_hash() {
        let own = Rules::new(["data /usr/share/lake/**", "volatile **/scratch/**"]).expect("rules");
        assert_ne!(own.hash(), Rules::new([]).expect("rules").hash());
        let mut roles = Roles::new(own, "/w".into());
        assert_eq!(roles.of(Path::new("/usr/share/lake/a.csv")), Role::Data);
        assert_eq!(roles.of(Path::new("/w/scratch/a.csv")), Role::Volatile);
        for (wrong, why) in [("data", "no pattern"), ("date /x/**", "no known role"), ("data x/**", "neither with /")] {
            let error = Rules::new([wrong]).expect_err(wrong);
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn packages_are_found_in_paths() {
        let path = Path::new("/v/lib/python3.11/site-packages/pandas/core/x.py");
        let (folder, name) = package_of(path).expect("a package");
        assert_eq!((folder.to_str(), name.to_str()), (Some("/v/lib/python3.11/site-packages"), Some("pandas")));
        assert!(package_of(Path::new("/v/x.py")).is_none());
    }
}
