//! Writing a segment: columns in any order and piece by piece, pages with checksums, the header last.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use bytemuck::NoUninit;

use super::mapped::PAGE_BYTES;
use super::segment::{ALIGN, FORMAT, HEADER_WORDS, MAGIC};
use super::tables::{Bases, Id, Tables};
use crate::error::{Result, StoreError};

/// Where a segment is written to.
pub(crate) trait Sink: Write + Seek {}
impl<T: Write + Seek> Sink for T {}

/// A segment that is being written.
pub(crate) struct Writer<'a> {
    sink: &'a mut dyn Sink,
    path: &'a Path,
    /// The page that is being filled.
    page: Vec<u8>,
    /// The first page, whose header is known at the end only.
    first: Vec<u8>,
    checksums: Vec<u32>,
    written: usize,
    /// Offset and bytes of each column.
    columns: Vec<(usize, usize)>,
}

impl<'a> Writer<'a> {
    /// Begins a segment; `path` is for errors.
    pub(crate) fn new(sink: &'a mut dyn Sink, path: &'a Path) -> Result<Self> {
        let mut writer = Self {
            sink,
            path,
            page: Vec::with_capacity(PAGE_BYTES),
            first: Vec::new(),
            checksums: Vec::new(),
            written: 0,
            columns: vec![(0, 0); Tables::N_COLUMNS],
        };
        writer.put(&[0; HEADER_WORDS * 8]).map_err(StoreError::io("write", path))?;
        Ok(writer)
    }

    /// Writes a column in pieces.
    pub(crate) fn column<T: NoUninit>(&mut self, id: Id, pieces: &[&[T]]) -> Result<()> {
        self.write(id, |w| pieces.iter().try_for_each(|piece| w.put(bytemuck::cast_slice(piece))))
    }

    /// Writes a column row by row.
    pub(crate) fn rows<T: NoUninit>(&mut self, id: Id, rows: impl Iterator<Item = T>) -> Result<()> {
        const PIECE: usize = 4096;
        let mut piece = Vec::with_capacity(PIECE);
        self.write(id, |w| {
            for row in rows {
                piece.push(row);
                if piece.len() == PIECE {
                    w.put(bytemuck::cast_slice(&piece))?;
                    piece.clear();
                }
            }
            w.put(bytemuck::cast_slice(&piece))
        })
    }

    fn write(&mut self, id: Id, f: impl FnOnce(&mut Self) -> io::Result<()>) -> Result<()> {
        let begun = self.align().map(|()| self.written);
        let done = begun.and_then(|start| f(self).map(|()| start));
        let start = done.map_err(StoreError::io("write", self.path))?;
        self.columns[id as usize] = (start, self.written - start);
        Ok(())
    }

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len();
        while !bytes.is_empty() {
            let room = (PAGE_BYTES - self.page.len()).min(bytes.len());
            self.page.extend_from_slice(&bytes[..room]);
            bytes = &bytes[room..];
            if self.page.len() == PAGE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn align(&mut self) -> io::Result<()> {
        self.put(&[0; ALIGN][..self.written.next_multiple_of(ALIGN) - self.written])
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.checksums.is_empty() {
            self.first.clone_from(&self.page);
        }
        self.checksums.push(crc32c::crc32c(&self.page));
        self.sink.write_all(&self.page)?;
        self.page.clear();
        Ok(())
    }

    /// Writes the table of checksums, then the header.
    pub(crate) fn finish(mut self, bases: &Bases, n_events: u32) -> Result<()> {
        let path = self.path;
        self.end(bases, n_events).map_err(StoreError::io("write", path))
    }

    fn end(&mut self, bases: &Bases, n_events: u32) -> io::Result<()> {
        self.align()?;
        let end = self.written;
        if !self.page.is_empty() {
            self.flush()?;
        }
        let mut words = vec![MAGIC, FORMAT, u64::from(n_events), Tables::N_COLUMNS as u64];
        words.extend_from_slice(&bases.words());
        words.extend(self.columns.iter().flat_map(|(start, bytes)| [*start as u64, *bytes as u64]));
        words.push(end as u64);
        words.push(crc32c::crc32c(bytemuck::cast_slice(&words)).into());
        let header: &[u8] = bytemuck::cast_slice(&words);
        self.first[..header.len()].copy_from_slice(header);
        self.checksums[0] = crc32c::crc32c(&self.first);
        let mut table: Vec<u8> = self.checksums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        table.extend_from_slice(&crc32c::crc32c(&table).to_le_bytes());
        table.resize(table.len().next_multiple_of(8), 0);
        self.sink.write_all(&table)?;
        self.sink.seek(SeekFrom::Start(0))?;
        self.sink.write_all(&self.first)?;
        self.sink.flush()
    }
}
