//! What was checked, what is wrong, and the verdict.

use lineage_store::StoreError;
use lineage_store::digest::Blake3;
use lineage_store::proof::{Here, ProofReport};
use serde_json::{Value, json};

use super::anchors::Anchored;
use crate::context::Context;
use crate::exit::ExitCode;
use crate::render::{ago, clean, count};

/// So many models that are affected are named in the text; JSON has all.
const NAMED_MAX: usize = 50;

/// What was checked, and what is wrong.
#[derive(Default)]
pub(super) struct Report {
    /// What was checked, if not the store.
    pub(super) path: Option<String>,
    pub(super) checked: Vec<String>,
    pub(super) damage: Vec<Finding>,
    pub(super) notes: Vec<String>,
    pub(super) repaired: Vec<String>,
    /// What the proofs are; `None` if the journal could not be read at all.
    pub(super) proofs: Option<ProofReport>,
    pub(super) anchored: Anchored,
    /// The models that are, or come from, what is damaged.
    pub(super) affected: Vec<String>,
}

/// One damage.
pub(super) struct Finding {
    pub(super) part: &'static str,
    pub(super) file: String,
    pub(super) offset: Option<u64>,
    /// The first event that is lost or changed, and how many.
    pub(super) positions: Option<(u64, u64)>,
    /// The artifact whose bytes are damaged.
    pub(super) digest: Option<Blake3>,
    pub(super) what: String,
}

impl Finding {
    pub(super) fn new(part: &'static str, file: String, what: String) -> Self {
        Self { part, file, offset: None, positions: None, digest: None, what }
    }

    fn place(&self) -> String {
        let offset = self.offset.map_or(String::new(), |offset| format!(" at byte {offset}"));
        format!("{}{offset}", self.file)
    }

    fn text(&self) -> String {
        let position = self.positions.map_or(String::new(), |(position, _)| format!(", #{position}"));
        let what = clean(&self.what);
        format!("damaged  {}: {}{position}: {what}", self.part, clean(&self.place()))
    }

    fn json(&self) -> Value {
        json!({
            "part": self.part, "place": self.place(), "file": self.file, "offset": self.offset,
            "position": self.positions.map(|(position, _)| position),
            "events": self.positions.map_or(0, |(_, count)| count), "what": self.what,
        })
    }
}

/// The verdict on a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Anchored,
    Unanchored,
    Diverged,
    Invalid,
}

impl Report {
    /// Takes damage that came as an error; any other error ends the command.
    pub(super) fn add(&mut self, part: &'static str, error: StoreError) -> anyhow::Result<()> {
        match error {
            StoreError::Corrupt { path, offset, what } => {
                let finding = Finding::new(part, path.display().to_string(), what);
                self.damage.push(Finding { offset: Some(offset), ..finding });
                Ok(())
            }
            error => Err(error.into()),
        }
    }

    /// Takes what the check of another part came to.
    pub(super) fn take(&mut self, part: Self) {
        self.checked.extend(part.checked);
        self.damage.extend(part.damage);
        self.notes.extend(part.notes);
    }

    /// Whether a part is damaged.
    pub(super) fn has(&self, part: &str) -> bool {
        self.damage.iter().any(|finding| finding.part == part)
    }

    /// Nothing is wrong, and no checkpoint from outside disagrees.
    pub(super) fn is_good(&self) -> bool {
        matches!(self.verdict(), Verdict::Anchored | Verdict::Unanchored)
    }

    fn verdict(&self) -> Verdict {
        if self.anchored.diverged().next().is_some() {
            Verdict::Diverged
        } else if !self.damage.is_empty() {
            Verdict::Invalid
        } else if self.anchored.count() > 0 {
            Verdict::Anchored
        } else {
            Verdict::Unanchored
        }
    }

    pub(super) fn exit_code(&self, require_anchor: bool) -> ExitCode {
        match self.verdict() {
            Verdict::Diverged | Verdict::Invalid => ExitCode::Damaged,
            Verdict::Unanchored if require_anchor => ExitCode::Unmet,
            Verdict::Anchored | Verdict::Unanchored => ExitCode::Done,
        }
    }

