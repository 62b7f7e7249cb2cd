//! A certificate authority for one test, and the certificates of those who speak TLS there, by `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::{Station, Ward};
use crate::hospital::program;

const LIMIT: Duration = Duration::from_secs(20);

/// Who vouches for others.
#[derive(Debug)]
pub struct Authority {
    key: PathBuf,
    certificate: PathBuf,
}

/// A key and its certificate.
#[derive(Debug)]
pub struct Identity {
    key: PathBuf,
    certificate: PathBuf,
    authority: PathBuf,
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// When `openssl` is not there or refuses.
    pub fn make(ward: &Ward) -> Result<Self> {
        let (key, certificate) = files(ward, "authority");
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]);
        command.args(["-subj", "/CN=Ward authority"]);
        run(ward, command.arg("-keyout").arg(&key).arg("-out").arg(&certificate))?;
        Ok(Self { key, certificate })
    }

    /// Vouches for a name.
    ///
    /// # Errors
    /// When `openssl` refuses.
    pub fn issue(&self, ward: &Ward, name: &str) -> Result<Identity> {
        let (key, certificate) = files(ward, name);
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]);
        command.args(["-addext", "basicConstraints=critical,CA:FALSE", "-subj", &format!("/CN={name}")]);
        command.arg("-CA").arg(&self.certificate).arg("-CAkey").arg(&self.key);
        run(ward, command.arg("-keyout").arg(&key).arg("-out").arg(&certificate))?;
        Ok(Identity { key, certificate, authority: self.certificate.clone() })
    }
}

impl Identity {
    /// What DCMTK's programs want to hear: speak TLS, with this certificate, and ask the other for one.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let shown = |path: &Path| path.display().to_string();
        let [tls, file] = ["--enable-tls", "--add-cert-file"].map(str::to_owned);
        vec![tls, shown(&self.key), shown(&self.certificate), file, shown(&self.authority)]
    }
}

fn files(ward: &Ward, name: &str) -> (PathBuf, PathBuf) {
    (ward.file(&format!("{name}.key")), ward.file(&format!("{name}.pem")))
}

fn run(ward: &Ward, command: &mut Command) -> Result<()> {
    program::run(&ward[Station::Server], command, LIMIT)?.success("openssl").map(drop)
}
