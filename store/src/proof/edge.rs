//! The right edge of the tree: the tiles that are not full yet, which is all it takes to add leaves.

use super::tiles::TILE_HASHES;
use super::tree::{Hash, complete, join, subtrees};

/// Takes a tile that became full: its level, its index, its hashes.
pub type TakeTile<'a, E> = &'a mut dyn FnMut(u32, u64, &[Hash]) -> Result<(), E>;

/// The unfinished tile of each level, from level 0 upwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// Each has fewer than 256 hashes.
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// The edge of a tree of `size` leaves; `tile` gives the first hashes of a tile by level, index and width.
    pub fn load<E>(size: u64, mut tile: impl FnMut(u32, u64, usize) -> Result<Vec<Hash>, E>) -> Result<Self, E> {
        let mut levels = Vec::new();
        let mut rows = size;
        while rows > 0 {
            let (index, width) = (rows / TILE_HASHES, (rows % TILE_HASHES) as usize);
            let level = levels.len() as u32;
            levels.push(if width == 0 { Vec::new() } else { tile(level, index, width)? });
            rows = index;
        }
        Ok(Self { size, levels })
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf; `full` is told every tile that becomes full, with its level and index.
    pub fn push<E>(&mut self, leaf: Hash, full: TakeTile<'_, E>) -> Result<(), E> {
        let (mut hash, mut index) = (leaf, self.size / TILE_HASHES);
        self.size += 1;
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Vec::with_capacity(TILE_HASHES as usize));
            }
            let tile = &mut self.levels[level];
            tile.push(hash);
            if (tile.len() as u64) < TILE_HASHES {
                break;
            }
            full(level as u32, index, tile)?;
            hash = complete(tile);
            tile.clear();
            index /= TILE_HASHES;
        }
        Ok(())
    }

    /// The tiles that are not full: level, index, hashes.
    pub fn partial(&self) -> impl Iterator<Item = (u32, u64, &[Hash])> {
        let mut rows = self.size;
        (0..).zip(&self.levels).filter_map(move |(level, hashes)| {
            rows /= TILE_HASHES;
            (!hashes.is_empty()).then_some((level, rows, hashes.as_slice()))
        })
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        let parts = self.levels.iter().rev().flat_map(|hashes| {
            subtrees(hashes.len() as u64).map(|(level, index)| {
                let (start, count) = ((index << level) as usize, 1 << level);
                complete(&hashes[start..start + count])
            })
        });
        join(parts.collect::<Vec<_>>().into_iter())
    }
}
