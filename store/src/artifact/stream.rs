//! Bytes on their way into the store: read, hashed and written side by side, and on the disk soon after.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle, scope};

use crate::digest::{Blake3, Sha256};
use crate::{Result, StoreError};

/// So many bytes are passed on at once; what is not larger is not worth a thread.
const PIECE_BYTES: usize = 1024 * 1024;
/// So many pieces may wait for a thread that is behind.
const WAITING: usize = 2;
/// The pieces in memory: those that wait, the one that is worked on, and the one that is being filled.
const PIECES: usize = WAITING + 2;
/// After so many bytes the disk is told to begin, so that little is left to wait for in the end.
const WRITE_BACK_BYTES: u64 = 32 * 1024 * 1024;

/// What is known of bytes that passed.
pub(super) struct Passed {
    pub(super) digest: Blake3,
    /// In hex; empty unless it was wanted.
    pub(super) sha256: String,
    pub(super) size: u64,
}

impl Passed {
    /// What is known of bytes in memory.
    pub(super) fn of(bytes: &[u8], with_sha256: bool) -> Self {
        let sha256 = if with_sha256 { Sha256::of(bytes) } else { String::new() };
        Self { digest: Blake3::of(bytes), sha256, size: bytes.len() as u64 }
    }
}

/// What becomes of bytes, beside being hashed with blake3.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    /// What they are in an error.
    pub(super) name: &'a Path,
    pub(super) with_sha256: bool,
    /// The new file into which they go.
    pub(super) out: Option<&'a File>,
}

impl Way<'_> {
    fn write(&self, bytes: &[u8]) -> Result<()> {
        self.out.map_or(Ok(()), |mut out| out.write_all(bytes)).map_err(StoreError::io("write", self.name))
    }
}

/// Passes on whatever a source gives, to its end.
///
/// Each hash has a thread and the disk has one, and none waits for another longer than a few pieces. What was written is
/// durable only once the file is synced, which then takes little time.
pub(super) fn pass(source: &mut dyn Read, way: Way<'_>) -> Result<Passed> {
    let mut first = Piece::new();
    first.fill(source, way.name)?;
    if !first.is_full() {
        way.write(first.bytes())?;
        return Ok(Passed::of(first.bytes(), way.with_sha256));
    }
    scope(|scope| {
        let blake3 = Thread::start(scope, way.name, |pieces: Receiver<Arc<Piece>>| {
            let mut hasher = blake3::Hasher::new();
            for piece in pieces {
                hasher.update(piece.bytes());
            }
            Blake3(*hasher.finalize().as_bytes())
        })?;
        let hash = |pieces: Receiver<Arc<Piece>>| {
            let mut hasher = Sha256::default();
            for piece in pieces {
                hasher.update(piece.bytes());
            }
            hasher.finish()
        };
        let sha256 = way.with_sha256.then(|| Thread::start(scope, way.name, hash)).transpose()?;
        let disk = match way.out {
            None => None,
            Some(out) => Some(Thread::start(scope, way.name, |marks: Receiver<()>| {
                marks.into_iter().try_for_each(|()| out.sync_data())
            })?),
        };
        let hashers = [Some(&blake3.way), sha256.as_ref().map(|thread| &thread.way)];
        let size = feed(source, way, first, &hashers, disk.as_ref().map(|thread| &thread.way));
        let (digest, sha256) = (blake3.join(), sha256.map(Thread::join).unwrap_or_default());
        // A disk that failed once may say later that all is well.
        disk.map_or(Ok(()), Thread::join).map_err(StoreError::io("sync", way.name))?;
        Ok(Passed { digest, sha256, size: size? })
    })
}

/// Hands every piece to those who hash it, and writes it; the number of bytes.
fn feed(
    source: &mut dyn Read,
    way: Way<'_>,
    first: Piece,
    hashers: &[Option<&SyncSender<Arc<Piece>>>],
    disk: Option<&SyncSender<()>>,
) -> Result<u64> {
    let mut pieces: [Arc<Piece>; PIECES] = std::array::from_fn(|_| Arc::default());
    let (mut next, mut size, mut unsynced) = (first, 0, 0);
    for at in (0..PIECES).cycle() {
        let n = next.bytes().len() as u64;
        if n == 0 {
            break;
        }
        let piece = Arc::new(next);
        for hasher in hashers.iter().flatten() {
            // It ends only after this one does.
            hasher.send(Arc::clone(&piece)).ok();
        }
        way.write(piece.bytes())?;
        (size, unsynced) = (size + n, unsynced + n);
        if unsynced >= WRITE_BACK_BYTES && disk.is_some_and(|disk| disk.try_send(()).is_ok()) {
            unsynced = 0;
        }
        // The oldest one is free again, as no thread is so far behind.
        let oldest = std::mem::replace(&mut pieces[at], piece);
        next = Arc::into_inner(oldest).filter(|piece| !piece.buffer.is_empty()).unwrap_or_else(Piece::new);
        next.fill(source, way.name)?;
    }
    Ok(size)
}

