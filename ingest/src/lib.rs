//! The ways in: files of events, outside protocols, and the runner.

pub mod file;
pub mod openlineage;
pub mod run;
