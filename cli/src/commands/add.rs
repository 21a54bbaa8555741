//! Bytes in and out: add and get.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lineage_ingest::file::Recorded;
use lineage_store::artifact::{Artifacts, Stored};
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
  lineage add dataset images photos/             a folder is one version
  lineage add dataset interview talk.wav --subject s-123";
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
    /// Keep the bytes of a file under a pseudonymous subject, so that `lineage erase` can destroy them
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
}

/// The reference to bytes that were hashed here.
pub(super) fn reference(kind: EntityKind, name: &str, stored: &Stored) -> Ref {
    let sha256 = format!("sha256:{}", stored.sha256).parse().ok();
    Ref { digest: Some(stored.digest.into()), digests: sha256.into_iter().collect(), ..Ref::named(kind, name) }
}

/// What `lineage add KIND NAME PATH --tag …` does.
pub(super) fn new(kind: EntityKind, name: &str, path: &Path, tags: &[&str]) -> Add {
    let tag = tags.iter().map(|tag| (*tag).to_owned()).collect();
    Add { kind, name: name.to_owned(), path: path.to_owned(), tag, version: None, owner: None, subject: None }
}

/// Where the bytes of the one output of an event stand among what is sealed.
const BYTES: &str = "outputs.0";
/// A file that is kept under a subject is sealed in memory as a whole.
const SEALED_BYTES_MAX: u64 = 256 * 1024 * 1024;

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
        let stored = match &self.subject {
            None => session.store.artifacts().put_path(&self.path)?,
            Some(_) => Artifacts::hash_path(&self.path)?,
        };
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
        if let Some(subject) = &self.subject {
            let bytes = self.bytes_of_file(&stored)?;
            event.sealed = session.store.keep(&session.keys, &event, BYTES, subject, &bytes)?;
        }
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

    /// The bytes of a file that is kept under a subject.
    fn bytes_of_file(&self, stored: &Stored) -> anyhow::Result<Vec<u8>> {
        if !self.path.is_file() || stored.size > SEALED_BYTES_MAX {
            let text = format!("{} cannot be kept under a subject", self.path.display());
            let help = format!("only a file of at most {} can; pack a folder into one first", size(SEALED_BYTES_MAX));
            return Err(Problem::failed(text).help(help).into());
        }
        let bytes = std::fs::read(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        if Blake3::of(&bytes) != stored.digest {
            return Err(Problem::failed(format!("{} changed while it was read", self.path.display())).into());
        }
        Ok(bytes)
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
    /// Writes bytes that were sealed.
    fn hand_over(
        &self,
        context: &Context,
        bytes: &[u8],
        name: &str,
        label: &str,
        digest: &Blake3,
    ) -> anyhow::Result<ExitCode> {
        if self.output.as_deref() == Some(Path::new("-")) {
            context.terminal.write(bytes)?;
            return Ok(ExitCode::Done);
        }
        let path = self.output.clone().map_or_else(|| free_path(name), Ok)?;
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        context.terminal.print(&restored(context, label, digest, &path))?;
        Ok(ExitCode::Done)
    }

    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open()?;
        let target = super::history::one(&self.reference)?;
        let (digest, name, label) = session.with_view(|view| bytes_of(view, &target))?;
        let artifacts = session.store.artifacts();
        if !artifacts.contains(&digest)
            && let Some(bytes) = sealed_bytes(&session, &target, &digest)?
        {
            return self.hand_over(context, &bytes, &name, &label, &digest);
        }
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
        context.terminal.print(&restored(context, &label, &digest, &path))?;
        Ok(ExitCode::Done)
    }
}

/// What is said of restored bytes.
fn restored(context: &Context, label: &str, digest: &Blake3, path: &Path) -> String {
    if context.json {
        return json!({ "version": label, "digest": digest.to_string(), "path": path.display().to_string() })
            .to_string();
    }
    format!("restored {label} to {}", path.display())
}

/// Bytes that are kept under a subject; `None` if they never were.
fn sealed_bytes(session: &Session, target: &Target, digest: &Blake3) -> anyhow::Result<Option<Vec<u8>>> {
    let makers = session.with_view(|view| {
        let holder = target.holders(view).and_then(|holders| holders.first().copied());
        let mut makers = Vec::new();
        view.makers(holder.map_or_else(|| target.version(view), Ok)?, |event| makers.push(event));
        Ok(makers)
    })?;
    let mut erased = false;
    for maker in makers {
        let kept = session.store.kept_by(maker.into())?.into_iter();
        for kept in kept.filter(|kept| kept.path.starts_with("outputs.")) {
            match session.store.reveal(&session.keys, &kept)? {
                Some(bytes) if Blake3::of(&bytes) == *digest => return Ok(Some(bytes)),
                Some(_) => {}
                None => erased = true,
            }
        }
    }
    if erased {
        let text = format!("the bytes of {digest} were kept under a subject and cannot be read any more");
        return Err(Problem::failed(text).help("`lineage erase --list` shows the erasures").into());
    }
    Ok(None)
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
