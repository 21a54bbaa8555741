//! Approvals: which of the recorded ones let a step run: of whom, in which role, until when.

use std::collections::BTreeMap;

use lineage_ingest::pipeline::{Approval, Order, Step};
use lineage_store::event::{About, Event, Kind};
use lineage_store::time::Time;

use crate::session::Session;
use crate::token::EVERY;

/// Whether an approval of a step is recorded that holds now.
pub(super) fn is_approved(session: &Session, step: &Step, run: &str, order: &Order) -> anyhow::Result<bool> {
    let Some(wanted) = &step.approve else { return Ok(true) };
    let now = session.context.now();
    let namespace = &order.base.namespace;
    for event in events(session, Kind::Approve)? {
        let is_about = event.about.iter().any(|about| matches!(about, About::Run(named) if named.run == run));
        let other = !wanted.other_than_author || approver(&event) != order.base.actor;
        if is_about
            && event.namespace == *namespace
            && is_in_time(&event, wanted, now)
            && (wanted.role.is_none() || event.args.text("role") == wanted.role)
            && other
            && may(session, &event, namespace)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Who approved: whoever was authenticated, else who it is said to be.
fn approver(event: &Event) -> &str {
    event.principal.as_deref().unwrap_or(&event.actor)
}

fn is_in_time(event: &Event, wanted: &Approval, now: Time) -> bool {
    let young = |time: Time| {
        let age = now.0.saturating_sub(time.0).max(0) as u128;
        wanted.expires.is_none_or(|expires| age <= expires.as_nanos())
    };
    event.args.time("expires").is_none_or(|until| now <= until) && event.time.is_none_or(young)
}

/// Whether the approver had the role that he approved in.
fn may(session: &Session, event: &Event, namespace: &str) -> anyhow::Result<bool> {
    let Some(role) = event.args.text("role") else { return Ok(true) };
    let at = event.time.unwrap_or_else(|| session.context.now());
    Ok(holders(session, &role, namespace, at)?.is_none_or(|holders| holders.iter().any(|who| who == approver(event))))
}

/// Who has a role in a namespace at an instant, as events of kind `access` grant and revoke it; none if nobody ever was
/// given it there, so that it counts as it is said.
pub(super) fn holders(session: &Session, role: &str, namespace: &str, at: Time) -> anyhow::Result<Option<Vec<String>>> {
    let mut changes: Vec<Event> = events(session, Kind::Access)?;
    // Stable, so that of one instant the later record counts.
    changes.sort_by_key(|event| event.time);
    let mut known = false;
    let mut until: BTreeMap<(String, String), Option<Time>> = BTreeMap::new();
    for event in changes.iter().filter(|event| event.time.is_none_or(|time| time <= at)) {
        let field = |name: &str| event.args.text(name);
        let Some(subject) = field("subject") else { continue };
        let scope = field("scope");
        let is_here = scope.as_ref().is_none_or(|scope| scope == EVERY || scope == namespace);
        let is_role = |named: &str| named == role;
        match field("action").as_deref() {
            Some("grant") if is_here && field("role").as_deref().is_some_and(is_role) => {
                known = true;
                until.insert((subject, scope.unwrap_or_else(|| EVERY.to_owned())), event.args.time("expires"));
            }
            // Without a role, or without a scope, everything is taken away.
            Some("revoke") if is_here && field("role").as_deref().is_none_or(is_role) => {
                until.retain(|(who, where_), _| *who != subject || scope.as_ref().is_some_and(|scope| scope != where_));
            }
            _ => {}
        }
    }
    let valid = until.into_iter().filter(|(_, until)| until.is_none_or(|until| at < until));
    let mut holders: Vec<String> = valid.map(|((subject, _), _)| subject).collect();
    holders.dedup();
    Ok(known.then_some(holders))
}

/// The events of a kind that nobody took back, oldest first.
fn events(session: &Session, kind: Kind) -> anyhow::Result<Vec<Event>> {
    let positions = session.with_view(|view| {
        let mut positions = view.events_of_kind(kind);
        positions.retain(|position| !view.is_hidden(*position));
        positions.sort_unstable();
        Ok(positions)
    })?;
    let reader = session.store.reader()?;
    positions.into_iter().map(|position| Ok(reader.event(position.into())?.0)).collect()
}
