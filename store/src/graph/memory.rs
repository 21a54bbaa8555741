//! What the fold remembers beyond sealed segments: the tail's rows, and caches in front of the lookups.

use std::collections::{HashMap as AnyMap, HashSet as AnySet};

use foldhash::fast::RandomState;

use super::key::{self, Scoped};
use super::stack::Stack;
use super::tables::{Bases, Tables};

/// Above this many entries a cache is emptied when the tail is sealed; one process then stays within some 200 MB.
const CACHE_ENTRIES_MAX: usize = 1_200_000;

/// Keys come from ids and digests, so a quick hash with a random seed serves.
pub(super) type HashMap<K, V> = AnyMap<K, V, RandomState>;
/// See [`HashMap`].
pub(super) type HashSet<K> = AnySet<K, RandomState>;

/// The versions that may hold digests, by the first eight bytes of these; most digests have one version.
///
/// A quarter of the room of whole digests; whoever asks compares with the digests of the versions.
#[derive(Default)]
pub(super) struct Holders {
    first: HashMap<u64, u32>,
    more: HashMap<u64, Vec<u32>>,
}

impl Holders {
    pub(super) fn len(&self) -> usize {
        self.first.len()
    }

    pub(super) fn push(&mut self, digest: &[u8; 32], version: u32) {
        let first = *self.first.entry(key::head(digest)).or_insert(version);
        if first != version {
            let more = self.more.entry(key::head(digest)).or_default();
            if !more.contains(&version) {
                more.push(version);
            }
        }
    }

    /// Whether versions of a digest, or of one that begins like it, are at hand.
    pub(super) fn knows(&self, digest: &[u8; 32]) -> bool {
        self.first.contains_key(&key::head(digest))
    }

    /// The versions that may hold a digest.
    pub(super) fn candidates(&self, digest: &[u8; 32]) -> impl Iterator<Item = u32> {
        let head = key::head(digest);
        let first = self.first.get(&head).copied();
        first.into_iter().chain(self.more.get(&head).into_iter().flatten().copied())
    }
}

/// A key without the gap that a tuple would have beside its value; at a million ids it is 16 MB.
pub(super) fn packed(key: Scoped) -> [u32; 3] {
    [(key.0 >> 32) as u32, key.0 as u32, key.1]
}

/// What is known of one entity.
#[derive(Clone, Copy, Default)]
pub(super) struct EntityState {
    /// The newest version plus one; 0 none.
    pub(super) last: u32,
    /// How many versions it has.
    pub(super) count: u32,
    /// The newest version without producer, plus one; 0 none, `UNKNOWN` not looked for yet.
    pub(super) open: u32,
}

/// The newest version without producer was not looked for yet.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// What is known of one attempt.
#[derive(Clone, Default)]
pub(super) struct AttemptState {
    pub(super) leader: u32,
    pub(super) number: u16,
    /// The earliest START, if there was one, else the earliest event.
    pub(super) start: i64,
    pub(super) has_start: bool,
    /// The latest terminal event.
    pub(super) terminal: Option<i64>,
    pub(super) completed: bool,
    /// Entities named as inputs: the versions meant, plus one; 0 a bare mention.
    pub(super) reads: Vec<(u32, u32)>,
    /// Versions minted by its bare inputs, which may take a digest or a label later.
    pub(super) bare_inputs: Vec<(u32, u32)>,
    /// Entities named as outputs without version so far.
    pub(super) pending: Vec<u32>,
    /// What it said of those: entity, event, field, value.
    pub(super) told: Vec<(u32, u32, u8, u64)>,
    /// Versions it generated.
    pub(super) writes: Vec<(u32, u32)>,
}

/// What is known of one run.
#[derive(Clone, Default)]
pub(super) struct RunState {
    pub(super) job: u32,
    pub(super) attempts: Vec<AttemptState>,
}

/// The runs that share a namespace and a run id.
#[derive(Clone, Default)]
pub(super) struct RunGroup {
    /// The newest event plus one.
    pub(super) last: u32,
    pub(super) runs: Vec<RunState>,
}

