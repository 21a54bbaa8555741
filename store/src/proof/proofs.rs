//! The proofs of a store: tree heads at any position, proofs under them, and checkpoints that are signed as it grows.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::checkpoint::SignedCheckpoint;
use super::checkpoints::Checkpoints;
use super::edge::Edge;
use super::key::Signer;
use super::tiles::{TILE_HASHES, Tiles, tile_path};
use super::tree::{self, Hash, complete};
use crate::error::{Result, StoreError};
use crate::journal::Journal;
use crate::layout::Layout;

/// Tiles kept in memory; each has 8 KiB.
const TILES_KEPT: usize = 1024;
/// When so many tiles were written for one checkpoint, one sync of the file system is cheaper than one for each.
const TILES_SYNCED_ONE_BY_ONE: u64 = 4;

/// What became of growing the tree and signing its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advanced {
    /// A new checkpoint was signed and published.
    Signed(SignedCheckpoint),
    /// The newest checkpoint covers every event.
    Current(Option<SignedCheckpoint>),
    /// Another process is signing just now.
    Busy,
}

/// A tile in memory, by level and index.
type Kept = RefCell<HashMap<(u32, u64), Rc<Vec<Hash>>>>;

/// The tree over the journal of a store, and its checkpoints.
///
/// It only reads, but for [`Proofs::advance`]; what is not in tiles yet is hashed from the journal.
pub struct Proofs {
    journal: Journal,
    tiles: Tiles,
    checkpoints: Checkpoints,
    kept: Kept,
}

impl Proofs {
    /// The proofs of a store.
    pub fn open(layout: &Layout, journal: &Journal) -> Self {
        Self {
            journal: journal.clone(),
            tiles: Tiles::new(&layout.part("tiles")),
            checkpoints: Checkpoints::new(&layout.part("checkpoints")),
            kept: Kept::default(),
        }
    }

    /// The checkpoints.
    pub fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(super) fn tiles(&self) -> &Tiles {
        &self.tiles
    }

    /// The root of the tree of the first `size` events. Reads a few tiles, and the journal past the last of them.
    pub fn root_at(&self, size: u64) -> Result<Hash> {
        self.check(size)?;
        tree::root(size, &mut |level, index| self.node(level, index, size))
    }

    /// The proof that the event at a position is in the tree of the first `size` events; `None` if it is not.
    pub fn inclusion(&self, position: u64, size: u64) -> Result<Option<Vec<Hash>>> {
        self.check(size)?;
        tree::prove_inclusion(position, size, &mut |level, index| self.node(level, index, size))
    }

