//! The start of a command: its streams, its group or terminal, and what observes it.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use super::kernel::{self, Image, Stage};
use super::role::Rules;
use super::trace::{Completeness, Mechanism, Trace};
use super::watch::{Failed, Watch, Way};

/// Where programs are looked for when the environment names no folders, as in shells.
const PATH_DEFAULT: &str = "/usr/local/bin:/bin:/usr/bin";

/// Whether and how a command is observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaptureMode {
    /// By the best means that works here, down to declarations.
    #[default]
    Auto,
    /// As `Auto`, but the command is not started unless its system calls can be observed.
    Require,
    /// Only what was declared, compared before and after.
    Declared,
    /// Not at all.
    Off,
}

impl CaptureMode {
    /// Every mode, in the order in which help lists them.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Require, Self::Declared, Self::Off];

    /// The word of the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Require => "require",
            Self::Declared => "declared",
            Self::Off => "off",
        }
    }

    /// The mode that a word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }
}

/// The process group in which a command runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Group {
    /// That of the caller: signals of the caller's terminal reach both.
    #[default]
    Inherited,
    /// One of its own.
    New,
    /// A session of its own, whose controlling terminal is the first of its standard streams that is one.
    Terminal,
}

/// What to start.
#[derive(Debug)]
pub struct Launch {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// Its whole environment; `PATH` in it says where the program is looked for.
    pub env: Vec<(OsString, OsString)>,
    /// Its standard input; `None`: the caller's.
    pub stdin: Option<OwnedFd>,
    /// Its standard output; `None`: the caller's.
    pub stdout: Option<OwnedFd>,
    /// Its standard error; `None`: the caller's.
    pub stderr: Option<OwnedFd>,
    /// Its process group.
    pub group: Group,
    /// Whether and how it is observed.
    pub mode: CaptureMode,
    /// The folder whose files are the step's own; outside of it rules of the system apply, too.
    pub workspace: PathBuf,
    /// By which files get their roles.
    pub rules: Rules,
    /// A file that is data whatever the rules say, by its real path.
    pub document: Option<PathBuf>,
    /// The file that it has open for reading from the start, by its real path.
    pub reads: Option<PathBuf>,
    /// The file that it has open for writing from the start, by its real path.
    pub writes: Option<PathBuf>,
    /// The ways to observe that are tried, in this order.
    pub(super) ways: &'static [Way],
}

impl Launch {
    /// A command with the caller's streams and group.
    pub fn new(argv: Vec<OsString>, cwd: PathBuf, env: Vec<(OsString, OsString)>) -> Self {
        let (stdin, stdout, stderr) = (None, None, None);
        Self {
            argv,
            workspace: cwd.clone(),
            cwd,
            env,
            stdin,
            stdout,
            stderr,
            group: Group::default(),
            mode: CaptureMode::default(),
            rules: Rules::default(),
            document: None,
            reads: None,
            writes: None,
            ways: &Way::ALL,
        }
    }
}

/// Why a command does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no such program (`NotFound`), or it cannot be executed: codes 127 and 126 of shells.
    #[error("{0}")]
    Exec(#[source] io::Error),
    /// It has to be observed, and cannot be.
    #[error("system calls cannot be observed here: {0}; run it with `--capture auto` or `--capture declared`")]
    Unobservable(String),
    /// No process could be made for it.
    #[error("no process could be started: {0}")]
    Process(#[source] io::Error),
}

/// What a command used, with those of its descendants that were waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in its own code.
    pub user: Duration,
    /// Processor time in the kernel on its behalf.
    pub system: Duration,
    /// The largest resident size of any of its processes, in bytes.
    pub memory_max: u64,
}

/// How a command ended and what it used.
#[derive(Clone, Copy, Debug)]
pub struct Exit {
    /// Its status.
    pub status: ExitStatus,
    /// What it used.
    pub usage: Usage,
}

/// A command that runs. It dies with the thread that started it, so that must live as long as the command.
#[derive(Debug)]
pub struct Started {
    pid: u32,
    group: Group,
    mode: CaptureMode,
    exit: Option<Exit>,
    watch: Option<Watch>,
    /// Why no better way to observe is used.
    fallback: Option<String>,
}

