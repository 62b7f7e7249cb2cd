//! Who may do what over the control socket, by who they are; and the audit log, which says who did it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::host::HTTPS;
use iomt_filter_tests::hospital::program::Answer;
use iomt_filter_tests::hospital::somebody::Somebody;
use iomt_filter_tests::hospital::{Host, Version};
use serde_json::Value;

use crate::can_run;
use crate::hospital::{agent, build};

/// Users without a name, in groups without one, but for `games`, which every Debian has.
const GAMES: u32 = 60;
const WRITERS: u32 = 61_002;

fn configure<'h>(hospital: &'h iomt_filter_tests::hospital::Hospital, access: &str) -> Filter<'h> {
    let mut filter = Filter::configure(hospital, &agent()).unwrap();
    filter.open_to_everybody().unwrap();
    let config = fs::read_to_string(filter.config()).unwrap();
    filter.write("config.toml", format!("{config}\n[access]\n{access}\n")).unwrap();
    filter
}

fn refused(answer: &Answer, why: &str) {
    assert_eq!(answer.status.code(), Some(1), "{answer:?}");
    assert!(answer.errors.contains(why) && answer.output.is_empty(), "{why}: {answer:?}");
}

#[test]
fn roles_go_by_groups_that_the_kernel_vouches_for() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = configure(&hospital, "read = [\"games\"]\nwrite = [\"61002\", \"no-such-group\"]");
    filter.start().unwrap();
    assert!(filter.log().contains("no such group on this host"), "{}", filter.log());
    let reader = Somebody::new(61_010, &[7, GAMES]);
    let by_own_group = Somebody { group: GAMES, ..Somebody::new(61_011, &[]) };
    let writer = Somebody::new(61_012, &[7, WRITERS]);
    let stranger = Somebody::new(61_013, &[7]);
    let asked: [&[&str]; 4] =
        [&["status"], &["block", "list"], &["lookup", "203.0.113.9"], &["events", "--limit", "1"]];
    for (who, may_ask, may_change) in [
        (&reader, true, false),
        (&by_own_group, true, false),
        (&writer, true, true),
        (&stranger, false, false),
    ] {
        for question in asked {
            let answer = filter.ask_as(who, question).unwrap();
            match may_ask {
                true => assert!(answer.status.success(), "{who:?} {question:?}: {answer:?}"),
                false => refused(
                    &answer,
                    "`uid 61013` may not ask this agent here: root and members of the groups `games` and `61002` may",
                ),
            }
        }
        let before = filter.json(&["status"]).unwrap()["generation"].clone();
        for change in [&["block", "add", "198.51.100.9"][..], &["reload"], &["feed", "refresh", "--no-wait"]]
        {
            let answer = filter.ask_as(who, change).unwrap();
            match (may_ask, may_change) {
                (_, true) => assert!(answer.status.success(), "{who:?} {change:?}: {answer:?}"),
                (true, false) => refused(
                    &answer,
                    "may not change anything here: root and members of the group `61002` may",
                ),
                (false, false) => refused(&answer, "may not ask this agent here"),
            }
        }
        let after = filter.json(&["status"]).unwrap()["generation"].clone();
        assert_eq!(before != after, may_change, "{who:?}");
    }
    filter.remove().unwrap();
}

#[test]
fn one_group_is_let_in_by_the_mode_of_the_socket_and_nobody_else_gets_there() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = configure(&hospital, "write = [\"61002\"]");
    filter.start().unwrap();
    let socket = fs::metadata(filter.folder().join("control.sock")).unwrap();
    assert_eq!((socket.gid(), socket.permissions().mode() & 0o777), (WRITERS, 0o660));
    let writer =
        filter.ask_as(&Somebody::new(61_012, &[WRITERS]), &["block", "add", "198.51.100.9"]).unwrap();
    assert!(writer.status.success(), "{writer:?}");
    refused(&filter.ask_as(&Somebody::new(61_013, &[]), &["status"]).unwrap(), "not allowed to open");
    // Another role is no matter of a reload.
    let config = fs::read_to_string(filter.config()).unwrap();
    filter.write("config.toml", config.replace("61002", "61003")).unwrap();
    let answer = filter.ask(&["reload"]).unwrap();
    assert!(answer.errors.contains("`[access]` changed in the configuration"), "{answer:?}");
    filter.remove().unwrap();
}

