//! The filter on the segmentation host: its files, its agent, its command line.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ipnet::IpNet;
use mmdb_writer::{Value as Entry, Writer};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::Hospital;
use super::host::Host;
use super::program::{self, Answer, Program};
use super::somebody::Somebody;
use super::wait;
use crate::netns::Namespace;

/// How long the agent may take to load, attach and answer.
const START: Duration = Duration::from_secs(60);
/// How long a command may take.
const COMMAND: Duration = Duration::from_secs(60);

/// The policy of the hospital.
pub const POLICY: &str = include_str!("files/policy.toml");
const DEVICES: &str = include_str!("files/devices.toml");
const THREATS: &str = include_str!("files/threats.txt");
/// Which country is denied, and the networks that are made out to be there.
pub const DENIED_COUNTRY: &str = "KP";
const DENIED_NETWORKS: [&str; 2] = ["192.0.2.0/24", "2001:db8:de::/64"];
/// Where the vendor and its cloud are made out to be.
const VENDOR_COUNTRY: &str = "DE";
const VENDOR_NETWORKS: [&str; 4] =
    ["198.51.100.0/24", "203.0.113.0/24", "2001:db8:aa::/64", "2001:db8:c2::/64"];

/// The filter; taken off every interface when this value goes.
#[derive(Debug)]
pub struct Filter<'h> {
    host: &'h Namespace,
    binary: PathBuf,
    folder: PathBuf,
    pins: PathBuf,
    agent: Option<Program>,
    /// Who the agent runs as, where that is not root.
    somebody: Option<Somebody>,
    environment: Vec<(String, String)>,
}

/// The interfaces that an agent judges on, and what lives behind them.
#[derive(Clone, Copy, Debug)]
pub struct Ports<'p> {
    /// Those that face devices.
    pub device: &'p [&'p str],
    /// The one that faces the hospital network.
    pub uplink: &'p str,
    /// Networks behind the device ports.
    pub segments: &'p [&'p str],
}

