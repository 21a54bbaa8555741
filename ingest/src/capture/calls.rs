//! The system calls that are watched, and what each of them asks for.

use libc::c_long;

/// The processor whose system calls are understood, as the kernel numbers it; 0: none.
#[cfg(target_arch = "x86_64")]
pub(super) const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
pub(super) const ARCHITECTURE: u32 = 0xC000_00B7;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) const ARCHITECTURE: u32 = 0;

/// A system call that a task is about to make.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// The thread, as this process numbers it; 0 if it cannot see it.
    pub(super) task: i32,
    pub(super) architecture: u32,
    pub(super) number: c_long,
    pub(super) arguments: [u64; 6],
}

/// A path in the memory of a task, relative to one of its open folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) folder: i32,
    pub(super) address: u64,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flags {
    /// The flags themselves.
    Known(u64),
    /// They stand in the memory of the task (`openat2`).
    In(u64),
}

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Open {
        path: At,
        flags: Flags,
    },
    Rename {
        from: At,
        to: At,
        exchange: bool,
    },
    Link {
        from: At,
        to: At,
    },
    Symlink {
        to: At,
    },
    Unlink {
        path: At,
    },
    Truncate {
        path: At,
    },
    Execute {
        path: At,
        argv: u64,
        flags: u64,
    },
    Connect {
        address: u64,
        length: u64,
    },
    /// The folder to which relative paths belong.
    ChangeFolder,
    /// Another root, mount or namespace: paths may mean something else from now on.
    ChangeRoot,
    /// Another listener for system calls.
    Listen,
    /// A queue of operations that no filter sees.
    Ring,
    /// A file by its handle instead of a path.
    ByHandle,
    /// A call of another processor's numbering.
    Foreign,
}

/// When a call is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// If these bits of this argument are set.
    Bits {
        argument: u32,
        mask: u32,
    },
}

