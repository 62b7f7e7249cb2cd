//! Whoever takes frames at the end of a path.

use std::fmt::Write as _;
use std::io::{Seek as _, Write as _};
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use aya::programs::{Xdp, XdpMode};
use bench_ebpf::{DROP, FLOOR};
use iomt_filter::datapath::Roles;
use iomt_filter::datapath::attach::WantedMode;
use iomt_filter_common::device::Port;
use iomt_filter_common::{Reason, Verdict};
use iomt_filter_tests::netns::Namespace;

use super::path::{IN, Path};
use crate::case::HOSPITAL;
use crate::countries::Countries;
use crate::driver::{OBJECT, xdp};
use crate::filter::Filter;
use crate::variant::Variant;

/// One of them, on a path of its own.
pub(crate) struct Receiver {
    pub(crate) name: &'static str,
    pub(crate) path: Path,
    /// Seconds that it took to take in the list.
    pub(crate) loaded: Option<f64>,
    judge: Judge,
}

/// What makes the receiver drop.
enum Judge {
    /// Nothing.
    Nobody,
    /// A program that answers all frames alike.
    Floor(#[expect(dead_code, reason = "held for the program's sake")] aya::Ebpf),
    Filter(Box<Filter>),
    Variant(Box<Variant>),
    /// The rule of iptables that this command shows counts what it drops.
    Dropped(&'static [&'static str]),
    /// A chain that this command shows counts what comes behind the rule. To show the chain of the rule, `nft` asks
    /// for every address of its set, which takes half a minute.
    Passed(&'static [&'static str]),
}