impl<'h> Filter<'h> {
    /// Writes the files of an agent in a hospital, and starts nothing.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn configure(hospital: &'h Hospital, binary: &Path) -> Result<Self> {
        let ports: Vec<_> = Host::DEVICES.iter().map(|device| format!("port-{}", device.name())).collect();
        let ports = Ports {
            device: &ports.iter().map(String::as_str).collect::<Vec<_>>(),
            uplink: "uplink",
            segments: &["10.10.0.0/24", "2001:db8:10::/64"],
        };
        let host = &hospital[Host::Segmentation];
        let filter = Self::install(host, (hospital.name(), hospital.folder()), binary, ports)?;
        filter.write("policy.toml", POLICY)?;
        filter.write("devices.toml", DEVICES)?;
        filter.know_far_ends(THREATS)?;
        Ok(filter)
    }

    /// Adds a threat list, and a database in which documentation networks have countries, to the configuration.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn know_far_ends(&self, threats: &str) -> Result<()> {
        self.write("threats.txt", threats)?;
        self.write("country.mmdb", countries()?)?;
        let (mut text, folder) = (fs::read_to_string(self.config())?, self.folder.display());
        let _ = write!(
            text,
            "\n[geo]\n\
             database = \"{folder}/country.mmdb\"\n\n\
             [[feed]]\n\
             name   = \"threats\"\n\
             path   = \"{folder}/threats.txt\"\n\
             format = \"plain\"\n\
             score  = 90\n",
        );
        self.write("config.toml", text)
    }

    /// Writes the configuration of an agent on any host; policy and inventory are the caller's to
    /// [`write`](Self::write). `place` is the name that its pins get, and the folder for its files.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn install(
        host: &'h Namespace,
        place: (&str, &Path),
        binary: &Path,
        ports: Ports<'_>,
    ) -> Result<Self> {
        ensure!(
            binary.is_file(),
            "no agent at `{}`: build it by `cargo xtask build`, and name it in `IOMT_FILTER_BIN`",
            binary.display()
        );
        let folder = place.1.join("iomt-filter");
        fs::create_dir_all(&folder).context("failed to make a folder for the filter")?;
        let filter = Self {
            host,
            binary: binary.to_owned(),
            folder,
            pins: pins(place.0),
            agent: None,
            somebody: None,
            environment: Vec::new(),
        };
        filter.write("config.toml", filter.configuration(ports))?;
        Ok(filter)
    }

    fn configuration(&self, ports: Ports<'_>) -> String {
        let (folder, pins) = (self.folder.display(), self.pins.display());
        let Ports { device, uplink, segments } = ports;
        format!(
            "[interfaces]\n\
             device   = {device:?}\n\
             uplink   = [\"{uplink}\"]\n\
             segments = {segments:?}\n\n\
             [paths]\n\
             policy  = \"{folder}/policy.toml\"\n\
             devices = \"{folder}/devices.toml\"\n\
             socket  = \"{folder}/control.sock\"\n\
             state   = \"{folder}/state\"\n\
             pins    = \"{pins}\"\n",
        )
    }

    /// Lets everybody on this machine go to the folder and run the program: a copy of it lies there from then on.
    ///
    /// # Errors
    /// When there is no room for one.
    pub fn open_to_everybody(&mut self) -> Result<()> {
        let copy = self.folder.join("iomt-filter");
        // Not every file system knows links, and the folder may lie on another one.
        if fs::hard_link(&self.binary, &copy).is_err() {
            fs::copy(&self.binary, &copy).context("failed to copy the program")?;
        }
        for path in [self.folder.parent().unwrap_or(&self.folder), &self.folder] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        self.binary = copy;
        Ok(())
    }

    /// Runs the agent as somebody else from its next start on, as a service manager does: with folders of its own, and
    /// with what it is to have in its environment.
    ///
    /// # Errors
    /// When a folder cannot be made or given to it.
    pub fn run_as(&mut self, somebody: Somebody, environment: &[(String, String)]) -> Result<()> {
        for folder in [&self.folder, &self.folder.join("state"), &self.pins] {
            fs::create_dir_all(folder)?;
            chown(folder, Some(somebody.user), Some(somebody.group))?;
        }
        self.somebody = Some(somebody);
        self.environment = environment.to_vec();
        Ok(())
    }

    /// Writes one of the filter's files.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, content).with_context(|| format!("failed to write `{}`", path.display()))
    }

    /// Starts the agent, and waits until it judges on every interface.
    ///
    /// # Errors
    /// When it ends or does not answer, with what it said.
    pub fn start(&mut self) -> Result<()> {
        self.launch()?;
        let answered = wait::until("the agent to answer `iomt-filter status`", START, || {
            self.check()?;
            Ok(self.ask(&["status"])?.status.success().then_some(()))
        });
        // An agent that has ended has had its say already.
        if self.check().is_err() || wait::is_interrupted() {
            return answered;
        }
        answered.with_context(|| format!("the agent said:\n{}", self.log()))
    }

    /// Starts the agent, and does not wait for it.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn launch(&mut self) -> Result<()> {
        let log = self.folder.join("agent.log");
        let mut command = self.command(&["run"]);
        if let Some(somebody) = &self.somebody {
            command = somebody.runs(&command);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.agent = Some(Program::start(self.host(), &mut command, &log)?);
        Ok(())
    }

    /// Has the agent read its files again by a signal, as somebody does who has no socket.
    ///
    /// # Errors
    /// When there is none.
    pub fn hang_up(&self) -> Result<()> {
        self.agent.as_ref().context("the agent was not started")?.signal(Signal::SIGHUP)
    }

    /// That the agent still runs.
    ///
    /// # Errors
    /// When it does not, with the end of its log.
    pub fn check(&mut self) -> Result<()> {
        self.agent.as_mut().context("the agent was not started")?.check()
    }

    /// Kills the agent by a signal that it cannot catch.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill(&mut self) -> Result<()> {
        self.agent.take().context("the agent was not started")?.signal(Signal::SIGKILL)
    }

    /// Stops the agent as it wants to be stopped, and leaves what it attached.
    ///
    /// # Errors
    /// When there is none, or it does not end, or not well.
    pub fn stop(&mut self) -> Result<()> {
        let status = self.agent.take().context("the agent was not started")?.stop()?;
        ensure!(status.success(), "the agent ended with {status}");
        Ok(())
    }

    /// Sends the agent a signal.
    ///
    /// # Errors
    /// When there is none.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.agent.as_ref().context("the agent was not started")?.signal(signal)
    }

    /// The agent's process.
    ///
    /// # Errors
    /// When there is none.
    pub fn id(&self) -> Result<u32> {
        Ok(self.agent.as_ref().context("the agent was not started")?.id())
    }

    /// The end of the agent's log.
    #[must_use]
    pub fn log(&self) -> String {
        self.agent.as_ref().map(Program::tail).unwrap_or_default()
    }

    /// The host that the filter runs on.
    #[must_use]
    pub const fn host(&self) -> &Namespace {
        self.host
    }

    /// The command line, with the filter's own configuration.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--config").arg(self.config()).args(arguments).env("NO_COLOR", "1");
        command
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn ask(&self, arguments: &[&str]) -> Result<Answer> {
        program::run(self.host(), &mut self.command(arguments), COMMAND)
    }

    /// Runs a command as somebody else to its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn ask_as(&self, somebody: &Somebody, arguments: &[&str]) -> Result<Answer> {
        program::run(self.host(), &mut somebody.runs(&self.command(arguments)), COMMAND)
    }

    /// Runs a command that must succeed; returns what it printed.
    ///
    /// # Errors
    /// When it fails.
    pub fn tell(&self, arguments: &[&str]) -> Result<String> {
        self.ask(arguments)?.success(&format!("iomt-filter {}", arguments.join(" ")))
    }

    /// Runs a command that must succeed; returns the JSON it printed.
    ///
    /// # Errors
    /// When it fails or prints something else.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.tell(&[arguments, &["--output", "json"]].concat())?;
        serde_json::from_str(&output).with_context(|| format!("no JSON: {output}"))
    }

    /// Sends a request to the control socket, without the program in between; status and what came with it.
    ///
    /// # Errors
    /// When nobody answers, or with something else than JSON.
    pub fn post(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        self.request("POST", path, body)
    }

    /// The same without a body.
    ///
    /// # Errors
    /// As of [`post`](Self::post).
    pub fn get(&self, path: &str) -> Result<(u16, Value)> {
        self.request("GET", path, &Value::Null)
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Result<(u16, Value)> {
        let mut stream =
            UnixStream::connect(self.socket()).context("nobody answers on the control socket")?;
        // What is not read would end the connection with an error.
        let body = if body.is_null() { String::new() } else { body.to_string() };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("the agent stopped in the middle of an answer")?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the agent gave no answer")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((
            status.context("no HTTP")?,
            serde_json::from_str(body).with_context(|| format!("no JSON: {body}"))?,
        ))
    }

    /// Its control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join("control.sock")
    }

    /// Its state folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    /// A folder for logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The agent's binary.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Stops the agent and takes the program off every interface.
    ///
    /// # Errors
    /// When either fails; pins are removed even so.
    pub fn remove(mut self) -> Result<()> {
        self.clean()
    }

    fn clean(&mut self) -> Result<()> {
        let stopped = self.agent.take().map_or(Ok(()), |agent| agent.stop().map(drop));
        if !self.pins.exists() {
            return stopped;
        }
        // Not by `ask`, whose wait ends at once when the user has interrupted.
        let detached = self.command(&["detach", "--yes"]).output().context("failed to detach");
        if self.pins.exists() {
            fs::remove_dir_all(&self.pins)
                .with_context(|| format!("failed to remove `{}`", self.pins.display()))?;
        }
        let output = detached?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`iomt-filter detach --yes` failed: {}", said.trim());
        stopped
    }
}

impl Drop for Filter<'_> {
    fn drop(&mut self) {
        // An error of this kind is for those who call `remove`.
        let _ = self.clean();
    }
}

/// Where the filter of the hospital with this name keeps its pins.
#[must_use]
pub fn pins(name: &str) -> PathBuf {
    Path::new("/sys/fs/bpf").join(name)
}

/// A country database in which some documentation networks have a country.
fn countries() -> Result<Vec<u8>> {
    let mut writer = Writer::new("iomt-filter-demo-Country");
    let places = [(DENIED_COUNTRY, &DENIED_NETWORKS[..]), (VENDOR_COUNTRY, &VENDOR_NETWORKS[..])];
    for (code, networks) in places {
        let country = || Entry::map([("country", Entry::map([("iso_code", Entry::from(code))]))]);
        for network in networks {
            writer.insert_value(network.parse::<IpNet>()?, country())?;
        }
    }
    writer.to_bytes().context("failed to make the country database")
}
