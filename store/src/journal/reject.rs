//! The reject file: what was refused, why, and the text itself, so that it can be mended and sent again.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Result, StoreError};

/// One refused piece of input.
#[derive(Clone, Debug)]
pub struct Reject<'a> {
    /// Why it was refused.
    pub reason: &'a str,
    /// The file or address that it came from.
    pub source: &'a str,
    /// Its line there, from 1.
    pub line: u64,
    /// The text as received.
    pub raw: &'a [u8],
}

/// A reject file, one JSON object a line.
#[derive(Debug)]
pub struct RejectFile {
    path: PathBuf,
    file: File,
}

#[derive(Serialize)]
struct Row<'a> {
    reason: &'a str,
    source: &'a str,
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// For what is no UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

impl RejectFile {
    /// Opens a reject file to append to, making it and its folder.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(StoreError::io("create", dir))?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(StoreError::io("open", path))?;
        if let Some(dir) = path.parent() {
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(StoreError::io("sync", dir))?;
        }
        Ok(Self { path: path.to_owned(), file })
    }

    /// Appends refused input, durable when this returns.
    pub fn append(&mut self, rejects: &[Reject<'_>]) -> Result<()> {
        let mut lines = Vec::new();
        for reject in rejects {
            let text = std::str::from_utf8(reject.raw).ok();
            let hex = text.is_none().then(|| crate::digest::to_hex(reject.raw));
            let row = Row { reason: reject.reason, source: reject.source, line: reject.line, text, hex };
            serde_json::to_writer(&mut lines, &row).map_err(|e| StoreError::io("write", &self.path)(e.into()))?;
            lines.push(b'\n');
        }
        self.file.write_all(&lines).map_err(StoreError::io("write", &self.path))?;
        self.file.sync_data().map_err(StoreError::io("sync", &self.path))
    }
}
