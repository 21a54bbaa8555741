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

#[cfg(target_os = "linux")]
use super::filter::Action;
use super::launch::{Exit, Group, Usage};

/// Where a start failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No process, folder, stream or group as wanted.
    Process,
    /// It cannot be observed as wanted.
    Watch,
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
    gate: Option<Gate>,
    /// What the pointers point into.
    _texts: [Vec<CString>; 2],
}

/// What a child passes before its program: it puts the filter on, opens the probe, and waits to be let go.
#[cfg(target_os = "linux")]
pub(super) struct Gate {
    /// The other end is the supervisor's.
    pub(super) socket: OwnedFd,
    pub(super) filter: Vec<libc::sock_filter>,
    pub(super) action: Action,
    /// A path that is not there, which the supervisor must see.
    pub(super) probe: CString,
}

/// Elsewhere nothing stands before a program.
#[cfg(not(target_os = "linux"))]
pub(super) enum Gate {}

/// The byte that lets a child go on.
#[cfg(target_os = "linux")]
pub(super) const GO: u8 = 1;

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
            gate: None,
            _texts: [argv, env],
        })
    }
}

impl Image {
    /// From now on its child passes this gate.
    pub(super) fn set_gate(&mut self, gate: Option<Gate>) {
        self.gate = gate;
    }

    /// Whether a child may use our memory, so that we wait for it: a tracer has to hear of it before it goes on.
    fn can_share_memory(&self) -> bool {
        #[cfg(target_os = "linux")]
        return self.gate.as_ref().is_none_or(|gate| gate.action == Action::Notify);
        #[cfg(not(target_os = "linux"))]
        return false;
    }
}

/// Starts a program; its process id, once the program runs. `forked` is told the id, of a child that is to be traced as
/// soon as there is one; if the start fails then, the caller must wait for that process.
pub(super) fn spawn(image: &Image, forked: &mut dyn FnMut(u32)) -> Result<u32, (Stage, io::Error)> {
    let process = |error: io::Error| (Stage::Process, error);
    let (mut report, ours) = io::pipe().map_err(process)?;
    let mut shell_argv = image.shell_argv.clone();
    let parent = rustix::process::getpid().as_raw_nonzero().get();
    // Handlers of the caller must not run in the child, which has other pipes.
    let mask = block_signals().map_err(process)?;
    let report_to = ours.as_fd().as_raw_fd();
    let mut child = Child { image, shell_argv: &mut shell_argv, parent, mask: &mask, report_to };
    let pid = if image.can_share_memory() { child.share() } else { child.fork() };
    let fork_error = io::Error::last_os_error();
    restore_signals(&mask);
    drop(ours);
    if pid < 0 {
        return Err(process(fork_error));
    }
    let pid = pid as u32;
    forked(pid);
    let mut message = Vec::new();
    io::Read::read_to_end(&mut report, &mut message).map_err(process)?;
    let [stage, low, high] = message[..] else { return Ok(pid) };
    let stage = [Stage::Exec, Stage::Watch].into_iter().find(|s| *s as u8 == stage).unwrap_or(Stage::Process);
    Err((stage, io::Error::from_raw_os_error(u16::from_ne_bytes([low, high]) as i32)))
}

/// A child that is about to become a program.
struct Child<'a> {
    image: &'a Image,
    shell_argv: &'a mut [*const c_char],
    parent: i32,
    /// The signals that the program is to have blocked.
    mask: &'a libc::sigset_t,
    /// Where it says why it could not.
    report_to: RawFd,
}

