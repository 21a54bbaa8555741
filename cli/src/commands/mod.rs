//! The commands, one module for each family.

mod abort;
mod add;
mod approval;
mod approve;
mod backup;
mod board;
mod check;
mod checkpoint;
pub(crate) mod completions;
mod config;
mod demo;
mod deploy;
mod doctor;
mod erase;
mod event;
mod explain;
mod export;
mod gc;
mod graph;
mod history;
mod import;
mod ingest;
mod init;
mod judge;
mod keep_watch;
mod language;
mod log;
mod logs;
mod name;
mod origin;
mod pipeline;
mod prove;
mod ps;
pub(crate) mod query;
pub(crate) mod question;
mod rebuild;
mod replay;
mod report;
mod resume;
mod retract;
mod run;
mod saved;
mod schedule;
mod serve;
mod show;
mod status;
mod token;
mod verdict;
mod verify;
mod why;

use crate::context::Context;
use crate::exit::ExitCode;

macro_rules! commands {
    ($($(#[$attribute:meta])* $variant:ident($module:ident::$arguments:ident)),+ $(,)?) => {
        /// What to do.
        #[derive(Debug, clap::Subcommand)]
        pub(crate) enum Command {
            $(
                $(#[$attribute])*
                $variant(Box<$module::$arguments>),
            )+
        }

        /// Does it.
        pub(crate) fn run(command: Command, context: &Context) -> anyhow::Result<ExitCode> {
            match command {
                $(Command::$variant(arguments) => arguments.run(context),)+
            }
        }
    };
}

commands! {
    /// Build a small store by running an example, and ask it questions
    Demo(demo::Demo),
    /// Make a new store
    Init(init::Init),
    /// Say where the store is, how big and how fresh
    Status(status::Status),
    /// List and change settings
    Config(config::ConfigCommand),
    /// Say what is wrong and which command mends it
    Doctor(doctor::Doctor),
    /// Run a command and record what it read and wrote
    Run(run::Run),
    /// Go on with a run of a pipeline: what is done is not done again
    Resume(resume::Resume),
    /// Make a run again from what is stored of it, and compare what comes of it
    Replay(replay::Replay),
    /// Let a step of a pipeline run
    Approve(approve::Approve),
    /// Stop a run
    Abort(abort::Abort),
    /// Draw the steps of a run
    Graph(graph::Graph),
    /// Run the pipelines whose time has come
    Schedule(schedule::ScheduleCommand),
    /// List the runs that go on, and those that ended last
    Ps(ps::Ps),
    /// Print what the command of a run said
    Logs(logs::Logs),
    /// Say what produced a thing, and from which inputs
    Why(why::Why),
    /// Record events from files or a pipe: NDJSON, JSON, `OpenLineage`
    Ingest(ingest::Ingest),
    /// Bring the history of another tool in: a tracking server of `MLflow`
    Import(import::Import),
    /// Store bytes under a name
    Add(add::Add),
    /// Restore the bytes of a version, verified
    Get(add::Get),
    /// Tag a name or a version
    Tag(name::Tag),
    /// Take tags away
    Untag(name::Untag),
    /// Let an alias such as `champion` point to a version
    Alias(name::Alias),
    /// Say that two names or versions are the same thing
    Link(name::Link),
    /// Set owner, purpose, tier or description
    Describe(name::Describe),
    /// Record the measurements of a version
    Evaluate(judge::Evaluate),
    /// Record the verdict on a version
    Audit(judge::Audit),
    /// Record that a version went live
    Deploy(deploy::Deploy),
    /// Record that a version is live no more
    Retire(deploy::Retire),
    /// Take an event or a run back, by a new event
    Retract(retract::Retract),
    /// Ask a question
    Query(query::Query),
    /// Say how a question is read, what its names and times mean, and what it costs
    Explain(explain::Explain),
    /// Check files of questions against what is expected of their answers
    Check(check::Check),
    /// Print a question in its canonical spelling
    Fmt(language::Fmt),
    /// Print a name as the language reads it back
    Quote(language::Quote),
    /// Print the grammar of the language
    Grammar(language::Grammar),
    /// Say what may be written at a cursor, as JSON
    Complete(language::Complete),
    /// Write a pack for an auditor: Parquet tables and the events that they follow from
    Report(report::ReportCommand),
    /// Write the history as `OpenLineage`, PROV-JSON or native events
    Export(export::Export),
    /// Erase what is kept of a subject: its keys and its sealed values
    Erase(erase::Erase),
    /// Hold the erasure of a subject back, or release it
    Hold(erase::Hold),
    /// Copy the store, without keys unless they are asked for
    Backup(backup::Backup),
    /// Make a store from a backup
    Restore(backup::Restore),
    /// Remove files that no event names
    Gc(gc::Gc),
    /// List events, newest last
    Log(log::Log),
    /// Show a version, a name, an event, or what is known of a file
    Show(show::Show),
    /// List every event that touches a name or version
    History(history::History),
    /// Serve tools and people over HTTP: `OpenLineage` in, questions out
    Serve(serve::Serve),
    /// Make, list and revoke the tokens of the server
    Token(token::TokenCommand),
    /// Check everything that is stored, and repair it on request
    Verify(verify::Verify),
    /// Sign the head of the log, and hand it to those who can vouch for it
    Checkpoint(checkpoint::Checkpoint),
    /// Write the proof of where a version came from, for someone without this store
    Prove(prove::Prove),
    /// Build the graph index and the event store anew from the journal
    Rebuild(rebuild::Rebuild),
    /// End what is left of a run whose runner was killed; started by `lineage run`
    #[command(hide = true)]
    KeepWatch(keep_watch::KeepWatch),
    /// Print the completions of a shell
    Completions(completions::Completions),
}