/// The tail and the caches.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) t: Tables,
    pub(super) bases: Bases,
    /// Whether the caches hold everything since position 0, so that a miss needs no search.
    pub(super) complete: bool,
    pub(super) symbols: HashMap<Box<str>, u32>,
    pub(super) entities: HashMap<(u8, u32, u32), u32>,
    pub(super) states: HashMap<u32, EntityState>,
    pub(super) labels: HashMap<(u32, u32), u32>,
    pub(super) digests: Holders,
    pub(super) ids: HashMap<[u32; 3], u32>,
    pub(super) runs: HashMap<(u64, u32), RunGroup>,
    /// Parts of the keys of all runs, while `complete`: a run whose part was not seen is new.
    pub(super) seen_runs: HashSet<u32>,
    /// Digests that versions took since the last seal.
    pub(super) taken: HashMap<u32, Vec<[u8; 32]>>,
    /// Labels that versions took since the last seal.
    pub(super) took_label: HashMap<u32, u32>,
    /// External versions that got a producer since the last seal, and the event.
    pub(super) filled: HashMap<u32, u32>,
    /// Versions minted since the last seal, by entity.
    pub(super) minted: HashMap<u32, Vec<u32>>,
    /// Roots of attempts told since the last seal, by leader.
    pub(super) roots: HashMap<u32, u64>,
    /// Versions and the roots under which attempts made them since the last seal.
    pub(super) made_under: HashSet<(u32, u64)>,
}

impl Memory {
    pub(super) fn new(bases: Bases) -> Self {
        Self { bases, complete: bases.event == 0, ..Self::default() }
    }

    /// The next position.
    pub(super) fn next(&self) -> u32 {
        self.bases.event + self.t.e_kind.len() as u32
    }

    /// Starts a new tail after the old one was sealed.
    pub(super) fn sealed(&mut self, bases: Bases) {
        self.bases = bases;
        self.t = Tables::default();
        let crowded = [
            self.symbols.len(),
            self.entities.len(),
            self.states.len(),
            self.labels.len(),
            self.digests.len(),
            self.ids.len(),
            self.seen_runs.len(),
        ];
        if crowded.into_iter().any(|n| n > CACHE_ENTRIES_MAX) {
            let (bases, t) = (self.bases, std::mem::take(&mut self.t));
            *self = Self { bases, t, complete: false, ..Self::default() };
        }
        self.taken.clear();
        self.filled.clear();
        self.took_label.clear();
        self.minted.clear();
        self.roots.clear();
        self.made_under.clear();
        self.trim_runs();
    }

    /// Forgets runs that have ended when there are many; they are read back from the index if they go on.
    fn trim_runs(&mut self) {
        const RUNS_MAX: usize = 20_000;
        if self.runs.len() > RUNS_MAX {
            self.runs.retain(|_, g| g.runs.iter().any(|r| r.attempts.last().is_some_and(|a| a.terminal.is_none())));
            if self.runs.len() > RUNS_MAX / 2 {
                self.runs.clear();
            }
        }
    }

    /// The symbol of a text; a new one if it has none.
    pub(super) fn symbol(&mut self, text: &str, stack: &Stack) -> u32 {
        if let Some(id) = self.symbols.get(text) {
            return *id;
        }
        let found = if self.complete { None } else { stack.find_symbol(text) };
        let id = found.unwrap_or_else(|| {
            let id = self.bases.symbol + self.t.s_end.len() as u32;
            self.t.s_bytes.extend_from_slice(text.as_bytes());
            self.t.s_end.push(self.bases.symbol_byte + self.t.s_bytes.len() as u64);
            self.t.sym_key.push(key::symbol(text));
            self.t.sym_id.push(id);
            id
        });
        self.symbols.insert(text.into(), id);
        id
    }

    /// The symbol of a text, if it has one.
    pub(super) fn known_symbol(&self, text: &str, stack: &Stack) -> Option<u32> {
        self.symbols.get(text).copied().or_else(|| if self.complete { None } else { stack.find_symbol(text) })
    }
}
