//! Replay: an attempt is made again from what is stored of it, in a folder of its own, and what comes of it is compared.
//!
//! Nothing is recorded here, and nothing but the folder of the copy is written to by us.

mod compare;
mod copy;
mod document;
mod recorded;
mod survey;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lineage_store::event::Outcome;
use serde_json::json;

use crate::capture::{Rules, Trace};
use crate::pipeline::{IN_VARIABLE, KEY_VARIABLE, OUT_VARIABLE, SCRATCH_VARIABLE};
use crate::run::{Again, Control, METRICS_VARIABLE, RunSpec, Standard, ValuesFile, again, is_recorded};
use copy::Copy;

pub use compare::{Bytes, Output, Verdict};
pub use recorded::{Recorded, Said, is_pipeline, reused_from};
pub use survey::{Gap, GapKind, Here, Survey};

/// The longest part of what a failed command said that is told.
const SAID_BYTES_MAX: usize = 2000;

/// How an attempt is made again.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The id under which its processes are found; that of no recorded run.
    pub id: String,
    /// By which observed files get their roles.
    pub rules: Rules,
    /// A store of its own for commands that record runs themselves.
    pub inner_store: PathBuf,
    /// Where signals are told of.
    pub control: Arc<Control>,
}

/// What came of an attempt that was made again.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// Every output of then.
    pub outputs: Vec<Output>,
    /// The exit codes of then and now.
    pub exit_codes: (Option<i32>, i32),
    /// What else is to be known: files that were not written then, reads outside of the copy, why it failed.
    pub notes: Vec<String>,
    /// Whether it was stopped from outside.
    pub is_stopped: bool,
}

impl Replayed {
    /// Whether everything came out as then.
    pub fn is_same(&self) -> bool {
        let (then, now) = self.exit_codes;
        then == Some(now) && self.outputs.iter().all(|output| output.verdict == Verdict::Same)
    }
}

/// Makes an attempt again below a folder that must not exist; a survey with gaps is refused.
pub fn replay(
    recorded: &Recorded,
    survey: &Survey,
    here: &Here<'_>,
    folder: &Path,
    terms: &Terms,
) -> Result<Replayed, String> {
    if let Some(gap) = survey.gaps.first() {
        return Err(gap.to_string());
    }
    let copy = Copy::lay_out(recorded, survey, here, folder)?;
    let mut notes = Vec::new();
    let spec = spec(recorded, here, &copy, terms, &mut notes).map_err(|error| error.to_string())?;
    let live = copy.beside("log");
    fs::create_dir_all(&live).map_err(|error| error.to_string())?;
    let (made, is_fenced) = fenced(&spec, &copy, &live, here)?;
    if !is_fenced {
        notes.push("this machine cannot keep it from writing outside of the copy (Landlock, Linux 5.19)".to_owned());
    }
    notes.extend(made.not_started.iter().cloned());
    let values = made.values.unwrap_or_else(|why| {
        notes.push(why);
        crate::run::Values::new()
    });
    if let Some(trace) = &made.trace {
        tell_trace(trace, recorded, here, &copy, &mut notes);
    }
    if recorded.exit_code != Some(made.exit_code) {
        notes.extend(last_said(&copy.beside("stderr")));
    }
    if let Some(then) = recorded.verdict {
        let now = if made.exit_code == 0 { Outcome::Pass } else { Outcome::Fail };
        if then != now {
            notes.push(format!("its verdict was {then} and is {now}"));
        }
    }
    Ok(Replayed {
        outputs: compare::outputs(recorded, &copy.files, &values, here.artifacts),
        exit_codes: (recorded.exit_code, made.exit_code),
        notes,
        is_stopped: made.cause.is_some(),
    })
}

/// Folders in which any program may leave something, unless what is to be left alone lies there.
const FREE: [&str; 4] = ["/dev", "/proc", "/tmp", "/var/tmp"];

/// Whether whoever is fenced in may write a path.
fn is_free(path: &Path, here: &Here<'_>) -> bool {
    FREE.iter().any(|free| path.starts_with(free) && !here.workspace.starts_with(free))
}

