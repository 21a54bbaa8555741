//! Verification of the proofs: tiles and checkpoints against the leaves of the journal, reported and never repaired.

use std::path::PathBuf;

use super::checkpoint::SignedCheckpoint;
use super::edge::Edge;
use super::key::VerifierKey;
use super::proofs::Proofs;
use super::tiles::{TILE_HASHES, parse_path, tile_path};
use super::tree::Hash;
use crate::error::{Result, StoreError};

/// Further damage is counted, not listed.
const LISTED_MAX: usize = 10_000;
const HASH_BYTES: u64 = 32;

/// A place in tiles or checkpoints that is not what the journal and the log's key say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofDamage {
    /// The file.
    pub file: PathBuf,
    /// Where in the file.
    pub offset: u64,
    /// The event it is about, where it is about one.
    pub position: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// Whether the event itself, not its hash, is what the newest checkpoint does not cover.
    pub is_event: bool,
}

/// What the verification of tree, tiles and checkpoints found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProofReport {
    /// How many leaves the tree has.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// How many tiles were compared.
    pub tiles: u64,
    /// How many checkpoints were compared with the tree, their signatures checked.
    pub checkpoints: u64,
    /// The newest of them.
    pub newest: Option<SignedCheckpoint>,
    /// What is wrong; at most 10,000 places are listed.
    pub damage: Vec<ProofDamage>,
    /// How many places are wrong.
    pub damaged: u64,
}

/// A tree head that someone else kept, and what the tree here says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// What was kept.
    pub kept: SignedCheckpoint,
    /// What is here.
    pub here: Here,
}

/// What stands here at the size of a checkpoint that someone else kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Here {
    /// The same tree head: the log here goes on from what was kept.
    Same,
    /// Another tree head.
    Other(Hash),
    /// Fewer events than were kept.
    Shorter(u64),
    /// An event before it is lost, and no tile names its hash.
    Lost,
}

/// Compares the leaves of the journal, as they come, with tiles and checkpoints.
pub struct TreeCheck<'a> {
    proofs: &'a Proofs,
    /// The tree of the journal's own leaves.
    edge: Edge,
    /// The tree of the leaves that the tiles name, from the first difference on.
    stored: Option<Edge>,
    /// The stored hashes of the level 0 tile that is being filled.
    tile: Vec<Hash>,
    /// What is to be compared with the tree as it passes their sizes, the next one last.
    waiting: Vec<Waiting>,
    compared: Vec<Compared>,
    /// The tiles before which nothing was read.
    from: u64,
    differing: Vec<ProofDamage>,
    /// Whether a leaf is lost in journal and tiles, so that no root can be told from there on.
    is_lost: bool,
    report: ProofReport,
}

/// A checkpoint whose size the tree has not come to.
struct Waiting {
    signed: SignedCheckpoint,
    /// Where it is stored here; `None` if it was kept elsewhere.
    place: Option<(PathBuf, u64)>,
}

impl<'a> TreeCheck<'a> {
    /// Prepares to compare from an edge on, that of the empty tree or of one that was verified before; `kept` are
    /// checkpoints from elsewhere.
    pub fn new(proofs: &'a Proofs, key: Option<&VerifierKey>, edge: Edge, kept: &[SignedCheckpoint]) -> Result<Self> {
        let (stored, bad) = proofs.checkpoints().all()?;
        let from = edge.size();
        let mut check = Self {
            proofs,
            edge,
            stored: None,
            tile: Vec::new(),
            waiting: Vec::new(),
            compared: Vec::new(),
            from,
            differing: Vec::new(),
            is_lost: false,
            report: ProofReport::default(),
        };
        for bad in bad {
            check.damage(bad.file, bad.offset, None, bad.what.to_string());
        }
        for found in stored {
            let verified = match key {
                Some(key) => found.signed.verify(key).map_err(|error| error.to_string()),
                None => Err("the public key of the log is not there".to_owned()),
            };
            match verified {
                Ok(()) => {
                    check.report.checkpoints += 1;
                    check.waiting.push(Waiting { signed: found.signed, place: Some((found.file, found.offset)) });
                }
                Err(what) => check.damage(found.file, found.offset, None, what),
            }
        }
        check.report.newest = check.waiting.last().map(|waiting| waiting.signed.clone());
        check.waiting.extend(kept.iter().map(|signed| Waiting { signed: signed.clone(), place: None }));
        check.waiting.sort_by_key(|waiting| std::cmp::Reverse(waiting.signed.size()));
        check.load_tile(from)?;
        check.pass_early()?;
        Ok(check)
    }

