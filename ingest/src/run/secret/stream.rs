//! Masking a stream: what is passed on holds no secret, also if one was split over several writes.

use super::{Masked, Secrets};

/// Without the end of a line, so many bytes wait at most for the rest of a secret that is known by where it stands.
const PENDING_BYTES_MAX: usize = 64 * 1024;
/// So many of them stay behind then, which is more than any name or token has.
const TAIL_BYTES: usize = 4 * 1024;

/// Holds back as much of a stream as may be the beginning of a secret.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pending: Vec<u8>,
    /// How many secrets were masked so far.
    pub(crate) n_masked: u64,
}

impl Stream {
    /// Takes bytes, and gives those that can be written.
    pub(crate) fn push(&mut self, bytes: &[u8], secrets: &Secrets) -> Vec<u8> {
        self.pending.extend_from_slice(bytes);
        let cut = self.cut(secrets);
        self.pass(cut, secrets)
    }

    /// Gives what is left at the end of the stream.
    pub(crate) fn finish(&mut self, secrets: &Secrets) -> Vec<u8> {
        self.pass(self.pending.len(), secrets)
    }

    /// Up to where no secret can go on in bytes that are still to come.
    fn cut(&self, secrets: &Secrets) -> usize {
        let line = self.pending.iter().rposition(|b| matches!(b, b'\n' | b'\r')).map_or(0, |at| at + 1);
        let most = self.pending.len().saturating_sub(secrets.longest_of_lines());
        let long = self.pending.len() > PENDING_BYTES_MAX;
        let tail = TAIL_BYTES.max(secrets.longest()).min(self.pending.len());
        let tail = if long { self.pending.len() - tail } else { 0 };
        line.min(most).max(tail)
    }

    fn pass(&mut self, cut: usize, secrets: &Secrets) -> Vec<u8> {
        if cut == 0 {
            return Vec::new();
        }
        let places = secrets.places(&self.pending);
        // A secret that reaches over the cut waits whole; one that never ends goes.
        let over = places.iter().find(|place| place.start < cut && place.end > cut).map(|place| place.start);
        let cut = over.filter(|_| self.pending.len() <= 2 * PENDING_BYTES_MAX).unwrap_or(cut);
        let cut = if over.is_some() && self.pending.len() > 2 * PENDING_BYTES_MAX { self.pending.len() } else { cut };
        let places: Vec<Masked> = places.into_iter().filter(|place| place.end <= cut).collect();
        self.n_masked += places.len() as u64;
        let clean = super::replace(&self.pending[..cut], &places);
        self.pending.drain(..cut);
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(secrets: &Secrets, pieces: &[&[u8]]) -> (String, u64) {
        let mut stream = Stream::default();
        let mut out = Vec::new();
        for piece in pieces {
            out.extend(stream.push(piece, secrets));
        }
        out.extend(stream.finish(secrets));
        (String::from_utf8(out).expect("text"), stream.n_masked)
    }

    #[test]
    fn a_secret_is_masked_however_it_is_split() {
        let secrets = Secrets::of(&[("A", "hunter2"), ("B", "two\nlines here")]);
        let text = "begin hunter2\nmid hunter2 aHVudGVyMg== two\nlines here https://a:bcde@h/ end";
        let want = "begin <redacted>\nmid <redacted> <redacted>== <redacted> https://<redacted>@h/ end";
        for size in 1..text.len() {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            assert_eq!(through(&secrets, &pieces), (want.to_owned(), 5), "pieces of {size}");
        }
    }

    #[test]
    fn lines_without_end_do_not_wait_for_ever() {
        let secrets = Secrets::of(&[("A", "hunter2")]);
        let mut stream = Stream::default();
        let mut n = 0;
        for _ in 0..100 {
            n += stream.push(&[b'.'; 4096], &secrets).len();
            assert!(stream.pending.len() <= PENDING_BYTES_MAX + 4096);
        }
        assert_eq!(n + stream.finish(&secrets).len(), 100 * 4096);
    }

    #[test]
    fn plain_bytes_pass_unchanged() {
        let secrets = Secrets::default();
        let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
        let mut stream = Stream::default();
        let mut out = stream.push(&bytes, &secrets);
        out.extend(stream.finish(&secrets));
        assert!(out == bytes && stream.n_masked == 0);
    }
}
