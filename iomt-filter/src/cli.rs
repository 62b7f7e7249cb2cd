//! The command line: what the user may say, and which verb answers.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::api::client::NotAllowed;
use crate::cmd;
use crate::events::Format;
use crate::output;

/// Keeps medical devices to the traffic that they need.
#[derive(Debug, Parser)]
#[command(name = "iomt-filter", version, max_term_width = 100)]
pub struct Cli {
    /// Agent configuration
    #[arg(long, global = true, env = "IOMT_FILTER_CONFIG", default_value = "/etc/iomt-filter/config.toml")]
    pub config: PathBuf,
    /// How data is printed
    #[arg(long, short, global = true, value_enum, default_value_t)]
    pub output: Printed,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON document, or one object a line for streams.
    Json,
}

/// How data is printed, events among it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Printed {
    /// For people
    #[default]
    Text,
    /// One JSON document, or one object a line for streams
    Json,
    /// Events as Suricata's EVE JSON
    Eve,
    /// Events as EVE JSON, with nothing that Suricata's schema does not know
    EveStrict,
    /// Events in the Common Event Format
    Cef,
    /// Events as OCSF's Network Activity
    Ocsf,
}

impl Printed {
    /// The format of events; nothing where they are printed for people.
    #[must_use]
    pub const fn format(self) -> Option<Format> {
        match self {
            Self::Text => None,
            Self::Json => Some(Format::Json),
            Self::Eve => Some(Format::Eve),
            Self::EveStrict => Some(Format::EveStrict),
            Self::Cef => Some(Format::Cef),
            Self::Ocsf => Some(Format::Ocsf),
        }
    }

    /// How what is no event is printed.
    fn of_others(self) -> Result<Output> {
        match (self, self.format()) {
            (Self::Text, _) => Ok(Output::Text),
            (Self::Json, _) => Ok(Output::Json),
            (_, format) => {
                let name = format.map_or("text", Format::name);
                bail!("`--output {name}` is for `events`; the others print `text` or `json`")
            }
        }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the agent in the foreground
    Run(cmd::run::Options),
    /// Validate configuration, policy, inventory and feeds; touch nothing
    Check(cmd::check::Options),
    /// Show what would change and what it would cut, by what devices did; touch nothing
    Plan(cmd::plan::Options),
    /// Show what runs: interfaces, generation, tables, feeds, counters
    Status,
    /// Make what the files say hold, until it is confirmed or at once
    Apply(cmd::apply::Options),
    /// Keep the change that is pending
    Confirm,
    /// Take the pending change back, or go back to an earlier generation
    Rollback(cmd::apply::RollbackOptions),
    /// List what was made to hold, by whom, and what became of it
    Generations,
    /// Cut a device off, for a time or until it is released
    Quarantine(cmd::exceptions::Quarantine),
    /// Break the glass: let a device, a profile or everything through for a time
    Bypass(cmd::exceptions::Bypass),
    /// End a quarantine or a bypass
    Release(cmd::exceptions::Release),
    /// Push, withdraw and list manual blocks
    Block(BlockArgs),
    /// Look at threat lists
    Feed(FeedArgs),
    /// Carry policy, feeds and country database to a site without internet, signed
    Bundle(BundleArgs),
    /// Look whether the log of changes is whole, and print it
    Audit(AuditArgs),
    /// Give a device access for a time; revoke and list
    Grant(cmd::grant::Options),
    /// What is known of an address, prefix or domain: lists, country, verdicts, who talked to it
    Lookup(cmd::lookup::Options),
    /// Show what was dropped, and why
    Events(cmd::events::Options),
    /// List devices with their counters
    Devices,
    /// List remembered flows
    Flows(cmd::flows::Options),
    /// Make rules of what devices did, and see which devices can be enforced
    Learn(LearnArgs),
    /// Look at the profiles of devices that ship, each rule with its source, and take one into the policy
    Profile(cmd::profile::Options),
    /// Say what devices are made of, and what of it is vulnerable (CycloneDX, SPDX, VEX)
    Sbom(SbomArgs),
    /// Rank what devices are exposed to by known and likely exploited vulnerabilities, and propose rules; touch nothing
    Risk(cmd::risk::Options),
    /// Read policy, inventory, feeds and geo again: all of it, or nothing where something is invalid
    Reload(cmd::reload::Options),
    /// Ask the real program about a packet, without sending one
    Explain(cmd::explain::Options),
    /// Run a capture through the real program, without an interface
    Replay(cmd::replay::Options),
    /// Look whether this host is fit for the filter, and what mends it where it is not; touch nothing
    Doctor(cmd::doctor::Options),
    /// Watch devices, reasons, events and feeds on a live screen
    Top(cmd::top::Options),
    /// Take the program off every interface: filtering ends
    Detach(cmd::detach::Options),
    /// Print a completion script
    Completions(cmd::completions::Options),
    /// Print a manual page
    Man(cmd::man::Options),
}

/// Manual blocks.
#[derive(Debug, Args)]
pub struct BlockArgs {
    /// What to do with them
    #[command(subcommand)]
    pub verb: cmd::block::Verb,
}

/// Threat lists.
#[derive(Debug, Args)]
pub struct FeedArgs {
    /// What to do with them
    #[command(subcommand)]
    pub verb: cmd::feed::Verb,
}

/// Bundles.
#[derive(Debug, Args)]
pub struct BundleArgs {
    /// What to do
    #[command(subcommand)]
    pub verb: cmd::bundle::Verb,
}

/// The log of changes.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// What to do with it
    #[command(subcommand)]
    pub verb: cmd::audit::Verb,
}

