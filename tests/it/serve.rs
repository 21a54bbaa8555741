//! `lineage serve` through its sockets: events in, questions out, and what it does when it stops.

mod abuse;
mod access;
mod basics;
mod bombs;
mod clients;
mod documents;
mod marquez;
mod metaflow;
mod mlflow;
mod mutations;
mod replay;
mod storm;
mod streams;

/// A size for every change, or the full one with `SERVE_FULL=1`.
fn size(small: usize, full: usize) -> usize {
    if std::env::var_os("SERVE_FULL").is_some() { full } else { small }
}

/// The seed of chance: `SERVE_SEED`, else 1.
fn seed() -> u64 {
    std::env::var("SERVE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}
