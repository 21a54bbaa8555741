//! `lineage history`: every event that touches a name or a version.

use std::collections::BTreeSet;

use lineage_store::graph::View;

use crate::context::Context;
use crate::exit::ExitCode;
use crate::reference::{Found, Target};

use super::log::Lines;

const EXAMPLES: &str = "\
EXAMPLES
  lineage history model churn          every version of it
  lineage history model churn@v4       one version
  lineage history b3:9f2c --json";

/// Arguments of `lineage history`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct History {
    /// A name, version or digest, with or without its kind: model churn@v4
    #[arg(required = true, num_args = 1..=2, value_name = "REF", add = super::completions::of_reference())]
    reference: Vec<String>,
}

impl History {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open()?;
        let target = one(&self.reference)?;
        let text = session.with_view(|view| {
            let found = target.resolve(view)?;
            Lines::new(&session)?.of(view, &touching(view, found))
        })?;
        context.terminal.print(&text)?;
        Ok(ExitCode::Done)
    }
}

/// The events that make, use or speak of a thing, oldest first; retracted ones too, which are marked.
pub(super) fn touching(view: &View, found: Found) -> Vec<u32> {
    let all = view.including_retracted();
    let (entity, versions) = match found {
        Found::Version(version) => (None, vec![version]),
        Found::Entity(entity) => (Some(entity), all.versions(entity)),
    };
    let mut events = BTreeSet::new();
    for version in versions {
        events.insert(all.mint(version));
        all.makers(version, |event| {
            events.insert(event);
        });
        all.uses(version, |event, _| {
            events.insert(event);
        });
    }
    if let Some(entity) = entity {
        // What is said of a name that has no version yet.
        let facts = all.facts().into_iter();
        events.extend(facts.filter(|f| f.subject == lineage_store::graph::Subject::Entity(entity)).map(|f| f.event));
    }
    events.into_iter().collect()
}

/// Reads one reference of one or two words.
pub(super) fn one(words: &[String]) -> anyhow::Result<Target> {
    let mut targets = Target::read(words);
    match (targets.pop(), targets.is_empty()) {
        (Some(target), true) => Ok(target),
        _ => Err(crate::exit::Problem::usage(format!("`{}` is not one reference", words.join(" ")))
            .help("write KIND NAME[@VERSION], such as model churn@v4")
            .into()),
    }
}
