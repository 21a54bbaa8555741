//! Tests.

mod histories;
