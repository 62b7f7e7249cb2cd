//! What happens to a filter: its agent is killed, stopped and replaced, told new things, left without disk, state or
//! socket. Each says that the filter has come through; what became of the packets meanwhile, the traffic says.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, Map, MapData};
use iomt_filter_common::abi::{Active, map};
use serde_json::{Value, json};

use super::Crossing;
use super::files::Files;
use super::traffic::Traffic;
use crate::hospital::filter::Filter;
use crate::hospital::wait;
use crate::random::Random;

const LIMIT: Duration = Duration::from_secs(60);
/// The shortest time within which a change can be asked to be confirmed, as the command takes it.
const DEADLINE: &str = "5s";
/// One that an agent does not wait for.
const FAR_DEADLINE: &str = "10m";
/// Rounds in which traffic shows what holds.
const ROUNDS: u32 = 50;
const MOMENT: u32 = 10;

/// What can happen to a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its agent is killed, and another one started.
    Kill(Kill),
    /// Another agent takes the place of the one that runs, and replaces the program on every interface.
    Upgrade,
    /// Other files are made to hold, in which the packets that are sent have the same answers.
    Swap,
    /// An address that nobody talks to is blocked and let go again: two swaps.
    Block,
    /// Another generation judges beside the active one for a moment.
    Trial,
    /// A change that cuts the operator is made to hold, and its deadline passes.
    FallBack(Meanwhile),
    /// The disk is full: the agent lives with it, is asked for changes and started again.
    FullDisk,
    /// The state is taken away from a running agent, and another one is started without it.
    LostState,
    /// The control socket is taken away: the agent reads its files by a signal, and another one follows it.
    LostSocket,
}

/// How an agent is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// While it has nothing to do.
    AtRest,
    /// While it starts.
    Starting,
    /// While it makes something new hold.
    Changing,
}

/// What happens to the agent while a change waits for its confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    /// Nothing.
    Nothing,
    /// It is killed, and started when all is over.
    Killed,
    /// It is killed and started again before the deadline.
    Restarted,
    /// The same, and what was written down of the change is gone: what the files say by then holds.
    Forgotten,
}

/// A filter under traffic, to which something happens.
#[derive(Debug)]
pub struct Patient<'c> {
    crossing: &'c Crossing,
    filter: Filter<'c>,
    traffic: Traffic,
    random: Random,
    variation: u32,
    /// How long a start and a swap take here.
    takes: [Duration; 2],
}

impl<'c> Patient<'c> {
    /// With a filter that runs, and traffic across it.
    #[must_use]
    pub const fn new(crossing: &'c Crossing, filter: Filter<'c>, traffic: Traffic, random: Random) -> Self {
        let takes = [Duration::from_millis(900), Duration::from_millis(60)];
        Self { crossing, filter, traffic, random, variation: 0, takes }
    }

    /// Lets something happen to it.
    ///
    /// # Errors
    /// When the filter does not come through as it should, with what its agent said, or something has leaked.
    pub fn suffer(&mut self, trouble: Trouble) -> Result<()> {
        self.traffic.note(format!("{trouble:?}"));
        let done = match trouble {
            Trouble::Kill(how) => self.kill(how),
            Trouble::Upgrade => self.upgrade(),
            Trouble::Swap => self.swap(),
            Trouble::Block => self.block_and_unblock(),
            Trouble::Trial => self.try_beside(),
            Trouble::FallBack(meanwhile) => self.fall_back(meanwhile),
            Trouble::FullDisk => self.fill_disk(),
            Trouble::LostState => self.lose_state(),
            Trouble::LostSocket => self.lose_socket(),
        };
        done.with_context(|| format!("{trouble:?} went wrong; the agent said:\n{}", self.filter.log()))?;
        ensure!(self.traffic.leaked() == 0, "a packet has leaked at {trouble:?}");
        Ok(())
    }

    /// The filter and the traffic, when enough has happened.
    #[must_use]
    pub fn end(self) -> (Filter<'c>, Traffic) {
        (self.filter, self.traffic)
    }

