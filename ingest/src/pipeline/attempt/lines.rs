//! Lines: what a command says, told line by line while it runs.

use std::sync::{Mutex, PoisonError};

/// The longest line that is told as one; a longer one is told in pieces, and the log has it whole.
const LINE_MAX: usize = 4096;

/// Told each line, and whether it was said on standard error.
type Tell<'a> = &'a (dyn Fn(&str, bool) + Sync);

/// The beginnings of lines that have no end yet, of both streams.
pub(super) struct Lines<'a> {
    tell: Tell<'a>,
    begun: [Mutex<Vec<u8>>; 2],
}

impl<'a> Lines<'a> {
    pub(super) fn new(tell: Tell<'a>) -> Self {
        Self { tell, begun: Default::default() }
    }

    /// Takes the next bytes of a stream.
    pub(super) fn hear(&self, bytes: &[u8], is_error: bool) {
        let mut line = self.begun[usize::from(is_error)].lock().unwrap_or_else(PoisonError::into_inner);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut rest = part;
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(LINE_MAX - line.len()));
                line.extend_from_slice(piece);
                rest = after;
                if line.len() == LINE_MAX || line.ends_with(b"\n") {
                    self.tell(&mut line, is_error);
                }
            }
        }
    }

    /// Both streams have ended.
    pub(super) fn finish(self) {
        for is_error in [false, true] {
            let mut line = self.begun[usize::from(is_error)].lock().unwrap_or_else(PoisonError::into_inner);
            if !line.is_empty() {
                self.tell(&mut line, is_error);
            }
        }
    }

    fn tell(&self, line: &mut Vec<u8>, is_error: bool) {
        (self.tell)(String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']), is_error);
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_whole_and_long_ones_in_pieces() {
        let told = Mutex::new(Vec::new());
        let tell = |text: &str, is_error: bool| told.lock().expect("told").push((text.to_owned(), is_error));
        let lines = Lines::new(&tell);
        lines.hear(b"one\r\ntw", false);
        lines.hear(b"wrong\n", true);
        lines.hear(b"o\n\nend", false);
        lines.hear(&[b'x'; LINE_MAX + 1], true);
        lines.finish();
        let told = told.into_inner().expect("told");
        let texts: Vec<(&str, bool)> = told.iter().map(|(text, is_error)| (text.as_str(), *is_error)).collect();
        let long = "x".repeat(LINE_MAX);
        let expected = [("one", false), ("wrong", true), ("two", false), ("", false), (long.as_str(), true)];
        assert_eq!(texts[..5], expected);
        assert_eq!(texts[5..], [("end", false), ("x", true)]);
    }
}
