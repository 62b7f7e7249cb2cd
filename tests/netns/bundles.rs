//! Bundles for sites without internet, and the agent that reads what they bring.

use std::fs;

use iomt_filter_tests::hospital::filter::Filter;

use crate::can_run;
use crate::hospital::{agent, build, filter};

#[test]
fn a_bundle_is_read_by_the_agent_that_runs() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let filter = filter(&hospital, &agent());
    let inside = |name: &str| filter.folder().join(name).display().to_string();
    filter.tell(&["bundle", "key", "--no-password", &inside("maker")]).unwrap();
    let config = fs::read_to_string(filter.config()).unwrap();
    filter.write("config.toml", format!("{config}\n[bundle]\nkey = \"maker.pub\"\n")).unwrap();
    let before = filter.json(&["status"]).unwrap()["generation"].as_u64().unwrap();
    filter.tell(&["bundle", "create", "--out", &inside("x.bundle"), "--key", &inside("maker.key")]).unwrap();
    let applied = filter.json(&["bundle", "apply", &inside("x.bundle")]).unwrap();
    assert_eq!(applied["agent"]["generation"].as_u64(), Some(before + 1), "{applied}");
    assert_eq!(applied["placed"].as_array().unwrap().len(), 3, "policy, countries and a feed: {applied}");
    assert_eq!(filter.ask(&["bundle", "apply", &inside("x.bundle")]).unwrap().status.code(), Some(1));
    filter.remove().unwrap();
}

#[test]
fn a_feed_of_a_bundle_lists_until_its_server_says_something_else() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = filter(&hospital, &agent());
    let inside = |name: &str| filter.folder().join(name).display().to_string();
    let (key, maker, bundle) = (inside("maker.key"), inside("maker"), inside("x.bundle"));
    filter.tell(&["bundle", "key", "--no-password", &maker]).unwrap();
    let config = fs::read_to_string(filter.config()).unwrap() + "\n[bundle]\nkey = \"maker.pub\"\n";
    // Where bundles are made the feed is a file, where they are applied a server that is not to be reached.
    filter.write("isac.txt", "203.0.113.200\n203.0.113.201\n").unwrap();
    filter.write("config.toml", format!("{config}[[feed]]\nname = \"isac\"\npath = \"isac.txt\"\n")).unwrap();
    filter.tell(&["bundle", "create", "--out", &bundle, "--key", &key]).unwrap();
    let remote = "[[feed]]\nname = \"isac\"\nurl = \"http://127.0.0.1:9/isac.txt\"\n";
    filter.write("config.toml", format!("{config}{remote}")).unwrap();
    filter.tell(&["reload"]).unwrap();
    let lists = |filter: &Filter<'_>| {
        let lookup = filter.json(&["lookup", "203.0.113.200"]).unwrap();
        lookup["listings"].as_array().unwrap().iter().any(|listed| listed["feed"] == "isac")
    };
    assert!(!lists(&filter), "nothing has come yet");
    filter.tell(&["bundle", "apply", &bundle]).unwrap();
    assert!(lists(&filter));
    filter.tell(&["reload"]).unwrap();
    assert!(lists(&filter), "after a reload");
    filter.kill().unwrap();
    filter.start().unwrap();
    assert!(lists(&filter), "with a new agent");
    filter.remove().unwrap();
}
