//! The native core of rust-cluster: every descriptor and every byte between processes.
//!
//! | module | what |
//! |---|---|
//! | [`addon`] | the classes JavaScript sees; the only place that names N-API |
//! | [`io_thread`] | the primary's I/O thread: says when something is ready |
//! | [`primary`] | the primary's state: workers and listeners |
//! | [`group`] | one listening socket, its workers, its connections until handed out |
//! | [`balancer`] | who gets the next connection; pure |
//! | [`cpus`] | whether the CPUs have any time left |
//! | [`handoff`] | handing connections to one worker and taking them back |
//! | [`listener`] | bind and accept |
//! | [`worker`] | a worker's end of all that |
//! | [`channel`] | frames and descriptors on one socket |
//! | [`protocol`] | what the two ends say to each other |
//! | [`shared`] | the memory both map |
//! | [`sys`] | the only `unsafe` besides N-API |

pub mod addon;
pub mod balancer;
pub mod channel;
pub mod cpus;
pub mod group;
pub mod handoff;
pub mod io_thread;
pub mod listener;
pub mod primary;
pub mod protocol;
pub mod shared;
pub mod sys;
pub mod worker;