impl Child<'_> {
    /// Makes the child as a copy of this process; its id, or a negative number and the error of the system.
    fn fork(&mut self) -> libc::pid_t {
        // SAFETY: the child only calls functions that are safe after fork, and ends by exec or _exit.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: this is the child.
            unsafe { self.live() };
        }
        pid
    }

    /// As `fork`, but the child uses the memory of this process, whose calling thread waits until it has become its
    /// program or has ended. To copy the tables of the memory, and then every page that is written to, takes longer
    /// than all else at a start.
    #[cfg(target_os = "linux")]
    fn share(&mut self) -> libc::pid_t {
        /// More than a few calls with small frames need; no handler of a signal runs on it.
        const STACK_BYTES: usize = 64 * 1024;
        extern "C" fn enter(child: *mut libc::c_void) -> c_int {
            // SAFETY: this is the child, and what it was given outlives it, as its parent waits.
            unsafe { (*child.cast::<Child<'_>>()).live() }
        }
        let mut stack: Vec<u128> = Vec::with_capacity(STACK_BYTES / size_of::<u128>());
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: the stack grows down from the end of its room and lives until the child has left it. The child writes
        // to no other memory than its stack, the arguments for the shell and the error number of this waiting thread.
        unsafe {
            let top = stack.as_mut_ptr().add(stack.capacity());
            libc::clone(enter, top.cast(), flags, ptr::from_mut(self).cast())
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn share(&mut self) -> libc::pid_t {
        self.fork()
    }

    /// Becomes the program, or says why not and ends.
    ///
    /// # Safety
    /// Only in the child, with all signals blocked; every pointer of the image must be valid.
    unsafe fn live(&mut self) -> ! {
        // SAFETY: as above.
        let (stage, errno) = unsafe { become_program(self.image, self.shell_argv, self.parent, self.mask) };
        let message = [stage as u8, errno.to_ne_bytes()[0], errno.to_ne_bytes()[1]];
        // SAFETY: plain system calls on a valid buffer; the parent reads what is written before the end.
        unsafe {
            libc::write(self.report_to, message.as_ptr().cast(), message.len());
            libc::_exit(127)
        }
    }
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
/// Only in a child that was made for it: it changes the whole process.
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
        if let Some(gate) = &image.gate
            && let Err(errno) = pass_gate(gate)
        {
            return (Stage::Watch, errno);
        }
        (Stage::Exec, execute(image, shell_argv))
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
pub(super) fn wait(pid: u32, block: bool) -> io::Result<Option<Exit>> {
    let options = if block { 0 } else { libc::WNOHANG };
    Ok(wait_for(pid as libc::pid_t, options)?.map(|(_, status, usage)| exit(status, &usage)))
}

/// The next change of a process; `None` if there is none and the options say not to wait.
fn wait_for(pid: libc::pid_t, options: c_int) -> io::Result<Option<(u32, c_int, libc::rusage)>> {
    // SAFETY: zeroes are a valid rusage.
    let (mut status, mut usage) = (0, unsafe { mem::zeroed() });
    loop {
        // SAFETY: both places are valid for writing.
        match unsafe { libc::wait4(pid, &raw mut status, options, &raw mut usage) } {
            0 => return Ok(None),
            pid @ 1.. => return Ok(Some((pid as u32, status, usage))),
            _ => {}
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn exit(status: c_int, usage: &libc::rusage) -> Exit {
    Exit { status: ExitStatus::from_raw(status), usage: used(usage) }
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

/// The version of Landlock that the kernel has; 0 for none.
#[cfg(target_os = "linux")]
pub(super) fn landlock_version() -> libc::c_long {
    const VERSION: libc::c_uint = 1;
    // SAFETY: without attributes the call takes no pointer and answers with the version.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<u8>(), 0usize, VERSION) }.max(0)
}

/// From now on this thread, and whatever it starts, has these rights to files only below some folders; for ever.
#[cfg(target_os = "linux")]
pub(super) fn restrict(rights: u64, folders: &[OwnedFd]) -> io::Result<()> {
    use std::os::fd::FromRawFd as _;

    #[repr(C)]
    struct Ruleset {
        handled: u64,
    }
    #[repr(C, packed)]
    struct Beneath {
        allowed: u64,
        parent: c_int,
    }
    const PATH_BENEATH: c_int = 1;
    let check = |code: libc::c_long| if code < 0 { Err(io::Error::last_os_error()) } else { Ok(code) };
    let attributes = Ruleset { handled: rights };
    // SAFETY: the attributes live through the call, which is told their size.
    let ruleset = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, ptr::from_ref(&attributes), size_of::<Ruleset>(), 0)
    };
    // SAFETY: the call made this descriptor, and nobody else has it.
    let ruleset = unsafe { OwnedFd::from_raw_fd(check(ruleset)? as RawFd) };
    for folder in folders {
        let rule = Beneath { allowed: rights, parent: folder.as_raw_fd() };
        // SAFETY: the rule lives through the call; both descriptors are open.
        let added = unsafe {
            libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), PATH_BENEATH, ptr::from_ref(&rule), 0)
        };
        check(added)?;
    }
    // SAFETY: neither call takes a pointer; both act on this thread alone.
    unsafe {
        check(libc::c_long::from(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))?;
        check(libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0)).map(drop)
    }
}

#[cfg(target_os = "linux")]
use watched::pass_gate;
#[cfg(target_os = "linux")]
pub(super) use watched::{
    Event, answer_call, interrupt, leave_stopped, next_event, read_memory, receive_call, receive_descriptor, resume,
    seize, send_byte, skip_call, traced_call, wake_in_turn,
};

/// Passes no gate, as there is none.
#[cfg(not(target_os = "linux"))]
unsafe fn pass_gate(gate: &Gate) -> Result<(), c_int> {
    match *gate {}
}

/// What only Linux has: filters, listeners, tracers, and the memory of others.
#[cfg(target_os = "linux")]
mod watched {
    use std::os::fd::FromRawFd as _;
    use std::os::unix::net::UnixStream;
    use std::os::unix::thread::JoinHandleExt as _;
    use std::sync::Once;
    use std::thread::JoinHandle;

    use super::super::calls::Call;
    use super::super::observer::Answer;
    use super::*;

    /// Puts the filter on, opens the probe, and waits to be let go; the error number says what failed.
    ///
    /// # Safety
    /// Only in the child of a fork: the filter cannot be taken off again.
    pub(super) unsafe fn pass_gate(gate: &Gate) -> Result<(), c_int> {
        let errno = || io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
        let socket = gate.socket.as_raw_fd();
        let program = libc::sock_fprog { len: gate.filter.len() as u16, filter: gate.filter.as_ptr().cast_mut() };
        // SAFETY: system calls on valid pointers into `gate`; the kernel only reads the program.
        unsafe {
            if gate.action == Action::Trace {
                // Not before the tracer is there: without one the kernel refuses every watched call.
                wait_for_go(socket)?;
            }
            if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
                return Err(errno());
            }
            let install = |flags: libc::c_ulong| {
                libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
            };
            match gate.action {
                Action::Notify => {
                    // Without the second flag every signal that a task handles would repeat its call.
                    let both = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
                    let mut listener = install(both);
                    if listener < 0 && errno() == libc::EINVAL {
                        listener = install(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
                    }
                    if listener < 0 {
                        return Err(errno());
                    }
                    send_descriptor(socket, listener as RawFd)?;
                    libc::close(listener as RawFd);
                }
                Action::Trace if install(0) < 0 => return Err(errno()),
                Action::Trace => {}
            }
            libc::open(gate.probe.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            wait_for_go(socket)
        }
    }

    /// Waits for the byte that lets a child go on.
    ///
    /// # Safety
    /// Only in the child of a fork, with an open socket.
    unsafe fn wait_for_go(socket: RawFd) -> Result<(), c_int> {
        let mut byte = 0_u8;
        // SAFETY: the buffer is one byte, as is said.
        let n = unsafe { libc::read(socket, (&raw mut byte).cast(), 1) };
        if n == 1 && byte == GO { Ok(()) } else { Err(libc::EPERM) }
    }

    /// The bytes of a control message that carries one descriptor, aligned as its header is.
    #[repr(C)]
    union Control {
        header: libc::cmsghdr,
        bytes: [u8; 64],
    }

    /// A message of one byte with room for one descriptor.
    fn message(byte: &mut u8, part: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
        part.iov_base = ptr::from_mut(byte).cast();
        part.iov_len = 1;
        // SAFETY: a header of zeroes is valid and says that there is nothing.
        let mut header: libc::msghdr = unsafe { mem::zeroed() };
        header.msg_iov = part;
        header.msg_iovlen = 1;
        header.msg_control = ptr::from_mut(control).cast();
        // SAFETY: CMSG_SPACE only computes.
        header.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<RawFd>() as u32) } as _;
        header
    }

    /// Passes a descriptor to the supervisor.
    ///
    /// # Safety
    /// Safe after fork; both descriptors must be open.
    unsafe fn send_descriptor(socket: RawFd, descriptor: RawFd) -> Result<(), c_int> {
        let (mut byte, mut control) = (0_u8, Control { bytes: [0; 64] });
        let mut part = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        let header = message(&mut byte, &mut part, &mut control);
        // SAFETY: the control buffer has room for one descriptor, and all parts outlive the call.
        unsafe {
            let first = libc::CMSG_FIRSTHDR(&raw const header);
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = libc::SCM_RIGHTS;
            (*first).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
            ptr::write_unaligned(libc::CMSG_DATA(first).cast(), descriptor);
            if libc::sendmsg(socket, &raw const header, 0) == 1 {
                return Ok(());
            }
        }
        Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL))
    }

    /// Takes the descriptor that a child passes.
    pub(in super::super) fn receive_descriptor(socket: &UnixStream) -> io::Result<OwnedFd> {
        let (mut byte, mut control) = (0_u8, Control { bytes: [0; 64] });
        let mut part = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        let mut header = message(&mut byte, &mut part, &mut control);
        // SAFETY: all parts outlive the call; the control message is read only if it is there and of our kind.
        unsafe {
            let n = libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC);
            if n < 0 {
                return Err(io::Error::last_os_error());
            }
            let first = libc::CMSG_FIRSTHDR(&raw const header);
            if n == 1
                && !first.is_null()
                && (*first).cmsg_level == libc::SOL_SOCKET
                && (*first).cmsg_type == libc::SCM_RIGHTS
            {
                // The kernel made this descriptor for us, so nobody else owns it.
                return Ok(OwnedFd::from_raw_fd(ptr::read_unaligned(libc::CMSG_DATA(first).cast())));
            }
        }
        Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel gives no listener for system calls"))
    }

    /// Sends one byte, without a signal if nobody is there.
    pub(in super::super) fn send_byte(socket: &UnixStream, byte: u8) -> io::Result<()> {
        // SAFETY: the buffer is one byte, as is said.
        let n = unsafe { libc::send(socket.as_raw_fd(), (&raw const byte).cast(), 1, libc::MSG_NOSIGNAL) };
        if n == 1 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Lets the listener and a task wake each other on one processor; kernels before 6.6 cannot.
    pub(in super::super) fn wake_in_turn(listener: &OwnedFd) {
        const SYNC_WAKE_UP: libc::c_ulong = 1;
        // SAFETY: this request takes a number.
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
    }

    /// Makes a thread that waits in a system call return from it, with `EINTR`.
    pub(in super::super) fn interrupt<T>(thread: &JoinHandle<T>) {
        extern "C" fn nothing(_: c_int) {}
        static HANDLER: Once = Once::new();
        // Nobody else uses it, and a command that is started gets its default back.
        let signal = libc::SIGRTMIN() + 5;
        // SAFETY: zeroes are an empty mask without flags, above all not `SA_RESTART`; the handler does nothing.
        HANDLER.call_once(|| unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = nothing as extern "C" fn(c_int) as libc::sighandler_t;
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        });
        // SAFETY: a thread that was not joined keeps its name, also after its end.
        unsafe { libc::pthread_kill(thread.as_pthread_t(), signal) };
    }

    /// Takes the next call that waits, and its id. Waits for one; see `interrupt`.
    pub(in super::super) fn receive_call(listener: &OwnedFd) -> io::Result<(Call, u64)> {
        /// The kernel wants zeroes in all that it fills, which may grow in later versions.
        #[repr(C)]
        union Room {
            notification: libc::seccomp_notif,
            bytes: [u8; 256],
        }
        let mut room = Room { bytes: [0; 256] };
        // SAFETY: the room is larger than what the kernel writes; zeroes are a valid notification.
        let notification = unsafe {
            if libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut room) != 0 {
                return Err(io::Error::last_os_error());
            }
            room.notification
        };
        let data = notification.data;
        let call = Call {
            task: notification.pid as i32,
            architecture: data.arch,
            number: data.nr.into(),
            arguments: data.args,
        };
        Ok((call, notification.id))
    }

    /// Answers a call that waits.
    pub(in super::super) fn answer_call(listener: &OwnedFd, id: u64, answer: Answer) -> io::Result<()> {
        let (error, flags) = match answer {
            Answer::Continue => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
            Answer::NotThere => (-libc::ENOSYS, 0),
        };
        let mut response = libc::seccomp_notif_resp { id, val: 0, error, flags };
        // SAFETY: the kernel reads one response.
        if unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Reads the memory of another process; fewer bytes if it ends at a page.
    pub(in super::super) fn read_memory(task: i32, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let remote =
            libc::iovec { iov_base: ptr::with_exposed_provenance_mut(address as usize), iov_len: buffer.len() };
        // SAFETY: the kernel writes into `buffer` only, at most its length, and checks the other address.
        let n = unsafe { libc::process_vm_readv(task, &raw const local, 1, &raw const remote, 1, 0) };
        if n < 0 { Err(io::Error::last_os_error()) } else { Ok(n as usize) }
    }

    /// What a tracer is told of a task.
    pub(in super::super) enum Event {
        /// It is about to make a watched call.
        Call,
        /// It is stopped as a whole, as by the key for suspending.
        Stopped,
        /// It goes on with this signal, or with none (0).
        Signal(i32),
        /// It has ended.
        Ended(Exit),
    }

    /// Becomes the tracer of a process and of all that it will start; they die with this thread.
    pub(in super::super) fn seize(pid: u32) -> io::Result<()> {
        let options = libc::PTRACE_O_TRACESECCOMP
            | libc::PTRACE_O_TRACECLONE
            | libc::PTRACE_O_TRACEFORK
            | libc::PTRACE_O_TRACEVFORK
            | libc::PTRACE_O_EXITKILL;
        ptrace(libc::PTRACE_SEIZE, pid, options as usize).map(drop)
    }

    /// A request that takes a number.
    fn ptrace(request: libc::c_uint, pid: u32, data: usize) -> io::Result<libc::c_long> {
        let none = ptr::null_mut::<libc::c_void>();
        // SAFETY: the requests that are made here read and write no memory of ours.
        let result = unsafe { libc::ptrace(request, pid as libc::pid_t, none, data) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
    }

    /// The next event of any task that this thread traces; `None` if there is none now and it does not wait.
    pub(in super::super) fn next_event(block: bool) -> io::Result<Option<(u32, Event)>> {
        // Children of other threads are none of this one's.
        let options = libc::__WALL | libc::__WNOTHREAD | if block { 0 } else { libc::WNOHANG };
        let Some((task, status, usage)) = wait_for(-1, options)? else { return Ok(None) };
        if !libc::WIFSTOPPED(status) {
            return Ok(Some((task, Event::Ended(exit(status, &usage)))));
        }
        let signal = libc::WSTOPSIG(status);
        let event = match status >> 16 {
            libc::PTRACE_EVENT_SECCOMP => Event::Call,
            libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => Event::Stopped,
            0 => Event::Signal(signal),
            _ => Event::Signal(0),
        };
        Ok(Some((task, event)))
    }

    /// The call at which a task is stopped.
    pub(in super::super) fn traced_call(task: u32) -> io::Result<Call> {
        // SAFETY: zeroes are a valid description.
        let mut info: libc::ptrace_syscall_info = unsafe { mem::zeroed() };
        // SAFETY: the kernel writes at most as many bytes as is said.
        let n = unsafe {
            let size = size_of::<libc::ptrace_syscall_info>();
            libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, task as libc::pid_t, size, &raw mut info)
        };
        if n <= 0 || info.op != libc::PTRACE_SYSCALL_INFO_SECCOMP {
            return Err(io::Error::other("the kernel does not describe system calls"));
        }
        // SAFETY: for this kind the kernel fills this member.
        let seccomp = unsafe { info.u.seccomp };
        Ok(Call {
            task: task as i32,
            architecture: info.arch,
            number: seccomp.nr as libc::c_long,
            arguments: seccomp.args,
        })
    }

    /// Lets a stopped task go on with a signal, or with none (0); one that was killed meanwhile is no error.
    pub(in super::super) fn resume(task: u32, signal: i32) {
        ptrace(libc::PTRACE_CONT, task, signal as usize).ok();
    }

    /// Makes the call at which a task is stopped fail as one that the kernel does not have.
    #[cfg(target_arch = "x86_64")]
    pub(in super::super) fn skip_call(task: u32) {
        /// Where the number of the call stands: the sixteenth register of `struct user_regs_struct`.
        const NUMBER: usize = 15 * size_of::<u64>();
        // SAFETY: the offset is inside of the registers; without a call the result stays ENOSYS, set on entry.
        unsafe { libc::ptrace(libc::PTRACE_POKEUSER, task as libc::pid_t, NUMBER, -1_i64) };
    }

    /// Elsewhere the filter refuses such calls by itself.
    #[cfg(not(target_arch = "x86_64"))]
    pub(in super::super) fn skip_call(_: u32) {}

    /// Leaves a task stopped until it is continued from outside.
    pub(in super::super) fn leave_stopped(task: u32) {
        ptrace(libc::PTRACE_LISTEN, task, 0).ok();
    }
}
