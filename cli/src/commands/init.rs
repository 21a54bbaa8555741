//! `lineage init`: a new store.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lineage_store::{FOLDER, Store};
use serde_json::json;

use crate::config;
use crate::context::Context;
use crate::exit::ExitCode;

const EXAMPLES: &str = "\
EXAMPLES
  lineage init               in this folder
  lineage init ~/projects/churn";

/// Arguments of `lineage init`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Init {
    /// The folder of the project; the store is its subfolder .lineage [default: `--store` or `LINEAGE_STORE`, else here]
    dir: Option<PathBuf>,
}

impl Init {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let root = match self.dir {
            Some(dir) => dir.join(FOLDER),
            None => context.named_store().unwrap_or_else(|| PathBuf::from(FOLDER)),
        };
        let parent = root.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        let root =
            parent.canonicalize().unwrap_or_else(|_| parent.to_owned()).join(root.file_name().unwrap_or_default());
        Store::create(&root, config::DEFAULT)?;
        if context.json {
            context.terminal.print(&json!({ "store": root.display().to_string() }).to_string())?;
            return Ok(ExitCode::Done);
        }
        context.terminal.print(&format!(
            "made a store in {}\n\nnext:\n  lineage add dataset NAME PATH           record data that is there\n  \
             lineage run -i IN -o OUT -- CMD         run a step and record it\n  lineage ingest events.ndjson            \
             record events of other tools\n  lineage query \"models trained on NAME\"  ask",
            root.display()
        ))?;
        Ok(ExitCode::Done)
    }
}
