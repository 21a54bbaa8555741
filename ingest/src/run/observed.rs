//! What was observed beyond what was declared: inputs and outputs with their names, and what is said of the observation.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use lineage_store::artifact::{Artifacts, Stamp, Stored};
use lineage_store::event::Role as EventRole;
use serde_json::{Map, Value, json};

use super::files::{self, Item, Source, Traced, path_name};
use super::redact::redact_arguments;
use super::{Declared, Known, Run, RunSpec};
use crate::capture::{Access, Blind, Role, Trace};

/// More files than this of one folder are one input or output, named by the folder.
const OF_FOLDER_MAX: usize = 1000;
/// So many names of one kind stand in the facets.
const NAMES_MAX: usize = 100;
/// From so many observed calls on a person is told what they cost.
const COSTLY_EVENTS: u64 = 1_000_000;
/// So many calls take a second of processor time, at some 9 µs each.
const EVENTS_A_SECOND: u64 = 110_000;
/// Endings of files that tell a program what to do.
const CONFIG_ENDINGS: &[&str] = &["toml", "yaml", "yml", "ini", "cfg", "conf", "env", "properties"];

/// An input that was observed, and what it was read as.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) traced: Traced,
    /// The role that its path shows; `None` leaves it to the kind of the event.
    pub(super) role: Option<EventRole>,
}

/// What a trace says beyond the declarations.
#[derive(Debug, Default)]
pub(super) struct Observed {
    pub(super) inputs: Vec<Input>,
    /// Outputs, still to be hashed.
    pub(super) outputs: Vec<Item>,
    /// Names of inputs that others changed.
    pub(super) unstable: Vec<String>,
    pub(super) notes: Vec<String>,
    /// What belongs into the facet `capture` beside mechanism and completeness.
    pub(super) facts: Map<String, Value>,
}

impl Observed {
    /// Names what was observed.
    pub(super) fn gather(run: &Run<'_>, trace: &Trace, artifacts: &Artifacts, known: Known<'_>) -> Self {
        let mut observed = Self { facts: facts(trace), notes: notes(trace), ..Self::default() };
        let declared = Covered::by(run.items.iter().map(|item| &item.source), run);
        let inputs = trace.accesses.iter().filter(|access| access.read.is_some() && !declared.covers(&access.path));
        observed.take_inputs(&inputs.collect::<Vec<_>>(), run, artifacts, known);

        let items = run.spec.outputs.iter().filter_map(|output| files::find(output, &run.spec.cwd).ok()).flatten();
        let items: Vec<Item> = items.collect();
        let declared = Covered::by(items.iter().map(|item| &item.source), run);
        let written = trace.accesses.iter().filter(|access| access.written && !declared.covers(&access.path));
        let written: Vec<&Access> = written.collect();
        observed.outputs = group(&written).into_iter().map(|group| group.item(run.spec)).collect();
        let deleted =
            trace.accesses.iter().filter(|access| access.deleted).map(|access| name_of(&access.path, run.spec));
        insert_names(&mut observed.facts, "deleted", deleted.collect());
        observed
    }

    fn take_inputs(&mut self, accesses: &[&Access], run: &Run<'_>, artifacts: &Artifacts, known: Known<'_>) {
        let (mut unhashed, mut unstable) = (Vec::new(), Vec::new());
        for group in group(accesses) {
            let item = group.item(run.spec);
            let Some(stored) = group.stored() else {
                unhashed.push(name_of(item.source.path(), run.spec));
                continue;
            };
            let role = group.role();
            keep(&group, &stored, run, artifacts, &mut self.notes);
            let Ok(traced) = files::name(&item, stored, run.spec, Some(known)) else {
                unhashed.push(name_of(item.source.path(), run.spec));
                continue;
            };
            for access in &group.accesses {
                let Some(read) = access.read.as_ref().filter(|read| read.unstable) else { continue };
                let digest = |stored: &Option<Stored>| stored.as_ref().map(|stored| stored.digest.to_string());
                let name = name_of(&access.path, run.spec);
                self.notes.push(format!("the input {name} changed while the command ran"));
                unstable.push(json!({ "name": name, "read": digest(&read.stored), "after": digest(&read.after) }));
                self.unstable.push(name);
            }
            self.inputs.push(Input { traced, role });
        }
        if !unhashed.is_empty() {
            self.notes
                .push(format!("inputs without a digest, as they changed or could not be read: {}", unhashed.len()));
        }
        insert_names(&mut self.facts, "unhashed", unhashed);
        if !unstable.is_empty() {
            unstable.truncate(NAMES_MAX);
            self.facts.insert("changed".to_owned(), Value::Array(unstable));
        }
    }
}

