//! The ways in: files of events, outside protocols, and the runner.

pub mod capture;
pub mod delivery;
pub mod file;
pub mod marquez;
pub mod metaflow;
pub mod mlflow;
pub mod openlineage;
pub mod pipeline;
pub mod replay;
pub mod run;
