//! TLS to a syslog server (RFC 5425): who may vouch for it, and who we are. Files are read with each connection, so
//! that renewed certificates count.

use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::SinkError;
use crate::config::SyslogTarget;

/// Greets the server.
pub(super) fn greet(
    target: &SyslogTarget,
    place: &str,
    mut stream: TcpStream,
) -> Result<StreamOwned<ClientConnection, TcpStream>, SinkError> {
    let insecure = |reason: String| SinkError::Insecure { place: place.to_owned(), reason };
    let name = target.server_name.as_ref().unwrap_or(&target.host);
    let name = ServerName::try_from(name.clone())
        .map_err(|_| insecure(format!("`{name}` cannot be in a certificate; set `server_name`")))?;
    let config = config(target, &insecure)?;
    let mut connection =
        ClientConnection::new(Arc::new(config), name).map_err(|error| insecure(error.to_string()))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|error| insecure(explained(&error)))?;
    }
    Ok(StreamOwned::new(connection, stream))
}

fn config(target: &SyslogTarget, insecure: &impl Fn(String) -> SinkError) -> Result<ClientConfig, SinkError> {
    let failed = |error: rustls::Error| insecure(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(failed)?;
    let builder = match &target.ca {
        Some(file) => builder.with_root_certificates(authorities(file)?),
        None => builder.with_platform_verifier().map_err(failed)?,
    };
    match &target.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, error))?;
            builder.with_client_auth_cert(certificates(certificate)?, private).map_err(|error| {
                let reason = format!("and `{}` do not belong together: {error}", key.display());
                SinkError::Content { path: certificate.clone(), reason }
            })
        }
    }
}

fn authorities(file: &Path) -> Result<RootCertStore, SinkError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(file)?);
    if added == 0 {
        return Err(SinkError::Content { path: file.to_owned(), reason: NONE.to_owned() });
    }
    Ok(roots)
}

const NONE: &str = "has no certificate in it; give a PEM file";

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SinkError> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(|error| unread(file, error))?;
    match found.is_empty() {
        true => Err(SinkError::Content { path: file.to_owned(), reason: NONE.to_owned() }),
        false => Ok(found),
    }
}

fn unread(file: &Path, error: pem::Error) -> SinkError {
    let path: PathBuf = file.to_owned();
    match error {
        pem::Error::Io(error) => SinkError::file("read", file, error),
        pem::Error::NoItemsFound => {
            SinkError::Content { path, reason: "has no key in it; give a PEM file".to_owned() }
        }
        error => SinkError::Content { path, reason: format!("is damaged: {error}") },
    }
}

/// What went wrong below is said in the words of TLS, and what to do.
fn explained(error: &io::Error) -> String {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match of_tls {
        Some(rustls::Error::InvalidCertificate(reason)) => {
            format!("its certificate is refused: {reason}; look at `ca` and `server_name`")
        }
        Some(error) => error.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it ended the connection; does it speak TLS there, and does it want our `certificate`?".to_owned()
        }
        None => error.to_string(),
    }
}
