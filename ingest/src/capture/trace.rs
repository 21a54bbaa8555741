//! The trace: what was observed of a command, by which mechanism, and what could not be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use lineage_store::artifact::{Stamp, Stored};

use super::python::External;
use super::role::Role;

/// How a command was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Each watched system call waited for the recorder (seccomp user notification).
    Notification,
    /// Each watched system call stopped for the recorder (ptrace behind a seccomp filter).
    Ptrace,
    /// Not at all; only what was declared is known, compared before and after.
    Declared,
    /// Not even that.
    Off,
}

impl Mechanism {
    /// The word that stands in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notification => "seccomp",
            Self::Ptrace => "ptrace",
            Self::Declared => "declared",
            Self::Off => "off",
        }
    }
}

/// How much of what a command read and wrote is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Every file that was opened by its path.
    Complete,
    /// Something was seen, and something is known not to have been seen: the holes say what.
    Partial,
    /// What the caller declared.
    Declared,
    /// Nothing.
    None,
}

impl Completeness {
    /// The word that stands in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Declared => "declared",
            Self::None => "none",
        }
    }
}

/// A kind of thing that capture does not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blind {
    /// A path or folder of a task could not be read.
    Unreadable,
    /// Calls of another processor's numbering, such as those of 32-bit programs.
    Architecture,
    /// A queue of operations (`io_uring`); it was refused, so that programs use calls that are seen.
    Ring,
    /// Another supervisor of system calls inside the step.
    Listener,
    /// A file opened by its handle.
    Handle,
    /// A path that is longer, with its folder, than the system takes.
    TooLong,
    /// A task that belongs to another process namespace above this one.
    Hidden,
    /// The bytes of a file before it was rewritten, because it was too large or could not be read.
    PreImage,
    /// More files than are kept.
    TooMany,
    /// Processes that were still running when the observation ended.
    StillRunning,
}

impl Blind {
    /// The word that stands in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Architecture => "architecture",
            Self::Ring => "io_uring",
            Self::Listener => "listener",
            Self::Handle => "handle",
            Self::TooLong => "too-long",
            Self::Hidden => "hidden",
            Self::PreImage => "pre-image",
            Self::TooMany => "too-many",
            Self::StillRunning => "still-running",
        }
    }

    /// What happened, in plain words.
    pub fn what(self) -> &'static str {
        match self {
            Self::Unreadable => "a path in the memory of a process could not be read",
            Self::Architecture => "a program made system calls of another processor, which are not followed",
            Self::Ring => "io_uring was refused, so that programs use calls that are seen",
            Self::Listener => "a program watches system calls itself, which works for one watcher only",
            Self::Handle => "a file was opened by its handle instead of its path",
            Self::TooLong => "a file lies deeper than the longest path",
            Self::Hidden => "a process could not be identified",
            Self::PreImage => "a file was rewritten before its bytes could be hashed",
            Self::TooMany => "more files were opened than are kept",
            Self::StillRunning => "processes were still running when the observation ended",
        }
    }

    /// Whether files may have been read or written unseen because of it.
    pub fn hides(self) -> bool {
        // A refused queue hides nothing: what it would have done is done by other calls or not at all.
        self != Self::Ring
    }
}

/// Something that was not seen, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// What kind of thing.
    pub kind: Blind,
    /// How often.
    pub count: u64,
}

/// A file as it was read.
#[derive(Clone, Debug)]
pub struct Read {
    /// Its marks before the step read it.
    pub stamp: Stamp,
    /// Its digests then, if they are known.
    pub stored: Option<Stored>,
    /// Whether someone outside the step changed it meanwhile, so that the digests may not be what was read.
    pub unstable: bool,
    /// Its digests at the end, if it is unstable and still there.
    pub after: Option<Stored>,
}

