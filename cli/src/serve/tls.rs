//! TLS: a certificate chain and its key, read once when the server starts.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::exit::Problem;

/// Reads certificate and key.
pub(crate) fn tls(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Problem> {
    let wrong = |path: &Path, what: String| Problem::usage(format!("{}: {what}", path.display()));
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(certificate, format!("is no certificate in PEM: {error}")))?;
    let secret =
        PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, format!("is no private key in PEM: {error}")))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| wrong(certificate, format!("does not go with the key: {error}")))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
