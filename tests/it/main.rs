//! Tests that need a disk, a process or the whole workspace.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod capture;
mod cli_bad_input;
mod cli_check;
mod cli_commands;
mod cli_errors;
mod cli_exit;
mod cli_explain;
mod cli_ingest;
mod cli_known_at;
mod cli_language;
mod cli_openlineage;
mod crash;
mod documents;
mod erasure;
mod evidence;
mod exports;
mod first_guesses;
mod histories;
mod language_properties;
mod oracle;
mod packs;
mod pipelines;
mod pipelines_document;
mod queries;
mod replay;
mod reports;
mod run_failure;
mod run_secrets;
mod runner_document;
mod serve;
mod tidy;
mod tutorial;
