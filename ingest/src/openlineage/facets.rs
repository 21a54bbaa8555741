//! Facets: all are kept whole under flat names, some are read as well.

use std::borrow::Cow;

use lineage_store::event::{Json, NAME_BYTES_MAX, Parent, Refusal, RunRef, canonical};

use super::wire::{At, Object};

/// The source of the tags that the client library sets by itself.
const AUTOMATIC: &str = "OPENLINEAGE_CLIENT";

/// Reads a member that holds facets; each must be an object, or null.
pub(super) fn read<'a>(owner: &Object<'a>, key: &str, at: &At<'_>) -> Result<Object<'a>, Refusal> {
    let facets = owner.object(key, at)?.unwrap_or_default();
    let at = at.key(key);
    match facets.0.iter().find(|(_, value)| !value.starts_with('{') && *value != "null") {
        Some((name, _)) => Err(at.key(name).refuse("must be an object, as every facet")),
        None => Ok(facets),
    }
}

/// The members of our event's `facets`, in the order in which they were found.
#[derive(Default)]
pub(super) struct Kept<'a>(Vec<(String, Cow<'a, str>)>);

impl<'a> Kept<'a> {
    /// Keeps one value, given as JSON text.
    pub(super) fn add(&mut self, name: String, value: impl Into<Cow<'a, str>>) {
        self.0.push((name, value.into()));
    }

    /// Keeps every member of an object under `PREFIX.KEY`.
    pub(super) fn add_all<'s>(&mut self, prefix: &str, members: impl IntoIterator<Item = (&'s str, &'a str)>) {
        for (key, value) in members {
            self.add(format!("{prefix}.{key}"), value);
        }
    }

    /// Keeps the facets of an object under `PREFIX.FACET`.
    pub(super) fn add_facets(&mut self, prefix: &str, facets: &Object<'a>) {
        self.add_all(prefix, facets.0.iter().map(|(key, value)| (key.as_ref(), *value)));
    }

    /// One object of them all; of two that fall on one name, the later gets a `#2`.
    pub(super) fn json(mut self) -> Result<Json, Refusal> {
        self.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut text = String::with_capacity(self.0.iter().map(|(key, value)| key.len() + value.len() + 8).sum());
        let mut last = String::new();
        let mut repeats = 1;
        for (key, value) in self.0 {
            text.push(if text.is_empty() { '{' } else { ',' });
            if key == last {
                repeats += 1;
                canonical::write_string(&format!("{key}#{repeats}"), &mut text);
            } else {
                repeats = 1;
                canonical::write_string(&key, &mut text);
                last = key;
            }
            text.push(':');
            text.push_str(&value);
        }
        if text.is_empty() {
            return Ok(Json::default());
        }
        text.push('}');
        Json::canonical(&text).map_err(|what| Refusal::at("facets", what))
    }
}

/// The parent run, under its name of today or its name of old.
pub(super) fn parent(facets: &Object<'_>, at: &At<'_>) -> Result<Option<Parent>, Refusal> {
    for name in ["parent", "parentRun"] {
        if let Some(facet) = facets.object(name, at)? {
            let at = at.key(name);
            let root = facet.object("root", &at)?.map(|root| run(&root, &at.key("root"))).transpose()?;
            return Ok(Some(Parent { run: run(&facet, &at)?, root }));
        }
    }
    Ok(None)
}

fn run(facet: &Object<'_>, at: &At<'_>) -> Result<RunRef, Refusal> {
    let run = facet.required("run", at)?.name("runId", &at.key("run"))?.into_owned();
    let (job, at) = (facet.required("job", at)?, at.key("job"));
    let namespace = job.name("namespace", &at)?.into_owned();
    Ok(RunRef { namespace: Some(namespace), job: Some(job.name("name", &at)?.into_owned()), run })
}

/// The owner that an `ownership` facet names: the first of type OWNER, else the first.
pub(super) fn owner(facets: &Object<'_>, at: &At<'_>) -> Result<Option<String>, Refusal> {
    let Some(facet) = facets.object("ownership", at)? else { return Ok(None) };
    let owners = facet.objects("owners", &at.key("ownership"), |owner, at| {
        let is_owner = owner.text("type", at)?.is_some_and(|kind| kind.eq_ignore_ascii_case("owner"));
        let name = owner.text("name", at)?.ok_or_else(|| at.key("name").refuse("is required"))?;
        Ok((is_owner, name.into_owned()))
    })?;
    let named = || owners.iter().filter(|(_, name)| !name.is_empty());
    Ok(named().find(|(is_owner, _)| *is_owner).or_else(|| named().next()).map(|(_, name)| name.clone()))
}

/// Adds the tags of a `tags` facet that concern the whole thing, as `key` or `key=value`.
pub(super) fn tags(facets: &Object<'_>, at: &At<'_>, tags: &mut Vec<String>) -> Result<(), Refusal> {
    let Some(facet) = facets.object("tags", at)? else { return Ok(()) };
    facet.objects("tags", &at.key("tags"), |tag, at| {
        let key = tag.text("key", at)?.ok_or_else(|| at.key("key").refuse("is required"))?;
        let value = tag.text("value", at)?.unwrap_or_default();
        let automatic = tag.text("source", at)?.is_some_and(|source| source == AUTOMATIC);
        let of_column = tag.text("field", at)?.is_some_and(|field| !field.is_empty());
        let plain = value.is_empty() || value == "true" || value == key;
        let text = if plain { key.into_owned() } else { format!("{key}={value}") };
        let nameable = !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control);
        if nameable && !automatic && !of_column && !tags.contains(&text) {
            tags.push(text);
        }
        Ok(())
    })?;
    Ok(())
}
