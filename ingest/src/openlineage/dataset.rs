//! Datasets: the references of inputs and outputs, and the facets about them.

use std::collections::HashMap;

use lineage_store::event::{EntityKind, Input, Output, Ref, Refusal, Role};

use super::facets::{self, Kept};
use super::wire::{At, Object, ROOT};

/// The facet in which our own exports say how an input is used.
const OWN_USE: &str = "lineage_use";
/// The facet in which our own exports say what a dataset is that is no dataset and no model.
const OWN_KIND: &str = "lineage_entity";

/// Where a dataset stands in its event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Among the inputs.
    Input,
    /// Among the outputs.
    Output,
    /// It is what a `DatasetEvent` is about.
    Alone,
}

impl Side {
    /// The member that holds the facets of this use of the dataset.
    pub(super) fn own_facets(self) -> &'static str {
        match self {
            Self::Input => "inputFacets",
            Self::Output | Self::Alone => "outputFacets",
        }
    }
}

/// One dataset of an event.
pub(super) struct Dataset<'a> {
    /// Its path, such as `inputs[0]`.
    pub(super) path: String,
    /// Its name, version label and, for a model, kind.
    pub(super) reference: Ref,
    /// What is said about the dataset.
    pub(super) facets: Object<'a>,
    /// What is said about this use of it.
    pub(super) own: Object<'a>,
    /// Where it stands.
    pub(super) side: Side,
}

impl<'a> Dataset<'a> {
    /// Reads a dataset and keeps everything that is said about it.
    pub(super) fn read(object: &Object<'a>, at: &At<'_>, side: Side, kept: &mut Kept<'a>) -> Result<Self, Refusal> {
        let namespace = object.name("namespace", at)?.into_owned();
        let name = object.name("name", at)?.into_owned();
        let facets = facets::read(object, "facets", at)?;
        let own = facets::read(object, side.own_facets(), at)?;
        let path = at.to_string();
        kept.add_facets(&path, &facets);
        kept.add_facets(&format!("{path}.{}", side.own_facets()), &own);
        let known = ["namespace", "name", "facets", side.own_facets()];
        kept.add_all(&format!("extra.{path}"), object.others(&known));
        let at = at.key("facets");
        let kind = if is_model(&facets, &at)? { Some(EntityKind::Model) } else { own_kind(&facets, &at)? };
        let label = label(&facets, &at)?;
        let reference = Ref { kind, namespace: Some(namespace), name: Some(name), label, ..Ref::default() };
        Ok(Self { path, reference, facets, own, side })
    }

    /// Its path.
    pub(super) fn at(&self) -> At<'_> {
        ROOT.key(&self.path)
    }

    /// Whether its type says that it is a model.
    pub(super) fn is_model(&self) -> bool {
        self.reference.kind == Some(EntityKind::Model)
    }

    /// Whether our own exports say that the event is about it.
    pub(super) fn is_about(&self) -> Result<bool, Refusal> {
        let at = self.at();
        let at = at.key(self.side.own_facets());
        let Some(facet) = self.own.object(OWN_USE, &at)? else { return Ok(false) };
        Ok(facet.text("use", &at.key(OWN_USE))?.as_deref() == Some("about"))
    }

    /// The role that our own exports name.
    fn own_role(&self) -> Result<Option<Role>, Refusal> {
        let at = self.at();
        let at = at.key(self.side.own_facets());
        let Some(facet) = self.own.object(OWN_USE, &at)? else { return Ok(None) };
        let at = at.key(OWN_USE);
        let Some(word) = facet.text("role", &at)? else { return Ok(None) };
        Role::from_word(&word).map(Some).ok_or_else(|| at.key("role").refuse("is no role of an input"))
    }

    /// The dataset as an input; a model that a training reads is what it started from.
    pub(super) fn input(&self, in_training: bool) -> Result<Input, Refusal> {
        let usual = if in_training && self.is_model() { Role::Base } else { Role::Data };
        let role = self.own_role()?.unwrap_or(usual);
        let size = self.statistic("inputStatistics", "size")?;
        Ok(Input { reference: self.reference.clone(), role, size, inferred: false })
    }

    /// The dataset as an output of all inputs.
    pub(super) fn output(&self) -> Result<Output, Refusal> {
        let mut tags = Vec::new();
        facets::tags(&self.facets, &self.at().key("facets"), &mut tags)?;
        Ok(Output {
            reference: self.reference.clone(),
            size: self.statistic("outputStatistics", "size")?,
            rows: self.statistic("outputStatistics", "rowCount")?,
            tags,
            from: None,
        })
    }

    fn statistic(&self, facet: &str, field: &str) -> Result<Option<u64>, Refusal> {
        let at = self.at();
        let at = at.key(self.side.own_facets());
        match self.own.object(facet, &at)? {
            Some(statistics) => statistics.count(field, &at.key(facet)),
            None => Ok(None),
        }
    }

    fn key(&self) -> (&str, &str) {
        key(&self.reference)
    }
}

