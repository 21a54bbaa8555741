//! A pack that was handed out, checked without a store: its files, its events, the tree over them, the checkpoint.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use lineage_store::digest::Hasher;
use lineage_store::proof::{Compared, Edge, Hash, Here, SignedCheckpoint, TILE_HASHES, VerifierKey, tile_path};
use lineage_store::time::Time;

use super::Scope;
use super::anchors::Anchored;
use super::members::{Entry, Log, Manifest, Named};
use super::report::{Finding, Report};
use super::rows;
use crate::render::count;

/// A leaf has at most 60 KiB; the line around it has its position.
const LINE_BYTES_MAX: u64 = 61_440 + 100;
const HASH_BYTES: usize = 32;
/// What is wrong with a pack.
pub(super) type Checked<T> = Result<T, String>;

/// Checks a folder.
pub(super) fn check(folder: &Path, scope: &Scope<'_>) -> Report {
    let mut report = Report { path: Some(folder.display().to_string()), ..Report::default() };
    let pack = Pack { folder };
    if let Err(what) = pack.check(scope, &mut report) {
        report.damage.push(Finding::new("pack", folder.display().to_string(), what));
    }
    report
}

struct Pack<'a> {
    folder: &'a Path,
}

impl Pack<'_> {
    fn check(&self, scope: &Scope<'_>, report: &mut Report) -> Checked<()> {
        let manifest = read(&self.folder.join("manifest.json"))?;
        let manifest = Manifest::parse(&manifest)?;
        self.check_files(&manifest.files)?;
        manifest.check(scope.key.is_some())?;
        report
            .checked
            .push(format!("files: {}, size and digests, all that the report has, and no others", manifest.files.len()));
        let signed = manifest.proofs.as_ref().map(|named| self.signed(named, scope, report)).transpose()?;
        let Log { first, size, .. } = manifest.log;
        if signed.as_ref().is_some_and(|signed| signed.size() < size) {
            return Err(format!("the checkpoint covers fewer events than the {size} of the pack"));
        }
        let Some(events) = &manifest.events else {
            report.notes.push("the pack was made without events: only its files were checked".to_owned());
            return Ok(());
        };
        if (events.first, events.first.checked_add(events.count)) != (first, Some(size)) {
            return Err(format!("the events are not those from {first} to {size}"));
        }
        let tiles = manifest.proofs.as_ref().and_then(|named| named.tiles.as_deref());
        let leaves = Leaves::open(&self.inside(&events.path)?, first)?;
        let mut tree = Tree::new(&manifest.log, scope);
        match (&signed, tiles) {
            (Some(signed), Some(tiles)) => self.check_tree(leaves, tiles, signed, &mut tree)?,
            _ if first == 0 => check_whole(leaves, signed.as_ref(), &mut tree, report)?,
            _ => {
                report
                    .notes
                    .push(format!("the events begin at {first} and there are no tiles: the tree was not checked"));
                leaves.count_to(size)?;
            }
        }
        report.checked.push(format!("events: {}, without a gap", events.count));
        if first == 0 {
            let leaves = Leaves::open(&self.inside(&events.path)?, first)?;
            rows::check(self.folder, leaves, size, scope, report)?;
        } else {
            let note = format!("the events begin at {first}, so that the rows follow from them was not checked");
            report.notes.push(note);
        }
        if tree.edge.size() > 0 {
            let events = count(tree.edge.size(), "event");
            report.checked.push(format!("tree: {events} hashed, tree head {}", tree.edge.root()));
        }
        let beyond = tree.waiting.iter().map(SignedCheckpoint::size).collect::<Vec<_>>();
        for size in beyond {
            report.notes.push(format!("a checkpoint of {size} events was kept, which is more than the pack covers"));
        }
        report.anchored = Anchored::of(tree.compared, |_| Time::MIN);
        let wrong = report.anchored.add_cosignatures(&scope.anchors.witnesses, &signed.iter().collect::<Vec<_>>());
        wrong.into_iter().next().map_or(Ok(()), Err)
    }

    /// A path that the manifest names, which must stay in the pack.
    fn inside(&self, path: &str) -> Checked<PathBuf> {
        let odd = path.contains('\\') || path.split('/').any(|part| matches!(part, "" | "." | ".."));
        if odd { Err(format!("{path:?} is no path in a pack")) } else { Ok(self.folder.join(path)) }
    }

    fn check_files(&self, entries: &[Entry]) -> Checked<()> {
        let mut named = BTreeMap::new();
        for entry in entries {
            if named.insert(self.inside(&entry.path)?, entry).is_some() {
                return Err(format!("{} is named twice", entry.path));
            }
        }
        let mut found = Vec::new();
        list(self.folder, &mut found)?;
        found.retain(|path| *path != self.folder.join("manifest.json"));
        if let Some(other) = found.iter().find(|path| !named.contains_key(*path)) {
            return Err(format!("{} is not named by the manifest", other.display()));
        }
        for (path, entry) in named {
            let mut hasher = Hasher::default();
            let mut file = File::open(&path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => format!("{} is missing", entry.path),
                _ => format!("{}: {error}", entry.path),
            })?;
            let mut buffer = vec![0; 256 * 1024];
            loop {
                match file.read(&mut buffer).map_err(|error| format!("{}: {error}", entry.path))? {
                    0 => break,
                    n => hasher.update(&buffer[..n]),
                }
            }
            let (blake3, sha256, size) = hasher.finish();
            if (size, &sha256, &blake3.hex()) != (entry.size, &entry.sha256, &entry.blake3) {
                return Err(format!("{} is not the file that the manifest names", entry.path));
            }
        }
        Ok(())
    }

    /// The checkpoint, its signature checked with the key that is trusted, else with the one in the pack.
    fn signed(&self, named: &Named, scope: &Scope<'_>, report: &mut Report) -> Checked<SignedCheckpoint> {
        let text = String::from_utf8(read(&self.inside(&named.checkpoint)?)?).map_err(|error| error.to_string())?;
        let signed = SignedCheckpoint::parse(&text).map_err(|error| format!("{}: {error}", named.checkpoint))?;
        let own = String::from_utf8(read(&self.inside(&named.key)?)?).map_err(|error| error.to_string())?;
        let own = VerifierKey::parse(own.trim_end()).map_err(|error| format!("{}: {error}", named.key))?;
        if let Some(given) = scope.key.filter(|given| **given != own) {
            return Err(format!("the pack names the key {own}, not the one that was given: {given}"));
        }
        signed.verify(&own).map_err(|error| format!("{}: {error}", named.checkpoint))?;
        super::file::told_signature(&signed, &own, scope, report);
        Ok(signed)
    }

    /// The tiles have the root of the checkpoint, and the leaves are those of the tiles.
    fn check_tree(&self, mut leaves: Leaves, tiles: &str, signed: &SignedCheckpoint, tree: &mut Tree) -> Checked<()> {
        let tiles = Tiles { folder: self.inside(tiles.trim_end_matches('/'))?, size: signed.size() };
        let mut tile = Vec::new();
        for position in 0..signed.size() {
            if position.is_multiple_of(TILE_HASHES) {
                tile = tiles.read(0, position / TILE_HASHES)?;
            }
            let hash = tile[(position % TILE_HASHES) as usize];
            if (tree.first..tree.size).contains(&position) && leaves.next()? != Some(hash) {
                return Err(format!("event {position} is not the one that the tree covers"));
            }
            tree.push(hash, &mut |level, index, hashes| match level {
                0 => Ok(()),
                _ if tiles.read(level, index)? == hashes => Ok(()),
                _ => Err(format!("the tile {level}/{index} does not follow from the tiles below")),
            })?;
        }
        for (level, index, hashes) in tree.edge.partial() {
            if tiles.read(level, index)? != hashes {
                return Err(format!("the tile {level}/{index} does not follow from the tiles below"));
            }
        }
        leaves.count_to(tree.size)?;
        if tree.edge.root() == signed.root() {
            Ok(())
        } else {
            Err("the tiles do not have the tree head of the checkpoint".to_owned())
        }
    }
}

