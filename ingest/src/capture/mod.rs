//! Capture: starts a command and observes which files it and its descendants read and write.

#[cfg(test)]
mod acceptance;
mod calls;
mod filter;
mod hashing;
mod kernel;
mod launch;
mod ledger;
mod listing;
mod notify;
mod observer;
mod packages;
mod place;
mod python;
mod role;
mod task;
#[cfg(test)]
mod tests;
mod trace;
mod tracer;
mod watch;

pub use launch::{CaptureMode, Exit, Group, Launch, StartError, Started, Usage, become_subreaper, start};
pub use python::{External, PythonHook};
pub use role::{Role, Rules};
pub use trace::{Access, Blind, Completeness, Execution, Hole, Listing, Mechanism, Read, RoleCount, Trace};
