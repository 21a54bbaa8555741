//! The cache: what steps did, so that equal steps need not be done again; entries name bytes of the artifact store.
//!
//! A lookup has two phases. The key is what is known before a step runs; under a key lie the entries of runs, each with
//! what that run was seen to read. An entry is a hit if all of that is as it was and all of its results are still there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lineage_store::artifact::Artifacts;
use lineage_store::digest::Blake3;
use serde::{Deserialize, Serialize};

use super::known::Known;
use super::workspace::Workspace;
use crate::run::{Values, installed};

/// The version of entries and of the rules that make keys; another version is never a hit.
pub(super) const FORMAT: u32 = 2;
/// The most entries of one key that are tried, the newest first.
const TRIED_MAX: usize = 16;
/// The most bytes of an entry.
const ENTRY_MAX: u64 = 64 << 20;

/// One file or folder that a run read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBytes {
    /// Its path, from the root of the workspace where it is below.
    pub path: String,
    /// Its content: `b3:` of a file or of a folder's manifest.
    pub digest: String,
}

/// One file or folder that a run made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeBytes {
    /// Its path, from the root of the workspace.
    pub path: String,
    /// Its content in the artifact store.
    pub digest: String,
    /// What it is: `model`, `dataset`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whether it may be executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

/// What one run of a step did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    format: u32,
    /// What was known before.
    pub known: Known,
    /// The namespace, job and run that did it.
    pub made_by: [String; 3],
    /// What it read.
    pub read: Vec<ReadBytes>,
    /// What it looked for and did not find.
    pub absent: Vec<String>,
    /// Programs that it ran, with the marks by which a program shows that it is another.
    #[serde(default)]
    pub programs: BTreeMap<String, String>,
    /// Folders that it listed, with the digest of their sorted names.
    pub listed: BTreeMap<String, String>,
    /// Folders of installed packages, with the packages that it loaded from them and their versions.
    #[serde(default)]
    pub packages: BTreeMap<String, BTreeMap<String, String>>,
    /// What it could read of us, to tell later what in it is other; empty if it was large.
    #[serde(default)]
    pub document: String,
    /// What it made.
    pub made: Vec<MadeBytes>,
    /// The values that it passed on.
    pub values: Values,
    /// Its metrics.
    pub metrics: Values,
    /// Its logs in the artifact store, by stream.
    pub logs: BTreeMap<String, String>,
    /// Declared patterns, with the digest of the names that each matched.
    #[serde(default)]
    pub matched: BTreeMap<String, String>,
    /// Whether it counts only for runs that resume the one that made it: audits and deployments.
    #[serde(default)]
    pub only_resumed: bool,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub took_ms: u64,
    /// Its last event.
    pub event: String,
}

impl Entry {
    /// An entry with nothing read or made yet.
    pub fn new(known: Known, made_by: [String; 3]) -> Self {
        Self {
            format: FORMAT,
            known,
            made_by,
            read: Vec::new(),
            absent: Vec::new(),
            programs: BTreeMap::new(),
            listed: BTreeMap::new(),
            packages: BTreeMap::new(),
            document: String::new(),
            made: Vec::new(),
            values: Values::new(),
            metrics: Values::new(),
            logs: BTreeMap::new(),
            matched: BTreeMap::new(),
            only_resumed: false,
            took_ms: 0,
            event: String::new(),
        }
    }

    /// Whether it counts for a run that resumes these.
    fn counts_for(&self, resumed: &[String]) -> bool {
        let made = &self.made_by[2];
        let is_part = |run: &String| made.strip_prefix(run.as_str()).is_some_and(|rest| rest.starts_with('.'));
        !self.only_resumed || resumed.iter().any(is_part)
    }
}

/// How a lookup ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    /// All is as it was.
    Hit(Box<Entry>),
    /// Why the step must run, in words.
    Miss(String),
}

/// The entries of a store, in its folder `cache`.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in a folder, which need not exist.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Looks for an entry whose reads are as they were and whose results are all in the artifact store.
    ///
    /// `step` names the step over all runs, to tell why one that ran before must run again.
    pub fn look(
        &self,
        known: &Known,
        step: &str,
        present: &Workspace,
        artifacts: &Artifacts,
        resumed: &[String],
    ) -> Lookup {
        let folder = self.entries(&known.key());
        let mut why = None;
        for entry in newest(&folder) {
            if entry.as_ref().is_some_and(|entry| !entry.counts_for(resumed)) {
                why = why.or(Some("a step of its kind is never reused".to_owned()));
                continue;
            }
            match entry.as_ref().map_or(Some("its entry cannot be read".to_owned()), |e| differs(e, present, artifacts))
            {
                None => return entry.map_or_else(|| Lookup::Miss(String::new()), |entry| Lookup::Hit(Box::new(entry))),
                Some(difference) => why = why.or(Some(difference)),
            }
        }
        let why = why.or_else(|| self.last(step)?.difference_to(known));
        Lookup::Miss(why.unwrap_or_else(|| "it has not run before".to_owned()))
    }

    /// Keeps an entry; its results must be durable in the artifact store already.
    pub fn keep(&self, entry: &Entry, step: &str) -> io::Result<()> {
        let folder = self.entries(&entry.known.key());
        fs::create_dir_all(&folder)?;
        let text = serde_json::to_vec(entry)?;
        write(&folder.join(format!("{}.json", Blake3::of(&text).hex())), &text)?;
        let last = self.folder.join("last");
        fs::create_dir_all(&last)?;
        write(
            &last.join(step_file(step)),
            &serde_json::to_vec(&Last { known: entry.known.clone(), took_ms: entry.took_ms })?,
        )
    }

    /// How long a step took when it last ran.
    pub fn took(&self, step: &str) -> Option<Duration> {
        self.last(step).map(|last| Duration::from_millis(last.took_ms))
    }

    fn entries(&self, key: &Blake3) -> PathBuf {
        self.folder.join("entries").join(key.hex())
    }

    fn last(&self, step: &str) -> Option<Last> {
        serde_json::from_slice(&fs::read(self.folder.join("last").join(step_file(step))).ok()?).ok()
    }
}

