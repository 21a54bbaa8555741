//! `lineage serve` through its sockets: events in, questions out, and what it does when it stops.

mod basics;
mod marquez;
