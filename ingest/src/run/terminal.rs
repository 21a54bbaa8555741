//! The terminal: a pseudo-terminal for the command where ours is one, and ours in raw mode meanwhile.

use std::fs::File;
use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::Sender;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::getpgrp;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{
    LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetpgrp, tcgetwinsize,
    tcsetattr, tcsetwinsize,
};

use super::control::Message;

/// A pseudo-terminal: what the command sees, and our end of it.
pub(super) struct Pseudo {
    /// Our end.
    pub(super) ours: OwnedFd,
    /// The command's.
    pub(super) theirs: OwnedFd,
}

impl Pseudo {
    /// A pseudo-terminal of the same modes and size as a terminal of ours.
    ///
    /// `raw` is whether ours will be raw: else it adds the carriage returns, and the command's must not.
    pub(super) fn like(terminal: impl AsFd, raw: bool) -> io::Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let theirs = ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        let mut modes = tcgetattr(&terminal)?;
        modes.output_modes.set(OutputModes::OPOST, raw && modes.output_modes.contains(OutputModes::OPOST));
        tcsetattr(&theirs, OptionalActions::Now, &modes)?;
        resize(&ours, &terminal);
        Ok(Self { ours, theirs })
    }
}

/// Gives a pseudo-terminal the size of a terminal; the kernel tells the command.
pub(super) fn resize(ours: impl AsFd, terminal: impl AsFd) {
    // A terminal without a size is none whose size could change.
    if let Ok(size) = tcgetwinsize(terminal) {
        tcsetwinsize(ours, size).ok();
    }
}

/// Whether a terminal is ours to read from and to change: that of the foreground group.
pub(super) fn is_foreground(terminal: impl AsFd) -> bool {
    isatty(&terminal) && tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp())
}

/// A terminal in raw mode, restored when this is dropped, also by a panic.
pub(super) struct Raw<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Raw<'a> {
    pub(super) fn enter(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let raw = Self { terminal, before };
        raw.resume()?;
        Ok(raw)
    }

    /// The terminal.
    pub(super) fn terminal(&self) -> &File {
        self.terminal
    }

    /// Makes it raw again.
    pub(super) fn resume(&self) -> io::Result<()> {
        let mut modes = self.before.clone();
        modes.make_raw();
        Ok(tcsetattr(self.terminal, OptionalActions::Now, &modes)?)
    }

    /// Makes it what it was.
    pub(super) fn restore(&self) {
        // A terminal that is gone needs no modes.
        tcsetattr(self.terminal, OptionalActions::Now, &self.before).ok();
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Passes what is typed to the command, until `stopped` closes; tells of the interrupt key.
pub(super) fn pass_typed(raw: &Raw<'_>, ours: &File, stopped: &PipeReader, sender: &Sender<Message>) {
    let mut buffer = [0; 4096];
    let mut terminal = raw.terminal;
    loop {
        let mut ready = [PollFd::new(raw.terminal, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut ready, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) if !ready[1].revents().is_empty() => return,
            Ok(_) => {}
        }
        let n = match terminal.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => n,
            Err(error) if is_passing(&error) => continue,
            Err(_) => return,
        };
        let mut target = ours;
        if target.write_all(&buffer[..n]).is_err() {
            return;
        }
        // Nobody listens any more when the command has ended.
        sender.send(pressed(&buffer[..n], ours)).ok();
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

/// What the command's terminal makes of what was typed: it may have given the keys another meaning.
fn pressed(typed: &[u8], ours: &File) -> Message {
    let Ok(modes) = tcgetattr(ours) else { return Message::Typed };
    if !modes.local_modes.contains(LocalModes::ISIG) {
        return Message::Typed;
    }
    let is_key = |code| {
        let key = modes.special_codes[code];
        key != 0 && typed.contains(&key)
    };
    if is_key(SpecialCodeIndex::VINTR) {
        Message::InterruptKey
    } else if is_key(SpecialCodeIndex::VSUSP) {
        Message::SuspendKey
    } else {
        Message::Typed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use rustix::termios::Winsize;

    /// A terminal to try things on: the end of a program, and that of its user.
    fn terminal() -> (File, File) {
        let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&user).expect("granted");
        unlockpt(&user).expect("unlocked");
        let program = ioctl_tiocgptpeer(&user, OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("its other end");
        (File::from(program), File::from(user))
    }

    #[test]
    fn a_terminal_is_restored_also_by_a_panic() {
        let (ours, _user) = terminal();
        let is_cooked = || tcgetattr(&ours).expect("modes").local_modes.contains(LocalModes::ICANON | LocalModes::ECHO);
        assert!(is_cooked());
        let crash = std::panic::catch_unwind(|| {
            let _raw = Raw::enter(&ours).expect("raw");
            assert!(!is_cooked());
            std::panic::resume_unwind(Box::new("a bug"));
        });
        assert!(crash.is_err() && is_cooked());
    }

    #[test]
    fn keys_mean_what_the_command_lets_them_mean() {
        let (theirs, ours) = terminal();
        assert!(matches!(pressed(b"\x03", &ours), Message::InterruptKey));
        assert!(matches!(pressed(b"\x1a", &ours), Message::SuspendKey));
        assert!(matches!(pressed(b"q", &ours), Message::Typed));
        // As editors do.
        let mut modes = tcgetattr(&theirs).expect("modes");
        modes.make_raw();
        tcsetattr(&theirs, OptionalActions::Now, &modes).expect("raw");
        assert!(matches!(pressed(b"\x03", &ours), Message::Typed));
    }

    #[test]
    fn a_pseudo_terminal_is_like_the_terminal_that_it_stands_for() {
        let (terminal, _user) = terminal();
        let size = |rows, columns| Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size(33, 77)).expect("a size");
        let shared = Pseudo::like(&terminal, false).expect("a terminal");
        assert_eq!(tcgetwinsize(&shared.theirs).expect("a size").ws_col, 77);
        let post = |fd: &OwnedFd| tcgetattr(fd).expect("modes").output_modes.contains(OutputModes::OPOST);
        assert!(!post(&shared.theirs), "one of the two adds carriage returns");
        assert!(post(&Pseudo::like(&terminal, true).expect("a terminal").theirs));
        tcsetwinsize(&terminal, size(10, 20)).expect("a size");
        resize(&shared.ours, &terminal);
        assert_eq!(tcgetwinsize(&shared.theirs).expect("a size").ws_row, 10);
    }
}
