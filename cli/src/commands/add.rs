//! Bytes in and out: add and get.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lineage_ingest::file::Recorded;
use lineage_store::artifact::Stored;
use lineage_store::digest::Blake3;
use lineage_store::event::{About, Args, EntityKind, Evidence, Kind, Output, Ref};
use lineage_store::graph::View;
use serde_json::json;

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::reference::{Found, Target, label, new_name, number, parse_kind};
use crate::render::{count, size};
use crate::session::{Session, refused};

const ADD_EXAMPLES: &str = "\
EXAMPLES
  lineage add dataset churn-raw raw.csv --tag pii
  lineage add model churn model.pkl --version 2026-11 --owner ana
  lineage add dataset images photos/             a folder is one version";
const GET_EXAMPLES: &str = "\
EXAMPLES
  lineage get dataset churn-raw@v1 -o raw.csv
  lineage get model churn@champion -o -          to standard output
  lineage get b3:9f2c1a -o model.pkl";

/// Arguments of `lineage add`.
#[derive(Debug, clap::Args)]
#[command(after_help = ADD_EXAMPLES)]
pub(crate) struct Add {
    /// dataset, model, features or artifact
    #[arg(value_parser = parse_kind)]
    kind: EntityKind,
    /// Its name
    name: String,
    /// A file or a folder
    path: PathBuf,
    /// A tag of this version
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// A label of this version
    #[arg(long, value_name = "LABEL")]
    version: Option<String>,
    /// Who answers for the name
    #[arg(long)]
    owner: Option<String>,
}

/// The reference to bytes that were hashed here.
pub(super) fn reference(kind: EntityKind, name: &str, stored: &Stored) -> Ref {
    let sha256 = format!("sha256:{}", stored.sha256).parse().ok();
    Ref { digest: Some(stored.digest.into()), digests: sha256.into_iter().collect(), ..Ref::named(kind, name) }
}

/// What `lineage add KIND NAME PATH --tag …` does.
pub(super) fn new(kind: EntityKind, name: &str, path: &Path, tags: &[&str]) -> Add {
    let tag = tags.iter().map(|tag| (*tag).to_owned()).collect();
    Add { kind, name: name.to_owned(), path: path.to_owned(), tag, version: None, owner: None }
}

impl Add {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        if let Some(label) = self.version.as_ref().filter(|label| number(label).is_some() || *label == "latest") {
            return Err(Problem::usage(format!("`{label}` has a fixed meaning and cannot be a label"))
                .help("numbers such as v3 are counted by the store; give another label, or none")
                .into());
        }
        if !self.path.exists() {
            return Err(Problem::failed(format!("there is no file or folder {}", self.path.display())).into());
        }
        self.record(context.open_to_write()?)
    }

    /// Stores the bytes and records them.
    pub(super) fn record(self, session: Session) -> anyhow::Result<ExitCode> {
        let stored = session.store.artifacts().put_path(&self.path)?;
        let (namespace, name) = new_name(&self.name);
        let mut event = session.event(Kind::Register);
        event.evidence = Evidence::Observed;
        event.namespace = namespace.unwrap_or(event.namespace);
        event.outputs.push(Output {
            reference: Ref { version: self.version.clone(), ..reference(self.kind, &name, &stored) },
            size: Some(stored.size),
            tags: self.tag.clone(),
            ..Output::default()
        });
        let (id, namespace) = (event.id.clone().unwrap_or_default(), event.namespace.clone());
        let recorded = session.record(event)?;
        if let Some(owner) = &self.owner {
            session.record(self.owned_by(&session, owner, &namespace, &name)?)?;
        }
        let spooled = matches!(recorded, Recorded::Spooled(_));
        match recorded {
            Recorded::At(position) => self.tell(&session, position, &stored, &id)?,
            Recorded::Spooled(_) => session.tell_recorded(&recorded, &id, &format!("{} {name}", self.kind))?,
        }
        Ok(session.finish(spooled))
    }

    fn owned_by(
        &self,
        session: &Session,
        owner: &str,
        namespace: &str,
        name: &str,
    ) -> anyhow::Result<lineage_store::event::Event> {
        let mut event = session.event(Kind::Describe);
        namespace.clone_into(&mut event.namespace);
        event.about.push(About::Thing(Ref::named(self.kind, name)));
        event.args = Args::build(Kind::Describe, &[("owner", json!(owner))]).map_err(|refusal| refused(&refusal))?;
        Ok(event)
    }

    fn tell(&self, session: &Session, position: u64, stored: &Stored, id: &str) -> anyhow::Result<()> {
        let (name, is_new) = session.with_view(|view| {
            let position = u32::try_from(position).unwrap_or(u32::MAX);
            let made = view.made(position);
            let version = made.first().map(|made| made.version);
            let name = version.map_or_else(|| self.name.clone(), |version| label(view, Found::Version(version)));
            Ok((name, version.is_some_and(|version| view.mint(version) == position)))
        })?;
        let terminal = &session.context.terminal;
        if session.context.json {
            let object = json!({
                "position": position,
                "id": id,
                "version": name,
                "new": is_new,
                "digest": stored.digest.to_string(),
                "sha256": stored.sha256,
                "size": stored.size,
                "files": stored.n_files,
            });
            terminal.print(&object.to_string())?;
            return Ok(());
        }
        let files = stored.n_files.map_or(String::new(), |n| format!(" in {}", count(n, "file")));
        let again = if is_new { "" } else { "; the same bytes as before" };
        terminal.print(&format!(
            "recorded #{position}: {name}, {}{files}{again}\n  {}",
            size(stored.size),
            stored.digest
        ))?;
        Ok(())
    }
}

