//! `lineage serve` through its sockets: events in, questions out, and what it does when it stops.

mod access;
mod basics;
mod clients;
mod documents;
mod marquez;
mod mutations;
mod replay;
mod streams;
