//! The folder of a store: where each part lives, and which format it has.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Result, StoreError};

/// The name of the folder that holds a store.
pub const FOLDER: &str = ".lineage";
/// The format of the store as a whole, written to `config.toml`.
pub const STORE_FORMAT: u64 = 1;

pub(crate) const FOLDERS: &[&str] =
    &["journal", "sled", "graph", "artifacts", "payloads", "spool", "rejects", "tiles", "checkpoints"];

/// The paths of a store.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The paths under a store's folder.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Makes the folders of a new store; `config` is the text of its `config.toml`.
    pub fn create(root: &Path, config: &str) -> Result<Self> {
        let layout = Self::new(root);
        if layout.config().exists() {
            return Err(StoreError::StoreExists { path: root.to_owned() });
        }
        fs::create_dir_all(root).map_err(StoreError::io("create", root))?;
        for name in FOLDERS {
            let folder = root.join(name);
            fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        }
        let keys = root.join("keys");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&keys).map_err(StoreError::io("create", &keys))?;
        Ok(layout).and_then(|layout| {
            layout.write_config(config)?;
            Ok(layout)
        })
    }

    /// Finds the paths of a store and checks its format.
    pub fn open(root: &Path) -> Result<Self> {
        let layout = Self::new(root);
        let path = layout.config();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::NoStore { path: root.to_owned() });
            }
            Err(error) => return Err(StoreError::io("read", &path)(error)),
        };
        let found = format_of(&text).ok_or_else(|| {
            StoreError::corrupt(&path, 0, "there is no line `format = N`; restore it with the number of the format")
        })?;
        if found > STORE_FORMAT {
            let what = format!("the store {}", root.display());
            return Err(StoreError::UnsupportedVersion { what, found, known: STORE_FORMAT });
        }
        Ok(layout)
    }

    /// Replaces `config.toml` durably.
    pub fn write_config(&self, text: &str) -> Result<()> {
        let path = self.config();
        let temporary = self.root.join("config.toml.tmp");
        let mut file = fs::File::create(&temporary).map_err(StoreError::io("create", &temporary))?;
        file.write_all(text.as_bytes()).map_err(StoreError::io("write", &temporary))?;
        file.sync_all().map_err(StoreError::io("sync", &temporary))?;
        fs::rename(&temporary, &path).map_err(StoreError::io("rename", &temporary))?;
        let folder = fs::File::open(&self.root).map_err(StoreError::io("open", &self.root))?;
        folder.sync_all().map_err(StoreError::io("sync", &self.root))
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The settings.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// A part of the store.
    pub fn part(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Bytes of every file of a part, of its subfolders too.
    pub fn bytes_of(&self, name: &str) -> u64 {
        bytes_under(&self.part(name))
    }
}

fn bytes_under(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => bytes_under(&entry.path()),
        _ => entry.metadata().map_or(0, |m| m.len()),
    });
    sizes.sum()
}

/// The number in the line `format = N`.
fn format_of(text: &str) -> Option<u64> {
    let mut values = text.lines().filter_map(|line| line.trim().strip_prefix("format")?.trim().strip_prefix('='));
    values.find_map(|value| value.split('#').next()?.trim().parse().ok())
}
