//! The observer: what each watched system call means for the files of a step.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::Metadata;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::calls::{At, Call, Flags, Request, decode};
use super::ledger::{Ledger, Named};
use super::listing::Listings;
use super::place::{Place, Places};
use super::role::{Role, Roles, plain};
use super::task::{Folders, Memory, PATH_MAX, Unread, Written, behind_descriptor};
use super::trace::{Blind, Completeness, Execution, Hole, Mechanism, RoleCount, Trace};

/// So many programs are kept with their arguments; the others are counted.
const EXECUTIONS_MAX: usize = 256;
/// Of a program, so many arguments and bytes of them are kept.
const ARGUMENTS_MAX: usize = 64;
const ARGUMENT_BYTES_MAX: usize = 4096;
/// So many hosts are kept.
const CONNECTIONS_MAX: usize = 1024;
/// So many written paths of installed packages and of the system are kept.
const FOREIGN_WRITES_MAX: usize = 32;
/// Of more paths that are not there only their number is kept.
const MISSING_MAX: usize = 10_000;
/// So many paths are remembered whose role needs no second look.
const QUICK_MAX: usize = 500_000;

/// What the task is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// To go on.
    Continue,
    /// That the kernel does not have this call.
    NotThere,
}

/// How a path without files of interest was used.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    read: bool,
    written: bool,
}

/// Everything that was learned of a step so far.
#[derive(Debug)]
pub(super) struct Observer {
    memory: Memory,
    folders: Folders,
    places: Places,
    roles: Roles,
    ledger: Ledger,
    listings: Listings,
    /// Paths of the roles env, system and volatile, by their plain text.
    noise: HashMap<PathBuf, (Role, Use)>,
    holes: BTreeMap<Blind, u64>,
    executions: Vec<Execution>,
    n_executions: u64,
    connections: BTreeSet<SocketAddr>,
    held_back: BTreeSet<PathBuf>,
    n_missing: u64,
    /// Paths of data and code that were looked for and not there; none once they are too many.
    missing: Option<BTreeSet<PathBuf>>,
    n_events: u64,
}

impl Observer {
    pub(super) fn new(roles: Roles) -> Self {
        Self {
            memory: Memory::default(),
            folders: Folders::default(),
            places: Places::default(),
            roles,
            ledger: Ledger::new(),
            listings: Listings::default(),
            noise: HashMap::new(),
            holes: BTreeMap::new(),
            executions: Vec::new(),
            n_executions: 0,
            connections: BTreeSet::new(),
            held_back: BTreeSet::new(),
            n_missing: 0,
            missing: Some(BTreeSet::new()),
            n_events: 0,
        }
    }

    /// The step has these files open from its start, so that no call will name them.
    pub(super) fn inherit(&mut self, reads: Option<&Path>, writes: Option<&Path>) {
        for (path, is_written) in [(reads, false), (writes, true)] {
            let Some(path) = path.filter(|path| !self.is_noise(path, is_written)) else { continue };
            // A file without bytes was made, or emptied, for the step.
            let is_old = |metadata: &Metadata| !is_written || metadata.len() > 0;
            let metadata = std::fs::symlink_metadata(path).ok().filter(is_old);
            let role = self.roles.of(path);
            let named = Named { path, alias: None, role, task: 0, metadata: metadata.as_ref() };
            if is_written {
                self.ledger.write(named, false);
            } else {
                self.ledger.read(named);
            }
        }
    }

    /// Whether a call is the probe: it opens exactly this path, and the path can be read.
    pub(super) fn is_probe(&mut self, call: &Call, probe: &Path) -> bool {
        let Some(Request::Open { path, .. }) = decode(call) else { return false };
        self.memory.path(call.task, path, &mut self.folders).is_ok_and(|written| written.path == probe)
    }

    /// Something was not seen.
    pub(super) fn miss(&mut self, kind: Blind) {
        *self.holes.entry(kind).or_default() += 1;
    }

    /// Takes note of a call while its task waits.
    pub(super) fn observe(&mut self, call: &Call) -> Answer {
        self.n_events += 1;
        if call.task <= 0 {
            self.miss(Blind::Hidden);
            return Answer::Continue;
        }
        match decode(call) {
            Some(Request::Ring) => {
                self.miss(Blind::Ring);
                return Answer::NotThere;
            }
            Some(request) => self.take(call.task, request),
            None => {}
        }
        Answer::Continue
    }

