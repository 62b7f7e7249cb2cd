//! Whoever asks the agent much keeps it from nothing: it goes on saying that it lives, and does its work in
//! time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aya::maps::{Array, Map, MapData};
use iomt_filter_tests::hospital::filter::{Filter, pins};
use iomt_filter_tests::hospital::wait;
use nix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::can_run;
use crate::hospital::{agent, build};

/// Devices beside those of the hospital.
const DEVICES: u32 = 400;
/// Of each of the paths below.
const ASKING: usize = 6;
const PATHS: [&str; 4] = [
    "/v1/status",
    "/v1/devices",
    "/v1/flows",
    "/v1/explain?device=ct-1&peer=198.51.100.7&is_from=false&service=https",
];
/// How long they ask before something is to be done.
const BEFORE: Duration = Duration::from_secs(3);
const BLOCK: Duration = Duration::from_secs(3);
/// How much later than it should a block may end, on a machine with nothing to spare.
const LATE: Duration = Duration::from_secs(4);
const OLDEST: Duration = Duration::from_secs(2);

/// Answers by path and status.
type Answers = BTreeMap<(&'static str, u16), usize>;

fn inventory(devices: &str) -> String {
    let mut text = devices.to_owned();
    for number in 1..=DEVICES {
        let [.., high, low] = number.to_be_bytes();
        let _ = write!(
            text,
            "\n[[device]]\nname = \"ct-{}\"\nmac = \"00:1b:21:01:{high:02x}:{low:02x}\"\n\
             ip = \"2001:db8:10::1:{number:x}\"\nprofile = \"ct-scanner\"\n",
            number + 1
        );
    }
    text
}

/// Asks once; the status, and what came with it.
fn ask(socket: &Path, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = UnixStream::connect(socket)?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok((status, answer))
}

fn keep_asking(socket: &Path, path: &'static str, enough: &AtomicBool, answers: &Mutex<Answers>) {
    while !enough.load(Ordering::Relaxed) {
        let (status, answer) = ask(socket, path).unwrap();
        assert!(status == 200 || answer.contains("busy; try again"), "{path}: {answer}");
        *answers.lock().unwrap().entry((path, status)).or_default() += 1;
    }
}

/// The oldest that the heartbeat was, until `enough`.
fn watch_heartbeat(pin: &Path, enough: &AtomicBool) -> Duration {
    let map = Map::from_map_data(MapData::from_pin(pin).unwrap()).unwrap();
    let word: Array<_, u64> = map.try_into().unwrap();
    let mut oldest = Duration::ZERO;
    while !enough.load(Ordering::Relaxed) {
        let last = Duration::from_nanos(word.get(&0, 0).unwrap());
        let now = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap());
        oldest = oldest.max(now.saturating_sub(last));
        thread::sleep(Duration::from_millis(20));
    }
    oldest
}

#[test]
fn however_many_ask_the_agent_lives_and_does_its_work_in_time() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = Filter::configure(&hospital, &agent()).unwrap();
    let devices = fs::read_to_string(filter.folder().join("devices.toml")).unwrap();
    filter.write("devices.toml", inventory(&devices)).unwrap();
    filter.start().unwrap();
    let socket = filter.folder().join("control.sock");
    let heartbeat = pins(hospital.name()).join("maps/HEARTBEAT");
    let (enough, answers) = (AtomicBool::new(false), Mutex::new(Answers::new()));
    let (late, oldest) = thread::scope(|scope| {
        for path in [PATHS; ASKING].into_iter().flatten() {
            scope.spawn(|| keep_asking(&socket, path, &enough, &answers));
        }
        let watched = scope.spawn(|| watch_heartbeat(&heartbeat, &enough));
        thread::sleep(BEFORE);
        let lasts = format!("{}s", BLOCK.as_secs());
        let added = filter.ask(&["block", "add", "198.51.100.7", "--for", &lasts]);
        let since = Instant::now();
        let ended = wait::until("the block to end", BLOCK + LATE, || {
            // Where many ask, some are turned away.
            let held = filter.json(&["block", "list"]).ok();
            Ok((held == Some(Value::Array(Vec::new()))).then(|| since.elapsed()))
        });
        enough.store(true, Ordering::Relaxed);
        assert!(added.unwrap().status.success(), "a change is not turned away because many ask");
        (ended, watched.join().unwrap())
    });
    let answers = answers.into_inner().unwrap();
    late.unwrap_or_else(|error| panic!("{error}; {answers:?}"));
    assert!(oldest < OLDEST, "the heartbeat was {oldest:?} old; {answers:?}");
    for path in PATHS {
        assert!(answers.contains_key(&(path, 200)), "{path} is answered to somebody: {answers:?}");
    }
    assert!(answers.contains_key(&(PATHS[3], 503)), "a second question does not wait: {answers:?}");
    filter.remove().unwrap();
}
