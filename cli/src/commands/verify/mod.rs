//! `lineage verify`: everything that is stored, checked; and repaired on request.

mod anchors;
mod file;
mod impact;
mod members;
mod pack;
mod parts;
mod repair;
mod report;
mod rows;

use std::path::PathBuf;

use lineage_store::proof::{VERIFIER, VerifierKey};

use crate::context::Context;
use crate::exit::ExitCode;
use crate::signing::NamedKey;

use anchors::Anchors;

const EXAMPLES: &str = "\
EXAMPLES
  lineage verify
  lineage verify --checkpoint audit-2026-10.checkpoint    does the log go on from what an auditor kept?
  lineage verify --require-anchor --checkpoint FILE       exit code 1 unless it does
  lineage verify --incremental                            only what came since the last time
  lineage verify churn-v4.proof                           a file that `lineage prove` wrote
  lineage verify pack/                                    a folder that `lineage report` wrote
  lineage verify --repair    restore what is damaged from the second copy of each event

VERDICTS
  ANCHORED (k)             consistent, and k checkpoints or cosignatures from outside agree
  CONSISTENT, UNANCHORED   what is here fits together; nobody outside vouches that it was not replaced as a whole
  DIVERGED                 the log is not the one that a checkpoint from outside covers; both tree heads are told
  INVALID                  something is not what was written; each place is told

The exit code is 0 for the first two, 4 for the others, and 1 with --require-anchor where there is no anchor.";

/// Arguments of `lineage verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Verify {
    /// A pack, a proof file or a checkpoint that was handed out, checked without a store [default: the store]
    #[arg(value_name = "PATH", conflicts_with_all = ["full", "incremental", "repair"])]
    path: Option<PathBuf>,
    /// Print the second verifier, a Python program that needs nothing else
    #[arg(long, exclusive = true)]
    print_verifier: bool,
    /// A checkpoint that was kept elsewhere; several may be named
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// The public key of the log, or a file with it, where the one in the store is not to be trusted
    #[arg(long, value_name = "KEY")]
    key: Option<NamedKey>,
    /// The public key of a witness, or a file with it; its cosignatures count as anchors
    #[arg(long, value_name = "KEY")]
    witness_key: Vec<NamedKey>,
    /// Exit with 1 unless a checkpoint or a cosignature from outside agrees
    #[arg(long)]
    require_anchor: bool,
    /// Read everything, which is the default
    #[arg(long, conflicts_with = "incremental")]
    full: bool,
    /// Read only what was recorded since the last verification that found everything good
    #[arg(long, conflicts_with = "repair")]
    incremental: bool,
    /// Restore what is damaged, as far as a good copy is there
    #[arg(long)]
    repair: bool,
}

/// What a check of a store is given.
struct Scope<'a> {
    context: &'a Context,
    anchors: &'a Anchors,
    /// The key that was named on the command line.
    key: Option<&'a VerifierKey>,
    /// Whether what was verified before is passed over.
    incremental: bool,
}

impl Verify {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        if self.print_verifier {
            context.terminal.print(VERIFIER.trim_end())?;
            return Ok(ExitCode::Done);
        }
        let anchors = Anchors::read(&self.checkpoint, &self.witness_key)?;
        let key = self.key.as_ref().map(|named| &named.0);
        let scope = Scope { context, anchors: &anchors, key, incremental: self.incremental };
        if let Some(path) = &self.path {
            let report = if path.is_dir() { pack::check(path, &scope) } else { file::check(path, &scope)? };
            report.tell(context)?;
            return Ok(report.exit_code(self.require_anchor));
        }
        let session = context.open()?;
        let mut report = parts::check(&session, &scope)?;
        if self.repair {
            let repaired = repair::repair(&session, &report)?;
            report = parts::check(&session, &scope)?;
            report.repaired = repaired;
        }
        if report.is_good()
            && let Some(proofs) = &report.proofs
        {
            // A store that cannot be written is read as a whole the next time.
            session.store.proofs().checkpoints().set_verified(proofs.size, proofs.root, context.now()).ok();
        }
        report.affected = impact::affected(&session, &mut report);
        report.tell(context)?;
        Ok(report.exit_code(self.require_anchor))
    }
}