/// Code and settings of up to so many bytes are kept even where inputs are not: without them a run says little.
const TEXT_BYTES_KEPT: u64 = 1024 * 1024;

/// Stores an input that is still as it was read, if inputs of its size are kept and no secret stands in it.
fn keep(group: &Group<'_>, stored: &Stored, run: &Run<'_>, artifacts: &Artifacts, notes: &mut Vec<String>) {
    let is_text = group.role().is_some();
    let limit = if is_text { run.spec.keep_inputs_max.max(TEXT_BYTES_KEPT) } else { run.spec.keep_inputs_max };
    let as_read = |access: &&Access| {
        let now = fs::metadata(&access.path).ok().map(|metadata| Stamp::of(&metadata));
        access.read.as_ref().is_some_and(|read| now == Some(read.stamp))
    };
    if stored.size > limit || !group.accesses.iter().all(as_read) {
        return;
    }
    let source = group.source();
    // Nobody said that these files are to be kept, so what only looks like a secret counts, too.
    let looks_secret = |path: PathBuf| fs::read(path).is_ok_and(|bytes| run.secrets.mask_bytes(&bytes).1 > 0);
    let path = source.path().display();
    if source.holds(run.secrets) || source.files().into_iter().any(looks_secret) {
        notes.push(format!("the input {path} holds what looks like a secret, so only its digest is kept"));
    } else if let Err(error) = source.put(artifacts) {
        notes.push(format!("the input {path} was not kept: {error}"));
    }
}

/// Files that are one input or output: mostly one.
struct Group<'a> {
    folder: Option<PathBuf>,
    accesses: Vec<&'a Access>,
}

/// Files each by itself, but those of a folder together that has very many.
fn group<'a>(accesses: &[&'a Access]) -> Vec<Group<'a>> {
    let mut sizes: BTreeMap<Option<&Path>, usize> = BTreeMap::new();
    for access in accesses {
        *sizes.entry(access.path.parent()).or_default() += 1;
    }
    let mut groups: Vec<Group<'a>> = Vec::new();
    for access in accesses {
        let folder = access.path.parent();
        if sizes.get(&folder).is_none_or(|size| *size <= OF_FOLDER_MAX) {
            groups.push(Group { folder: None, accesses: vec![access] });
            continue;
        }
        match groups.iter_mut().find(|group| group.folder.as_deref() == folder) {
            Some(group) => group.accesses.push(access),
            None => groups.push(Group { folder: folder.map(Path::to_owned), accesses: vec![access] }),
        }
    }
    groups
}