    /// The verdict in a line, which never says more than what was checked.
    fn line(&self, context: &Context) -> String {
        match self.verdict() {
            Verdict::Anchored => {
                let newest = self.anchored.newest().filter(|_| self.path.is_none());
                let newest = newest.map_or(String::new(), |anchor| {
                    let total = self.proofs.as_ref().map_or(0, |proofs| proofs.size);
                    let age = ago(anchor.time, context.now());
                    format!(", newest {age}, covering {} of {}", anchor.size, count(total, "event"))
                });
                format!(
                    "ANCHORED ({}{newest}): what is here fits together and with what was kept outside",
                    self.anchored.count()
                )
            }
            Verdict::Unanchored => {
                "CONSISTENT, UNANCHORED: what is here fits together; no checkpoint kept elsewhere vouches for it"
                    .to_owned()
            }
            Verdict::Diverged => {
                let damage = if self.damage.is_empty() {
                    String::new()
                } else {
                    format!("; {}", count(self.damage.len() as u64, "damage"))
                };
                format!("DIVERGED: the log here is not the one that was kept outside{damage}")
            }
            Verdict::Invalid => format!("INVALID: {}", count(self.damage.len() as u64, "damage")),
        }
    }

    pub(super) fn tell(&self, context: &Context) -> anyhow::Result<()> {
        if context.json {
            context.terminal.print(&self.json(context).to_string())?;
            return Ok(());
        }
        let mut lines: Vec<String> = self.repaired.iter().map(|line| format!("repaired {line}")).collect();
        lines.extend(self.checked.iter().map(|line| format!("checked  {line}")));
        lines.extend(self.anchored.lines(context.now()));
        lines.extend(self.damage.iter().map(Finding::text));
        lines.extend(self.affected.iter().take(NAMED_MAX).map(|model| format!("affected {}", clean(model))));
        if self.affected.len() > NAMED_MAX {
            lines.push(format!("affected {} more models; --json names all", self.affected.len() - NAMED_MAX));
        }
        lines.extend(self.notes.iter().map(|line| format!("note     {line}")));
        lines.push(self.line(context));
        context.terminal.print(&lines.join("\n"))?;
        if !self.damage.is_empty() && self.repaired.is_empty() && self.path.is_none() {
            context.terminal.tell("help: `lineage verify --repair` restores what has a second copy");
        }
        Ok(())
    }

    fn json(&self, context: &Context) -> Value {
        let proofs = self.proofs.as_ref();
        let compared = self.anchored.compared.iter().map(|compared| {
            let here = match compared.here {
                Here::Same => json!(compared.kept.root().to_string()),
                Here::Other(root) => json!(root.to_string()),
                Here::Shorter(_) | Here::Lost => Value::Null,
            };
            json!({
                "size": compared.kept.size(), "kept": compared.kept.root().to_string(), "here": here,
                "agrees": compared.here == Here::Same,
            })
        });
        json!({
            "verdict": match self.verdict() {
                Verdict::Anchored => "ANCHORED",
                Verdict::Unanchored => "CONSISTENT, UNANCHORED",
                Verdict::Diverged => "DIVERGED",
                Verdict::Invalid => "INVALID",
            },
            "consistent": self.damage.is_empty(),
            "anchored": self.verdict() == Verdict::Anchored,
            "anchors": self.anchored.count(),
            "newest_anchor": self.anchored.newest().map(|anchor| anchor.time.to_string()),
            "now": context.now().to_string(),
            "size": proofs.map(|proofs| proofs.size),
            "head": proofs.map(|proofs| proofs.root.to_string()),
            "compared": compared.collect::<Vec<_>>(),
            "checked": self.checked,
            "damage": self.damage.iter().map(Finding::json).collect::<Vec<_>>(),
            "affected_models": self.affected,
            "notes": self.notes,
            "repaired": self.repaired,
        })
    }
}
