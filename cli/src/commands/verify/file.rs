//! What was handed out, checked without a store: a proof file, or a checkpoint.

use std::path::Path;

use anyhow::Context as _;
use lineage_store::proof::{Compared, Here, ProofFile, SignedCheckpoint, VerifierKey};
use lineage_store::time::Time;

use super::Scope;
use super::anchors::Anchored;
use super::report::{Finding, Report};
use crate::render::count;

/// Checks a file.
pub(super) fn check(path: &Path, scope: &Scope<'_>) -> anyhow::Result<Report> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut report = Report { path: Some(path.display().to_string()), ..Report::default() };
    let checked = match String::from_utf8(bytes) {
        Err(_) => Err("it is no UTF-8".to_owned()),
        Ok(text) if text.starts_with('{') => check_proof(&text, scope, &mut report),
        Ok(text) => check_checkpoint(&text, scope, &mut report),
    };
    if let Err(what) = checked {
        report.damage.push(Finding::new("file", path.display().to_string(), what));
    }
    Ok(report)
}

fn check_proof(text: &str, scope: &Scope<'_>, report: &mut Report) -> Result<(), String> {
    let file = ProofFile::parse(text).map_err(|error| error.to_string())?;
    let proven = file.verify(scope.key).map_err(|error| error.to_string())?;
    told_signature(&proven.checkpoint, &proven.key, scope, report);
    report.checked.push(format!("events: {}, each included at its position", file.events.len()));
    report.checked.push(format!("statements: {}, each follows from these events", file.statements.len()));
    compare(&proven.checkpoint, scope, report)?;
    report
        .notes
        .push("presence is proven; that no other events were recorded is not, without the whole log".to_owned());
    Ok(())
}

fn check_checkpoint(text: &str, scope: &Scope<'_>, report: &mut Report) -> Result<(), String> {
    let signed = SignedCheckpoint::parse(text).map_err(|error| error.to_string())?;
    match scope.key {
        Some(key) => {
            signed.verify(key).map_err(|error| error.to_string())?;
            told_signature(&signed, key, scope, report);
        }
        None => {
            report.notes.push("the signature of the log was not checked: give its public key with --key".to_owned());
        }
    }
    compare(&signed, scope, report)
}

pub(super) fn told_signature(signed: &SignedCheckpoint, key: &VerifierKey, scope: &Scope<'_>, report: &mut Report) {
    let trust =
        if scope.key.is_some() { "that was given" } else { "that the file itself names; give yours with --key" };
    let events = count(signed.size(), "event");
    report.checked.push(format!("checkpoint: {events}, signed by {} with the key {trust}", key.name()));
}

/// The checkpoints that were kept, and the cosignatures on this one.
fn compare(signed: &SignedCheckpoint, scope: &Scope<'_>, report: &mut Report) -> Result<(), String> {
    let mut compared = Vec::new();
    for (_, kept) in &scope.anchors.kept {
        if kept.size() == signed.size() {
            let here = if kept.root() == signed.root() { Here::Same } else { Here::Other(signed.root()) };
            compared.push(Compared { kept: kept.clone(), here });
        } else {
            report.notes.push(format!(
                "a checkpoint of {} events was kept, the file has one of {}: whether that one goes on from the other \
                 cannot be told from the file; `lineage prove --checkpoint FILE` proves under yours",
                kept.size(),
                signed.size()
            ));
        }
    }
    report.anchored = Anchored::of(compared, |_| Time::MIN);
    let wrong = report.anchored.add_cosignatures(&scope.anchors.witnesses, &[signed]);
    wrong.into_iter().next().map_or(Ok(()), Err)
}