/// The agent's user has the socket, and who may connect is still said by `[access]`.
#[test]
fn a_group_is_let_in_by_an_agent_that_becomes_another_user() {
    if !can_run() {
        return;
    }
    const DAEMON: u32 = 1;
    for (access, mode) in [("write = [\"61002\"]", 0o660), ("read = [\"games\"]\nwrite = [\"61002\"]", 0o666)]
    {
        let hospital = build();
        let mut filter = configure(&hospital, &format!("{access}\n[agent]\nuser = \"daemon\""));
        filter.start().unwrap();
        let socket = fs::metadata(filter.socket()).unwrap();
        assert_eq!((socket.uid(), socket.permissions().mode() & 0o777), (DAEMON, mode));
        let writer = Somebody::new(61_012, &[WRITERS]);
        let added = filter.ask_as(&writer, &["block", "add", "198.51.100.9"]).unwrap();
        assert!(added.status.success(), "{added:?}");
        let stranger = filter.ask_as(&Somebody::new(61_013, &[DAEMON]), &["status"]).unwrap();
        assert_eq!(stranger.status.code(), Some(1), "in the group of the agent's user: {stranger:?}");
        assert!(stranger.output.is_empty(), "{stranger:?}");
        filter.remove().unwrap();
    }
}

/// The entries of the audit log, which holds together.
fn entries(filter: &Filter<'_>) -> Vec<Value> {
    filter.tell(&["audit", "verify"]).unwrap();
    let text = filter.tell(&["audit", "export", "--output", "json"]).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_change_leaves_one_entry_that_says_who_made_it() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = configure(&hospital, "write = [\"61002\"]");
    filter.start().unwrap();
    let somebody = Somebody::new(61_012, &[WRITERS]);
    let vendor = Host::Vendor.at(Version::V4, HTTPS).ip().to_string();
    filter.write("list.txt", "198.51.100.20\n198.51.100.21\n198.51.100.22\n").unwrap();
    let list = filter.folder().join("list.txt").display().to_string();
    let changes: [(&str, &[&str]); 9] = [
        ("block add", &["block", "add", "198.51.100.9", "--note", "n1", "--score", "80"]),
        ("block add", &["block", "add", "198.51.100.9", "198.51.100.10", "--note", "n2"]),
        ("block import", &["block", "import", &list, "--note", "n3"]),
        ("block remove", &["block", "remove", "198.51.100.9", "--note", "n4"]),
        ("grant", &["grant", "pump-1", "--to", &vendor, "--service", "https", "--for", "1h", "--note", "n5"]),
        ("grant revoke", &["grant", "revoke", "1", "--note", "n6"]),
        ("reload", &["reload", "--note", "n7"]),
        ("feed refresh", &["feed", "refresh", "threats", "--no-wait", "--note", "n8"]),
        ("block remove", &["block", "remove", "198.51.100.10", "--note", "n9"]),
    ];
    for (_, change) in changes {
        let answer = filter.ask_as(&somebody, change).unwrap();
        assert!(answer.status.success(), "{change:?}: {answer:?}");
    }
    // What is refused changes nothing, and is no entry.
    for refused in
        [&["block", "remove", "192.0.2.77"][..], &["grant", "revoke", "9"], &["block", "add", "10.10.0.1"]]
    {
        assert!(!filter.ask_as(&somebody, refused).unwrap().status.success(), "{refused:?}");
    }
    let found = entries(&filter);
    let what: Vec<&str> = found.iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    let expected: Vec<&str> = std::iter::once("start").chain(changes.map(|(what, _)| what)).collect();
    assert_eq!(what, expected);
    assert_eq!((&found[0]["who"], &found[0]["uid"]), (&"root".into(), &0.into()));
    for (number, entry) in (1..).zip(&found[1..]) {
        assert_eq!((&entry["who"], &entry["uid"]), (&"uid 61012".into(), &61_012.into()), "{entry}");
        assert_eq!(entry["note"], format!("n{number}"), "{entry}");
    }
    let generations =
        |entry: &Value| [&entry["before"], &entry["after"]].map(|side| side["generation"].as_u64());
    let [_, add, again, import, remove, grant, revoke, reload, refresh, _] = found.as_slice() else {
        panic!()
    };
    assert_eq!((&add["about"], &add["before"]), (&"198.51.100.9/32".into(), &Value::Null));
    assert_eq!((&add["after"]["count"], &add["after"]["blocks"][0]["score"]), (&1.into(), &80.into()));
    assert_eq!((&again["before"]["blocks"][0]["score"], &again["after"]["count"]), (&80.into(), &2.into()));
    assert_eq!(import["after"]["count"], 3);
    assert_eq!((&remove["before"]["blocks"][0]["score"], &remove["after"]), (&100.into(), &Value::Null));
    assert_eq!((&grant["about"], &grant["after"]["to"][0]), (&"pump-1".into(), &vendor.as_str().into()));
    assert_eq!((&revoke["before"]["id"], &revoke["after"]), (&1.into(), &Value::Null));
    let [before, after] = generations(reload).map(Option::unwrap);
    assert_eq!(after, before + 1, "{reload}");
    assert_eq!(reload["before"]["files"], reload["after"]["files"], "no file has changed");
    assert_eq!(refresh["after"]["fetched"][0], "threats");

    // Files that change while no agent runs take hold with the next start.
    filter.stop().unwrap();
    let policy = fs::read_to_string(filter.folder().join("policy.toml")).unwrap();
    filter.write("policy.toml", format!("{policy}\n# another one\n")).unwrap();
    filter.start().unwrap();
    let start = entries(&filter).pop().unwrap();
    assert_eq!(start["what"], "start");
    assert_ne!(start["after"]["files"]["policy"], found[0]["after"]["files"]["policy"]);
    assert_eq!(start["after"]["files"]["devices"], found[0]["after"]["files"]["devices"]);

    // The way out is written down too.
    filter.stop().unwrap();
    filter.tell(&["detach", "--yes", "--note", "the hall is rebuilt"]).unwrap();
    let detach = entries(&filter).pop().unwrap();
    assert_eq!((&detach["what"], &detach["note"]), (&"detach".into(), &"the hall is rebuilt".into()));
    assert_eq!(detach["before"]["interfaces"].as_array().unwrap().len(), 4, "{detach}");
    filter.remove().unwrap();
}