const AT_FDCWD: i32 = libc::AT_FDCWD;
const RENAME_EXCHANGE: u64 = 2;
const ALWAYS: When = When::Always;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER` in the flags of `seccomp`.
const NEW_LISTENER: When = When::Bits { argument: 1, mask: 8 };
/// `CLONE_NEWNS` in the flags of `clone`.
const NEW_MOUNTS: When = When::Bits { argument: 0, mask: 0x2_0000 };

/// The calls of the native numbering, most frequent first.
pub(super) const WATCHED: &[(c_long, When)] = &[
    (libc::SYS_openat, ALWAYS),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, ALWAYS),
    (libc::SYS_openat2, ALWAYS),
    (libc::SYS_execve, ALWAYS),
    (libc::SYS_unlinkat, ALWAYS),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, ALWAYS),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rename, ALWAYS),
    (libc::SYS_renameat, ALWAYS),
    (libc::SYS_renameat2, ALWAYS),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, ALWAYS),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_link, ALWAYS),
    (libc::SYS_linkat, ALWAYS),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_symlink, ALWAYS),
    (libc::SYS_symlinkat, ALWAYS),
    (libc::SYS_truncate, ALWAYS),
    (libc::SYS_execveat, ALWAYS),
    (libc::SYS_connect, ALWAYS),
    (libc::SYS_chdir, ALWAYS),
    (libc::SYS_fchdir, ALWAYS),
    (libc::SYS_chroot, ALWAYS),
    (libc::SYS_pivot_root, ALWAYS),
    (libc::SYS_unshare, ALWAYS),
    (libc::SYS_setns, ALWAYS),
    (libc::SYS_mount, ALWAYS),
    (libc::SYS_move_mount, ALWAYS),
    (libc::SYS_clone, NEW_MOUNTS),
    (libc::SYS_seccomp, NEW_LISTENER),
    (libc::SYS_io_uring_setup, ALWAYS),
    (libc::SYS_open_by_handle_at, ALWAYS),
];

/// The numbers of `open`, `openat` and `execve` in the 32-bit numbering of the same processor.
pub(super) const FOREIGN: &[u32] = if cfg!(target_arch = "x86_64") { &[5, 295, 11] } else { &[5, 322, 11] };

/// What a watched call asks for; `None` for one that is not watched.
pub(super) fn decode(call: &Call) -> Option<Request> {
    if call.architecture != ARCHITECTURE {
        return Some(Request::Foreign);
    }
    let a = call.arguments;
    // The kernel takes the lower half of a descriptor.
    let at = |folder: u64, address: u64| At { folder: folder as i32, address };
    let here = |address: u64| At { folder: AT_FDCWD, address };
    let known = |flags: u64| Flags::Known(flags & 0xFFFF_FFFF);
    Some(match call.number {
        libc::SYS_openat => Request::Open { path: at(a[0], a[1]), flags: known(a[2]) },
        libc::SYS_openat2 => Request::Open { path: at(a[0], a[1]), flags: Flags::In(a[2]) },
        libc::SYS_execve => Request::Execute { path: here(a[0]), argv: a[1], flags: 0 },
        libc::SYS_execveat => Request::Execute { path: at(a[0], a[1]), argv: a[2], flags: a[4] },
        libc::SYS_unlinkat => Request::Unlink { path: at(a[0], a[1]) },
        libc::SYS_renameat => Request::Rename { from: at(a[0], a[1]), to: at(a[2], a[3]), exchange: false },
        libc::SYS_renameat2 => {
            let exchange = a[4] & RENAME_EXCHANGE != 0;
            Request::Rename { from: at(a[0], a[1]), to: at(a[2], a[3]), exchange }
        }
        libc::SYS_linkat => Request::Link { from: at(a[0], a[1]), to: at(a[2], a[3]) },
        libc::SYS_symlinkat => Request::Symlink { to: at(a[1], a[2]) },
        libc::SYS_truncate => Request::Truncate { path: here(a[0]) },
        libc::SYS_connect => Request::Connect { address: a[1], length: a[2] },
        libc::SYS_chdir | libc::SYS_fchdir => Request::ChangeFolder,
        libc::SYS_chroot
        | libc::SYS_pivot_root
        | libc::SYS_unshare
        | libc::SYS_setns
        | libc::SYS_mount
        | libc::SYS_move_mount
        | libc::SYS_clone => Request::ChangeRoot,
        libc::SYS_seccomp => Request::Listen,
        libc::SYS_io_uring_setup => Request::Ring,
        libc::SYS_open_by_handle_at => Request::ByHandle,
        number => return decode_old(number, a),
    })
}

/// Calls that younger processors do not have.
#[cfg(target_arch = "x86_64")]
fn decode_old(number: c_long, a: [u64; 6]) -> Option<Request> {
    /// The bit of the numbering with pointers of 32 bits.
    const X32: c_long = 0x4000_0000;
    let here = |address: u64| At { folder: AT_FDCWD, address };
    Some(match number {
        libc::SYS_open => Request::Open { path: here(a[0]), flags: Flags::Known(a[1] & 0xFFFF_FFFF) },
        libc::SYS_creat => {
            let flags = Flags::Known((libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC) as u64);
            Request::Open { path: here(a[0]), flags }
        }
        libc::SYS_unlink => Request::Unlink { path: here(a[0]) },
        libc::SYS_rename => Request::Rename { from: here(a[0]), to: here(a[1]), exchange: false },
        libc::SYS_link => Request::Link { from: here(a[0]), to: here(a[1]) },
        libc::SYS_symlink => Request::Symlink { to: here(a[1]) },
        number if number & X32 != 0 => Request::Foreign,
        _ => return None,
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn decode_old(_: c_long, _: [u64; 6]) -> Option<Request> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: c_long, arguments: [u64; 6]) -> Call {
        Call { task: 1, architecture: ARCHITECTURE, number, arguments }
    }

    #[test]
    fn every_watched_call_is_understood() {
        for (number, _) in WATCHED {
            assert!(decode(&call(*number, [0; 6])).is_some(), "{number}");
        }
        assert_eq!(decode(&call(libc::SYS_read, [0; 6])), None);
    }

    #[test]
    fn arguments_are_where_the_kernel_has_them() {
        let folder = u64::MAX << 32 | 7;
        let path = At { folder: 7, address: 2 };
        assert_eq!(
            decode(&call(libc::SYS_openat, [folder, 2, 577, 0o644, 0, 0])),
            Some(Request::Open { path, flags: Flags::Known(577) })
        );
        assert_eq!(
            decode(&call(libc::SYS_renameat2, [7, 2, 8, 4, RENAME_EXCHANGE, 0])),
            Some(Request::Rename { from: path, to: At { folder: 8, address: 4 }, exchange: true })
        );
        let foreign = Call { architecture: 0x4000_0003, ..call(libc::SYS_openat, [0; 6]) };
        assert_eq!(decode(&foreign), Some(Request::Foreign));
    }
}
