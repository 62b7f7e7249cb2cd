//! Where events go: files, a real rsyslog over UDP, TCP and TLS, the journal's socket, and the archive. Each accounts
//! for every record, whatever is down.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use iomt_filter_tests::certificate::Authority;
use iomt_filter_tests::hospital::collector::{Collector, WAYS};
use iomt_filter_tests::hospital::events::Events;
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::host::HTTPS;
use iomt_filter_tests::hospital::{Hospital, Host, Version, wait};
use serde_json::Value;

use crate::can_run;
use crate::hospital::{LIMIT, agent, build};

/// A syslog server that comes back is tried again within half a minute.
const RECOVERY: Duration = Duration::from_secs(45);
/// Verdicts that frames have records of.
const VERDICTS: [&str; 3] = ["drop", "reset", "would-drop"];

fn with_sinks<'h>(hospital: &'h Hospital, events: &str) -> Filter<'h> {
    let mut filter = Filter::configure(hospital, &agent()).unwrap();
    let config = fs::read_to_string(filter.config()).unwrap();
    filter.write("config.toml", format!("{config}\n[events]\n{events}")).unwrap();
    filter.host().ip(&["link", "set", "lo", "up"]).unwrap();
    filter.start().unwrap();
    filter
}

/// Sends datagrams from devices to a far end that is listed, as fast as it goes; how many the host has taken.
fn flood(hospital: &Hospital, from: Host, lasts: Duration) -> u64 {
    let to = Host::C2.at(Version::V4, HTTPS);
    hospital[from]
        .inside(|| {
            let sockets: Vec<_> = (0..16).map(|_| datagrams(to)).collect();
            let (begun, mut sent) = (Instant::now(), 0);
            while begun.elapsed() < lasts {
                for socket in &sockets {
                    sent += u64::from(socket.send(b"beacon").is_ok());
                }
            }
            sent
        })
        .unwrap()
}

fn datagrams(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect(to).unwrap();
    socket
}

fn sum(of: &Value) -> u64 {
    of.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

/// That frames are all recorded, suppressed or lost, and records all emitted, lost or waiting, in every sink. The
/// status that shows it, once nothing moves any more.
fn accounted(filter: &Filter<'_>) -> Value {
    let status = wait::until("nothing to be on its way", LIMIT, || {
        let status = filter.json(&["status"])?;
        let is_read =
            VERDICTS.iter().all(|verdict| status["records"][verdict] == status["events"][verdict]["emitted"]);
        let is_kept = sum(&status["archive"]["waiting"]) == 0;
        Ok((is_read && is_kept).then_some(status))
    })
    .unwrap();
    for verdict in VERDICTS {
        let frames = status["frames"].get(verdict).map_or(0, sum);
        let fates = &status["events"][verdict];
        assert_eq!(frames, sum(fates), "{verdict}: {status:#}");
        for outlet in status["sinks"].as_array().unwrap().iter().chain([&status["archive"]]) {
            let all: u64 = ["emitted", "lost", "waiting"]
                .iter()
                .map(|fate| outlet[fate][verdict].as_u64().unwrap())
                .sum();
            assert_eq!(all, fates["emitted"].as_u64().unwrap(), "{verdict}: {outlet:#}");
        }
    }
    status
}

/// Frames that came in on the ports, by the kernel's count, and that the filter has not counted; those from before it
/// was attached.
fn uncounted(filter: &Filter<'_>) -> i64 {
    let arrived = || {
        let text = filter.host().inside(|| fs::read_to_string("/proc/thread-self/net/dev")).unwrap().unwrap();
        let ports = text.lines().filter_map(|line| line.trim().split_once(':'));
        let ports = ports.filter(|(name, _)| name.starts_with("port-") || *name == "uplink");
        ports
            .map(|(_, counts)| counts.split_whitespace().nth(1).unwrap().parse::<i64>().unwrap())
            .sum::<i64>()
    };
    wait::until("a moment without traffic", LIMIT, || {
        let before = arrived();
        let status = filter.json(&["status"])?;
        let frames: u64 = status["frames"].as_object().unwrap().values().map(sum).sum();
        Ok((arrived() == before).then_some(before - frames as i64))
    })
    .unwrap()
}

fn sink<'s>(status: &'s Value, name: &str) -> &'s Value {
    status["sinks"].as_array().unwrap().iter().find(|sink| sink["name"] == name).unwrap()
}

