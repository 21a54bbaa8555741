//! Anchors: checkpoints and keys of witnesses that come from outside, and what the log says of them.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use lineage_store::proof::{Compared, Here, SignedCheckpoint, VerifierKey};
use lineage_store::time::Time;

use crate::exit::{ExitCode, Problem};
use crate::render::{ago, clean, count};
use crate::signing::NamedKey;

const NANOS: i64 = 1_000_000_000;

/// What was brought along.
pub(super) struct Anchors {
    /// Each with its file.
    pub(super) kept: Vec<(PathBuf, SignedCheckpoint)>,
    pub(super) witnesses: Vec<VerifierKey>,
}

impl Anchors {
    pub(super) fn read(files: &[PathBuf], witnesses: &[NamedKey]) -> anyhow::Result<Self> {
        let kept = files.iter().map(|file| {
            let bytes = fs::read(file).with_context(|| format!("cannot read the checkpoint {}", file.display()))?;
            let text = String::from_utf8(bytes).map_err(|_| "it is no UTF-8".to_owned());
            let signed = text.and_then(|text| SignedCheckpoint::parse(&text).map_err(|error| error.to_string()));
            let invalid = |what| {
                Problem::new(ExitCode::Damaged, format!("{} is no checkpoint: {what}", file.display()))
                    .help("use the file as `lineage checkpoint --out FILE` wrote it")
            };
            Ok((file.clone(), signed.map_err(invalid)?))
        });
        let kept = kept.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { kept, witnesses: witnesses.iter().map(|named| named.0.clone()).collect() })
    }

    /// The checkpoints.
    pub(super) fn checkpoints(&self) -> Vec<SignedCheckpoint> {
        self.kept.iter().map(|(_, signed)| signed.clone()).collect()
    }
}

/// Something outside that agrees with the log.
pub(super) struct Anchor {
    /// Who or what it is.
    pub(super) what: String,
    /// How many events it covers.
    pub(super) size: u64,
    /// Since when.
    pub(super) time: Time,
}

/// What the log says of the anchors.
#[derive(Default)]
pub(super) struct Anchored {
    pub(super) anchors: Vec<Anchor>,
    pub(super) compared: Vec<Compared>,
}

impl Anchored {
    /// Takes the checkpoints that agree as anchors; `recorded` tells when the last event that one covers was recorded.
    pub(super) fn of(compared: Vec<Compared>, mut recorded: impl FnMut(u64) -> Time) -> Self {
        let agreeing = compared.iter().filter(|compared| compared.here == Here::Same).map(|compared| Anchor {
            what: "a checkpoint kept outside".to_owned(),
            size: compared.kept.size(),
            time: compared.kept.size().checked_sub(1).map_or(Time::MIN, &mut recorded),
        });
        Self { anchors: agreeing.collect(), compared }
    }

    /// Counts the cosignatures of known witnesses on checkpoints that were compared with the tree, the newest of each;
    /// what is wrong with the others.
    pub(super) fn add_cosignatures(
        &mut self,
        witnesses: &[VerifierKey],
        checkpoints: &[&SignedCheckpoint],
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        for witness in witnesses {
            let mut newest: Option<(u64, u64)> = None;
            for signed in checkpoints {
                match signed.cosigned(witness) {
                    Ok(Some(seconds)) => newest = newest.max(Some((signed.size(), seconds))),
                    Ok(None) => {}
                    Err(error) => wrong.push(error.to_string()),
                }
            }
            self.anchors.extend(newest.map(|(size, seconds)| Anchor {
                what: format!("cosigned by {}", witness.name()),
                size,
                time: Time(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(NANOS)),
            }));
        }
        wrong
    }

    /// How many anchors agree.
    pub(super) fn count(&self) -> usize {
        self.anchors.len()
    }

    /// The anchor that covers most.
    pub(super) fn newest(&self) -> Option<&Anchor> {
        self.anchors.iter().max_by_key(|anchor| (anchor.size, anchor.time))
    }

    /// The checkpoints that the log here does not go on from.
    pub(super) fn diverged(&self) -> impl Iterator<Item = &Compared> {
        self.compared.iter().filter(|compared| matches!(compared.here, Here::Other(_) | Here::Shorter(_)))
    }

    pub(super) fn lines(&self, now: Time) -> Vec<String> {
        let anchors = self.anchors.iter().map(|anchor| {
            let covers = count(anchor.size, "event");
            let age = if anchor.time == Time::MIN { String::new() } else { format!(", {}", ago(anchor.time, now)) };
            format!("anchor   {}: covers {covers}{age}", clean(&anchor.what))
        });
        let others = self.compared.iter().filter_map(|compared| {
            let size = compared.kept.size();
            let here = match compared.here {
                Here::Same => return None,
                Here::Other(root) => format!("here {root}"),
                Here::Shorter(count) => format!("here are only {count} events"),
                Here::Lost => {
                    return Some(format!(
                        "note     whether a checkpoint of {size} events agrees cannot be told: an event is lost"
                    ));
                }
            };
            Some(format!("diverged at {size} events: kept outside {}, {here}", compared.kept.root()))
        });
        anchors.chain(others).collect()
    }
}
