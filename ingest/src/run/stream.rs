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

/// One stream that is read from the command, and where it goes.
pub(super) struct Tap {
    pub(super) name: &'static str,
    pub(super) from: File,
    pub(super) to: Arc<File>,
}

/// The streams of one command.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    pub(super) group: Group,
    pub(super) taps: Vec<Tap>,
    /// Our end of the pseudo-terminal, and the terminal that it stands for.
    pub(super) terminal: Option<(File, Arc<File>)>,
    /// Whether what is typed is passed on.
    pub(super) types: bool,
}

impl Streams {
    /// Pipes, or a pseudo-terminal where ours is a terminal; without `standard` everything is inherited.
    pub(super) fn open(standard: Option<&Standard>) -> io::Result<Self> {
        let group = if has_terminal() { Group::Inherited } else { Group::New };
        let Some(standard) = standard else { return Ok(Self { group, ..Self::default() }) };
        let mut streams = Self { group, ..Self::default() };
        let (out, err) = (isatty(&*standard.output), isatty(&*standard.error));
        if out || err {
            streams.open_terminal(standard, out, err)?;
        }
        if !out {
            let (reader, writer) = io::pipe()?;
            // Two pipes would lose the order of what goes to one place.
            if !err && same_file(&standard.output, &standard.error) {
                streams.stderr = Some(writer.try_clone()?.into());
                streams.tap("output", OwnedFd::from(reader), &standard.output);
            } else {
                streams.tap("stdout", OwnedFd::from(reader), &standard.output);
            }
            streams.stdout = Some(writer.into());
        }
        if streams.stderr.is_none() {
            let (reader, writer) = io::pipe()?;
            streams.tap("stderr", OwnedFd::from(reader), &standard.error);
            streams.stderr = Some(writer.into());
        }
        if streams.stdin.is_none() {
            streams.stdin = Some(standard.input.try_clone()?.into());
        }
        Ok(streams)
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
        self.tap(name, ours.try_clone()?, terminal);
        *(if out { &mut self.stdout } else { &mut self.stderr }) = Some(theirs);
        self.terminal = Some((File::from(ours), Arc::clone(terminal)));
        Ok(())
    }

    fn tap(&mut self, name: &'static str, from: OwnedFd, to: &Arc<File>) {
        self.taps.push(Tap { name, from: File::from(from), to: Arc::clone(to) });
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
pub(super) fn pass(tap: Tap, log: &mut LogWriter<'_>, stopped: &PipeReader) {
    let Tap { mut from, to, .. } = tap;
    let mut buffer = vec![0; BUFFER_BYTES];
    while is_ready(&from, stopped) {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => {
                log.write(&buffer[..n]);
                if write_all(&to, &buffer[..n]).is_err() {
                    return;
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
