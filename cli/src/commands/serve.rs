//! `lineage serve`: events of other tools in, questions out, over HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;

use lineage_store::time::Time;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::serve::{self, Options};
use crate::token::Tokens;

const EXAMPLES: &str = "\
EXAMPLES
  lineage serve                                        on 127.0.0.1:5000, for this machine, without tokens
  OPENLINEAGE_URL=http://127.0.0.1:5000 dbt-ol build   what an emitter is told
  curl -H 'Content-Type: application/json' -d '{\"query\":\"models\"}' http://127.0.0.1:5000/api/query
  lineage token add airflow --role emitter             a token, which is needed to listen elsewhere
  lineage serve --listen 0.0.0.0:5000 --tls-cert cert.pem --tls-key key.pem

Ctrl-C and SIGTERM end it once what was accepted is recorded and answered.";

/// Connections that are served at once; slow ones are closed after 10 s.
const CONNECTIONS: usize = 8192;
/// Files that the store needs beside the connections.
const FILES: u64 = 256;

/// Arguments of `lineage serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Serve {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5000")]
    listen: SocketAddr,
    /// Serve nothing without a token, also on this machine; for a proxy in front
    #[arg(long)]
    require_tokens: bool,
    /// The certificate chain of TLS, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The most connections at once
    #[arg(long, value_name = "N", default_value_t = CONNECTIONS)]
    max_connections: usize,
    /// The most requests a second of one token, or of one address without one [default: any number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
}

impl Serve {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open_to_write()?;
        let elsewhere = !self.listen.ip().is_loopback();
        let tokens = Tokens::read(&Tokens::file(session.store.layout().root()))
            .map_err(|error| Problem::failed(format!("the tokens cannot be read: {error}")))?;
        let now: Time = context.now();
        let has_valid = tokens.list().iter().any(|token| token.is_valid(now));
        if (elsewhere || self.require_tokens) && !has_valid {
            return Err(Problem::usage(format!("{} can be reached by others, and there is no token", self.listen))
                .help("make one with `lineage token add NAME --role ROLE`, or listen on 127.0.0.1")
                .into());
        }
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(serve::tls(certificate, key)?),
            _ => None,
        };
        if elsewhere && tls.is_none() {
            context
                .terminal
                .note("without TLS tokens can be read on the way; add --tls-cert and --tls-key, or a proxy");
        }
        let options = Options {
            listen: self.listen,
            require_tokens: elsewhere || self.require_tokens,
            tls,
            connections: connections(self.max_connections.max(1)),
            rate: self.rate,
        };
        serve::run(session, options)
    }
}

/// As many connections as files may be open; the limit is raised as far as it may be.
fn connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let needed = wanted as u64 + FILES;
    let raised = limit.maximum.map_or(needed, |most| most.min(needed));
    if limit.current.is_some_and(|current| current < raised) {
        // If it is refused, the limit stays what it is.
        setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }).ok();
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    wanted.min(usize::try_from(files.saturating_sub(FILES)).unwrap_or(usize::MAX)).max(1)
}
