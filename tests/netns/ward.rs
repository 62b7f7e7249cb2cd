//! The filter between a ward and its hospital, as a router and as a bridge: the programs of clinical
//! networks get through, those of attackers do not.
//!
//! Every scenario runs without the filter first where that is quick: what passes because nothing is
//! forbidden, or fails because nothing works, is noticed there.

use std::time::Duration;

use iomt_filter_tests::hospital::events::Events;
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::ward::{Placement, Ward};
use serde_json::Value;

use crate::hospital::agent;

mod clinical;
mod discovery;
mod impostors;
mod learned;
mod leases;
mod path;
mod reset;
mod scan;
mod trunk;

const LIMIT: Duration = Duration::from_secs(10);
/// How long an answer is waited for that is not to come; one that is takes microseconds.
const ATTEMPT: Duration = Duration::from_millis(300);

fn build(placement: Placement) -> Ward {
    Ward::build(crate::PREFIX, placement).unwrap()
}

/// The ward's filter, judging, and its events.
fn filter(ward: &Ward) -> (Filter<'_>, Events) {
    let mut filter = ward.filter(&agent()).unwrap();
    filter.start().unwrap();
    let events = Events::follow(&filter).unwrap();
    (filter, events)
}

/// Waits for a drop of a device's packet, and has a look at it besides.
fn dropped(events: &Events, device: Option<&str>, reason: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let what = format!("{device:?} dropped as `{reason}`");
    let of_device = |event: &Value| event["verdict"] == "drop" && event["device"].as_str() == device;
    let found = events.wait(&what, |event| of_device(event) && event["reason"] == reason && is_it(event));
    found.unwrap()
}

/// One test for each placement of the filter.
macro_rules! in_both_placements {
    ($scenario:path, $router:ident, $bridge:ident) => {
        #[test]
        fn $router() {
            if crate::can_run() {
                $scenario(iomt_filter_tests::ward::Placement::Router);
            }
        }

        #[test]
        fn $bridge() {
            if crate::can_run() {
                $scenario(iomt_filter_tests::ward::Placement::Bridge);
            }
        }
    };
}
use in_both_placements;