    /// Takes the next leaf of the journal; `None` for one that cannot be read, whose stored hash is taken instead.
    pub fn leaf(&mut self, hash: Option<Hash>) -> Result<()> {
        let position = self.edge.size();
        let at = (position % TILE_HASHES) as usize;
        if at == 0 {
            self.load_tile(position)?;
        }
        let stored = self.tile.get(at).copied();
        self.is_lost |= hash.is_none() && stored.is_none();
        let leaf = hash.or(stored).unwrap_or_default();
        let named = stored.unwrap_or(leaf);
        if leaf != named {
            self.differ(position);
        }
        let mut full = Vec::new();
        self.edge.push(leaf, &mut |level, index, hashes| {
            full.push((level, index, hashes.to_vec()));
            Ok::<_, StoreError>(())
        })?;
        if let Some(stored) = &mut self.stored {
            let mut named_full = Vec::new();
            stored.push(named, &mut |level, index, hashes| {
                named_full.push((level, index, hashes.to_vec()));
                Ok::<_, StoreError>(())
            })?;
            full = named_full;
        }
        for (level, index, hashes) in full {
            self.compare(level, index, &hashes, true)?;
        }
        self.pass();
        Ok(())
    }

    /// Ends the comparison with the partial tiles and what no leaf belongs to.
    pub fn finish(mut self) -> Result<(ProofReport, Vec<Compared>)> {
        let edge = self.stored.clone().unwrap_or_else(|| self.edge.clone());
        let covered = self.report.newest.as_ref().map_or(0, SignedCheckpoint::size);
        if covered == edge.size() {
            for (level, index, hashes) in edge.partial() {
                self.compare(level, index, hashes, false)?;
            }
        }
        self.other_files(&edge)?;
        for waiting in std::mem::take(&mut self.waiting) {
            let (size, count) = (waiting.signed.size(), self.edge.size());
            match waiting.place {
                Some((file, offset)) => {
                    self.damage(file, offset, None, format!("it covers {size} events, the journal has {count}"));
                }
                None => self.compared.push(Compared { kept: waiting.signed, here: Here::Shorter(count) }),
            }
        }
        for mut differing in std::mem::take(&mut self.differing) {
            let place = differing.position.filter(|_| differing.is_event);
            if let Some(Ok(place)) = place.map(|position| self.proofs.journal().place(position)) {
                (differing.file, differing.offset) = place;
            }
            self.add(differing);
        }
        self.report.size = self.edge.size();
        self.report.root = self.edge.root();
        Ok((self.report, self.compared))
    }

    fn load_tile(&mut self, position: u64) -> Result<()> {
        self.tile = self.proofs.tiles().read(0, position / TILE_HASHES, TILE_HASHES as usize)?;
        Ok(())
    }

    /// Notes that an event and its stored hash differ; which of them is wrong is found out at the next checkpoint.
    fn differ(&mut self, position: u64) {
        if self.stored.is_none() {
            self.stored = Some(self.edge.clone());
        }
        let (index, at) = (position / TILE_HASHES, position % TILE_HASHES);
        let file = self.tile_file(0, index);
        let what = "the event does not have the hash that the tile names".to_owned();
        let offset = at * HASH_BYTES;
        self.differing.push(ProofDamage { file, offset, position: Some(position), what, is_event: false });
    }

    fn tile_file(&self, level: u32, index: u64) -> PathBuf {
        let full = self.proofs.tiles().path(level, index, TILE_HASHES);
        if full.exists() {
            return full;
        }
        let widest = self.proofs.tiles().widths(level, index).unwrap_or_default().pop();
        widest.map_or(full, |width| self.proofs.tiles().path(level, index, width))
    }

    /// Compares a tile with its file. What differs at level 0 was found with the leaf.
    fn compare(&mut self, level: u32, index: u64, hashes: &[Hash], is_full: bool) -> Result<()> {
        let width = if is_full { TILE_HASHES } else { hashes.len() as u64 };
        let file = self.proofs.tiles().path(level, index, width);
        let covered = self.report.newest.as_ref().map_or(0, SignedCheckpoint::size);
        let end = (index * TILE_HASHES + hashes.len() as u64).checked_shl(8 * level).unwrap_or(u64::MAX);
        // Partial ones are counted with the files.
        self.report.tiles += u64::from(is_full);
        if level == 0 && is_full && self.tile.len() as u64 == TILE_HASHES {
            // It was read, and each of its hashes compared, when its leaves came.
            return Ok(());
        }
        match self.proofs.tiles().read_exactly(level, index, width)? {
            Some(stored) => {
                if let Some(at) = stored.iter().zip(hashes).position(|(a, b)| a != b)
                    && level > 0
                {
                    let what = "the hash is not that of the tile below".to_owned();
                    self.damage(file, at as u64 * HASH_BYTES, None, what);
                }
            }
            // A tile past the newest checkpoint may not be written yet.
            None if end > covered => self.report.tiles -= u64::from(is_full),
            None => {
                let what = if file.exists() { "the tile has a wrong length" } else { "the tile is missing" };
                self.damage(file, 0, None, what.to_owned());
            }
        }
        Ok(())
    }

