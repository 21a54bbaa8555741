//! One immutable segment of the graph index: its file format, and reading its columns.

use std::fs::{self, File};
use std::io::{BufWriter, Cursor};
use std::path::Path;

use bytemuck::AnyBitPattern;

use super::join;
use super::mapped::{Mapped, PAGE_BYTES};
use super::tables::{Bases, Tables};
use super::writer::Writer;
use crate::error::{Result, StoreError};

/// First word of a segment file.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"LNGRAPH\x01");
/// The format of segments; a change of how events are folded changes it, too.
pub(crate) const FORMAT: u64 = 2;
/// Magic, format, number of events, number of columns, ten bases.
const FIXED_WORDS: usize = 14;
/// Two words a column, then checksum start, and the header's own checksum.
pub(crate) const HEADER_WORDS: usize = FIXED_WORDS + 2 * Tables::N_COLUMNS + 2;
/// Columns begin at multiples of this.
pub(crate) const ALIGN: usize = 64;

/// An open segment.
pub(crate) struct Segment {
    mapped: Mapped,
    pub(crate) bases: Bases,
    n_events: u32,
    columns: Vec<(usize, usize)>,
}

/// One column of a segment.
#[derive(Clone, Copy)]
pub(crate) struct Column<'a, T> {
    mapped: &'a Mapped,
    start: usize,
    /// The rows, whose pages may not be checked yet.
    raw: &'a [T],
}

impl<'a, T: AnyBitPattern> Column<'a, T> {
    /// The number of rows.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.raw.len()
    }

    /// One row; zeros if there is none or its page is bad.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> T {
        // Columns are aligned, so no row stands on two pages.
        match self.raw.get(row) {
            Some(value) if self.mapped.is_good(self.start.wrapping_add(row.wrapping_mul(size_of::<T>()))) => *value,
            _ => T::zeroed(),
        }
    }

    /// Rows of a range; empty if there are none or a page is bad.
    #[inline]
    pub(crate) fn rows(&self, from: usize, to: usize) -> &'a [T] {
        let at = |row: usize| self.start.wrapping_add(row.wrapping_mul(size_of::<T>()));
        match self.raw.get(from..to) {
            Some(rows @ [_, ..]) if self.mapped.are_good(at(from), at(to)) => rows,
            _ => &[],
        }
    }

    /// Every row.
    pub(crate) fn all(&self) -> &'a [T] {
        self.rows(0, self.len())
    }
}

impl<T: AnyBitPattern + Ord> Column<'_, T> {
    /// The first row whose value is not below `value`; the column is sorted.
    pub(crate) fn lower_bound(&self, value: T) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.get(middle) < value {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// A key of an even lookup.
pub(crate) trait EvenKey: AnyBitPattern + Into<u64> {
    /// The greatest key.
    const MOST: u64;
}

impl EvenKey for u64 {
    const MOST: u64 = u64::MAX;
}

impl EvenKey for u32 {
    const MOST: u64 = u32::MAX as u64;
}

impl<'a, K: EvenKey> Column<'a, K> {
    /// Like [`Column::lower_bound`] for keys spread evenly, such as hashes: a few guesses instead of a long search.
    pub(crate) fn lower_bound_even(&self, key: K) -> usize {
        let key: u64 = key.into();
        let (mut low, mut high) = (0, self.len());
        let (mut least, mut most) = (0, K::MOST);
        while high - low > 16 {
            let span = u128::from(most - least).max(1);
            let offset = (u128::from(key.saturating_sub(least)) * (high - low) as u128 / span) as usize;
            let guess = (low + offset).clamp(low + 1, high - 1);
            // Look a little to the left of the guess first, so that a good guess leaves a short stretch on both sides.
            let slack = ((high - low) as f64).sqrt() as usize / 2 + 1;
            let left = guess.saturating_sub(slack).max(low);
            let value = self.get(left).into();
            if value < key {
                low = left + 1;
                least = value;
            } else {
                high = left;
                most = value;
                continue;
            }
            let right = (guess + slack).min(high - 1);
            if right >= low {
                let value = self.get(right).into();
                if value < key {
                    low = right + 1;
                    least = value;
                } else {
                    high = right;
                    most = value;
                }
            }
        }
        while low < high && self.get(low).into() < key {
            low += 1;
        }
        low
    }

    /// The rows of a key.
    pub(crate) fn rows_of(self, key: K) -> impl Iterator<Item = usize> + use<'a, K> {
        let wanted: u64 = key.into();
        (self.lower_bound_even(key)..self.len()).take_while(move |row| self.get(*row).into() == wanted)
    }
}

