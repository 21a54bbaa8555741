//! Those who can vouch for a checkpoint: witnesses, a time-stamping authority, a git repository.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use lineage_store::proof::timestamp::{self, Stamp};
use lineage_store::proof::{Proofs, SignedCheckpoint, VerifierKey, witness};

use crate::exit::{ExitCode, Problem};
use crate::http;
use crate::random;

/// Asks a witness for its cosignature, and takes it after checking it with one of the keys.
pub(super) fn cosign(
    proofs: &Proofs,
    signed: &mut SignedCheckpoint,
    url: &str,
    keys: &[VerifierKey],
) -> anyhow::Result<String> {
    let to = format!("{}/add-checkpoint", url.trim_end_matches('/'));
    let mut old = seen_before(proofs, signed, keys)?;
    for again in [true, false] {
        let proof = proofs.consistency(old, signed.size())?.unwrap_or_default();
        let body = witness::add_checkpoint(old, &proof, signed);
        let answer = http::post(&to, "text/plain; charset=utf-8", body.as_bytes())?;
        match answer.status {
            200 => return take(signed, url, &answer.text(), keys),
            409 if again => {
                let seen = witness::size_seen(&answer.text()).ok().filter(|seen| *seen != old);
                old = smaller(seen, signed, url, &answer.text())?;
            }
            status => return Err(refused(url, status, &answer.text()).into()),
        }
    }
    Err(refused(url, 409, "it saw yet another checkpoint meanwhile").into())
}

/// The size that a witness saw last; one beyond the checkpoint means that the log here became shorter.
fn smaller(seen: Option<u64>, signed: &SignedCheckpoint, url: &str, said: &str) -> anyhow::Result<u64> {
    match seen {
        Some(seen) if seen <= signed.size() => Ok(seen),
        Some(seen) => {
            let what = format!("the witness {url} saw {seen} events of this log, here are {}", signed.size());
            let help = "this store was rolled back, or another copy of it is in use; see docs/AUDIT.md";
            Err(Problem::new(ExitCode::Damaged, what).help(help).into())
        }
        None => Err(refused(url, 409, said).into()),
    }
}

fn refused(url: &str, status: u16, said: &str) -> Problem {
    let said = crate::render::clean(said.trim());
    let what = format!("the witness {url} did not cosign ({status}{}{said})", if said.is_empty() { "" } else { ": " });
    match status {
        404 | 403 => Problem::failed(what)
            .help("its operator must add the public key of this log, which `lineage checkpoint` prints"),
        409 | 422 => {
            Problem::new(ExitCode::Damaged, what).help("the witness saw another tree of this log; see docs/AUDIT.md")
        }
        _ => Problem::failed(what).help("the checkpoint is kept here; try again later"),
    }
}

/// The greatest size that one of the keys cosigned before, as far as it is known here.
fn seen_before(proofs: &Proofs, signed: &SignedCheckpoint, keys: &[VerifierKey]) -> anyhow::Result<u64> {
    let (stored, _) = proofs.checkpoints().all()?;
    let mut sizes = stored.iter().map(|stored| &stored.signed).filter(|known| {
        known.size() <= signed.size() && keys.iter().any(|key| matches!(known.cosigned(key), Ok(Some(_))))
    });
    Ok(sizes.next_back().map_or(0, SignedCheckpoint::size))
}

fn take(signed: &mut SignedCheckpoint, url: &str, body: &str, keys: &[VerifierKey]) -> anyhow::Result<String> {
    let signatures = witness::cosignatures(body).with_context(|| format!("the answer of the witness {url}"))?;
    let mut names = Vec::new();
    for signature in signatures {
        // Signatures of keys that nobody named here tell nothing.
        let Some(key) = keys.iter().find(|key| key.name() == signature.name && key.id() == signature.id) else {
            continue;
        };
        signed.take_cosignature(signature, key).with_context(|| format!("the answer of the witness {url}"))?;
        names.push(key.name());
    }
    if names.is_empty() {
        let what = format!("the witness {url} signed with no key that was named");
        return Err(Problem::failed(what).help("name its public key with --witness-key").into());
    }
    Ok(format!("cosigned by {}", names.join(", ")))
}

/// Asks a time-stamping authority about the text of a checkpoint, and keeps its answer.
pub(super) fn stamp(proofs: &Proofs, signed: &SignedCheckpoint, url: &str) -> anyhow::Result<String> {
    let nonce: [u8; 8] = random::bytes();
    let text = signed.note().text().as_bytes();
    let answer = http::post(url, "application/timestamp-query", &timestamp::request(text, nonce))?;
    let refuse =
        |what: String| Problem::failed(format!("{url}: {what}")).help("the checkpoint is kept here; try again later");
    if answer.status != 200 {
        return Err(refuse(format!("it answered with status {}", answer.status)).into());
    }
    let stamp = Stamp::parse(&answer.body).map_err(|error| refuse(error.to_string()))?;
    if !stamp.is_of(text) || !stamp.answers(nonce) {
        return Err(refuse("the time stamp is of something else".to_owned()).into());
    }
    let path = proofs.checkpoints().keep_stamp(signed.size(), &answer.body)?;
    Ok(format!(
        "time stamp of {} kept in {}; its digest was compared, the signature of the authority was not checked",
        stamp.time,
        path.display()
    ))
}

/// Makes an annotated tag whose message is the checkpoint, in the repository of a folder.
pub(super) fn tag(folder: &Path, signed: &SignedCheckpoint, name: &str) -> anyhow::Result<String> {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).args(["tag", "--annotate", "--cleanup=verbatim", "--file=-", "--", name]);
    let mut child =
        git.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("cannot run git")?;
    if let Some(mut stdin) = child.stdin.take() {
        // Where git ends before it reads, it says why.
        stdin.write_all(signed.to_string().as_bytes()).ok();
    }
    let output = child.wait_with_output().context("cannot run git")?;
    if !output.status.success() {
        let said = crate::render::clean(String::from_utf8_lossy(&output.stderr).trim());
        return Err(Problem::failed(format!("git made no tag: {said}")).help("the checkpoint is kept here").into());
    }
    Ok(format!(
        "tagged as {name}; `git push REMOTE {name}` puts it where the owner of this store cannot change it alone"
    ))
}
