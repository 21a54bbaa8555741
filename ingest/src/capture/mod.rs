//! Capture: starts a command and observes which files it and its descendants read and write.

#[cfg(all(test, target_os = "linux"))]
mod acceptance;
#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod fence;
#[cfg(target_os = "linux")]
mod filter;
#[cfg(target_os = "linux")]
mod hashing;
mod kernel;
mod launch;
#[cfg(target_os = "linux")]
mod ledger;
#[cfg(target_os = "linux")]
mod listing;
#[cfg(target_os = "linux")]
mod notify;
#[cfg(target_os = "linux")]
mod observer;
#[cfg(target_os = "linux")]
mod packages;
#[cfg(target_os = "linux")]
mod place;
mod python;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "rules are read, but no path gets a role"))]
mod role;
#[cfg(target_os = "linux")]
mod task;
#[cfg(all(test, target_os = "linux"))]
mod tests;
mod trace;
#[cfg(target_os = "linux")]
mod tracer;
#[cfg(not(target_os = "linux"))]
#[path = "unwatched.rs"]
mod watch;
#[cfg(target_os = "linux")]
mod watch;

#[cfg(target_os = "linux")]
pub use fence::fence_writes;
pub use launch::{CaptureMode, Exit, Group, Launch, StartError, Started, Usage, become_subreaper, start};
pub use python::{External, PythonHook};
pub use role::{Role, Rules};
pub use trace::{Access, Blind, Completeness, Execution, Hole, Listing, Mechanism, Read, RoleCount, Trace};
