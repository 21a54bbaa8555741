//! Attempts: tries of a task, which clients count from 0 and events from 1.

/// The attempt that a tag of metadata names: `attempt_id:N`.
pub(super) fn of_tags(tags: &[String]) -> Option<u32> {
    tags.iter().find_map(|tag| tag.strip_prefix("attempt_id:")?.parse().ok())
}

/// The number of an attempt in events.
pub(super) fn number(attempt: u32) -> u32 {
    attempt.saturating_add(1)
}
