//! What the kernel says of the program: whether it takes it, and how much there was to look at.

use std::env;
use std::path::Path;
use std::time::Instant;

use iomt_filter::datapath::attach::{WantedMode, detach};
use iomt_filter::datapath::replay::Replay;
use iomt_filter::datapath::{AttachMode, Datapath, LoadOptions, WriterToken};
use iomt_filter_common::device::Port;
use iomt_filter_tests::kernel::few;
use iomt_filter_tests::packet::{Extension, Frame};
use iomt_filter_tests::world::hospital;

/// `cargo xtask kernels` reads the lines that this prints.
#[test]
fn the_program_is_taken() {
    let mut datapath = match Datapath::load(&LoadOptions::default()) {
        Ok(datapath) => datapath,
        Err(error) => {
            eprintln!("refused: {:#}", anyhow::Error::from(error));
            panic!("the kernel refused the program");
        }
    };
    let program = datapath.xdp_mut().unwrap();
    // Once more, without the time that the tables take.
    program.unload().unwrap();
    let start = Instant::now();
    program.load().unwrap();
    let milliseconds = start.elapsed().as_millis();
    let info = program.info().unwrap();
    let verified = info.verified_instruction_count().unwrap();
    let translated = info.size_translated().unwrap();
    let jited = info.size_jitted();
    eprintln!(
        "program: {verified} instructions verified, {translated} bytes translated, {jited} bytes of machine code, {milliseconds} ms to load"
    );
}

/// The host reads such a frame to its end; the program sees a first page of it.
#[test]
fn headers_beyond_the_first_page_of_a_jumbo_frame_are_unsupported() {
    let world = hospital();
    let mut replay = Replay::load(few(64)).unwrap();
    replay.apply(world.rows()).unwrap();
    let long = || Extension { kind: 60, length: None, body: vec![0; 2_046] };
    let asks = || Frame::from(world.v6("ct-1")).to("2001:db8:20::53");
    for (what, frame, answer) in [
        ("one long header", asks().udp(1_000, 53).extension(long()), "pass allowed"),
        ("UDP out of reach", asks().udp(1_000, 53).extension(long()).extension(long()), "drop unsupported"),
        ("a chain out of reach", chain(asks().udp(1_000, 53), 3, long), "drop unsupported"),
        ("a chain that is cut there", chain(asks().protocol(60, &[17, 9]), 2, long), "drop malformed"),
    ] {
        let event = replay.judge(&frame.bytes(), Port::Device, 1).unwrap();
        let reason = event.decision.reason().map_or("none", |reason| reason.name());
        assert_eq!(format!("{} {reason}", event.decision.verdict().name()), answer, "{what}");
    }
}

fn chain(frame: Frame, length: usize, header: fn() -> Extension) -> Frame {
    (0..length).fold(frame, |frame, _| frame.extension(header()))
}

/// `IOMT_FILTER_INTERFACE` names an interface that no traffic is expected on: what comes in is dropped.
#[test]
fn the_driver_takes_the_program_and_its_link_is_pinned() {
    let Ok(interface) = env::var("IOMT_FILTER_INTERFACE") else { return };
    let pins = Path::new("/sys/fs/bpf").join(format!("iomt-filter-tests-{}", std::process::id()));
    let state = tempfile::tempdir().unwrap();
    let token = WriterToken::take(state.path()).unwrap();
    let options = LoadOptions { pins: Some(pins.clone()), ..LoadOptions::default() };
    let mut datapath = Datapath::load(&options).unwrap();
    let attached = datapath.attach(&interface, &Port::Device.into(), WantedMode::Native, &token).unwrap();
    assert_eq!(attached.mode, Some(AttachMode::Native));

    drop(datapath);
    let mut next = Datapath::load(&options).unwrap();
    assert!(next.is_adopted());
    let replaced = next.attach(&interface, &Port::Device.into(), WantedMode::Native, &token).unwrap();
    assert_eq!(replaced.mode, None, "the program of the process before was not replaced in place");
    assert_eq!(detach(&pins).unwrap(), [interface]);
}