    fn kill(&mut self, how: Kill) -> Result<()> {
        match how {
            Kill::AtRest => self.filter.kill()?,
            Kill::Starting => {
                self.filter.stop()?;
                self.filter.launch()?;
                self.sleep_within(self.takes[0]);
                self.filter.kill()?;
            }
            Kill::Changing => {
                self.write_variation()?;
                self.filter.hang_up()?;
                self.sleep_within(self.takes[1]);
                self.filter.kill()?;
            }
        }
        let begun = Instant::now();
        self.filter.start()?;
        self.takes[0] = begun.elapsed();
        Ok(())
    }

    /// Waits no longer than this.
    fn sleep_within(&mut self, longest: Duration) {
        thread::sleep(longest * self.random.below(100) as u32 / 100);
    }

    fn upgrade(&mut self) -> Result<()> {
        let before = self.crossing.programs()?;
        self.filter.stop()?;
        self.filter.start()?;
        let after = self.crossing.programs()?;
        let is_new = before.iter().all(|program| !after.contains(program));
        ensure!(is_new, "before the upgrade ran the programs {before:?}, and behind it {after:?}");
        Ok(())
    }

    fn swap(&mut self) -> Result<()> {
        self.write_variation()?;
        let (before, begun) = (self.generation()?, Instant::now());
        let (status, answer) = self.filter.post("/v1/reload", &json!(null))?;
        ensure!(status == 200, "a reload was refused: {answer}");
        self.takes[1] = begun.elapsed();
        let after = self.generation()?;
        ensure!(after > before, "generation {before} went on as {after}");
        Ok(())
    }

    fn block_and_unblock(&mut self) -> Result<()> {
        let target = format!("198.51.100.{}/32", self.random.below(250));
        let added = self
            .filter
            .post("/v1/blocks", &json!({"targets": [target], "score": 100, "until": null, "note": null}))?;
        ensure!(added.0 == 200, "a block was refused: {}", added.1);
        let removed = self.filter.post("/v1/blocks/remove", &json!({"targets": [target]}))?;
        ensure!(removed.0 == 200, "a block was kept: {}", removed.1);
        Ok(())
    }

    fn try_beside(&mut self) -> Result<()> {
        self.write_variation()?;
        let begun = self.filter.post("/v1/trial", &json!({"seconds": 600}))?;
        ensure!(begun.0 == 200 && begun.1["running"] == true, "a trial was refused: {}", begun.1);
        self.traffic.go_on(ROUNDS)?;
        let ended = self.filter.post("/v1/trial/end", &json!(null))?;
        let frames = ended.1["frames"].as_u64();
        ensure!(ended.0 == 200 && frames > Some(u64::from(ROUNDS)), "a trial failed: {}", ended.1);
        Ok(())
    }

