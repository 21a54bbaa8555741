//! The questions: the query language, its planning and execution, and the output of answers.

pub mod output;
