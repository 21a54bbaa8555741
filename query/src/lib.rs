//! The questions: the query language, its planning and execution, and the output of answers.

mod engine;
pub mod export;
pub mod output;
pub mod report;
pub mod syntax;

pub use engine::{
    Candidate, Class, Explanation, Limits, Meaning, Operator, QueryError, ReadEvent, Request, TreeHead, Zone, answer,
    check_saved, complete, explain, grammar,
};