    fn fall_back(&mut self, meanwhile: Meanwhile) -> Result<()> {
        let files = Files::variation(self.next_variation());
        self.write(&files.clone().without_operator())?;
        let deadline = if meanwhile == Meanwhile::Forgotten { FAR_DEADLINE } else { DEADLINE };
        self.filter.tell(&["apply", "--confirm-within", deadline])?;
        // A packet that was on its way may arrive yet.
        self.traffic.go_on(MOMENT)?;
        let cut = self.traffic.varied();
        self.traffic.go_on(MOMENT)?;
        ensure!(self.traffic.varied() == cut, "the change has not cut the operator");
        match meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::Killed => self.filter.kill()?,
            Meanwhile::Restarted => {
                self.filter.kill()?;
                self.filter.start()?;
            }
            Meanwhile::Forgotten => {
                self.filter.kill()?;
                empty(self.crossing.state())?;
                self.write(&files)?;
                self.filter.start()?;
            }
        }
        let live = || self.traffic.varied() > cut + u64::from(ROUNDS);
        self.traffic.wait("the operator to be back", live)?;
        if meanwhile == Meanwhile::Killed {
            self.filter.start()?;
        }
        // What the files say was taken back; they are mended before the next reload.
        self.write(&files)
    }

    fn fill_disk(&mut self) -> Result<()> {
        let ballast = self.crossing.state().join("ballast");
        self.write_variation()?;
        self.filter.tell(&["apply", "--confirm-within", FAR_DEADLINE])?;
        let applied = self.change()?["number"].clone();
        fill(&ballast)?;
        // A confirmation waits for no disk, and whoever starts next knows of it.
        self.filter.tell(&["confirm"]).context("a change cannot be confirmed on a full disk")?;
        self.filter.kill()?;
        self.filter.start().context("an agent does not start on a full disk")?;
        let change = self.change()?;
        ensure!(
            change["number"] == applied && change["pending"].is_null(),
            "generation {applied} was confirmed, and there is {change}"
        );
        self.write_variation()?;
        // Nothing can be written down: what is asked for is refused, and what runs stays.
        let refused = self.filter.ask(&["reload"])?;
        ensure!(!refused.status.success(), "a reload is not in the audit log: {}", refused.output);
        let refused = self.filter.ask(&["block", "add", "198.51.100.9"])?;
        ensure!(!refused.status.success(), "a block is not in the audit log: {}", refused.output);
        self.filter.kill()?;
        self.filter.start().context("an agent does not start on a full disk")?;
        self.traffic.go_on(ROUNDS)?;
        fs::remove_file(&ballast).context("failed to empty the disk")?;
        wait::until("the audit log to be written again", LIMIT, || {
            Ok(self.filter.json(&["status"])?["audit"]["error"].is_null().then_some(()))
        })?;
        self.swap()
    }

    fn lose_state(&mut self) -> Result<()> {
        empty(self.crossing.state())?;
        self.write_variation()?;
        self.filter.hang_up()?;
        self.traffic.go_on(ROUNDS)?;
        self.filter.check().context("an agent that lost its state ended")?;
        self.filter.kill()?;
        self.filter.start().context("an agent does not start without its state")?;
        self.swap()
    }

    fn lose_socket(&mut self) -> Result<()> {
        fs::remove_file(self.filter.socket()).context("failed to remove the socket")?;
        self.write_variation()?;
        let before = self.generation()?;
        self.filter.hang_up()?;
        wait::until("a generation without a socket", LIMIT, || {
            self.filter.check()?;
            Ok((self.generation()? > before).then_some(()))
        })?;
        self.upgrade()
    }

    fn change(&self) -> Result<Value> {
        Ok(self.filter.json(&["status"])?["change"].clone())
    }

    /// The generation that is written as the active one.
    fn generation(&self) -> Result<u32> {
        let pin = self.crossing.pins().join("maps").join(map::ACTIVE);
        let data = MapData::from_pin(&pin).with_context(|| format!("failed to open `{}`", pin.display()))?;
        let word: Array<_, u64> = Map::from_map_data(data)?.try_into()?;
        Ok(Active(word.get(&0, 0)?).generation())
    }

    fn next_variation(&mut self) -> u32 {
        let before = self.variation;
        while self.variation == before {
            self.variation = self.random.below(1 << 7) as u32;
        }
        self.variation
    }

    fn write_variation(&mut self) -> Result<()> {
        let files = Files::variation(self.next_variation());
        self.write(&files)
    }

    fn write(&self, files: &Files) -> Result<()> {
        let Files { policy, devices, threats } = files;
        self.filter.write("policy.toml", policy)?;
        self.filter.write("devices.toml", devices)?;
        self.filter.write("threats.txt", threats)
    }
}

/// Removes all that is in a folder.
fn empty(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).context("failed to look into a folder")? {
        let path = entry.context("failed to look into a folder")?.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        // The agent may have taken it away itself.
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error).with_context(|| format!("failed to remove `{}`", path.display()));
        }
    }
    Ok(())
}

/// Writes a file until there is no more room.
fn fill(path: &Path) -> Result<()> {
    let mut file = fs::File::create(path).context("failed to make a file")?;
    for size in [1 << 20, 1 << 12, 1] {
        let block = vec![0; size];
        loop {
            match file.write_all(&block) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                Err(error) => return Err(error).context("failed to fill the disk"),
            }
        }
    }
    Ok(())
}
