//! Binding sockets as Node does, and accepting from them.
//!
//! Runs on the I/O thread. Who gets what is accepted is not decided here.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrIn6, SockaddrStorage,
    UnixAddr, sockopt,
};

use crate::protocol::{SocketName, Target};
use crate::sys::fd;

/// A bound socket. Dropping it closes it and removes the file of a Unix socket.
pub struct Listener {
    /// Shared with the one who waits for connections on it.
    socket: Rc<OwnedFd>,
    file: Option<PathBuf>,
    inherited: bool,
    pub name: Option<SocketName>,
    pub pipe: bool,
}

impl Listener {
    /// Binds to `target` without listening yet.
    pub fn bind(target: &Target) -> io::Result<Self> {
        match target {
            Target::Tcp { address: None, port, ipv6_only } => {
                bind_to_all_interfaces(*port, *ipv6_only)
            }
            Target::Tcp { address: Some(address), port, ipv6_only } => {
                bind_ip(SockType::Stream, parse(address, *port)?, *ipv6_only, true)
            }
            Target::Udp { address, port, ipv6, ipv6_only, reuse_addr } => {
                let any: IpAddr =
                    if *ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
                let address = match address {
                    Some(address) => parse(address, *port)?,
                    None => SocketAddr::new(any, *port),
                };
                bind_ip(SockType::Datagram, address, *ipv6_only, *reuse_addr)
            }
            Target::Pipe { path, readable_all, writable_all } => {
                bind_pipe(Path::new(path), *readable_all, *writable_all)
            }
            Target::Inherited { fd, .. } => Self::inherited(*fd),
        }
    }

    /// A socket that this process was started with. Our duplicate, so that closing the listener
    /// leaves the inherited one usable for the next.
    fn inherited(raw: i32) -> io::Result<Self> {
        // Node says EINVAL for all that cannot be listened on.
        let socket = fd::duplicate(raw).map_err(|_| Errno::EINVAL)?;
        let name = socket_name(&socket).map_err(|_| Errno::EINVAL)?;
        fd::set_nonblocking(&socket)?;
        let pipe = name.is_none();
        Ok(Self { socket: Rc::new(socket), file: None, inherited: true, name, pipe })
    }

    /// Starts to listen; see listen(2) for the backlog. The kernel caps it at `somaxconn`.
    pub fn listen(&self, backlog: i32) -> io::Result<()> {
        let backlog = Backlog::new(backlog).unwrap_or(Backlog::MAXALLOWABLE);
        Ok(socket::listen(&self.socket, backlog)?)
    }

    /// Accepts nobody from now on, nor does a worker that still has the socket. An inherited one is
    /// not ours alone.
    pub fn stop(&self) {
        if !self.inherited {
            // Fails only for what does not listen.
            let _ = socket::shutdown(self.socket.as_raw_fd(), socket::Shutdown::Both);
            // The clients of a Unix socket still wait then.
            while self.accept().is_ok() {}
        }
    }

    /// The socket, to wait for connections.
    #[must_use]
    pub fn socket(&self) -> Rc<OwnedFd> {
        Rc::clone(&self.socket)
    }

    /// Accepts one connection, `WouldBlock` if none waits.
    pub fn accept(&self) -> io::Result<OwnedFd> {
        fd::accept(self.socket.as_fd())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // Somebody may have removed it before; then there is nothing to do.
            let _ = fs::remove_file(file);
        }
    }
}

/// Parses an IP address, with an IPv6 scope (`fe80::1%eth0`) if there is one.
fn parse(address: &str, port: u16) -> io::Result<SocketAddr> {
    let (address, scope) = match address.split_once('%') {
        Some((address, scope)) => (address, scope_id(scope)?),
        None => (address, 0),
    };
    Ok(match address.parse().map_err(|_| Errno::EINVAL)? {
        IpAddr::V4(address) => SocketAddr::new(address.into(), port),
        IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, scope).into(),
    })
}

fn scope_id(scope: &str) -> io::Result<u32> {
    scope.parse().or_else(|_| Ok(nix::net::if_::if_nametoindex(scope)?))
}

/// IPv6 with IPv4 on it where the system has IPv6, else IPv4, as Node does for a server without a
/// host.
fn bind_to_all_interfaces(port: u16, ipv6_only: bool) -> io::Result<Listener> {
    let ipv6 = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
    match bind_ip(SockType::Stream, ipv6, ipv6_only, true) {
        Err(error)
            if matches!(
                Errno::from_raw(error.raw_os_error().unwrap_or(0)),
                Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL | Errno::EINVAL
            ) =>
        {
            let ipv4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
            bind_ip(SockType::Stream, ipv4, false, true)
        }
        result => result,
    }
}

