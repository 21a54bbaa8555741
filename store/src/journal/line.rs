//! The line: one event of the journal as text, with its position and checksum.

use std::io::BufRead as _;

use crate::digest::Received;
use crate::event::LEAF_BYTES_MAX;

/// The longest line, in bytes, with its newline.
pub(crate) const LINE_BYTES_MAX: usize = LEAF_BYTES_MAX + 128;

const HEX: &[u8; 16] = b"0123456789abcdef";
const CRC_DIGITS: usize = 8;
const RECEIVED_DIGITS: usize = 32;

/// One record of the journal, borrowed from the buffer that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its position, the index of its leaf.
    pub position: u64,
    /// The digest of the bytes as received, for an event with an id of its own.
    pub received: Option<Received>,
    /// The canonical event.
    pub leaf: &'a [u8],
    /// The whole line with its newline, as stored.
    pub line: &'a [u8],
    /// Its checksum, a CRC-32C, which was compared.
    pub checksum: u32,
}

/// One record that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBuf {
    /// Its position.
    pub position: u64,
    /// The digest of the bytes as received, for an event with an id of its own.
    pub received: Option<Received>,
    /// The canonical event.
    pub leaf: Vec<u8>,
}

impl From<Record<'_>> for RecordBuf {
    fn from(record: Record<'_>) -> Self {
        Self { position: record.position, received: record.received, leaf: record.leaf.to_vec() }
    }
}

/// Writes one line and returns its checksum.
pub(crate) fn write(position: u64, received: Option<Received>, leaf: &[u8], out: &mut Vec<u8>) -> u32 {
    out.reserve(leaf.len() + 68);
    let start = out.len();
    write_decimal(position, out);
    let crc_at = out.len() + 1;
    out.extend_from_slice(b" ########");
    let rest = out.len();
    out.push(b' ');
    match received {
        None => out.push(b'-'),
        Some(Received(bytes)) => {
            let digits: [u8; RECEIVED_DIGITS] =
                std::array::from_fn(|i| HEX[usize::from(bytes[i / 2] >> (4 * (1 - i % 2)) & 15)]);
            out.extend_from_slice(&digits);
        }
    }
    out.push(b' ');
    out.extend_from_slice(leaf);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&out[start..crc_at - 1]), &out[rest..]);
    for (i, digit) in out[crc_at..crc_at + CRC_DIGITS].iter_mut().enumerate() {
        *digit = HEX[(crc >> (28 - 4 * i)) as usize & 15];
    }
    out.push(b'\n');
    crc
}

fn write_decimal(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Reads one line with its newline; the error says what is wrong with it.
pub(crate) fn parse(line: &[u8]) -> Result<Record<'_>, &'static str> {
    let body = line.strip_suffix(b"\n").ok_or("the line does not end")?;
    let digits = body.iter().take(21).position(|b| *b == b' ').ok_or("no position")?;
    let position = decimal(&body[..digits]).ok_or("no position")?;
    let rest = digits + 1 + CRC_DIGITS;
    if body.len() < rest + 4 || body[rest] != b' ' {
        return Err("no checksum");
    }
    let checksum = checksum(&body[digits + 1..rest]).ok_or("no checksum")?;
    if crc32c::crc32c_append(crc32c::crc32c(&body[..digits]), &body[rest..]) != checksum {
        return Err("the checksum differs");
    }
    let body = &body[rest + 1..];
    let (received, leaf) = match body {
        [b'-', b' ', leaf @ ..] => (None, leaf),
        _ if body.len() > RECEIVED_DIGITS + 1 && body[RECEIVED_DIGITS] == b' ' => {
            let (digits, leaf) = body.split_at(RECEIVED_DIGITS);
            (Some(digest(digits).ok_or("no digest")?), &leaf[1..])
        }
        _ => return Err("no digest"),
    };
    Ok(Record { position, received, leaf, line, checksum })
}

/// Reads one line that must have a given position.
pub(crate) fn parse_at(line: &[u8], position: u64) -> Result<Record<'_>, String> {
    let record = parse(line)?;
    if record.position == position {
        Ok(record)
    } else {
        Err(format!("position {} where {position} belongs", record.position))
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || (digits[0] == b'0' && digits.len() > 1) {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, b| {
        b.is_ascii_digit().then(|| value.checked_mul(10)?.checked_add(u64::from(b - b'0')))?
    })
}

/// The value of each hex digit, lower-case ones only, as an upper-case one is a flipped bit; anything else has a high bit.
const NIBBLES: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut digit = 0;
    while digit < 16 {
        table[HEX[digit] as usize] = digit as u8;
        digit += 1;
    }
    table
};

fn checksum(digits: &[u8]) -> Option<u32> {
    let mut bad = 0;
    let value = digits.iter().fold(0, |value: u32, digit| {
        let nibble = NIBBLES[usize::from(*digit)];
        bad |= nibble;
        value << 4 | u32::from(nibble & 15)
    });
    (bad < 16).then_some(value)
}

fn digest(hex: &[u8]) -> Option<Received> {
    let mut bytes = [0; RECEIVED_DIGITS / 2];
    let mut bad = 0;
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
        bad |= high | low;
        *byte = high << 4 | low & 15;
    }
    (bad < 16).then_some(Received(bytes))
}

/// The lines of a buffer, each with its newline and its offset; the last may lack the newline.
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, offset: 0 }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // `skip_until` finds the newline with the vectorized search of the standard library.
        let whole = self.rest;
        let length = self.rest.skip_until(b'\n').ok().filter(|n| *n > 0)?;
        let at = self.offset;
        self.offset += length;
        Some((at, &whole[..length]))
    }
}