impl Group<'_> {
    fn source(&self) -> Source {
        let files = || self.accesses.iter().map(|access| access.path.clone()).collect();
        match (&self.folder, &self.accesses[..]) {
            (Some(base), _) => Source::Many { base: base.clone(), files: files() },
            (None, [one]) => Source::Path(one.path.clone()),
            (None, _) => Source::Many { base: PathBuf::from("/"), files: files() },
        }
    }

    fn item(&self, spec: &RunSpec) -> Item {
        let source = self.source();
        let path = source.path();
        let name = path_name(path, spec).is_err().then(|| name_of(path, spec));
        Item { declared: Declared { kind: None, name, pattern: name_of(path, spec) }, source }
    }

    /// The digests as it was read; those at the end, if they are all that is known.
    fn stored(&self) -> Option<Stored> {
        if let (None, [one]) = (&self.folder, &self.accesses[..]) {
            let read = one.read.as_ref()?;
            return read.stored.clone().or_else(|| read.after.clone());
        }
        self.source().hash().ok()
    }

    fn role(&self) -> Option<EventRole> {
        let is = |test: fn(&&Access) -> bool| self.accesses.iter().copied().all(|access| test(&access));
        if is(|access| access.role == Role::Code) {
            return Some(EventRole::Code);
        }
        let is_config = |access: &&Access| {
            let ending = access.path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            CONFIG_ENDINGS.contains(&ending)
        };
        is(is_config).then_some(EventRole::Config)
    }
}

/// The files that declarations stand for.
struct Covered {
    files: HashSet<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Covered {
    fn by<'a>(sources: impl Iterator<Item = &'a Source>, run: &Run<'_>) -> Self {
        let whole = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut covered = Self { files: HashSet::new(), folders: Vec::new() };
        for source in sources {
            match source {
                Source::Path(path) if path.is_dir() => covered.folders.push(whole(path)),
                Source::Path(path) => drop(covered.files.insert(whole(path))),
                Source::Many { files, .. } => covered.files.extend(files.iter().map(|file| whole(file))),
            }
        }
        covered.files.extend(run.spec.document.clone());
        // Metrics are told as metrics.
        let metrics = run.spec.metrics_file.as_ref().map(|file| whole(&run.spec.cwd.join(file)));
        for path in metrics.into_iter().chain(run.metrics_log.clone()) {
            if path.is_dir() {
                covered.folders.push(path);
            } else {
                covered.files.insert(path);
            }
        }
        covered
    }

    fn covers(&self, path: &Path) -> bool {
        self.files.contains(path) || self.folders.iter().any(|folder| path.starts_with(folder))
    }
}

/// The name of a path; what cannot stand in a name is written as `%` and its bytes in hex.
pub(super) fn name_of(path: &Path, spec: &RunSpec) -> String {
    if let Ok(name) = path_name(path, spec) {
        return name;
    }
    let below = path.strip_prefix(&spec.workspace_root).unwrap_or(path);
    let mut name = String::new();
    for part in below.as_os_str().as_bytes().utf8_chunks() {
        for c in part.valid().chars() {
            if c.is_control() {
                let mut bytes = [0; 4];
                c.encode_utf8(&mut bytes).bytes().for_each(|byte| write!(name, "%{byte:02X}").unwrap_or_default());
            } else {
                name.push(c);
            }
        }
        part.invalid().iter().for_each(|byte| write!(name, "%{byte:02X}").unwrap_or_default());
    }
    name
}

fn insert_names(facts: &mut Map<String, Value>, key: &str, mut names: Vec<String>) {
    if names.len() > NAMES_MAX {
        facts.insert(format!("n_{key}"), json!(names.len()));
        names.truncate(NAMES_MAX);
    }
    if !names.is_empty() {
        facts.insert(key.to_owned(), json!(names));
    }
}

/// What a person should know of the observation.
fn notes(trace: &Trace) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(why) = &trace.fallback {
        let how = if trace.is_observed() { "by a slower way" } else { "only as far as it was declared" };
        notes.push(format!("the command was observed {how}: {why}"));
    }
    for hole in trace.holes.iter().filter(|hole| hole.kind.hides()) {
        notes.push(format!("not everything was observed: {} ({} times)", hole.kind.what(), hole.count));
    }
    if trace.n_events > COSTLY_EVENTS {
        notes.push(format!(
            "{} system calls were observed, which took some {} s of processor time; --capture declared takes none",
            trace.n_events,
            trace.n_events / EVENTS_A_SECOND
        ));
    }
    for path in &trace.held_back {
        notes.push(format!(
            "{} did not get the rights of its owner, as the command was observed; run it with --capture declared",
            path.display()
        ));
    }
    if !trace.foreign_writes.is_empty() {
        let paths: Vec<_> = trace.foreign_writes.iter().take(3).map(|path| path.display().to_string()).collect();
        notes.push(format!("the command wrote into installed packages or the system: {} …", paths.join(", ")));
    }
    notes
}

