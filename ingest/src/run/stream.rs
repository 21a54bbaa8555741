//! The standard streams of a command: passed through untouched, and copied to logs.

use std::fs::File;
use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::isatty;

use super::log::LogWriter;
use super::terminal::{Pseudo, is_foreground};
use crate::capture::Group;

/// What passes at once: a pipe holds as much.
const BUFFER_BYTES: usize = 64 * 1024;
/// What passes at once of a command that says little.
const BUFFER_BYTES_FIRST: usize = 4096;

/// The standard streams of this process, to which those of a command are passed through.
#[derive(Clone, Debug)]
pub struct Standard {
    /// Standard input.
    pub input: Arc<File>,
    /// Standard output.
    pub output: Arc<File>,
    /// Standard error.
    pub error: Arc<File>,
}

/// Hears what a command says: the name of the stream, and the next bytes of it. Each stream has a thread of its own.
pub(crate) type Ear<'a> = &'a (dyn Fn(&str, &[u8]) + Sync);

/// Those to whom a command speaks.
#[derive(Clone, Copy)]
pub(crate) enum Audience<'a> {
    /// Whoever reads the streams of this process.
    Standard(&'a Standard),
    /// This process itself; the command has nothing to read.
    Ear(Ear<'a>),
}

/// Where a stream of a command goes.
pub(super) enum To<'a> {
    File(Arc<File>),
    Ear(Ear<'a>),
}

/// One stream that is read from the command, and where it goes.
pub(super) struct Tap<'a> {
    pub(super) name: &'static str,
    pub(super) from: File,
    pub(super) to: To<'a>,
}

/// The streams of one command.
#[derive(Default)]
pub(super) struct Streams<'a> {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    pub(super) group: Group,
    pub(super) taps: Vec<Tap<'a>>,
    /// Our end of the pseudo-terminal, and the terminal that it stands for.
    pub(super) terminal: Option<(File, Arc<File>)>,
    /// Whether what is typed is passed on.
    pub(super) types: bool,
}

impl<'a> Streams<'a> {
    /// Pipes, or a pseudo-terminal where ours is a terminal; without an audience everything is inherited.
    pub(super) fn open(audience: Option<Audience<'a>>) -> io::Result<Self> {
        let group = if has_terminal() { Group::Inherited } else { Group::New };
        let mut streams = Self { group, ..Self::default() };
        match audience {
            None => {}
            Some(Audience::Standard(standard)) => streams.pass_through(standard)?,
            Some(Audience::Ear(ear)) => {
                streams.stdin = Some(File::open("/dev/null")?.into());
                streams.stdout = Some(streams.pipe("stdout", To::Ear(ear))?);
                streams.stderr = Some(streams.pipe("stderr", To::Ear(ear))?);
            }
        }
        Ok(streams)
    }

    fn pass_through(&mut self, standard: &Standard) -> io::Result<()> {
        let (out, err) = (isatty(&*standard.output), isatty(&*standard.error));
        let to = |file: &Arc<File>| To::File(Arc::clone(file));
        if out || err {
            self.open_terminal(standard, out, err)?;
        }
        if !out {
            // Two pipes would lose the order of what goes to one place.
            let is_one = !err && same_file(&standard.output, &standard.error);
            let writer = self.pipe(if is_one { "output" } else { "stdout" }, to(&standard.output))?;
            if is_one {
                self.stderr = Some(writer.try_clone()?);
            }
            self.stdout = Some(writer);
        }
        if self.stderr.is_none() {
            self.stderr = Some(self.pipe("stderr", to(&standard.error))?);
        }
        if self.stdin.is_none() {
            self.stdin = Some(standard.input.try_clone()?.into());
        }
        Ok(())
    }

    /// The end of a pipe for the command; what comes out of the other end goes where it is said.
    fn pipe(&mut self, name: &'static str, to: To<'a>) -> io::Result<OwnedFd> {
        let (reader, writer) = io::pipe()?;
        self.taps.push(Tap { name, from: File::from(OwnedFd::from(reader)), to });
        Ok(writer.into())
    }

    /// A pseudo-terminal for what goes to our terminal.
    ///
    /// Only a command that has the terminal for itself gets a session on it, and what is typed: in a pipeline others
    /// read keys, too, and in the background nobody may.
    fn open_terminal(&mut self, standard: &Standard, out: bool, err: bool) -> io::Result<()> {
        let terminal = if out { &standard.output } else { &standard.error };
        self.types = out && is_foreground(&*standard.input);
        let Pseudo { ours, theirs } = Pseudo::like(&**terminal, self.types)?;
        if self.types {
            self.stdin = Some(theirs.try_clone()?);
            self.group = Group::Terminal;
        }
        if out && err {
            self.stderr = Some(theirs.try_clone()?);
        }
        let name = if out && err {
            "output"
        } else if out {
            "stdout"
        } else {
            "stderr"
        };
        self.taps.push(Tap { name, from: File::from(ours.try_clone()?), to: To::File(Arc::clone(terminal)) });
        *(if out { &mut self.stdout } else { &mut self.stderr }) = Some(theirs);
        self.terminal = Some((File::from(ours), Arc::clone(terminal)));
        Ok(())
    }
}

/// Whether this process belongs to a terminal.
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

fn same_file(a: &File, b: &File) -> bool {
    let id = |file: &File| file.metadata().map(|m| (m.dev(), m.ino(), m.rdev()));
    matches!((id(a), id(b)), (Ok(a), Ok(b)) if a == b)
}

/// Passes a stream through until the command and everything that holds it have closed it, or until `stopped` closes.
///
/// When nobody reads on our side, the pipe closes, and the command is told in the usual way: by SIGPIPE.
pub(super) fn pass(tap: Tap<'_>, log: &mut LogWriter<'_>, stopped: &PipeReader) {
    let Tap { name, mut from, to } = tap;
    let mut buffer = vec![0; BUFFER_BYTES_FIRST];
    while is_ready(&from, stopped) {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => {
                log.write(&buffer[..n]);
                match &to {
                    To::Ear(ear) => ear(name, &buffer[..n]),
                    To::File(file) if write_all(file, &buffer[..n]).is_err() => return,
                    To::File(_) => {}
                }
                if n == buffer.len() {
                    buffer.resize(BUFFER_BYTES, 0);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The command's end of a pseudo-terminal is closed.
            Err(_) => return,
        }
    }
}

/// Waits until there is something to read; false if there is nothing and nobody is waited for any more.
fn is_ready(from: &File, stopped: &PipeReader) -> bool {
    loop {
        let mut ready = [PollFd::new(from, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut ready, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
            Ok(_) => return !ready[0].revents().is_empty(),
        }
    }
}

/// Writes everything, also where another program made the stream non-blocking.
fn write_all(to: &File, mut bytes: &[u8]) -> io::Result<()> {
    let mut target = to;
    while !bytes.is_empty() {
        match target.write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(&to.as_fd(), PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
