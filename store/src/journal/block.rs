//! The block: consecutive lines, compressed under a small header, as the event store keeps them.

use std::io;

use super::line::Lines;
use super::read::StoredFrame;
use super::sealed::Packer;

/// Format, lines, bytes of lines, checksum of the compressed bytes.
const HEADER_BYTES: usize = 13;
const FORMAT: u8 = 1;

/// Lines that were read from a block.
#[derive(Debug, Default)]
pub(crate) struct Block {
    first: u64,
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Block {
    /// Compresses lines.
    pub(crate) fn pack(lines: &[u8], count: usize) -> io::Result<Vec<u8>> {
        let mut packer = Packer::new()?;
        let packed = packer.pack(lines)?;
        Ok(value(packed, count as u64, lines.len() as u64, crc32c::crc32c(packed)))
    }

    /// The value that holds a sealed frame as it is.
    pub(crate) fn of_frame(frame: &StoredFrame<'_>) -> Vec<u8> {
        value(frame.bytes, frame.end - frame.first, frame.raw, frame.crc)
    }

    /// How many lines a block has, by its header.
    pub(crate) fn count(value: &[u8]) -> Option<u64> {
        number(value, 1).map(u64::from)
    }

    /// Reads the lines of a block that begins with a position; `None` when it is damaged.
    pub(crate) fn unpack(first: u64, value: &[u8], bytes_max: usize) -> Option<Self> {
        let (count, raw, crc) = (number(value, 1)?, number(value, 5)? as usize, number(value, 9)?);
        let packed = value.get(HEADER_BYTES..)?;
        if crc32c::crc32c(packed) != crc || raw > bytes_max {
            return None;
        }
        let bytes = zstd::bulk::decompress(packed, raw).ok()?;
        let mut starts: Vec<usize> = Lines::new(&bytes).map(|(at, _)| at).collect();
        starts.push(bytes.len());
        (starts.len() == count as usize + 1).then_some(Self { first, bytes, starts })
    }

    /// The lines from a position on.
    pub(crate) fn lines_from(&self, position: u64) -> Option<&[u8]> {
        let i = usize::try_from(position.checked_sub(self.first)?).ok()?;
        self.bytes.get(*self.starts.get(i)?..)
    }

    /// The line at a position.
    pub(crate) fn line(&self, position: u64) -> Option<&[u8]> {
        let i = usize::try_from(position.checked_sub(self.first)?).ok()?;
        self.bytes.get(*self.starts.get(i)?..*self.starts.get(i + 1)?)
    }
}

fn value(packed: &[u8], count: u64, raw: u64, crc: u32) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEADER_BYTES + packed.len());
    value.push(FORMAT);
    for number in [count as u32, raw as u32, crc] {
        value.extend_from_slice(&number.to_le_bytes());
    }
    value.extend_from_slice(packed);
    value
}

fn number(value: &[u8], at: usize) -> Option<u32> {
    let header = value.get(..HEADER_BYTES).filter(|header| header[0] == FORMAT)?;
    Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?))
}
