//! The demo, step by step.

use std::fmt::Display;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use iomt_filter_tests::hospital::dicom::{self, Pacs, Study};
use iomt_filter_tests::hospital::events::Events;
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::{Hospital, Host, Version};

use crate::attempts::{ATTEMPTS, Services};
use crate::cut::{self, Sessions};
use crate::keep;
use crate::live::{self, Live};
use crate::say::Say;
use crate::table;

/// Everything that runs.
pub(crate) struct Scene<'d> {
    pub(crate) say: &'d Say,
    pub(crate) hospital: &'d Hospital,
    pub(crate) filter: Filter<'d>,
    pub(crate) events: Events,
    pub(crate) live: &'d Live,
    pub(crate) services: Services,
    pub(crate) study: Study,
    pub(crate) pacs: Pacs,
}

/// Tells it all, and takes everything away again.
pub(crate) fn tell(say: &Say, binary: &Path, keep: bool) -> Result<()> {
    let told = perform(say, binary, keep);
    say.line("\nEverything is removed again.");
    told
}

fn perform(say: &Say, binary: &Path, keep: bool) -> Result<()> {
    let hospital = Hospital::build(crate::PREFIX).context("failed to build the hospital")?;
    say.line(&format!("A hospital in the network namespaces `{}-*`\n\n{MAP}", hospital.name()));
    let study = Study::make(&hospital)?;
    let pacs = Pacs::start(&hospital)?;
    let services = Services::start(&hospital)?;
    without_filter(say, &hospital)?;

    let filter = start_filter(say, &hospital, binary)?;
    let (teller, output) = live::follow(&filter)?;
    let events = Events::follow(&filter)?;
    let live = Live::default();
    thread::scope(|scope| {
        live.show(scope, output, say);
        // Ends before the scope does, or its thread would be waited for in vain.
        let teller = teller;
        let mut scene =
            Scene { say, hospital: &hospital, filter, events, live: &live, services, study, pacs };
        let told = scene.play(keep);
        drop(teller);
        let removed = scene.filter.remove();
        told.and(removed)
    })
}

fn without_filter(say: &Say, hospital: &Hospital) -> Result<()> {
    say.step("without the filter, everybody reaches everybody");
    for attempt in ATTEMPTS {
        for version in Version::BOTH {
            let result = attempt.succeeds(hospital, version);
            say.check(&format!("connected: {}", attempt.describe(version)), result)?;
        }
    }
    Ok(())
}

fn start_filter<'h>(say: &Say, hospital: &'h Hospital, binary: &Path) -> Result<Filter<'h>> {
    say.step("the filter starts on the segmentation host");
    let mut filter = Filter::configure(hospital, binary)?;
    let began = Instant::now();
    filter.start()?;
    let status = filter.json(&["status"])?;
    let interfaces = status["interfaces"].as_array().into_iter().flatten();
    let named = interfaces.map(|interface| {
        let field = |name: &str| interface[name].as_str().unwrap_or("?").to_owned();
        format!("{} ({}, {})", field("name"), field("port"), field("mode"))
    });
    let named: Vec<_> = named.collect();
    say.tried(&format!("judging on {}", named.join(", ")));
    say.check("the agent is ready", Ok(format!("ready after {} ms", began.elapsed().as_millis())))?;
    Ok(filter)
}

impl Scene<'_> {
    fn play(&mut self, keep: bool) -> Result<()> {
        self.study_arrives()?;
        for attempt in ATTEMPTS {
            self.say.step(attempt.heading);
            self.say.tried(attempt.why);
            for version in Version::BOTH {
                let result = attempt.is_dropped(self.hospital, &self.services, &self.events, version);
                self.check(&format!("dropped: {}", attempt.describe(version)), result)?;
            }
        }
        let sessions = Sessions::start(self)?;
        cut::cut(self, &sessions)?;
        table::show(self)?;
        if keep {
            keep::wait(self, &sessions)?;
        }
        Ok(())
    }

    fn study_arrives(&mut self) -> Result<()> {
        self.say.step("the CT scanner sends a study to the PACS");
        let pacs = Host::Pacs.address(Version::V4);
        self.say.tried(&format!("echoscu and storescu at {pacs}, where storescp listens"));
        let echo = dicom::echo(self.hospital, Host::Ct).map(|()| "the PACS answers C-ECHO");
        self.check("the PACS answers C-ECHO", echo)?;
        let began = Instant::now();
        let sent = dicom::send(self.hospital, Host::Ct, &self.study, &mut self.pacs);
        let (images, kilobytes) = (self.study.images(), self.study.bytes() / 1000);
        let arrived = sent.map(|()| {
            format!("{images} images, {kilobytes} kB, in the archive after {}", milliseconds(began.elapsed()))
        });
        self.check("the study arrives, every pixel of it", arrived)
    }

    /// A result, behind the events that belong to it.
    pub(crate) fn check(&self, expected: &str, result: Result<impl Display>) -> Result<()> {
        self.live.settle(&self.events);
        self.say.check(expected, result)
    }
}

/// As people read it.
pub(crate) fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

const MAP: &str = concat!(
    "  ct      10.10.0.11 --+                          +-- pacs    10.20.0.10    storescp\n",
    "  pump    10.10.0.12 --+-- seg (filter) -- core --+-- c2      203.0.113.9   on a threat list\n",
    "  laptop  10.10.0.66 --+                          +-- denied  192.0.2.5     in a denied country\n",
    "                                                  +-- vendor  198.51.100.7",
);
