//! Tokens: who may do what over HTTP, kept as digests in a file that only the owner of the store may read.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lineage_store::digest::Blake3;
use lineage_store::time::Time;
use serde::{Deserialize, Serialize};

/// The format of the file.
const FORMAT: u32 = 1;
/// What stands for every namespace.
pub(crate) const EVERY: &str = "*";
/// What a token begins with, so that one that leaks is recognized.
const PREFIX: &str = "lnt_";

/// What a token may do in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Reads
    Reader,
    /// Sends what runs and tools do; reads nothing
    Emitter,
    /// Reads, sends, deploys, retires, retracts and judges
    Operator,
    /// Reads, sends and judges
    Auditor,
}

impl Role {
    /// Whoever may read.
    pub(crate) const READING: [Self; 3] = [Self::Reader, Self::Operator, Self::Auditor];
    /// Whoever may send events of most kinds.
    pub(crate) const SENDING: [Self; 3] = [Self::Emitter, Self::Operator, Self::Auditor];
    /// Whoever may send audits, deployments and the like.
    pub(crate) const JUDGING: [Self; 2] = [Self::Operator, Self::Auditor];

    /// Its word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Emitter => "emitter",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }
}

/// A role in a namespace, or in every one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Grant {
    /// What may be done.
    pub(crate) role: Role,
    /// Where; `*` everywhere.
    pub(crate) namespace: String,
}

/// One token: the principal that it stands for, and what that may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    /// The principal.
    pub(crate) name: String,
    /// The blake3 digest of the secret, in hex.
    digest: String,
    /// What it may do.
    pub(crate) grants: Vec<Grant>,
    /// Until when, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<String>,
}

impl Token {
    /// A token by the digest of its secret.
    pub(crate) fn new(name: &str, digest: Blake3, grants: Vec<Grant>, expires: Option<Time>) -> Self {
        Self { name: name.to_owned(), digest: digest.hex(), grants, expires: expires.map(|time| time.to_string()) }
    }

    /// Whether it may be used at an instant; an end that cannot be read is over.
    pub(crate) fn is_valid(&self, now: Time) -> bool {
        self.expires.as_ref().is_none_or(|text| text.parse::<Time>().is_ok_and(|end| now < end))
    }

    /// Whether it has one of some roles in a namespace; `None`: in every one.
    pub(crate) fn has(&self, roles: &[Role], namespace: Option<&str>) -> bool {
        let here = |grant: &Grant| grant.namespace == EVERY || namespace == Some(&*grant.namespace);
        self.grants.iter().any(|grant| roles.contains(&grant.role) && here(grant))
    }

    /// Whether it has one of some roles in any namespace.
    pub(crate) fn has_anywhere(&self, roles: &[Role]) -> bool {
        self.grants.iter().any(|grant| roles.contains(&grant.role))
    }
}

/// The file as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    tokens: Vec<Token>,
}

/// The tokens of a store.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    list: Vec<Arc<Token>>,
    by_digest: HashMap<Blake3, usize>,
}

impl Tokens {
    /// The file of the tokens of a store.
    pub(crate) fn file(root: &Path) -> PathBuf {
        root.join("keys").join("tokens.json")
    }

    /// Reads the file; no file, no tokens.
    pub(crate) fn read(file: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", file.display()));
        let written: Written = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if written.format != FORMAT {
            return Err(wrong(format!("has format {}; this release knows {FORMAT}", written.format)));
        }
        let mut tokens = Self::default();
        for token in written.tokens {
            tokens.add(token).map_err(wrong)?;
        }
        Ok(tokens)
    }

    /// Writes the file anew, as a whole.
    pub(crate) fn write(&self, file: &Path) -> io::Result<()> {
        let folder = file.parent().unwrap_or(Path::new("."));
        if !folder.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let written = Written { format: FORMAT, tokens: self.list.iter().map(|token| Token::clone(token)).collect() };
        let temporary = file.with_extension("new");
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        out.write_all(&serde_json::to_vec_pretty(&written)?)?;
        out.sync_all()?;
        fs::rename(&temporary, file)?;
        File::open(folder)?.sync_all()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The tokens, in the order in which they were made.
    pub(crate) fn list(&self) -> &[Arc<Token>] {
        &self.list
    }

    /// The token of a secret's digest.
    pub(crate) fn find(&self, digest: &Blake3) -> Option<Arc<Token>> {
        self.by_digest.get(digest).and_then(|at| self.list.get(*at)).cloned()
    }

    /// Adds a token; names are used once.
    pub(crate) fn add(&mut self, token: Token) -> Result<(), String> {
        let digest = Blake3::from_hex(&token.digest).ok_or("a digest is not 64 hexadecimal digits")?;
        if self.list.iter().any(|other| other.name == token.name) {
            return Err(format!("there is a token named `{}` already", token.name.escape_debug()));
        }
        self.by_digest.insert(digest, self.list.len());
        self.list.push(Arc::new(token));
        Ok(())
    }

    /// Removes the token of a name.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Arc<Token>> {
        let at = self.list.iter().position(|token| token.name == name)?;
        let removed = self.list.remove(at);
        self.by_digest = self
            .list
            .iter()
            .enumerate()
            .filter_map(|(at, token)| Some((Blake3::from_hex(&token.digest)?, at)))
            .collect();
        Some(removed)
    }
}

/// A new secret from random bytes.
pub(crate) fn secret(bytes: &[u8; 32]) -> String {
    format!("{PREFIX}{}", lineage_store::digest::to_hex(bytes))
}