/// What devices did.
#[derive(Debug, Args)]
pub struct LearnArgs {
    /// What to say of it
    #[command(subcommand)]
    pub verb: cmd::learn::Verb,
}

/// Bills of materials.
#[derive(Debug, Args)]
pub struct SbomArgs {
    /// What to do with them
    #[command(subcommand)]
    pub verb: cmd::sbom::Verb,
}

/// Exit code for a finding: invalid policy, drift, something blocked, a refusal.
pub const FINDING: u8 = 1;
/// Exit code for a failure.
pub const FAILURE: u8 = 2;

/// Parses the command line, runs the verb, prints an error once.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => code,
        Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            // A refusal, as every other one.
            let is_refused = error.is::<NotAllowed>();
            ExitCode::from(if is_refused { FINDING } else { FAILURE })
        }
    }
}

fn run(Cli { config, output: printed, verb }: &Cli) -> Result<ExitCode> {
    let output = match verb {
        Verb::Events(options) => return cmd::events::run(config, options, *printed),
        _ => &printed.of_others()?,
    };
    match verb {
        Verb::Run(options) => cmd::run::run(config, options),
        Verb::Check(options) => cmd::check::run(config, options, *output),
        Verb::Plan(options) => cmd::plan::run(config, options, *output),
        Verb::Status => cmd::status::run(config, *output),
        Verb::Apply(options) => cmd::apply::run(config, options, *output),
        Verb::Confirm => cmd::apply::confirm(config, *output),
        Verb::Rollback(options) => cmd::apply::roll_back(config, options, *output),
        Verb::Generations => cmd::generations::run(config, *output),
        Verb::Quarantine(options) => cmd::exceptions::quarantine(config, options, *output),
        Verb::Bypass(options) => cmd::exceptions::bypass(config, options, *output),
        Verb::Release(options) => cmd::exceptions::release(config, options, *output),
        Verb::Block(block) => cmd::block::run(config, &block.verb, *output),
        Verb::Feed(feed) => cmd::feed::run(config, &feed.verb, *output),
        Verb::Bundle(bundle) => cmd::bundle::run(config, &bundle.verb, *output),
        Verb::Audit(audit) => cmd::audit::run(config, &audit.verb, *output),
        Verb::Grant(options) => cmd::grant::run(config, options, *output),
        Verb::Lookup(options) => cmd::lookup::run(config, options, *output),
        Verb::Events(options) => cmd::events::run(config, options, *printed),
        Verb::Devices => cmd::devices::run(config, *output),
        Verb::Flows(options) => cmd::flows::run(config, options, *output),
        Verb::Learn(learn) => cmd::learn::run(config, &learn.verb, *output),
        Verb::Profile(options) => cmd::profile::run(config, options, *output),
        Verb::Sbom(sbom) => cmd::sbom::run(config, &sbom.verb, *output),
        Verb::Risk(options) => cmd::risk::run(config, options, *output),
        Verb::Reload(options) => cmd::reload::run(config, options, *output),
        Verb::Explain(options) => cmd::explain::run(config, options, *output),
        Verb::Replay(options) => cmd::replay::run(config, options, *output),
        Verb::Doctor(options) => cmd::doctor::run(config, options, *output),
        Verb::Top(options) => cmd::top::run(config, options, *output),
        Verb::Detach(options) => cmd::detach::run(config, options),
        Verb::Completions(options) => cmd::completions::run(options),
        Verb::Man(options) => cmd::man::run(options),
    }
}
