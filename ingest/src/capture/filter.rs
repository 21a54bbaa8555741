//! The filter: a program for the kernel that picks the watched calls out of all others.

use libc::sock_filter;

use super::calls::{ARCHITECTURE, FOREIGN, WATCHED, When};

/// What the kernel does with a watched call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The task waits until the listener has answered.
    Notify,
    /// The task stops for its tracer.
    Trace,
}

const RET_ALLOW: u32 = 0x7fff_0000;
const RET_NOTIFY: u32 = 0x7fc0_0000;
const RET_TRACE: u32 = 0x7ff0_0000;
const RET_ERROR: u32 = 0x0005_0000;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const PROCESSOR: u32 = 4;
const ARGUMENTS: u32 = 16;
/// The bit of the x86-64 numbering with pointers of 32 bits.
const X32: u32 = 0x4000_0000;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const JUMP_BITS: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// The program for one action.
pub(super) fn program(action: Action) -> Vec<sock_filter> {
    let watch = match action {
        Action::Notify => RET_NOTIFY,
        Action::Trace => RET_TRACE,
    };
    let mut program = vec![load(PROCESSOR), jump(JUMP_EQUAL, ARCHITECTURE, 1, 0)];
    program.push(sock_filter { code: 0x05, jt: 0, jf: 0, k: 0 }); // to the other numberings, filled in below
    let to_foreign = program.len() - 1;
    program.push(load(NUMBER));
    if cfg!(target_arch = "x86_64") {
        program.extend([jump(JUMP_AT_LEAST, X32, 0, 1), ret(watch)]);
    }
    for (number, when) in WATCHED {
        let number = *number as u32;
        let action = if number == libc::SYS_io_uring_setup as u32 { ring(action) } else { watch };
        match when {
            When::Always => program.extend([jump(JUMP_EQUAL, number, 0, 1), ret(action)]),
            When::Bits { argument, mask } => program.extend([
                jump(JUMP_EQUAL, number, 0, 4),
                load(ARGUMENTS + 8 * argument + low_half()),
                jump(JUMP_BITS, *mask, 0, 1),
                ret(action),
                ret(RET_ALLOW),
            ]),
        }
    }
    program.push(ret(RET_ALLOW));
    program[to_foreign].k = (program.len() - to_foreign - 1) as u32;
    program.push(load(NUMBER));
    for number in FOREIGN {
        program.extend([jump(JUMP_EQUAL, *number, 0, 1), ret(watch)]);
    }
    program.push(ret(RET_ALLOW));
    program
}

/// A ring would let calls pass unseen, so it is refused: by whoever watches, who counts it, else by the kernel.
fn ring(action: Action) -> u32 {
    match action {
        Action::Notify => RET_NOTIFY,
        Action::Trace if cfg!(target_arch = "x86_64") => RET_TRACE,
        Action::Trace => RET_ERROR | libc::ENOSYS as u32,
    }
}

/// Where the lower half of a 64-bit argument stands.
fn low_half() -> u32 {
    if cfg!(target_endian = "little") { 0 } else { 4 }
}

fn load(offset: u32) -> sock_filter {
    sock_filter { code: LOAD, jt: 0, jf: 0, k: offset }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

fn ret(k: u32) -> sock_filter {
    sock_filter { code: RETURN, jt: 0, jf: 0, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program answers, by the rules of classic BPF.
    fn answer(program: &[sock_filter], architecture: u32, number: u32, argument: impl Fn(u32) -> u32) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let step = &program[at];
            at += 1;
            let taken = match step.code {
                LOAD => {
                    value = match step.k {
                        NUMBER => number,
                        PROCESSOR => architecture,
                        offset => argument((offset - ARGUMENTS) / 8),
                    };
                    continue;
                }
                RETURN => return step.k,
                0x05 => {
                    at += step.k as usize;
                    continue;
                }
                JUMP_EQUAL => value == step.k,
                JUMP_AT_LEAST => value >= step.k,
                JUMP_BITS => value & step.k != 0,
                other => panic!("{other}"),
            };
            at += usize::from(if taken { step.jt } else { step.jf });
        }
    }

    #[test]
    fn watched_calls_are_picked_out() {
        let program = program(Action::Notify);
        let native = |number: libc::c_long, argument: u32| answer(&program, ARCHITECTURE, number as u32, |_| argument);
        for (number, when) in WATCHED {
            assert_eq!(native(*number, u32::MAX), RET_NOTIFY, "{number}");
            let without = if *when == When::Always { RET_NOTIFY } else { RET_ALLOW };
            assert_eq!(native(*number, 0), without, "{number}");
        }
        for number in [libc::SYS_read, libc::SYS_write, libc::SYS_mmap, libc::SYS_sendmsg, libc::SYS_ioctl] {
            assert_eq!(native(number, u32::MAX), RET_ALLOW, "{number}");
        }
    }

    #[test]
    fn other_numberings_are_noticed() {
        let program = program(Action::Trace);
        assert_eq!(answer(&program, 0x4000_0003, FOREIGN[0], |_| 0), RET_TRACE);
        assert_eq!(answer(&program, 0x4000_0003, 4, |_| 0), RET_ALLOW);
        let ring = answer(&program, ARCHITECTURE, libc::SYS_io_uring_setup as u32, |_| 0);
        assert!(ring == RET_TRACE || ring == RET_ERROR | libc::ENOSYS as u32, "{ring:x}");
        #[cfg(target_arch = "x86_64")]
        assert_eq!(answer(&program, ARCHITECTURE, X32 | 2, |_| 0), RET_TRACE);
    }
}
