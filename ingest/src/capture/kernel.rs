//! The system calls of capture that need `unsafe`: starting a command in steps, waiting for it, and watching its calls.
#![allow(unsafe_code, reason = "fork, exec, wait4, seccomp and ptrace have no safe interface")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::mem;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::ptr;
use std::time::Duration;

use super::launch::{Group, Usage};

/// Where a start failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No process, folder, stream or group as wanted.
    Process,
    /// No program of this name, or it cannot be executed.
    Exec,
}

/// A program in the form in which the kernel takes it, so that the child allocates nothing.
pub(super) struct Image {
    /// Files to try, in this order.
    programs: Vec<CString>,
    argv: Vec<*const c_char>,
    /// For a script without an interpreter: `sh`, a place for the script, and its arguments.
    shell_argv: Vec<*const c_char>,
    env: Vec<*const c_char>,
    cwd: CString,
    /// Each above 2, or none for the caller's own.
    streams: [Option<OwnedFd>; 3],
    group: Group,
    /// What the pointers point into.
    _texts: [Vec<CString>; 2],
}

const SHELL: &CStr = c"/bin/sh";

impl Image {
    pub(super) fn new(
        programs: Vec<CString>,
        argv: Vec<CString>,
        env: Vec<CString>,
        cwd: CString,
        streams: [Option<&OwnedFd>; 3],
        group: Group,
    ) -> io::Result<Self> {
        let pointers = |texts: &[CString]| -> Vec<*const c_char> {
            texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
        };
        let arguments = argv.get(1..).unwrap_or_default();
        let shell_argv = [SHELL.as_ptr(), ptr::null()].into_iter().chain(pointers(arguments)).collect();
        let mut copies = [None, None, None];
        for (copy, stream) in copies.iter_mut().zip(streams) {
            // A stream among the first three would be overwritten while they are put in place.
            *copy = stream.map(|stream| rustix::io::fcntl_dupfd_cloexec(stream, 3)).transpose()?;
        }
        let (argv_pointers, env_pointers) = (pointers(&argv), pointers(&env));
        Ok(Self {
            programs,
            argv: argv_pointers,
            shell_argv,
            env: env_pointers,
            cwd,
            streams: copies,
            group,
            _texts: [argv, env],
        })
    }
}

/// Starts a program; its process id, once the program runs.
pub(super) fn spawn(image: &Image) -> Result<u32, (Stage, io::Error)> {
    let process = |error: io::Error| (Stage::Process, error);
    let (mut report, ours) = io::pipe().map_err(process)?;
    let mut shell_argv = image.shell_argv.clone();
    let parent = rustix::process::getpid().as_raw_nonzero().get();
    // Handlers of the caller must not run in the child, whose memory is a copy but whose pipes are not.
    let mask = block_signals().map_err(process)?;
    // SAFETY: the child only calls functions that are safe after fork, and ends by exec or _exit.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: this is the child of the fork, with one thread; every pointer of `image` is valid in its copy.
        let (stage, errno) = unsafe { become_program(image, &mut shell_argv, parent, &mask) };
        let message = [stage as u8, errno.to_ne_bytes()[0], errno.to_ne_bytes()[1]];
        // SAFETY: plain system calls on a valid buffer; the parent reads what is written before the end.
        unsafe {
            libc::write(ours.as_fd().as_raw_fd(), message.as_ptr().cast(), message.len());
            libc::_exit(127);
        }
    }
    let fork_error = io::Error::last_os_error();
    restore_signals(&mask);
    drop(ours);
    if pid < 0 {
        return Err(process(fork_error));
    }
    let pid = pid as u32;
    let mut message = Vec::new();
    io::Read::read_to_end(&mut report, &mut message).map_err(process)?;
    let [stage, low, high] = message[..] else { return Ok(pid) };
    // It has ended or is about to.
    wait(pid, true).ok();
    let stage = if stage == Stage::Exec as u8 { Stage::Exec } else { Stage::Process };
    Err((stage, io::Error::from_raw_os_error(u16::from_ne_bytes([low, high]) as i32)))
}

fn block_signals() -> io::Result<libc::sigset_t> {
    let mut all = mem::MaybeUninit::uninit();
    let mut before = mem::MaybeUninit::uninit();
    // SAFETY: both sets are filled by these calls before they are read.
    let code = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr())
    };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code));
    }
    // SAFETY: pthread_sigmask succeeded, so the set is filled.
    Ok(unsafe { before.assume_init() })
}

fn restore_signals(mask: &libc::sigset_t) {
    // SAFETY: the set was filled by `block_signals`.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, ptr::null_mut()) };
}

