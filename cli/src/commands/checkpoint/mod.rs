//! `lineage checkpoint`: the head of the log, signed, kept, and handed to those who can vouch for it.

mod anchor;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use lineage_store::StoreError;
use lineage_store::proof::{Advanced, Proofs, SignedCheckpoint, Signer};
use serde_json::json;

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::render::count;
use crate::session::Session;
use crate::signing::{self, NamedKey};

const EXAMPLES: &str = "\
EXAMPLES
  lineage checkpoint                              sign the head of the log and keep it
  lineage checkpoint --out audit-2026-11.checkpoint
                                                  the file to hand to an auditor
  lineage verify --checkpoint audit-2026-11.checkpoint
  lineage checkpoint --witness https://witness.example --witness-key witness.vkey
  lineage checkpoint --tsa http://tsa.example     a time stamp (RFC 3161)
  lineage checkpoint --git-tag                    an annotated tag, to be pushed

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
    /// Ask a witness (C2SP tlog-witness) to cosign; several may be named
    #[arg(long, value_name = "URL", requires = "witness_key")]
    witness: Vec<String>,
    /// The public key of a witness, or a file with it
    #[arg(long, value_name = "KEY")]
    witness_key: Vec<NamedKey>,
    /// Ask a time-stamping authority (RFC 3161)
    #[arg(long, value_name = "URL")]
    tsa: Option<String>,
    /// Tag the git repository that holds the store with the checkpoint [default name: lineage-checkpoint-SIZE]
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    git_tag: Option<String>,
    /// The file of the private key [default: `LINEAGE_SIGNING_KEY`, the setting `signing_key`, or keys/log.key]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Checkpoint {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open()?;
        let signer = signing::signer(&session, self.key.as_deref())?;
        let proofs = session.store.proofs();
        let mut signed = with_cosignatures(&proofs, sign(&session, &signer)?)?;
        let mut done = Done::default();
        // What is handed out below is kept first, and again with what it got.
        let path = proofs.checkpoints().keep(&signed)?;
        done.say(format!("kept in {}", path.display()));
        let keys: Vec<_> = self.witness_key.iter().map(|named| named.0.clone()).collect();
        for url in &self.witness {
            done.say(anchor::cosign(&proofs, &mut signed, url, &keys)?);
            proofs.checkpoints().keep(&signed)?;
        }
        if let Some(url) = &self.tsa {
            done.say(anchor::stamp(&proofs, &signed, url)?);
        }
        if let Some(name) = &self.git_tag {
            let own = format!("lineage-checkpoint-{}", signed.size());
            let name = if name.is_empty() { own } else { name.clone() };
            let root = session.store.layout().root();
            done.say(anchor::tag(root.parent().unwrap_or(root), &signed, &name)?);
        }
        if let Some(file) = &self.out {
            hand_out(&signed, &signer, file)?;
            done.say(format!("written to {}; keep it where the owner of this store cannot change it", file.display()));
        }
        done.tell(&session, &signed, &signer)
    }
}

/// A checkpoint with the cosignatures that it got earlier.
fn with_cosignatures(proofs: &Proofs, signed: SignedCheckpoint) -> anyhow::Result<SignedCheckpoint> {
    let kept = proofs.checkpoints().kept(signed.size())?;
    Ok(kept.filter(|kept| kept.checkpoint() == signed.checkpoint()).unwrap_or(signed))
}

/// The newest checkpoint, signed now if it does not cover every event.
pub(super) fn sign(session: &Session, signer: &Signer) -> anyhow::Result<SignedCheckpoint> {
    for _ in 0..BUSY.0 {
        match session.store.proofs().advance(signer)? {
            Advanced::Signed(signed) => return Ok(signed),
            Advanced::Current(Some(signed)) => {
                let path = session.store.proofs().checkpoints().latest_path();
                let damaged = |error| Problem::new(ExitCode::Damaged, format!("{}: {error}", path.display()));
                signed.verify(signer.public()).map_err(|error| damaged(error).help("see `lineage verify`"))?;
                return Ok(signed);
            }
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
        let events = count(signed.size(), "event");
        let mut text = format!("{signed}\n{events} under this tree head\npublic key {}\n", signer.public());
        for line in self.lines {
            text.push_str(&line);
            text.push('\n');
        }
        context.terminal.print(text.trim_end())?;
        Ok(ExitCode::Done)
    }
}
