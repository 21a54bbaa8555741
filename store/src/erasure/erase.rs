//! Taking away: the keys and the sealed bytes of a subject, and what else of it lies around.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::subject::{Kept, opened};
use super::{Keys, scrub};
use crate::error::Result;
use crate::store::Store;

/// What an erasure took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Values whose sealed bytes were removed.
    pub payloads: u64,
    /// Events that kept them.
    pub events: u64,
    /// Keys that were destroyed.
    pub keys: u64,
    /// Lines of rejects and of the spool, and files that were cut from the journal, that named the subject.
    pub scrubbed: u64,
}

/// A value whose sealed bytes or key are gone though no erasure says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The value.
    pub kept: Kept,
    /// What is gone or wrong.
    pub what: &'static str,
}

impl Store {
    /// Takes away all that events before a position keep of a subject; call it once the erasure is recorded there.
    ///
    /// What is gone already is no error, so that an erasure that was interrupted is finished by calling it again.
    pub fn take_away(&self, keys: &Keys, subject: &str, until: u64) -> Result<Erased> {
        self.take_away_all(keys, &[(until, subject.to_owned())])
    }

    /// Finishes every recorded erasure, as after a restore.
    pub fn finish_erasures(&self, keys: &Keys) -> Result<Erased> {
        let erasures = self.erasures()?;
        if erasures.is_empty() { Ok(Erased::default()) } else { self.take_away_all(keys, &erasures) }
    }

    fn take_away_all(&self, keys: &Keys, erasures: &[(u64, String)]) -> Result<Erased> {
        // The last erasure of each subject covers the earlier ones.
        let last: BTreeMap<&str, u64> = erasures.iter().map(|(until, subject)| (subject.as_str(), *until)).collect();
        let (mut gone, mut events) = (HashSet::new(), BTreeSet::new());
        let mut came_back = BTreeSet::new();
        self.kept(&mut |kept| {
            for (subject, until) in last.iter().filter(|(subject, _)| kept.is_of(subject)) {
                if kept.position < *until {
                    events.insert(kept.position);
                    gone.insert(kept.digest);
                } else {
                    came_back.insert(*subject);
                }
            }
            Ok(())
        })?;
        let mut erased = Erased { events: events.len() as u64, ..Erased::default() };
        for subject in last.keys().filter(|subject| !came_back.contains(*subject)) {
            erased.keys += u64::from(keys.remove(subject)?);
        }
        if !gone.is_empty() {
            erased.payloads = self.payloads().remove_all(&gone)?;
        }
        for subject in last.keys() {
            erased.scrubbed += scrub::subject(self.layout(), subject)?;
        }
        Ok(erased)
    }

    /// Every value whose sealed bytes or key are gone or changed without a later erasure of its subject.
    pub fn missing(&self, keys: &Keys) -> Result<Vec<Missing>> {
        let erasures = self.erasures()?;
        let mut missing = Vec::new();
        self.kept(&mut |kept| {
            if erasures.iter().any(|(until, subject)| kept.position < *until && kept.is_of(subject)) {
                return Ok(());
            }
            let what = match self.payloads().get(&kept.digest) {
                Err(error) if error.is_corrupt() => Some("its bytes were changed"),
                Err(error) => return Err(error),
                Ok(None) => Some("its bytes are gone, and no erasure covers them"),
                Ok(Some(_)) if keys.find(kept.subject.as_deref())?.is_none() => {
                    Some("its key is gone, and no erasure covers it")
                }
                Ok(Some(sealed)) if opened(keys, &kept, &sealed)?.is_none() => {
                    Some("its bytes do not open with its key at this place")
                }
                Ok(Some(_)) => None,
            };
            missing.extend(what.map(|what| Missing { kept, what }));
            Ok(())
        })?;
        Ok(missing)
    }
}
