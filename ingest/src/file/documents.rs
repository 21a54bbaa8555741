//! Cutting a stream into documents: one a line, or pretty-printed ones and the elements of a list.

use std::io::{self, BufRead as _, BufReader, Read};

/// A longer document is refused without being held in memory; events are limited to 60 KiB anyway.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How much is read at once.
const READ_BYTES: usize = 4 * 1024 * 1024;
/// The most documents of one batch.
pub(super) const BATCH_DOCUMENTS: usize = 1024;
/// A batch is full with this many bytes.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// What is kept of a document that is too long, to show where it is.
const SHOWN_BYTES: usize = 256;

/// One document of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    /// Why it is refused without a look inside.
    pub(super) flaw: Option<String>,
}

/// Some documents with their bytes.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) documents: Vec<Document>,
}

impl Batch {
    /// An empty batch in the room of an earlier one.
    pub(super) fn within(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self { bytes, documents: Vec::with_capacity(BATCH_DOCUMENTS) }
    }

    pub(super) fn is_full(&self) -> bool {
        self.documents.len() >= BATCH_DOCUMENTS || self.bytes.len() >= BATCH_BYTES
    }
}

/// How documents are set apart.
enum Mode {
    /// Not known before the first line.
    Unknown,
    Lines,
    Pretty(Cutter),
}

/// The documents of one source.
pub(super) struct Documents<R> {
    input: BufReader<R>,
    mode: Mode,
    line: u64,
    ended: bool,
}

impl<R: Read> Documents<R> {
    pub(super) fn new(source: R) -> Self {
        Self { input: BufReader::with_capacity(READ_BYTES, source), mode: Mode::Unknown, line: 0, ended: false }
    }

    /// Whether everything was read.
    pub(super) fn is_at_end(&self) -> bool {
        self.ended
    }

