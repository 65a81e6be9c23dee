//! Descriptors: making them, passing them between processes, and nothing else.
//!
//! Close-on-exec is set by the call that creates a descriptor, so that no program a worker or the
//! primary starts inherits one.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    SockaddrStorage,
};

/// How many descriptors one message may carry. The kernel's own limit is 253 (`SCM_MAX_FD`);
/// nothing here sends more than a greeting: five, and one with the code of a worker.
pub const MAX_FDS_PER_MESSAGE: usize = 6;

/// Takes over a descriptor that another part of this process handed to us as a number.
///
/// Returns `EBADF` if it is not open. It is made close-on-exec.
pub fn adopt(raw: RawFd) -> io::Result<OwnedFd> {
    if raw < 0 {
        return Err(Errno::EBADF.into());
    }
    // SAFETY: the caller gives up the number; F_GETFD below fails if nothing is open there, and
    // the value is forgotten in that case so that nothing is closed.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    match fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
        Ok(_) => Ok(fd),
        Err(errno) => {
            std::mem::forget(fd);
            Err(errno.into())
        }
    }
}

/// Does something with a descriptor that another part of this process keeps. `EBADF` if it is not
/// open.
pub fn borrow<R>(raw: RawFd, act: impl FnOnce(BorrowedFd<'_>) -> R) -> io::Result<R> {
    if raw < 0 {
        return Err(Errno::EBADF.into());
    }
    // SAFETY: for as long as `act` runs, and on the thread that owns it; F_GETFD fails with EBADF
    // if it is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(raw) };
    fcntl(borrowed, FcntlArg::F_GETFD)?;
    Ok(act(borrowed))
}

/// A second descriptor for what `raw` of this process is open on, without taking `raw` over.
pub fn duplicate(raw: RawFd) -> io::Result<OwnedFd> {
    borrow(raw, |fd| fd.try_clone_to_owned())?
}

/// A pair of connected, non-blocking stream sockets.
pub fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    pair(SockType::Stream)
}

/// A pair of connected, non-blocking sockets that keep the bounds of what is sent and its order.
pub fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    pair(SockType::SeqPacket)
}

fn pair(kind: SockType) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket::socketpair(AddressFamily::Unix, kind, None, flags)?)
}

/// A descriptor that another process or thread makes readable with [`wake`], until [`settle`].
pub fn waker() -> io::Result<OwnedFd> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    Ok(EventFd::from_value_and_flags(0, flags)?.into())
}

/// Makes a [`waker`] readable.
pub fn wake(waker: BorrowedFd<'_>) {
    // Fails only when 2^64 - 1 wake-ups are pending, and then it is readable.
    let _ = nix::unistd::write(waker, &1_u64.to_ne_bytes());
}

/// Makes a [`waker`] unreadable, until it is woken again.
pub fn settle(waker: BorrowedFd<'_>) {
    // Fails only if it is so already.
    let _ = nix::unistd::read(waker, &mut [0; 8]);
}

/// The most that one `sendmsg` on this Unix stream socket is sure to put into a single piece, of which
/// a receiver then gets all at once: half of the send buffer without what the kernel needs for itself,
/// if that is below 32 KiB (`unix_stream_sendmsg`).
pub fn largest_piece(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let buffer = socket::getsockopt(&socket, socket::sockopt::SndBuf)?;
    Ok((buffer / 2).saturating_sub(64))
}

/// Whether the other end of a connected socket is closed.
#[must_use]
pub fn is_hung_up(socket: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::empty())];
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
    matches!(nix::poll::poll(&mut polled, PollTimeout::ZERO), Ok(1))
        && polled[0].revents().is_some_and(|events| events.intersects(gone))
}

/// Whether something can be read from it, or somebody waits to be accepted.
#[must_use]
pub fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::new(fd, PollFlags::POLLIN)];
    matches!(nix::poll::poll(&mut polled, PollTimeout::ZERO), Ok(1))
}

/// Makes reads and writes of `fd` return `EAGAIN` instead of waiting.
pub fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
    fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Accepts one connection, `WouldBlock` if none waits. It is non-blocking and close-on-exec.
///
/// Clients that went away while they waited are passed over. Any other error is not about one: no
/// descriptor or no memory is left, or the socket is broken.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    loop {
        match socket::accept4(listener.as_raw_fd(), flags) {
            // SAFETY: accept4 has just made it, and nobody else knows its number.
            Ok(raw) => return Ok(unsafe { OwnedFd::from_raw_fd(raw) }),
            Err(errno) if is_about_the_client(errno) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Errors of one connection rather than of the listening socket; see accept(2).
fn is_about_the_client(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ECONNABORTED
            | Errno::EHOSTDOWN
            | Errno::EHOSTUNREACH
            | Errno::EINTR
            | Errno::ENETDOWN
            | Errno::ENETUNREACH
            | Errno::ENONET
            | Errno::ENOPROTOOPT
            | Errno::EOPNOTSUPP
            | Errno::EPERM
            | Errno::EPROTO
    )
}