/// A part of what passes.
#[derive(Default)]
struct Piece {
    buffer: Vec<u8>,
    filled: usize,
}

impl Piece {
    fn new() -> Self {
        Self { buffer: vec![0; PIECE_BYTES], filled: 0 }
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    fn is_full(&self) -> bool {
        self.filled == self.buffer.len()
    }

    /// Reads until it is full or nothing more comes.
    fn fill(&mut self, source: &mut dyn Read, name: &Path) -> Result<()> {
        self.filled = 0;
        while !self.is_full() {
            match source.read(&mut self.buffer[self.filled..]) {
                Ok(0) => break,
                Ok(n) => self.filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StoreError::io("read what is stored as", name)(error)),
            }
        }
        Ok(())
    }
}

/// A thread that works on what it is sent, until nothing more comes.
struct Thread<'scope, S, T> {
    way: SyncSender<S>,
    thread: ScopedJoinHandle<'scope, T>,
}

impl<'scope, S: Send + 'scope, T: Send + 'scope> Thread<'scope, S, T> {
    fn start(
        scope: &'scope Scope<'scope, '_>,
        name: &Path,
        work: impl FnOnce(Receiver<S>) -> T + Send + 'scope,
    ) -> Result<Self> {
        let (way, sent) = sync_channel(WAITING);
        let thread = Builder::new().name("lineage-store".into()).spawn_scoped(scope, move || work(sent));
        Ok(Self { way, thread: thread.map_err(StoreError::io("start a thread for", name))? })
    }

    /// What came of it.
    fn join(self) -> T {
        drop(self.way);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Gives its bytes in portions of odd sizes, and then fails or ends.
    struct Portions<'a>(&'a [u8], usize, bool);

    impl Read for Portions<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() && self.2 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.1 = self.1 * 7 % 300_007 + 1;
            let n = self.1.min(buffer.len()).min(self.0.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn bytes(n: usize) -> Vec<u8> {
        (0..n as u32).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect()
    }

    /// So few bytes that there is no thread, the borders of pieces, more pieces than are in memory, and more than one
    /// write-back.
    fn sizes() -> [usize; 8] {
        let most = WRITE_BACK_BYTES as usize * 2 + 5;
        [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, PIECE_BYTES * PIECES, PIECE_BYTES * 9 + 7, most]
    }

    #[test]
    fn what_is_written_is_what_is_hashed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        for n in sizes() {
            let bytes = bytes(n);
            let out = File::create(&path).expect("a file");
            let way = Way { name: &path, with_sha256: true, out: Some(&out) };
            let passed = pass(&mut Portions(&bytes, 1, false), way).expect("it passes");
            assert_eq!(std::fs::read(&path).expect("bytes"), bytes, "{n}");
            assert_eq!((passed.digest, passed.size), (Blake3::of(&bytes), n as u64), "{n}");
            assert_eq!(passed.sha256, Sha256::of(&bytes), "{n}");
            let way = Way { name: &path, with_sha256: false, out: None };
            let passed = pass(&mut Cursor::new(&bytes), way).expect("it passes");
            assert_eq!((passed.digest, passed.sha256.as_str()), (Blake3::of(&bytes), ""), "{n}");
        }
    }

    #[test]
    fn a_source_that_fails_and_a_file_that_takes_nothing_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        std::fs::write(&path, b"").expect("a file");
        let read_only = File::open(&path).expect("a file");
        for n in sizes() {
            let bytes = bytes(n);
            let way = Way { name: &path, with_sha256: true, out: None };
            assert!(pass(&mut Portions(&bytes, 1, true), way).is_err(), "{n}");
            let way = Way { out: Some(&read_only), ..way };
            assert_eq!(pass(&mut Cursor::new(&bytes), way).is_err(), n > 0, "{n}");
        }
    }
}
