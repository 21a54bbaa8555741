//! Logs to tamper with: a store with events, an artifact and checkpoints, and what a check of it finds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lineage_store::erasure::Keys;
use lineage_store::event::{Event, prepare};
use lineage_store::journal::JournalReport;
use lineage_store::proof::{
    Advanced, Compared, Edge, Here, KeyUse, ProofReport, SignedCheckpoint, Signer, TreeCheck, VerifierKey,
};
use lineage_store::time::Time;
use lineage_store::{Result, Store};

/// The key of every log here.
pub fn key() -> Signer {
    Signer::new("example.org/log", KeyUse::Note, &[42; 32]).unwrap()
}

/// Makes a store in a folder.
pub fn create(folder: &Path) -> Store {
    let store = Store::create(&folder.join(".lineage"), "format = 1\n").unwrap();
    let path = store.proofs().checkpoints().latest_path().with_file_name("log.vkey");
    std::fs::write(path, format!("{}\n", key().public())).unwrap();
    store
}

/// Events of a chain: each trains a model from the dataset that the one before made. `salt` makes others of them.
pub fn add(store: &Store, from: u64, count: u64, salt: &str) {
    let events = (from..from + count).flat_map(|i| {
        let line = format!(
            r#"{{"v":1,"kind":"training","id":"{salt}e{i}","run":"r{i}","inputs":[{{"kind":"dataset","name":"d{i}"}}],"outputs":[{{"kind":"model","name":"m{i}","digest":"sha256:{:064x}"}},{{"kind":"dataset","name":"d{}"}}],"params":{{"salt":"{salt}"}}}}"#,
            i + 1,
            i + 1
        );
        prepare(Event::parse(line.as_bytes(), "ana").unwrap(), line.as_bytes(), &[], &Keys::of_seed([7; 32])).unwrap()
    });
    store.append(events.collect(), Time(1_800_000_000_000_000_000)).unwrap();
}

/// Signs the head.
pub fn sign(store: &Store) -> SignedCheckpoint {
    match store.proofs().advance(&key()).unwrap() {
        Advanced::Signed(signed) | Advanced::Current(Some(signed)) => signed,
        other => panic!("not signed: {other:?}"),
    }
}

/// A closed store of so many events with an artifact, a kept checkpoint and the newest one; the folder of the store.
pub fn closed(folder: &Path, count: u64) -> PathBuf {
    let store = create(folder);
    add(&store, 0, count / 2, "");
    let kept = sign(&store);
    store.proofs().checkpoints().keep(&kept).unwrap();
    add(&store, count / 2, count - count / 2, "");
    sign(&store);
    store.artifacts().put_bytes(&b"the bytes of a model ".repeat(40)).unwrap();
    let root = store.layout().root().to_owned();
    store.close(Duration::from_mins(1)).unwrap();
    root
}

/// What a check found.
#[derive(Debug)]
pub struct Checked {
    /// Of the journal.
    pub journal: JournalReport,
    /// Of tree, tiles and checkpoints.
    pub proofs: ProofReport,
    /// Of checkpoints that were kept elsewhere.
    pub compared: Vec<Compared>,
    /// The artifacts and payloads that are damaged.
    pub files: Vec<PathBuf>,
    /// Whether the public key can be read.
    pub key: bool,
}

impl Checked {
    /// Whether nothing is wrong in itself.
    pub fn is_good(&self) -> bool {
        self.journal.is_good() && self.proofs.damaged == 0 && self.files.is_empty() && self.key
    }

    /// Whether a checkpoint that was kept elsewhere disagrees.
    pub fn diverged(&self) -> bool {
        self.compared.iter().any(|compared| matches!(compared.here, Here::Other(_) | Here::Shorter(_)))
    }
}

/// Checks journal, tree, checkpoints, artifacts and payloads, as `lineage verify` does.
pub fn check(root: &Path, kept: &[SignedCheckpoint]) -> Result<Checked> {
    check_by(root, kept, 2)
}

/// As [`check`], by a number of threads.
pub fn check_by(root: &Path, kept: &[SignedCheckpoint], n_threads: usize) -> Result<Checked> {
    let store = Store::open(root)?;
    let proofs = store.proofs();
    let key = std::fs::read_to_string(proofs.checkpoints().latest_path().with_file_name("log.vkey")).ok();
    let key = key.and_then(|text| VerifierKey::parse(text.strip_suffix('\n')?).ok());
    let mut tree = TreeCheck::new(&proofs, key.as_ref(), Edge::default(), kept)?;
    let journal = store.journal().verify_from(0, n_threads, &mut |_, _| {}, &mut |_, hash| tree.leaf(hash))?;
    let (found, compared) = tree.finish()?;
    let artifacts = store.artifacts().verify_all(&mut |_| {})?.into_iter().map(|damage| damage.file);
    let files = artifacts.chain(store.payloads().check()?.into_iter().map(|flaw| flaw.file)).collect();
    Ok(Checked { journal, proofs: found, compared, files, key: key.is_some() })
}