fn key(reference: &Ref) -> (&str, &str) {
    (reference.namespace.as_deref().unwrap_or_default(), reference.name.as_deref().unwrap_or_default())
}

fn is_model(facets: &Object<'_>, at: &At<'_>) -> Result<bool, Refusal> {
    let Some(facet) = facets.object("datasetType", at)? else { return Ok(false) };
    let kind = facet.text("datasetType", &at.key("datasetType"))?;
    Ok(kind.is_some_and(|kind| kind.eq_ignore_ascii_case("model")))
}

/// The kind that our own exports name.
fn own_kind(facets: &Object<'_>, at: &At<'_>) -> Result<Option<EntityKind>, Refusal> {
    let Some(facet) = facets.object(OWN_KIND, at)? else { return Ok(None) };
    let at = at.key(OWN_KIND);
    let Some(word) = facet.text("kind", &at)? else { return Ok(None) };
    EntityKind::from_word(&word).map(Some).ok_or_else(|| at.key("kind").refuse("is no kind of a named thing"))
}

/// What its emitter calls the version; never one of our numbers, even if it is spelled `v7`.
fn label(facets: &Object<'_>, at: &At<'_>) -> Result<Option<String>, Refusal> {
    let Some(facet) = facets.object("version", at)? else { return Ok(None) };
    let version = facet.text("datasetVersion", &at.key("version"))?;
    Ok(version.filter(|version| !version.is_empty()).map(std::borrow::Cow::into_owned))
}

/// Adds the inputs that only `columnLineage` facets of outputs name; each belongs to its outputs alone.
///
/// If some output lacks one of them, every output says which inputs led to it: those declared, and its own.
pub(super) fn add_column_inputs(
    outputs: &[Dataset<'_>],
    inputs: &mut Vec<Input>,
    results: &mut [Output],
) -> Result<(), Refusal> {
    let n_declared = inputs.len();
    let mut known: HashMap<(String, String), usize> = HashMap::new();
    for (i, input) in inputs.iter().enumerate() {
        let (namespace, name) = key(&input.reference);
        known.entry((namespace.to_owned(), name.to_owned())).or_insert(i);
    }
    let mut own = vec![Vec::new(); outputs.len()];
    for (i, output) in outputs.iter().enumerate() {
        for source in column_sources(output)? {
            if (source.0.as_str(), source.1.as_str()) == output.key() {
                continue;
            }
            let index = *known.entry(source).or_insert_with_key(|(namespace, name)| {
                let reference = Ref { namespace: Some(namespace.clone()), name: Some(name.clone()), ..Ref::default() };
                inputs.push(Input { reference, role: Role::Data, size: None, inferred: false });
                inputs.len() - 1
            });
            if index >= n_declared {
                own[i].push(index as u32);
            }
        }
    }
    let n_added = inputs.len() - n_declared;
    if own.iter().any(|own| own.len() < n_added) {
        for (result, mut own) in results.iter_mut().zip(own) {
            own.sort_unstable();
            result.from = Some((0..n_declared as u32).chain(own).collect());
        }
    }
    Ok(())
}

/// The datasets whose columns an output's `columnLineage` names, each once, in the order of their names.
fn column_sources(output: &Dataset<'_>) -> Result<Vec<(String, String)>, Refusal> {
    let at = output.at();
    let at = at.key("facets");
    let Some(facet) = output.facets.object("columnLineage", &at)? else { return Ok(Vec::new()) };
    let at = at.key("columnLineage");
    let mut sources = Vec::new();
    let mut source = |field: &Object<'_>, at: &At<'_>| {
        sources.push((field.name("namespace", at)?.into_owned(), field.name("name", at)?.into_owned()));
        Ok(())
    };
    facet.objects("dataset", &at, &mut source)?;
    let fields = facet.object("fields", &at)?.unwrap_or_default();
    let at = at.key("fields");
    for (column, field) in &fields.0 {
        let at = at.key(column);
        Object::read(field, &at)?.objects("inputFields", &at, &mut source)?;
    }
    sources.sort_unstable();
    sources.dedup();
    Ok(sources)
}
