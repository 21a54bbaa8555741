//! The key of the log: read from the environment, a file or the store, made where there is none, and its public half.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use lineage_store::proof::{Invalid, KeyUse, Signer, VerifierKey};

use crate::exit::Problem;
use crate::random;
use crate::session::Session;

/// The variable with the text of a private key.
const VARIABLE: &str = "LINEAGE_SIGNING_KEY";
/// The file of the private key, in `keys/`.
const PRIVATE: &str = "log.key";
/// The file of the public key, in `checkpoints/`, where everyone who reads the store can read it.
const PUBLIC: &str = "log.vkey";

/// A public key that is named on the command line, by itself or by a file with it.
#[derive(Clone, Debug)]
pub(crate) struct NamedKey(pub(crate) VerifierKey);

impl FromStr for NamedKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(key) = VerifierKey::parse(text) {
            return Ok(Self(key));
        }
        let read = fs::read_to_string(text).map_err(|error| format!("it is no public key, and no file: {error}"))?;
        VerifierKey::parse(read.trim_end()).map(Self).map_err(|error| error.to_string())
    }
}

/// The file of the public key.
pub(crate) fn public_path(session: &Session) -> PathBuf {
    session.store.layout().part("checkpoints").join(PUBLIC)
}

/// The public key of the log; `None` if none was made yet.
pub(crate) fn public_key(session: &Session) -> anyhow::Result<Option<Result<VerifierKey, Invalid>>> {
    let path = public_path(session);
    match fs::read(&path) {
        Ok(bytes) => {
            let text = String::from_utf8(bytes).map_err(|_| Invalid("it is no UTF-8".to_owned()));
            let line = text.and_then(|text| match text.strip_suffix('\n') {
                Some(line) => VerifierKey::parse(line),
                None => Err(Invalid("a public key is one line".to_owned())),
            });
            Ok(Some(line))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The key that signs: of a file that is named, else of the environment, of the setting, of `keys/`; made if the log
/// has none yet.
pub(crate) fn signer(session: &Session, file: Option<&Path>) -> anyhow::Result<Signer> {
    let variable = || std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let own = session.store.layout().part("keys").join(PRIVATE);
    let signer = if let Some(file) = file {
        read(file)?
    } else if let Some(text) = variable() {
        Signer::parse(&text).with_context(|| format!("{VARIABLE} holds no key"))?
    } else if let Some(file) = &session.config.signing_key {
        read(file)?
    } else if own.try_exists().with_context(|| format!("cannot read {}", own.display()))? {
        read(&own)?
    } else {
        return make(session, &own);
    };
    check_public(session, &signer)?;
    Ok(signer)
}

/// Whether a key is not there for this user, which is no fault of a command that only records.
pub(crate) fn is_out_of_reach(error: &anyhow::Error) -> bool {
    let denied =
        |cause: &io::Error| matches!(cause.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem);
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(denied))
}

fn read(file: &Path) -> anyhow::Result<Signer> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read the key {}", file.display()))?;
    Signer::parse(&text).with_context(|| format!("{} holds no key", file.display()))
}

/// Makes the key of a log that has signed nothing yet.
fn make(session: &Session, own: &Path) -> anyhow::Result<Signer> {
    if public_key(session)?.is_some() {
        let what = format!("the private key of this log is not in {}", own.display());
        let help = format!("restore the file, set {VARIABLE}, or name it with `lineage config set signing_key FILE`");
        return Err(Problem::failed(what).help(help).into());
    }
    let seed = random::secret().context("cannot make a key: /dev/urandom")?;
    let origin = match &session.config.origin {
        Some(origin) => origin.clone(),
        // No two logs have the same name by chance.
        None => format!("lineage.local/{}", random::event_id()),
    };
    let signer = Signer::new(&origin, KeyUse::Note, &seed).context("the setting `origin`")?;
    match write(own, &signer.secret_text(), 0o600) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let signer = read(own)?;
            check_public(session, &signer)?;
            return Ok(signer);
        }
        made => made.with_context(|| format!("cannot create {}", own.display()))?,
    }
    check_public(session, &signer)?;
    Ok(signer)
}

/// The public key beside the checkpoints is that of the private one; it is written if it is not there.
fn check_public(session: &Session, signer: &Signer) -> anyhow::Result<()> {
    let path = public_path(session);
    match public_key(session)? {
        Some(Ok(key)) if key == *signer.public() => Ok(()),
        Some(Ok(key)) => {
            let what = format!("the key of {} is not the one that signs this log", signer.public().name());
            let help = format!("{} names {key}", path.display());
            Err(Problem::failed(what).help(help).into())
        }
        Some(Err(error)) => {
            let help = "restore it from a checkpoint file that was handed out, or see `lineage verify`";
            Err(Problem::failed(format!("{} cannot be read: {error}", path.display())).help(help).into())
        }
        None => match write(&path, &format!("{}\n", signer.public()), 0o644) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_public(session, signer),
            made => made.with_context(|| format!("cannot create {}", path.display())),
        },
    }
}

/// Makes a file that was not there, at once with all its bytes, durable.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let new = path.with_extension(format!("{}.new", random::event_id()));
    let written = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // A link fails where a rename would replace what another process made.
        fs::hard_link(&new, path)
    };
    let made = written();
    fs::remove_file(&new).ok();
    made?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
