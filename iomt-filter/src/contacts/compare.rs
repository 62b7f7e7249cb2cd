//! What a reading finds that devices never did: compared with what the database has of them, in the transaction that
//! adds what was seen, so that nothing is found twice and nothing is lost.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use iomt_filter_common::{Address, Reason};
use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::deviation::Thing;
use super::record::{device, whole};
use super::{Direction, Seen, has_ports};
use crate::archive::Attempt;
use crate::baseline::drift::{Folding, Known, Told, fold};
use crate::database::unsigned;
use crate::events::{Drift, Evidence, Record, What, protocol_name};

/// What a reading is compared by.
#[derive(Clone, Copy)]
pub struct Compared<'c> {
    /// The time of day.
    pub now: Timestamp,
    /// Seconds for which was watched since the reading before.
    pub elapsed: u64,
    /// Whether more time has passed than that, so that it is not known of which hour the bytes are.
    pub is_late: bool,
    /// For how many seconds a device is watched before what is new of it is told.
    pub after: u64,
    /// The host's name.
    pub host: &'c str,
    /// The country of an address.
    pub country: &'c dyn Fn(IpAddr) -> Option<[u8; 2]>,
    /// The profile of a device of the inventory.
    pub profile: &'c dyn Fn(&str) -> Option<String>,
    /// The name of a rule.
    pub rule: &'c dyn Fn(u32) -> Option<String>,
    /// What devices tried and was stopped.
    pub attempts: &'c [Attempt],
    /// The number of the event up to which they were read; nothing where they could not be.
    pub event: Option<i64>,
}

/// A reading on its way.
pub(super) struct Comparison<'c> {
    by: &'c Compared<'c>,
    /// Seconds for which was watched, this reading included.
    now: u64,
    /// Since when attempts were read.
    attempts_since: Option<u64>,
    devices: HashMap<i64, Device>,
}

/// A device that was seen in this reading.
struct Device {
    name: Arc<str>,
    known: Known,
    talks: bool,
    bytes: u64,
    /// By day.
    outside: BTreeMap<i64, u64>,
    /// What has the most bytes in this reading.
    largest: Option<Evidence>,
    /// Nothing where they were not asked for yet.
    countries: Option<Option<BTreeSet<[u8; 2]>>>,
    foldings: BTreeMap<What, Folding>,
    is_changed: bool,
}

const LOAD: &str = "SELECT since, measured, talked, hour, bytes, told_hour, is_silent, is_away FROM baseline";
const KEEP: &str = "INSERT INTO baseline
    (device, since, measured, talked, hour, bytes, told_hour, is_silent, is_away, drifts)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)
  ON CONFLICT DO UPDATE SET talked = ?4, hour = ?5, bytes = ?6, told_hour = ?7, is_silent = ?8, is_away = ?9";
const PASS: &str = "INSERT INTO day (device, day, busiest, gap) VALUES (?1, ?2, ?3, ?4)
  ON CONFLICT DO UPDATE SET busiest = max(busiest, excluded.busiest), gap = max(gap, excluded.gap)
  WHERE excluded.busiest > busiest OR excluded.gap > gap";
const SILENT: &str =
    "SELECT since, measured, talked, hour, bytes, told_hour, is_silent, is_away, baseline.device,
    (SELECT max(gap) FROM day WHERE day.device = baseline.device), device.name
  FROM baseline JOIN device ON device.id = baseline.device
  WHERE is_silent = 0 AND is_away = 0 AND talked < ?1";

impl<'c> Comparison<'c> {
    /// A reading that comes after those of the database.
    pub(super) fn begin(connection: &Connection, by: &'c Compared<'c>) -> rusqlite::Result<Self> {
        let watch = connection.query_row("SELECT seconds, attempts_since FROM watch", [], |row| {
            Ok((unsigned(row, 0)?, row.get::<_, Option<i64>>(1)?))
        });
        let (seconds, attempts_since) = watch?;
        Ok(Self {
            by,
            now: seconds.saturating_add(by.elapsed),
            attempts_since: attempts_since.map(i64::unsigned_abs),
            devices: HashMap::new(),
        })
    }

