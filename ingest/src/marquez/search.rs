//! Search for datasets and jobs by a part of their names.

use lineage_store::graph::VersionId;
use lineage_store::time::Time;
use serde::Serialize;

use super::job::Jobs;
use super::{Page, Reads, node};

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// A part of the name, whatever its case; `%` stands for any text, `_` for any letter.
    pub text: String,
    /// Datasets only, or jobs only.
    pub datasets: Option<bool>,
    /// In this namespace only.
    pub namespace: Option<String>,
    /// Whether the newest come first, instead of by name.
    pub by_time: bool,
    /// Changed before.
    pub before: Option<Time>,
    /// Changed after.
    pub after: Option<Time>,
}

/// One that was found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    r#type: &'static str,
    name: String,
    updated_at: String,
    namespace: String,
    node_id: String,
    #[serde(skip)]
    changed: Time,
}

/// Some that were found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchList {
    total_count: usize,
    results: Vec<Found>,
}

/// Looks for datasets and jobs.
pub fn search(reads: &Reads<'_>, search: &Search, page: Page) -> SearchList {
    let view = reads.view;
    let mut results = Vec::new();
    if search.datasets != Some(false) {
        for entity in 0..view.n_entities() {
            let (namespace, name) = (view.entity_namespace(entity), view.entity_name(entity));
            let visible = |version: &VersionId| view.has_version(*version);
            if !search.fits(namespace, name) {
                continue;
            }
            let Some(newest) = view.versions(entity).into_iter().filter(visible).max() else { continue };
            let node_id = node::dataset_id(namespace, name);
            results.push(Found::of("DATASET", namespace, name, node_id, view.recorded(view.mint(newest))));
        }
    }
    if search.datasets != Some(true) {
        for (namespace, name, job) in Jobs::of(view).iter().filter(|(namespace, name, _)| search.fits(namespace, name))
        {
            results.push(Found::of("JOB", namespace, name, node::job_id(namespace, name), view.recorded(job.last)));
        }
    }
    results.retain(|one| {
        search.before.is_none_or(|end| one.changed < end) && search.after.is_none_or(|end| one.changed > end)
    });
    results.sort_by(|a, b| (&a.name, &a.namespace).cmp(&(&b.name, &b.namespace)));
    if search.by_time {
        results.sort_by_key(|one| std::cmp::Reverse(one.changed));
    }
    SearchList { total_count: results.len(), results: page.of(results) }
}

impl Found {
    fn of(r#type: &'static str, namespace: &str, name: &str, node_id: String, changed: Time) -> Self {
        let (name, namespace) = (name.to_owned(), namespace.to_owned());
        Self { r#type, name, updated_at: changed.to_string(), namespace, node_id, changed }
    }
}

impl Search {
    fn fits(&self, namespace: &str, name: &str) -> bool {
        if self.namespace.as_deref().is_some_and(|wanted| wanted != namespace) {
            return false;
        }
        let pattern: Vec<char> = format!("%{}%", self.text.to_lowercase()).chars().collect();
        let name: Vec<char> = name.to_lowercase().chars().collect();
        like(&pattern, &name)
    }
}

/// Whether a pattern with `%` and `_` fits a text; in time that grows with the product of both.
fn like(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                back = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == '_' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((after, at)) = back else { return false };
                back = Some((after, at + 1));
                (p, t) = (after, at + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn patterns_fit_as_in_sql() {
        let fits =
            |pattern: &str, text: &str| like(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
        for (pattern, text) in [("%job%", "my-job-1"), ("%", ""), ("a_c", "abc"), ("%a%b%", "xaxbx"), ("%é%", "né")] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a_c", "ac"), ("%ab%", "ba"), ("_", ""), ("a", "ab")] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }
}
