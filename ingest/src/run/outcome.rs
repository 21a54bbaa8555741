//! What a command left behind: its outputs, its metrics, and which inputs it changed.

use std::fs;
use std::path::{Path, PathBuf};

use lineage_store::artifact::{Artifacts, Stamp};
use lineage_store::event::{Json, Kind, Outcome, Output, State};

use super::command::{Ended, Finished};
use super::files::{self, Item, Source, Traced, path_name};
use super::log::{self, Kept};
use super::metrics::Metrics;
use super::observed::Observed;
use super::process::Left;
use super::secret::Secrets;
use super::values::{self, Values};
use super::watch::Cause;
use super::{EXIT_RUNNER, EXIT_TIMEOUT, Known, Run, RunSpec};
use crate::capture::{Trace, Usage};

/// Inputs up to this many bytes are hashed again; of larger ones only the marks of their files are compared.
const REHASH_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Files of metrics of up to so many bytes are kept.
const METRICS_BYTES_KEPT: u64 = 64 * 1024 * 1024;

type Stamps = Vec<(PathBuf, Option<Stamp>)>;

/// How outputs looked before the command ran, by which a stale one is told from a new one.
pub(super) struct Before {
    outputs: Vec<(Source, Stamps)>,
    metrics: Stamps,
    inputs: Vec<Stamps>,
}

impl Before {
    /// Notes the marks of the inputs, and of every output that is there already.
    pub(super) fn look(spec: &RunSpec, inputs: &[Item]) -> Self {
        let items = spec.outputs.iter().filter_map(|declared| files::find(declared, &spec.cwd).ok()).flatten();
        Self {
            outputs: items.map(|item| (item.source.clone(), item.source.stamps())).collect(),
            metrics: metrics_source(spec).map(|source| source.stamps()).unwrap_or_default(),
            inputs: inputs.iter().map(|item| item.source.stamps()).collect(),
        }
    }

    fn has(&self, source: &Source) -> bool {
        self.outputs.iter().any(|(before, stamps)| before == source && *stamps == source.stamps())
    }
}

fn metrics_source(spec: &RunSpec) -> Option<Source> {
    spec.metrics_file.as_ref().map(|file| Source::Path(spec.cwd.join(file)))
}

/// Everything that the last event says.
pub(super) struct Findings {
    pub(super) ended: Ended,
    pub(super) usage: Option<Usage>,
    /// Why it was ended from outside.
    pub(super) cause: Option<Cause>,
    /// Processes that it left behind.
    pub(super) left: Vec<Left>,
    pub(super) trace: Option<Trace>,
    /// What it says beyond the declarations.
    pub(super) observed: Observed,
    pub(super) logs: Vec<Kept>,
    pub(super) exit_code: i32,
    pub(super) state: State,
    /// The verdict of an audit.
    pub(super) verdict: Option<Outcome>,
    pub(super) outputs: Vec<Traced>,
    /// The values that it gave, and as artifacts.
    pub(super) values: Values,
    pub(super) value_outputs: Vec<Output>,
    /// Why its values are no values.
    pub(super) wrong_values: Option<String>,
    pub(super) metrics: Json,
    /// The files that metrics were read from: name, and digest if they are kept.
    pub(super) metric_files: Vec<(String, Option<String>)>,
    /// Declared outputs without a file.
    pub(super) missing: Vec<String>,
    /// Inputs that were other bytes at the end.
    pub(super) unstable: Vec<String>,
    /// Outputs that were not written.
    pub(super) unchanged: Vec<String>,
    /// Outputs that could not be hashed or stored, with the reason.
    pub(super) unreadable: Vec<(String, String)>,
    pub(super) notes: Vec<String>,
}

impl Findings {
    pub(super) fn gather(
        run: &Run<'_>,
        artifacts: &Artifacts,
        known: Known<'_>,
        finished: Finished,
        live: Option<&Path>,
    ) -> Self {
        let Finished { ended, usage, cause, left, logs, trace } = finished;
        let exit_code = ended.code();
        let keep = |written| live.map(|live| log::keep(live, written, artifacts));
        let mut findings = Self {
            usage,
            cause,
            left,
            observed: trace.as_ref().map(|trace| Observed::gather(run, trace, artifacts, known)).unwrap_or_default(),
            trace,
            logs: logs.iter().filter_map(keep).collect(),
            metric_files: Vec::new(),
            exit_code,
            state: State::Complete,
            verdict: None,
            outputs: Vec::new(),
            values: Values::new(),
            value_outputs: Vec::new(),
            wrong_values: None,
            metrics: Json::default(),
            missing: Vec::new(),
            unstable: Vec::new(),
            unchanged: Vec::new(),
            unreadable: Vec::new(),
            notes: Vec::new(),
            ended,
        };
        if let Ended::NotStarted(_, why) = &findings.ended {
            findings.notes.push(why.clone());
        } else {
            // An audit that says no has done its work, so its report is kept like that of one that says yes.
            let worked = exit_code == 0 || is_verdict(run, exit_code);
            findings.find_outputs(run, artifacts, worked);
            findings.find_observed(run, artifacts, worked);
            findings.find_metrics(run, artifacts);
            findings.find_values(run, artifacts);
            findings.check_inputs(run);
        }
        findings.notes.extend(findings.logs.iter().filter_map(|kept| kept.note.clone()));
        findings.tell_left(run.spec.detach);
        findings.judge(run);
        findings
    }

