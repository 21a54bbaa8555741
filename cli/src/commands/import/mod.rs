//! `lineage import`: the history of another tool, brought in as if it had been sent when it happened.

mod recorder;
mod server;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use lineage_ingest::mlflow::Ledger;
use lineage_ingest::mlflow::import::{self, Database, Folders, ImportError, Met, Order};
use serde_json::json;

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::http::Peer;
use crate::render::{clean, count};
use recorder::Recorder;
use server::Server;

const EXAMPLES: &str = "\
EXAMPLES
  lineage import mlflow http://127.0.0.1:5000
  lineage import mlflow http://mlflow.example.com --files       also the files of runs and models
  MLFLOW_TRACKING_TOKEN=… lineage import mlflow https://mlflow.example.com
  lineage import mlflow sqlite:///mlflow.db                     the database of a server, also while it runs
  lineage import mlflow sqlite:////srv/mlflow.db --files --artifacts /srv/mlartifacts

An import that is repeated records only what is new, whichever way the same history comes.";

/// The tools whose history can be brought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Tool {
    /// `MLflow`
    Mlflow,
}

/// Arguments of `lineage import`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Import {
    /// The tool
    tool: Tool,
    /// The address of its server, or of its database: `sqlite:///PATH`, from the root `sqlite:////PATH`
    #[arg(value_name = "URL")]
    source: String,
    /// Also store the files of runs and models
    #[arg(long)]
    files: bool,
    /// Where the server of a database kept the files of its proxy [default: `mlartifacts` beside the database]
    #[arg(long, value_name = "DIR", requires = "files")]
    artifacts: Option<PathBuf>,
    /// Read folders that a database names only below this one [default: the folder of the database]
    #[arg(long, value_name = "DIR", requires = "files")]
    root: Option<PathBuf>,
}

/// Where a history comes from.
enum Origin {
    Server(Server),
    Database(Database),
}

impl Import {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Tool::Mlflow = self.tool;
        let mut origin = self.origin()?;
        let session = context.open_to_write()?;
        session.sign_while_writing();
        let mut ledger = Ledger::default();
        let count = session.store.head()?.count;
        ledger.follow(&session.store, &session.keys, count)?;
        let mut target = Recorder { session: &session, view: OnceCell::new(), recorded: 0, duplicate: 0 };
        let actor = session.actor();
        let order = Order { actor: &actor, with_files: self.files };
        let imported = match &mut origin {
            Origin::Server(server) => import::from_server(server, &mut target, ledger, order),
            Origin::Database(database) => import::from_database(database, &mut target, ledger, order),
        };
        let (recorded, duplicate) = (target.recorded, target.duplicate);
        let told = tell(context, imported.as_ref().ok(), recorded, duplicate);
        session.finish(false);
        imported.map_err(problem)?;
        told?;
        Ok(ExitCode::Done)
    }

    /// The server or database that is read; other forms of a source are refused by name.
    fn origin(&self) -> anyhow::Result<Origin> {
        if let Some(path) = self.source.strip_prefix("sqlite:") {
            let path = path.strip_prefix("///").filter(|path| !path.is_empty() && !path.starts_with('?'));
            let path = path.ok_or_else(|| self.no_source())?;
            // What follows is for Python's driver.
            let path = Path::new(path.split_once('?').map_or(path, |(path, _)| path));
            return Ok(Origin::Database(Database::open(path, self.folders(path)).map_err(problem)?));
        }
        if !self.source.starts_with("http://") && !self.source.starts_with("https://") {
            return Err(self.no_source().into());
        }
        if self.artifacts.is_some() || self.root.is_some() {
            let text = "--artifacts and --root are for databases; a server gives its files itself";
            return Err(Problem::usage(text).help("leave them away").into());
        }
        Ok(Origin::Server(Server(Peer::new(&self.source, token()))))
    }

    fn no_source(&self) -> Problem {
        let text = format!("`{}` is no address of a tracking server or database", clean(&self.source));
        Problem::usage(text).help("write it as http://HOST:PORT or sqlite:///PATH")
    }

    /// Where the files that a database names are looked for.
    fn folders(&self, database: &Path) -> Folders {
        let beside = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let root = self.root.clone().unwrap_or_else(|| beside.to_owned());
        let proxy = self.artifacts.clone().unwrap_or_else(|| beside.join("mlartifacts"));
        Folders::new(root, proxy)
    }
}

/// The token that `MLflow`'s own clients send.
fn token() -> Option<String> {
    let token = std::env::var("MLFLOW_TRACKING_TOKEN").ok().filter(|token| !token.is_empty())?;
    Some(format!("Bearer {token}"))
}

fn problem(error: ImportError) -> anyhow::Error {
    let text = clean(&error.to_string());
    match error {
        ImportError::Store(error) => error.into(),
        ImportError::Source(_) => {
            Problem::failed(text).help("what was recorded by then stays; import again to go on").into()
        }
        ImportError::Refused { .. } => Problem::failed(text).help("the rest of what came before it is recorded").into(),
    }
}

fn tell(context: &Context, met: Option<&Met>, recorded: u64, duplicate: u64) -> anyhow::Result<()> {
    let met = met.cloned().unwrap_or_default();
    if context.json {
        let object = json!({
            "recorded": recorded, "duplicate": duplicate,
            "experiments": met.experiments, "runs": met.runs, "points": met.points, "models": met.models,
            "versions": met.versions, "files": met.files, "not_imported": met.left,
        });
        context.terminal.print(&object.to_string())?;
        return Ok(());
    }
    let counted = [
        count(met.experiments, "experiment"),
        count(met.runs, "run"),
        count(met.points, "measurement"),
        count(met.models, "logged model"),
        count(met.versions, "version"),
        count(met.files, "new file"),
    ];
    let events = format!("{} recorded, {duplicate} known before", count(recorded, "event"));
    context.terminal.print(&format!("{}: {events}", counted.join(", ")))?;
    for (what, n) in &met.left {
        context.terminal.print(&format!("not brought in: {n} {}", clean(what)))?;
    }
    Ok(())
}
