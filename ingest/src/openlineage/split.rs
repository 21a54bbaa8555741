//! One document may hold a list of events: cutting it without changing a byte of them.

use lineage_store::event::{Refusal, canonical};

/// The events of one document: the elements of a list, or the document itself.
///
/// The slices are the bytes as received; whether each is valid JSON is found out by [`super::translate`].
pub fn split(bytes: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    if bytes.first() != Some(&b'[') {
        return Ok(vec![bytes]);
    }
    let unclosed = || Refusal::whole("is a list that is not closed, or has more after it");
    let Some(end) = bytes.len().checked_sub(1).filter(|end| *end > 0 && bytes[*end] == b']') else {
        return Err(unclosed());
    };
    let commas = commas(&bytes[1..end]).ok_or_else(unclosed)?;
    if commas.is_empty() && bytes[1..end].trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let mut starts = vec![1];
    starts.extend(commas.iter().map(|comma| comma + 2));
    let ends = commas.iter().map(|comma| comma + 1).chain([end]);
    Ok(starts.into_iter().zip(ends).map(|(start, end)| bytes[start..end].trim_ascii()).collect())
}

/// The positions of the commas between the elements of a list; `None` if brackets or quotes do not match.
fn commas(inner: &[u8]) -> Option<Vec<usize>> {
    let (mut depth, mut at) = (0_usize, 0);
    let mut commas = Vec::new();
    while let Some(byte) = inner.get(at) {
        match byte {
            b'"' => {
                at = string_end(inner, at + 1)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => commas.push(at),
            _ => {}
        }
        at += 1;
    }
    (depth == 0).then_some(commas)
}

/// What follows the string whose first byte after the quote is at an index; `None` if it is not closed.
pub(super) fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += canonical::find_special(bytes.get(at..)?);
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}
