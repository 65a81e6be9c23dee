//! The classes JavaScript sees, and the only place that names N-API.
//!
//! They translate: arguments into the core's types, what the core says into [`event::Event`]s. One
//! ordered callback per channel carries everything from Rust to JavaScript.

pub mod batch;
pub mod callback;
pub mod channel;
pub mod endpoint;
pub mod event;
pub mod primary;
pub mod systemd;
pub mod text;
pub mod worker;
mod worker_code;
pub mod worker_link;

use std::io;

use napi::bindgen_prelude::{Error, Status};

/// An I/O error as JavaScript's: it has no errno there, so this is for what «cannot happen».
fn js_error(error: &io::Error) -> Error {
    Error::new(Status::GenericFailure, error.to_string())
}

/// What the system may refuse: the error's `code` is the name of the errno.
fn system_error(error: &io::Error) -> Error<String> {
    let errno = nix::errno::Errno::from_raw(-negative_errno(error));
    Error::new(format!("{errno:?}"), error.to_string())
}

fn other_error(error: Error) -> Error<String> {
    Error::new(error.status.as_ref().to_owned(), error.reason)
}

/// Sizes are far below 2^53, where a number of JavaScript's stops being exact.
fn to_js(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn negative_errno(error: &io::Error) -> i32 {
    match (error.raw_os_error(), error.kind()) {
        (Some(errno), _) => -errno,
        (None, io::ErrorKind::InvalidInput) => -nix::libc::EMSGSIZE,
        (None, io::ErrorKind::BrokenPipe) => -nix::libc::EPIPE,
        (None, _) => -nix::libc::EIO,
    }
}
