//! The command line of lineage: the only caller of store, query and ingest.

mod app;
mod commands;
mod config;
mod context;
mod errors;
mod exit;
mod http;
mod machine;
mod random;
mod reference;
mod render;
mod serve;
mod session;
mod signals;
mod signing;
mod state;
mod terminal;
mod token;

/// Events are parsed on one thread and dropped on another; an allocator with a list a thread makes a load twice as fast.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    app::main().into()
}