    fn tell_left(&mut self, detach: bool) {
        if self.left.is_empty() {
            return;
        }
        let names: Vec<_> = self.left.iter().map(|left| format!("{} ({})", left.name, left.pid)).collect();
        let n = names.len();
        let (what, was, goes) = if n == 1 { ("a process", "was", "goes") } else { ("processes", "were", "go") };
        let became = if detach { format!("{goes} on, as --detach says") } else { format!("{was} ended; see --detach") };
        self.notes.push(format!("the command left {what} behind, which {became}: {}", names.join(", ")));
    }

    fn find_outputs(&mut self, run: &Run<'_>, artifacts: &Artifacts, worked: bool) {
        for declared in &run.spec.outputs {
            let items = match files::find(declared, &run.spec.cwd) {
                Ok(items) => items,
                Err(why) => {
                    self.unreadable(declared.pattern.clone(), why);
                    continue;
                }
            };
            if items.is_empty() {
                self.missing.push(declared.pattern.clone());
            }
            for item in items {
                let is_old = run.before.has(&item.source);
                // What lay there before a failed run is none of its work.
                if worked || !is_old {
                    self.take_output(run, artifacts, &item, worked, is_old);
                }
            }
        }
    }

    fn find_observed(&mut self, run: &Run<'_>, artifacts: &Artifacts, worked: bool) {
        for item in std::mem::take(&mut self.observed.outputs) {
            self.take_output(run, artifacts, &item, worked, false);
        }
        self.notes.append(&mut self.observed.notes);
        self.unstable.append(&mut self.observed.unstable);
    }

    fn take_output(&mut self, run: &Run<'_>, artifacts: &Artifacts, item: &Item, keep: bool, is_old: bool) {
        let what = item.declared.name.clone().unwrap_or_else(|| item.declared.pattern.clone());
        // A file that cannot be stored (a full disk) is still told by its digest.
        let secret = keep && item.source.holds(run.secrets);
        if secret {
            self.notes.push(format!("the output {what} holds the value of a secret, so only its digest is kept"));
        }
        let stored = if keep && !secret { item.source.put(artifacts) } else { item.source.hash() };
        let stored = stored.or_else(|error| {
            self.unreadable(what.clone(), error.to_string());
            item.source.hash().ok().filter(|stored| !stored.unstable).ok_or(())
        });
        let Ok(stored) = stored else { return };
        match files::name(item, stored, run.spec, None) {
            Ok(traced) => {
                if is_old {
                    self.notes.push(format!("{} was there before and was not written", traced.name()));
                    self.unchanged.push(traced.name().to_owned());
                }
                self.outputs.push(traced);
            }
            Err(error) => self.unreadable(what, error.to_string()),
        }
    }

    fn unreadable(&mut self, what: String, why: String) {
        self.notes.push(format!("the output {what} was not kept: {why}"));
        self.unreadable.push((what, why));
    }

    fn find_metrics(&mut self, run: &Run<'_>, artifacts: &Artifacts) {
        let mut metrics = Metrics::default();
        if let Some(source) = metrics_source(run.spec) {
            let path = source.path();
            if path.exists() && source.stamps() == run.before.metrics {
                self.notes.push(format!("{} was not written by this run, so it gives no metrics", path.display()));
            } else {
                match Metrics::read(path) {
                    Ok(read) => {
                        let name = path_name(path, run.spec).unwrap_or_default();
                        let kept = keep_metrics(&source, artifacts, run.secrets);
                        self.metric_files.push((name, kept));
                        metrics.add(read);
                    }
                    Err(why) => self.notes.push(format!("no metrics were read from {}: {why}", path.display())),
                }
            }
        }
        if let Some(text) = run.metrics_log.as_ref().and_then(|path| take_file(path)) {
            let (clean, _) = run.secrets.mask_bytes(text.as_bytes());
            let kept = artifacts.put_bytes(&clean).ok().map(|stored| stored.digest.to_string());
            self.metric_files.push((super::METRICS_VARIABLE.to_owned(), kept));
            let mut read = Metrics::default();
            read.lines(&String::from_utf8_lossy(&clean));
            metrics.add(read);
        }
        if !metrics.skipped.is_empty() {
            self.notes.push(format!("not numbers, so no metrics: {}", metrics.skipped.join(", ")));
        }
        self.metrics = metrics.json();
    }

