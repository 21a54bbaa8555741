//! `lineage checkpoint`: the head of the log, signed, kept, and handed to those who can vouch for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use lineage_store::StoreError;
use lineage_store::proof::{Advanced, SignedCheckpoint, Signer};
use serde_json::json;

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::render::count;
use crate::session::Session;
use crate::signing;

const EXAMPLES: &str = "\
EXAMPLES
  lineage checkpoint                              sign the head of the log and keep it
  lineage checkpoint --out audit-2026-11.checkpoint
                                                  the file to hand to an auditor
  lineage verify --checkpoint audit-2026-11.checkpoint

A checkpoint says how many events there are and which tree they form, signed with the key of this log.
Kept in the store it shows what others changed; kept elsewhere it also shows what the owner of the key changed.";

/// How often, and how long apart, it is tried again while another process signs.
const BUSY: (u32, Duration) = (100, Duration::from_millis(20));

/// Arguments of `lineage checkpoint`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Checkpoint {
    /// Write the checkpoint to a file, and the public key beside it as FILE.vkey
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The file of the private key [default: `LINEAGE_SIGNING_KEY`, the setting `signing_key`, or keys/log.key]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Checkpoint {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open()?;
        let signer = signing::signer(&session, self.key.as_deref())?;
        let signed = sign(&session, &signer)?;
        let mut done = Done::default();
        let path = session.store.proofs().checkpoints().keep(&signed)?;
        done.say(format!("kept in {}", path.display()));
        if let Some(file) = &self.out {
            hand_out(&signed, &signer, file)?;
            done.say(format!("written to {}; keep it where the owner of this store cannot change it", file.display()));
        }
        done.tell(&session, &signed, &signer)
    }
}

/// The newest checkpoint, signed now if it does not cover every event.
pub(super) fn sign(session: &Session, signer: &Signer) -> anyhow::Result<SignedCheckpoint> {
    for _ in 0..BUSY.0 {
        match session.store.proofs().advance(signer)? {
            Advanced::Signed(signed) | Advanced::Current(Some(signed)) => return Ok(signed),
            Advanced::Current(None) => {
                return Err(Problem::failed("there are no events yet").help("record something first").into());
            }
            Advanced::Busy => std::thread::sleep(BUSY.1),
        }
    }
    let path = session.store.layout().part("checkpoints").join("lock");
    Err(StoreError::Locked { path, waited_ms: u64::from(BUSY.0) * 20 }.into())
}

/// Writes the checkpoint and the public key for someone else.
fn hand_out(signed: &SignedCheckpoint, signer: &Signer, file: &Path) -> anyhow::Result<()> {
    let key = PathBuf::from(format!("{}.vkey", file.display()));
    for (path, text) in [(file, signed.to_string()), (&key, format!("{}\n", signer.public()))] {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// What was done with a checkpoint.
#[derive(Default)]
struct Done {
    lines: Vec<String>,
}

impl Done {
    fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    fn tell(self, session: &Session, signed: &SignedCheckpoint, signer: &Signer) -> anyhow::Result<ExitCode> {
        let context = &session.context;
        if context.json {
            let object = json!({
                "origin": signed.checkpoint().origin,
                "size": signed.size(),
                "root": signed.root().to_string(),
                "key": signer.public().to_string(),
                "checkpoint": signed.to_string(),
                "done": self.lines,
            });
            context.terminal.print(&object.to_string())?;
            return Ok(ExitCode::Done);
        }
        let mut text = format!("{signed}\n{} under this tree head\n", count(signed.size(), "event"));
        for line in self.lines {
            text.push_str(&line);
            text.push('\n');
        }
        context.terminal.print(text.trim_end())?;
        Ok(ExitCode::Done)
    }
}