/// The lines of a file and of those that it was moved aside to.
fn lines(folder: &Path, name: &str) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let is_one = |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(name);
    let texts = files.filter(is_one).map(|path| fs::read_to_string(path).unwrap());
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_sink_accounts_for_every_record_under_a_flood() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = with_sinks(
        &hospital,
        "[[events.sink]]\nname = \"file\"\ntype = \"file\"\npath = \"out.json\"\nrotate_size = \"64K\"\nrotate_keep = 100\n\
         [[events.sink]]\nname = \"eve\"\ntype = \"file\"\npath = \"eve.json\"\nformat = \"eve-strict\"\n\
         [[events.sink]]\nname = \"nobody\"\ntype = \"syslog\"\naddress = \"tcp://127.0.0.1:9\"\nqueue = 10\n\
         [[events.sink]]\nname = \"full\"\ntype = \"file\"\npath = \"none/x\"\n",
    );
    let seconds = std::env::var("IOMT_FILTER_FLOOD").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let lasts = Duration::from_secs(seconds);
    let before = uncounted(&filter);
    let sent: u64 = std::thread::scope(|scope| {
        let hospital = &hospital;
        let from = [Host::Ct, Host::Pump].map(|from| scope.spawn(move || flood(hospital, from, lasts)));
        from.map(|sent| sent.join().unwrap()).iter().sum()
    });
    assert!(sent > 10_000, "{sent}");
    assert_eq!(uncounted(&filter), before, "a frame came in that no counter has, or the other way round");
    let status = accounted(&filter);
    let fates = &status["events"]["drop"];
    assert!(fates["suppressed"].as_u64().unwrap() > 1_000, "{fates}");
    let records = fates["emitted"].as_u64().unwrap();

    let file = lines(filter.folder(), "out.json");
    assert_eq!(file.len() as u64, records);
    let written: Vec<Value> = file.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let counted: u64 = written.iter().map(|event| event["count"].as_u64().unwrap()).sum();
    let frames = sum(&status["frames"]["drop"]);
    eprintln!("{} frames dropped a second, {records} records", frames / seconds);
    // Frames that were suppressed since the last record of their kind are in none.
    assert!(counted <= frames && counted > frames / 2, "{counted} of {frames}");
    assert!(filter.folder().join("out.json.1").exists());
    let eve = lines(filter.folder(), "eve.json");
    assert_eq!(eve.len() as u64, records);
    assert!(eve.iter().all(|line| line.contains("\"event_type\":\"drop\"") && !line.contains("iomt_filter")));

    let nobody = sink(&status, "nobody");
    assert_eq!(nobody["state"], "down");
    // Those that it tries to send, and as many behind them as its queue holds.
    let waiting = nobody["waiting"]["drop"].as_u64().unwrap();
    assert!((10..=20).contains(&waiting) && nobody["lost"]["drop"] == records - waiting, "{nobody}");
    assert!(
        nobody["error"].as_str().unwrap().starts_with("tcp://127.0.0.1:9: Connection refused"),
        "{nobody}"
    );
    assert!(sink(&status, "full")["error"].as_str().unwrap().starts_with("failed to open `/"));
    let text = filter.tell(&["status"]).unwrap();
    assert!(text.contains(&format!("{records} emitted, 0 lost, 0 waiting")), "{text}");
    assert!(text.contains("sink        nobody (syslog json tcp://127.0.0.1:9): down since "), "{text}");

    // An agent that is stopped has kept everything, and the next one goes on from there.
    assert_eq!(filter.tell(&["events", "--output", "json"]).unwrap().lines().count() as u64, records);
    filter.stop().unwrap();
    filter.start().unwrap();
    let kept = filter.tell(&["events", "--output", "json"]).unwrap();
    assert_eq!(kept.lines().count() as u64, records);
    let peer = Host::C2.address(Version::V4).to_string();
    let latest =
        filter.tell(&["events", "--peer", &peer, "--device", "ct-1", "--limit", "3", "--output", "cef"]);
    let latest = latest.unwrap();
    assert!(
        latest.lines().count() == 3 && latest.lines().all(|line| line.starts_with("CEF:0|iomt-filter|")),
        "{latest}"
    );
    assert_eq!(filter.tell(&["events", "--peer", "10.99.0.0/16"]).unwrap(), "");
    assert_eq!(filter.tell(&["events", "--until", "1h"]).unwrap(), "");
    filter.remove().unwrap();
}

#[test]
fn who_follows_gets_what_was_and_what_comes_each_once() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = with_sinks(&hospital, "");
    let to = Host::C2.at(Version::V4, HTTPS);
    let send = |count: usize| {
        hospital[Host::Ct].inside(|| {
            let socket = datagrams(to);
            for _ in 0..count {
                socket.send(b"beacon").unwrap();
                std::thread::sleep(Duration::from_millis(120));
            }
        })
    };
    send(10).unwrap();
    filter.stop().unwrap();
    filter.start().unwrap();
    let events = std::thread::scope(|scope| {
        let sending = scope.spawn(|| send(20));
        std::thread::sleep(Duration::from_secs(1));
        let events = Events::follow(&filter).unwrap();
        sending.join().unwrap().unwrap();
        events
    });
    wait::until("all events", LIMIT, || Ok((events.count() >= 30).then_some(()))).unwrap();
    let kept = filter.tell(&["events", "--output", "json"]).unwrap();
    let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((kept.len(), events.count()), (30, 30));
    let mut times = BTreeMap::new();
    for event in &kept {
        *times.entry(event["time"].as_str().unwrap()).or_insert(0) += 1;
    }
    assert!(times.values().all(|count| *count == 1), "{times:?}");
    // The kernel counts over restarts: every record that it has emitted is there.
    let status = filter.json(&["status"]).unwrap();
    assert_eq!(status["events"]["drop"]["emitted"], 30, "{status}");
    assert!(events.wait("the last", |event| event["time"] == kept[29]["time"]).is_ok());
    filter.remove().unwrap();
}

