//! `lineage resume`: goes on with a run of a pipeline, from its recorded specification and parameters.

use std::path::PathBuf;
use std::sync::Arc;

use lineage_store::event::State;

use super::origin::Origin;
use super::pipeline::{self, Choices, Source};
use super::run::{Run, parse_param};
use crate::context::Context;
use crate::exit::{ExitCode, Problem};

const EXAMPLES: &str = "\
EXAMPLES
  lineage resume                         the newest run of a pipeline
  lineage resume r-9f2c41d07a5be386
  lineage resume r-9f2c41d07a5be386 -p lr=0.2
  lineage resume r-9f2c41d07a5be386 --redo ship

What is done is not done again, as long as nothing it read has changed; a step that was edited runs again.
A deployment that was interrupted may have taken effect, so it runs again only with --redo.
The specification is the one that the run recorded; `lineage run FILE.toml` takes a changed one and reuses as much.";

/// Arguments of `lineage resume`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Resume {
    /// The run; or latest, or latest:PIPELINE [default: latest]
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// Another value for a parameter
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = parse_param)]
    param: Vec<(String, String)>,
    /// The folder in which steps run [default: the one that holds the store, or the file of the specification]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    choices: Choices,
}

impl Resume {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open_to_write()?;
        let origin = Origin::find(&session, self.run.as_deref())?;
        if origin.state.is_none_or(|state| !state.is_terminal()) {
            return Err(Problem::failed(format!("{} has not ended", origin.run))
                .help(format!("lineage logs -f {0}, or lineage abort {0}", origin.run))
                .into());
        }
        if origin.state == Some(State::Complete) && !origin.is_parked {
            context.terminal.note(&format!("{} is complete; whatever has changed since runs again", origin.run));
        }
        let mut params = origin.params.clone();
        params.extend(self.param.iter().cloned());
        let run = Run { namespace: origin.namespace.clone(), tag: origin.tags.clone(), ..Run::default() };
        let mut base = run.spec(&session, "", &Arc::default())?;
        // Tags of the specification are added again.
        base.tags.clear();
        let folder = self.folder.clone().unwrap_or_else(|| base.workspace_root.join(&origin.folder));
        if !folder.is_dir() {
            return Err(Problem::usage(format!("{} is no folder", folder.display()))
                .help("name the one in which the steps run: --folder DIR")
                .into());
        }
        let mut resumes = vec![origin.run.clone()];
        resumes.extend(origin.resumed);
        let source = Source { text: origin.text, file: origin.file, folder, params: &params, resumes };
        let ready = pipeline::prepare(&session, source, &self.choices, base, None)?;
        pipeline::start(session, &ready, &self.choices)
    }
}