fn bind_ip(
    kind: SockType,
    address: SocketAddr,
    ipv6_only: bool,
    reuse_addr: bool,
) -> io::Result<Listener> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = new_socket(family, kind)?;
    if reuse_addr {
        socket::setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    }
    if let SocketAddr::V6(address) = address {
        socket::setsockopt(&socket, sockopt::Ipv6V6Only, &ipv6_only)?;
        socket::bind(socket.as_raw_fd(), &SockaddrIn6::from(address))?;
    } else {
        socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    }
    let name = socket_name(&socket)?;
    Ok(Listener { socket: Rc::new(socket), file: None, inherited: false, name, pipe: false })
}

fn new_socket(family: AddressFamily, kind: SockType) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket::socket(family, kind, flags, None::<SockProtocol>)?)
}

fn bind_pipe(path: &Path, readable_all: bool, writable_all: bool) -> io::Result<Listener> {
    let socket = new_socket(AddressFamily::Unix, SockType::Stream)?;
    // A path longer than `sun_path` is reached through its directory, opened, by a short name.
    let directory;
    let address = match UnixAddr::new(path) {
        Ok(address) => address,
        Err(Errno::ENAMETOOLONG) => {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(Errno::EINVAL.into());
            };
            directory = fs::File::open(parent)?;
            let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string());
            UnixAddr::new(&short.join(name)).map_err(|_| Errno::EINVAL)?
        }
        Err(errno) => return Err(errno.into()),
    };
    // Node says EACCES where the directory is missing: keep libuv's translation.
    socket::bind(socket.as_raw_fd(), &address)
        .map_err(|errno| if errno == Errno::ENOENT { Errno::EACCES } else { errno })?;
    let listener = Listener {
        socket: Rc::new(socket),
        file: Some(path.to_owned()),
        inherited: false,
        name: None,
        pipe: true,
    };
    open_to_all(path, readable_all, writable_all)?;
    Ok(listener)
}

/// Lets other users read or write the socket file, as the `readableAll` and `writableAll` of
/// `server.listen()` ask.
fn open_to_all(path: &Path, readable: bool, writable: bool) -> io::Result<()> {
    if !readable && !writable {
        return Ok(());
    }
    let mut permissions = fs::metadata(path)?.permissions();
    let added = if readable { 0o444 } else { 0 } | if writable { 0o222 } else { 0 };
    permissions.set_mode(permissions.mode() | added);
    fs::set_permissions(path, permissions)
}

/// The local address of an IP socket, `None` for a Unix socket.
fn socket_name(socket: &OwnedFd) -> io::Result<Option<SocketName>> {
    let name: SockaddrStorage = socket::getsockname(socket.as_raw_fd())?;
    if let Some(name) = name.as_sockaddr_in() {
        let address = name.ip().to_string();
        return Ok(Some(SocketName { address, ipv6: false, port: name.port() }));
    }
    Ok(name.as_sockaddr_in6().map(|name| SocketName {
        address: name.ip().to_string(),
        ipv6: true,
        port: name.port(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(address: Option<&str>, port: u16) -> Target {
        Target::Tcp { address: address.map(str::to_owned), port, ipv6_only: false }
    }

    #[test]
    fn port_zero_gets_a_port_and_a_second_listener_on_it_eaddrinuse() {
        let first = Listener::bind(&tcp(Some("127.0.0.1"), 0)).unwrap();
        first.listen(511).unwrap();
        let port = first.name.as_ref().unwrap().port;
        assert_ne!(port, 0);
        let error = Listener::bind(&tcp(Some("127.0.0.1"), port))
            .and_then(|second| second.listen(511))
            .unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::EADDRINUSE as i32));
    }

    #[test]
    fn what_is_no_address_is_einval() {
        let error = Listener::bind(&tcp(Some("nonsense"), 0)).err().unwrap();
        assert_eq!(error.raw_os_error(), Some(Errno::EINVAL as i32));
    }

    #[test]
    fn a_unix_socket_may_have_a_long_path_and_its_file_goes_with_it() {
        let directory =
            std::env::temp_dir().join(format!("{}-{}", "d".repeat(90), std::process::id()));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("a-name-that-makes-it-longer-than-108.sock");
        let target = Target::Pipe {
            path: path.to_str().unwrap().to_owned(),
            readable_all: true,
            writable_all: true,
        };
        let listener = Listener::bind(&target).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o777);
        drop(listener);
        assert!(!path.exists());
        fs::remove_dir(&directory).unwrap();
    }
}
