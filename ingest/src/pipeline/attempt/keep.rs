//! What came of an attempt: how it ended, and its results, kept if they may stand for an equal one.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use lineage_store::event::{Outcome, State};
use serde_json::json;

use super::{Attempt, Done};
use crate::pipeline::cache::{Entry, MadeBytes, ReadBytes};
use crate::pipeline::flow::End;
use crate::pipeline::news::Facts;
use crate::pipeline::order::Around;
use crate::pipeline::step::Failure;
use crate::pipeline::workspace::Workspace;
use crate::pipeline::{evidence, restore};
use crate::run::{Cause, METRICS_VARIABLE, RunResult};

impl Attempt<'_> {
    /// What came of the command, and keeps it if it may stand for an equal attempt.
    pub(super) fn judge(
        &self,
        result: &RunResult,
        around: &Around<'_>,
        workspace: &Workspace,
        matched: BTreeMap<String, String>,
        why: &str,
        began: Instant,
    ) -> Done {
        let gate_failed = self.step.gate && result.verdict == Some(Outcome::Fail);
        let end = match result.state {
            State::Complete if !gate_failed => End::Complete,
            State::Abort => End::Aborted,
            _ => End::Failed,
        };
        let failure = (end != End::Complete).then(|| failure(result));
        let mut values = result.values.clone();
        if let Some(verdict) = result.verdict {
            values.insert("verdict".to_owned(), json!(verdict.as_str()));
        }
        let facts = Facts {
            took: began.elapsed(),
            n_inputs: result.event.inputs.len(),
            n_outputs: result.event.outputs.len(),
            capture: result.trace.as_ref().map_or("", |trace| trace.completeness.as_str()).to_owned(),
            why: match (&end, gate_failed) {
                (End::Complete, _) => why.to_owned(),
                (_, true) => "its verdict is fail, and it is a gate".to_owned(),
                _ => result.summary.clone(),
            },
            notes: result.notes.clone(),
            ..Facts::default()
        };
        let mut done = Done { end, failure, values, facts, is_unrecorded: result.unrecorded.is_some() };
        if done.end == End::Complete {
            self.keep(result, &mut done, around, workspace, matched);
        }
        done
    }

    fn keep(
        &self,
        result: &RunResult,
        done: &mut Done,
        around: &Around<'_>,
        workspace: &Workspace,
        matched: BTreeMap<String, String>,
    ) {
        let depends = match evidence::depends(result, &self.spec, &self.inside) {
            Ok(depends) => depends,
            Err(why) => {
                done.facts.notes.push(format!("not kept for reuse: {why}"));
                return;
            }
        };
        let mut entry = Entry::new(self.known.clone(), self.made_by());
        // Audits and deployments count only for runs that resume this one.
        entry.only_resumed = !self.step.cache;
        let root = &self.spec.cwd;
        // A name that is no text cannot be looked for again.
        let relative = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_str().map(str::to_owned);
        for (path, digest) in depends.read {
            let Some(path) = relative(&path) else { return };
            entry.read.push(ReadBytes { path, digest });
        }
        if depends.document {
            entry.read.extend(workspace.document());
            entry.document = workspace.document_text();
        }
        for listing in depends.listed {
            let Some(path) = relative(&listing.path) else { return };
            let names = workspace.names(&path, &listing);
            entry.listed.insert(path, names);
        }
        for path in depends.absent {
            let Some(path) = relative(&path) else { return };
            entry.absent.push(path);
        }
        for path in depends.packages {
            let Some(path) = relative(&path) else { return };
            let used = result.trace.as_ref().map(|trace| trace.packages.clone()).unwrap_or_default();
            entry.packages.insert(path.clone(), used);
            entry.listed.extend(workspace.all_names(&path).map(|names| (path, names)));
        }
        for path in depends.programs {
            let Some(path) = relative(&path) else { return };
            entry.programs.extend(workspace.mark(&path).map(|mark| (path, mark)));
        }
        entry.matched = matched;
        for output in &result.outputs {
            let Some(path) = relative(&output.path) else { return };
            entry.made.push(MadeBytes {
                executable: restore::is_executable(&output.path),
                path,
                digest: output.stored.digest.to_string(),
                kind: output.kind().to_string(),
                name: output.name().to_owned(),
            });
        }
        // Whoever reads metrics as a file finds it after a hit as well.
        let metrics = result.metric_files.iter().find(|(name, _)| name != METRICS_VARIABLE);
        if let (Some(path), Some((name, digest))) = (self.spec.metrics_file.as_ref().and_then(|p| p.to_str()), metrics)
        {
            let (path, digest, name) = (path.to_owned(), digest.clone(), name.clone());
            entry.made.push(MadeBytes { path, digest, name, kind: "artifact".to_owned(), executable: false });
        }
        entry.values.clone_from(&done.values);
        entry.logs = result.logs.iter().cloned().collect();
        entry.took_ms = done.facts.took.as_millis() as u64;
        entry.event = restore::text(&result.event);
        if let Err(error) = around.cache.keep(&entry, &self.place) {
            done.facts.notes.push(format!("its results cannot be reused: {error}"));
        }
    }

    fn made_by(&self) -> [String; 3] {
        [self.spec.namespace.clone(), self.name.clone(), self.spec.run_id.clone()]
    }
}

/// How an attempt failed, for the classes of a retry.
fn failure(result: &RunResult) -> Failure {
    match (result.cause, result.exit_code) {
        (Some(Cause::Timeout), _) => Failure::Timeout,
        (Some(Cause::OutOfMemory), _) => Failure::Oom,
        (_, code) if code > 128 => Failure::Signal,
        (_, code) if result.n_missing > 0 && code == 1 => Failure::Output,
        (_, code) => Failure::Exit(code),
    }
}
