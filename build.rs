//! Sets the linker flags a Node addon needs.
//!
//! `cargo test` needs none of its own. N-API is not linked there (napi's feature `dyn-symbols`,
//! which is on in tests alone), and libuv's functions, which only the node binary has, are reached
//! by nothing that a unit test calls, so the linker drops their callers before it looks for them. A
//! test that does reach one fails to link and names it: give that function a stand-in under
//! `#[cfg(test)]`. Tests below `tests/` would link the addon's registration as well; keep them in
//! the modules.

fn main() {
    napi_build::setup();
}
