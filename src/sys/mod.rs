//! Everything `unsafe` that is not N-API: system calls on descriptors, mapped memory and libuv.
//!
//! Each item is behind a safe function or type; nothing in here knows what a worker is.

pub mod fd;
pub mod memory;
pub mod ring;
pub mod uv;
