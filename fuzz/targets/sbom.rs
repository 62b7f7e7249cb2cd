//! An SBOM or a VEX document: no panic, and what was read comes back as it was kept.
#![no_main]

use iomt_filter::sbom::{self, Imported, Kept};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(bill) = sbom::read(bytes) else { return };
    let kept = Kept { about: Imported::default().of(&bill), bill };
    let text = serde_json::to_vec(&kept).unwrap();
    let again: Kept = serde_json::from_slice(&text).unwrap();
    assert_eq!(again.about, kept.about);
    for said in &kept.bill.statements {
        for target in &said.targets {
            for component in kept.bill.components.iter().take(8) {
                let _ = target.state(component.version.as_deref(), said.state);
                let _ = iomt_filter::risk::guess(component, None);
            }
        }
    }
});
