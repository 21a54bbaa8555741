//! Tests that observe real commands.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use lineage_store::digest::Blake3;

use super::watch::Way;
use super::*;

/// A folder in which commands run.
pub(super) struct Place(tempfile::TempDir);

impl Place {
    pub(super) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("capture").tempdir().expect("a folder"))
    }

    pub(super) fn path(&self) -> PathBuf {
        fs::canonicalize(self.0.path()).expect("a path")
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(path, text).expect("a file");
    }

    pub(super) fn launch(&self, argv: &[&str]) -> Launch {
        let env = vec![("PATH".into(), std::env::var_os("PATH").unwrap_or_default())];
        Launch::new(argv.iter().map(OsString::from).collect(), self.path(), env)
    }

    /// What was observed of a command that must end with code 0, by the first way that works.
    pub(super) fn observe(&self, argv: &[&str]) -> Trace {
        let mut started = start(&self.launch(argv)).expect("started");
        let exit = started.wait().expect("its end");
        assert_eq!(exit.code(), 0, "{argv:?}");
        started.finish()
    }

    pub(super) fn sh(&self, script: &str) -> Trace {
        self.observe(&["sh", "-c", script])
    }

    /// The same by one way only.
    pub(super) fn observe_by(&self, way: Way, argv: &[&str]) -> Trace {
        let mut launch = self.launch(argv);
        launch.ways = Self::only(way);
        launch.mode = CaptureMode::Require;
        let mut started = start(&launch).unwrap_or_else(|error| panic!("{way:?}: {error}"));
        let exit = started.wait().expect("its end");
        assert_eq!(exit.code(), 0, "{argv:?}");
        started.finish()
    }

    pub(super) fn only(way: Way) -> &'static [Way] {
        match way {
            Way::Notification => &[Way::Notification],
            Way::Tracing => &[Way::Tracing],
        }
    }

    /// The files of a trace that a test asks for, by their names in this folder.
    fn names(&self, trace: &Trace, which: impl Fn(&Access) -> bool) -> Vec<String> {
        let below = |path: &Path| path.strip_prefix(self.path()).unwrap_or(path).display().to_string();
        trace.accesses.iter().filter(|access| which(access)).map(|access| below(&access.path)).collect()
    }

    pub(super) fn reads(&self, trace: &Trace) -> Vec<String> {
        self.names(trace, |access| access.read.is_some())
    }

    pub(super) fn writes(&self, trace: &Trace) -> Vec<String> {
        self.names(trace, |access| access.written)
    }
}

#[test]
fn what_a_command_reads_and_writes_is_seen() {
    for way in Way::ALL {
        let place = Place::new();
        place.write("in.csv", "a,b\n");
        let script = "cat in.csv > out.csv; cat out.csv > copy.csv; echo x > t; mv t renamed; echo y > u; rm u";
        let trace = place.observe_by(way, &["sh", "-c", script]);
        assert_eq!(trace.mechanism, way.mechanism());
        assert_eq!((trace.completeness, trace.holes.len()), (Completeness::Complete, 0), "{:?}", trace.holes);
        assert_eq!(place.reads(&trace), ["in.csv"]);
        assert_eq!(place.writes(&trace), ["copy.csv", "out.csv", "renamed"]);
        assert_eq!(trace.n_temps, 2);
        let stored = trace.accesses.iter().find_map(|access| access.read.as_ref()?.stored.clone()).expect("a digest");
        assert_eq!(stored.digest, Blake3::of(b"a,b\n"));
    }
}

#[test]
fn a_missing_command_is_told_as_without_a_watch() {
    let place = Place::new();
    for ways in [&[Way::Notification], &[Way::Tracing]] {
        let mut launch = place.launch(&["no-such-command-anywhere"]);
        launch.ways = ways;
        let error = start(&launch).expect_err("no command");
        assert!(matches!(&error, StartError::Exec(error) if error.kind() == std::io::ErrorKind::NotFound), "{error}");
    }
}

#[test]
fn a_file_that_is_read_and_rewritten_keeps_its_old_digest() {
    let place = Place::new();
    place.write("state.json", "old");
    let trace = place.sh("cat state.json; echo new > state.json");
    assert_eq!(place.reads(&trace), ["state.json"]);
    assert_eq!(place.writes(&trace), ["state.json"]);
    let read = trace.accesses[0].read.clone().expect("it was read");
    assert!(!read.unstable);
    assert_eq!(read.stored.map(|stored| stored.digest), Some(Blake3::of(b"old")));
}
