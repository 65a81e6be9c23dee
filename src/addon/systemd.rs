//! `sd_notify(3)`: telling the service manager about this process's state.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use napi::bindgen_prelude::Result;
use napi_derive::napi;

use super::js_error;

/// Sends `text` to the socket at `path`, the value of `NOTIFY_SOCKET`; one that begins with `@` is
/// in the abstract namespace.
#[napi]
pub fn notify_systemd(path: String, text: String) -> Result<()> {
    let send = || {
        let address = match path.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&path)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(text.as_bytes(), &address)
    };
    send().map(|_| ()).map_err(|error| js_error(&error))
}