    /// Adds documents until the batch is full, the source ends, or one more could mean to wait.
    pub(super) fn fill(&mut self, batch: &mut Batch) -> io::Result<()> {
        while !self.ended && !batch.is_full() {
            match &mut self.mode {
                Mode::Pretty(cutter) => {
                    self.ended = cutter.feed(&mut self.input, batch)?;
                }
                Mode::Unknown | Mode::Lines => self.read_line(batch)?,
            }
            if self.input.buffer().is_empty() && !batch.documents.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn read_line(&mut self, batch: &mut Batch) -> io::Result<()> {
        let begin = batch.bytes.len();
        let limit = DOCUMENT_BYTES_MAX + 1;
        let read = self.input.by_ref().take(limit as u64).read_until(b'\n', &mut batch.bytes)?;
        if read == 0 {
            self.ended = true;
            return Ok(());
        }
        self.line += 1;
        let mut start = begin;
        if self.line == 1 && batch.bytes[begin..].starts_with(b"\xef\xbb\xbf") {
            start += 3;
        }
        if read == limit && batch.bytes.last() != Some(&b'\n') {
            let size = read as u64 + self.skip_line()?;
            batch.bytes.truncate(begin + SHOWN_BYTES);
            let document = Document { start, end: batch.bytes.len(), line: self.line, flaw: Some(too_long(size)) };
            batch.documents.push(document);
            self.mode = Mode::Lines;
            return Ok(());
        }
        let text = batch.bytes[start..].trim_ascii();
        if text.is_empty() {
            batch.bytes.truncate(begin);
            return Ok(());
        }
        if matches!(self.mode, Mode::Unknown) {
            if goes_on(text) {
                let first = batch.bytes.split_off(start);
                batch.bytes.truncate(begin);
                let mut cutter = Cutter { line: self.line, ..Cutter::default() };
                cutter.take(&first, batch);
                self.mode = Mode::Pretty(cutter);
                return Ok(());
            }
            self.mode = Mode::Lines;
        }
        let before = batch.bytes[start..].len() - batch.bytes[start..].trim_ascii_start().len();
        let start = start + before;
        let end = start + batch.bytes[start..].trim_ascii_end().len();
        batch.documents.push(Document { start, end, line: self.line, flaw: None });
        Ok(())
    }

    /// Reads to the end of a line without keeping it; the number of bytes.
    fn skip_line(&mut self) -> io::Result<u64> {
        let mut skipped = 0;
        loop {
            let chunk = self.input.fill_buf()?;
            let end = chunk.iter().position(|b| *b == b'\n');
            let taken = end.unwrap_or(chunk.len());
            let done = end.is_some() || chunk.is_empty();
            skipped += taken as u64;
            let consumed = if end.is_some() { taken + 1 } else { taken };
            self.input.consume(consumed);
            if done {
                return Ok(skipped);
            }
        }
    }
}

fn too_long(size: u64) -> String {
    format!("is {size} bytes long; at most {DOCUMENT_BYTES_MAX} are read")
}

/// Whether a first line is the beginning of a document that is spread over lines.
fn goes_on(text: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    // A line that was cut off ends anywhere; one that goes on ends where a formatter breaks it.
    depth > 0 && !in_string && matches!(text.last(), Some(b'{' | b'[' | b','))
}

/// Cuts pretty-printed text at the ends of its documents; elements of an outermost list are documents.
#[derive(Default)]
struct Cutter {
    line: u64,
    in_list: bool,
    /// Where the current document begins in the batch, and on which line.
    current: Option<(usize, u64)>,
    depth: usize,
    is_scalar: bool,
    in_string: bool,
    escaped: bool,
    /// Bytes of the current document that were not kept.
    dropped: u64,
}

impl Cutter {
    /// Takes what is there to be read; true at the end.
    fn feed(&mut self, input: &mut BufReader<impl Read>, batch: &mut Batch) -> io::Result<bool> {
        loop {
            let chunk = input.fill_buf()?;
            if chunk.is_empty() {
                self.end(batch);
                return Ok(true);
            }
            // Not the whole chunk, so that a batch does not grow beyond its size.
            let length = chunk.len().min(64 * 1024);
            self.take(&chunk[..length], batch);
            input.consume(length);
            if self.current.is_none() {
                return Ok(false);
            }
        }
    }

    fn take(&mut self, chunk: &[u8], batch: &mut Batch) {
        // What of the chunk is not yet copied begins here.
        let mut from = 0;
        for (at, byte) in chunk.iter().enumerate() {
            if *byte == b'\n' {
                self.line += 1;
            }
            if self.current.is_none() {
                match byte {
                    b' ' | b'\t' | b'\r' | b'\n' => continue,
                    b',' if self.in_list => continue,
                    b']' if self.in_list => {
                        self.in_list = false;
                        continue;
                    }
                    b'[' if !self.in_list => {
                        self.in_list = true;
                        continue;
                    }
                    _ => {}
                }
                from = at;
                self.current = Some((batch.bytes.len(), self.line));
                self.is_scalar = !matches!(byte, b'{' | b'[');
                (self.depth, self.in_string, self.escaped) = (0, false, false);
            }
            let end = match self.step(*byte) {
                Step::Inside => continue,
                Step::Last => at + 1,
                Step::Before => at,
            };
            self.keep(&chunk[from..end], batch);
            self.finish(batch);
            if *byte == b']' && end == at {
                self.in_list = false;
            }
        }
        if self.current.is_some() {
            self.keep(&chunk[from..], batch);
        }
    }

    fn step(&mut self, byte: u8) -> Step {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'\n' | b',' | b']' if self.is_scalar => return Step::Before,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    return Step::Last;
                }
            }
            _ => {}
        }
        Step::Inside
    }

    fn keep(&mut self, bytes: &[u8], batch: &mut Batch) {
        let Some((start, _)) = self.current else { return };
        let room = DOCUMENT_BYTES_MAX - (batch.bytes.len() - start).min(DOCUMENT_BYTES_MAX);
        let kept = if self.dropped > 0 { 0 } else { bytes.len().min(room) };
        batch.bytes.extend_from_slice(&bytes[..kept]);
        self.dropped += (bytes.len() - kept) as u64;
    }

    fn finish(&mut self, batch: &mut Batch) {
        let Some((start, line)) = self.current.take() else { return };
        let mut flaw = None;
        if self.dropped > 0 {
            flaw = Some(too_long((batch.bytes.len() - start) as u64 + self.dropped));
            batch.bytes.truncate(start + SHOWN_BYTES);
            self.dropped = 0;
        }
        let end = start + batch.bytes[start..].trim_ascii_end().len();
        batch.documents.push(Document { start, end, line, flaw });
    }

    /// What is left at the end of the source.
    fn end(&mut self, batch: &mut Batch) {
        self.finish(batch);
        if self.in_list {
            let at = batch.bytes.len();
            let flaw = Some("the list of events is not closed with `]`; the file may be cut off".to_owned());
            batch.documents.push(Document { start: at, end: at, line: self.line, flaw });
        }
    }
}

