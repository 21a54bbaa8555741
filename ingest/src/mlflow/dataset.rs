//! Datasets: how their sources are named, so that a table that one tool loaded is the one that another reads.
//!
//! The naming is that of `OpenLineage`: <https://openlineage.io/docs/spec/naming>.

use lineage_store::event::{EntityKind, Input, Ref, Role};
use lineage_store::graph::View;
use serde_json::{Map, Value};

use super::NAMESPACE;
use super::fact::DatasetInput;

/// The tag that says what a dataset was used for.
pub(super) const CONTEXT_TAG: &str = "mlflow.data.context";
/// The contexts of what a model is fitted to; with any other it is measured.
const TRAINING_CONTEXTS: [&str; 3] = ["", "train", "training"];
/// Schemes of databases, whose paths are names of tables.
const DATABASES: [&str; 10] =
    ["awsathena", "bigquery", "cassandra", "duckdb", "mssql", "mysql", "oracle", "postgres", "redshift", "snowflake"];
/// Schemes whose part before the `@` is no user but a container.
const CONTAINERS: [&str; 4] = ["abfs", "abfss", "wasb", "wasbs"];
/// The longest digest that can be kept beside a name.
const WEAK_MAX: usize = 64;

/// A dataset as an input of a run.
///
/// `MLflow`'s digest tells what was loaded, not which build of a table that was. So where some tool is known to build the
/// table, the input names it alone and means the build of that time; elsewhere each digest is a version of its own.
pub(super) fn input(input: &DatasetInput, is_made: &dyn Fn(&str, &str) -> bool) -> Input {
    let said = &input.dataset;
    let place = place(&said.source);
    let (namespace, name) = place.as_ref().map_or((NAMESPACE, said.name.as_str()), |p| (&p.namespace, &p.name));
    let mut reference = Ref { namespace: Some(namespace.to_owned()), ..Ref::named(EntityKind::Dataset, name) };
    reference.label = place.as_ref().and_then(|place| place.label.clone());
    let is_digest = (1..=WEAK_MAX).contains(&said.digest.len()) && said.digest.bytes().all(|b| b.is_ascii_graphic());
    if reference.label.is_none() && is_digest && !is_made(namespace, name) {
        reference.digest = format!("weak:{}", said.digest).parse().ok();
    }
    let context = input.tags.iter().find(|tag| tag.key == CONTEXT_TAG).map_or("", |tag| tag.value.as_str());
    let role = if TRAINING_CONTEXTS.contains(&context) { Role::Data } else { Role::Eval };
    Input { reference, role, size: None, inferred: false }
}

/// Whether some event produced a version of a dataset.
pub fn is_made(view: &View, namespace: &str, name: &str) -> bool {
    view.entities_named(name).into_iter().any(|entity| {
        view.entity_kind(entity) == EntityKind::Dataset
            && view.entity_namespace(entity) == namespace
            && view.versions(entity).into_iter().any(|version| !view.is_external(version))
    })
}

/// Where data is, as `OpenLineage` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    namespace: String,
    name: String,
    /// What its own format calls the version.
    label: Option<String>,
}

/// The place that a source names; `None` for code, samples and whatever has no place.
fn place(source: &str) -> Option<Place> {
    let Ok(Value::Object(source)) = serde_json::from_str(source) else { return None };
    let text = |key: &str| source.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let label = version(&source);
    if let Some(name) = text("delta_table_name").or_else(|| text("table_name")) {
        // A table of a metastore; which one is not said.
        return Some(Place { namespace: "hive".to_owned(), name: name.to_owned(), label });
    }
    if let Some(place) = ["uri", "url"].iter().find_map(|key| of_uri(text(key)?)) {
        return Some(Place { label, ..place });
    }
    let path = text("path")?;
    if let Some(place) = of_uri(path) {
        return Some(Place { label, ..place });
    }
    // What is left is a repository of Hugging Face, which has no name in the specification.
    let is_repository = ["revision", "split", "data_dir", "config_name"].iter().any(|key| source.contains_key(*key));
    is_repository.then(|| {
        let config = text("config_name").map(|config| format!("/{config}")).unwrap_or_default();
        let label = text("revision").map(str::to_owned);
        Place { namespace: "hf://datasets".to_owned(), name: format!("{path}{config}"), label }
    })
}

