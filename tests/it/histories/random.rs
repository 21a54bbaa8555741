//! Random histories of few names: sealing and reopening never change an answer.

use proptest::prelude::*;

use super::large::sent;
use super::notation::{History, Sent};
use super::play::{Play, play, results};

/// A history of few names, so that events meet.
fn any_line() -> impl Strategy<Value = String> {
    let pick = |list: &'static [&'static str]| prop::sample::select(list);
    let thing = (
        pick(&["a", "b", "c", "d"]),
        pick(&["", "", r#","digest":"b3:@a""#, r#","digest":"b3:@b""#, r#","digest":"md5:@a","digests":["b3:@a"]"#]),
        pick(&["", "", "", r#","version":"l""#, r#","version":"k""#]),
        pick(&["", r#""kind":"model","#]),
    )
        .prop_map(|(name, digest, version, kind)| format!(r#"{{{kind}"name":"{name}"{digest}{version}}}"#));
    let things = |max| prop::collection::vec(thing.clone(), 0..=max).prop_map(|list| list.join(","));
    let run = (
        // The id of an event may be that of its run, and of other events' run.
        pick(&["r", "s", "e1", "e3"]),
        pick(&["", r#","job":"i""#, r#","job":"j""#]),
        pick(&["start", "running", "complete", "complete", "fail", "other"]),
        pick(&["", "", r#","parent":{"run":"s"}"#, r#","attempt":2"#]),
    )
        .prop_map(|(run, job, state, more)| format!(r#","run":"{run}"{job},"state":"{state}"{more}"#));
    let work = (pick(&["transform", "training", "register"]), prop::option::of(run), things(2), things(2))
        .prop_filter("something", |(_, run, i, o)| run.is_some() || !i.is_empty() || !o.is_empty())
        .prop_map(|(kind, run, inputs, outputs)| {
            format!(r#""kind":"{kind}"{},"inputs":[{inputs}],"outputs":[{outputs}]"#, run.unwrap_or_default())
        });
    let about = (
        pick(&[
            r#""kind":"audit","outcome":"pass""#,
            r#""kind":"evaluation""#,
            r#""kind":"deployment","environment":"prod""#,
            r#""kind":"retirement","environment":"prod""#,
            r#""kind":"tag","args":{"tags":["x"]}"#,
            r#""kind":"alias","args":{"alias":"y"}"#,
        ]),
        thing.clone(),
    )
        .prop_map(|(kind, thing)| format!(r#"{kind},"about":[{thing}]"#));
    let target = prop_oneof![
        (0..12).prop_map(|n| format!(r#"{{"event":"e{n}"}}"#)),
        pick(&["r", "e1", "e3"]).prop_map(|run| format!(r#"{{"run":"{run}"}}"#)),
    ];
    let retract = target.prop_map(|about| format!(r#""kind":"retract","about":[{about}]"#));
    (prop_oneof![6 => work, 2 => about, 1 => retract], 0..40u8)
        .prop_map(|(event, minute)| format!(r#"{event},"time":"10:{minute:02}""#))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// However the index is sealed and the store reopened, and whatever is asked, the answers are the same.
    #[test]
    fn sealing_and_reopening_change_no_answer(
        lines in prop::collection::vec(any_line(), 1..14),
        (seal, reopen) in (1..5usize, 0..5usize),
        (known, until) in (0..14u32, 0..40u8),
    ) {
        let sent: Vec<Sent> = lines
            .iter()
            .enumerate()
            .map(|(i, line)| sent(&format!(r#"{{{line},"id":"e{i}"}}"#)))
            .collect();
        let expected = ["", &format!("known at #{known}"), &format!("as of 10:{until:02}"), "including retracted"]
            .map(|point| (point.to_owned(), Vec::new()))
            .to_vec();
        let history = History { name: "random".to_owned(), sent, expected };
        let mut plain = None;
        for how in [Play::Plain, Play::Together, Play::Seal(seal), Play::Reopen(reopen)] {
            let folder = tempfile::tempdir().expect("a folder");
            let (store, outcomes) = play(folder.path(), &history.sent, how);
            let got = results(&store, &outcomes, &history);
            store.verify_graph().expect("the index is what the journal says");
            let first = plain.get_or_insert_with(|| got.clone());
            prop_assert_eq!(&*first, &got, "played {:?}", how);
        }
    }
}
