//! A real syslog server: rsyslog, with UDP, TCP and TLS on ports of their own, and a file for each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::program::Program;
use crate::certificate::{Authority, Identity};
use crate::netns::Namespace;

const START: Duration = Duration::from_secs(20);

/// How events come in, and the port for it.
pub const WAYS: [(&str, u16); 3] = [("udp", 5_514), ("tcp", 6_014), ("tls", 6_514)];

/// rsyslog; killed when this value goes.
#[derive(Debug)]
pub struct Collector {
    folder: PathBuf,
    program: Option<Program>,
}

impl Collector {
    /// Writes its files. It shows `identity`, and wants to see a certificate that `authority` vouches for.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn configure(folder: &Path, authority: &Authority, identity: &Identity) -> Result<Self> {
        let folder = folder.join("collector");
        fs::create_dir_all(folder.join("work")).context("failed to make a folder for rsyslog")?;
        let at = folder.display();
        let (ca, certificate, key) =
            (authority.certificate().display(), identity.certificate().display(), identity.key().display());
        let [(_, udp), (_, tcp), (_, tls)] = WAYS;
        let rulesets: String = WAYS
            .iter()
            .map(|(way, _)| {
                format!(
                    "ruleset(name=\"{way}\") {{ action(type=\"omfile\" file=\"{at}/{way}.log\" template=\"all\") }}\n"
                )
            })
            .collect();
        let text = format!(
            "global(workDirectory=\"{at}/work\" maxMessageSize=\"64k\" \
             defaultNetstreamDriverCAFile=\"{ca}\" defaultNetstreamDriverCertFile=\"{certificate}\" \
             defaultNetstreamDriverKeyFile=\"{key}\")\n\
             module(load=\"imudp\")\nmodule(load=\"imtcp\")\n\
             template(name=\"all\" type=\"string\" \
             string=\"%pri% %hostname% %app-name% %msgid% %structured-data% %msg%\\n\")\n\
             {rulesets}\
             input(type=\"imudp\" address=\"127.0.0.1\" port=\"{udp}\" ruleset=\"udp\")\n\
             input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{tcp}\" ruleset=\"tcp\")\n\
             input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{tls}\" ruleset=\"tls\" streamDriver.name=\"gtls\" \
             streamDriver.mode=\"1\" streamDriver.authMode=\"x509/certvalid\")\n"
        );
        fs::write(folder.join("rsyslog.conf"), text).context("failed to write rsyslog's configuration")?;
        Ok(Self { folder, program: None })
    }

    /// Starts it, or starts it anew.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub fn start(&mut self, inside: &Namespace) -> Result<()> {
        self.stop();
        let mut command = Command::new("rsyslogd");
        command.arg("-n").arg("-f").arg(self.folder.join("rsyslog.conf"));
        command.arg("-i").arg(self.folder.join("pid"));
        let mut program = Program::start(inside, &mut command, &self.folder.join("said.log"))?;
        for (_, port) in WAYS.iter().filter(|(way, _)| *way != "udp") {
            program.wait_for_port(*port, START)?;
        }
        self.program = Some(program);
        Ok(())
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.program = None;
    }

    /// What came in by one way: priority, host, program, kind, structured data and message of each event.
    #[must_use]
    pub fn received(&self, way: &str) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join(format!("{way}.log"))).unwrap_or_default();
        // The last line may not be complete yet.
        text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
    }
}
