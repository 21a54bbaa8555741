//! Tiles (C2SP tlog-tiles): 256 hashes of one level in a file, full ones for ever, partial ones until they grow.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::tree::Hash;
use crate::error::{Result, StoreError};

/// The hashes of a full tile.
pub const TILE_HASHES: u64 = 256;
const HASH_BYTES: usize = 32;

/// The path of a tile or, with `level` "entries", of a bundle of leaves; `width` 256 is a full one.
pub fn tile_path(level: impl std::fmt::Display, index: u64, width: u64) -> String {
    let mut groups = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    groups.reverse();
    let partial = if width < TILE_HASHES { format!(".p/{width}") } else { String::new() };
    format!("tile/{level}/{}{partial}", groups.join("/"))
}

/// The level, index and width that a path names; `None` if it is not exactly what [`tile_path`] writes.
pub(super) fn parse_path(path: &str) -> Option<(u32, u64, u64)> {
    let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let (place, width) = match rest.split_once(".p/") {
        Some((place, width)) => (place, width.parse().ok()?),
        None => (rest, TILE_HASHES),
    };
    let index = place.split('/').try_fold(0_u64, |index, group| {
        let digits = group.strip_prefix('x').unwrap_or(group).parse::<u64>().ok()?;
        index.checked_mul(1000)?.checked_add(digits)
    })?;
    let level = level.parse().ok()?;
    (level < 8 && width > 0 && tile_path(level, index, width) == path).then_some((level, index, width))
}

/// The folder of tiles.
#[derive(Clone, Debug)]
pub(super) struct Tiles {
    dir: PathBuf,
}

impl Tiles {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.dir
    }

    pub(super) fn path(&self, level: u32, index: u64, width: u64) -> PathBuf {
        self.dir.join(tile_path(level, index, width))
    }

    /// The first hashes of a tile, as many of `width` as are stored: of the full tile, else of the widest partial one.
    pub(super) fn read(&self, level: u32, index: u64, width: usize) -> Result<Vec<Hash>> {
        if let Some(hashes) = self.read_exactly(level, index, TILE_HASHES)? {
            return Ok(hashes.into_iter().take(width).collect());
        }
        let mut widths = self.widths(level, index)?;
        while let Some(stored) = widths.pop() {
            // One that a writer is about to replace may be gone, or not be whole.
            if let Some(hashes) = self.read_exactly(level, index, stored)? {
                return Ok(hashes.into_iter().take(width).collect());
            }
        }
        Ok(Vec::new())
    }

    /// The hashes of a tile file; `None` if it is not there or has another length.
    pub(super) fn read_exactly(&self, level: u32, index: u64, width: u64) -> Result<Option<Vec<Hash>>> {
        let path = self.path(level, index, width);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(StoreError::io("read", &path)(error)),
        };
        let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
        let whole = rest.is_empty() && hashes.len() as u64 == width;
        Ok(whole.then(|| hashes.iter().copied().map(Hash).collect()))
    }

    /// The widths of the partial tiles that are stored for a place, ascending.
    pub(super) fn widths(&self, level: u32, index: u64) -> Result<Vec<u64>> {
        let path = self.path(level, index, 1);
        let Some(folder) = path.parent() else { return Ok(Vec::new()) };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("list", folder)(error)),
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut widths: Vec<u64> = names.filter(|width| (1..TILE_HASHES).contains(width)).collect();
        widths.sort_unstable();
        Ok(widths)
    }

    /// Writes a tile; with `durable` it is synced before this returns.
    ///
    /// A tile that a crash left half-written has a wrong length, counts as absent and is written again.
    pub(super) fn write(&self, level: u32, index: u64, hashes: &[Hash], durable: bool) -> Result<()> {
        let path = self.path(level, index, hashes.len() as u64);
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
        let mut file = match fs::File::create(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(&self.dir);
                fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
                fs::File::create(&path)
            }
            opened => opened,
        }
        .map_err(StoreError::io("create", &path))?;
        file.write_all(&bytes).map_err(StoreError::io("write", &path))?;
        if durable {
            file.sync_data().map_err(StoreError::io("sync", &path))?;
        }
        Ok(())
    }

    /// Removes the partial tiles of a place but the one of a width; of a full tile, all of them.
    pub(super) fn remove_partial(&self, level: u32, index: u64, keep: Option<u64>) {
        // One that stays is of no harm: a wider one is preferred.
        let Ok(widths) = self.widths(level, index) else { return };
        for width in widths.into_iter().filter(|width| Some(*width) != keep) {
            fs::remove_file(self.path(level, index, width)).ok();
        }
        if keep.is_none()
            && let Some(folder) = self.path(level, index, 1).parent()
        {
            fs::remove_dir(folder).ok();
        }
    }

    /// Makes every tile durable that was written, with one sync of the file system.
    pub(super) fn sync(&self) -> Result<()> {
        let folder = fs::File::open(&self.dir).map_err(StoreError::io("open", &self.dir))?;
        rustix::fs::syncfs(&folder).map_err(|error| StoreError::io("sync", &self.dir)(error.into()))
    }

    /// Removes every tile.
    pub(super) fn clear(&self) -> Result<()> {
        let tiles = self.dir.join("tile");
        match fs::remove_dir_all(&tiles) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", &tiles)(error)),
            _ => Ok(()),
        }
    }

    /// Every file under the folder, by its path relative to the folder of tiles.
    pub(super) fn files(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        list(&self.dir, &mut String::new(), &mut found)?;
        found.sort_unstable();
        Ok(found)
    }
}

fn list(folder: &Path, prefix: &mut String, found: &mut Vec<String>) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("list", folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(StoreError::io("list", folder))?;
        let length = prefix.len();
        prefix.push_str(&entry.file_name().to_string_lossy());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            prefix.push('/');
            list(&entry.path(), prefix, found)?;
        } else {
            found.push(prefix.clone());
        }
        prefix.truncate(length);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(tile_path(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(tile_path(2, 0, 1), "tile/2/000.p/1");
        assert_eq!(tile_path("entries", 999, 256), "tile/entries/999");
        for (level, index, width) in [(0, 1_234_067, 256), (2, 0, 1), (7, 999, 255), (0, 1000, 256)] {
            assert_eq!(parse_path(&tile_path(level, index, width)), Some((level, index, width)));
        }
        for wrong in ["tile/0/1", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/x000/001", "tile/00/000", "tile/0/000x"]
        {
            assert_eq!(parse_path(wrong), None, "{wrong}");
        }
    }
}
