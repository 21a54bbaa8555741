//! One event in full, for people.

use lineage_store::event::{Event, Json};
use lineage_store::graph::{Use, View};

use crate::reference::{Found, label};
use crate::render::{align, clean};
use crate::session::Session;

use super::log::Lines;

/// Everything an event says, or its leaf for programs.
pub(super) fn text(session: &Session, view: &View, position: u32) -> anyhow::Result<String> {
    if session.context.json {
        return Lines::new(session)?.json(view, position);
    }
    let (event, id, recorded) = session.store.reader()?.event(position.into())?;
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |key: &str, value: &str| rows.push(vec![format!("  {key}"), clean(value)]);
    if view.is_hidden(position) {
        row("retracted", "yes");
    }
    row("id", &id);
    row("time", &view.time(position).to_string());
    row("recorded", &recorded.to_string());
    row("actor", &event.actor);
    row("namespace", &event.namespace);
    row("evidence", event.evidence.as_str());
    let state = event.state.to_string();
    let texts = [
        ("job", &event.job),
        ("run", &event.run),
        ("state", &event.run.is_some().then_some(state)),
        ("environment", &event.environment),
        ("service", &event.service),
        ("outcome", &event.outcome.map(|outcome| outcome.to_string())),
        ("principal", &event.principal),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            row(key, text);
        }
    }
    for mention in view.mentions(position) {
        let (key, role) = match mention.usage {
            Use::Input(role) => ("input", format!(" ({role}{})", if mention.inferred { ", inferred" } else { "" })),
            Use::About => ("about", String::new()),
        };
        row(key, &format!("{}{role}", label(view, Found::Version(mention.version))));
    }
    for made in view.made(position) {
        row("output", &label(view, Found::Version(made.version)));
    }
    for entity in view.partial(position) {
        row("partial", &label(view, Found::Entity(entity)));
    }
    if !event.tags.is_empty() {
        row("tags", &event.tags.join(", "));
    }
    for (section, json) in sections(&event) {
        for (key, value) in json.members() {
            row(section, &format!("{key}: {value}"));
        }
    }
    let title = session.context.terminal.bold(&format!("#{position} {}", event.kind));
    Ok(format!("{title}\n{}", align(&rows)))
}

fn sections(event: &Event) -> [(&'static str, &Json); 8] {
    [
        ("args", event.args.json()),
        ("params", &event.params),
        ("metrics", &event.metrics),
        ("code", &event.code),
        ("software", &event.software),
        ("facets", &event.facets),
        ("sealed", &event.sealed),
        ("outlined", &event.outlined),
    ]
}
