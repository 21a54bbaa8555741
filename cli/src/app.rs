//! From arguments to an exit code: parsing, dispatch, and the last word on failures.

use std::panic;

use clap::{CommandFactory as _, Parser as _};

use crate::commands::{self, Command};
use crate::context::{Context, Global};
use crate::errors::Errors;
use crate::exit::ExitCode;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
EXAMPLES
  lineage demo                                    see it work on a small example
  lineage init                                    make a store in this folder
  lineage run -i raw.csv -o model:churn=m.pkl -- python train.py
  lineage query \"models trained on dataset churn-raw\"
  lineage query \"models live in prod without a passing audit since their last training\" --expect none

EXIT CODES
  0 done   1 expectation failed   2 usage   3 unknown or ambiguous name   4 store damaged
  5 over budget   6 refused, failed or spooled   `run` passes the code of its command on";

/// Records what data, models and decisions come from, and answers questions about it
#[derive(Debug, clap::Parser)]
#[command(name = "lineage", version, after_help = EXAMPLES, max_term_width = 120, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// The whole command, for completions.
pub(crate) fn clap_command() -> clap::Command {
    Cli::command()
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    install_panic_hook();
    if commands::completions::answer() {
        return ExitCode::Done;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() {
                Errors::tell_usage(&error, &Terminal::look(true));
                return ExitCode::Usage;
            }
            // Help goes to standard output and is no failure; that a pipe is closed is none either.
            error.print().ok();
            return ExitCode::Done;
        }
    };
    let context = Context::new(cli.global);
    // A bug is reported by the hook; here it only becomes an exit code.
    match panic::catch_unwind(panic::AssertUnwindSafe(|| commands::run(cli.command, &context))) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => context.errors.tell(&error, &context.terminal),
        Err(_) => ExitCode::Failed,
    }
}

fn install_panic_hook() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
        Terminal::look(true).tell(&format!(
            "error: this is a bug in lineage{place}; nothing that was acknowledged is lost\nhelp: please report it with the \
             command that you ran"
        ));
    }));
}
