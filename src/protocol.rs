//! What the primary and a worker say to each other: control messages, the layout of a frame in the
//! rings and of the packets on the connection socket. Imports nothing of the crate.

mod packet;

pub use packet::{Parcel, Return, Unit};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

/// The longest payload of one frame: with it, a frame is as long as its header can say.
pub const MAX_PAYLOAD: usize = u32::MAX as usize & !(FrameHeader::ALIGNMENT - 1);

/// A server of one worker; chosen by the worker, unique in it, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServerId(pub u32);

/// A socket of the primary that one or more workers listen on; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u32);

/// A worker, by the id that `cluster` gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u32);

/// By one of these ids. Nobody else chooses them, so nothing has to be kept from making them collide:
/// with many workers, the default hasher is a twentieth of what the I/O thread does.
pub type IdMap<Id, V> = FxHashMap<Id, V>;

/// See [`IdMap`].
pub type IdSet<Id> = FxHashSet<Id>;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// User messages: JSON texts with commas between them, in ASCII.
    AsciiJson,
    /// The same in UTF-8.
    Json,
    /// One user message that is a string: its code units, all below 256, a byte each.
    Latin1,
    /// The same, two bytes each, in the order of this machine.
    Utf16,
    /// User messages, serialized by V8, each preceded by its length.
    Advanced,
    /// One user message, JSON, with the envelope of a handle; the descriptor travels along.
    JsonHandle,
    /// The same, serialized by V8.
    AdvancedHandle,
    /// The handle of the last handle frame arrived (one byte, 1) or was lost on the way (0).
    HandleReceived,
    /// From a worker, for all others: the payload of a [`Json`](Self::Json) frame.
    JsonBroadcast,
    /// The same of an [`Advanced`](Self::Advanced) frame.
    AdvancedBroadcast,
    /// A [`ToWorker`] or [`ToPrimary`].
    Control,
    /// Nothing: the payload is not even written.
    Skip,
}

impl Kind {
    /// By their codes.
    const ALL: [Self; 12] = [
        Self::AsciiJson,
        Self::Json,
        Self::Latin1,
        Self::Utf16,
        Self::Advanced,
        Self::JsonHandle,
        Self::AdvancedHandle,
        Self::HandleReceived,
        Self::JsonBroadcast,
        Self::AdvancedBroadcast,
        Self::Control,
        Self::Skip,
    ];
}

/// The fixed part in front of each frame in the ring. All numbers little-endian.
///
/// | bytes | what |
/// |---|---|
/// | 0..4 | length of the payload |
/// | 4..8 | number of messages in it |
/// | 8 | kind |
/// | 9 | number of descriptors that travel along, over the socket |
/// | 10..16 | zero |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    pub length: usize,
    pub count: u32,
    pub kind: Kind,
    pub fds: u8,
}

impl FrameHeader {
    pub const SIZE: usize = 16;

    /// Frames begin at multiples of this, so that what is in them is aligned.
    pub const ALIGNMENT: usize = 8;

    /// `None` if the payload is longer than [`MAX_PAYLOAD`].
    #[must_use]
    pub fn encode(&self) -> Option<[u8; Self::SIZE]> {
        let length = u32::try_from(self.length).ok().filter(|_| self.length <= MAX_PAYLOAD)?;
        let mut bytes = [0; Self::SIZE];
        bytes[0..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.count.to_le_bytes());
        bytes[8] = self.kind as u8;
        bytes[9] = self.fds;
        Some(bytes)
    }

    /// `None` if these are not the bytes of a header.
    #[must_use]
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let [l0, l1, l2, l3, c0, c1, c2, c3, kind, fds, 0, 0, 0, 0, 0, 0] = *bytes else {
            return None;
        };
        let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
        let kind = *Kind::ALL.get(usize::from(kind))?;
        let count = u32::from_le_bytes([c0, c1, c2, c3]);
        (length <= MAX_PAYLOAD).then_some(Self { length, count, kind, fds })
    }

    /// Bytes of the whole frame: header, payload, and what aligns the next one.
    #[must_use]
    pub fn frame_size(&self) -> usize {
        Self::SIZE + self.length.next_multiple_of(Self::ALIGNMENT)
    }
}

/// What a worker asks to listen on, or to bind to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// `address` is an IP address, or none for «all interfaces, IPv6 if the system has it».
    Tcp {
        address: Option<String>,
        port: u16,
        ipv6_only: bool,
    },
    /// A Unix socket at an absolute path.
    Pipe {
        path: String,
        readable_all: bool,
        writable_all: bool,
    },
    Udp {
        address: Option<String>,
        port: u16,
        ipv6: bool,
        ipv6_only: bool,
        reuse_addr: bool,
    },
    /// A descriptor that the primary has inherited, or opened; `udp`: a socket that is bound.
    Inherited {
        fd: i32,
        udp: bool,
    },
}

