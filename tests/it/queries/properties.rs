//! Properties of answers, on random histories of few names.

use lineage_store::graph::View;
use proptest::prelude::*;

use super::ask::{Asked, ask, other_spellings};
use super::fixture::Question;
use crate::histories::notation::{Sent, expand, instant};
use crate::histories::play::{Play, play, send};

pub(super) fn any_line() -> impl Strategy<Value = String> {
    let pick = |list: &'static [&'static str]| prop::sample::select(list);
    let named = (
        pick(&[
            r#""name":"a""#,
            r#""name":"b""#,
            r#""name":"c""#,
            r#""kind":"model","name":"m""#,
            r#""kind":"model","name":"n""#,
        ]),
        pick(&["", "", r#","digest":"b3:@a""#, r#","digest":"b3:@b""#, r#","digest":"b3:@c""#, r#","version":"l""#]),
    )
        .prop_map(|(name, which)| format!("{name}{which}"));
    let role = pick(&["", "", r#","role":"base""#, r#","role":"eval""#, r#","role":"config""#]);
    let input = (named.clone(), role).prop_map(|(thing, role)| format!("{{{thing}{role}}}"));
    let from = pick(&["", "", "", r#","from":[0]"#]);
    let output = (named.clone(), from).prop_map(|(thing, from)| format!("{{{thing}{from}}}"));
    let run = (pick(&["r", "s"]), pick(&["start", "running", "complete", "complete", "fail"]))
        .prop_map(|(run, state)| format!(r#","run":"{run}","state":"{state}""#));
    let inputs = prop::collection::vec(input, 1..3).prop_map(|i| i.join(","));
    let outputs = prop::collection::vec(output, 0..3).prop_map(|o| o.join(","));
    let work = (pick(&["transform", "transform", "training", "evaluation"]), prop::option::of(run), inputs, outputs)
        .prop_map(|(kind, run, inputs, outputs)| {
            let metrics = if kind == "training" { r#","metrics":{"acc":0.5},"tags":["t"]"# } else { "" };
            let about = if kind == "evaluation" { r#","about":[{"kind":"model","name":"m"}]"# } else { "" };
            format!(
                r#""kind":"{kind}"{},"inputs":[{inputs}],"outputs":[{outputs}]{metrics}{about}"#,
                run.unwrap_or_default()
            )
        });
    let told = (
        pick(&[
            r#""kind":"audit","outcome":"pass","actor":"ria""#,
            r#""kind":"audit","outcome":"fail""#,
            r#""kind":"deployment","environment":"prod""#,
            r#""kind":"retirement","environment":"prod""#,
            r#""kind":"tag","args":{"tags":["x"]}"#,
            r#""kind":"untag","args":{"tags":["x"]}"#,
        ]),
        named.clone(),
    )
        .prop_map(|(kind, thing)| format!(r#"{kind},"about":[{{{thing}}}]"#));
    let link = (pick(&["a", "b"]), pick(&["b", "c"])).prop_map(|(a, b)| {
        format!(r#""kind":"link","about":[{{"name":"{a}","version":"v1"}},{{"name":"{b}","version":"v1"}}]"#)
    });
    let retract = (0..12).prop_map(|n| format!(r#""kind":"retract","about":[{{"event":"e{n}"}}]"#));
    (prop_oneof![8 => work, 2 => told, 1 => link, 1 => retract], 0..40u8)
        .prop_map(|(event, minute)| format!(r#"{event},"time":"10:{minute:02}""#))
}

pub(super) fn sent(lines: &[String]) -> Vec<Sent> {
    let one = |(i, line): (usize, &String)| Sent {
        now: instant(&format!("11:{:02}", i.min(59))),
        line: expand(&format!(r#"{{{line},"id":"e{i}"}}"#)),
    };
    lines.iter().enumerate().map(one).collect()
}

pub(super) fn asked(view: &View, text: &str) -> Asked {
    ask(view, &Question::new(text, instant("23:30")), &["prod".to_owned()])
}

const SETS: [&str; 4] = ["models", "artifacts", "events", "runs"];
const TESTS: [&str; 12] = [
    "acc > 0.4",
    "acc != 0.5",
    "tag = 'x'",
    "has tag",
    "live",
    "latest",
    "version between 1 and 2",
    "created >= 2026-11-20T10:20",
    "name like '%a%'",
    "with a passing audit",
    "downstream of (dataset a)",
    "state = complete",
];
const QUESTIONS: [&str; 14] = [
    "models trained on (datasets where version = 1), with an audit where acc > 0.1",
    "models without a passing audit since their last training",
    "artifacts derived from only (datasets)",
    "artifacts downstream of only (datasets tagged x)",
    "models trained on every (datasets tagged x)",
    "models live in prod, tagged x",
    "events about (models) where state = complete",
    "runs using (datasets) union audits",
    "events except (runs using (datasets))",
    "datasets used by (trainings where tag = t) where version > 1",
    "artifacts downstream of (datasets) avoiding (trainings)",
    "count artifacts per kind, tag",
    "max acc of models per name",
    "models except (models tagged x) order by acc desc, name limit 3 show acc, tag",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// A set is what passes a test and what does not; other spellings ask the same; what was known stays as it was.
    #[test]
    fn answers_keep_their_promises(lines in prop::collection::vec(any_line(), 2..14), cut in 1..14usize) {
        let folder = tempfile::tempdir().expect("a folder");
        let all = sent(&lines);
        let cut = cut.min(all.len() - 1);
        let (store, _) = play(folder.path(), &all[..cut], Play::Plain);
        let view = store.view().expect("a view");
        for set in SETS {
            let whole = asked(&view, set).rows;
            for test in TESTS {
                let (yes, no) = (format!("{set} where {test}"), format!("{set} where not ({test})"));
                let (yes, no) = (asked(&view, &yes), asked(&view, &no));
                // Some sets cannot meet some tests by their words alone, or an attribute was never recorded.
                if yes.error.is_none() && no.error.is_none() {
                    let mut both: Vec<String> = yes.rows.into_iter().chain(no.rows).collect();
                    both.sort();
                    let mut whole = whole.clone();
                    whole.sort();
                    prop_assert_eq!(both, whole, "{} where {}", set, test);
                }
            }
        }
        let mut before = Vec::new();
        for question in QUESTIONS {
            let answer = asked(&view, question);
            for (_, text) in other_spellings(question) {
                let other = asked(&view, &text);
                prop_assert_eq!((&other.rows, other.error.is_some()), (&answer.rows, answer.error.is_some()), "{}", text);
            }
            if view.count() > 0 {
                let pinned = format!("{question} known at log {}", view.count() - 1);
                before.push((asked(&view, &pinned), pinned));
            }
        }
        send(&store, &all[cut..], cut + 1);
        let later = store.view().expect("a view");
        for (answer, pinned) in before {
            prop_assert_eq!(asked(&later, &pinned), answer, "{}", pinned);
        }
    }
}
