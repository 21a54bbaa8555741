//! `lineage token`: who may do what over HTTP; every change is an event.

use std::fs::OpenOptions;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use anyhow::Context as _;
use lineage_ingest::file::Recorded;
use lineage_store::digest::Blake3;
use lineage_store::event::{Args, Kind};
use lineage_store::time::Time;
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::random;
use crate::session::{Session, refused};
use crate::token::{EVERY, Grant, Role, Token, Tokens, secret};

const EXAMPLES: &str = "\
EXAMPLES
  lineage token add airflow --role emitter --namespace shop
  lineage token add dashboard --role reader
  lineage token add ria --role auditor --role reader --expires 2027-01-01T00:00:00Z
  lineage token list
  lineage token revoke airflow

The token is printed once; only its digest is kept.
Roles: reader asks, emitter sends, operator does both and deploys, auditor does both and judges.";

/// Arguments of `lineage token`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TokenCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a token and print it
    Add(Add),
    /// List the tokens, without their secrets
    List,
    /// Take a token away
    Revoke {
        /// The name of the token
        name: String,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// The principal that it stands for
    name: String,
    /// What it may do; may be repeated
    #[arg(long, value_name = "ROLE", required = true, value_enum)]
    role: Vec<Role>,
    /// Where it may do so; may be repeated [default: everywhere]
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Vec<String>,
    /// Until when, as RFC 3339 [default: for ever]
    #[arg(long, value_name = "TIME")]
    expires: Option<Time>,
}

impl TokenCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Add(add) => add.run(context),
            Action::List => list(context),
            Action::Revoke { name } => revoke(context, &name),
        }
    }
}

impl Add {
    fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        if self.name.is_empty() || self.name.chars().any(char::is_control) {
            return Err(Problem::usage("a token needs a name without control characters").into());
        }
        let session = context.open_to_write()?;
        let file = File::lock(&session)?;
        let mut tokens = file.read()?;
        let everywhere = [EVERY.to_owned()];
        let namespaces = if self.namespace.is_empty() { &everywhere[..] } else { &self.namespace };
        let grant = |role: &Role| {
            namespaces.iter().map(|namespace| Grant { role: *role, namespace: namespace.clone() }).collect::<Vec<_>>()
        };
        let grants: Vec<Grant> = self.role.iter().flat_map(grant).collect();
        let secret = secret(&random::bytes());
        let token = Token::new(&self.name, Blake3::of(secret.as_bytes()), grants.clone(), self.expires);
        tokens.add(token).map_err(|what| Problem::failed(what).help("`lineage token revoke NAME` takes one away"))?;
        // The event comes first: what is not recorded is not granted.
        for grant in &grants {
            record(&session, &self.name, "grant", Some(grant), self.expires)?;
        }
        tokens.write(&file.path).with_context(|| format!("cannot write {}", file.path.display()))?;
        if context.json {
            context.terminal.print(&json!({ "name": self.name, "token": secret, "grants": grants }).to_string())?;
        } else {
            context.terminal.print(&secret)?;
            context.terminal.note("this is the only time that it is shown; send it as `Authorization: Bearer TOKEN`");
        }
        Ok(session.finish(false))
    }
}

fn list(context: &Context) -> anyhow::Result<ExitCode> {
    let session = context.open()?;
    let tokens = read(&Tokens::file(session.store.layout().root()))?;
    let now = context.now();
    if context.json {
        let rows: Vec<Value> = tokens
            .list()
            .iter()
            .map(|t| json!({ "name": t.name, "grants": t.grants, "expires": t.expires, "valid": t.is_valid(now) }))
            .collect();
        context.terminal.print(&json!({ "tokens": rows }).to_string())?;
        return Ok(ExitCode::Done);
    }
    for token in tokens.list() {
        let grants: Vec<String> =
            token.grants.iter().map(|grant| format!("{} of {}", grant.role.as_str(), grant.namespace)).collect();
        let end = match &token.expires {
            Some(end) if token.is_valid(now) => format!(", until {end}"),
            Some(end) => format!(", expired {end}"),
            None => String::new(),
        };
        context.terminal.print(&format!("{}: {}{end}", crate::render::clean(&token.name), grants.join(", ")))?;
    }
    if tokens.is_empty() {
        context.terminal.note("there is no token; `lineage token add NAME --role ROLE` makes one");
    }
    Ok(ExitCode::Done)
}

fn revoke(context: &Context, name: &str) -> anyhow::Result<ExitCode> {
    let session = context.open_to_write()?;
    let file = File::lock(&session)?;
    let mut tokens = file.read()?;
    if tokens.remove(name).is_none() {
        return Err(Problem::name(format!("there is no token named `{}`", name.escape_debug()))
            .help("`lineage token list` shows them")
            .into());
    }
    // What is taken away is gone at once, whatever becomes of the event.
    tokens.write(&file.path).with_context(|| format!("cannot write {}", file.path.display()))?;
    record(&session, name, "revoke", None, None)?;
    context.terminal.print(&if context.json {
        json!({ "name": name, "revoked": true }).to_string()
    } else {
        format!("revoked {}", crate::render::clean(name))
    })?;
    Ok(session.finish(false))
}

/// Records a change of access, by the user that the system has authenticated.
fn record(
    session: &Session,
    subject: &str,
    action: &str,
    grant: Option<&Grant>,
    expires: Option<Time>,
) -> anyhow::Result<Recorded> {
    let mut event = session.event(Kind::Access);
    event.principal = Some(session.context.user());
    let mut fields = vec![("subject", json!(subject)), ("action", json!(action))];
    if let Some(grant) = grant {
        fields.extend([("role", json!(grant.role.as_str())), ("scope", json!(grant.namespace))]);
    }
    fields.extend(expires.map(|end| ("expires", json!(end.to_string()))));
    event.args = Args::build(Kind::Access, &fields).map_err(|refusal| refused(&refusal))?;
    Ok(session.record(event)?)
}

fn read(path: &std::path::Path) -> anyhow::Result<Tokens> {
    Tokens::read(path).map_err(|error| Problem::failed(format!("the tokens cannot be read: {error}")).into())
}

/// The file of the tokens, locked against others that change it.
struct File {
    path: PathBuf,
    _lock: std::fs::File,
}

impl File {
    fn lock(session: &Session) -> anyhow::Result<Self> {
        let path = Tokens::file(session.store.layout().root());
        let folder = path.parent().context("the file of tokens has no folder")?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .context("cannot make the folder of keys")?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.with_extension("lock"))
            .context("cannot lock the tokens")?;
        flock(&lock, FlockOperation::LockExclusive).context("cannot lock the tokens")?;
        Ok(Self { path, _lock: lock })
    }

    fn read(&self) -> anyhow::Result<Tokens> {
        read(&self.path)
    }
}
