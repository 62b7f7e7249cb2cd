//! How bytes of the fuzzer become a sequence of frames, and back.

/// Frames of `data`: a byte whose lowest bit is the port, two bytes of length, the frame. The last one may be
/// cut off.
pub fn frames(mut data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[port, high, low], rest) = data.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
        let (frame, rest) = rest.split_at(length);
        data = rest;
        Some((port & 1, frame))
    })
}

/// Appends a frame to `data` in that form.
pub fn append(data: &mut Vec<u8>, port: u8, frame: &[u8]) {
    data.push(port);
    data.extend((frame.len() as u16).to_be_bytes());
    data.extend(frame);
}