impl<'a> Column<'a, u64> {
    /// The low halves of the pairs whose high half is `high`, ascending.
    pub(crate) fn lows(self, high: u32) -> impl Iterator<Item = u32> + 'a {
        let start = self.lower_bound(super::tables::pair(high, 0));
        (start..self.len())
            .map(move |row| self.get(row))
            .take_while(move |p| (p >> 32) as u32 == high)
            .map(|p| p as u32)
    }
}

impl Segment {
    /// Opens a segment file: header checked now, pages when they are used.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::read(Mapped::open(path)?)
    }

    /// Serializes tables and keeps them in memory.
    pub(crate) fn in_memory(tables: &Tables, bases: &Bases) -> Result<Self> {
        Self::build(|writer| Self::fill(tables, bases, writer))
    }

    /// Joins two neighboring segments in memory.
    pub(crate) fn joined(a: &Self, b: &Self) -> Result<Self> {
        Self::build(|writer| join::join(a, b, writer))
    }

    fn build(fill: impl FnOnce(Writer<'_>) -> Result<()>) -> Result<Self> {
        let mut bytes = Cursor::new(Vec::new());
        fill(Writer::new(&mut bytes, Path::new("(memory)"))?)?;
        let bytes = bytes.into_inner();
        let mut words = vec![0u64; bytes.len().div_ceil(8)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(&bytes);
        Self::read(Mapped::owned(words))
    }

    fn fill(tables: &Tables, bases: &Bases, mut writer: Writer<'_>) -> Result<()> {
        tables.write(&mut writer)?;
        writer.finish(bases, tables.e_kind.len() as u32)
    }

    /// Another mapping of the same file; `None` for one in memory.
    pub(crate) fn mapped_again(&self) -> Result<Option<Self>> {
        if self.mapped.is_file() { Self::open(self.path()).map(Some) } else { Ok(None) }
    }

    fn read(mut mapped: Mapped) -> Result<Self> {
        let bad = |what: &str, offset: usize| StoreError::corrupt(mapped.path(), offset as u64, what);
        let bytes = mapped.bytes();
        if bytes.len() < HEADER_WORDS * 8 {
            return Err(bad("the segment is shorter than its header", bytes.len()));
        }
        let words: Vec<u64> = bytes[..HEADER_WORDS * 8].chunks_exact(8).map(word).collect();
        if words[0] != MAGIC {
            return Err(bad("this is no graph segment", 0));
        }
        if words[1] != FORMAT {
            // The index is rebuilt from the journal, so an older or newer form of it is no reason to refuse.
            return Err(bad("the segment has another format", 8));
        }
        if words[HEADER_WORDS - 1] != u64::from(crc32c::crc32c(&bytes[..(HEADER_WORDS - 1) * 8])) {
            return Err(bad("the checksum of the header differs", 0));
        }
        let checksums_at = words[HEADER_WORDS - 2] as usize;
        let table = bytes.get(checksums_at..).ok_or_else(|| bad("the segment is cut short", bytes.len()))?;
        let n_pages = checksums_at.div_ceil(PAGE_BYTES);
        if table.len() != n_pages * 4 + 4 + (n_pages * 4 + 4) % 8 {
            return Err(bad("the segment is cut short", bytes.len()));
        }
        let (sums, own) = table.split_at(n_pages * 4);
        if own[..4] != crc32c::crc32c(sums).to_le_bytes() {
            return Err(bad("the checksum of the page table differs", checksums_at));
        }
        let checksums = sums.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect();
        let columns: Vec<(usize, usize)> =
            words[FIXED_WORDS..HEADER_WORDS - 2].chunks(2).map(|c| (c[0] as usize, c[1] as usize)).collect();
        if columns.iter().any(|(start, length)| start.saturating_add(*length) > checksums_at) {
            return Err(bad("a column ends behind the last page", checksums_at));
        }
        let mut bases = [0; 10];
        bases.copy_from_slice(&words[4..FIXED_WORDS]);
        let n_events = words[2] as u32;
        mapped.set_checksums(checksums, checksums_at);
        Ok(Self { mapped, bases: Bases::from_words(&bases), n_events, columns })
    }

    #[inline]
    pub(crate) fn column<T: AnyBitPattern>(&self, id: usize) -> Column<'_, T> {
        let (start, bytes) = self.columns[id];
        let raw = self.mapped.bytes().get(start..start + bytes).and_then(|raw| bytemuck::try_cast_slice(raw).ok());
        Column { mapped: &self.mapped, start, raw: raw.unwrap_or(&[]) }
    }

    /// One past the last position.
    pub(crate) fn end(&self) -> u32 {
        self.bases.event + self.n_events
    }

    /// The number of events.
    pub(crate) fn n_events(&self) -> u32 {
        self.n_events
    }

    /// Where the ids of the next segment begin.
    pub(crate) fn next_bases(&self) -> Bases {
        let b = &self.bases;
        Bases {
            event: self.end(),
            mention: b.mention + self.m_target().len() as u32,
            attribute: b.attribute + self.a_value().len() as u32,
            wide: b.wide + self.a_wide().len() as u32,
            from: b.from + self.from_input().len() as u32,
            query: b.query + self.q_entity().len() as u32,
            version: b.version + self.v_entity().len() as u32,
            entity: b.entity + self.n_kind().len() as u32,
            symbol: b.symbol + self.s_end().len() as u32,
            symbol_byte: b.symbol_byte + self.s_bytes().len() as u64,
        }
    }

    /// The versions of an entity in this segment, by the label that they were minted with.
    pub(crate) fn versions_of(&self, entity: u32) -> &[u32] {
        let row = self.o_entity().lower_bound(entity);
        if row == self.o_entity().len() || self.o_entity().get(row) != entity {
            return &[];
        }
        let start = if row == 0 { 0 } else { self.o_end().get(row - 1) };
        self.o_version().rows(start as usize, self.o_end().get(row) as usize)
    }

    /// The newest version of this segment that an entity minted with a label.
    pub(crate) fn labeled(&self, entity: u32, label: u32) -> Option<u32> {
        let (versions, labels) = (self.versions_of(entity), self.v_label());
        let label_of = |version: u32| labels.get((version - self.bases.version) as usize);
        let after = versions.partition_point(|version| label_of(*version) <= label);
        versions[..after].last().copied().filter(|version| label_of(*version) == label)
    }

    /// The error of a bad page, if one was met.
    pub(crate) fn damage(&self) -> Result<()> {
        if self.mapped.is_damaged() {
            return Err(StoreError::corrupt(self.mapped.path(), 0, "a page of the graph index has a bad checksum"));
        }
        Ok(())
    }

    /// Checks every page.
    pub(crate) fn check(&self) -> Result<()> {
        match self.mapped.check_all() {
            Some(offset) => {
                Err(StoreError::corrupt(self.mapped.path(), offset, "a page of the graph index has a bad checksum"))
            }
            None => Ok(()),
        }
    }

    /// The first column whose bytes differ from those of another segment.
    pub(crate) fn first_difference(&self, other: &Self) -> Option<&'static str> {
        let bytes = |s: &Self, id: usize| {
            let (start, length) = s.columns[id];
            s.mapped.range(start, start + length).to_vec()
        };
        (0..Tables::N_COLUMNS).find(|id| bytes(self, *id) != bytes(other, *id)).map(|id| Tables::NAMES[id])
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        self.mapped.path()
    }
}

fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// Writes a segment file durably: temporary name, sync, rename.
pub(crate) fn write(folder: &Path, tables: &Tables, bases: &Bases) -> Result<Segment> {
    let n_events = tables.e_kind.len() as u32;
    create(folder, bases.event, bases.event + n_events, |writer| Segment::fill(tables, bases, writer))
}

/// Joins two neighboring segments to a file, durably.
pub(crate) fn write_joined(folder: &Path, a: &Segment, b: &Segment) -> Result<Segment> {
    create(folder, a.bases.event, b.end(), |writer| join::join(a, b, writer))
}

fn create(folder: &Path, start: u32, end: u32, fill: impl FnOnce(Writer<'_>) -> Result<()>) -> Result<Segment> {
    let path = folder.join(format!("{start:012}-{end:012}.seg"));
    let temporary = path.with_extension("tmp");
    let file = File::create(&temporary).map_err(StoreError::io("create", &temporary))?;
    let mut buffered = BufWriter::with_capacity(64 * PAGE_BYTES, &file);
    fill(Writer::new(&mut buffered, &temporary)?)?;
    drop(buffered);
    file.sync_data().map_err(StoreError::io("sync", &temporary))?;
    drop(file);
    fs::rename(&temporary, &path).map_err(StoreError::io("rename", &temporary))?;
    Segment::open(&path)
}