    /// Files that belong to no tile of the tree: left by a crash, and equal, or not of this log.
    fn other_files(&mut self, edge: &Edge) -> Result<()> {
        for name in self.proofs.tiles().files()? {
            let file = self.proofs.tiles().root().join(&name);
            let Some((level, index, width)) = parse_path(&name) else {
                self.damage(file, 0, None, "it is no tile".to_owned());
                continue;
            };
            let rows = edge.size().checked_shr(8 * level).unwrap_or(0);
            let there = rows.saturating_sub(index.saturating_mul(TILE_HASHES)).min(TILE_HASHES);
            if there < width {
                self.damage(file, 0, None, "the tile is of events that the journal does not have".to_owned());
            } else if width < TILE_HASHES {
                self.compare_partial(edge, (level, index, width), file)?;
            }
        }
        Ok(())
    }

    fn compare_partial(&mut self, edge: &Edge, tile: (u32, u64, u64), file: PathBuf) -> Result<()> {
        let (level, index, width) = tile;
        let newest = edge.partial().find(|(l, i, _)| (*l, *i) == (level, index));
        let right = match newest {
            Some((.., hashes)) => hashes.to_vec(),
            // The full tile was compared, if it is there; before the next checkpoint it need not be.
            None => match self.proofs.tiles().read_exactly(level, index, TILE_HASHES)? {
                Some(full) => full,
                None => match self.proofs.tile(level, index, edge.size()) {
                    Ok(hashes) => hashes,
                    // A journal that cannot tell its hashes is damaged itself.
                    Err(error) if error.is_corrupt() => return Ok(()),
                    Err(error) => return Err(error),
                },
            },
        };
        self.report.tiles += 1;
        match self.proofs.tiles().read_exactly(level, index, width)? {
            Some(stored) if right.starts_with(&stored) => {}
            Some(stored) => {
                let at = stored.iter().zip(&right).position(|(a, b)| a != b).unwrap_or(right.len()) as u64;
                // At level 0 the leaf that differs was noted already.
                if level > 0 || !self.differing.iter().any(|known| known.file == file) {
                    self.damage(file, at * HASH_BYTES, None, "the hash is not that of the tree".to_owned());
                }
            }
            None => self.damage(file, 0, None, "the tile has a wrong length".to_owned()),
        }
        Ok(())
    }

    /// Checkpoints of trees that are smaller than where the comparison begins.
    fn pass_early(&mut self) -> Result<()> {
        while let Some(waiting) = self.waiting.pop_if(|waiting| waiting.signed.size() < self.from) {
            let root = self.proofs.root_at(waiting.signed.size())?;
            self.meet(waiting, root, root);
        }
        self.pass();
        Ok(())
    }

    /// Compares the checkpoints of the size that the tree has now.
    fn pass(&mut self) {
        while let Some(waiting) = self.waiting.pop_if(|waiting| waiting.signed.size() == self.edge.size()) {
            let root = self.edge.root();
            let stored = self.stored.as_ref().map_or(root, Edge::root);
            self.meet(waiting, root, stored);
        }
    }

    /// A checkpoint meets the root of the journal's leaves, and that of the leaves that the tiles name.
    fn meet(&mut self, waiting: Waiting, root: Hash, stored: Hash) {
        let Waiting { signed, place } = waiting;
        let Some((file, offset)) = place else {
            let here = match signed.root() == root {
                true => Here::Same,
                false if self.is_lost => Here::Lost,
                false => Here::Other(root),
            };
            self.compared.push(Compared { kept: signed, here });
            return;
        };
        if signed.root() == root || self.is_lost {
            return;
        }
        if signed.root() == stored {
            for differing in &mut self.differing {
                differing.is_event = true;
                "the event is not the one whose hash the checkpoint covers".clone_into(&mut differing.what);
            }
            return;
        }
        let what = format!("its tree head is {}, that of the first {} events is {root}", signed.root(), signed.size());
        self.damage(file, offset, None, what);
    }

    fn damage(&mut self, file: PathBuf, offset: u64, position: Option<u64>, what: String) {
        self.add(ProofDamage { file, offset, position, what, is_event: false });
    }

    fn add(&mut self, damage: ProofDamage) {
        self.report.damaged += 1;
        if self.report.damage.len() < LISTED_MAX {
            self.report.damage.push(damage);
        }
    }
}

/// The edge of a tree of a size, from tiles that were verified before; an error if they do not give its root.
pub fn verified_edge(proofs: &Proofs, size: u64, root: Hash) -> Result<Edge> {
    let edge =
        Edge::load(size, |level, index, width| proofs.tile(level, index, size).map(|hashes| hashes[..width].to_vec()))?;
    if edge.root() == root {
        return Ok(edge);
    }
    let file = proofs.tiles().root().join(tile_path(0, size / TILE_HASHES, size % TILE_HASHES));
    Err(StoreError::corrupt(file, 0, format!("the tiles have the tree head {}, not {root}", edge.root())))
}
