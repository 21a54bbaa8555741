//! Registered models made, described, renamed, deleted, tagged, and given aliases.

use lineage_store::event::{About, Args, EntityKind, Event, Kind, NAME_BYTES_MAX, Output, Ref};
use serde::Deserialize;
use serde_json::Value;

use super::super::body::{Body, list, required};
use super::super::error::Error;
use super::super::fact::{Fact, NewRegistered, RegisteredChange, Tag, pairs};
use super::super::number::Int;
use super::super::pen::{Pen, Then, about, time};
use super::shown::{number, one};
use super::{Registered, stage};

#[derive(Deserialize)]
struct Create {
    name: Option<String>,
    description: Option<String>,
    #[serde(default, deserialize_with = "list")]
    tags: Vec<Tag>,
}

/// `registered-models/create`
pub fn create(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let asked: Create = body.read()?;
    let name = required(asked.name, "name")?;
    if name.contains(['/', ':']) {
        // They part names from versions in the addresses of models.
        let text = format!("Invalid name: '{}'. Registered model name cannot contain '/' or ':'.", name.escape_debug());
        return Err(Error::invalid(text));
    }
    if pen.ledger.registry.models.contains_key(&name) {
        return Err(Error::exists("Registered Model", &name));
    }
    let new = NewRegistered {
        name: name.clone(),
        description: asked.description.filter(|text| !text.is_empty()),
        tags: pairs(asked.tags),
        at: pen.stamp.now,
    };
    write_new(pen, new)?;
    Ok(Then::ask(move |ledger| one(ledger, &name)))
}

/// Writes a new registered model, which has no version yet.
pub(in super::super) fn write_new(pen: &mut Pen<'_>, new: NewRegistered) -> Result<(), Error> {
    let (name, at) = (new.name.clone(), new.at);
    let mut event = pen.event(Kind::Register, &Fact::Registered(new))?;
    event.time = time(at);
    event.outputs.push(Output { reference: Ref::named(EntityKind::Model, name), ..Output::default() });
    pen.write(event);
    Ok(())
}

#[derive(Deserialize)]
struct Asked {
    name: Option<String>,
    new_name: Option<String>,
    description: Option<String>,
    key: Option<String>,
    value: Option<String>,
    alias: Option<String>,
    version: Option<Int>,
}

/// The name of a model, whatever its versions.
fn bare(name: &str) -> About {
    About::Thing(Ref::named(EntityKind::Model, name))
}

/// What is asked, and the model that it is about.
fn asked<'a>(body: &Body, pen: &Pen<'a>) -> Result<(Asked, &'a Registered), Error> {
    let mut asked: Asked = body.read()?;
    let model = pen.ledger.registry.found(&required(asked.name.take(), "name")?)?;
    Ok((asked, model))
}

fn change_of(pen: &Pen<'_>, model: &Registered) -> RegisteredChange {
    RegisteredChange { name: model.name.clone(), at: pen.stamp.now, ..RegisteredChange::default() }
}

/// `registered-models/update`
pub fn update(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let (asked, model) = asked(body, pen)?;
    let text = asked.description.unwrap_or_default();
    let change = RegisteredChange { description: Some(text.clone()), ..change_of(pen, model) };
    let mut event = pen.event(Kind::Describe, &Fact::RegisteredChange(change))?;
    event.about.push(bare(&model.name));
    if !text.is_empty() {
        event.args = args(Kind::Describe, "description", text.into())?;
    }
    pen.write(event);
    let name = model.name.clone();
    Ok(Then::ask(move |ledger| one(ledger, &name)))
}

fn args(kind: Kind, field: &str, value: Value) -> Result<Args, Error> {
    Args::build(kind, &[(field, value)]).map_err(|refusal| Error::invalid(refusal.to_string()))
}

/// `registered-models/rename`
pub fn rename(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let (asked, model) = asked(body, pen)?;
    let name = required(asked.new_name, "new_name")?;
    if name != model.name && pen.ledger.registry.models.contains_key(&name) {
        return Err(Error::exists("Registered Model", &name));
    }
    let change = RegisteredChange { renamed: Some(name.clone()), ..change_of(pen, model) };
    // Versions keep the name under which they were made; the link says that both are one model.
    let mut event = pen.event(Kind::Link, &Fact::RegisteredChange(change))?;
    event.about = vec![bare(&model.name), bare(&name)];
    pen.write(event);
    Ok(Then::ask(move |ledger| one(ledger, &name)))
}