/// Runs the command in a thread that can write only into the copy; whether that could be.
fn fenced(spec: &RunSpec, copy: &Copy, live: &Path, here: &Here<'_>) -> Result<(Again, bool), String> {
    let free = FREE.iter().map(Path::new).filter(|free| is_free(free, here) && free.is_dir());
    let writable: Vec<&Path> = free.chain([&*copy.folder]).chain(copy.folder.parent()).collect();
    let work = || -> Result<(Again, bool), String> {
        let is_fenced = fence(&writable).map_err(|error| format!("it cannot be fenced in: {error}"))?;
        Ok((again(spec, live).map_err(|error| error.to_string())?, is_fenced))
    };
    let made = std::thread::scope(|scope| scope.spawn(work).join());
    made.unwrap_or_else(|_| Err("the runner met a bug; see above".to_owned()))
}

#[cfg(target_os = "linux")]
fn fence(writable: &[&Path]) -> io::Result<bool> {
    crate::capture::fence_writes(writable)
}

#[cfg(not(target_os = "linux"))]
fn fence(_: &[&Path]) -> io::Result<bool> {
    Ok(false)
}

/// The command of then, in the folders of the copy.
fn spec(
    recorded: &Recorded,
    here: &Here<'_>,
    copy: &Copy,
    terms: &Terms,
    notes: &mut Vec<String>,
) -> io::Result<RunSpec> {
    let root = recorded.root(here.workspace);
    let mut argv = Vec::with_capacity(recorded.argv.len());
    for (at, word) in recorded.argv.iter().enumerate() {
        let moved = moved(word, &root, copy, recorded);
        if moved != *word {
            notes.push(format!("argument {at} names the folder of then; it gets that of the copy"));
        } else if word.contains(&*root.to_string_lossy()) {
            notes.push(format!("argument {at} names {}, which is left as it is", root.display()));
        }
        argv.push(OsString::from(moved));
    }
    let mut spec = RunSpec::new(argv, copy.files.clone(), terms.id.clone(), String::new());
    spec.cwd = copy.cwd(recorded);
    spec.rules = terms.rules.clone();
    spec.control = Arc::clone(&terms.control);
    spec.variables = variables(recorded, here, copy, terms);
    let [stdin, stdout] = recorded.streams.each_ref().map(Option::as_deref);
    let in_copy = |path: &str| recorded.below(path).map(|below| copy.files.join(below));
    let input = stdin.map_or_else(|| "/dev/null".into(), |path| in_copy(path).unwrap_or_else(|| path.into()));
    let output = stdout.and_then(in_copy).unwrap_or_else(|| copy.beside("stdout"));
    let [output, error] = [output, copy.beside("stderr")].map(|path| File::create(path).map(Arc::new));
    spec.standard = Some(Standard { input: Arc::new(File::open(input)?), output: output?, error: error? });
    if let Some(step) = &recorded.step {
        spec.secrets.clone_from(&step.secrets);
        let mut document = step.document(here.artifacts).map_err(io::Error::other)?;
        document["run"] = json!(recorded.parent.as_ref().map(|parent| &parent.run));
        document["step"] = json!(step.id);
        document["attempt"] = json!(recorded.attempt);
        fs::write(copy.beside("in.json"), document.to_string())?;
        spec.values = Some(ValuesFile { path: copy.beside("out"), prefix: recorded.job.clone() });
    }
    Ok(spec)
}

/// A word of a command in which the folder of then is that of the copy, where the copy has what it names.
fn moved(word: &str, root: &Path, copy: &Copy, recorded: &Recorded) -> String {
    let Some(root) = root.to_str().filter(|root| root.len() > 1) else { return word.to_owned() };
    let is_known = |path: &str| {
        let path = path.trim_matches('/');
        let begins =
            |known: &String| known == path || known.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        let mut known = recorded.read.keys().chain(recorded.written.keys()).chain(recorded.links.keys());
        path.is_empty() || known.any(begins)
    };
    let mut moved = String::new();
    let mut rest = word;
    while let Some(at) = rest.find(root) {
        let (before, tail) = (&rest[..at], &rest[at + root.len()..]);
        let end = tail.find(|c: char| c.is_whitespace() || "\"';:|&()<>".contains(c)).unwrap_or(tail.len());
        let is_whole = tail.is_empty() || end == 0 || tail.starts_with('/');
        moved.push_str(before);
        if is_whole && is_known(&tail[..end]) {
            moved.push_str(&copy.files.to_string_lossy());
        } else {
            moved.push_str(root);
        }
        moved.push_str(&tail[..end]);
        rest = &tail[end..];
    }
    moved + rest
}

