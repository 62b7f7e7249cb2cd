//! What an explanation says is what the program says of the same frame.

use iomt_filter::datapath::Learned;
use iomt_filter::datapath::replay::Replay;
use iomt_filter::explain::{Question, Setting, Surroundings, Understudy};
use iomt_filter::policy::Vocabulary;
use iomt_filter_common::Stage;
use iomt_filter_common::policy::Mode;
use iomt_filter_tests::kernel::few;
use iomt_filter_tests::world::hospital;

const NOW: u64 = 1_000_000_000_000;

#[test]
fn an_explanation_is_what_the_program_says_of_the_frame() {
    let world = hospital().with_mode("ct-scanner", Mode::Enforce);
    let (rows, vocabulary) = (world.rows(), Vocabulary::default());
    let surroundings = Surroundings { rows: &rows, vocabulary: &vocabulary, segments: &world.segments };
    let mut seen = std::collections::BTreeSet::new();
    let mut replay = Replay::load(few(64)).unwrap();
    replay.apply(rows.clone()).unwrap();
    // Asked one question after the other, as by an agent that may load nothing any more.
    let mut understudy = Understudy::load(64).unwrap();
    for device in ["ct-1", "pump-1"] {
        for (peer, is_from, service) in [
            ("10.20.0.10", false, "104/tcp"),
            ("10.20.0.10", true, "104/tcp"),
            ("203.0.113.9", false, "443/tcp"),
            ("198.51.100.7", false, "53/udp"),
            ("10.20.0.10", false, "icmp"),
        ] {
            let question = Question {
                device: device.to_owned(),
                peer: peer.to_owned(),
                is_from,
                service: service.to_owned(),
                ..Question::default()
            };
            let scene = surroundings.understand(&question, &[]).unwrap();
            let (frame, port) = scene.frame();
            replay.forget().unwrap();
            let (event, case) = replay.judge_and_tell(&frame, port, NOW).unwrap();
            assert_eq!((case.packet, case.decision), (event.packet, event.decision));

            let setting = || Setting {
                source: "files",
                rows: rows.about(&scene.addresses()),
                countries: None,
                learned: Learned::default(),
                generation: 7,
                now: NOW,
            };
            let (own, again) = (setting(), surroundings.understand(&question, &[]).unwrap());
            let explained = understudy.play(again, setting()).unwrap();
            let alone = scene.play(own).unwrap();
            assert_eq!(
                serde_json::to_value(&explained).unwrap(),
                serde_json::to_value(&alone).unwrap(),
                "{question:?}"
            );
            let said = alone.opening;
            let decision = event.decision;
            assert_eq!(said.verdict, decision.verdict().name(), "{question:?}");
            assert_eq!(said.reason, decision.reason().unwrap().name(), "{question:?}");
            assert_eq!(said.stage, Stage::from_number(decision.step()).unwrap().name(), "{question:?}");
            assert_eq!(said.rule.as_ref(), rows.names.rules.get(&decision.rule), "{question:?}");
            assert_eq!(said.generation, 7);
            seen.insert(said.reason);
        }
    }
    assert!(seen.len() >= 3, "{seen:?}");
}