    /// The proof that the tree of `old` events is the beginning of that of `new`; `None` if `old` is greater.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Option<Vec<Hash>>> {
        self.check(new)?;
        tree::prove_consistency(old, new, &mut |level, index| self.node(level, index, new))
    }

    /// The hashes of a tile of the tree of `size` events; as many as it has.
    pub fn tile(&self, level: u32, index: u64, size: u64) -> Result<Vec<Hash>> {
        self.check(size)?;
        let rows = size.checked_shr(8 * level).unwrap_or(0);
        let width = rows.saturating_sub(index * TILE_HASHES).min(TILE_HASHES);
        self.hashes(level, index, width as usize).map(|hashes| hashes[..width as usize].to_vec())
    }

    /// Hands over every tile of the tree of `size` events, with its path.
    pub fn each_tile(&self, size: u64, f: &mut dyn FnMut(String, Vec<u8>) -> Result<()>) -> Result<()> {
        let (mut level, mut rows) = (0, size);
        while rows > 0 {
            for index in 0..rows.div_ceil(TILE_HASHES) {
                let hashes = self.tile(level, index, size)?;
                let path = tile_path(level, index, hashes.len() as u64);
                f(path, hashes.iter().flat_map(|hash| hash.0).collect())?;
            }
            (level, rows) = (level + 1, rows / TILE_HASHES);
        }
        Ok(())
    }

    fn check(&self, size: u64) -> Result<()> {
        let count = self.journal.head()?.count;
        if size <= count { Ok(()) } else { Err(StoreError::BeyondHead { position: size, count }) }
    }

    /// The hash of a complete subtree of the tree of `size` leaves.
    fn node(&self, level: u32, index: u64, size: u64) -> Result<Hash> {
        let (tile_level, height) = (level / 8, level % 8);
        let first = index << height;
        let (tile, at) = (first / TILE_HASHES, (first % TILE_HASHES) as usize);
        let rows = size >> (8 * tile_level);
        let width = (rows - tile * TILE_HASHES).min(TILE_HASHES) as usize;
        let hashes = self.hashes(tile_level, tile, width)?;
        Ok(complete(&hashes[at..at + (1 << height)]))
    }

    /// The first hashes of a tile, `width` or more of them: stored, else computed from the level below.
    fn hashes(&self, level: u32, index: u64, width: usize) -> Result<Rc<Vec<Hash>>> {
        if let Some(kept) = self.kept.borrow().get(&(level, index)).filter(|kept| kept.len() >= width) {
            return Ok(Rc::clone(kept));
        }
        let mut hashes = self.tiles.read(level, index, width)?;
        if hashes.len() < width {
            self.complete_tile(level, index, width, &mut hashes)?;
        }
        let hashes = Rc::new(hashes);
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= TILES_KEPT {
            kept.clear();
        }
        kept.insert((level, index), Rc::clone(&hashes));
        Ok(hashes)
    }

    /// Adds the hashes that are not stored.
    fn complete_tile(&self, level: u32, index: u64, width: usize, hashes: &mut Vec<Hash>) -> Result<()> {
        let first = index * TILE_HASHES;
        if level == 0 {
            let (from, end) = (first + hashes.len() as u64, first + width as u64);
            return self.journal.read_from(from, end, &mut |record| {
                hashes.push(Hash::leaf(record.leaf));
                Ok(())
            });
        }
        for below in first + hashes.len() as u64..first + width as u64 {
            let tile = self.hashes(level - 1, below, TILE_HASHES as usize)?;
            hashes.push(complete(&tile));
        }
        Ok(())
    }

    /// Grows the tiles to the journal's head, signs the head and publishes it as the newest checkpoint.
    ///
    /// Nothing is signed that contradicts the newest checkpoint: a journal that became shorter, or tiles that do not
    /// have its root, are an error.
    pub fn advance(&self, signer: &Signer) -> Result<Advanced> {
        self.advance_to(signer, true)
    }

    /// As [`Proofs::advance`], and leaves it to [`Proofs::sync`] to make the tiles durable.
    pub(super) fn advance_unsynced(&self, signer: &Signer) -> Result<Advanced> {
        self.advance_to(signer, false)
    }

    /// Makes every tile durable.
    pub fn sync(&self) -> Result<()> {
        self.tiles.sync()
    }

    fn advance_to(&self, signer: &Signer, durable: bool) -> Result<Advanced> {
        let count = self.journal.head()?.count;
        let latest = self.checkpoints.latest()?;
        if latest.as_ref().is_some_and(|latest| latest.size() == count) || count == 0 {
            return Ok(Advanced::Current(latest));
        }
        let Some(_lock) = self.checkpoints.lock()? else { return Ok(Advanced::Busy) };
        // Another process may have signed meanwhile, also more than there was when the head was read.
        let latest = self.checkpoints.latest()?;
        let mut edge = self.edge_of(latest.as_ref(), signer)?;
        if edge.size() >= count {
            return Ok(Advanced::Current(latest));
        }
        self.grow(&mut edge, count, durable)?;
        let signed = SignedCheckpoint::sign(count, edge.root(), signer);
        self.checkpoints.publish(&signed)?;
        Ok(Advanced::Signed(signed))
    }

    /// Makes every tile again from the journal, up to the newest checkpoint, whose head they must have; their events.
    pub fn renew_tiles(&self) -> Result<u64> {
        let Some(latest) = self.checkpoints.latest()? else { return Ok(0) };
        let Some(_lock) = self.checkpoints.lock()? else {
            let path = self.checkpoints.latest_path();
            return Err(StoreError::Locked { path, waited_ms: 0 });
        };
        let mut edge = Edge::default();
        self.journal
            .read_from(0, latest.size(), &mut |record| edge.push(Hash::leaf(record.leaf), &mut |_, _, _| Ok(())))?;
        if edge.root() != latest.root() {
            let what = format!("its tree head is {}, that of the journal is {}", latest.root(), edge.root());
            return Err(StoreError::corrupt(self.checkpoints.latest_path(), 0, what));
        }
        self.tiles.clear()?;
        let mut edge = Edge::default();
        self.grow(&mut edge, latest.size(), true)?;
        Ok(latest.size())
    }

    /// The edge that the newest checkpoint vouches for.
    fn edge_of(&self, latest: Option<&SignedCheckpoint>, signer: &Signer) -> Result<Edge> {
        let Some(latest) = latest else { return Ok(Edge::default()) };
        let damaged = |what: String| StoreError::corrupt(self.checkpoints.latest_path(), 0, what);
        latest.verify(signer.public()).map_err(|error| damaged(error.to_string()))?;
        let (size, count) = (latest.size(), self.journal.head()?.count);
        if size > count {
            return Err(damaged(format!("it covers {size} events, the journal has {count}")));
        }
        let edge = Edge::load(size, |level, index, width| {
            self.hashes(level, index, width).map(|hashes| hashes[..width].to_vec())
        })?;
        if edge.root() == latest.root() {
            return Ok(edge);
        }
        Err(damaged(format!("its tree head is {}, that of the tiles is {}", latest.root(), edge.root())))
    }

    /// Hands over the hashes of events in order: those that sealing came by, and of the others from the journal.
    fn each_leaf(&self, from: u64, end: u64, each: &mut dyn FnMut(Hash) -> Result<()>) -> Result<()> {
        let mut next = from;
        for run in self.journal.take_hashed(end).into_iter().filter(|run| run.end() > from) {
            if run.first > next {
                self.journal.read_from(next, run.first, &mut |record| each(Hash::leaf(record.leaf)))?;
                next = run.first;
            }
            let known = (next - run.first) as usize;
            for leaf in run.hashes.into_iter().skip(known).take((end - next) as usize) {
                each(leaf)?;
                next += 1;
            }
        }
        self.journal.read_from(next, end, &mut |record| each(Hash::leaf(record.leaf)))
    }

    /// Adds the events up to a count, and writes the tiles that changed.
    fn grow(&self, edge: &mut Edge, count: u64, durable: bool) -> Result<()> {
        let before: Vec<(u32, u64)> = edge.partial().map(|(level, index, _)| (level, index)).collect();
        let one_by_one = count - edge.size() <= TILES_SYNCED_ONE_BY_ONE * TILE_HASHES;
        self.each_leaf(edge.size(), count, &mut |leaf| {
            edge.push(leaf, &mut |level, index, hashes| self.tiles.write(level, index, hashes, durable && one_by_one))
        })?;
        let mut widths = HashMap::new();
        for (level, index, hashes) in edge.partial() {
            self.tiles.write(level, index, hashes, false)?;
            widths.insert((level, index), hashes.len() as u64);
        }
        if durable && !one_by_one {
            self.tiles.sync()?;
        }
        for place in before.into_iter().chain(widths.keys().copied()) {
            self.tiles.remove_partial(place.0, place.1, widths.get(&place).copied());
        }
        self.kept.borrow_mut().clear();
        Ok(())
    }
}