    fn take(&mut self, task: i32, request: Request) {
        match request {
            Request::Open { path, flags } => self.open(task, path, flags),
            Request::Rename { from, to, exchange } => {
                self.rename(task, from, to, false);
                if exchange {
                    self.rename(task, to, from, false);
                }
            }
            Request::Link { from, to } => self.rename(task, from, to, true),
            Request::Symlink { to } => {
                self.with(task, to, false, Ledger::link, true);
                self.places.forget();
            }
            Request::Unlink { path } => self.unlink(task, path),
            Request::Truncate { path } => self.with(task, path, true, |ledger, named| ledger.write(named, true), true),
            Request::Execute { path, argv, flags } => self.execute(task, path, argv, flags),
            Request::Connect { address, length } => self.connect(task, address, length),
            Request::ChangeFolder => self.folders.forget(),
            Request::ChangeRoot => {
                self.folders.forget();
                self.places.distrust_roots();
            }
            Request::Listen => self.miss(Blind::Listener),
            Request::ByHandle => self.miss(Blind::Handle),
            Request::Foreign => self.miss(Blind::Architecture),
            Request::Ring => {}
        }
    }

    /// The path of a call as the task wrote it; what cannot be read is a hole.
    fn path(&mut self, task: i32, at: At) -> Option<Written> {
        match self.memory.path(task, at, &mut self.folders) {
            Ok(written) => match behind_descriptor(task, &written.path) {
                Some(path) => Some(Written { path, folder: Some(PathBuf::from("/")) }),
                None => Some(written),
            },
            Err(Unread::TooLong) => None,
            Err(Unread::Unreadable) => {
                self.miss(Blind::Unreadable);
                None
            }
        }
    }

    /// The role of a path, if it is one that nobody asks for; then it is only counted.
    fn is_noise(&mut self, path: &Path, writes: bool) -> bool {
        let mark = |used: &mut Use| {
            used.read |= !writes;
            used.written |= writes;
        };
        if let Some((_, used)) = self.noise.get_mut(path) {
            mark(used);
            return true;
        }
        let plain = plain(path);
        let role = self.roles.of(&plain);
        if role.is_recorded() {
            return false;
        }
        if self.noise.len() < QUICK_MAX {
            let mut used = Use::default();
            mark(&mut used);
            self.noise.insert(path.to_owned(), (role, used));
        }
        true
    }

    /// The file that a path means, unless it is noise.
    fn place(&mut self, task: i32, written: &Written, follow: bool, writes: bool) -> Option<(Place, Role)> {
        let path = written.path.as_path();
        // Under another root the text of a path says nothing yet.
        if self.places.one_root() && self.is_noise(path, writes) {
            return None;
        }
        let Some(place) = self.places.find(task, written, follow) else {
            if path.as_os_str().len() >= PATH_MAX {
                self.miss(Blind::TooLong);
            }
            self.is_missing(&plain(path));
            return None;
        };
        if place.path != path && self.is_noise(&place.path, writes) {
            return None;
        }
        let role = self.roles.of(&place.path);
        Some((place, role))
    }

    /// A path of data or code is not there: had it been, the step might have done something else.
    fn is_missing(&mut self, path: &Path) {
        self.n_missing += 1;
        if let Some(missing) = &mut self.missing
            && self.roles.of(path).is_recorded()
        {
            missing.insert(path.to_owned());
            if missing.len() > MISSING_MAX {
                self.missing = None;
            }
        }
    }

