//! What no rule allows and what passes all the same is counted by conversation, and nothing else is.

use iomt_filter::datapath::{Datapath, LoadOptions, WriterToken};
use iomt_filter_common::Reason;
use iomt_filter_common::flow::FlowKey;
use iomt_filter_common::policy::Mode;
use iomt_filter_common::watch::Watched;
use iomt_filter_tests::kernel::run;
use iomt_filter_tests::packet::Frame;
use iomt_filter_tests::world::{World, hospital};

use crate::changes::now;

const HOUR: u64 = 3_600 * 1_000_000_000;

/// A program in which the scanners are in a mode.
struct Scene {
    world: World,
    datapath: Datapath,
    _token: WriterToken,
    _state: tempfile::TempDir,
}

impl Scene {
    fn load(mode: Mode) -> Self {
        let world = hospital().with_mode("ct-scanner", mode);
        let mut datapath = Datapath::load(&LoadOptions { devices: 64, ..LoadOptions::default() }).unwrap();
        let state = tempfile::tempdir().unwrap();
        let token = WriterToken::take(state.path()).unwrap();
        datapath.apply(world.rows(), &token).unwrap();
        let scene = Self { world, datapath, _token: token, _state: state };
        // A rule allows this.
        scene.send(scene.from().to("10.20.0.10").tcp(40_000, 104).syn());
        scene.send(scene.from().to("10.20.0.99").tcp(40_001, 445).syn());
        scene.send(scene.from().to("10.20.0.99").tcp(40_001, 445).ack());
        scene.send(scene.from().to("10.20.0.99").tcp(40_002, 445).ack());
        scene.send(scene.from().to("10.20.0.98").tcp(445, 40_003).syn_ack());
        scene
    }

    /// A frame of the scanner `ct-1`.
    fn from(&self) -> Frame {
        self.world.from("ct-1")
    }

    fn send(&self, frame: Frame) {
        run(&self.datapath, &frame.bytes()).unwrap();
    }

    fn watched(&self) -> Vec<(FlowKey, Watched)> {
        let readings = self.datapath.readings();
        assert_eq!(readings.unwatched(), 0);
        let mut all = readings.watched();
        all.sort_by_key(|(key, _)| key.source_port);
        all
    }
}

#[test]
fn what_passes_without_a_rule_is_counted_by_conversation() {
    for (mode, [opened, midway, turned]) in [
        (Mode::Monitor, [Reason::NotAllowed, Reason::NoFlow, Reason::NoFlow]),
        (Mode::Learn, [Reason::Learned; 3]),
    ] {
        let scene = Scene::load(mode);
        let names = &scene.world.rows().names.devices;
        let ct = names.iter().find(|(_, name)| *name == "ct-1").map(|(&number, _)| number).unwrap();
        let of = |(key, watched): &(FlowKey, Watched)| {
            assert!(watched.first_seen <= watched.last_seen && watched.bytes >= watched.packets * 54);
            let Watched { packets, is_opened, opener, responder, reason, .. } = *watched;
            let ports = (key.source_port, key.destination_port);
            (ports, packets, is_opened, (opener, responder), Reason::from_number(reason).unwrap())
        };
        let found: Vec<_> = scene.watched().iter().map(of).collect();
        let expected = [
            ((40_001, 445), 2, 1, (ct, 0), opened),
            ((40_002, 445), 1, 0, (ct, 0), midway),
            // Who is answered has opened, and is at the other end.
            ((40_003, 445), 1, 1, (0, ct), turned),
        ];
        assert_eq!(found, expected, "{mode:?}");
    }
}

#[test]
fn what_is_kept_and_over_is_let_go_of_and_what_goes_on_is_not() {
    let scene = Scene::load(Mode::Monitor);
    let (readings, kept) = (scene.datapath.readings(), scene.watched());
    readings.let_go_of_watched(&kept, now());
    assert_eq!(scene.watched(), kept, "it may go on");
    assert_eq!(scene.watched(), kept, "to read it takes nothing away");
    // One goes on after it was read.
    scene.send(scene.from().to("10.20.0.99").tcp(40_002, 445).ack());
    readings.let_go_of_watched(&kept, now() + HOUR);
    let left = scene.watched();
    let left: Vec<_> = left.iter().map(|(key, watched)| (key.source_port, watched.packets)).collect();
    assert_eq!(left, [(40_002, 2)]);
}

#[test]
fn what_is_dropped_is_not_watched() {
    assert_eq!(Scene::load(Mode::Enforce).watched(), []);
}

#[test]
fn what_a_group_was_asked_is_the_askers_conversation_with_whoever_answers() {
    let scene = Scene::load(Mode::Monitor);
    let names = &scene.world.rows().names.devices;
    let number =
        |name: &str| names.iter().find(|(_, known)| *known == name).map(|(&number, _)| number).unwrap();
    let (asker, answerer) = (number("ct-1"), number("ct-2"));
    scene.send(scene.from().to("239.255.255.250").udp(50_000, 3_702));
    let answer = || scene.world.from("ct-2").to(scene.world.v4("ct-1"));
    scene.send(answer().udp(3_702, 50_000));
    scene.send(answer().udp(3_702, 50_000));
    // Nobody asked this.
    scene.send(answer().udp(3_702, 50_001));
    let of = |(key, watched): &(FlowKey, Watched)| {
        ((key.source_port, key.destination_port), watched.packets, (watched.opener, watched.responder))
    };
    let mut found: Vec<_> = scene.watched().iter().map(of).collect();
    found.retain(|((source, destination), ..)| [source, destination].contains(&&3_702));
    found.sort_unstable();
    let expected = [
        ((3_702, 50_001), 1, (answerer, asker)),
        ((50_000, 3_702), 1, (asker, 0)),
        ((50_000, 3_702), 2, (asker, answerer)),
    ];
    assert_eq!(found, expected);
}
