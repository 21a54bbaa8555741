//! What people say of names and versions: tag, untag, alias, link, describe.

use lineage_store::event::{About, Args, EntityKind, Event, Kind};
use lineage_store::graph::View;
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::reference::{Found, Target, entity, label, namespace, number, parse_kind, reference};
use crate::session::{Session, refused};

const TAG_EXAMPLES: &str = "\
EXAMPLES
  lineage tag dataset churn-raw pii            every version, later ones too
  lineage tag model churn@v4 candidate exp-7";
const UNTAG_EXAMPLES: &str = "\
EXAMPLES
  lineage untag dataset churn-raw pii";
const ALIAS_EXAMPLES: &str = "\
EXAMPLES
  lineage alias model churn@v4 champion        then: lineage show model churn@champion
  lineage alias model churn champion --remove";
const LINK_EXAMPLES: &str = "\
EXAMPLES
  lineage link dataset orders-export dataset 'warehouse::public.orders'
  lineage link dataset a@v1 dataset b@v3       these two versions only";
const DESCRIBE_EXAMPLES: &str = "\
EXAMPLES
  lineage describe model churn --owner ana --purpose 'keep customers' --tier high
  lineage describe dataset churn-raw --description 'export of the billing system'";

/// Arguments of `lineage tag`.
#[derive(Debug, clap::Args)]
#[command(after_help = TAG_EXAMPLES)]
pub(crate) struct Tag {
    /// dataset, model, features or artifact
    #[arg(value_parser = parse_kind)]
    kind: EntityKind,
    /// A name (all its versions) or NAME@VERSION
    reference: String,
    /// The tags
    #[arg(required = true)]
    tags: Vec<String>,
}

/// Arguments of `lineage untag`.
#[derive(Debug, clap::Args)]
#[command(after_help = UNTAG_EXAMPLES)]
pub(crate) struct Untag {
    /// dataset, model, features or artifact
    #[arg(value_parser = parse_kind)]
    kind: EntityKind,
    /// A name (all its versions) or NAME@VERSION
    reference: String,
    /// The tags
    #[arg(required = true)]
    tags: Vec<String>,
}

impl Tag {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        tag(context, Kind::Tag, &Target::new(self.kind, self.reference), &self.tags)
    }
}

impl Untag {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        tag(context, Kind::Untag, &Target::new(self.kind, self.reference), &self.tags)
    }
}

fn tag(context: &Context, kind: Kind, target: &Target, tags: &[String]) -> anyhow::Result<ExitCode> {
    let session = context.open_to_write()?;
    let (event, name) = session.with_view(|view| {
        let found = target.resolve(view)?;
        Ok((about(&session, kind, view, &[found], &[("tags", json!(tags))])?, label(view, found)))
    })?;
    let what = match kind {
        Kind::Tag => format!("tagged {name} {}", tags.join(", ")),
        _ => format!("took {} from {name}", tags.join(", ")),
    };
    session.record_and_tell(event, &what)
}

/// An event about things, in the namespace of the first of them.
pub(super) fn about(
    session: &Session,
    kind: Kind,
    view: &View,
    things: &[Found],
    fields: &[(&str, Value)],
) -> anyhow::Result<Event> {
    let mut event = session.event(kind);
    if let Some(first) = things.first() {
        event.namespace = namespace(view, *first);
    }
    event.about = things.iter().map(|found| About::Thing(reference(view, *found, &event.namespace))).collect();
    if !fields.is_empty() {
        event.args = Args::build(kind, fields).map_err(|refusal| refused(&refusal))?;
    }
    Ok(event)
}

/// Arguments of `lineage alias`.
#[derive(Debug, clap::Args)]
#[command(after_help = ALIAS_EXAMPLES)]
pub(crate) struct Alias {
    /// dataset, model, features or artifact
    #[arg(value_parser = parse_kind)]
    kind: EntityKind,
    /// NAME@VERSION; a bare name means its newest version
    reference: String,
    /// The alias
    #[arg(value_name = "ALIAS")]
    word: String,
    /// Remove the alias
    #[arg(long)]
    remove: bool,
}

impl Alias {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        if self.word == "latest" || number(&self.word).is_some() {
            return Err(Problem::usage(format!("`{}` has a fixed meaning and cannot be an alias", self.word))
                .help("choose another word, such as champion")
                .into());
        }
        let target = Target::new(self.kind, self.reference);
        if self.remove { unpoint(context, &target, &self.word) } else { point(context, &target, &self.word) }
    }
}

