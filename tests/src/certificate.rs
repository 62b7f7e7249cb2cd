//! A certificate authority for one test, and the certificates of those who speak TLS there, by `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

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
    /// Makes one, with its files in `folder`.
    ///
    /// # Errors
    /// When `openssl` is not there or refuses.
    pub fn make(folder: &Path) -> Result<Self> {
        let (key, certificate) = files(folder, "authority");
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]);
        command.args(["-subj", "/CN=Ward authority"]);
        run(command.arg("-keyout").arg(&key).arg("-out").arg(&certificate))?;
        Ok(Self { key, certificate })
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Vouches for a name, and for an address of this host.
    ///
    /// # Errors
    /// When `openssl` refuses.
    pub fn issue(&self, folder: &Path, name: &str) -> Result<Identity> {
        let (key, certificate) = files(folder, name);
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]);
        command.args(["-addext", "basicConstraints=critical,CA:FALSE", "-subj", &format!("/CN={name}")]);
        command.args(["-addext", &format!("subjectAltName=DNS:{name},IP:127.0.0.1")]);
        command.arg("-CA").arg(&self.certificate).arg("-CAkey").arg(&self.key);
        run(command.arg("-keyout").arg(&key).arg("-out").arg(&certificate))?;
        Ok(Identity { key, certificate, authority: self.certificate.clone() })
    }
}

impl Identity {
    /// The file with its key.
    #[must_use]
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// The file with its certificate.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// What DCMTK's programs want to hear: speak TLS, with this certificate, and ask the other for one.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let shown = |path: &Path| path.display().to_string();
        let [tls, file] = ["--enable-tls", "--add-cert-file"].map(str::to_owned);
        vec![tls, shown(&self.key), shown(&self.certificate), file, shown(&self.authority)]
    }
}

fn files(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    (folder.join(format!("{name}.key")), folder.join(format!("{name}.pem")))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().context("failed to start `openssl`")?;
    ensure!(output.status.success(), "`openssl` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
