//! The keeper: a small process that ends what a run has left when its runner was killed.
//!
//! The kernel ends the command itself with its runner, but not what the command has started.

use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::process;

/// The word by which the program around a run is told to be a keeper; the id of the run follows.
pub const KEEPER_COMMAND: &str = "keep-watch";
/// What a runner says that lives to see the end of its run.
const DISMISSED: u8 = b'.';

/// A keeper that waits for this process to end.
#[derive(Debug)]
pub(crate) struct Keeper {
    child: Child,
    /// Closes when this process ends, in whatever way.
    line: Option<ChildStdin>,
}

impl Keeper {
    /// Starts a keeper. It has no part in the terminal, the environment or the folder of this process.
    pub(crate) fn start(program: &Path, run: &str) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args([KEEPER_COMMAND, run]).env_clear().current_dir("/").process_group(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let line = child.stdin.take();
        Ok(Self { child, line })
    }

    /// The run has ended, and nothing of it is left.
    pub(crate) fn dismiss(mut self) {
        if let Some(mut line) = self.line.take() {
            // One that is gone needs no dismissal.
            line.write_all(&[DISMISSED]).ok();
        }
        self.child.wait().ok();
    }
}

/// Is a keeper: waits until `line` closes, and ends the processes of a run unless it was dismissed.
pub fn keep_watch(run: &str, line: &mut impl Read) -> io::Result<()> {
    let mut said = Vec::new();
    line.read_to_end(&mut said)?;
    if said.last() != Some(&DISMISSED) {
        process::kill_marked(run);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_runner_that_died_is_stood_in_for() {
        let run = format!("r-keeper-{}", std::process::id());
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo up; exec sleep 600"])
            .env(process::RUN_VARIABLE, format!("{run}.step.0"))
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("a shell");
        child.stdout.as_mut().expect("piped").read_exact(&mut [0; 3]).expect("it is up");
        keep_watch(&run, &mut &[DISMISSED][..]).expect("dismissed");
        keep_watch(&run[..run.len() - 1], &mut &[][..]).expect("another run");
        assert!(child.try_wait().expect("a state").is_none());
        keep_watch(&run, &mut &[][..]).expect("done");
        // Its pipe closes with it; its status was taken by whoever saw it end first.
        let mut rest = Vec::new();
        child.stdout.take().expect("piped").read_to_end(&mut rest).expect("its end");
        assert!(rest.is_empty());
    }
}
