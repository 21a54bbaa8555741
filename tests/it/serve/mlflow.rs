//! `MLflow`: its clients, unchanged, against the server, and what their history answers.

mod chain;
mod clients;
mod crash;
mod database;
mod differential;
mod equal;
mod import;
mod replay;
