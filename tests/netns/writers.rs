//! Who changes something at the same time as somebody else: one wins, and every other one is told.

use std::thread;

use iomt_filter_tests::hospital::filter::{Filter, POLICY};
use iomt_filter_tests::hospital::wait;
use serde_json::{Value, json};

use crate::can_run;
use crate::hospital::{LIMIT, agent, build, filter};

/// How many ask at once.
const WRITERS: usize = 6;

fn pending(filter: &Filter<'_>) -> Value {
    filter.json(&["status"]).unwrap()["change"]["pending"].clone()
}

#[test]
fn of_those_who_apply_at_once_one_wins_and_the_others_are_told() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let filter = filter(&hospital, &agent());
    filter.write("policy.toml", format!("{POLICY}\n# another one\n")).unwrap();
    let told: Vec<_> = thread::scope(|scope| {
        let ask = || filter.post("/v1/apply", &json!({"seconds": 600, "note": "at once"})).unwrap();
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(ask)).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let (won, lost): (Vec<_>, Vec<_>) = told.into_iter().partition(|(status, _)| *status == 200);
    assert_eq!((won.len(), lost.len()), (1, WRITERS - 1), "{won:?} {lost:?}");
    for (_, answer) in &lost {
        let why = answer["errors"][0].as_str().unwrap();
        assert!(why.contains("pending") && why.contains("confirm"), "{why}");
    }
    assert_eq!(pending(&filter)["number"], won[0].1["number"]);

    // Nor does a signal come between.
    filter.write("policy.toml", POLICY).unwrap();
    filter.hang_up().unwrap();
    wait::until("the signal to be refused", LIMIT, || {
        Ok(filter.json(&["status"])?["failed_reload"].to_string().contains("pending").then_some(()))
    })
    .unwrap();
    assert_eq!(pending(&filter)["number"], won[0].1["number"]);
    filter.tell(&["confirm"]).unwrap();
    filter.tell(&["audit", "verify"]).unwrap();
    filter.remove().unwrap();
}
