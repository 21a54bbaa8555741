//! `lineage import`: the history of another tool, brought in as if it had been sent when it happened.

use std::cell::OnceCell;
use std::io::Read as _;

use lineage_ingest::delivery::{self, Sender};
use lineage_ingest::mlflow::import::{self, ImportError, Met, Source, Target};
use lineage_ingest::mlflow::{self, Error, Ledger, Written};
use lineage_store::Appended;
use lineage_store::artifact::Stored;
use lineage_store::graph::View;
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::http::Peer;
use crate::render::{clean, count};
use crate::session::Session;

const EXAMPLES: &str = "\
EXAMPLES
  lineage import mlflow http://127.0.0.1:5000
  lineage import mlflow http://mlflow.example.com --files       also the files of runs and models
  MLFLOW_TRACKING_TOKEN=… lineage import mlflow https://mlflow.example.com

An import that is repeated records only what is new.
A SQLite file is read through MLflow's own server:
  mlflow server --backend-store-uri sqlite:///mlflow.db --port 5001
  lineage import mlflow http://127.0.0.1:5001";

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
    /// The address of its server
    #[arg(value_name = "URL")]
    source: String,
    /// Also store the files that the server keeps
    #[arg(long)]
    files: bool,
}

impl Import {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Tool::Mlflow = self.tool;
        let peer = self.peer()?;
        let session = context.open_to_write()?;
        session.sign_while_writing();
        let mut ledger = Ledger::default();
        let count = session.store.head()?.count;
        ledger.follow(&session.store, &session.keys, count)?;
        let mut target = Recorder { session: &session, view: OnceCell::new(), recorded: 0, duplicate: 0 };
        let mut source = Server { peer, session: &session, files: self.files };
        let imported = import::import(&mut source, &mut target, ledger, &session.actor());
        let (recorded, duplicate) = (target.recorded, target.duplicate);
        let told = tell(context, imported.as_ref().ok(), recorded, duplicate);
        session.finish(false);
        imported.map_err(problem)?;
        told?;
        Ok(ExitCode::Done)
    }

    /// The server that is asked; other forms of a source are refused by name.
    fn peer(&self) -> anyhow::Result<Peer> {
        if self.source.starts_with("sqlite:") {
            let text = "a SQLite file of MLflow is not read directly";
            let help = format!(
                "serve it: `mlflow server --backend-store-uri {} --port 5001`, then `lineage import mlflow \
                 http://127.0.0.1:5001`",
                clean(&self.source)
            );
            return Err(Problem::failed(text).help(help).into());
        }
        if !self.source.starts_with("http://") && !self.source.starts_with("https://") {
            let text = format!("`{}` is no address of a tracking server", clean(&self.source));
            return Err(Problem::usage(text).help("write it as http://HOST:PORT").into());
        }
        Ok(Peer::new(&self.source, token()))
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
    let met = met.copied().unwrap_or_default();
    if context.json {
        let object = json!({
            "recorded": recorded, "duplicate": duplicate,
            "experiments": met.experiments, "runs": met.runs, "points": met.points, "models": met.models,
            "versions": met.versions, "files": met.files,
        });
        context.terminal.print(&object.to_string())?;
        return Ok(());
    }
    let met = [
        count(met.experiments, "experiment"),
        count(met.runs, "run"),
        count(met.points, "measurement"),
        count(met.models, "logged model"),
        count(met.versions, "version"),
        count(met.files, "new file"),
    ];
    let events = format!("{} recorded, {duplicate} known before", count(recorded, "event"));
    context.terminal.print(&format!("{}: {events}", met.join(", ")))?;
    Ok(())
}

/// A tracking server, asked over HTTP.
struct Server<'a> {
    peer: Peer,
    session: &'a Session,
    files: bool,
}

impl Source for Server<'_> {
    fn ask(&mut self, method: &str, path: &str, body: &Value) -> Result<Option<Value>, String> {
        let path = format!("/api/2.0/{path}");
        let answer = match method {
            "GET" => self.peer.get(&path, &parameters(body)),
            _ => self.peer.post(&path, &body.to_string()),
        };
        let answer = answer.map_err(|error| format!("{error:#}"))?;
        match answer.status {
            404 => Ok(None),
            200 => serde_json::from_slice(&answer.body).map(Some).map_err(|_| format!("{path} answers no JSON")),
            status => {
                let text: String = answer.text().chars().take(200).collect();
                Err(format!("{path} answers with {status}: {text}"))
            }
        }
    }

    fn fetch(&mut self, path: &str) -> Result<Option<Stored>, ImportError> {
        if !self.files {
            return Ok(None);
        }
        let encoded: Vec<String> = path.split('/').map(encode).collect();
        let path = format!("/api/2.0/mlflow-artifacts/artifacts/{}", encoded.join("/"));
        let opened = self.peer.open(&path).map_err(|error| ImportError::Source(format!("{error:#}")))?;
        let Some(mut bytes) = opened else { return Ok(None) };
        Ok(Some(self.session.store.artifacts().put_from(&mut bytes.by_ref())?))
    }
}

/// The members of an object as parameters of an address.
fn parameters(body: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    body.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// A text as one part of a path.
fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// The store of a session.
struct Recorder<'a> {
    session: &'a Session,
    /// What was known when the import began.
    view: OnceCell<Option<View>>,
    recorded: u64,
    duplicate: u64,
}

impl Target for Recorder<'_> {
    fn record(&mut self, ledger: &mut Ledger, written: Written) -> Result<(), ImportError> {
        let (store, keys) = (&self.session.store, &self.session.keys);
        for bytes in &written.keep {
            store.artifacts().put_bytes(bytes)?;
        }
        let sender = Sender { actor: "", principal: None, seal: &self.session.config.seal, keys };
        let refused =
            |what: &str, why: String| ImportError::Refused { what: what.to_owned(), error: Error::invalid(why) };
        let mut events = Vec::with_capacity(written.events.len());
        let mut ids = Vec::with_capacity(written.events.len());
        for event in written.events {
            let said = event.facets.as_str().to_owned();
            let id = event.id.clone().unwrap_or_default();
            let prepared = delivery::prepared(vec![event], said.as_bytes(), &sender);
            let prepared = prepared.map_err(|refusal| refused(&id, refusal.to_string()))?;
            ids.resize(ids.len() + prepared.len(), id);
            events.extend(prepared);
        }
        for (id, appended) in ids.iter().zip(store.append(events, self.session.context.now())?) {
            match appended {
                Appended::Recorded(_) => self.recorded += 1,
                Appended::Duplicate(_) => self.duplicate += 1,
                Appended::Conflict(at) => {
                    return Err(refused(id, format!("another event with this id is recorded at #{at}")));
                }
                Appended::Refused(refusal) => return Err(refused(id, refusal.to_string())),
            }
        }
        Ok(ledger.follow(store, keys, store.head()?.count)?)
    }

    fn is_made(&self, namespace: &str, name: &str) -> bool {
        let view = self.view.get_or_init(|| self.session.store.view().ok());
        view.as_ref().is_some_and(|view| mlflow::is_made(view, namespace, name))
    }
}
