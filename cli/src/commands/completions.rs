//! `lineage completions`: what a shell needs to complete commands and flags.

use clap_complete::Shell;

use crate::app;
use crate::context::Context;
use crate::exit::ExitCode;

const EXAMPLES: &str = "\
EXAMPLES
  lineage completions bash > ~/.local/share/bash-completion/completions/lineage
  lineage completions zsh > ~/.zfunc/_lineage
  lineage completions fish > ~/.config/fish/completions/lineage.fish";

/// Arguments of `lineage completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut app::clap_command(), "lineage", &mut script);
        context.terminal.write(&script)?;
        Ok(ExitCode::Done)
    }
}
