//! Tests of what is read of events, and of how words of a command are moved into the copy.

use lineage_store::event::{Event, Evidence, Json, Kind, State};
use serde_json::Value;

use super::*;

/// A run of `argv` in a folder, which read and wrote files.
fn said(facets: &Value) -> Vec<Said> {
    let mut start = Event::new(Kind::Transform, "ana");
    start.run = Some("r-1".to_owned());
    start.job = Some("sh".to_owned());
    start.evidence = Evidence::Observed;
    start.state = State::Start;
    let mut end = start.clone();
    end.state = State::Complete;
    end.facets = Json::from_value(facets).expect("facets");
    [start, end].map(|event| Said { event, outlined: Vec::new() }).to_vec()
}

fn facets(folder: &str) -> Value {
    json!({
        "process": { "argv": ["sh", "work.sh"], "cwd": folder, "exit_code": 0 },
        "files": { "read": { "in/a.txt": B3, "../out.txt": B3 }, "written": { "o.txt": B3 } },
    })
}

const B3: &str = "b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

#[test]
fn only_what_was_observed_here_and_has_ended_can_be_read() {
    assert!(Recorded::read(&said(&facets("."))).is_ok());
    let mut claimed = said(&facets("."));
    claimed[1].event.evidence = Evidence::Claimed;
    assert_eq!(
        Recorded::read(&claimed).err(),
        Some("somebody told of it; only what was run here is run again".to_owned())
    );
    assert_eq!(Recorded::read(&said(&facets("."))[..1]).err(), Some("it has not ended".to_owned()));
    let mut without = facets(".");
    without.as_object_mut().expect("an object").remove("files");
    assert!(Recorded::read(&said(&without)).is_err_and(|why| why.contains("under which paths")));
}

#[test]
fn facets_are_found_where_they_were_moved_to() {
    let mut moved = said(&facets("."));
    let mut all: Value = serde_json::from_str(moved[1].event.facets.as_str()).expect("facets");
    let files = all.as_object_mut().expect("an object").remove("files").expect("files");
    moved[1].event.facets = Json::from_value(&all).expect("facets");
    moved[1].outlined.push(("facets.files".to_owned(), files.to_string().into_bytes()));
    assert_eq!(Recorded::read(&moved).expect("read").read.len(), 2);
}

#[test]
fn a_path_that_leads_out_is_outside() {
    let inside = Recorded::read(&said(&facets("."))).expect("read");
    assert_eq!(inside.below("in/a.txt"), Some(Path::new("in/a.txt")));
    assert_eq!((inside.below("../out.txt"), inside.below("/etc/passwd")), (None, None));
    let elsewhere = Recorded::read(&said(&facets("/here"))).expect("read");
    assert_eq!(elsewhere.below("/here/in/a.txt"), Some(Path::new("in/a.txt")));
    assert_eq!((elsewhere.below("in/a.txt"), elsewhere.below("/hereby/a.txt")), (None, None));
}

#[test]
fn words_that_name_the_folder_are_moved_where_the_copy_has_what_they_name() {
    let recorded = Recorded::read(&said(&facets("."))).expect("read");
    let copy = Copy { folder: "/c".into(), files: "/c/files".into() };
    for (word, want) in [
        ("/here/in/a.txt", "/c/files/in/a.txt"),
        ("--from=/here/in", "--from=/c/files/in"),
        ("cat /here/in/a.txt > \"/here/o.txt\"", "cat /c/files/in/a.txt > \"/c/files/o.txt\""),
        ("cd /here; ls", "cd /c/files; ls"),
        ("/here/env/bin/python", "/here/env/bin/python"),
        ("/hereby/in/a.txt", "/hereby/in/a.txt"),
        ("in/a.txt", "in/a.txt"),
    ] {
        assert_eq!(moved(word, Path::new("/here"), &copy, &recorded), want);
    }
}
