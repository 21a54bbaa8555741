//! Events that are too large for one: outlining, and spreading over the attempt.

use std::path::Path;

use lineage_store::erasure::Keys;
use lineage_store::event::prepare;
use lineage_store::{Appended, Store};

use super::notation::{Sent, expand, instant};
use super::play::{SEED, check_leaf, parse};

fn store_in(folder: &Path) -> Store {
    Store::create(&folder.join(".lineage"), "format = 1\n").expect("a store")
}

pub(super) fn sent(line: &str) -> Sent {
    Sent { now: instant("23:00"), line: expand(line) }
}

/// A training of many inputs, with outputs that are tables of a few of them each.
fn large(id: &str, extra: &str) -> Sent {
    let inputs: Vec<_> = (0..900).map(|i| format!(r#"{{"name":"in-{i:03}-{}"}}"#, "x".repeat(60))).collect();
    let outputs: Vec<_> = (0..300)
        .map(|i| format!(r#"{{"name":"out-{i:03}-{}","rows":{i},"from":[{i},{}]}}"#, "y".repeat(60), i + 300))
        .collect();
    sent(&format!(
        r#"{{"kind":"transform","id":"{id}","run":"r","time":"10:00","parent":{{"run":"root"}},"params":{{"p":1}}{extra},"inputs":[{}],"outputs":[{}]}}"#,
        inputs.join(","),
        outputs.join(",")
    ))
}

fn append(store: &Store, one: &Sent) -> Vec<Appended> {
    store.append(parse(one).expect("valid"), one.now).expect("appended")
}

/// EVENTS.md §1: inputs and outputs "are spread by us over `running` events of the same attempt (never an output with
/// `from` away from its inputs)".
#[test]
fn a_large_event_is_spread_over_its_attempt() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    let one = large("e", "");
    let prepared = parse(&one).expect("valid");
    for part in &prepared {
        check_leaf(part, one.now);
    }
    assert!(prepared.len() > 2 && prepared.iter().all(|p| p.leaf.as_bytes().len() <= 60 * 1024));
    let n = store.append(prepared, one.now).expect("appended").len() as u32;
    let view = store.view().expect("a view");
    assert_eq!(view.attempt_events(0).len() as u32, n, "one attempt");
    let names = |version| view.entity_name(view.entity(version))[..7].to_owned();
    let mut outputs = 0;
    for event in 0..n {
        let used = view.mentions(event);
        for made in view.made(event) {
            let name = names(made.version);
            let number: u64 = name[4..].parse().expect("a number");
            let from: Vec<_> = made.from.expect("a list").iter().map(|i| names(used[*i as usize].version)).collect();
            assert_eq!(from, [format!("in-{number:03}-"), format!("in-{:03}-", number + 300)], "{name}");
            assert_eq!(view.rows(made.version), Some(number));
            outputs += 1;
        }
    }
    assert_eq!((outputs, view.n_versions()), (300, 1200), "each name has one version");
    assert!(append(&store, &one).iter().all(|a| matches!(a, Appended::Duplicate(_))), "exactly once");
    let retract = sent(r#"{"kind":"retract","time":"10:01","about":[{"event":"e"}]}"#);
    append(&store, &retract);
    assert_eq!(store.view().expect("a view").n_hidden() as u32, n, "a retract of the event reaches all of it");
}

/// EVENTS.md §1: "Same id + other bytes → refused, nothing written", also where one part of the event would be new.
#[test]
fn a_large_event_is_recorded_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    append(&store, &sent(r#"{"kind":"transform","id":"e","run":"r","time":"10:00","inputs":[{"name":"a"}]}"#));
    assert!(append(&store, &large("e", "")).iter().all(|a| matches!(a, Appended::Conflict(_))));
    let refused = large("f", r#","about":[{"name":"none","version":"v3"}]"#);
    assert!(append(&store, &refused).iter().all(|a| matches!(a, Appended::Refused(_))));
    assert_eq!(store.head().expect("a head").count, 1, "nothing was written");
}

/// What a failed run wrote stays partial, and a start that is too large still opens the next attempt.
#[test]
fn a_large_event_keeps_its_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    append(&store, &large("e", r#","state":"fail""#));
    let view = store.view().expect("a view");
    assert_eq!(view.n_versions(), 900, "the inputs");
    let mut start = large("f", r#","state":"start""#);
    start.line = start.line.replace("T10:00:00Z", "T11:00:00Z");
    let n = append(&store, &start).len() as u32;
    let view = store.view().expect("a view");
    assert!((view.count() - n..view.count()).all(|e| view.attempt(e) == 2), "all of the second attempt");
}

/// EVENTS.md §1: "a facet or value over 16 KiB... lives in deletable payload storage, the event keeping salted digest and
/// size. Still too large: the largest facets are outlined until it fits".
#[test]
fn large_values_leave_digest_and_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    let (big, mid) = ("b".repeat(16 * 1024), "m".repeat(15 * 1024));
    let line = format!(
        r#"{{"kind":"transform","id":"e","run":"r","time":"10:00","facets":{{"big":"{big}","m1":"{mid}","m2":"{mid}","m3":"{mid}","m4":"{mid}","small":1}}}}"#
    );
    let one = sent(&line);
    let prepared = parse(&one).expect("valid").remove(0);
    check_leaf(&prepared, one.now);
    assert!(prepared.leaf.as_bytes().len() <= 60 * 1024);
    assert_eq!(prepared.event.facets.members().len(), 4, "the one over the limit, and one more until it fits");
    let outlined = prepared.event.outlined.members();
    assert_eq!(outlined.len(), 2);
    assert_eq!(outlined[0].0, "facets.big");
    assert_eq!(outlined[0].1, format!(r#"{{"digest":"{}","size":{}}}"#, prepared.payloads[0].digest, 16 * 1024 + 2));
    let payloads: Vec<_> = prepared.payloads.iter().map(|p| p.digest).collect();
    append(&store, &one);
    let sealed = store.payloads().get(&payloads[0]).expect("readable").expect("there");
    assert!(!sealed.windows(64).any(|window| window == &big.as_bytes()[..64]), "not as it was");
    // Keys of one seed are made alike, in the order in which they are needed.
    let keys = Keys::of_seed(SEED);
    let listed = prepare(*prepared.event, b"", &["small".to_owned()], &keys).expect("valid").remove(0);
    let kept = store.kept_by(0).expect("readable").remove(0);
    let stored = store.reveal(&keys, &kept).expect("readable").expect("opens");
    assert_eq!(stored, format!("\"{big}\"").into_bytes());
    assert!(!listed.event.facets.as_str().contains("small"), "what is listed goes whatever its size");
}
