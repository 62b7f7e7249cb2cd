//! A block by hand that cuts a TCP session while data flows: two kernels' real TCP, a cable between two network
//! namespaces, and the filter on both of its ends.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use iomt_filter::datapath::attach::WantedMode;
use iomt_filter::datapath::{Roles, Room};
use iomt_filter_common::device::Port;
use iomt_filter_common::{Address, Reason, Verdict};
use iomt_filter_tests::netns::{Namespace, Netns};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::push::quantiles;
use super::with;
use crate::case::HOSPITAL;
use crate::countries::Countries;
use crate::far_ends::{self, Kind};
use crate::figure::Figure;
use crate::filter::Filter;
use crate::hospital::{ALLOWED_PORT, Family, Hospital, device_address, device_mac};

/// The device that speaks.
const DEVICE: u32 = 1;
const FAR_MAC: &str = "02:ff:00:00:00:01";
/// What it sends at a time, and how often.
const SEGMENT: [u8; 200] = [0x5a; 200];
const PAUSE: Duration = Duration::from_micros(100);
/// How long a session lives before it is cut.
const LIFE: Duration = Duration::from_millis(50);

/// The ends of the cable; they go with it.
struct Cable {
    _networks: Netns,
    device: Namespace,
    far: Namespace,
}

/// Cuts so many sessions, each with a far end of its own.
pub(super) fn cut(countries: &Countries, times: usize) -> Result<Vec<Figure>> {
    let hospital = Hospital { records_all: true, ..HOSPITAL };
    let rows = hospital.rows(countries);
    let mut filter = Filter::load_rows(hospital, rows.clone(), Room::with_headroom)?;
    let far_ends = far_ends::some(countries, Family::V4, Kind::Clean, times);
    let cable = Cable::new(&far_ends)?;
    for (namespace, interface, port) in
        [(&cable.far, "far", Port::Device), (&cable.device, "device", Port::Uplink)]
    {
        let entered = namespace.enter()?;
        filter.datapath.attach(interface, &Roles::from(port), WantedMode::Native, &filter.token)?;
        drop(entered);
    }
    let listener = cable.far.inside(|| TcpListener::bind((IpAddr::from([0, 0, 0, 0]), ALLOWED_PORT)))??;
    let mut blocked = rows;
    let mut latencies = Vec::new();
    for address in far_ends {
        let latency = thread::scope(|scope| -> Result<f64> {
            let session = Session::open(scope, &cable, &listener, address)?;
            thread::sleep(LIFE);
            let before = session.received();
            ensure!(before > 0, "nothing came through to {address}");
            while filter.record().is_some() {}
            let counted = dropped(&filter)?;
            let start = boot_time()?;
            blocked.blocks = with(&blocked.blocks, address);
            filter.datapath.apply(blocked.clone(), &filter.token)?;
            let first = first_drop(&mut filter, address)?;
            ensure!(dropped(&filter)? > counted, "no counter says that a segment to {address} was dropped");
            session.check_silence()?;
            Ok(first.saturating_sub(start).as_secs_f64() * 1e3)
        });
        latencies.push(latency?);
    }
    let note = format!(
        "{times} TCP sessions, a segment every {} µs or so; by the time in the record",
        PAUSE.as_micros()
    );
    Ok(quantiles("a running TCP session is cut: call to first dropped segment", &latencies, &note))
}

impl Cable {
    fn new(far_ends: &[IpAddr]) -> Result<Self> {
        let mut networks = Netns::new("iomtb");
        let (device, far) = (networks.add("dev")?, networks.add("far")?);
        // The filter knows interfaces by their index: two namespaces would give both ends the same one.
        far.ip(&["tuntap", "add", "dev", "other", "mode", "tun"])?;
        networks.cable((&device, "device"), (&far, "far"))?;
        let mac = device_mac(DEVICE).0.map(|byte| format!("{byte:02x}")).join(":");
        let own = device_address(Family::V4, DEVICE).to_string();
        device.ip(&["link", "set", "device", "address", &mac])?;
        far.ip(&["link", "set", "far", "address", FAR_MAC])?;
        device.address("device", &format!("{own}/16"))?;
        device.ip(&["neigh", "add", "10.20.255.1", "lladdr", FAR_MAC, "dev", "device"])?;
        device.route("default", "10.20.255.1")?;
        far.address("far", "10.20.255.1/16")?;
        far.ip(&["neigh", "add", &own, "lladdr", &mac, "dev", "far"])?;
        for address in far_ends {
            far.address("far", &format!("{address}/32"))?;
        }
        Ok(Self { _networks: networks, device, far })
    }
}

