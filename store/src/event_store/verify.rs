//! What journal and event store do not agree on.

use std::ops::Range;

use super::EventStore;
use crate::error::Result;
use crate::journal::{Found, Journal};

/// An event that journal and event store do not agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its position.
    pub position: u64,
    /// How many events from there.
    pub count: u64,
    /// What differs.
    pub what: String,
}

impl EventStore {
    /// Compares every event with the journal, both ways; the differences.
    pub fn verify_against(&self, journal: &Journal) -> Result<Vec<Difference>> {
        let head = journal.head()?;
        let mut differences = Vec::new();
        journal.survey(&head, &mut |found| {
            match found {
                Found::Record(record) if record.position >= self.head() => {}
                Found::Record(record) => match self.line(record.position) {
                    Ok(line) if line == record.line => {}
                    Ok(_) => add(&mut differences, record.position..record.position + 1, "not the same event"),
                    Err(error) => add(&mut differences, record.position..record.position + 1, &error.to_string()),
                },
                Found::Damage(damage) => {
                    let what = format!("damaged in the journal: {}", damage.what);
                    add(&mut differences, damage.position..damage.position + damage.count, &what);
                }
            }
            Ok(())
        })?;
        if self.head() < head.count {
            add(&mut differences, self.head()..head.count, "not in the event store");
        }
        if self.head() > head.count {
            add(&mut differences, head.count..self.head(), "not in the journal");
        }
        Ok(differences)
    }
}

/// Adds a difference, joined with the one before where they are alike.
fn add(differences: &mut Vec<Difference>, positions: Range<u64>, what: &str) {
    let count = positions.end - positions.start;
    match differences.last_mut() {
        Some(last) if last.what == what && last.position + last.count == positions.start => last.count += count,
        _ => differences.push(Difference { position: positions.start, count, what: what.to_owned() }),
    }
}