#[test]
fn a_real_rsyslog_receives_everything_over_udp_tcp_and_tls() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let authority = Authority::make(hospital.folder()).unwrap();
    let [server, client] =
        ["collector", "gateway"].map(|name| authority.issue(hospital.folder(), name).unwrap());
    let journal = UnixDatagram::bind(hospital.folder().join("journal")).unwrap();
    let mut collector = Collector::configure(hospital.folder(), &authority, &server).unwrap();
    let segmentation = &hospital[Host::Segmentation];
    segmentation.ip(&["link", "set", "lo", "up"]).unwrap();
    collector.start(segmentation).unwrap();
    let (ca, certificate, key) = (authority.certificate(), client.certificate(), client.key());
    let mut sinks = String::new();
    for (way, port) in WAYS {
        let format = if way == "tcp" { "cef" } else { "json" };
        sinks += &format!(
            "[[events.sink]]\nname = \"{way}\"\ntype = \"syslog\"\naddress = \"{way}://127.0.0.1:{port}\"\n\
             format = \"{format}\"\nfacility = \"local4\"\nhostname = \"gw-1\"\n"
        );
    }
    let identity = format!("ca = {ca:?}\ncertificate = {certificate:?}\nkey = {key:?}\n");
    // One that nobody vouches for, and one that shows no certificate of its own.
    sinks += &identity;
    sinks += &format!(
        "[[events.sink]]\nname = \"other\"\ntype = \"syslog\"\naddress = \"tls://127.0.0.1:6514\"\n{identity}\
         server_name = \"other.example.org\"\n\
         [[events.sink]]\nname = \"journal\"\ntype = \"journald\"\nsocket = \"{}/journal\"\n",
        hospital.folder().display()
    );
    let filter = with_sinks(&hospital, &sinks);
    let some = |lasts| flood(&hospital, Host::Ct, Duration::from_millis(lasts));
    some(1_200);
    let status = accounted(&filter);
    let records = status["events"]["drop"]["emitted"].as_u64().unwrap() as usize;
    for (way, _) in WAYS {
        let received = wait::until(&format!("all events by {way}"), LIMIT, || {
            let received = collector.received(way);
            Ok((received.len() >= records).then_some(received))
        });
        let received = received.unwrap();
        assert_eq!(received.len(), records);
        for (number, line) in received.iter().enumerate() {
            // local4, warning.
            assert!(
                line.starts_with("164 gw-1 iomt-filter blocklist [origin software=\"iomt-filter\""),
                "{line}"
            );
            assert!(
                line.contains(&format!("[meta sequenceId=\"{}\"]", number + 1)),
                "{way} {number}: {line}"
            );
        }
        let message = received[0].split_once("\"] ").unwrap().1.trim();
        match way {
            "tcp" => assert!(message.starts_with("CEF:0|iomt-filter|"), "{message}"),
            _ => assert_eq!(serde_json::from_str::<Value>(message).unwrap()["device"], "ct-1"),
        }
    }
    let other = sink(&status, "other")["error"].as_str().unwrap();
    assert!(other.contains("its certificate is refused") && other.contains("server_name"), "{other}");
    journal.set_read_timeout(Some(LIMIT)).unwrap();
    let mut entry = vec![0; 64 << 10];
    let length = journal.recv(&mut entry).unwrap();
    assert!(String::from_utf8_lossy(&entry[..length]).contains("\nIOMT_FILTER_DEVICE=ct-1\n"));

    // A server that goes away: the others go on, and it gets what waits when it is back.
    collector.stop();
    some(300);
    let down = wait::until("the sinks to be down", LIMIT, || {
        let status = filter.json(&["status"])?;
        Ok((sink(&status, "tls")["state"] == "down").then_some(status))
    });
    let error = sink(&down.unwrap(), "tls")["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("tls://127.0.0.1:6514"), "{error}");
    collector.start(segmentation).unwrap();
    some(300);
    let status = wait::until("the sinks to be up", RECOVERY, || {
        let status = filter.json(&["status"])?;
        let is_up = |name| sink(&status, name)["state"] == "up" && sum(&sink(&status, name)["waiting"]) == 0;
        Ok(["tcp", "tls"].into_iter().all(is_up).then_some(status))
    });
    status.unwrap();
    accounted(&filter);
    filter.remove().unwrap();
}
