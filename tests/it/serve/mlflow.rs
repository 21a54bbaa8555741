//! `MLflow`: its clients, unchanged, against the server, and what their history answers.

mod replay;