    /// Finds the file that a call names and tells the ledger.
    fn with(&mut self, task: i32, at: At, follow: bool, tell: impl FnOnce(&mut Ledger, Named<'_>), writes: bool) {
        let Some(path) = self.path(task, at) else { return };
        if let Some((place, role)) = self.place(task, &path, follow, writes) {
            tell(&mut self.ledger, named(&place, &path, role, task));
        }
    }

    fn open(&mut self, task: i32, at: At, flags: Flags) {
        let flags = match flags {
            Flags::Known(flags) => flags as i32,
            Flags::In(address) => {
                let mut how = [0; 8];
                match self.memory.read(task, address, &mut how) {
                    Ok(8) => u64::from_ne_bytes(how) as i32,
                    _ => return self.miss(Blind::Unreadable),
                }
            }
        };
        if flags & libc::O_PATH != 0 {
            return;
        }
        let Some(path) = self.path(task, at) else { return };
        let access = flags & libc::O_ACCMODE;
        let writes = access != libc::O_RDONLY || flags & (libc::O_TRUNC | libc::O_CREAT) != 0;
        if !writes && self.places.one_root() && self.ledger.is_read(&path.path) {
            return;
        }
        let follow = flags & libc::O_NOFOLLOW == 0;
        let Some((place, role)) = self.place(task, &path, follow, writes) else { return };
        let named = named(&place, &path, role, task);
        match &place.metadata {
            None if flags & libc::O_CREAT == 0 => self.is_missing(&place.path),
            None => self.ledger.write(named, false),
            Some(_) if flags & libc::O_CREAT != 0 && flags & libc::O_EXCL != 0 => {}
            Some(metadata) if metadata.is_dir() => {
                // A file without a name appears, if ever, by a link that is seen.
                if flags & libc::O_TMPFILE != libc::O_TMPFILE && role == Role::Data {
                    self.listings.open(&place.path);
                }
            }
            Some(metadata) if metadata.file_type().is_fifo() || !metadata.is_file() => {}
            Some(_) if access == libc::O_RDONLY && flags & libc::O_TRUNC == 0 => {
                self.ledger.read(named);
            }
            Some(_) => {
                let keeps = access == libc::O_RDWR && flags & libc::O_TRUNC == 0;
                self.ledger.write(named, keeps);
            }
        }
    }

    fn rename(&mut self, task: i32, from: At, to: At, stays: bool) {
        let (Some(from), Some(to)) = (self.path(task, from), self.path(task, to)) else { return };
        let found = (self.place(task, &from, stays, true), self.place(task, &to, false, true));
        let (source, target) = match found {
            (Some(source), Some(target)) => (source, target),
            // Out of noise into data, such as from a cache: a file appears.
            (None, Some((place, role))) => return self.ledger.link(named(&place, &to, role, task)),
            (Some((place, role)), None) if !stays => return self.ledger.remove(named(&place, &from, role, task)),
            _ => return,
        };
        if source.0.metadata.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            self.places.forget();
        }
        let (a, b) = (named(&source.0, &from, source.1, task), named(&target.0, &to, target.1, task));
        self.ledger.rename(a, b, stays);
    }

