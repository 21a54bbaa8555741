//! Stages: what `MLflow`'s registry says is served where, as claimed deployments and retirements.

use lineage_store::event::{Args, Event, Kind};
use serde::Deserialize;

use super::super::body::{Body, flag, required};
use super::super::error::Error;
use super::super::fact::{Fact, VersionChange};
use super::super::number::Int;
use super::super::pen::{Pen, Then, about};
use super::shown::{number, one_version};
use super::{Registered, Version};

/// The stage of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Stage {
    None,
    Staging,
    Production,
    Archived,
}

impl Stage {
    pub(super) const ALL: [Self; 4] = [Self::None, Self::Staging, Self::Production, Self::Archived];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }

    /// The stage of a word, whatever its case.
    pub(in super::super) fn of(word: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|stage| stage.as_str().eq_ignore_ascii_case(word));
        found.ok_or_else(|| {
            let valid = Self::ALL.map(Self::as_str).join(", ");
            Error::invalid(format!(
                "Invalid Model Version stage: {}. Value must be one of {valid}.",
                word.escape_debug()
            ))
        })
    }

    /// The environment that it stands for.
    fn environment(self) -> Option<&'static str> {
        match self {
            Self::Staging => Some("staging"),
            Self::Production => Some("prod"),
            Self::None | Self::Archived => None,
        }
    }
}

#[derive(Deserialize)]
struct Asked {
    name: Option<String>,
    version: Option<Int>,
    stage: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    archive_existing_versions: bool,
}

/// `model-versions/transition-stage`
pub fn transition(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let asked: Asked = body.read()?;
    let (name, number) = (required(asked.name, "name")?, number(asked.version)?);
    let stage = Stage::of(&required(asked.stage, "stage")?)?;
    let archive = asked.archive_existing_versions;
    if archive && stage.environment().is_none() {
        let text = "Model version transition cannot archive existing model versions because the target stage is neither \
                    Staging nor Production";
        return Err(Error::invalid(text));
    }
    let ledger = pen.ledger;
    let model = ledger.registry.found(&name)?;
    let version = model.version(number)?;
    if archive {
        for other in model.versions.values().filter(|other| other.stage == stage && other.number != number) {
            move_to(pen, model, other, Stage::Archived, false)?;
        }
    }
    move_to(pen, model, version, stage, archive)?;
    Ok(Then::ask(move |ledger| one_version(ledger, &name, number)))
}

/// Writes that a version is in a stage now; `alone`: instead of whatever is served there.
pub(in super::super) fn move_to(
    pen: &mut Pen<'_>,
    model: &Registered,
    version: &Version,
    stage: Stage,
    alone: bool,
) -> Result<(), Error> {
    let change = VersionChange {
        name: model.name.clone(),
        version: version.number,
        stage: Some(stage.as_str().to_owned()),
        at: pen.stamp.now,
        ..VersionChange::default()
    };
    let fact = Fact::VersionChange(change);
    let leaves = version.stage.environment().filter(|_| version.stage != stage);
    let mut event = match (stage.environment(), leaves) {
        (Some(environment), _) => {
            if leaves.is_some() {
                let mut event = pen.consequence(Kind::Retirement);
                leave(&mut event, version, leaves);
                pen.write(event);
            }
            let mut event = pen.event(Kind::Deployment, &fact)?;
            event.environment = Some(environment.to_owned());
            event.service = Some(version.minted.clone());
            if !alone {
                // Several versions may be in one stage.
                event.args = Args::build(Kind::Deployment, &[("alongside", true.into())])
                    .map_err(|refusal| Error::invalid(refusal.to_string()))?;
            }
            event
        }
        (None, Some(_)) => {
            let mut event = pen.event(Kind::Retirement, &fact)?;
            leave(&mut event, version, leaves);
            event.about.clear();
            event
        }
        // It was served nowhere, and is not now.
        (None, None) => pen.event(Kind::Describe, &fact)?,
    };
    event.about.push(about(&version.minted, &version.number.to_string()));
    pen.write(event);
    Ok(())
}

/// Writes that a version that is deleted is served no more.
pub(super) fn retire(pen: &mut Pen<'_>, version: &Version) {
    let leaves = version.stage.environment();
    if leaves.is_some() {
        let mut event = pen.consequence(Kind::Retirement);
        leave(&mut event, version, leaves);
        pen.write(event);
    }
}

/// Fills a retirement from the slot of an environment; what other tools deployed elsewhere stays.
fn leave(event: &mut Event, version: &Version, environment: Option<&str>) {
    event.environment = environment.map(str::to_owned);
    event.service = Some(version.minted.clone());
    event.about.push(about(&version.minted, &version.number.to_string()));
}
