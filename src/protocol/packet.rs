//! What travels on the connection socket: connections to a worker, and what it says about them.

use super::{ListenerId, ServerId};

/// What a [`Unit`] brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parcel {
    /// Nothing: the worker's event loop turns because of it.
    Nothing,
    /// A connection.
    Connection,
    /// The listening socket, to accept from until nobody waits there any more.
    Listener,
    /// The listening socket, to wait there in line with other workers and accept when called.
    Line,
    /// Nothing: ends what [`Listener`](Self::Listener) or [`Line`](Self::Line) began.
    Recall,
}

impl Parcel {
    const ALL: [Self; 5] =
        [Self::Nothing, Self::Connection, Self::Listener, Self::Line, Self::Recall];
}

/// Something on its way to a worker; one packet on the connection socket, with a descriptor if it
/// brings one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Counts the units sent to this worker, from 1.
    pub sequence: u64,
    /// Where a connection was accepted, and so where it goes back to if this worker does not take
    /// it.
    pub listener: ListenerId,
    pub server: ServerId,
    pub parcel: Parcel,
}

impl Unit {
    pub const SIZE: usize = 17;

    #[must_use]
    pub fn encode(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.listener.0.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.server.0.to_le_bytes());
        bytes[16] = self.parcel as u8;
        bytes
    }

    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (sequence, rest) = bytes.split_first_chunk()?;
        let (listener, rest) = rest.split_first_chunk()?;
        let (server, rest) = rest.split_first_chunk()?;
        Some(Self {
            sequence: u64::from_le_bytes(*sequence),
            listener: ListenerId(u32::from_le_bytes(*listener)),
            server: ServerId(u32::from_le_bytes(*server)),
            parcel: *Parcel::ALL.get(usize::from(*rest.first()?))?,
        })
    }
}

/// What a worker sends back on the connection socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// The server is full or closed; the connection travels along, for another worker.
    Refused(ListenerId),
    /// The primary asked to be told when this worker can take a connection again.
    Free,
    /// This worker accepts from that listener no more: nobody waits there, or it has enough, or it
    /// cannot.
    Fetched {
        listener: ListenerId,
        /// How many it has accepted since it was told to.
        accepted: u32,
    },
}

impl Return {
    pub const SIZE: usize = 9;

    #[must_use]
    pub fn encode(self) -> [u8; Self::SIZE] {
        let (code, listener, accepted) = match self {
            Self::Refused(listener) => (0, listener.0, 0),
            Self::Free => (1, 0, 0),
            Self::Fetched { listener, accepted } => (2, listener.0, accepted),
        };
        let mut bytes = [code; Self::SIZE];
        bytes[1..5].copy_from_slice(&listener.to_le_bytes());
        bytes[5..].copy_from_slice(&accepted.to_le_bytes());
        bytes
    }

    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (code, rest) = bytes.split_first()?;
        let (listener, accepted) = rest.split_first_chunk()?;
        let listener = ListenerId(u32::from_le_bytes(*listener));
        let accepted = u32::from_le_bytes(accepted.try_into().ok()?);
        match code {
            0 => Some(Self::Refused(listener)),
            1 => Some(Self::Free),
            2 => Some(Self::Fetched { listener, accepted }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_returns_survive_the_way() {
        for (code, parcel) in Parcel::ALL.into_iter().enumerate() {
            let (listener, server) = (ListenerId(3), ServerId(7));
            let unit = Unit { sequence: 1 << 40, listener, server, parcel };
            assert_eq!(Unit::decode(&unit.encode()), Some(unit));
            assert_eq!(parcel as usize, code);
        }
        assert_eq!(Unit::decode(&[1, 2, 3]), None);
        let listener = ListenerId(9);
        let fetched = Return::Fetched { listener, accepted: 256 };
        for back in [Return::Refused(listener), Return::Free, fetched] {
            assert_eq!(Return::decode(&back.encode()), Some(back));
        }
        assert_eq!(Return::decode(&[]), None);
    }
}