/// `registered-models/delete`
pub fn delete(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let (_, model) = asked(body, pen)?;
    let change = RegisteredChange { deleted: true, ..change_of(pen, model) };
    let mut event = pen.event(Kind::Describe, &Fact::RegisteredChange(change))?;
    event.about.push(bare(&model.name));
    pen.write(event);
    for version in model.versions.values() {
        stage::retire(pen, version);
    }
    Ok(Then::Empty)
}

/// Sets a tag of a model, or takes it away.
fn tag(body: &Body, pen: &mut Pen<'_>, set: bool) -> Result<Then, Error> {
    let (asked, model) = asked(body, pen)?;
    let key = required(asked.key, "key")?;
    let before = model.tags.iter().find(|tag| tag.key == key);
    let after = set.then(|| asked.value.unwrap_or_default());
    let change = RegisteredChange { tag: Some((key.clone(), after.clone())), ..change_of(pen, model) };
    let fact = Fact::RegisteredChange(change);
    let before = before.map(|tag| tag.value.as_str());
    tag_events(pen, bare(&model.name), &fact, &key, before, after.as_deref())?;
    Ok(Then::Empty)
}

/// `registered-models/set-tag`
pub fn set_tag(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    tag(body, pen, true)
}

/// `registered-models/delete-tag`
pub fn delete_tag(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    tag(body, pen, false)
}

/// A tag of `MLflow` as a tag of the lineage, if it is a name.
fn lineage_tag(key: &str, value: &str) -> Option<String> {
    let tag = if value.is_empty() { key.to_owned() } else { format!("{key}={value}") };
    (tag.len() <= NAME_BYTES_MAX && !tag.chars().any(char::is_control)).then_some(tag)
}

/// Writes that a tag has another value, or none; the first event carries the fact.
pub(super) fn tag_events(
    pen: &mut Pen<'_>,
    about: About,
    fact: &Fact,
    key: &str,
    before: Option<&str>,
    after: Option<&str>,
) -> Result<(), Error> {
    let gone = before.filter(|before| Some(*before) != after).and_then(|before| lineage_tag(key, before));
    let come = after.and_then(|after| lineage_tag(key, after));
    let mut fact = Some(fact);
    let changes = [(Kind::Untag, gone), (Kind::Tag, come)].into_iter().filter_map(|(kind, tag)| Some((kind, tag?)));
    for (kind, tag) in changes {
        let mut event = match fact.take() {
            Some(fact) => pen.event(kind, fact)?,
            None => pen.consequence(kind),
        };
        event.about.push(about.clone());
        event.args = args(kind, "tags", Value::from(vec![tag]))?;
        pen.write(event);
    }
    if let Some(fact) = fact {
        let mut event = pen.event(Kind::Describe, fact)?;
        event.about.push(about);
        pen.write(event);
    }
    Ok(())
}

/// `POST registered-models/alias`
pub fn set_alias(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let (asked, model) = asked(body, pen)?;
    let (alias, number) = (required(asked.alias, "alias")?, number(asked.version)?);
    let version = model.version(number)?;
    write_alias(pen, model, &version.minted, &alias, number)?;
    Ok(Then::Empty)
}

/// Writes that an alias points to a version.
pub(in super::super) fn write_alias(
    pen: &mut Pen<'_>,
    model: &Registered,
    minted: &str,
    alias: &str,
    number: u32,
) -> Result<(), Error> {
    let fact = Fact::Alias { name: model.name.clone(), alias: alias.to_owned(), version: Some(number) };
    let mut event = pen.event(Kind::Alias, &fact)?;
    event.about.push(about(minted, &number.to_string()));
    event.args = args(Kind::Alias, "alias", alias.into())?;
    pen.write(event);
    Ok(())
}

/// `DELETE registered-models/alias`
pub fn delete_alias(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let (asked, model) = asked(body, pen)?;
    let alias = required(asked.alias, "alias")?;
    let minted = model.aliases.get(&alias).and_then(|number| model.versions.get(number)).map(|v| v.minted.clone());
    let fact = Fact::Alias { name: model.name.clone(), alias: alias.clone(), version: None };
    let mut event = pen.event(Kind::Alias, &fact)?;
    unalias(&mut event, minted.as_deref().unwrap_or(&model.name), &alias)?;
    pen.write(event);
    Ok(Then::Empty)
}

/// Fills an event that takes an alias away.
pub(super) fn unalias(event: &mut Event, name: &str, alias: &str) -> Result<(), Error> {
    event.about.push(bare(name));
    event.args = Args::build(Kind::Alias, &[("alias", alias.into()), ("remove", true.into())])
        .map_err(|refusal| Error::invalid(refusal.to_string()))?;
    Ok(())
}
