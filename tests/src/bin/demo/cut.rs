//! A session that runs is cut by one command, and goes on when the block is withdrawn.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use iomt_filter_tests::hospital::connection::{Service, Session};
use iomt_filter_tests::hospital::events;
use iomt_filter_tests::hospital::host::{HL7, HTTPS, Host, INTEGRATION, Version};
use iomt_filter_tests::hospital::wait;
use jiff::Timestamp;

use crate::story::{Scene, milliseconds};

const LIMIT: Duration = Duration::from_secs(5);
/// The kernel sends again after ever longer pauses.
const RECOVERY: Duration = Duration::from_secs(15);
/// Messages that count as a running session.
const RUNNING: u64 = 100;
/// Messages that count as a session cut; the kernel takes a hundred before it wants an answer.
const UNANSWERED: u64 = 25;

/// Two sessions: the one that is cut, and one that is not to notice.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) vendor: Session,
    hl7: Session,
    _services: [Service; 2],
}

impl Sessions {
    pub(crate) fn start(scene: &Scene<'_>) -> Result<Self> {
        let hospital = scene.hospital;
        let vendor = Host::Vendor.at(Version::V4, HTTPS);
        let engine = (INTEGRATION.of(Version::V6), HL7).into();
        let services = [
            Service::start(&hospital[Host::Vendor], vendor)?,
            Service::start(&hospital[Host::Pacs], engine)?,
        ];
        Ok(Self {
            vendor: Session::start(&hospital[Host::Ct], vendor, LIMIT)?,
            hl7: Session::start(&hospital[Host::Pump], engine, LIMIT)?,
            _services: services,
        })
    }
}

pub(crate) fn cut(scene: &Scene<'_>, sessions: &Sessions) -> Result<()> {
    let address = Host::Vendor.address(Version::V4).to_string();
    scene.say.step("a running session is cut by `iomt-filter block add`");
    scene.say.tried(&format!("ct to vendor {address} over IPv4, pump to the integration engine over IPv6"));
    let running = runs(&sessions.vendor).and(runs(&sessions.hl7));
    scene.check("both sessions run", running.map(|()| "both sessions run, a message every 2 ms"))?;
    scene.say.tried(&format!("iomt-filter block add {address} --note demo"));
    scene.check("the session is cut", block(scene, sessions, &address))?;
    let noticed = runs(&sessions.hl7).and_then(|()| all_answered(&sessions.hl7));
    let noticed = noticed.map(|count| format!("the pump's session goes on: {count} messages, all answered"));
    scene.check("the pump's session goes on", noticed)?;

    scene.say.step("`iomt-filter block remove` lets it go on");
    scene.say.tried(&format!("iomt-filter block remove {address}"));
    scene.check("the session goes on", unblock(scene, sessions, &address))
}

fn block(scene: &Scene<'_>, sessions: &Sessions, address: &str) -> Result<String> {
    let (began, clock) = (Timestamp::now(), Instant::now());
    scene.filter.tell(&["block", "add", address, "--note", "demo"])?;
    let returned = clock.elapsed();
    let first = scene.events.wait("the session's first dropped packet", |event| {
        event["verdict"] == "drop"
            && event["reason"] == "blocklist"
            && (event["source"] == address || event["destination"] == address)
    })?;
    let answered = sessions.vendor.answered();
    let enough = sessions.vendor.sent() + UNANSWERED;
    wait::until("the session to send on", LIMIT, || Ok((sessions.vendor.sent() >= enough).then_some(())))?;
    ensure!(sessions.vendor.answered() == answered, "it is still answered");
    let dropped = Duration::try_from(events::time_of(&first)?.duration_since(began))
        .context("the packet was dropped before the command")?;
    let last = sessions.vendor.last_answer().saturating_duration_since(clock);
    Ok(format!(
        "{} from the command's start to the first dropped packet\n     \
         (time of day; the packet's by the kernel program's clock); last answer after {},\n     \
         command back after {}; the next {UNANSWERED} messages stay unanswered",
        milliseconds(dropped),
        milliseconds(last),
        milliseconds(returned),
    ))
}

fn unblock(scene: &Scene<'_>, sessions: &Sessions, address: &str) -> Result<String> {
    let before = sessions.vendor.answered();
    let clock = Instant::now();
    scene.filter.tell(&["block", "remove", address])?;
    wait::until("an answer", RECOVERY, || Ok((sessions.vendor.answered() > before).then_some(())))?;
    let back = clock.elapsed();
    let count = all_answered(&sessions.vendor)?;
    Ok(format!(
        "the same connection is answered again after {}, when TCP next retransmits;\n     \
         {count} messages, all answered",
        milliseconds(back)
    ))
}

fn runs(session: &Session) -> Result<()> {
    let enough = session.answered() + RUNNING;
    wait::until("a session's answers", LIMIT, || Ok((session.answered() >= enough).then_some(())))
}

/// Pauses the session until nothing is on its way, and says how many messages that were.
fn all_answered(session: &Session) -> Result<u64> {
    session.pause();
    let balanced = || Ok((session.answered() == session.sent()).then(|| session.sent()));
    let count = wait::until("every message to be answered", RECOVERY, balanced)?;
    session.resume();
    Ok(count)
}
