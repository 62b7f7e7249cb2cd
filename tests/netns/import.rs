//! Many blocks at once: all or none, at once, and told as what they take of the tables.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use iomt_filter_tests::hospital::connection::{Outcome, Service, attempt};
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::host::HTTPS;
use iomt_filter_tests::hospital::{Host, Version};
use serde_json::Value;

use crate::can_run;
use crate::hospital::{ATTEMPT, agent, build, filter};

const COUNT: u32 = 100_000;

/// That many addresses of all over the world, and the vendor's in their midst.
fn list() -> String {
    let mut list = String::new();
    for number in 0..COUNT - 1 {
        if number == COUNT / 2 {
            list.push_str("198.51.100.7\n");
        }
        let address = std::net::Ipv4Addr::from(0x2000_0000 + number * 9_973);
        writeln!(list, "{address}").unwrap();
    }
    list
}

fn table(filter: &Filter<'_>, name: &str) -> Value {
    let status = filter.json(&["status"]).unwrap();
    let tables = status["tables"].as_array().unwrap();
    tables.iter().find(|table| table["name"] == name).unwrap().clone()
}

#[test]
fn a_list_of_blocks_is_imported_whole_or_not_at_all_and_at_once() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let vendor = Host::Vendor.at(Version::V4, HTTPS);
    let _service = Service::start(&hospital[Host::Vendor], vendor).unwrap();
    let filter = filter(&hospital, &agent());
    assert_eq!(attempt(&hospital[Host::Ct], vendor, ATTEMPT).unwrap(), Outcome::Connected);
    let path = filter.folder().join("blocks.txt");
    let import = |list: String| {
        std::fs::write(&path, list).unwrap();
        filter.ask(&["block", "import", path.to_str().unwrap()]).unwrap()
    };

    // A line that is none, and an address that must not be blocked: nothing is.
    for (line, said) in [("no address\n", "nothing was blocked"), ("10.10.0.11\n", "the address of a device")]
    {
        let refused = import(list() + line);
        assert_ne!(refused.status.code(), Some(0));
        assert!(refused.errors.contains(said), "{}", refused.errors);
        assert_eq!(filter.json(&["block", "list"]).unwrap(), Value::Array(Vec::new()));
    }
    assert_eq!(attempt(&hospital[Host::Ct], vendor, ATTEMPT).unwrap(), Outcome::Connected);

    let generation = filter.json(&["status"]).unwrap()["generation"].as_u64().unwrap();
    let start = Instant::now();
    let imported = import(list());
    let lasted = start.elapsed();
    assert!(
        imported.output.contains(&format!("{COUNT} blocked, generation {}", generation + 1)),
        "{imported:?}"
    );
    let cut = "this cuts `ct-1` from 198.51.100.7, which it talks to";
    assert!(imported.output.contains(cut), "{}", imported.output);
    assert!(lasted < Duration::from_secs(10), "{lasted:?}");
    assert_eq!(attempt(&hospital[Host::Ct], vendor, ATTEMPT).unwrap(), Outcome::NoAnswer);
    assert_eq!(filter.json(&["block", "list"]).unwrap().as_array().unwrap().len(), COUNT as usize);

    // They fit the table of blocks, so that one more of them makes no list anew.
    let blocks = table(&filter, "blocks");
    let number = |key: &str| blocks[key].as_u64().unwrap();
    assert!(number("used") > 10_000 && number("used") + number("free") == number("capacity"), "{blocks}");
    filter.tell(&["block", "remove", "198.51.100.7"]).unwrap();
    assert_eq!(attempt(&hospital[Host::Ct], vendor, ATTEMPT).unwrap(), Outcome::Connected);
    filter.remove().unwrap();
}

#[test]
fn what_is_used_and_free_is_told_of_every_table() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let filter = filter(&hospital, &agent());
    let names = [
        "devices",
        "profiles",
        "grants",
        "protected",
        "listings",
        "blocks",
        "countries",
        "policy",
        "leases",
        "flows",
        "fragments",
    ];
    let text = filter.tell(&["status"]).unwrap();
    for name in names {
        let table = table(&filter, name);
        let number = |key: &str| table[key].as_u64().unwrap();
        assert_eq!(number("used") + number("free"), number("capacity"), "{table}");
        let [used, capacity, free] = ["used", "capacity", "free"].map(number);
        let unit = table["unit"].as_str().unwrap();
        let line = format!("table       {name}: {used} of {capacity} {unit}, {free} free");
        assert!(name == "flows" || text.contains(&line), "`{line}` is not in:\n{text}");
    }
    filter.remove().unwrap();
}