/// A file that the step had to do with.
#[derive(Clone, Debug)]
pub struct Access {
    /// The path as it is on disk, links resolved.
    pub path: PathBuf,
    /// Another path by which the step named it, if it did.
    pub alias: Option<PathBuf>,
    /// What the path is for.
    pub role: Role,
    /// The thread that named it first.
    pub task: u32,
    /// As it was before the step changed it, if the step read it then.
    pub read: Option<Read>,
    /// Whether the step wrote it, and it is there at the end.
    pub written: bool,
    /// Whether the step removed or renamed it, and it is gone at the end.
    pub deleted: bool,
    /// Whether it was run as a program.
    pub executed: bool,
}

/// A folder whose names the step listed.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The folder.
    pub path: PathBuf,
    /// How many names it had when it was first listed, and their digest; `None` if there were too many.
    pub names: Option<(u64, String)>,
    /// Those names, sorted; empty if there were more than are kept.
    pub list: Vec<OsString>,
}

/// A program that was run.
#[derive(Clone, Debug)]
pub struct Execution {
    /// The thread that ran it.
    pub task: u32,
    /// The program.
    pub program: PathBuf,
    /// Its arguments, the first ones; they may hold secrets.
    pub argv: Vec<Vec<u8>>,
}

/// How many paths of a role were met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleCount {
    /// Read or run.
    pub read: u64,
    /// Written, renamed or removed.
    pub written: u64,
}

/// What was observed of a command.
#[derive(Clone, Debug)]
pub struct Trace {
    /// By which means.
    pub mechanism: Mechanism,
    /// How much of it.
    pub completeness: Completeness,
    /// Why a better means was not used, if one was tried.
    pub fallback: Option<String>,
    /// What was not seen.
    pub holes: Vec<Hole>,
    /// Files of the roles data and code, by path.
    pub accesses: Vec<Access>,
    /// Folders that were listed.
    pub listings: Vec<Listing>,
    /// Programs that were run, the first ones.
    pub executions: Vec<Execution>,
    /// How many programs were run.
    pub n_executions: u64,
    /// Hosts to which connections were opened, this one apart.
    pub connections: Vec<SocketAddr>,
    /// How many files came and went within the step.
    pub n_temps: u64,
    /// How many paths were looked for and not there.
    pub n_missing: u64,
    /// Those of the roles data and code; none if they were too many.
    pub missing: Option<Vec<PathBuf>>,
    /// How many system calls were observed.
    pub n_events: u64,
    /// Paths by role.
    pub counts: BTreeMap<Role, RoleCount>,
    /// Programs that would have run with the rights of their owner, and did not because they are observed.
    pub held_back: Vec<PathBuf>,
    /// Paths of the roles env and system that were written, the first ones.
    pub foreign_writes: Vec<PathBuf>,
    /// Installed packages from which files were opened: name and version.
    pub packages: BTreeMap<String, String>,
    /// The folders in which they are installed.
    pub package_folders: BTreeSet<PathBuf>,
    /// Addresses and databases that Python programs told of.
    pub externals: Vec<External>,
    /// The digest of the rules of roles.
    pub rules: String,
}

impl Trace {
    /// A trace without observation.
    pub fn unobserved(mechanism: Mechanism, completeness: Completeness) -> Self {
        Self {
            mechanism,
            completeness,
            fallback: None,
            holes: Vec::new(),
            accesses: Vec::new(),
            listings: Vec::new(),
            executions: Vec::new(),
            n_executions: 0,
            connections: Vec::new(),
            n_temps: 0,
            n_missing: 0,
            missing: None,
            n_events: 0,
            counts: BTreeMap::new(),
            held_back: Vec::new(),
            foreign_writes: Vec::new(),
            packages: BTreeMap::new(),
            package_folders: BTreeSet::new(),
            externals: Vec::new(),
            rules: String::new(),
        }
    }

    /// Whether system calls were observed.
    pub fn is_observed(&self) -> bool {
        matches!(self.mechanism, Mechanism::Notification | Mechanism::Ptrace)
    }
}