/// All leaves from the first on: their root is computed.
fn check_whole(
    mut leaves: Leaves,
    signed: Option<&SignedCheckpoint>,
    tree: &mut Tree,
    report: &mut Report,
) -> Checked<()> {
    for position in 0..tree.size {
        let hash = leaves.next()?.ok_or_else(|| format!("the events end before {position}"))?;
        tree.push(hash, &mut |_, _, _| Ok(()))?;
    }
    leaves.count_to(tree.size)?;
    match signed {
        Some(signed) if signed.size() == tree.size && signed.root() != tree.edge.root() => {
            Err("the tree head of the checkpoint is not that of the events".to_owned())
        }
        Some(signed) if signed.size() > tree.size => {
            let note = "the checkpoint covers more than the pack, and there are no tiles to compare";
            report.notes.push(note.to_owned());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The tree over the leaves, and what its heads are compared with.
struct Tree {
    edge: Edge,
    first: u64,
    size: u64,
    head: Option<String>,
    /// Checkpoints that were kept, the smallest last.
    waiting: Vec<SignedCheckpoint>,
    compared: Vec<Compared>,
}

impl Tree {
    fn new(log: &Log, scope: &Scope<'_>) -> Self {
        let mut waiting = scope.anchors.checkpoints();
        waiting.sort_by_key(|kept| std::cmp::Reverse(kept.size()));
        let (first, size, head) = (log.first, log.size, log.head.clone());
        let mut tree = Self { edge: Edge::default(), first, size, head, waiting, compared: Vec::new() };
        tree.meet();
        tree
    }

    fn push(&mut self, hash: Hash, full: lineage_store::proof::TakeTile<'_, String>) -> Checked<()> {
        self.edge.push(hash, full)?;
        self.meet();
        let is_there = self.edge.size() == self.size && self.head.is_some();
        if is_there && self.head != Some(self.edge.root().to_string()) {
            return Err("the head of the manifest is not that of the events".to_owned());
        }
        Ok(())
    }

    /// Compares the checkpoints of the size that the tree has now.
    fn meet(&mut self) {
        while let Some(kept) = self.waiting.pop_if(|kept| kept.size() == self.edge.size()) {
            let root = self.edge.root();
            let here = if kept.root() == root { Here::Same } else { Here::Other(root) };
            self.compared.push(Compared { kept, here });
        }
    }
}

/// The tiles of a tree of a size.
struct Tiles {
    folder: PathBuf,
    size: u64,
}

impl Tiles {
    fn read(&self, level: u32, index: u64) -> Checked<Vec<Hash>> {
        let rows = self.size.checked_shr(8 * level).unwrap_or(0);
        let width = rows.saturating_sub(index * TILE_HASHES).min(TILE_HASHES);
        let bytes = read(&self.folder.join(tile_path(level, index, width)))?;
        let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
        if !rest.is_empty() || hashes.len() as u64 != width {
            return Err(format!("the tile {} has a wrong length", tile_path(level, index, width)));
        }
        Ok(hashes.iter().copied().map(Hash).collect())
    }
}

/// The leaves of `events.ndjson.gz`, which follow each other.
pub(super) struct Leaves {
    lines: BufReader<MultiGzDecoder<BufReader<File>>>,
    line: Vec<u8>,
    next: u64,
}

impl Leaves {
    fn open(path: &Path, first: u64) -> Checked<Self> {
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let lines = BufReader::new(MultiGzDecoder::new(BufReader::new(file)));
        Ok(Self { lines, line: Vec::new(), next: first })
    }

    /// The next leaf; `None` at the end.
    pub(super) fn next_leaf(&mut self) -> Checked<Option<&[u8]>> {
        self.line.clear();
        let read = (&mut self.lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line);
        if read.map_err(|error| format!("the events cannot be unpacked: {error}"))? == 0 {
            return Ok(None);
        }
        let prefix = format!("{{\"position\":{},\"leaf\":", self.next);
        let leaf = self.line.strip_prefix(prefix.as_bytes()).and_then(|rest| rest.strip_suffix(b"}\n"));
        let leaf = leaf.ok_or_else(|| format!("event {} does not follow", self.next))?;
        self.next += 1;
        Ok(Some(leaf))
    }

    /// The hash of the next leaf; `None` at the end.
    fn next(&mut self) -> Checked<Option<Hash>> {
        Ok(self.next_leaf()?.map(Hash::leaf))
    }

    /// Reads on to the end, which must be there.
    fn count_to(mut self, size: u64) -> Checked<()> {
        while self.next()?.is_some() {}
        if self.next == size { Ok(()) } else { Err(format!("the events end before {}, not {size}", self.next)) }
    }
}

fn read(path: &Path) -> Checked<Vec<u8>> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Every file below a folder; a symbolic link is an error.
fn list(folder: &Path, found: &mut Vec<PathBuf>) -> Checked<()> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_symlink() {
            return Err(format!("{} is a symbolic link", path.display()));
        }
        if path.is_dir() {
            list(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}
