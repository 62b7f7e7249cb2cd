//! devices.toml: a `[[device]]` each.

use super::{Device, Fields, MAX_VLAN};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::document::{Located, Reader};
use crate::policy::source::MODES;

/// Reads the devices, and what keeps others from being read.
pub(super) fn parse(file: &SourceFile) -> (Vec<Device>, Vec<Diagnostic>) {
    let mut reader = Reader::new(file);
    let document = reader.parse();
    let root = reader.section(document.get_ref(), 0..0, "", &["device"]);
    let known = ["name", "mac", "ip", "vlan", "profile", "mode"];
    let mut devices = Vec::new();
    for section in root.sections("device", &known, &mut reader) {
        let not_empty = |text: &Located<String>| !text.value.trim().is_empty();
        let fields = Fields {
            name: section.string("name", &mut reader).filter(not_empty),
            mac: section.string("mac", &mut reader).filter(not_empty),
            addresses: section.strings("ip", &mut reader).into_iter().filter(not_empty).collect(),
            vlan: section.number("vlan", MAX_VLAN, &mut reader).map(|vlan| vlan as u16),
            profile: section.string("profile", &mut reader).filter(not_empty),
            mode: section.word("mode", MODES, &mut reader),
            place: section.place,
        };
        devices.extend(fields.device(&mut reader.found));
    }
    (devices, reader.found)
}