/// Arguments of `lineage get`.
#[derive(Debug, clap::Args)]
#[command(after_help = GET_EXAMPLES)]
pub(crate) struct Get {
    /// A version, name or digest, with or without its kind: model churn@v4
    #[arg(required = true, num_args = 1..=2, value_name = "REF", add = super::completions::of_reference())]
    reference: Vec<String>,
    /// Where to; - for standard output [default: the name, here]
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
}

impl Get {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open()?;
        let target = super::history::one(&self.reference)?;
        let (digest, name, label) = session.with_view(|view| bytes_of(view, &target))?;
        let artifacts = session.store.artifacts();
        if self.output.as_deref() == Some(Path::new("-")) {
            let mut file = artifacts.open_verified(&digest)?;
            let mut out = Vec::with_capacity(1 << 16);
            while file.by_ref().take(1 << 16).read_to_end(&mut out).context("cannot read the artifact")? > 0 {
                context.terminal.write(&out)?;
                out.clear();
            }
            return Ok(ExitCode::Done);
        }
        let path = match self.output {
            Some(path) => path,
            None => free_path(&name)?,
        };
        artifacts.get(&digest, &path)?;
        let text = if context.json {
            json!({ "version": label, "digest": digest.to_string(), "path": path.display().to_string() }).to_string()
        } else {
            format!("restored {label} to {}", path.display())
        };
        context.terminal.print(&text)?;
        Ok(ExitCode::Done)
    }
}

/// A path here that is named like the thing, and not taken.
fn free_path(name: &str) -> anyhow::Result<PathBuf> {
    // A name from outside is no path; its last part is.
    let last = name.rsplit('/').next().filter(|part| !matches!(*part, "" | "." | ".."));
    let path = PathBuf::from(last.unwrap_or("artifact"));
    if path.exists() {
        return Err(Problem::failed(format!("{} is there already", path.display()))
            .help("say where to with -o PATH")
            .into());
    }
    Ok(path)
}

fn bytes_of(view: &View, target: &Target) -> anyhow::Result<(Blake3, String, String)> {
    // All names of a digest mean the same bytes.
    let holder = target.holders(view).and_then(|holders| holders.first().copied());
    let version = holder.map_or_else(|| target.version(view), Ok)?;
    let label = label(view, Found::Version(version));
    let digest = view.digest(version).and_then(|digest| digest.strip_prefix("b3:").and_then(Blake3::from_hex));
    let digest = digest.ok_or_else(|| {
        let problem =
            Problem::new(ExitCode::Failed, format!("{label} has no blake3 digest, so its bytes are not stored here"));
        problem.help("`lineage show` says what is known of it")
    })?;
    Ok((digest, view.entity_name(view.entity(version)).to_owned(), label))
}
