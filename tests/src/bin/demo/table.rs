//! The closing table: what each device was allowed, and what not.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use crate::story::Scene;

const HEADER: [&str; 4] = ["device", "allowed", "dropped", "dropped by reason"];

pub(crate) fn show(scene: &Scene<'_>) -> Result<()> {
    let devices = scene.filter.json(&["devices"])?;
    let devices = devices.as_array().context("`iomt-filter devices` gave no list")?;
    let mut rows = vec![HEADER.map(str::to_owned)];
    rows.extend(devices.iter().map(row));
    scene.say.step("what each device did, by `iomt-filter devices`");
    let widths =
        [0, 1, 2].map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    for [device, allowed, dropped, reasons] in &rows {
        let [w0, w1, w2] = widths;
        scene.say.tried(&format!("{device:<w0$}  {allowed:>w1$}  {dropped:>w2$}  {reasons}"));
    }
    scene.check("every device dropped something", every_drop_counted(devices))
}

fn row(device: &Value) -> [String; 4] {
    let reasons: Vec<_> = drops(device)
        .into_iter()
        .flatten()
        .filter(|(_, count)| count.as_u64() != Some(0))
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    [
        device["name"].as_str().unwrap_or("(no device)").to_owned(),
        device["allowed"].to_string(),
        device["dropped"].to_string(),
        reasons.join(", "),
    ]
}

fn drops(device: &Value) -> Option<&Map<String, Value>> {
    device["reasons"]["drop"].as_object()
}

/// The counters know of every kind of drop that was shown.
fn every_drop_counted(devices: &[Value]) -> Result<&'static str> {
    for (name, reason) in [
        (Some("ct-1"), "blocklist"),
        (Some("ct-1"), "not-allowed"),
        (Some("pump-1"), "geo"),
        (None, "unknown-device"),
    ] {
        let device = devices.iter().find(|device| device["name"].as_str() == name);
        let count = device.and_then(drops).and_then(|reasons| reasons.get(reason)).and_then(Value::as_u64);
        ensure!(count > Some(0), "no `{reason}` is counted for {}", name.unwrap_or("unknown devices"));
    }
    Ok("the counters know of every kind of drop above")
}
