//! What operators have made hold: generations, what is to be confirmed, and what holds by hand.

use super::family::{Family, counter, gauge, seconds};
use crate::api::messages::{ExceptionKind, ExceptionStatus, Scope};

pub(super) static FAMILIES: [Family; 13] = [
    gauge(
        "generation",
        &[],
        "The generation that judges, as the kernel counts them: each change, list and block is one",
        |shown, to| {
            to.put(&[], shown.status.generation);
        },
    ),
    seconds("generation_age", &[], "Time since that generation became active", |shown, to| {
        to.put(&[], shown.since(shown.status.generation_since));
    }),
    gauge(
        "change_generation",
        &[],
        "The generation on disk that holds, as `generations` shows it; none where none is kept",
        |shown, to| {
            to.put_some(&[], shown.status.change.number);
        },
    ),
    gauge("change_pending", &[], "1 where a change waits to be confirmed", |shown, to| {
        to.put(&[], shown.status.change.pending.is_some());
    }),
    seconds(
        "change_left",
        &[],
        "Time until a change that nobody confirms goes back by itself; none where none is pending",
        |shown, to| {
            to.put_some(&[], shown.status.change.pending.as_ref().map(|pending| pending.left_seconds));
        },
    ),
    gauge("files_differ", &[], "1 where the files say something else than what holds", |shown, to| {
        to.put(&[], shown.status.change.files_differ);
    }),
    gauge(
        "files_kept_back",
        &[],
        "1 where what was confirmed before holds, because what the files say cannot: `KEPT` in `status`",
        |shown, to| {
            to.put(&[], shown.status.change.kept_because.is_some());
        },
    ),
    gauge("grants", &[], "Grants that hold", |shown, to| to.put(&[], shown.grants)),
    gauge("exceptions", &["kind", "scope"], "Quarantines and bypasses by hand that hold", |shown, to| {
        for kind in [ExceptionKind::Quarantine, ExceptionKind::Bypass] {
            for scope in ["device", "profile", "all"] {
                let holds = |one: &&ExceptionStatus| one.kind == kind && of_what(&one.scope).0 == scope;
                to.put(&[kind.name(), scope], shown.status.exceptions.iter().filter(holds).count());
            }
        }
    }),
    seconds(
        "exception_age",
        &["kind", "scope", "name"],
        "Time since a quarantine or bypass by hand was made, by what it is of; `name` is empty where it is of everything",
        |shown, to| {
            for one in &shown.status.exceptions {
                let (scope, name) = of_what(&one.scope);
                to.put(&[one.kind.name(), scope, name], shown.since(one.added));
            }
        },
    ),
    seconds(
        "exception_left",
        &["kind", "scope", "name"],
        "Time until a quarantine or bypass by hand ends by itself; none where it holds until it is released",
        |shown, to| {
            for one in &shown.status.exceptions {
                let (scope, name) = of_what(&one.scope);
                let left = one.until.map(|until| until.duration_since(shown.now).as_secs_f64().max(0.0));
                to.put_some(&[one.kind.name(), scope, name], left);
            }
        },
    ),
    counter(
        "drift_repairs",
        &[],
        "How often this agent found that the kernel's tables held something else than was written, and wrote them anew",
        |shown, to| {
            to.put(&[], shown.status.drift.repairs);
        },
    ),
    seconds("drift_repair_age", &[], "Time since that was so last; none where it never was", |shown, to| {
        to.put_some(&[], shown.status.drift.last.map(|last| shown.since(last)));
    }),
];

fn of_what(scope: &Scope) -> (&'static str, &str) {
    match scope {
        Scope::Device(name) => ("device", name),
        Scope::Profile(name) => ("profile", name),
        Scope::All => ("all", ""),
    }
}
