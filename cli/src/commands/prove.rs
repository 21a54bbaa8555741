//! `lineage prove`: one file that shows where a version came from and what was judged of it.

use std::path::PathBuf;

use anyhow::Context as _;
use lineage_store::proof::{SignedCheckpoint, VerifierKey};
use serde_json::json;

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::reference::Target;
use crate::render::count;
use crate::session::Session;
use crate::signing;

const EXAMPLES: &str = "\
EXAMPLES
  lineage prove model churn@v4 -o churn-v4.proof
  lineage prove model churn@v4 --checkpoint audit-2026-11.checkpoint -o churn-v4.proof
  lineage verify churn-v4.proof        python3 verify.py churn-v4.proof

The file holds the events from which the version came, back to the raw data, and its evaluations, audits and
deployments, each with the proof that it is in the log under one checkpoint. It proves that these events were
recorded, and in which order; that no others were takes the whole log, which `lineage report` hands out.";

/// Arguments of `lineage prove`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Prove {
    /// The version: model churn@v4, or a digest
    #[arg(required = true, value_name = "REF", num_args = 1..=2)]
    reference: Vec<String>,
    /// Prove under this checkpoint, not under one that is signed now
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Write to a file
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Prove {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open()?;
        let target = match Target::read(&self.reference).as_slice() {
            [one] => one.clone(),
            _ => return Err(Problem::usage("name one version").help("such as `lineage prove model churn@v4`").into()),
        };
        let (checkpoint, key) = self.under(&session)?;
        let file = session.with_view(|view| {
            let version = target.version(view)?;
            Ok(session.store.proofs().evidence(view, version, &checkpoint, &key)?)
        })?;
        // What is handed out was checked the way its reader will.
        file.verify(Some(&key))
            .map_err(|error| Problem::new(ExitCode::Damaged, format!("the proof does not hold: {error}")))?;
        let text = file.text()?;
        let Some(path) = &self.out else {
            context.terminal.print(text.trim_end())?;
            return Ok(ExitCode::Done);
        };
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        if context.json {
            let object = json!({
                "file": path.display().to_string(), "events": file.events.len(), "statements": file.statements.len(),
                "size": checkpoint.size(), "text": file.text,
            });
            context.terminal.print(&object.to_string())?;
        } else {
            context.terminal.print(&file.text.join("\n"))?;
            let events = count(file.events.len() as u64, "event");
            context
                .terminal
                .note(&format!("wrote {} with {events}; check it with `lineage verify {0}`", path.display()));
        }
        Ok(ExitCode::Done)
    }

    /// The checkpoint that is named, else one that covers every event; and the public key of the log.
    fn under(&self, session: &Session) -> anyhow::Result<(SignedCheckpoint, VerifierKey)> {
        let Some(path) = &self.checkpoint else {
            let signer = signing::signer(session, None)?;
            return Ok((super::checkpoint::sign(session, &signer)?, signer.public().clone()));
        };
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let invalid = |what: String| {
            Problem::new(ExitCode::Damaged, format!("{}: {what}", path.display()))
                .help("see `lineage verify --checkpoint`")
        };
        let signed = SignedCheckpoint::parse(&text).map_err(|error| invalid(error.to_string()))?;
        let key = match signing::public_key(session)? {
            Some(key) => key.map_err(|error| invalid(error.to_string()))?,
            None => return Err(invalid("this log has no key".to_owned()).into()),
        };
        signed.verify(&key).map_err(|error| invalid(error.to_string()))?;
        let head = session.store.head()?.count;
        if signed.size() > head || session.store.proofs().root_at(signed.size())? != signed.root() {
            return Err(invalid("the log here does not go on from it".to_owned()).into());
        }
        Ok((signed, key))
    }
}
