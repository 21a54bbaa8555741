//! The command line of lineage: the only caller of store, query and ingest.

mod app;
mod commands;
mod config;
mod context;
mod exit;
mod random;
mod reference;
mod render;
mod session;
mod signals;
mod state;
mod terminal;

fn main() -> std::process::ExitCode {
    app::main().into()
}
