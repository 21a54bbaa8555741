//! Pipelines: steps in order, run by the runner, with results reused only when that is provably right.

mod attempt;
mod cache;
mod condition;
mod evidence;
mod flow;
mod forecast;
mod later;
mod measure;
mod merged;
mod overlap;
mod param;
mod plan;
mod problem;
mod record;
mod restore;
mod room;
mod run;
mod schedule;
mod scopes;
mod spec;
mod step;
mod table;
mod template;
#[cfg(test)]
mod tests;

pub use attempt::{IN_VARIABLE, KEY_VARIABLE, OUT_VARIABLE, SCRATCH_VARIABLE};
pub use cache::{Cache, Entry, Known, Lookup, MadeBytes, ReadBytes, Workspace, listing_digest};
pub use condition::Condition;
pub use flow::{Cause, Cell, End, Flow, Path};
pub use forecast::{Expected, Outlook, forecast};
pub use param::{Param, ParamType, values as param_values};
pub use plan::{Capacity, Plan, Planned};
pub use problem::Problem;
pub use record::step_run;
pub use run::{Around, KnownBytes, News, Order, OrderError, Report, Row, Stop, execute};
pub use schedule::Schedule;
pub use spec::{Concurrency, SPEC_MAX, STEPS_MAX, Spec};
pub use step::{Approval, BRANCHES_DEFAULT, BRANCHES_MAX, Command, Failure, Foreach, Over, Resources, Retry, Step};
pub use table::At;
pub use template::{Name, Template};