/// A connection in which data flows until this value goes away.
struct Session {
    near: TcpStream,
    far: TcpStream,
    state: Arc<State>,
}

/// What its threads share.
#[derive(Default)]
struct State {
    received: AtomicU64,
    is_over: AtomicBool,
}

impl Session {
    fn open<'s>(
        scope: &'s Scope<'s, '_>,
        cable: &Cable,
        listener: &TcpListener,
        address: IpAddr,
    ) -> Result<Self> {
        let wanted = SocketAddr::from((address, ALLOWED_PORT));
        let connect = || TcpStream::connect_timeout(&wanted, Duration::from_secs(2));
        let near = cable.device.inside(connect)?.with_context(|| format!("no connection to {address}"))?;
        let (far, _) = listener.accept()?;
        near.set_nodelay(true)?;
        let session = Self { near, far, state: Arc::default() };
        let (mut sender, mut receiver) = (session.near.try_clone()?, session.far.try_clone()?);
        let (state, of_receiver) = (session.state.clone(), session.state.clone());
        scope.spawn(move || {
            roam();
            while !state.is_over.load(Ordering::Relaxed) && sender.write_all(&SEGMENT).is_ok() {
                thread::sleep(PAUSE);
            }
        });
        scope.spawn(move || {
            roam();
            let mut buffer = [0; 4096];
            while let Ok(bytes @ 1..) = receiver.read(&mut buffer) {
                of_receiver.received.fetch_add(bytes as u64, Ordering::Relaxed);
            }
        });
        Ok(session)
    }

    fn received(&self) -> u64 {
        self.state.received.load(Ordering::Relaxed)
    }

    /// Nothing comes through any more.
    fn check_silence(&self) -> Result<()> {
        // What was let through has been read by then.
        thread::sleep(Duration::from_millis(5));
        let before = self.received();
        thread::sleep(Duration::from_millis(20));
        let more = self.received() - before;
        ensure!(more == 0, "{more} bytes came through a session that is cut");
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        // Whoever waits for this session wakes up; what fails is over already.
        let _ = self.near.shutdown(Shutdown::Both);
        let _ = self.far.shutdown(Shutdown::Both);
    }
}

/// When the first segment of a session was dropped.
fn first_drop(filter: &mut Filter, far_end: IpAddr) -> Result<Duration> {
    let far_end = Address::from(far_end);
    let start = Instant::now();
    loop {
        ensure!(start.elapsed() < Duration::from_secs(1), "no segment was dropped in a second");
        let Some(event) = filter.record() else {
            thread::sleep(PAUSE);
            continue;
        };
        let is_of_session = [event.packet.source, event.packet.destination].contains(&far_end);
        if is_of_session && event.decision.reason() == Some(Reason::Blocklist) {
            return Ok(Duration::from_nanos(event.time));
        }
    }
}

/// Frames that were dropped for a list.
fn dropped(filter: &Filter) -> Result<u64> {
    let counts = filter.datapath.readings().counts(DEVICE..=DEVICE)?;
    let is_it = |verdict, reason| (verdict, reason) == (Verdict::Drop, Reason::Blocklist);
    Ok(counts.iter().filter(|row| is_it(row.verdict, row.reason)).map(|row| row.frames).sum())
}

fn boot_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_BOOTTIME).context("failed to read the clock")?.into())
}

/// Runs on any CPU, other than who measures.
fn roam() {
    let mut all = CpuSet::new();
    let wanted = (0..CpuSet::count()).try_for_each(|cpu| all.set(cpu));
    // Without it both share one CPU, which is slower and right all the same.
    let _ = wanted.and_then(|()| sched_setaffinity(Pid::from_raw(0), &all));
}