    /// A flow of a device, before it is added to the contacts; `added` are packets and bytes that are new of it.
    pub(super) fn see(
        &mut self,
        connection: &Connection,
        id: i64,
        seen: &Seen,
        is_new: bool,
        added: (u64, u64),
    ) -> rusqlite::Result<()> {
        let (by, now) = (self.by, self.now);
        let device = self.device(connection, id, &seen.device)?;
        let (packets, bytes) = added;
        if packets > 0 {
            device.talks |= seen.direction == Direction::FromDevice || seen.opening.is_answered;
            device.bytes = device.bytes.saturating_add(bytes);
            if device.largest.as_ref().is_none_or(|largest| largest.bytes < bytes) {
                device.largest = Some(Evidence { packets, bytes, ..evidence(seen, by) });
            }
            if seen.is_outside {
                *device.outside.entry(seen.last_seen.as_second().div_euclid(86_400)).or_default() += packets;
            }
        }
        // What a device opens to another one is news of who opens.
        if !is_new || seen.opening.is_by_other_device || !device.known.is_learned(now, by.after) {
            return Ok(());
        }
        let (peer, port) = (seen.peer(), seen.port());
        let thing = Thing { device: id, peer, protocol: seen.key.protocol, port, direction: seen.direction };
        if thing.is_contact(connection)? || thing.is_attempt(connection)? {
            return Ok(());
        }
        let Some(what) = thing.novelty(connection, by.now.as_second())? else { return Ok(()) };
        device.add(connection, thing, what, evidence(seen, by), by)
    }

    /// What a device tried and was stopped.
    fn attempt(&mut self, connection: &Connection, attempt: &Attempt) -> rusqlite::Result<()> {
        let (by, now) = (self.by, self.now);
        let is_known = self.attempts_since.is_some_and(|since| now.saturating_sub(since) >= by.after);
        let id = device(connection, &attempt.device)?;
        let device = self.device(connection, id, &attempt.device.as_str().into())?;
        device.talks = true;
        let (protocol, port) = (attempt.protocol, if has_ports(attempt.protocol) { attempt.port } else { 0 });
        let peer = Address::from(attempt.destination).octets();
        let thing = Thing { device: id, peer, protocol, port, direction: Direction::FromDevice };
        if is_known
            && device.known.is_learned(now, by.after)
            && !thing.is_contact(connection)?
            && !thing.is_attempt(connection)?
            && let Some(what) = thing.novelty(connection, by.now.as_second())?
        {
            let evidence = Evidence {
                verdict: Some(attempt.verdict.clone().into()),
                reason: Some(attempt.reason.clone().into()),
                packets: attempt.count,
                ..of_ends(
                    &attempt.device,
                    Direction::FromDevice,
                    attempt.source,
                    attempt.destination,
                    protocol,
                    port,
                    by,
                )
            };
            device.add(connection, thing, what, evidence, by)?;
        }
        let put = "INSERT INTO attempt (peer, device, protocol, port, last_seen) VALUES (?1, ?2, ?3, ?4, ?5)
          ON CONFLICT DO UPDATE SET last_seen = max(last_seen, excluded.last_seen)";
        let second = attempt.time.as_second();
        connection.prepare_cached(put)?.execute(params![peer, id, protocol, port, second])?;
        Ok(())
    }

