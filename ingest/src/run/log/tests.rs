//! Tests of logs: limits, times, recovery, and that nothing is left out silently.

use super::*;

use lineage_store::artifact::Artifacts;
use lineage_store::digest::Blake3;

struct Place {
    folder: tempfile::TempDir,
    artifacts: Artifacts,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let artifacts = Artifacts::create(&folder.path().join("artifacts")).expect("a shelf");
        Self { folder, artifacts }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn reader(&self, kept: &Kept) -> LogReader {
        let digest = kept.facts["digest"].as_str().and_then(|d| Blake3::from_hex(d.strip_prefix("b3:")?));
        LogReader::open(&self.artifacts, &digest.expect("a digest")).expect("a log")
    }
}

fn all(reader: &mut LogReader) -> (Vec<u8>, Vec<Cut>) {
    let (mut bytes, mut cuts) = (Vec::new(), Vec::new());
    while let Some(piece) = reader.next_piece().expect("a piece") {
        match piece {
            Piece::Bytes(more) => bytes.extend(more),
            Piece::Cut(cut) => cuts.push(cut),
        }
    }
    (bytes, cuts)
}

/// Numbered lines of ten bytes.
fn lines(n: usize) -> Vec<u8> {
    (0..n).flat_map(|i| format!("{i:09}\n").into_bytes()).collect()
}

#[test]
fn a_log_comes_back_whole() {
    let place = Place::new();
    let secrets = Secrets::of(&[("A", "hunter2")]);
    let mut writer = LogWriter::new(place.path(), "stdout", &secrets, Instant::now(), LOG_BYTES_MAX);
    let text = lines(300_000);
    text.chunks(7777).for_each(|piece| writer.write(piece));
    writer.write(b"the word is hunter2\n");
    let written = writer.finish();
    let kept = keep(place.path(), &written, &place.artifacts);
    assert_eq!((kept.note.as_deref(), &kept.facts["masked"]), (None, &serde_json::json!(1)));
    let mut reader = place.reader(&kept);
    assert!(reader.ms_at(0).is_some() && reader.len() > 2 * SEGMENT_BYTES);
    let (bytes, cuts) = all(&mut reader);
    assert!(cuts.is_empty() && bytes == [&text[..], b"the word is <redacted>\n"].concat());
    let artifact = fs::read(
        place.artifacts.path(&Blake3::from_hex(&kept.facts["digest"].as_str().expect("b3")[3..]).expect("hex")),
    )
    .expect("bytes");
    // Any zstd reader sees the plain text, as the index is a frame that it skips.
    assert!(zstd::stream::decode_all(&artifact[..]).expect("zstd") == bytes);
}

#[test]
fn a_long_log_keeps_head_and_tail_and_says_so() {
    let place = Place::new();
    let secrets = Secrets::default();
    let limit = 64 * 1024;
    let mut writer = LogWriter::new(place.path(), "stdout", &secrets, Instant::now(), limit);
    let text = lines(50_000);
    text.chunks(1000).for_each(|piece| writer.write(piece));
    assert!(
        segments(place.path(), "stdout").expect("a list").len() as u64
            <= 1 + Plan::new(limit).kept_max() / writer.plan.segment_bytes
    );
    let kept = keep(place.path(), &writer.finish(), &place.artifacts);
    let (bytes, cuts) = all(&mut place.reader(&kept));
    let [Cut { from, to }] = cuts[..] else { panic!("one cut: {cuts:?}") };
    assert!(bytes == [&text[..from as usize], &text[to as usize..]].concat());
    assert!(bytes.len() as u64 <= Plan::new(limit).kept_max() && bytes.len() as u64 > limit / 2);
    assert_eq!(kept.facts["cut"], serde_json::json!({ "from": from, "to": to }));
    assert!(kept.note.expect("a note").contains("were left out"));
}

#[test]
fn what_a_dead_runner_left_is_kept() {
    let place = Place::new();
    let secrets = Secrets::default();
    let mut writer = LogWriter::new(place.path(), "stderr", &secrets, Instant::now(), LOG_BYTES_MAX);
    let text = lines(200_000);
    writer.write(&text);
    drop(writer);
    let mut live = Live::of(&place.path().join("x"), "nothing");
    assert!(live.pop().is_none());
    let kept = recover(place.path(), &place.artifacts);
    assert_eq!(kept.len(), 1);
    assert!(all(&mut place.reader(&kept[0])) == (text, Vec::new()));
}

#[test]
fn a_growing_log_can_be_followed() {
    let place = Place::new();
    let folder = place.path().join("r-1");
    fs::create_dir(&folder).expect("a folder");
    let secrets = Secrets::default();
    let mut writer = LogWriter::new(&folder, "stdout", &secrets, Instant::now(), LOG_BYTES_MIN);
    writer.write(b"one\n");
    let mut live = Live::of(place.path(), "r-1").pop().expect("a log");
    assert_eq!((live.read().expect("bytes"), live.name()), (b"one\n".to_vec(), "stdout"));
    assert!(live.read().expect("bytes").is_empty());
    let text = lines(600);
    writer.write(&text);
    assert!(live.read().expect("bytes") == text);
    fs::remove_dir_all(&folder).expect("removed");
    assert!(live.read().expect("no bytes").is_empty());
}

#[test]
fn a_full_disk_stops_the_log_and_nothing_else() {
    let place = Place::new();
    let secrets = Secrets::default();
    let mut writer = LogWriter::new(&place.path().join("gone"), "stdout", &secrets, Instant::now(), LOG_BYTES_MAX);
    writer.write(b"one\n");
    writer.write(b"two\n");
    let written = writer.finish();
    assert!(written.failed.is_some());
    assert!(keep(place.path(), &written, &place.artifacts).note.expect("a note").contains("not complete"));
}
