//! The watch over a command: the thread that observes it, by one of the ways that the kernel has.

use std::ffi::CString;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::filter::{self, Action};
use super::kernel::{self, Gate, Image, Stage};
use super::launch::{Launch, StartError, failed};
use super::notify;
use super::observer::Observer;
use super::role::Roles;
use super::trace::{Blind, Completeness, Hole, Mechanism, Trace};
use super::tracer::{self, End};

/// How long a supervisor has to end before it is told again.
const INTERVAL: Duration = Duration::from_micros(200);

/// A way to observe system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Notification,
    Tracing,
}

/// Why a command does not run under a watch.
pub(super) enum Failed {
    /// It would not run without one either.
    Start(StartError),
    /// The watch does not work.
    Watch(String),
}

/// The thread that observes.
#[derive(Debug)]
struct Supervisor {
    /// Its result is what it learned, or why it could not.
    thread: JoinHandle<Result<Observer, String>>,
    /// Closes when it has ended.
    ended: Receiver<()>,
}

/// A command that is observed.
#[derive(Debug)]
pub(super) struct Watch {
    way: Way,
    stop: Arc<AtomicBool>,
    end: Arc<End>,
    supervisor: Supervisor,
}

impl Way {
    /// In the order in which they are tried.
    pub(super) const ALL: [Self; 2] = [Self::Notification, Self::Tracing];

    pub(super) fn mechanism(self) -> Mechanism {
        match self {
            Self::Notification => Mechanism::Notification,
            Self::Tracing => Mechanism::Ptrace,
        }
    }

    fn action(self) -> Action {
        match self {
            Self::Notification => Action::Notify,
            Self::Tracing => Action::Trace,
        }
    }

    /// Starts a command under a watch.
    pub(super) fn start(self, image: &mut Image, launch: &Launch) -> Result<(u32, Watch), Failed> {
        let watch = |error: std::io::Error| Failed::Watch(error.to_string());
        if !cfg!(target_os = "linux") || super::calls::ARCHITECTURE == 0 {
            return Err(Failed::Watch("this system has no such calls".to_owned()));
        }
        let (ours, theirs) = UnixStream::pair().map_err(watch)?;
        let probe = probe();
        let filter = filter::program(self.action());
        let Ok(text) = CString::new(probe.as_os_str().as_encoded_bytes()) else {
            return Err(Failed::Watch("the probe has a null byte".to_owned()));
        };
        image.set_gate(Some(Gate { socket: theirs.into(), filter, action: self.action(), probe: text }));
        let roles = Roles::new(launch.rules.clone(), launch.workspace.clone()).with_document(launch.document.clone());
        let mut observer = Observer::new(roles);
        observer.inherit(launch.reads.as_deref(), launch.writes.as_deref());
        let (stop, end) = (Arc::new(AtomicBool::new(false)), Arc::new(End::default()));
        let (tell, pid) = mpsc::sync_channel(1);
        let (open, ended) = mpsc::channel();
        let work = {
            let (stop, end) = (Arc::clone(&stop), Arc::clone(&end));
            move || {
                let result = self.supervise(&ours, &probe, &pid, &stop, &end, observer);
                // Closing is not enough: the child has a copy of this end until it is let go.
                ours.shutdown(Shutdown::Both).ok();
                drop(open);
                result
            }
        };
        let thread = thread::Builder::new().name("capture".to_owned()).spawn(work).map_err(watch)?;
        let supervisor = Supervisor { thread, ended };
        let mut forked = None;
        let spawned = kernel::spawn(image, &mut |pid| {
            forked = Some(pid);
            tell.try_send(pid).unwrap_or_default();
        });
        drop(tell);
        // The supervisor sees the end of a child that gave up, once nobody else holds its end of the gate.
        image.set_gate(None);
        match spawned {
            Ok(pid) => Ok((pid, Watch { way: self, stop, end, supervisor })),
            Err(failure) => {
                stop.store(true, Ordering::Release);
                let why = self.join(supervisor).and_then(Result::err);
                // Only now: a tracer must be the first to hear of its tasks, and has mostly waited for this one.
                forked.map(|pid| kernel::wait(pid, true).ok());
                if failure.0 == Stage::Watch {
                    return Err(Failed::Watch(why.unwrap_or_else(|| failure.1.to_string())));
                }
                Err(Failed::Start(failed(failure, why)))
            }
        }
    }

    /// The result of a supervisor that was told to stop; nothing if it panicked.
    fn join(self, Supervisor { thread, ended }: Supervisor) -> Option<Result<Observer, String>> {
        // Mostly it has ended with the last task. Else more than once, as an interrupt before the wait for a call is
        // lost.
        while self == Self::Notification && ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
            kernel::interrupt(&thread);
        }
        thread.join().ok()
    }

    fn supervise(
        self,
        gate: &UnixStream,
        probe: &Path,
        pid: &Receiver<u32>,
        stop: &AtomicBool,
        end: &End,
        mut observer: Observer,
    ) -> Result<Observer, String> {
        match self {
            Self::Notification => notify::supervise(gate, probe, stop, &mut observer)?,
            Self::Tracing => {
                let pid = pid.recv().map_err(|_| "no process was made".to_owned())?;
                tracer::supervise(gate, probe, pid, stop, end, &mut observer)?;
            }
        }
        Ok(observer)
    }
}

/// A path that nobody has, another one for each start.
fn probe() -> PathBuf {
    static STARTS: AtomicU64 = AtomicU64::new(0);
    let n = STARTS.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(format!("/.lineage-probe/{}-{n}", std::process::id()))
}

impl Watch {
    /// Where the end of the command is told, if not to its parent.
    pub(super) fn end(&self) -> Option<&End> {
        (self.way == Way::Tracing).then_some(&*self.end)
    }

    /// Ends the observation.
    pub(super) fn finish(self) -> Trace {
        self.stop.store(true, Ordering::Release);
        if let Some(Ok(observer)) = self.way.join(self.supervisor) {
            return observer.finish(self.way.mechanism());
        }
        // It let the command go on only after it worked, so this is a bug; nothing that it saw can be trusted.
        let mut trace = Trace::unobserved(self.way.mechanism(), Completeness::Partial);
        trace.holes.push(Hole { kind: Blind::Hidden, count: 1 });
        trace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::Write as _;

    use super::super::launch::image;

    /// Whether the kernel tells that nobody is left whom a filter watches: from version 6.11.
    fn tells_of_the_last_task() -> bool {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
        (numbers.next(), numbers.next()) >= (Some(6), Some(11))
    }

    #[test]
    fn the_watch_ends_with_the_last_task() {
        let argv = vec!["/bin/sh".into(), "-c".into(), "exit 3".into()];
        let launch = Launch::new(argv, "/".into(), Vec::new());
        let mut image = image(&launch).expect("a program");
        let started = Way::Notification.start(&mut image, &launch).ok().filter(|_| tells_of_the_last_task());
        let Some((pid, watch)) = started else {
            let skipped = b"SKIPPED: the kernel has no notifications, or does not tell when nobody is left\n";
            return std::io::stderr().write_all(skipped).expect("standard error");
        };
        assert_eq!(kernel::wait(pid, true).expect("its end").map(|exit| exit.code()), Some(3));
        // Nobody tells it to stop.
        let ended = watch.supervisor.ended.recv_timeout(Duration::from_mins(1));
        assert_eq!(ended, Err(RecvTimeoutError::Disconnected));
        assert!(watch.finish().n_events > 0);
    }
}
