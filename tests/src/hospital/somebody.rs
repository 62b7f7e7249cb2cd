//! Programs that run as somebody else than root: as another user, with groups and capabilities of their own.

use std::process::Command;

/// Somebody. Numbers need no names on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Somebody {
    /// The user.
    pub user: u32,
    /// Its group.
    pub group: u32,
    /// Groups beside that.
    pub groups: Vec<u32>,
    /// Capabilities, as a unit of systemd names them; all others are out of reach.
    pub capabilities: Vec<String>,
}

impl Somebody {
    /// A user with a group of the same number, and groups beside that.
    #[must_use]
    pub fn new(user: u32, groups: &[u32]) -> Self {
        Self { user, group: user, groups: groups.to_vec(), capabilities: Vec::new() }
    }

    /// The same command, run as this one.
    #[must_use]
    pub fn runs(&self, command: &Command) -> Command {
        let mut theirs = Command::new("setpriv");
        theirs.args([format!("--reuid={}", self.user), format!("--regid={}", self.group)]);
        match self.groups.as_slice() {
            [] => theirs.arg("--clear-groups"),
            groups => {
                let groups: Vec<_> = groups.iter().map(u32::to_string).collect();
                theirs.arg(format!("--groups={}", groups.join(",")))
            }
        };
        let mut kept = "-all".to_owned();
        for capability in &self.capabilities {
            kept.push_str(&format!(",+{}", capability.trim_start_matches("CAP_").to_lowercase()));
        }
        for set in ["inh-caps", "ambient-caps", "bounding-set"] {
            theirs.arg(format!("--{set}={kept}"));
        }
        theirs.args(["--no-new-privs", "--"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => theirs.env(name, value),
                None => theirs.env_remove(name),
            };
        }
        theirs
    }
}