/// Rules of nftables in which `KIND` and `ADDRESSES` are replaced.
const NETDEV: &str = "table netdev bench { set listed { type ipv4_addr; KIND elements = { ADDRESSES }; }
    chain ingress { type filter hook ingress device \"in\" priority 0; ip daddr @listed counter drop; }; }
    table netdev behind { chain ingress { type filter hook ingress device \"in\" priority 10; counter; }; }";
const PREROUTING: &str = "table ip bench { set listed { type ipv4_addr; KIND elements = { ADDRESSES }; }
    chain prerouting { type filter hook prerouting priority -300; ip daddr @listed counter drop; }; }
    table ip behind { chain prerouting { type filter hook prerouting priority -290; counter; }; }";
const CONNTRACK: &str = "table ip bench { chain forward { type filter hook forward priority 0; \
    ct state established,related counter accept; ct state new counter accept; }; }";
const INTERVALS: &str = "flags interval;";
/// How long a list may take to be loaded.
const PATIENCE: Duration = Duration::from_secs(180);

impl Receiver {
    /// Nobody: the kernel forwards.
    pub(crate) fn nobody() -> Result<Self> {
        Ok(Self { name: "nothing loaded", path: Path::new()?, loaded: None, judge: Judge::Nobody })
    }

    /// A program that drops all, or passes all.
    pub(crate) fn floor(is_drop: bool) -> Result<Self> {
        let path = Path::new()?;
        let mut ebpf = aya::Ebpf::load(OBJECT).context("failed to load the floor")?;
        attach(xdp(&mut ebpf, if is_drop { DROP } else { FLOOR })?, &path)?;
        let name = if is_drop { "XDP_DROP" } else { "XDP_PASS" };
        Ok(Self { name, path, loaded: None, judge: Judge::Floor(ebpf) })
    }

    /// The whole filter.
    pub(crate) fn filter(countries: &Countries) -> Result<Self> {
        let path = Path::new()?;
        let mut filter = Filter::load(HOSPITAL, countries)?;
        let entered = path.enter()?;
        filter.datapath.attach(IN, &Roles::from(Port::Device), WantedMode::Native, &filter.token)?;
        drop(entered);
        Ok(Self { name: "iomt-filter", path, loaded: None, judge: Judge::Filter(Box::new(filter)) })
    }

    /// The variant.
    pub(crate) fn variant(countries: &Countries) -> Result<Self> {
        let path = Path::new()?;
        let start = Instant::now();
        let mut variant = Variant::load(HOSPITAL, countries)?;
        let loaded = Some(start.elapsed().as_secs_f64());
        attach(variant.program()?, &path)?;
        Ok(Self { name: "variant", path, loaded, judge: Judge::Variant(Box::new(variant)) })
    }

    /// nftables with a set of addresses.
    pub(crate) fn nftables(
        name: &'static str,
        is_netdev: bool,
        is_intervals: bool,
        listed: &[IpAddr],
    ) -> Result<Self> {
        let (rules, behind): (_, &[_]) = match is_netdev {
            true => (NETDEV, &["nft", "list", "chain", "netdev", "behind", "ingress"]),
            false => (PREROUTING, &["nft", "list", "chain", "ip", "behind", "prerouting"]),
        };
        let mut addresses = String::new();
        for address in listed {
            // Writing to a string cannot fail.
            let _ = write!(addresses, "{address},");
        }
        let kind = if is_intervals { INTERVALS } else { "" };
        let rules = rules.replace("KIND", kind).replace("ADDRESSES", addresses.trim_end_matches(','));
        Self::of_rules(name, &["nft", "-f", "-"], &rules, Judge::Passed(behind))
    }

    /// Connection tracking, which lets everything through.
    pub(crate) fn conntrack() -> Result<Self> {
        Self::of_rules("nftables, conntrack", &["nft", "-f", "-"], CONNTRACK, Judge::Nobody)
    }

    /// `ipset` behind a rule of iptables.
    pub(crate) fn ipset(listed: &[IpAddr]) -> Result<Self> {
        let mut commands = format!("create listed hash:ip hashsize 524288 maxelem {}\n", listed.len());
        for address in listed {
            let _ = writeln!(commands, "add listed {address}");
        }
        let counter = &["iptables", "-t", "raw", "-L", "PREROUTING", "-v", "-x", "-n"];
        let judge = Judge::Dropped(counter);
        let receiver = Self::of_rules("ipset, raw prerouting", &["ipset", "restore"], &commands, judge)?;
        let rule = "iptables -t raw -A PREROUTING -m set --match-set listed dst -j DROP";
        receiver.path.receiver.run(&["sh", "-c", rule])?;
        Ok(receiver)
    }

    fn of_rules(name: &'static str, command: &[&str], input: &str, judge: Judge) -> Result<Self> {
        let path = Path::new()?;
        let start = Instant::now();
        feed(&path.receiver, command, input).with_context(|| format!("`{name}` has not taken the list"))?;
        let loaded = (input.len() > 1000).then(|| start.elapsed().as_secs_f64());
        Ok(Self { name, path, loaded, judge })
    }

    /// Frames that it says it has dropped for the list; `None` where it does not count.
    pub(crate) fn dropped(&self) -> Result<Option<u64>> {
        match &self.judge {
            Judge::Nobody | Judge::Floor(_) => Ok(None),
            Judge::Filter(filter) => {
                let counts = filter.counts()?;
                let is_it =
                    |(_, verdict, reason): &_| (*verdict, *reason) == (Verdict::Drop, Reason::Blocklist);
                Ok(Some(counts.iter().filter(|(key, _)| is_it(key)).map(|(_, frames)| frames).sum()))
            }
            Judge::Variant(variant) => variant.dropped().map(Some),
            Judge::Dropped(command) => self.counted(command, "listed").map(Some),
            Judge::Passed(command) => {
                let passed = self.counted(command, "counter")?;
                Ok(Some(self.path.received()? - passed))
            }
        }
    }

    /// Packets that a rule has counted; the rule is in the line with this word.
    fn counted(&self, command: &[&str], word: &str) -> Result<u64> {
        let text = self.path.receiver.run(command)?;
        let line = text.lines().find(|line| line.contains(word)).context("the rule is gone")?;
        let mut words = line.split_whitespace().skip_while(|word| *word != "packets");
        let counted = words.nth(1).or_else(|| line.split_whitespace().next());
        let counted = counted.context("the rule does not count")?;
        counted.parse().with_context(|| format!("no number in `{line}`"))
    }
}

fn attach(program: &mut Xdp, path: &Path) -> Result<()> {
    if program.fd().is_err() {
        program.load()?;
    }
    let _entered = path.enter()?;
    program.attach(IN, XdpMode::Driver)?;
    Ok(())
}

/// Runs a command there that reads `input`, for as long as one bears it.
fn feed(namespace: &Namespace, command: &[&str], input: &str) -> Result<()> {
    // From a file, so that whoever does not read it keeps nobody waiting.
    let mut file = tempfile::tempfile().context("failed to make a file")?;
    file.write_all(input.as_bytes())?;
    file.rewind()?;
    let name = command.join(" ");
    let mut child = namespace
        .command(command)
        .stdin(file)
        .spawn()
        .with_context(|| format!("failed to start `{name}`"))?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "`{name}`: {status}");
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            bail!("`{name}` was not done after {} s", PATIENCE.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
}
