//! What events said, as text: references, runs and events as their emitters named them.

use lineage_store::event::{About, Event, Ref};

/// What an event is about.
pub(super) fn about(event: &Event) -> Vec<String> {
    event.about.iter().map(one).collect()
}

fn one(about: &About) -> String {
    match about {
        About::Thing(reference) => thing(reference),
        About::Run(run) => {
            let parts = [run.namespace.as_deref(), run.job.as_deref(), Some(run.run.as_str())];
            format!("run {}", parts.into_iter().flatten().collect::<Vec<_>>().join("/"))
        }
        About::Event(id) => format!("event {id}"),
    }
}

/// `KIND NAME@VERSION`, or the digest where there is no version.
fn thing(reference: &Ref) -> String {
    let kind = reference.kind.map_or("artifact", |kind| kind.as_str());
    let name = reference.name.as_deref().unwrap_or("");
    let version = reference.version.as_deref().or(reference.label.as_deref());
    match (version, &reference.digest) {
        (Some(version), _) => format!("{kind} {name}@{version}"),
        (None, Some(digest)) => format!("{kind} {name}@{}", digest.text()),
        (None, None) => format!("{kind} {name}"),
    }
}