    /// Reads the values, without secrets, and keeps each as an artifact.
    fn find_values(&mut self, run: &Run<'_>, artifacts: &Artifacts) {
        let Some(file) = &run.spec.values else { return };
        let mut read = match values::read(&file.path) {
            Ok(read) => read,
            Err(why) => {
                self.notes.push(why.clone());
                self.wrong_values = Some(why);
                return;
            }
        };
        for (name, value) in &mut read {
            if let Some(clean) = values::masked(value, run.secrets) {
                *value = clean;
                self.notes.push(format!("the value {name} held a secret, which is masked"));
            }
            match artifacts.put_bytes(value.to_string().as_bytes()) {
                Ok(stored) => self.value_outputs.push(values::output(&file.prefix, name, &stored)),
                Err(error) => self.unreadable(format!("value {name}"), error.to_string()),
            }
        }
        self.values = read;
    }

    fn check_inputs(&mut self, run: &Run<'_>) {
        for ((item, traced), before) in run.items.iter().zip(&run.inputs).zip(&run.before.inputs) {
            let is_output = run.spec.outputs.iter().any(|o| traced.path.starts_with(run.spec.cwd.join(&o.pattern)));
            let same_marks = !traced.stored.unstable && item.source.stamps() == *before;
            let same = if traced.stored.size > REHASH_BYTES_MAX && same_marks {
                true
            } else {
                item.source.hash().is_ok_and(|now| now.digest == traced.stored.digest) && !traced.stored.unstable
            };
            if !same && !is_output {
                self.notes.push(format!("the input {} changed while the command ran", traced.name()));
                self.unstable.push(traced.name().to_owned());
            }
        }
    }

    fn judge(&mut self, run: &Run<'_>) {
        for pattern in &self.missing {
            self.notes.push(format!("the output {pattern} was declared but is not there"));
        }
        let complete = self.missing.is_empty() && self.wrong_values.is_none();
        if self.cause == Some(Cause::Timeout) {
            self.exit_code = EXIT_TIMEOUT;
        }
        self.state = match &self.ended {
            // It may have ended well although it was asked to end early.
            Ended::Code(0) if self.cause == Some(Cause::Cancelled) && complete => State::Complete,
            Ended::NotStarted(EXIT_RUNNER, _) => State::Abort,
            _ if self.cause.is_some() => State::Abort,
            Ended::Code(0) if complete => State::Complete,
            Ended::Code(code) if complete && is_verdict(run, *code) => State::Complete,
            Ended::Code(_) | Ended::Signal(_) | Ended::NotStarted(..) => State::Fail,
        };
        if self.exit_code == 0 && self.state == State::Fail {
            self.exit_code = 1;
        }
        if run.spec.kind == Some(Kind::Audit) && self.state == State::Complete {
            self.verdict = Some(if self.exit_code == 0 { Outcome::Pass } else { Outcome::Fail });
        }
    }

    /// The path of an output that is missing, as it would be named.
    pub(super) fn missing_names(&self, spec: &RunSpec) -> Vec<String> {
        self.missing.iter().map(|p| path_name(&spec.cwd.join(p), spec).unwrap_or_else(|_| p.clone())).collect()
    }
}

/// Keeps files of metrics as they are, with every step; not if a secret stands in them.
fn keep_metrics(source: &Source, artifacts: &Artifacts, secrets: &Secrets) -> Option<String> {
    if source.holds(secrets) || source.size() > METRICS_BYTES_KEPT {
        return None;
    }
    source.put(artifacts).ok().map(|stored| stored.digest.to_string())
}

/// Reads a file of ours and removes it; nothing if nobody wrote to it.
fn take_file(path: &Path) -> Option<String> {
    let size = fs::metadata(path).ok()?.len();
    let bytes = fs::read(path).ok().filter(|_| size <= METRICS_BYTES_KEPT);
    fs::remove_file(path).ok();
    bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).filter(|text| !text.is_empty())
}

/// Whether a code is the verdict of an audit rather than an error: 1 is, as in test programs and `grep`.
fn is_verdict(run: &Run<'_>, code: i32) -> bool {
    run.spec.kind == Some(Kind::Audit) && code == 1
}