impl Target {
    /// There are no connections to balance.
    #[must_use]
    pub fn is_udp(&self) -> bool {
        matches!(self, Self::Udp { .. } | Self::Inherited { udp: true, .. })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenRequest {
    pub server: ServerId,
    pub target: Target,
    /// Requests with equal keys, of different workers, share one socket: what was asked for, and a
    /// count of the worker's servers on it, for the second one on a port is not the first one's
    /// twin in another worker.
    pub key: String,
    /// Length of the kernel's queue of connections not yet accepted; see listen(2).
    pub backlog: i32,
    /// What the server wants to share with its twins (TLS ticket keys), opaque to Rust.
    pub data: Option<String>,
}

/// The local address of a bound socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketName {
    pub address: String,
    pub ipv6: bool,
    pub port: u16,
}

/// The answer to a [`ListenRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// 0, or a negative errno as libuv has it.
    pub errno: i32,
    /// For IP sockets.
    pub name: Option<SocketName>,
    /// The data of the first server on this socket.
    pub data: Option<String>,
    /// It is a Unix socket.
    pub pipe: bool,
    /// The socket itself travels along: the worker accepts by itself.
    pub shared: bool,
}

/// From the primary to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// With a descriptor if the socket itself is shared rather than its connections balanced.
    Bound { server: ServerId, answer: Bound },
    /// The primary knows that the worker leaves of its own will.
    LeaveAcknowledged,
    /// Close the servers, then the channel.
    Leave,
    /// Nothing: its arrival makes a loop that waits turn.
    Nudge,
}

/// First of all, and alone on the socket itself, while the process boots. With it travel the
/// descriptors of the connection socket, the page, the rings, and of what wakes the worker and the
/// primary; and behind them that of the worker's code, if the primary has it ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub advanced: bool,
    /// Opaque here.
    pub text: String,
}

impl Hello {
    pub const MAX_SIZE: usize = 16 * 1024;
    pub const FDS: usize = 5;

    /// Without the text if that is too long, also for the `largest_piece` of the socket.
    pub fn encode(&self, largest_piece: usize) -> Vec<u8> {
        let mut bytes = vec![b'H', self.advanced.into()];
        if bytes.len() + self.text.len() <= largest_piece.min(Self::MAX_SIZE) {
            bytes.extend_from_slice(self.text.as_bytes());
        }
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let &[b'H', advanced @ (0 | 1), ref text @ ..] = bytes else { return None };
        Some(Self { advanced: advanced == 1, text: str::from_utf8(text).ok()?.to_owned() })
    }
}

/// From a worker to the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToPrimary {
    /// Connected; user code is about to run.
    Online,
    Listen(ListenRequest),
    /// The server may be given connections. `info` is what the `'listening'` event says, opaque.
    Listening {
        server: ServerId,
        info: String,
    },
    Close {
        server: ServerId,
    },
    /// The worker leaves of its own will.
    Leave,
    /// The channel ends because the worker wants it, not because it crashed.
    Goodbye,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_way_and_nonsense_does_not() {
        let header = FrameHeader { length: 70_000, count: 3, kind: Kind::JsonHandle, fds: 1 };
        let bytes = header.encode().unwrap();
        assert_eq!(FrameHeader::decode(&bytes), Some(header));
        let mut wrong = bytes;
        wrong[8] = 99;
        assert_eq!(FrameHeader::decode(&wrong), None);
        let longest = FrameHeader { length: MAX_PAYLOAD, ..header };
        assert_eq!(FrameHeader::decode(&longest.encode().unwrap()), Some(longest));
        let mut wrong = longest.encode().unwrap();
        wrong[0] = 0xff;
        assert_eq!(FrameHeader::decode(&wrong), None, "longer than the limit");
        assert_eq!(FrameHeader { length: MAX_PAYLOAD + 1, ..header }.encode(), None);
        for (code, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, code);
        }
    }

    #[test]
    fn a_greeting_survives_the_way() {
        let hello = |length| Hello { advanced: true, text: "t".repeat(length) };
        let max = Hello::MAX_SIZE;
        for (length, piece, arrives) in [(0, max, 0), (9, max, 9), (max, 2 * max, 0), (9, 10, 0)] {
            assert_eq!(Hello::decode(&hello(length).encode(piece)), Some(hello(arrives)));
        }
        assert_eq!(Hello::decode(b"H\x07"), None);
    }
}