#[test]
fn nothing_is_changed_that_cannot_be_written_down() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = configure(&hospital, "write = []");
    filter.start().unwrap();
    let log = filter.folder().join("state/audit.log");
    // Another process keeps the log to itself.
    let held = fs::File::open(&log).unwrap();
    held.lock_shared().unwrap();
    let vendor = Host::Vendor.at(Version::V4, HTTPS).ip().to_string();
    for change in [
        &["block", "add", "198.51.100.9"][..],
        &["grant", "pump-1", "--to", &vendor, "--service", "https", "--for", "1h"],
        &["reload"],
    ] {
        let answer = filter.ask(change).unwrap();
        assert_eq!(answer.status.code(), Some(1), "{answer:?}");
        assert!(answer.errors.contains("nothing is changed without an entry in it"), "{answer:?}");
    }
    drop(held);
    assert_eq!(filter.json(&["block", "list"]).unwrap(), Value::Array(Vec::new()));
    assert_eq!(filter.json(&["grant", "list"]).unwrap(), Value::Array(Vec::new()));
    assert_eq!(filter.json(&["status"]).unwrap()["generation"], 1);
    filter.tell(&["block", "add", "198.51.100.9"]).unwrap();
    filter.remove().unwrap();
}

#[test]
fn a_log_that_is_moved_away_under_the_agent_is_begun_anew_and_says_so() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = configure(&hospital, "read = [\"games\"]\nwrite = [\"61002\"]");
    filter.start().unwrap();
    let log = filter.folder().join("state/audit.log");
    filter.tell(&["block", "add", "198.51.100.9"]).unwrap();
    // Readers cannot open the file, and ask the agent; strangers get it from nobody.
    fs::set_permissions(filter.folder().join("state"), fs::Permissions::from_mode(0o750)).unwrap();
    let reader = Somebody::new(61_010, &[GAMES]);
    let verified = filter.ask_as(&reader, &["audit", "verify"]).unwrap();
    assert!(verified.status.success() && verified.output.starts_with("2 lines of"), "{verified:?}");
    let exported = filter.ask_as(&reader, &["audit", "export", "--output", "json"]).unwrap();
    assert_eq!(exported.output, fs::read_to_string(&log).unwrap());
    refused(
        &filter.ask_as(&Somebody::new(61_013, &[7]), &["audit", "export"]).unwrap(),
        "may not ask this agent here",
    );

    fs::rename(&log, log.with_added_extension("1")).unwrap();
    filter.tell(&["block", "remove", "198.51.100.9"]).unwrap();
    let told = fs::read_to_string(&log).unwrap();
    assert!(told.contains("audit replaced") && told.contains("block remove"), "{told}");
    for answer in [filter.ask(&["audit", "verify"]), filter.ask_as(&reader, &["audit", "verify"])] {
        let answer = answer.unwrap();
        assert_eq!(answer.status.code(), Some(1), "{answer:?}");
        assert!(answer.errors.contains("begins with line 3; the 2 before it are missing"), "{answer:?}");
    }
    let last = filter.json(&["status"]).unwrap()["audit"]["last"]["sequence"].clone();
    assert_eq!(last, 4);
    filter.remove().unwrap();
}