/// Makes orphaned descendants of this process its children, so that none is lost sight of. Only Linux can.
pub fn become_subreaper() -> io::Result<()> {
    kernel::become_subreaper()
}

/// Starts a command; returns when its program runs.
pub fn start(launch: &Launch) -> Result<Started, StartError> {
    let mut image = image(launch)?;
    let mut reasons = Vec::new();
    if matches!(launch.mode, CaptureMode::Auto | CaptureMode::Require) {
        for way in launch.ways {
            match way.start(&mut image, launch) {
                Ok((pid, watch)) => return Ok(started(launch, pid, Some(watch), &reasons)),
                Err(Failed::Start(error)) => return Err(error),
                Err(Failed::Watch(why)) => reasons.push(format!("{}: {why}", way.mechanism().as_str())),
            }
        }
        if launch.mode == CaptureMode::Require {
            return Err(StartError::Unobservable(reasons.join("; ")));
        }
        image.set_gate(None);
    }
    let mut forked = None;
    let pid = kernel::spawn(&image, &mut |pid| forked = Some(pid)).map_err(|failure| {
        // What became of a child that gave up is known already.
        forked.map(|pid| kernel::wait(pid, true).ok());
        failed(failure, None)
    })?;
    Ok(started(launch, pid, None, &reasons))
}

fn started(launch: &Launch, pid: u32, watch: Option<Watch>, reasons: &[String]) -> Started {
    let fallback = (!reasons.is_empty()).then(|| reasons.join("; "));
    Started { pid, group: launch.group, mode: launch.mode, exit: None, watch, fallback }
}

/// What a failure to start means to the caller.
pub(super) fn failed((stage, error): (Stage, io::Error), why: Option<String>) -> StartError {
    match stage {
        Stage::Exec => StartError::Exec(error),
        Stage::Process => StartError::Process(error),
        Stage::Watch => StartError::Unobservable(why.unwrap_or_else(|| error.to_string())),
    }
}

pub(super) fn image(launch: &Launch) -> Result<Image, StartError> {
    let Some(program) = launch.argv.first().filter(|program| !program.is_empty()) else {
        return Err(StartError::Exec(io::Error::new(io::ErrorKind::NotFound, "no command was given")));
    };
    let text = |text: &OsStr| {
        CString::new(text.as_bytes()).map_err(|_| {
            let what = "an argument or the environment has a null byte in it";
            StartError::Exec(io::Error::new(io::ErrorKind::InvalidInput, what))
        })
    };
    let mut env = Vec::with_capacity(launch.env.len());
    for (name, value) in &launch.env {
        env.push(text(&joined(&[name.as_bytes(), b"=", value.as_bytes()]))?);
    }
    Image::new(
        candidates(program, &launch.env).iter().map(|path| text(path)).collect::<Result<_, _>>()?,
        launch.argv.iter().map(|argument| text(argument)).collect::<Result<_, _>>()?,
        env,
        text(launch.cwd.as_os_str())?,
        [launch.stdin.as_ref(), launch.stdout.as_ref(), launch.stderr.as_ref()],
        launch.group,
    )
    .map_err(StartError::Process)
}

/// The files that a program's name may mean, in the order in which they are tried.
fn candidates(program: &OsStr, env: &[(OsString, OsString)]) -> Vec<OsString> {
    if program.as_bytes().contains(&b'/') {
        return vec![program.to_owned()];
    }
    let path = env.iter().rev().find(|(name, _)| name == "PATH");
    let path = path.map_or(OsStr::new(PATH_DEFAULT), |(_, value)| value);
    // An empty part means the folder in which the command runs.
    let parts = path.as_bytes().split(|byte| *byte == b':').map(|part| if part.is_empty() { b"." } else { part });
    parts.map(|part| joined(&[part, b"/", program.as_bytes()])).collect()
}

fn joined(parts: &[&[u8]]) -> OsString {
    OsString::from_vec(parts.concat())
}

impl Started {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end. Its descendants may live on.
    pub fn wait(&mut self) -> io::Result<Exit> {
        loop {
            if let Some(exit) = self.look(true)? {
                return Ok(exit);
            }
        }
    }

