//! A certificate authority for one test, and servers that it vouches for, by `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Who vouches for others.
pub(crate) struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn make() -> Self {
        let authority = Self { folder: tempfile::tempdir().unwrap() };
        authority.openssl("authority", &["-subj", "/CN=Authority of a test"]);
        authority
    }

    /// Its own certificate, a file.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.file("authority.pem")
    }

    /// What a server with a certificate for `name` runs with.
    pub(crate) fn vouch(&self, name: &str) -> Arc<ServerConfig> {
        let (certificate, key) = (self.certificate(), self.file("authority.key"));
        let alternative = format!("subjectAltName=DNS:{name}");
        let mut arguments = vec!["-subj", "/CN=server", "-addext", &alternative];
        arguments.extend(["-addext", "basicConstraints=critical,CA:FALSE"]);
        arguments.extend(["-CA", text(&certificate), "-CAkey", text(&key)]);
        self.openssl("server", &arguments);
        let certificate = CertificateDer::from_pem_file(self.file("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.file("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        Arc::new(builder.unwrap().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, name: &str, arguments: &[&str]) {
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-nodes", "-days", "1", "-newkey", "ec"]);
        command.args(["-pkeyopt", "ec_paramgen_curve:prime256v1"]).args(arguments);
        command.arg("-keyout").arg(self.file(&format!("{name}.key")));
        command.arg("-out").arg(self.file(&format!("{name}.pem")));
        let output = command.output().expect("`openssl` is on the path");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
