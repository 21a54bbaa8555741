//! The one way out: everything a command says goes through here, so that a closed pipe is an error and not a panic.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the standard streams are connected to.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    /// Whether standard output is a terminal.
    pub(crate) out: bool,
    /// Whether standard error is a terminal.
    pub(crate) err: bool,
    /// Whether to use bold and dim on standard output.
    pub(crate) color: bool,
    /// Columns of the terminal on standard output.
    pub(crate) width: Option<usize>,
    /// Whether anything was written to standard output.
    answered: Arc<AtomicBool>,
}

#[expect(clippy::unused_self, reason = "nothing else may write to the streams, so writing belongs to their owner")]
impl Terminal {
    /// Looks at the standard streams; `no_color` is whether the environment asks for plain text.
    pub(crate) fn look(no_color: bool) -> Self {
        let out = io::stdout().is_terminal();
        let width = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
        Self {
            out,
            err: io::stderr().is_terminal(),
            color: out && !no_color,
            width: width.filter(|width| out && *width > 0),
            answered: Arc::default(),
        }
    }

    /// Writes lines to standard output.
    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        self.answered.store(true, Ordering::Relaxed);
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// Writes bytes to standard output as they are.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.answered.store(true, Ordering::Relaxed);
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Whether anything was written to standard output.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Writes a line to standard error; that nobody reads it is no failure.
    pub(crate) fn tell(&self, text: &str) {
        let mut err = io::stderr().lock();
        err.write_all(format!("{}\n", text.trim_end()).as_bytes()).ok();
    }

    /// Writes a remark to standard error.
    pub(crate) fn note(&self, text: &str) {
        self.tell(&format!("note: {text}"));
    }

    /// Text made bold on a terminal.
    pub(crate) fn bold(&self, text: &str) -> String {
        if self.color { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Text made dim on a terminal.
    pub(crate) fn dim(&self, text: &str) -> String {
        if self.color { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }
}
