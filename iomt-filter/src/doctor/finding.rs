//! What a check found, how grave it is, and what mends it.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::diagnostic::{Diagnostic, Place};

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing is to be done.
    Ok,
    /// The filter protects; something deserves a look.
    Warning,
    /// The filter would not run, or not protect.
    Problem,
}

impl Level {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

macro_rules! checks {
    ($($(#[$doc:meta])* $check:ident = $name:literal,)*) => {
        /// What is looked at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Check {
            $($(#[$doc])* $check,)*
        }

        impl Check {
            /// All of them, in the order in which they are told.
            pub const ALL: &'static [Self] = &[$(Self::$check),*];

            /// The stable name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$check => $name,)*
                }
            }
        }
    };
}

checks! {
    /// Its age.
    Kernel = "kernel",
    /// What this process may do.
    Capabilities = "capabilities",
    /// Whether the kernel takes the filter's program.
    Program = "program",
    /// Whether the kernel describes its types.
    Btf = "btf",
    /// Whether programs are compiled.
    Jit = "jit",
    /// How the kernel is locked down.
    Lockdown = "lockdown",
    /// Whether tables may take the memory that they need.
    Memlock = "memlock",
    /// The time of day.
    Clock = "clock",
    /// Where programs and tables are pinned.
    Bpffs = "bpffs",
    /// Tables that are pinned there.
    Tables = "tables",
    /// The state folder.
    State = "state",
    /// The room in it.
    Disk = "disk",
    /// The control socket.
    Socket = "socket",
    /// The group whose members may read.
    Group = "group",
    /// The files.
    Configuration = "configuration",
    /// The age of the country database.
    Country = "country",
    /// Whether an interface is there and up.
    Interface = "interface",
    /// How the program runs on it.
    Native = "native",
    /// The size of its frames.
    Mtu = "mtu",
    /// Segments that its card puts together for good.
    Lro = "lro",
    /// Segments that its card puts together.
    GroHw = "gro-hw",
    /// What attaching does to its link.
    LinkReset = "link-reset",
    /// A bridge that it is, or belongs to.
    Bridge = "bridge",
    /// A bond that it is, or belongs to.
    Bond = "bond",
    /// A VLAN that it is.
    Vlan = "vlan",
    /// One of several interfaces on another.
    Macvlan = "macvlan",
    /// Hardware that forwards by itself.
    Switch = "switch",
    /// Tags that its card takes off.
    Rxvlan = "rxvlan",
    /// VLANs that its card drops.
    VlanFilter = "vlan-filter",
    /// Programs that are in the way.
    Xdp = "xdp",
    /// Whether packets get from one interface to another.
    Forwarding = "forwarding",
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// The interface that it is about.
    pub interface: Option<String>,
    /// How grave it is.
    pub level: Level,
    /// What was found: lower case, no full stop.
    pub found: String,
    /// The command that mends it, or what to do where no command does.
    pub mend: Option<String>,
    /// Whether a filter that started all the same would silently not protect.
    #[serde(skip)]
    pub refuses: bool,
}

impl Finding {
    /// All is well.
    pub(super) fn ok(check: Check, found: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, found.into())
    }

    /// Something deserves a look.
    pub(super) fn warning(check: Check, found: impl Into<String>) -> Self {
        Self::new(check, Level::Warning, found.into())
    }

    /// The filter would not run, or not protect.
    pub(super) fn problem(check: Check, found: impl Into<String>) -> Self {
        Self::new(check, Level::Problem, found.into())
    }

    /// With what mends it.
    pub(super) fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    /// About an interface.
    pub(super) fn on(mut self, interface: &str) -> Self {
        self.interface = Some(interface.to_owned());
        self
    }

    /// `run` must not start with it.
    pub(super) const fn refusing(mut self) -> Self {
        self.refuses = true;
        self
    }

    /// The same as what is said of a mistake in a file.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        let Self { interface, found, mend, .. } = self;
        let message = match interface {
            Some(interface) => format!("`{interface}`: {found}"),
            None => found.clone(),
        };
        let diagnostic = Diagnostic::error(&Place::default(), message);
        match mend {
            Some(mend) => diagnostic.help(mend),
            None => diagnostic,
        }
    }

    const fn new(check: Check, level: Level, found: String) -> Self {
        Self { check, interface: None, level, found, mend: None, refuses: false }
    }
}

/// A line, and a second one with what mends it.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, interface, level, found, mend, .. } = self;
        write!(f, "{:<9}{:<14}", level.name(), check.name())?;
        if let Some(interface) = interface {
            write!(f, "{interface}: ")?;
        }
        f.write_str(found)?;
        match mend {
            Some(mend) => write!(f, "\n{:<9}mend: {mend}", ""),
            None => Ok(()),
        }
    }
}

/// Everything that was found, in the order of the checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report(pub Vec<Finding>);

impl Report {
    /// How many findings are of a level.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|finding| finding.level == level).count()
    }

    /// Whether the filter can run here, and would protect.
    #[must_use]
    pub fn is_fit(&self) -> bool {
        self.count(Level::Problem) == 0
    }
}

/// `{"findings":[…],"problems":N,"warnings":N}`.
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Document<'r> {
            findings: &'r [Finding],
            problems: usize,
            warnings: usize,
        }
        let (problems, warnings) = (self.count(Level::Problem), self.count(Level::Warning));
        Document { findings: &self.0, problems, warnings }.serialize(serializer)
    }
}

/// The findings, and how many are not well.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            writeln!(f, "{finding}")?;
        }
        let number = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        let fit = if self.is_fit() { "fit" } else { "not fit" };
        let (problems, warnings) = (self.count(Level::Problem), self.count(Level::Warning));
        write!(f, "{fit}: {}, {}", number(problems, "problem"), number(warnings, "warning"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report() -> Report {
        let lro =
            Finding::problem(Check::Lro, "LRO is on").on("eth1").mend("ethtool -K eth1 lro off").refusing();
        Report(vec![Finding::ok(Check::Kernel, "6.18"), lro, Finding::warning(Check::Jit, "off")])
    }

    #[test]
    fn a_finding_is_a_line_and_what_mends_it_another() {
        let lines = "ok       kernel        6.18\n\
                     problem  lro           eth1: LRO is on\n         mend: ethtool -K eth1 lro off\n\
                     warning  jit           off\n\
                     not fit: 1 problem, 1 warning";
        assert_eq!(report().to_string(), lines);
        assert!(!report().is_fit() && Report::default().is_fit());
        assert_eq!(Report::default().to_string(), "fit: 0 problems, 0 warnings");
    }

    #[test]
    fn the_document_counts_what_is_not_well() {
        let document = serde_json::to_value(report()).unwrap();
        assert_eq!((&document["problems"], &document["warnings"]), (&json!(1), &json!(1)));
        let expected = json!({
            "check": "lro", "interface": "eth1", "level": "problem",
            "found": "LRO is on", "mend": "ethtool -K eth1 lro off",
        });
        assert_eq!(document["findings"][1], expected);
        assert_eq!(document["findings"][0]["mend"], json!(null));
    }
}