/// What stands in the facet `capture`: small, so that it stays inside the event and can be asked for.
fn facts(trace: &Trace) -> Map<String, Value> {
    let mut facts = Map::new();
    if !trace.is_observed() {
        if let Some(why) = &trace.fallback {
            facts.insert("fallback".to_owned(), json!(why));
        }
        return facts;
    }
    let mut say = |key: &str, value: Value| drop(facts.insert(key.to_owned(), value));
    say("rules", json!(trace.rules));
    say("events", json!(trace.n_events));
    let count = |role: &Role| {
        let count = trace.counts.get(role).copied().unwrap_or_default();
        (role.as_str().to_owned(), json!({ "read": count.read, "written": count.written }))
    };
    say("counts", Value::Object(Role::ALL.iter().map(count).collect()));
    for (key, n) in [("temps", trace.n_temps), ("absent", trace.n_missing), ("programs", trace.n_executions)] {
        say(key, json!(n));
    }
    let hole = |hole: &crate::capture::Hole| json!({ "kind": hole.kind.as_str(), "count": hole.count, "what": hole.kind.what(), "open": Blind::hides(hole.kind) });
    say("holes", trace.holes.iter().map(hole).collect());
    if let Some(why) = &trace.fallback {
        say("fallback", json!(why));
    }
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    insert_names(&mut facts, "held_back", trace.held_back.iter().map(text).collect());
    insert_names(&mut facts, "foreign_writes", trace.foreign_writes.iter().map(text).collect());
    let external = |external: &crate::capture::External| json!({ "kind": external.kind, "name": external.name });
    if !trace.externals.is_empty() {
        facts.insert("external".to_owned(), trace.externals.iter().take(NAMES_MAX).map(external).collect());
    }
    insert_names(&mut facts, "connections", trace.connections.iter().map(ToString::to_string).collect());
    facts
}

/// What stands in the facet `trace`: longer lists, which may move out of the event.
pub(super) fn details(trace: &Trace, spec: &RunSpec) -> Option<Value> {
    if !trace.is_observed() {
        return None;
    }
    let program = |execution: &crate::capture::Execution| {
        let argv: Vec<_> = execution.argv.iter().map(|word| std::ffi::OsStr::from_bytes(word).to_owned()).collect();
        json!({ "task": execution.task, "program": execution.program.to_string_lossy(), "argv": redact_arguments(&argv).0 })
    };
    let listing = |listing: &crate::capture::Listing| {
        let (n, digest) = listing.names.clone().unzip();
        json!({ "folder": name_of(&listing.path, spec), "names": n, "digest": digest })
    };
    let listings: Vec<_> = trace.listings.iter().take(NAMES_MAX).map(listing).collect();
    let programs: BTreeSet<&Path> = trace.executions.iter().map(|execution| &*execution.program).collect();
    let mark = |program: &Path| Some((program.to_string_lossy().into_owned(), json!(mark(program)?)));
    let marks: Map<String, Value> = programs.into_iter().filter_map(mark).collect();
    let packages: Vec<_> = trace.package_folders.iter().map(|folder| folder.to_string_lossy()).collect();
    Some(json!({
        "programs": trace.executions.iter().map(program).collect::<Vec<_>>(),
        "folders": listings,
        "marks": marks,
        "package_folders": packages,
    }))
}

/// The marks of a program, by which another one shows: its size and when it was last written; `None` if it is not there.
pub(crate) fn mark(program: &Path) -> Option<String> {
    let metadata = fs::metadata(program).ok()?;
    let modified = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(format!("{}:{}", metadata.len(), modified.as_nanos()))
}
