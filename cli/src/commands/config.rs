//! `lineage config`: the settings of a store.

use anyhow::Context as _;
use serde_json::json;

use crate::config::{KEYS, Value, set};
use crate::context::Context;
use crate::exit::ExitCode;
use crate::render::align;

const EXAMPLES: &str = "\
EXAMPLES
  lineage config                                        list the settings
  lineage config get environments
  lineage config set environments dev staging prod edge
  lineage config set seal sql sourceCode errorMessage   keep these facets in deletable storage";

/// Arguments of `lineage config`.
#[derive(Debug, clap::Args)]
#[command(name = "config", after_help = EXAMPLES)]
pub(crate) struct ConfigCommand {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print one setting
    Get {
        /// Its name
        key: String,
    },
    /// Change one setting
    Set {
        /// Its name
        key: String,
        /// The value; several for a list
        #[arg(required = true)]
        values: Vec<String>,
    },
}

impl ConfigCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open()?;
        match self.action {
            None => {
                let mut rows = Vec::new();
                let mut object = serde_json::Map::new();
                for (key, about, _) in KEYS {
                    let value = session.config.get(key)?;
                    object.insert(key.to_owned(), as_json(value.as_ref()));
                    rows.push(vec![key.to_owned(), as_text(value.as_ref()), context.terminal.dim(about)]);
                }
                let text = if context.json { json!(object).to_string() } else { align(&rows) };
                context.terminal.print(&text)?;
            }
            Some(Action::Get { key }) => {
                let value = session.config.get(&key)?;
                let text = if context.json { as_json(value.as_ref()).to_string() } else { as_text(value.as_ref()) };
                context.terminal.print(&text)?;
            }
            Some(Action::Set { key, values }) => {
                let layout = session.store.layout();
                let path = layout.config();
                let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                layout.write_config(&set(&text, &key, &values)?)?;
            }
        }
        Ok(ExitCode::Done)
    }
}

fn as_text(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::One(word)) => word.clone(),
        Some(Value::Many(words)) => words.join(" "),
    }
}

fn as_json(value: Option<&Value>) -> serde_json::Value {
    match value {
        None => json!(null),
        Some(Value::One(word)) => json!(word),
        Some(Value::Many(words)) => json!(words),
    }
}
