//! The limits of saved queries that stand in each other.

use super::ask::{ask_whole, whole_events};
use super::fixture::Question;
use crate::histories::notation::{Sent, expand, instant};
use crate::histories::play::{Play, play};

/// The codes of the answers to `query qN`, where each query is made from the name of the one before.
fn codes(of: impl Fn(&str) -> String, asked: &[usize]) -> Vec<Option<String>> {
    let line = |n: usize| {
        let text = n.checked_sub(1).map_or_else(|| "models".to_owned(), |before| of(&format!("query q{before}")));
        let event = format!(r#"{{"kind":"save-query","id":"e{n}","args":{{"name":"q{n}","query":"{text}"}}}}"#);
        Sent { now: instant("10:00"), line: expand(&event) }
    };
    let last = asked.iter().max().copied().unwrap_or_default();
    let folder = tempfile::tempdir().expect("a folder");
    let (store, refused) = play(folder.path(), &(0..=last).map(line).collect::<Vec<_>>(), Play::Plain);
    assert_eq!(refused, [""; 0]);
    let (view, events) = (store.view().expect("a view"), whole_events(&store));
    let code = |n: &usize| {
        let asked = ask_whole(&view, &events, &Question::new(&format!("query q{n}"), instant("23:30")), &[]);
        asked.error.map(|error| error[..5].to_owned())
    };
    asked.iter().map(code).collect()
}

#[test]
fn saved_queries_stand_sixteen_deep_in_each_other() {
    let refused = Some("E0205".to_owned());
    assert_eq!(codes(str::to_owned, &[15, 16]), [None, refused]);
}

/// Each doubles the one before, so that a short text would come to millions of nodes.
#[test]
fn saved_queries_come_to_few_nodes() {
    let doubled = |before: &str| format!("({before}) union ({before})");
    let refused = Some("E0205".to_owned());
    assert_eq!(codes(doubled, &[9, 12, 15]), [None, refused.clone(), refused]);
}

/// Each is a chain of relations around the one before: deep texts within deep texts.
#[test]
fn saved_queries_are_not_deeper_than_one_text() {
    let around = |before: &str| {
        let (begin, end) = ("artifacts upstream of (".repeat(25), ")".repeat(25));
        format!("{begin}{before}{end}")
    };
    let ask = move || codes(around, &[2, 3, 14]);
    // As much stack as the first thread of a process has; those of tests have a quarter of it.
    let thread = std::thread::Builder::new().stack_size(8 << 20).spawn(ask).expect("a thread");
    let refused = Some("E0205".to_owned());
    assert_eq!(thread.join().expect("no overflow"), [None, refused.clone(), refused]);
}
