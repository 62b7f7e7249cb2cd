//! Questions to the kernel over netlink: a request goes out, the answers' payloads come back. Only ever reads.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

/// Bytes of `struct nlmsghdr` and of `struct genlmsghdr` (`include/uapi/linux/{netlink,genetlink}.h`).
const HEADER: usize = 16;
const GENERIC_HEADER: usize = 4;
/// More than the kernel puts into one answer.
const BUFFER: usize = 256 << 10;
const PATIENCE: i64 = 5;

/// A socket to one part of the kernel, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Netlink(OwnedFd);

impl Netlink {
    /// Opens one.
    pub(super) fn open(protocol: SockProtocol) -> io::Result<Self> {
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE))?;
        Ok(Self(socket))
    }

    /// Asks for everything of a kind; the payload of each answer.
    pub(super) fn all(&self, kind: u16, payload: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        self.ask(kind, libc::NLM_F_DUMP, payload)
    }

    /// Asks for one thing.
    fn one(&self, kind: u16, payload: &[u8]) -> io::Result<Vec<u8>> {
        let answers = self.ask(kind, libc::NLM_F_ACK, payload)?;
        answers.into_iter().next().ok_or_else(|| io::Error::other("the kernel answers nothing"))
    }

    fn ask(&self, kind: u16, flags: libc::c_int, payload: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        send(self.0.as_raw_fd(), &request(kind, flags, payload), MsgFlags::empty())?;
        let mut answers = Vec::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            if read(buffer.get(..length).unwrap_or_default(), &mut answers)? {
                return Ok(answers);
            }
        }
    }
}

/// A part of the kernel that has no number of its own, by its name.
#[derive(Debug)]
pub(super) struct Generic {
    netlink: Netlink,
    family: u16,
}

impl Generic {
    /// Opens one; nothing where the kernel has no such part.
    pub(super) fn open(name: &str) -> io::Result<Option<Self>> {
        const GET_FAMILY: u8 = 3; // CTRL_CMD_GETFAMILY
        const FAMILY_ID: u16 = 1; // CTRL_ATTR_FAMILY_ID
        const FAMILY_NAME: u16 = 2; // CTRL_ATTR_FAMILY_NAME
        let control =
            Self { netlink: Netlink::open(SockProtocol::NetlinkGeneric)?, family: libc::GENL_ID_CTRL as u16 };
        let name = [name.as_bytes(), &[0]].concat();
        let answer = match control.get(GET_FAMILY, &attribute(FAMILY_NAME, &name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            answer => answer?,
        };
        let family = find(&answer, FAMILY_ID).and_then(number).map(|family: u64| family as u16);
        Ok(family.map(|family| Self { family, ..control }))
    }

    /// Asks for one thing; the attributes of the answer.
    pub(super) fn get(&self, command: u8, attributes: &[u8]) -> io::Result<Vec<u8>> {
        let payload = [&[command, 1, 0, 0], attributes].concat();
        let mut answer = self.netlink.one(self.family, &payload)?;
        Ok(answer.split_off(GENERIC_HEADER.min(answer.len())))
    }
}

fn request(kind: u16, flags: libc::c_int, payload: &[u8]) -> Vec<u8> {
    let flags = (libc::NLM_F_REQUEST | flags) as u16;
    let mut message = ((HEADER + payload.len()) as u32).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]); // sequence and port: nobody else asks on this socket
    message.extend(payload);
    message
}

/// Takes the payloads out of what was received; whether it was the last.
fn read(mut received: &[u8], answers: &mut Vec<Vec<u8>>) -> io::Result<bool> {
    let broken = || io::Error::other("an answer of the kernel cannot be understood");
    while !received.is_empty() {
        let length: u64 = received.get(..4).and_then(number).ok_or_else(broken)?;
        let kind: u64 = received.get(4..6).and_then(number).ok_or_else(broken)?;
        let payload = received.get(HEADER..length as usize).ok_or_else(broken)?;
        match kind as libc::c_int {
            libc::NLMSG_DONE => return Ok(true),
            libc::NLMSG_ERROR => {
                let code = payload.get(..4).and_then(|code| code.try_into().ok()).ok_or_else(broken)?;
                return match i32::from_ne_bytes(code) {
                    0 => Ok(true),
                    code => Err(io::Error::from_raw_os_error(-code)),
                };
            }
            _ => answers.push(payload.to_vec()),
        }
        received = received.get((length as usize).next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// An attribute: `struct nlattr` and its value, padded to four bytes.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// An attribute of attributes, which says so, as newer parts of the kernel demand.
pub(super) fn nest(kind: u16, attributes: &[u8]) -> Vec<u8> {
    const NESTED: u16 = 0x8000; // NLA_F_NESTED
    attribute(kind | NESTED, attributes)
}

/// The kinds and values of attributes, to the end or to one that is broken.
pub(super) fn each(mut attributes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    const KIND: u16 = 0x3fff; // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
    std::iter::from_fn(move || {
        let length = u16::from_ne_bytes(attributes.get(..2)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(attributes.get(2..4)?.try_into().ok()?) & KIND;
        let value = attributes.get(4..length)?;
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first attribute of a kind.
pub(super) fn find(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    each(attributes).find_map(|(kind, value)| (kind == wanted).then_some(value))
}

/// A number of this machine in one, two, four or eight bytes.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    Some(match *value {
        [byte] => byte.into(),
        [a, b] => u16::from_ne_bytes([a, b]).into(),
        [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]).into(),
        _ => u64::from_ne_bytes(value.try_into().ok()?),
    })
}

/// A text, with or without the zero behind it.
pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_behind_others_and_broken_ones_end_the_search() {
        let mut all = attribute(3, b"eth0\0");
        all.extend(nest(43, &attribute(2, &[1])));
        assert_eq!(find(find(&all, 43).unwrap(), 2), Some(&[1][..]));
        assert_eq!(find(&all, 3).map(text).as_deref(), Some("eth0"));
        assert_eq!(find(&all, 44), None);
        for broken in [&[2, 0, 0, 0, 0, 0, 0, 0][..], &[200, 0, 0, 0], &[0; 3]] {
            assert_eq!(each(broken).count(), 0, "{broken:?}");
        }
        assert_eq!(number(&7_u16.to_ne_bytes()), Some(7));
        assert_eq!(number(&[0; 3]), None);
    }

    #[test]
    fn answers_end_with_done_or_with_an_error() {
        let message = |kind: libc::c_int, payload: &[u8]| request(kind as u16, 0, payload);
        let mut answers = Vec::new();
        let two = [message(16, b"one!"), message(16, b"two!")].concat();
        assert!(!read(&two, &mut answers).unwrap());
        assert_eq!(answers, [b"one!", b"two!"]);
        assert!(read(&message(libc::NLMSG_DONE, &[0; 4]), &mut answers).unwrap());
        assert!(read(&message(libc::NLMSG_ERROR, &[0; 20]), &mut answers).unwrap());
        let error = (-libc::ENODEV).to_ne_bytes();
        let error = read(&message(libc::NLMSG_ERROR, &error), &mut answers).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        assert!(read(&two[..18], &mut answers).is_err());
    }

    #[test]
    fn the_kernel_names_its_parts() {
        assert!(Generic::open("nlctrl").unwrap().is_some());
        assert!(Generic::open("no-such-part").unwrap().is_none());
    }
}