    fn unlink(&mut self, task: i32, at: At) {
        let Some(path) = self.path(task, at) else { return };
        let Some((place, role)) = self.place(task, &path, false, true) else { return };
        if place.metadata.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            // A folder or a link to one: what was resolved through it may change.
            self.places.forget();
            return;
        }
        self.ledger.remove(named(&place, &path, role, task));
    }

    fn execute(&mut self, task: i32, at: At, argv: u64, flags: u64) {
        let written = if flags & libc::AT_EMPTY_PATH as u64 != 0 {
            let path = std::fs::read_link(format!("/proc/{task}/fd/{}", at.folder)).ok();
            path.map(|path| Written { folder: path.parent().map(Path::to_owned), path })
        } else {
            self.path(task, at)
        };
        let Some(written) = written else { return };
        let found = self.place(task, &written, true, false);
        let metadata = match &found {
            Some((place, _)) => place.metadata.clone(),
            None => std::fs::metadata(&written.path).ok(),
        };
        // A search for a program tries files that are not there.
        let Some(metadata) = metadata else { return };
        if metadata.mode() & libc::S_ISUID != 0 && metadata.uid() != rustix::process::geteuid().as_raw() {
            self.held_back.insert(plain(&written.path));
        }
        self.n_executions += 1;
        if self.executions.len() < EXECUTIONS_MAX {
            let argv = self.memory.texts(task, argv, ARGUMENTS_MAX, ARGUMENT_BYTES_MAX);
            self.executions.push(Execution { task: task as u32, program: plain(&written.path), argv });
        }
        if let Some((place, role)) = found {
            self.ledger.execute(named(&place, &written, role, task));
        }
    }

    fn connect(&mut self, task: i32, address: u64, length: u64) {
        let mut bytes = [0; 28];
        let n = bytes.len().min(length as usize);
        let Ok(n) = self.memory.read(task, address, &mut bytes[..n]) else { return self.miss(Blind::Unreadable) };
        if let Some(host) = host(&bytes[..n])
            && !host.ip().is_loopback()
            && self.connections.len() < CONNECTIONS_MAX
        {
            self.connections.insert(host);
        }
    }

    /// What all of it comes to.
    pub(super) fn finish(mut self, mechanism: Mechanism) -> Trace {
        let n_dropped = self.ledger.n_dropped;
        let mut balance = self.ledger.balance();
        for access in balance.accesses.iter_mut().filter(|access| access.task == 0) {
            access.role = self.roles.of(&access.path);
        }
        for (kind, n) in [(Blind::PreImage, balance.n_lost), (Blind::TooMany, n_dropped)] {
            if n > 0 {
                *self.holes.entry(kind).or_default() += n;
            }
        }
        let mut counts: BTreeMap<Role, RoleCount> = BTreeMap::new();
        let mut count = |role: Role, read: bool, written: bool| {
            let count = counts.entry(role).or_default();
            count.read += u64::from(read);
            count.written += u64::from(written);
        };
        for (role, used) in self.noise.values() {
            count(*role, used.read, used.written);
        }
        for access in &balance.accesses {
            count(access.role, access.read.is_some(), access.written || access.deleted);
        }
        for _ in 0..balance.n_temps {
            count(Role::Temp, false, true);
        }
        let foreign =
            |(_, (role, used)): &(&PathBuf, &(Role, Use))| used.written && matches!(role, Role::Env | Role::System);
        let mut foreign_writes: Vec<_> = self.noise.iter().filter(foreign).map(|(path, _)| path.clone()).collect();
        foreign_writes.sort();
        foreign_writes.truncate(FOREIGN_WRITES_MAX);
        let env = || self.noise.iter().filter(|(_, (role, _))| *role == Role::Env).map(|(path, _)| path.as_path());
        let packages = super::packages::versions(env());
        let package_folders = super::packages::folders(env());
        let holes: Vec<_> = self.holes.iter().map(|(kind, count)| Hole { kind: *kind, count: *count }).collect();
        let hides = holes.iter().any(|hole| hole.kind.hides());
        Trace {
            mechanism,
            completeness: if hides { Completeness::Partial } else { Completeness::Complete },
            fallback: None,
            holes,
            accesses: balance.accesses,
            listings: self.listings.finish(),
            executions: self.executions,
            n_executions: self.n_executions,
            connections: self.connections.into_iter().collect(),
            n_temps: balance.n_temps,
            n_missing: self.n_missing,
            missing: self.missing.map(|missing| missing.into_iter().collect()),
            n_events: self.n_events,
            counts,
            held_back: self.held_back.into_iter().collect(),
            foreign_writes,
            packages,
            package_folders,
            externals: Vec::new(),
            rules: self.roles.hash().to_owned(),
        }
    }
}

fn named<'a>(place: &'a Place, written: &'a Written, role: Role, task: i32) -> Named<'a> {
    let alias = Some(written.path.as_path()).filter(|path| *path != place.path);
    Named { path: &place.path, alias, role, task: task as u32, metadata: place.metadata.as_ref() }
}

/// The host of an address of the internet, in the kernel's form.
fn host(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    let ip: IpAddr = match i32::from(family) {
        libc::AF_INET => Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(4..8)?).ok()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(8..24)?).ok()?).to_canonical(),
        _ => return None,
    };
    // Port 0 is how programs ask which way a packet would go.
    (port != 0).then_some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_in_the_form_of_the_kernel() {
        let mut bytes = vec![0; 28];
        bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        bytes[2..8].copy_from_slice(&[0x01, 0xBB, 10, 0, 0, 7]);
        assert_eq!(host(&bytes).map(|host| host.to_string()).as_deref(), Some("10.0.0.7:443"));
        assert_eq!(host(&bytes[..6]), None);
        bytes[..2].copy_from_slice(&(libc::AF_UNIX as u16).to_ne_bytes());
        assert_eq!(host(&bytes), None);
    }
}
