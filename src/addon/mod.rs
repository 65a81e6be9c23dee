//! The classes JavaScript sees, and the only place that names N-API.
//!
//! They translate: arguments into the core's types, what the core says into [`event::Event`]s. One
//! ordered callback per channel carries everything from Rust to JavaScript.

pub mod batch;
pub mod callback;
pub mod channel;
pub mod event;
pub mod primary;
pub mod systemd;
pub mod worker;

use napi::bindgen_prelude::{Error, Status};

/// An I/O error as JavaScript's: it has no errno there, so this is for what «cannot happen».
fn js_error(error: &std::io::Error) -> Error {
    Error::new(Status::GenericFailure, error.to_string())
}