/// The IP address and port of the other end (`peer`) or of this one, if it has any.
pub fn ip_address(socket: BorrowedFd<'_>, peer: bool) -> Option<SocketAddr> {
    let raw = socket.as_raw_fd();
    let name: SockaddrStorage =
        if peer { socket::getpeername(raw).ok()? } else { socket::getsockname(raw).ok()? };
    name.as_sockaddr_in().map(|name| SocketAddr::new(name.ip().into(), name.port())).or_else(|| {
        Some(SocketAddr::new(name.as_sockaddr_in6()?.ip().into(), name.as_sockaddr_in6()?.port()))
    })
}

/// Sends `parts` and the descriptors `fds` as one message; returns the bytes taken.
///
/// Never raises SIGPIPE, never waits. The descriptors travel with the first byte.
pub fn send(
    socket: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    fds: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut raw = [0; MAX_FDS_PER_MESSAGE];
    for (slot, fd) in raw.iter_mut().zip(fds) {
        *slot = fd.as_raw_fd();
    }
    let rights = [ControlMessage::ScmRights(&raw[..fds.len()])];
    let control: &[ControlMessage<'_>] = if fds.is_empty() { &[] } else { &rights };
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    loop {
        match socket::sendmsg::<()>(socket.as_raw_fd(), parts, control, flags, None) {
            Ok(sent) => return Ok(sent),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// As [`receive`], but waits until there is something, or the other end is closed.
pub fn receive_first(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    loop {
        let mut polled = [PollFd::new(socket, PollFlags::POLLIN)];
        match nix::poll::poll(&mut polled, PollTimeout::NONE) {
            Ok(_) => return receive(socket, buffer),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Whether this process has a number left for one more descriptor. [`receive`] would lose it
/// otherwise: the kernel drops what it cannot install. Two short system calls, well below 1 µs.
#[must_use]
pub fn has_free_number(any: BorrowedFd<'_>) -> bool {
    any.try_clone_to_owned().is_ok()
}

/// What one `recvmsg` brought.
#[derive(Debug, Default)]
pub struct Received {
    /// Bytes stored in the buffer; 0 is the end of the stream.
    pub bytes: usize,
    /// The descriptors that came along, close-on-exec, in the order sent.
    pub fds: Vec<OwnedFd>,
    /// The kernel dropped descriptors because this process has no number left for them.
    pub truncated: bool,
}

/// Receives what is there, at most `buffer.len()` bytes; `WouldBlock` if there is nothing.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut control = nix::cmsg_space!([RawFd; MAX_FDS_PER_MESSAGE]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    loop {
        let mut parts = [IoSliceMut::new(buffer)];
        match socket::recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
            Ok(message) => {
                let mut received = Received {
                    bytes: message.bytes,
                    truncated: message.flags.contains(MsgFlags::MSG_CTRUNC),
                    ..Received::default()
                };
                // If one was lost, the kernel has installed no other; nix calls that an error.
                let parts = if received.truncated { None } else { Some(message.cmsgs()?) };
                for part in parts.into_iter().flatten() {
                    if let ControlMessageOwned::ScmRights(raw) = part {
                        // SAFETY: the kernel has just installed these numbers for us alone.
                        let owned = raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
                        received.fds.extend(owned);
                    }
                }
                return Ok(received);
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Keeps all signals out of the calling thread, so that they reach the one that runs JavaScript.
pub fn block_signals_in_this_thread() {
    let all = nix::sys::signal::SigSet::all();
    // Only EINVAL is possible, for a set that is not one.
    let _ = all.thread_block();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_first_is_waited_for() {
        let (ours, theirs) = stream_pair().unwrap();
        let sender = std::thread::spawn(move || {
            send(ours.as_fd(), &[IoSlice::new(b"hello")], &[ours.as_fd()]).unwrap();
        });
        let mut buffer = [0; 20];
        let received = receive_first(theirs.as_fd(), &mut buffer).unwrap();
        assert_eq!((received.bytes, received.fds.len()), (5, 1));
        sender.join().unwrap();
        drop(received);
        assert_eq!(receive_first(theirs.as_fd(), &mut buffer).unwrap().bytes, 0, "it has ended");
    }

    #[test]
    fn a_piece_arrives_at_once_also_with_a_small_buffer() {
        for size in [2048, 8192, 16384] {
            let (ours, theirs) = stream_pair().unwrap();
            socket::setsockopt(&ours, socket::sockopt::SndBuf, &size).unwrap();
            let piece = vec![7; largest_piece(ours.as_fd()).unwrap()];
            let sent = send(ours.as_fd(), &[IoSlice::new(&piece)], &[ours.as_fd()]).unwrap();
            let received = receive_first(theirs.as_fd(), &mut vec![0; 1 << 16]).unwrap();
            assert_eq!((sent, received.bytes, received.fds.len()), (piece.len(), piece.len(), 1));
        }
    }
}
