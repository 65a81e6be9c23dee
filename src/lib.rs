//! The native core of rust-cluster.
