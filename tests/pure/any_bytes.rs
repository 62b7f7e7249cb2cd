//! Whatever comes in, at whatever time: an answer and no panic.

use iomt_filter_tests::generate::{Step, script};
use iomt_filter_tests::judge::{Host, Judge};

#[test]
fn any_bytes_get_an_answer_and_no_panic() {
    let mut random = iomt_filter_tests::random::Random::new(7);
    for seed in 0..200 {
        let script = script(seed, 40);
        let mut host = Host::of(&script.world);
        for step in script.steps {
            let Step::Frame { port, mut bytes, .. } = step else { continue };
            for _ in 0..4 {
                let at = random.below(bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.next() as u8;
                }
                // Time that goes back, and time at its ends, is no reason to panic either.
                let now = random.pick(&[0, 1, u64::MAX, random.clone().next()]);
                let _ = host.judge(&bytes, port, now);
            }
        }
    }
}
