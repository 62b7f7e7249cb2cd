//! The number that every packet carries at its end.
//!
//! ```text
//!   mark (8)  lane (2)  !port (2)  number (4)  !number (4)
//! ```
//!
//! What changes from packet to packet stands there together with its complement, so that the checksum that the first
//! one was made with is right for all of them.

/// Bytes of it.
pub const LENGTH: usize = 20;
const MARK: [u8; 8] = *b"crossing";

/// The payload of a lane's first packet, which comes from `port`.
#[must_use]
pub fn payload(lane: u16, port: u16) -> Vec<u8> {
    let mut payload = Vec::with_capacity(LENGTH);
    payload.extend(MARK);
    payload.extend(lane.to_be_bytes());
    payload.extend((!port).to_be_bytes());
    payload.extend(0_u32.to_be_bytes());
    payload.extend((!0_u32).to_be_bytes());
    payload
}

/// Writes a number into a frame that ends with a [`payload`].
pub fn write(frame: &mut [u8], number: u32) {
    let at = frame.len() - 8;
    frame[at..at + 4].copy_from_slice(&number.to_be_bytes());
    frame[at + 4..].copy_from_slice(&(!number).to_be_bytes());
}

/// Makes a frame that ends with a [`payload`] come from a port, which lies at `offset`.
pub fn write_port(frame: &mut [u8], offset: usize, port: u16) {
    let at = frame.len() - 10;
    frame[offset..offset + 2].copy_from_slice(&port.to_be_bytes());
    frame[at..at + 2].copy_from_slice(&(!port).to_be_bytes());
}

/// Lane and number of a frame; nothing where it is none of ours.
#[must_use]
pub fn read(frame: &[u8]) -> Option<(u16, u32)> {
    let (_, payload) = frame.split_last_chunk::<LENGTH>()?;
    let (mark, rest) = payload.split_first_chunk::<8>()?;
    let (lane, rest) = rest.split_first_chunk::<2>()?;
    let (number, complement) = rest.split_at(2).1.split_first_chunk::<4>()?;
    let number = u32::from_be_bytes(*number);
    let is_ours = *mark == MARK && *complement == (!number).to_be_bytes();
    is_ours.then(|| (u16::from_be_bytes(*lane), number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Frame, Transport};

    fn numbered(from: u16, lane: u16) -> Frame {
        let frame = Frame::from("10.0.0.1").to("10.0.0.2").udp(from, 5000);
        frame.transport(|transport| {
            if let Transport::Udp(udp) = transport {
                udp.body = payload(lane, from);
            }
        })
    }

    #[test]
    fn what_is_written_is_read_and_the_checksum_stays_right() {
        let mut bytes = numbered(1234, 7).bytes();
        assert_eq!(read(&bytes), Some((7, 0)));
        write(&mut bytes, 0xdead_beef);
        write_port(&mut bytes, 34, 4321);
        assert_eq!(read(&bytes), Some((7, 0xdead_beef)));
        // The same packet, made anew by what knows how to reckon a checksum.
        let anew = numbered(4321, 7).transport(|transport| {
            if let Transport::Udp(udp) = transport {
                write(&mut udp.body, 0xdead_beef);
            }
        });
        assert_eq!(bytes, anew.bytes());
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(read(&bytes), None);
        assert_eq!(read(&[0; 10]), None);
    }
}