/// The environment: what was recorded as it was, what was not as it is now, and places of the copy.
fn variables(recorded: &Recorded, here: &Here<'_>, copy: &Copy, terms: &Terms) -> Vec<(OsString, OsString)> {
    let known = &recorded.surroundings.variables;
    let is_passed = |name: &str| match &recorded.step {
        Some(step) => step.variables.iter().any(|passed| passed == name),
        None => !matches!(name, "OLDPWD" | "PWD") && !name.starts_with("LINEAGE_"),
    };
    let now = here.variables.iter().filter(|(name, _)| {
        let name = name.to_string_lossy();
        is_passed(&name) && !is_recorded(&name, &[]) && !known.contains_key(name.as_ref()) && name != "TMPDIR"
    });
    let mut variables: Vec<(OsString, OsString)> = now.cloned().collect();
    variables.retain(|(name, _)| {
        recorded.step.as_ref().is_none_or(|step| !name.to_str().is_some_and(|name| step.set.contains_key(name)))
    });
    let root = recorded.root(here.workspace);
    let set = recorded.step.iter().flat_map(|step| &step.set);
    let set: Vec<(OsString, OsString)> =
        set.map(|(name, value)| (name.into(), moved(value, &root, copy, recorded).into())).collect();
    let then = known.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    variables.extend(then.filter(|(name, _)| !set.iter().any(|(other, _)| other == name)));
    variables.extend(set);
    let mut place = |name: &str, path: PathBuf| variables.push((name.into(), path.into_os_string()));
    place("TMPDIR", copy.beside("tmp"));
    place("PWD", copy.cwd(recorded));
    place("LINEAGE_STORE", terms.inner_store.clone());
    place(METRICS_VARIABLE, copy.beside("metrics.jsonl"));
    if let Some(step) = &recorded.step {
        place(IN_VARIABLE, copy.beside("in.json"));
        place(OUT_VARIABLE, copy.beside("out"));
        place(SCRATCH_VARIABLE, copy.beside("own"));
        variables.push((KEY_VARIABLE.into(), step.key.clone().into()));
    }
    variables
}

/// What was read and written otherwise than then.
fn tell_trace(trace: &Trace, recorded: &Recorded, here: &Here<'_>, copy: &Copy, notes: &mut Vec<String>) {
    if !trace.is_observed() {
        notes.push("it was not observed, so what it read outside of the copy is not known".to_owned());
        return;
    }
    let root = recorded.root(here.workspace);
    for access in &trace.accesses {
        let path = access.path.display();
        if let Ok(below) = access.path.strip_prefix(&copy.files) {
            let is_known = |path: &String| recorded.below(path).is_some_and(|known| below.starts_with(known));
            if access.written && !recorded.written.keys().any(is_known) {
                notes.push(format!("{} is written now and was not then", below.display()));
            }
        } else if access.path.starts_with(&copy.folder) {
            // What lies beside the files is ours.
        } else if access.written {
            notes.push(format!("it wrote {path}, which is outside of the copy"));
        } else if access.path.starts_with(&root) {
            notes.push(format!("it read {path}, which is outside of the copy: it is not set apart"));
        }
    }
    for (folder, then) in &recorded.surroundings.folders {
        let listed = |at: &crate::capture::Listing| {
            recorded.below(folder).is_some_and(|below| at.path == copy.files.join(below))
        };
        let now = trace.listings.iter().find(|listing| listed(listing)).and_then(|listing| listing.names.as_ref());
        if let (Some((_, now)), Some(then)) = (now, then)
            && now != then
        {
            notes.push(format!("the folder {folder} held other names when it was listed then"));
        }
    }
}

/// The end of what a command said.
fn last_said(file: &Path) -> Option<String> {
    let bytes = fs::read(file).ok()?;
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(SAID_BYTES_MAX)..]).trim().to_owned();
    let last = text.lines().last()?.to_owned();
    (!last.is_empty()).then(|| format!("it said: {last}"))
}