    fn device(&mut self, connection: &Connection, id: i64, name: &Arc<str>) -> rusqlite::Result<&mut Device> {
        if !self.devices.contains_key(&id) {
            let mut load = connection.prepare_cached(&format!("{LOAD} WHERE device = ?1"))?;
            let known = load.query([id])?.next()?.map(known).transpose()?;
            let mut waiting =
                connection.prepare_cached("SELECT what, content FROM folding WHERE device = ?1")?;
            let waiting = waiting.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let waiting = waiting.collect::<rusqlite::Result<Vec<(String, String)>>>()?;
            let device = Device {
                name: name.clone(),
                is_changed: known.is_none(),
                known: known.unwrap_or_else(|| Known::new(self.now)),
                talks: false,
                bytes: 0,
                outside: BTreeMap::new(),
                largest: None,
                countries: None,
                foldings: waiting.iter().filter_map(|(what, content)| folding(what, content)).collect(),
            };
            self.devices.insert(id, device);
        }
        self.devices.get_mut(&id).ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// Keeps what was found so far; with the last part of a reading, makes events of what is to be told.
    pub(super) fn keep(&mut self, connection: &Connection, is_last: bool) -> rusqlite::Result<()> {
        if is_last {
            let attempts = self.by.attempts;
            attempts.iter().try_for_each(|attempt| self.attempt(connection, attempt))?;
        }
        let (now, by) = (self.now, self.by);
        let mut told = Vec::new();
        for (id, device) in &mut self.devices {
            device.pass(connection, *id, now, by.is_late)?;
            if is_last {
                told.extend(device.volume(connection, *id, now, by)?.map(|drift| (*id, drift)));
                told.extend(device.take(connection, *id, now)?.into_iter().map(|drift| (*id, drift)));
            }
            device.keep(connection, *id, now)?;
        }
        if !is_last {
            return Ok(());
        }
        let mut named: Vec<(i64, Told)> = told
            .into_iter()
            .filter_map(|(id, drift)| {
                let device = Some(self.devices.get(&id)?.name.to_string());
                Some((id, Told { device, drift }))
            })
            .collect();
        named.extend(self.late(connection)?);
        named.extend(self.silent(connection)?);
        self.tell(connection, named)?;
        let attempts_since = self.attempts_since.or(by.event.map(|_| now));
        let watched = "UPDATE watch SET seconds = ?1, event = ifnull(?2, event), attempts_since = ?3";
        connection.prepare_cached(watched)?.execute(params![
            whole(now),
            by.event,
            attempts_since.map(whole)
        ])?;
        Ok(())
    }

    /// What is still to be told of devices that were not seen in this reading.
    fn late(&self, connection: &Connection) -> rusqlite::Result<Vec<(i64, Told)>> {
        let all = "SELECT device, what, content, name FROM folding JOIN device ON id = device";
        let mut all = connection.prepare_cached(all)?;
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        let rows = rows.collect::<rusqlite::Result<Vec<(i64, String, String, String)>>>()?;
        let mut told = Vec::new();
        for (id, what, content, name) in rows {
            if self.devices.contains_key(&id) {
                continue;
            }
            let Some((what, mut folding)) = folding(&what, &content) else { continue };
            let drift = folding.take(what, self.now);
            if drift.is_some() || folding.is_done(self.now) {
                keep_folding(connection, id, what, &folding, self.now)?;
            }
            told.extend(drift.map(|drift| (id, Told { device: Some(name), drift })));
        }
        Ok(told)
    }

    /// Devices that are silent for too long.
    fn silent(&self, connection: &Connection) -> rusqlite::Result<Vec<(i64, Told)>> {
        let last = self.now.saturating_sub(Known::least_silence());
        let mut silent = connection.prepare_cached(SILENT)?;
        let mut rows = silent.query([whole(last)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let longest: Option<i64> = row.get(9)?;
            let row: (i64, Known, String) = (row.get(8)?, known(row)?, row.get(10)?);
            found.push((row, longest.unwrap_or(0).unsigned_abs()));
        }
        let mut told = Vec::new();
        for ((id, mut known, name), longest) in found {
            if (self.by.profile)(&name).is_none() {
                let away = "UPDATE baseline SET is_away = 1 WHERE device = ?1";
                connection.prepare_cached(away)?.execute([id])?;
                continue;
            }
            let Some(measured) = known.silence(self.now, self.by.after, longest) else { continue };
            connection
                .prepare_cached("UPDATE baseline SET is_silent = 1 WHERE device = ?1")?
                .execute([id])?;
            let ago = jiff::SignedDuration::from_secs(i64::try_from(measured.found).unwrap_or(i64::MAX));
            let drift = Drift {
                number: 0,
                what: What::Silence,
                count: 1,
                devices: 1,
                first: self.by.now.checked_sub(ago).ok(),
                last: Some(self.by.now),
                evidence: vec![Evidence::of_nothing(&name)],
                measured: Some(measured),
            };
            told.push((id, Told { device: Some(name), drift }));
        }
        Ok(told)
    }

    /// Puts down what is to be told, each with a number.
    fn tell(&self, connection: &Connection, named: Vec<(i64, Told)>) -> rusqlite::Result<()> {
        let note =
            "UPDATE baseline SET drifts = drifts + 1, last_drift = ?2, last_note = ?3 WHERE device = ?1";
        for (id, told) in &named {
            let values = params![id, self.by.now.as_second(), told.drift.to_string()];
            connection.prepare_cached(note)?.execute(values)?;
        }
        for Told { device, drift } in fold(named.into_iter().map(|(_, told)| told).collect()) {
            let device = device.as_deref().map(|name| (name, (self.by.profile)(name)));
            let record = Record::of_drift(self.by.host, self.by.now, device, drift);
            let record = serde_json::to_string(&record)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
            connection.prepare_cached("INSERT INTO drift (record) VALUES (?1)")?.execute([record])?;
        }
        Ok(())
    }
}

impl Device {
    fn add(
        &mut self,
        connection: &Connection,
        thing: Thing,
        what: What,
        evidence: Evidence,
        by: &Compared<'_>,
    ) -> rusqlite::Result<()> {
        self.is_changed = true;
        if what == What::NewPeer
            && let Some(country) = evidence.peer().and_then(by.country)
        {
            if self.countries.is_none() {
                self.countries = Some(thing.countries(connection, by.country)?);
            }
            if let Some(Some(countries)) = &mut self.countries
                && countries.insert(country)
            {
                self.foldings.entry(What::NewCountry).or_default().add(evidence.clone(), by.now);
            }
        }
        self.foldings.entry(what).or_default().add(evidence, by.now);
        Ok(())
    }

    /// What it has done since the last time belongs to the hour, or to the past.
    fn pass(&mut self, connection: &Connection, id: i64, now: u64, is_late: bool) -> rusqlite::Result<()> {
        if std::mem::take(&mut self.talks) {
            self.is_changed = true;
            for hour in self.known.talk(now) {
                let values = params![id, whole(hour.day), whole(hour.bytes), whole(hour.gap)];
                connection.prepare_cached(PASS)?.execute(values)?;
            }
        }
        let bytes = std::mem::take(&mut self.bytes);
        if bytes > 0 && !is_late {
            self.is_changed = true;
            self.known.count(bytes);
        }
        for (day, packets) in std::mem::take(&mut self.outside) {
            let put = "INSERT INTO outside (device, day, packets) VALUES (?1, ?2, ?3)
              ON CONFLICT DO UPDATE SET packets = packets + excluded.packets";
            connection.prepare_cached(put)?.execute(params![id, day, whole(packets)])?;
        }
        Ok(())
    }

    fn volume(
        &mut self,
        connection: &Connection,
        id: i64,
        now: u64,
        by: &Compared<'_>,
    ) -> rusqlite::Result<Option<Drift>> {
        if !self.known.count(0) {
            return Ok(None);
        }
        let busiest = "SELECT ifnull(max(busiest), 0) FROM day WHERE device = ?1";
        let busiest = connection.prepare_cached(busiest)?.query_row([id], |row| unsigned(row, 0))?;
        let measured = self.known.volume(now, by.after, busiest);
        self.is_changed |= measured.is_some();
        Ok(measured.map(|measured| Drift {
            number: 0,
            what: What::Volume,
            count: 1,
            devices: 1,
            first: Some(by.now),
            last: Some(by.now),
            evidence: self.largest.iter().cloned().collect(),
            measured: Some(measured),
        }))
    }

    fn take(&mut self, connection: &Connection, id: i64, now: u64) -> rusqlite::Result<Vec<Drift>> {
        let mut told = Vec::new();
        for (what, folding) in &mut self.foldings {
            told.extend(folding.take(*what, now));
            keep_folding(connection, id, *what, folding, now)?;
        }
        Ok(told)
    }

    fn keep(&mut self, connection: &Connection, id: i64, now: u64) -> rusqlite::Result<()> {
        if !std::mem::take(&mut self.is_changed) {
            return Ok(());
        }
        let Known { since, measured, talked, hour, bytes, told_hour, is_silent, is_away } = self.known;
        let [since, measured, talked, hour, bytes, told_hour] =
            [since, measured, talked, hour, bytes, told_hour].map(whole);
        let values = params![id, since, measured, talked, hour, bytes, told_hour, is_silent, is_away];
        connection.prepare_cached(KEEP)?.execute(values)?;
        for (what, folding) in &self.foldings {
            keep_folding(connection, id, *what, folding, now)?;
        }
        Ok(())
    }
}

fn folding(what: &str, content: &str) -> Option<(What, Folding)> {
    let what = What::ALL.into_iter().find(|known| known.name() == what)?;
    Some((what, serde_json::from_str(content).ok()?))
}

fn keep_folding(
    connection: &Connection,
    id: i64,
    what: What,
    folding: &Folding,
    now: u64,
) -> rusqlite::Result<()> {
    if folding.is_done(now) {
        let done = "DELETE FROM folding WHERE device = ?1 AND what = ?2";
        connection.prepare_cached(done)?.execute(params![id, what.name()])?;
        return Ok(());
    }
    let content = serde_json::to_string(folding)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let put = "INSERT OR REPLACE INTO folding (device, what, content) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(put)?.execute(params![id, what.name(), content])?;
    Ok(())
}

fn known(row: &rusqlite::Row<'_>) -> rusqlite::Result<Known> {
    Ok(Known {
        since: unsigned(row, 0)?,
        measured: unsigned(row, 1)?,
        talked: unsigned(row, 2)?,
        hour: unsigned(row, 3)?,
        bytes: unsigned(row, 4)?,
        told_hour: unsigned(row, 5)?,
        is_silent: row.get(6)?,
        is_away: row.get(7)?,
    })
}

fn evidence(seen: &Seen, by: &Compared<'_>) -> Evidence {
    let (source, destination) = (seen.key.source.into(), seen.key.destination.into());
    let reason = Reason::ALL.iter().find(|reason| **reason as u8 == seen.opening.reason);
    let reason = reason.filter(|_| seen.is_outside);
    let verdict = if reason.is_some_and(|reason| *reason != Reason::Learned) { "would-drop" } else { "pass" };
    Evidence {
        verdict: Some(verdict.into()),
        reason: reason.map(|reason| reason.name().into()),
        rule: (by.rule)(seen.opening.rule),
        packets: seen.packets,
        bytes: seen.bytes,
        ..of_ends(&seen.device, seen.direction, source, destination, seen.key.protocol, seen.port(), by)
    }
}

fn of_ends(
    device: &str,
    direction: Direction,
    source: IpAddr,
    destination: IpAddr,
    number: u8,
    port: u16,
    by: &Compared<'_>,
) -> Evidence {
    let peer = if direction == Direction::FromDevice { destination } else { source };
    let country = (by.country)(peer).map(|code| String::from_utf8_lossy(&code).into_owned());
    Evidence {
        direction: Some(direction.name().into()),
        source: Some(source),
        destination: Some(destination),
        protocol: Some(protocol_name(number)),
        port: has_ports(number).then_some(port),
        country,
        ..Evidence::of_nothing(device)
    }
}
