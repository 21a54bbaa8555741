//! Cursors: where a page begins, at which position and instant the question was first answered.

use lineage_store::digest::Blake3;
use lineage_store::time::Time;

use super::reply::Refused;

/// The digits of the digest that tell a question from others.
const DIGITS: usize = 16;

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The number of events that are recorded for it.
    pub(crate) count: u32,
    /// The instant taken for now.
    pub(crate) now: Time,
    /// Its first row.
    pub(crate) row: usize,
}

impl Cursor {
    /// As text, bound to a question.
    pub(crate) fn write(self, question: &Blake3) -> String {
        format!("{}.{}.{}.{}", self.count, self.now.0, self.row, &question.hex()[..DIGITS])
    }

    /// Reads it back; of another question it is refused.
    pub(crate) fn read(text: &str, question: &Blake3) -> Result<Self, Refused> {
        let read = || {
            let mut parts = text.split('.');
            let cursor = Self {
                count: parts.next()?.parse().ok()?,
                now: Time(parts.next()?.parse().ok()?),
                row: parts.next()?.parse().ok()?,
            };
            (parts.next()? == &question.hex()[..DIGITS] && parts.next().is_none()).then_some(cursor)
        };
        read().ok_or_else(|| {
            Refused::bad("the cursor is not of this question")
                .help("send the same question with the cursor of its last page")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_bound_to_its_question() {
        let (one, other) = (Blake3::of(b"one"), Blake3::of(b"other"));
        let cursor = Cursor { count: 7, now: Time(-5), row: 100 };
        let text = cursor.write(&one);
        assert_eq!(Cursor::read(&text, &one).ok(), Some(cursor));
        assert!(Cursor::read(&text, &other).is_err());
        for text in ["", "1.2.3", "1.2.3.4.5", "-1.2.3.4"] {
            assert!(Cursor::read(text, &one).is_err(), "{text}");
        }
    }
}