/// Lets an alias point to a version.
pub(super) fn point(context: &Context, target: &Target, alias: &str) -> anyhow::Result<ExitCode> {
    let session = context.open_to_write()?;
    let (event, name) = session.with_view(|view| {
        let found = Found::Version(target.version(view)?);
        Ok((about(&session, Kind::Alias, view, &[found], &[("alias", json!(alias))])?, label(view, found)))
    })?;
    session.record_and_tell(event, &format!("alias {alias} points to {name}"))
}

fn unpoint(context: &Context, target: &Target, alias: &str) -> anyhow::Result<ExitCode> {
    let session = context.open_to_write()?;
    let fields = [("alias", json!(alias)), ("remove", json!(true))];
    let (event, name) = session.with_view(|view| {
        let found = target.resolve(view)?;
        Ok((about(&session, Kind::Alias, view, &[found], &fields)?, label(view, found)))
    })?;
    session.record_and_tell(event, &format!("removed the alias {alias} of {name}"))
}

/// Arguments of `lineage link`.
#[derive(Debug, clap::Args)]
#[command(after_help = LINK_EXAMPLES)]
pub(crate) struct Link {
    /// Two references, each with or without its kind: two names, or two versions
    #[arg(required = true, num_args = 2..=4, value_name = "REF", add = super::completions::of_reference())]
    references: Vec<String>,
}

impl Link {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let targets = Target::read(&self.references);
        let [a, b] = targets.as_slice() else {
            return Err(Problem::usage(format!("a link needs two references, not {}", targets.len()))
                .help("write KIND NAME KIND NAME")
                .into());
        };
        let session = context.open_to_write()?;
        let (event, what) = session.with_view(|view| {
            let (a, b) = (a.resolve(view)?, b.resolve(view)?);
            if matches!(a, Found::Entity(_)) != matches!(b, Found::Entity(_)) {
                return Err(Problem::usage("a link names two names or two versions, not one of each")
                    .help("write @VERSION on both sides, or on neither")
                    .into());
            }
            let kinds = [a, b].map(|found| view.entity_kind(entity(view, found)));
            if kinds[0] != kinds[1] && !kinds.contains(&EntityKind::Artifact) {
                let text = format!("{} and {} cannot be the same thing", label(view, a), label(view, b));
                return Err(Problem::usage(text).help("link things of one kind").into());
            }
            if a == b {
                return Err(Problem::usage(format!("{} is linked to itself", label(view, a))).into());
            }
            let event = about(&session, Kind::Link, view, &[a, b], &[])?;
            Ok((event, format!("linked {} and {}", label(view, a), label(view, b))))
        })?;
        session.record_and_tell(event, &what)
    }
}

/// Arguments of `lineage describe`.
#[derive(Debug, clap::Args)]
#[command(after_help = DESCRIBE_EXAMPLES)]
#[command(group(clap::ArgGroup::new("fields").required(true).multiple(true)))]
pub(crate) struct Describe {
    /// dataset, model, features or artifact
    #[arg(value_parser = parse_kind)]
    kind: EntityKind,
    /// A name (all its versions) or NAME@VERSION
    reference: String,
    /// Who answers for it
    #[arg(long, group = "fields")]
    owner: Option<String>,
    /// What it is for
    #[arg(long, group = "fields")]
    purpose: Option<String>,
    /// Its risk tier
    #[arg(long, group = "fields")]
    tier: Option<String>,
    /// What it is
    #[arg(long, group = "fields")]
    description: Option<String>,
}

impl Describe {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let given = [
            ("owner", &self.owner),
            ("purpose", &self.purpose),
            ("tier", &self.tier),
            ("description", &self.description),
        ];
        let fields: Vec<(&str, Value)> =
            given.iter().filter_map(|(key, text)| text.as_ref().map(|text| (*key, json!(text)))).collect();
        describe(context.open_to_write()?, &Target::new(self.kind, self.reference), &fields)
    }
}

/// Says something of a name or version.
pub(super) fn describe(session: Session, target: &Target, fields: &[(&str, Value)]) -> anyhow::Result<ExitCode> {
    let (event, name) = session.with_view(|view| {
        let found = target.resolve(view)?;
        Ok((about(&session, Kind::Describe, view, &[found], fields)?, label(view, found)))
    })?;
    let said: Vec<_> = fields.iter().map(|(key, value)| format!("{key} {}", value.as_str().unwrap_or(""))).collect();
    session.record_and_tell(event, &format!("described {name}: {}", said.join(", ")))
}
