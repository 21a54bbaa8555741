//! The bytes of one segment file, memory-mapped, with every page checked before its first use.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use memmap2::Mmap;

use crate::error::{Result, StoreError};

/// The unit of checksums.
pub(crate) const PAGE_BYTES: usize = 16 * 1024;

enum Backing {
    Mapped(Mmap),
    Owned(Vec<u64>),
}

/// Bytes that never change, checked page by page on first touch.
pub(crate) struct Mapped {
    backing: Backing,
    path: PathBuf,
    /// The checksums of the pages.
    checksums: Vec<u32>,
    /// Where the checked bytes end.
    body: usize,
    checked: Vec<AtomicU64>,
    damaged: AtomicBool,
}

impl Mapped {
    /// Maps a file for reading.
    #[allow(
        unsafe_code,
        reason = "memory-mapping the graph index is one of the two uses of unsafe that the design allows"
    )]
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        // SAFETY: segment files are immutable once they carry their final name: writers create them under a temporary
        // name, rename them, and only ever unlink them. A file that is truncated from outside while it is mapped can
        // raise SIGBUS; that is the documented limit of reading a store that something else destroys meanwhile.
        let map = unsafe { Mmap::map(&file) }.map_err(StoreError::io("map", path))?;
        Ok(Self::new(Backing::Mapped(map), path.to_owned()))
    }

    /// Takes bytes made in this process. The length must be a multiple of eight.
    pub(crate) fn owned(words: Vec<u64>) -> Self {
        Self::new(Backing::Owned(words), PathBuf::from("(memory)"))
    }

    fn new(backing: Backing, path: PathBuf) -> Self {
        Self { backing, path, checksums: Vec::new(), body: 0, checked: Vec::new(), damaged: AtomicBool::new(false) }
    }

    /// All bytes, unchecked.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.backing {
            Backing::Mapped(map) => map,
            Backing::Owned(words) => bytemuck::cast_slice(words),
        }
    }

    /// Whether the bytes are those of a file.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.backing, Backing::Mapped(_))
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the checksums of the pages of the first `body` bytes; from now on bytes are checked before their first use.
    pub(crate) fn set_checksums(&mut self, checksums: Vec<u32>, body: usize) {
        self.body = body;
        self.checked = (0..checksums.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        self.checksums = checksums;
    }

    /// Bytes of a range, after checking its pages; empty, and the segment marked damaged, if a page is bad.
    #[inline]
    pub(crate) fn range(&self, start: usize, end: usize) -> &[u8] {
        let bytes = self.bytes();
        if start >= end || end > bytes.len() {
            if end > bytes.len() {
                self.damaged.store(true, Ordering::Relaxed);
            }
            return &[];
        }
        if self.are_good(start, end) { &bytes[start..end] } else { &[] }
    }

    /// Whether the pages of a range that is not empty are good; the segment is marked damaged if one is not.
    #[inline]
    pub(crate) fn are_good(&self, start: usize, end: usize) -> bool {
        let (first, last) = (start / PAGE_BYTES, (end - 1) / PAGE_BYTES);
        self.page_is_good(first) && (first == last || (first + 1..=last).all(|page| self.page_is_good(page)))
    }

    /// Whether the page of a byte is good; the segment is marked damaged if it is not.
    #[inline]
    pub(crate) fn is_good(&self, at: usize) -> bool {
        self.page_is_good(at / PAGE_BYTES)
    }

    #[inline]
    fn page_is_good(&self, page: usize) -> bool {
        match self.checked.get(page / 64) {
            Some(word) if word.load(Ordering::Relaxed) >> (page % 64) & 1 == 1 => true,
            _ => self.check_page(page),
        }
    }

    #[cold]
    fn check_page(&self, page: usize) -> bool {
        let bytes = self.bytes();
        let start = page * PAGE_BYTES;
        let end = self.body.min(start + PAGE_BYTES);
        let Some(sum) = self.checksums.get(page) else { return self.refuse() };
        if *sum != crc32c::crc32c(&bytes[start..end]) {
            return self.refuse();
        }
        self.checked[page / 64].fetch_or(1 << (page % 64), Ordering::Relaxed);
        true
    }

    #[cold]
    fn refuse(&self) -> bool {
        self.damaged.store(true, Ordering::Relaxed);
        false
    }

    /// Whether a bad page was met.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Checks every page; the offset of the first bad one.
    pub(crate) fn check_all(&self) -> Option<u64> {
        (0..self.checksums.len()).find(|page| !self.page_is_good(*page)).map(|page| (page * PAGE_BYTES) as u64)
    }
}
