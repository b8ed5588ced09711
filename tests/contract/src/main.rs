//! What CPython's own tests ask of asyncio: each clause tried in both languages, a group
//! of names in each file. `docs/contract.tsv` has a row for each clause.

#![allow(clippy::unwrap_used)]
#![cfg_attr(not(unix), allow(unused))]

#[macro_use(println)]
extern crate harness as tokio;

// Groups
mod alike;
mod alike_real;
mod asyncio_futures;
mod by_type;
mod datagrams;
mod gather_and_wait;
mod generators;
mod in_silence;
mod locks;
mod loops;
mod loops_and_threads;
mod main_body;
mod managers;
mod newer_python;
mod programs;
mod python_3_13;
mod queue_shutdown;
mod queues;
mod servers;
mod sockets_in_detail;
mod stream_end;
mod streams;
mod subprocesses;
mod task_groups;
mod tasks;
mod tasks_in_detail;
mod timeouts;
mod timeouts_real;
mod without_counterpart;

#[path = "../support.rs"]
pub mod support;

// Sockets, children and signals are tried as Unix has them.
#[cfg(unix)]
harness::section!();

#[cfg(not(unix))]
fn main() {}
