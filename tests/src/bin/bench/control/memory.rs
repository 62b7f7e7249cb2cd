//! What the kernel charges for tables.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _};

use anyhow::{Context as _, Result};
use aya::maps::MapData;
use iomt_filter::datapath::Room;
use iomt_filter::rows::Rows;

use crate::case::HOSPITAL;
use crate::countries::Countries;
use crate::figure::{Figure, figure};
use crate::filter::Filter;

/// Tables in lines.
const FLAT: [&str; 3] = ["LISTINGS", "BLOCKS", "COUNTRIES"];

/// Those of a filter as the agent makes them.
pub(super) fn of_lists(filter: &Filter, name: &dyn Fn(&str) -> String) -> Result<Vec<Figure>> {
    let maps = Maps::of(filter)?;
    Ok(vec![
        figure(name("memory of lists and countries, both halves and headroom"), maps.flat(), "MiB")
            .note(lines(filter)),
        figure(name("memory of all maps but the flows"), maps.all_but_flows(), "MiB"),
        figure(name("memory of the flows"), maps.flows(), "MiB").note(format!("{} flows", HOSPITAL.flows)),
    ])
}

/// Those of a million hosts of IPv4 and a whole country database, and nothing else.
pub(super) fn of_indicators(countries: &Countries) -> Result<Vec<Figure>> {
    let (v4, v6) = countries.sizes();
    let countries_of = format!("{v4} country networks of IPv4 and {v6} of IPv6");
    let all = HOSPITAL.rows(countries);
    let listings = all.listings.iter().filter(|(prefix, _)| prefix.is_v4()).copied().collect();
    let rows = Rows { listings, ..all };
    let mut figures = Vec::new();
    for (how, size) in [
        ("just large enough", (|room| room) as fn(Room) -> Room),
        ("as the agent makes them", Room::with_headroom),
    ] {
        let filter = Filter::load_rows(HOSPITAL, rows.clone(), size)?;
        let maps = Maps::of(&filter)?;
        let name = |what: &str| format!("1 M IPv4 and all countries, {how}: {what}");
        figures.push(figure(name("lists and countries"), maps.flat(), "MiB").note(countries_of.as_str()));
        figures
            .push(figure(name("all maps but the flows"), maps.all_but_flows(), "MiB").note(lines(&filter)));
    }
    Ok(figures)
}

/// Maps by name, and the MiB that the kernel charges for each.
struct Maps(Vec<(String, f64)>);

impl Maps {
    fn of(filter: &Filter) -> Result<Self> {
        let mut maps = Vec::new();
        for id in filter.datapath.xdp()?.info()?.map_ids()?.unwrap_or_default() {
            let map = MapData::from_id(id)?;
            let name = map.info()?.name_as_str().unwrap_or("?").to_owned();
            let path = format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd());
            let text = fs::read_to_string(&path).with_context(|| format!("failed to read `{path}`"))?;
            let charged = text.lines().find_map(|line| line.strip_prefix("memlock:"));
            let bytes: f64 = charged
                .and_then(|bytes| bytes.trim().parse().ok())
                .with_context(|| format!("`{path}` says nothing of memory"))?;
            maps.push((name, bytes / f64::from(1 << 20)));
        }
        Ok(Self(maps))
    }

    fn sum(&self, is_it: impl Fn(&str) -> bool) -> f64 {
        self.0.iter().filter(|(name, _)| is_it(name)).map(|(_, charged)| charged).sum()
    }

    fn flat(&self) -> f64 {
        self.sum(|name| FLAT.contains(&name))
    }

    fn flows(&self) -> f64 {
        self.sum(is_of_flows)
    }

    fn all_but_flows(&self) -> f64 {
        self.sum(|name| !is_of_flows(name))
    }
}

fn is_of_flows(name: &str) -> bool {
    name.starts_with("FLOW")
}

/// Lines that are in use of those that a half has.
fn lines(filter: &Filter) -> String {
    let lines = filter.datapath.lines();
    let used: Vec<_> =
        lines.iter().map(|(name, used, room)| format!("{name} {used} of {room} lines")).collect();
    used.join(", ")
}
