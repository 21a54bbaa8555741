//! Registered models with their versions, aliases and stages, as a source tells them.

use super::super::error::Error;
use super::super::fact::{NewRegistered, NewVersion, pairs};
use super::super::registry::{self, Stage};
use super::source::{Alias, Version, at};
use super::{Import, ImportError, sorted};

impl Import<'_> {
    /// The registered models.
    pub(super) fn registry(&mut self) -> Result<(), ImportError> {
        let mut all = self.source.registered().map_err(ImportError::Source)?;
        all.sort_by(|a, b| a.name.cmp(&b.name));
        for theirs in all {
            let (name, created) = (theirs.name, at(theirs.creation_timestamp));
            let what = format!("registered model '{}'", name.escape_debug());
            if self.ledger.registry.found(&name).is_err() {
                let new = NewRegistered {
                    name: name.clone(),
                    description: theirs.description.filter(|text| !text.is_empty()),
                    tags: pairs(sorted(theirs.tags)),
                    at: created,
                };
                self.write(&what, created, |pen| registry::write::write_new(pen, new))?;
            }
            self.versions(&name)?;
            for Alias { alias, version } in theirs.aliases {
                let version = u32::try_from(version.0).unwrap_or_default();
                self.write(&what, created, |pen| {
                    let model = pen.ledger.registry.found(&name)?;
                    let minted = model.version(version)?.minted().to_owned();
                    registry::write::write_alias(pen, model, &minted, &alias, version)
                })?;
            }
        }
        Ok(())
    }

    fn versions(&mut self, name: &str) -> Result<(), ImportError> {
        let mut all = self.source.versions(name).map_err(ImportError::Source)?;
        all.sort_by_key(|version| version.number);
        for theirs in all {
            self.met.versions += 1;
            let number = u32::try_from(theirs.number.0).unwrap_or_default();
            let (created, updated) = (at(theirs.creation_timestamp), at(theirs.last_updated_timestamp));
            let what = format!("version {number} of the registered model '{}'", name.escape_debug());
            let stage = theirs.current_stage.as_deref().and_then(|word| Stage::of(word).ok());
            let model = self.ledger.registry.found(name).and_then(|model| model.version(number)).ok();
            match model.map(|ours| ours.source() == theirs.source) {
                Some(true) => {}
                Some(false) => {
                    let error = Error::exists("Another version of that number", name);
                    return Err(ImportError::Refused { what, error });
                }
                None => {
                    let storage = self.source.storage(name, number).map_err(ImportError::Source)?;
                    let new = new(name, number, theirs, storage);
                    self.write(&what, created, |pen| registry::version::write_new(pen, new))?;
                }
            }
            if let Some(stage) = stage.filter(|stage| *stage != Stage::None) {
                self.write(&what, updated, |pen| {
                    let model = pen.ledger.registry.found(name)?;
                    registry::stage::move_to(pen, model, model.version(number)?, stage, false)
                })?;
            }
        }
        Ok(())
    }
}

fn new(name: &str, version: u32, theirs: Version, storage: String) -> NewVersion {
    let model = theirs.source.strip_prefix("models:/").filter(|id| id.starts_with("m-")).map(str::to_owned);
    NewVersion {
        name: name.to_owned(),
        version,
        storage,
        model,
        run: theirs.run_id,
        run_link: theirs.run_link,
        description: theirs.description,
        tags: pairs(sorted(theirs.tags)),
        at: at(theirs.creation_timestamp),
        source: theirs.source,
    }
}
