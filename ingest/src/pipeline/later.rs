//! What comes later: paths that a pipeline itself writes at or after a step, whose names in a listed folder say nothing.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use super::overlap::part_overlaps;
use super::plan::{Plan, path};
use super::spec::Spec;

/// Names that come and go with tools, whatever a step does.
const OF_TOOLS: [&str; 7] =
    [".DS_Store", ".git", ".ipynb_checkpoints", ".lineage", ".mypy_cache", ".pytest_cache", "__pycache__"];

/// Patterns of whole paths, by their parts.
#[derive(Clone, Debug, Default)]
pub(super) struct Later(Vec<Vec<String>>);

impl Later {
    /// The outputs of a step and of all that do not come before it.
    ///
    /// A program that lists a folder, as Python does when it imports, sees what earlier runs of the pipeline left there.
    /// What comes before it counts: it may read that.
    pub(super) fn of(spec: &Spec, plan: &Plan, step: usize, folder: &Path) -> Self {
        let mut before = BTreeSet::new();
        let mut left = plan.steps[step].needs.clone();
        while let Some(need) = left.pop() {
            if before.insert(need) {
                left.extend(&plan.steps[need].needs);
            }
        }
        let later = (0..spec.steps.len()).filter(|other| !before.contains(other)).map(|other| &spec.steps[other]);
        let written = later.flat_map(|step| {
            step.outputs.iter().chain(&step.metrics).filter_map(|template| path(spec, step, template))
        });
        Self(written.map(|pattern| parts(&folder.join(pattern))).collect())
    }

    /// Whether a name in a folder counts.
    pub(super) fn counts(&self, folder: &Path, name: &OsStr) -> bool {
        let path = parts(&folder.join(name));
        !OF_TOOLS.iter().any(|known| name == *known) && !self.0.iter().any(|pattern| makes(pattern, &path))
    }
}

/// Whether writing what a pattern means makes a path: itself, a folder around it, or something inside of it.
fn makes(pattern: &[String], path: &[String]) -> bool {
    let mut pairs = pattern.iter().zip(path);
    // What may be anything is none of these names in particular.
    let is_open = |part: &str| part.chars().all(|c| c == '*');
    pairs.all(|(pattern, part)| !is_open(pattern) && part_overlaps(pattern.as_bytes(), part.as_bytes()))
}

fn parts(path: &Path) -> Vec<String> {
    path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).filter(|part| part != ".").collect()
}

#[cfg(test)]
mod tests {
    use super::super::plan::Capacity;
    use super::*;

    #[test]
    fn names_of_what_a_pipeline_makes_count_only_for_what_comes_after() {
        let text = "[pipeline]\nname = \"p\"\n\
            [[step]]\nid = \"a\"\nrun = [\"x\"]\noutputs = [\"work/a.csv\"]\n\
            [[step]]\nid = \"b\"\nneeds = [\"a\"]\nrun = [\"x\"]\noutputs = [\"model-{index}.pkl\"]\nmetrics = \"m.json\"\n\
            [[step]]\nid = \"c\"\nrun = [\"x\"]\noutputs = [\"out/{index}\"]\n";
        let spec = Spec::parse(text).expect("valid");
        let plan = Plan::new(&spec, &Capacity { cpu: 4000, memory: 1 << 30, gpu: 0 }).expect("valid");
        let counted = |step: usize, folder: &str| -> Vec<&str> {
            let later = Later::of(&spec, &plan, step, Path::new("/p"));
            let names = ["a.csv", "m.json", "model-1.pkl", "raw.csv", "work", "__pycache__"];
            names.into_iter().filter(|name| later.counts(Path::new(folder), OsStr::new(name))).collect()
        };
        assert_eq!(counted(0, "/p"), ["a.csv", "raw.csv"]);
        assert_eq!(counted(0, "/p/work"), ["m.json", "model-1.pkl", "raw.csv", "work"]);
        assert_eq!(counted(1, "/p"), ["a.csv", "raw.csv", "work"], "what is before it may be read by it");
        assert_eq!(counted(1, "/p/out").len(), 5, "what may be anything is none of them in particular");
        assert_eq!(counted(1, "/elsewhere"), ["a.csv", "m.json", "model-1.pkl", "raw.csv", "work"]);
    }
}