/// Becomes the program; returns only if that fails, with where and why.
///
/// # Safety
/// Only in the child of a fork: it changes the whole process.
unsafe fn become_program(
    image: &Image,
    shell_argv: &mut [*const c_char],
    parent: i32,
    mask: &libc::sigset_t,
) -> (Stage, c_int) {
    let failed = |stage| (stage, io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL));
    // SAFETY: system calls on values of our own; signal dispositions are set before signals are let in.
    unsafe {
        if !die_with_parent(parent) {
            return (Stage::Process, libc::ESRCH);
        }
        match image.group {
            Group::Inherited => {}
            Group::New => drop(libc::setpgid(0, 0)),
            Group::Terminal => drop(libc::setsid()),
        }
        for (target, stream) in image.streams.iter().enumerate() {
            if let Some(stream) = stream
                && libc::dup2(stream.as_raw_fd(), target as RawFd) < 0
            {
                return failed(Stage::Process);
            }
        }
        if image.group == Group::Terminal {
            (0..3).any(|stream| libc::ioctl(stream, libc::TIOCSCTTY as _, 0) == 0);
        }
        if libc::chdir(image.cwd.as_ptr()) < 0 {
            return failed(Stage::Process);
        }
        reset_handlers();
        libc::sigprocmask(libc::SIG_SETMASK, mask, ptr::null_mut());
        let errno = execute(image, shell_argv);
        (Stage::Exec, errno)
    }
}

/// Asks for death with the parent; whether the parent still lives.
///
/// # Safety
/// Only in the child of a fork.
unsafe fn die_with_parent(parent: i32) -> bool {
    // SAFETY: prctl and getppid take no pointers here.
    unsafe {
        #[cfg(target_os = "linux")]
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::getppid() == parent
    }
}

/// Gives signals with a handler their default; those that are ignored stay so, but for the one that Rust ignores.
///
/// # Safety
/// Only in the child of a fork: handlers belong to the whole process.
unsafe fn reset_handlers() {
    for signal in 1..=libc::SIGSYS.max(64) {
        let mut action = mem::MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: the action is read only after sigaction has filled it; unknown signals are refused by the kernel.
        unsafe {
            if libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) != 0 {
                continue;
            }
            let handler = action.assume_init_ref().sa_sigaction;
            if handler != libc::SIG_DFL && (handler != libc::SIG_IGN || signal == libc::SIGPIPE) {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}

/// Tries the files as `execvp` does; returns why none could be executed.
///
/// # Safety
/// Only in the child of a fork; every pointer of `image` and `shell_argv` must be valid.
unsafe fn execute(image: &Image, shell_argv: &mut [*const c_char]) -> c_int {
    let mut errno = libc::ENOENT;
    for program in &image.programs {
        // SAFETY: the arrays end with a null pointer and their texts live in the image.
        unsafe { libc::execve(program.as_ptr(), image.argv.as_ptr(), image.env.as_ptr()) };
        match io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL) {
            libc::ENOEXEC => {
                shell_argv[1] = program.as_ptr();
                // SAFETY: as above.
                unsafe { libc::execve(SHELL.as_ptr(), shell_argv.as_ptr(), image.env.as_ptr()) };
                return libc::ENOEXEC;
            }
            libc::ENOENT | libc::ENOTDIR => {}
            // A file that may not be executed may be followed by one that may.
            libc::EACCES => errno = libc::EACCES,
            other => return other,
        }
    }
    errno
}

/// Waits for a child, or looks whether it has ended.
pub(super) fn wait(pid: u32, block: bool) -> io::Result<Option<(ExitStatus, Usage)>> {
    let (mut status, mut usage) = (0, mem::MaybeUninit::<libc::rusage>::zeroed());
    let options = if block { 0 } else { libc::WNOHANG };
    loop {
        // SAFETY: both places are valid for writing.
        let ended = unsafe { libc::wait4(pid as libc::pid_t, &raw mut status, options, usage.as_mut_ptr()) };
        match ended {
            0 => return Ok(None),
            // SAFETY: zeroes are a valid rusage, and wait4 fills it.
            1.. => return Ok(Some((ExitStatus::from_raw(status), used(unsafe { usage.assume_init_ref() })))),
            _ => {}
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn used(usage: &libc::rusage) -> Usage {
    let duration = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    // Linux counts in units of 1,024 bytes, others in bytes.
    let unit = if cfg!(target_os = "linux") { 1024 } else { 1 };
    Usage {
        user: duration(usage.ru_utime),
        system: duration(usage.ru_stime),
        memory_max: usage.ru_maxrss as u64 * unit,
    }
}

/// Sends a signal to a process or to the group that it leads; no such process is no error.
pub(super) fn signal(pid: u32, group: bool, signal: i32) -> io::Result<()> {
    let target = if group { -(pid as libc::pid_t) } else { pid as libc::pid_t };
    // SAFETY: kill takes no pointers.
    if unsafe { libc::kill(target, signal) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ESRCH) { Ok(()) } else { Err(error) }
}

/// Makes orphaned descendants children of this process.
pub(super) fn become_subreaper() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    // SAFETY: prctl takes no pointers here.
    if unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
