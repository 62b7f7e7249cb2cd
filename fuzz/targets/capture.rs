//! pcap and pcapng: no panic, no endless loop, and no frame longer than the file.
#![no_main]

use std::io::Cursor;

use iomt_filter::capture::Capture;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut capture) = Capture::open(Box::new(Cursor::new(bytes.to_vec()))) else { return };
    let mut held = 0;
    let mut frames = 0;
    while let Ok(Some(frame)) = capture.next_frame() {
        held += frame.bytes.len();
        frames += 1;
        assert!(held <= bytes.len(), "more bytes in frames than in the file");
        assert!(frames <= bytes.len(), "more frames than bytes");
    }
});