/// What was known of a step when it last ran.
#[derive(Serialize, Deserialize)]
struct Last {
    known: Known,
    #[serde(default)]
    took_ms: u64,
}

impl Last {
    fn difference_to(&self, known: &Known) -> Option<String> {
        known.difference(&self.known)
    }
}

/// Names from outside never become paths.
fn step_file(step: &str) -> String {
    format!("{}.json", Blake3::of(step.as_bytes()).hex())
}

/// The entries of a folder, the newest first; `None` for one that cannot be read.
fn newest(folder: &Path) -> Vec<Option<Entry>> {
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    let time = |file: &fs::DirEntry| file.metadata().and_then(|metadata| metadata.modified()).ok();
    let mut files: Vec<_> =
        files.flatten().filter(|file| file.path().extension().is_some_and(|e| e == "json")).collect();
    files.sort_by_cached_key(|file| (std::cmp::Reverse(time(file)), file.path()));
    let read = |file: fs::DirEntry| {
        let small = file.metadata().ok()?.len() <= ENTRY_MAX;
        let bytes = fs::read(file.path()).ok().filter(|_| small)?;
        // Its name is its digest, so that what was not written whole is no entry.
        let is_whole = file.path().file_stem().is_some_and(|stem| stem.to_str() == Some(&*Blake3::of(&bytes).hex()));
        let entry: Entry = is_whole.then(|| serde_json::from_slice(&bytes).ok()).flatten()?;
        (entry.format == FORMAT).then_some(entry)
    };
    files.into_iter().take(TRIED_MAX).map(read).collect()
}

/// The first thing that is not as it was; `None` if all is.
fn differs(entry: &Entry, present: &Workspace, artifacts: &Artifacts) -> Option<String> {
    for read in &entry.read {
        match present.digest(&read.path) {
            Some(digest) if digest == read.digest => {}
            Some(_) => {
                let why = present.document_difference(&read.path, &entry.document);
                return Some(why.unwrap_or_else(|| format!("{} changed", read.path)));
            }
            None => return Some(format!("{} is gone", read.path)),
        }
    }
    if let Some(path) = entry.absent.iter().find(|path| present.is_there(path)) {
        return Some(format!("{path} is new"));
    }
    if let Some((path, _)) = entry.programs.iter().find(|(path, mark)| present.mark(path).as_ref() != Some(*mark)) {
        return Some(format!("the program {path} is another"));
    }
    let other = |(pattern, names): &(&String, &String)| present.matching(pattern).as_ref() != Some(*names);
    if let Some((pattern, _)) = entry.matched.iter().find(other) {
        return Some(format!("{pattern} matches other files"));
    }
    if let Some((path, _)) = entry.listed.iter().find(|(path, names)| !present.has_names(path, names)) {
        if let Some(used) = entry.packages.get(path) {
            let now = entry.packages.keys().flat_map(|folder| installed(&present.at(folder))).collect();
            return Some(package_difference(path, used, &now));
        }
        let path = if path.is_empty() { "." } else { path };
        return Some(format!("the files in {path} are others"));
    }
    let results = entry.made.iter().map(|made| (&made.path, &made.digest)).chain(&entry.logs);
    for (what, digest) in results {
        if !is_kept(digest, artifacts) {
            return Some(format!("the stored bytes of {what} are gone"));
        }
    }
    None
}