/// The version of a Delta table.
fn version(source: &Map<String, Value>) -> Option<String> {
    match source.get("delta_table_version")? {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// The place of an address, without what only opens it: users, passwords, signatures.
fn of_uri(uri: &str) -> Option<Place> {
    let named = |namespace: String, name: &str| {
        (!name.is_empty()).then(|| Place { namespace, name: name.to_owned(), label: None })
    };
    if uri.starts_with('/') {
        return named("file".to_owned(), uri);
    }
    let (scheme, rest) = uri.split_once(':')?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "s3a" | "s3n" => "s3".to_owned(),
        "gcs" => "gs".to_owned(),
        "postgresql" => "postgres".to_owned(),
        other => other.to_owned(),
    };
    if !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) || scheme.len() < 2 {
        return None;
    }
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) if !CONTAINERS.contains(&scheme.as_str()) => host,
        _ => authority,
    };
    if scheme == "file" {
        return named("file".to_owned(), path);
    }
    if authority.is_empty() {
        return named(scheme, path);
    }
    let namespace = format!("{scheme}://{authority}");
    let plain = path.trim_start_matches('/');
    if DATABASES.contains(&scheme.as_str()) {
        return named(namespace, &plain.replace('/', "."));
    }
    // Object stores have keys, file systems and servers have paths.
    let is_key = matches!(scheme.as_str(), "s3" | "gs" | "abfs" | "abfss" | "wasb" | "wasbs");
    named(namespace, if is_key { plain } else { path })
}

#[cfg(test)]
mod tests {
    use super::super::fact::{Dataset, Tag};
    use super::*;

    #[test]
    fn sources_are_named_as_openlineage_names_them() {
        for (source, namespace, name) in [
            (r#"{"url":"https://example.org/data/iris.csv"}"#, "https://example.org", "/data/iris.csv"),
            (r#"{"url":"https://u:p@example.org/x.csv?sig=1"}"#, "https://example.org", "/x.csv"),
            (r#"{"uri":"s3://lake/raw/users"}"#, "s3://lake", "raw/users"),
            (r#"{"uri":"s3a://lake/raw/users"}"#, "s3://lake", "raw/users"),
            (r#"{"uri":"gs://b/x"}"#, "gs://b", "x"),
            (r#"{"uri":"/data/iris.csv"}"#, "file", "/data/iris.csv"),
            (r#"{"uri":"file:///data/iris.csv"}"#, "file", "/data/iris.csv"),
            (r#"{"path":"hdfs://nn:8020/a/b"}"#, "hdfs://nn:8020", "/a/b"),
            (r#"{"path":"dbfs:/Volumes/a"}"#, "dbfs", "/Volumes/a"),
            (r#"{"uri":"postgresql://u:p@h:5432/shop/public/orders"}"#, "postgres://h:5432", "shop.public.orders"),
            (r#"{"uri":"duckdb://jaffle.duckdb/jaffle.main.orders"}"#, "duckdb://jaffle.duckdb", "jaffle.main.orders"),
            (r#"{"uri":"abfss://c@a.dfs.core.windows.net/p"}"#, "abfss://c@a.dfs.core.windows.net", "p"),
            (r#"{"delta_table_name":"c.s.t","delta_table_version":3}"#, "hive", "c.s.t"),
            (r#"{"path":"rotten_tomatoes","config_name":null,"split":"train"}"#, "hf://datasets", "rotten_tomatoes"),
        ] {
            let place = place(source).unwrap_or_else(|| panic!("{source}"));
            assert_eq!((place.namespace.as_str(), place.name.as_str()), (namespace, name), "{source}");
        }
        for source in [
            r#"{"tags":{"mlflow.user":"alice"}}"#,
            "",
            "[]",
            r#"{"uri":""}"#,
            r#"{"uri":"C:\\x"}"#,
            r#"{"uri":"s3://b"}"#,
        ] {
            assert_eq!(place(source), None, "{source}");
        }
        assert_eq!(place(r#"{"path":"/d","delta_table_version":3}"#).and_then(|p| p.label).as_deref(), Some("3"));
    }

    #[test]
    fn contexts_are_roles_and_digests_are_versions_of_what_nobody_makes() {
        let said = |context: &str| DatasetInput {
            tags: vec![Tag { key: CONTEXT_TAG.into(), value: context.into() }],
            dataset: Dataset { name: "iris".into(), digest: "8f9eb48c".into(), ..Dataset::default() },
        };
        let roles = ["train", "training", "", "eval", "test"].map(|context| input(&said(context), &|_, _| false).role);
        assert_eq!(roles, [Role::Data, Role::Data, Role::Data, Role::Eval, Role::Eval]);
        let alone = input(&said(""), &|_, _| false).reference;
        assert_eq!(alone.digest.map(|d| d.to_string()).as_deref(), Some("weak:8f9eb48c"));
        assert!(input(&said(""), &|_, _| true).reference.is_bare());
    }
}