/// Where a byte stands.
enum Step {
    Inside,
    /// It is the last byte of the document.
    Last,
    /// The document ended before it.
    Before,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &[u8]) -> Vec<(u64, String, bool)> {
        let mut documents = Documents::new(text);
        let mut found = Vec::new();
        while !documents.is_at_end() {
            let mut batch = Batch::default();
            documents.fill(&mut batch).expect("readable");
            found.extend(batch.documents.iter().map(|d| {
                let text = String::from_utf8_lossy(&batch.bytes[d.start..d.end]).into_owned();
                (d.line, text, d.flaw.is_some())
            }));
        }
        found
    }

    fn texts(text: &[u8]) -> Vec<String> {
        cut(text).into_iter().map(|(_, text, _)| text).collect()
    }

    #[test]
    fn lines_are_documents() {
        assert_eq!(texts(b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n{\"b\":2}"), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(cut(b"\n\n{\"a\":1}\n")[0].0, 3);
        assert_eq!(texts(b""), Vec::<String>::new());
        assert_eq!(texts(b"{\"v\":1,\"kind\":\"tra\n{\"v\":1}\n").len(), 2, "a cut-off first line stays one line");
        assert_eq!(texts(b"[{\"a\":1},{\"b\":2}]\n"), ["[{\"a\":1},{\"b\":2}]"], "a list on one line is cut later");
    }

    #[test]
    fn pretty_documents_are_cut() {
        assert_eq!(
            texts(b"{\n  \"a\": \"}\\\"\"\n}\n{\n\"b\": [1]}\n"),
            ["{\n  \"a\": \"}\\\"\"\n}", "{\n\"b\": [1]}"]
        );
        let list = cut(b"[\n  {\"a\": 1},\n  {\n    \"b\": 2\n  }\n, 7, \"x,]\"\n]\n");
        let texts: Vec<_> = list.iter().map(|(_, text, _)| text.as_str()).collect();
        assert_eq!(texts, ["{\"a\": 1}", "{\n    \"b\": 2\n  }", "7", "\"x,]\""]);
        assert_eq!(list.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [2, 3, 6, 6]);
        let open = cut(b"[\n{\"a\":1}\n");
        assert_eq!((open.len(), open[1].2), (2, true), "a list that is not closed is told");
    }

    #[test]
    fn what_is_too_long_is_refused_and_the_rest_read() {
        let long = [b"{\"a\":\"", "x".repeat(DOCUMENT_BYTES_MAX + 9).as_bytes(), b"\"}\n{\"b\":2}\n"].concat();
        let found = cut(&long);
        assert_eq!(found.len(), 2);
        assert!(found[0].2 && found[0].1.len() == SHOWN_BYTES);
        assert_eq!(found[1], (2, "{\"b\":2}".to_owned(), false));
        let pretty = [b"[\n", &long[..long.len() - 9], b",\n{\"b\":2}]"].concat();
        let found = cut(&pretty);
        assert_eq!((found[0].2, found[1].1.as_str()), (true, "{\"b\":2}"));
    }
}
