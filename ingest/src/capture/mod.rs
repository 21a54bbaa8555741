//! Capture: starts a command and observes which files it and its descendants read and write.

mod kernel;
mod launch;
mod trace;

pub use launch::{CaptureMode, Exit, Group, Launch, StartError, Started, Usage, become_subreaper, start};
pub use trace::{Completeness, Mechanism, Trace};