    /// Its end, if it has ended.
    pub fn try_wait(&mut self) -> io::Result<Option<Exit>> {
        self.look(false)
    }

    fn look(&mut self, block: bool) -> io::Result<Option<Exit>> {
        if self.exit.is_none() {
            self.exit = match self.watch.as_ref().and_then(Watch::end) {
                Some(end) => end.look(block)?,
                None => kernel::wait(self.pid, block)?,
            };
        }
        Ok(self.exit)
    }

    /// Sends a signal to its group, or to it alone if it shares the caller's; nothing if it has ended.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        if self.exit.is_some() && self.group == Group::Inherited {
            return Ok(());
        }
        kernel::signal(self.pid, self.group != Group::Inherited, signal)
    }

    /// Ends the observation and tells what was observed; call it when the command and its descendants have ended.
    pub fn finish(self) -> Trace {
        let mut trace = match self.watch {
            Some(watch) => watch.finish(),
            None if self.mode == CaptureMode::Off => Trace::unobserved(Mechanism::Off, Completeness::None),
            None => Trace::unobserved(Mechanism::Declared, Completeness::Declared),
        };
        trace.fallback = self.fallback;
        trace
    }
}

/// The status of a command as a shell gives it: its code, or 128 and its signal.
impl Exit {
    /// The code that a shell shows.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::Read as _;

    fn launch(argv: &[&str]) -> Launch {
        let env = vec![("PATH".into(), "/nowhere::/bin:/usr/bin".into()), ("WORD".into(), "said".into())];
        Launch::new(argv.iter().map(OsString::from).collect(), "/".into(), env)
    }

    #[test]
    fn a_command_gets_its_streams_and_environment() {
        let (mut out, theirs) = io::pipe().expect("a pipe");
        let mut launch = launch(&["sh", "-c", "pwd; echo $WORD $0; exit 7", "name"]);
        launch.stdout = Some(theirs.into());
        let mut started = start(&launch).expect("started");
        drop(launch);
        let mut text = String::new();
        out.read_to_string(&mut text).expect("text");
        assert_eq!(text, "/\nsaid name\n");
        let exit = started.wait().expect("its end");
        assert_eq!((exit.code(), exit.status.code()), (7, Some(7)));
        assert!(exit.usage.memory_max > 0);
        assert_eq!(started.try_wait().expect("its end").map(|exit| exit.code()), Some(7));
    }

    #[test]
    fn a_command_that_cannot_run_says_why() {
        let kind = |argv: &[&str]| match start(&launch(argv)) {
            Err(StartError::Exec(error)) => error.kind(),
            other => panic!("{argv:?}: {other:?}"),
        };
        assert_eq!(kind(&["no-such-command-anywhere"]), io::ErrorKind::NotFound);
        assert_eq!(kind(&["/no/such"]), io::ErrorKind::NotFound);
        assert_eq!(kind(&["/etc/passwd"]), io::ErrorKind::PermissionDenied);
        assert_eq!(kind(&[]), io::ErrorKind::NotFound);
        assert_eq!(kind(&["sh", "\0"]), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_script_without_an_interpreter_is_run_by_the_shell() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = folder.path().join("script");
        std::fs::write(&script, "exit $1\n").expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).expect("executable");
        let mut started = start(&launch(&[script.to_str().expect("text"), "5"])).expect("started");
        assert_eq!(started.wait().expect("its end").code(), 5);
    }

    #[test]
    fn a_signal_reaches_the_whole_group() {
        let (mut out, theirs) = io::pipe().expect("a pipe");
        let mut launch = launch(&["sh", "-c", "sh -c 'echo up; sleep 600'; exit 0"]);
        launch.stdout = Some(theirs.into());
        launch.group = Group::New;
        let mut started = start(&launch).expect("started");
        drop(launch);
        out.read_exact(&mut [0; 3]).expect("it is up");
        assert!(started.try_wait().expect("no end").is_none());
        started.signal(15).expect("sent");
        assert_eq!(started.wait().expect("its end").code(), 128 + 15);
        // Whoever holds the pipe has ended, too.
        assert_eq!(out.read(&mut [0; 1]).expect("its end"), 0);
    }
}
