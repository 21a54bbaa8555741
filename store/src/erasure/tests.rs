//! Tests of sealing: what opens, what does not, and keys that come and go.

use super::*;
use crate::digest::Blake3;
use crate::event::{Event, prepare};
use crate::store::{Appended, Store};
use crate::time::Time;

const LINE: &str = r#"{"v":1,"kind":"transform","id":"e","run":"r","facets":{"a":"secret","b":2},"sealed":{"facets.a":{"subject":"s"}}}"#;

fn store(folder: &std::path::Path) -> (Store, Keys) {
    let root = folder.join("store");
    let store = Store::create(&root, "format = 1\n").unwrap();
    let keys = Keys::new(&store.layout().part("keys"), [3; 32]);
    (store, keys)
}

fn append(store: &Store, keys: &Keys, line: &str) -> Vec<Appended> {
    let event = Event::parse(line.as_bytes(), "ana").unwrap();
    store.append(prepare(event, line.as_bytes(), &[], keys).unwrap(), Time(1_000_000_000)).unwrap()
}

#[test]
fn sealed_bytes_open_with_their_key_at_their_place_only() {
    let keys = Keys::of_seed([1; 32]);
    let [mine, other] = ["s-1", "s-2"].map(|subject| keys.key(Some(subject)).unwrap());
    let place = aad("default", "e", "facets.a");
    let sealed = seal(&mine, &place, b"value", keys.chance());
    assert_eq!(open(&mine, &place, &sealed).unwrap(), b"value");
    assert!(open(&other, &place, &sealed).is_none());
    for elsewhere in [aad("default", "e", "facets.b"), aad("defaulte", "", "facets.a"), aad("other", "e", "facets.a")] {
        assert!(open(&mine, &elsewhere, &sealed).is_none());
    }
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(open(&mine, &place, &changed).is_none(), "byte {at}");
        assert!(open(&mine, &place, &sealed[..at]).is_none(), "cut at {at}");
    }
    assert_eq!(sealed, seal(&mine, &place, b"value", keys.chance()), "alike within a process");
    assert_ne!(sealed[20..44], seal(&mine, &place, b"other", keys.chance())[20..44], "another value, another nonce");
}

#[test]
fn a_subject_that_comes_back_has_another_key() {
    let folder = tempfile::tempdir().unwrap();
    let (store, keys) = store(folder.path());
    assert!(matches!(append(&store, &keys, LINE)[0], Appended::Recorded(0)));
    assert!(matches!(append(&store, &keys, LINE)[0], Appended::Duplicate(0)));
    let kept = store.kept_by(0).unwrap().remove(0);
    assert_eq!(store.reveal(&keys, &kept).unwrap().unwrap(), br#""secret""#);
    let leaf = store.journal().get(0).unwrap().leaf;
    assert!(!String::from_utf8_lossy(&leaf).contains("secret"));
    let first = keys.key(Some("s")).unwrap();
    let erased = store.take_away(&keys, "s", 1).unwrap();
    assert_eq!((erased.payloads, erased.events, erased.keys), (1, 1, 1));
    assert!(!keys.has("s").unwrap() && store.reveal(&keys, &kept).unwrap().is_none());
    assert_eq!(store.missing(&keys).unwrap().len(), 1, "no erasure is recorded that covers it");
    assert_ne!(keys.key(Some("s")).unwrap().bytes(), first.bytes());
    // The value again, under the new key: erasing what was before leaves it alone.
    append(&store, &keys, &LINE.replace(r#""id":"e""#, r#""id":"f""#));
    assert_eq!(store.take_away(&keys, "s", 1).unwrap().keys, 0);
    let later = store.kept_by(1).unwrap().remove(0);
    assert!(store.reveal(&keys, &later).unwrap().is_some());
}

#[test]
fn a_key_that_goes_while_an_event_is_on_its_way_refuses_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, keys) = store(folder.path());
    let event = Event::parse(LINE.as_bytes(), "ana").unwrap();
    let prepared = prepare(event, LINE.as_bytes(), &[], &keys).unwrap();
    store.take_away(&keys, "s", 0).unwrap();
    let appended = store.append(prepared, Time(1)).unwrap();
    assert!(
        matches!(&appended[0], Appended::Refused(refusal) if refusal.to_string().contains("erased")),
        "{appended:?}"
    );
}

#[test]
fn what_is_missing_without_an_erasure_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (store, keys) = store(folder.path());
    append(&store, &keys, LINE);
    let kept = store.kept_by(0).unwrap().remove(0);
    assert_eq!(store.missing(&keys).unwrap(), []);
    let sealed = store.payloads().get(&kept.digest).unwrap().unwrap();
    store.payloads().remove(&kept.digest).unwrap();
    assert_eq!(store.missing(&keys).unwrap()[0].what, "its bytes are gone, and no erasure covers them");
    store.payloads().put(&Blake3::of(&sealed), &sealed).unwrap();
    assert_eq!(store.missing(&keys).unwrap(), []);
    append(&store, &keys, r#"{"v":1,"kind":"erase","id":"x","args":{"subject":"s","basis":"b"}}"#);
    store.finish_erasures(&keys).unwrap();
    assert_eq!(store.missing(&keys).unwrap(), [], "covered");
    assert!(store.payloads().get(&kept.digest).unwrap().is_none());
}

#[test]
fn what_an_event_names_is_durable_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, keys) = store(folder.path());
    let payloads = store.layout().part("payloads");
    let aside = payloads.with_extension("aside");
    std::fs::rename(&payloads, &aside).unwrap();
    let event = Event::parse(LINE.as_bytes(), "ana").unwrap();
    let prepared = || prepare(event.clone(), LINE.as_bytes(), &[], &keys).unwrap();
    assert!(store.append(prepared(), Time(1)).is_err());
    assert_eq!(store.head().unwrap().count, 0, "no event without its value");
    std::fs::rename(&aside, &payloads).unwrap();
    assert!(matches!(store.append(prepared(), Time(1)).unwrap()[0], Appended::Recorded(0)));
    assert_eq!(store.missing(&keys).unwrap(), []);
}

#[test]
fn what_is_not_recorded_leaves_no_value() {
    let folder = tempfile::tempdir().unwrap();
    let (store, keys) = store(folder.path());
    append(&store, &keys, LINE);
    assert!(matches!(append(&store, &keys, LINE)[0], Appended::Duplicate(0)));
    assert!(matches!(append(&store, &keys, &LINE.replace("secret", "other"))[0], Appended::Conflict(0)));
    let mut n = 0;
    store.payloads().list(&mut |_, _| n += 1).unwrap();
    assert_eq!(n, 1);
}