/// The first package that is another, or that packages are.
fn package_difference(folder: &str, used: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> String {
    for (name, then) in used {
        match now.get(name) {
            Some(now) if now == then => {}
            Some(now) => return format!("the package {name} was {then} and is {now}"),
            None => return format!("the package {name} {then} is gone"),
        }
    }
    format!("the packages in {folder} are others")
}

/// Whether the store has the bytes of a digest, with every file of a folder.
fn is_kept(digest: &str, artifacts: &Artifacts) -> bool {
    let Some(digest) = digest.strip_prefix("b3:").and_then(Blake3::from_hex) else { return false };
    let folder = artifacts.contains(&digest).then(|| artifacts.manifest(&digest));
    match folder {
        Some(Ok(Some(manifest))) => manifest.entries().iter().all(|entry| artifacts.contains(&entry.digest)),
        Some(Ok(None)) => true,
        _ => false,
    }
}

/// Writes a file as a whole: a reader sees the old one or the new one.
///
/// Nothing is synced: after a power failure a file may be empty, which is a miss, and a miss harms nobody.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let partial =
        folder.join(format!(".{}.{}", std::process::id(), path.file_name().unwrap_or_default().to_string_lossy()));
    fs::write(&partial, bytes)?;
    fs::rename(&partial, path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Place {
        folder: tempfile::TempDir,
        cache: Cache,
        artifacts: Artifacts,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let artifacts = Artifacts::create(&folder.path().join("artifacts")).expect("artifacts");
            fs::create_dir(folder.path().join("data")).expect("a folder");
            fs::write(folder.path().join("data/a.csv"), "1").expect("a file");
            Self { cache: Cache::new(folder.path().join("cache")), artifacts, folder }
        }

        fn workspace(&self) -> Workspace {
            Workspace::new(self.folder.path().to_owned())
        }

        fn look(&self, known: &Known) -> Lookup {
            self.cache.look(known, "p.a", &self.workspace(), &self.artifacts, &[])
        }

        /// An entry that read `data/a.csv`, listed `data`, missed `data/b.csv` and made one file.
        fn entry(&self) -> Entry {
            let made = self.artifacts.put_bytes(b"result").expect("stored");
            let read =
                |path: &str| ReadBytes { path: path.to_owned(), digest: self.workspace().digest(path).expect(path) };
            let mut entry = Entry::new(known(0.1), ["default".into(), "p.a".into(), "r1".into()]);
            entry.read = vec![read("data/a.csv")];
            entry.absent = vec!["c.csv".to_owned()];
            entry.listed = BTreeMap::from([("data".to_owned(), self.workspace().all_names("data").expect("listed"))]);
            entry.made = vec![MadeBytes {
                path: "out".to_owned(),
                digest: made.digest.to_string(),
                kind: "dataset".to_owned(),
                name: "out".to_owned(),
                executable: false,
            }];
            entry
        }

        fn change(&self, path: &str, text: &str) {
            fs::write(self.folder.path().join(path), text).expect("written");
        }
    }

    fn known(lr: f64) -> Known {
        let mut known = Known::default();
        known.add("argv", json!(["sh", "train.sh", lr.to_string()]));
        known.add("platform", json!("x86_64"));
        known
    }

    fn miss(why: &str) -> Lookup {
        Lookup::Miss(why.to_owned())
    }

    #[test]
    fn equal_work_is_a_hit_until_something_it_read_differs() {
        let place = Place::new();
        assert_eq!(place.look(&known(0.1)), miss("it has not run before"));
        let entry = place.entry();
        place.cache.keep(&entry, "p.a").expect("kept");
        assert_eq!(place.look(&known(0.1)), Lookup::Hit(Box::new(entry)));
        assert_eq!(place.look(&known(0.2)), miss("argv 3 was \"0.1\" and is \"0.2\""));

        place.change("data/a.csv", "2");
        assert_eq!(place.look(&known(0.1)), miss("data/a.csv changed"));
        place.change("data/a.csv", "1");
        place.change("data/b.csv", "1");
        assert_eq!(place.look(&known(0.1)), miss("the files in data are others"));
        fs::remove_file(place.folder.path().join("data/b.csv")).expect("removed");
        place.change("c.csv", "1");
        assert_eq!(place.look(&known(0.1)), miss("c.csv is new"));
        fs::remove_file(place.folder.path().join("c.csv")).expect("removed");
        fs::remove_file(place.folder.path().join("data/a.csv")).expect("removed");
        assert_eq!(place.look(&known(0.1)), miss("data/a.csv is gone"));
    }

    #[test]
    fn a_missing_result_is_a_miss_and_never_a_hole() {
        let place = Place::new();
        let entry = place.entry();
        place.cache.keep(&entry, "p.a").expect("kept");
        let digest = Blake3::of(b"result");
        assert!(place.artifacts.remove(&digest).expect("removed"));
        assert_eq!(place.look(&known(0.1)), miss("the stored bytes of out are gone"));
    }

    #[test]
    fn an_older_entry_of_the_same_key_can_be_the_hit() {
        let place = Place::new();
        let first = place.entry();
        place.cache.keep(&first, "p.a").expect("kept");
        place.change("data/a.csv", "2");
        place.cache.keep(&place.entry(), "p.a").expect("kept");
        place.change("data/a.csv", "1");
        assert_eq!(place.look(&known(0.1)), Lookup::Hit(Box::new(first)));
    }

    #[test]
    fn a_damaged_entry_is_a_miss() {
        let place = Place::new();
        place.cache.keep(&place.entry(), "p.a").expect("kept");
        let folder = place.cache.entries(&known(0.1).key());
        let file = fs::read_dir(folder).expect("entries").next().expect("one").expect("one").path();
        fs::write(file, "{").expect("written");
        assert_eq!(place.look(&known(0.1)), miss("its entry cannot be read"));
    }
}
