//! Metaflow: its real client, its recorded exchanges, races, restarts and abuse.

mod clients;
mod mutations;
mod races;
mod replay;
