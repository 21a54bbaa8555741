//! When two answers of `MLflow`'s protocol are the same for its clients.

use serde_json::Value;

/// What an answer has and ours has otherwise, on purpose: instants that the server sets itself, texts for people,
/// tokens that only the server reads, and what it can do beside what clients ask of it.
const OTHERWISE: [&str; 12] = [
    "creation_time",
    "last_update_time",
    "creation_timestamp",
    "last_updated_timestamp",
    "creation_timestamp_ms",
    "last_updated_timestamp_ms",
    "message",
    "next_page_token",
    "store_type",
    "presigned_upload_run_id_supported",
    "presigned_upload_model_id_supported",
    "gateway",
];

/// What an answer has and ours has not, on purpose: workspaces, which are not built; and what no client reads of an error.
const LEFT_OUT: [&str; 3] = ["workspace", "sqlstate", "error_class"];

/// A key by which members of a list are ordered, as no client looks at their order.
fn place(value: &Value) -> String {
    let words = ["key", "alias", "model_id", "path", "experiment_id", "version"];
    let own = |value: &Value| words.iter().find_map(|word| value.get(word).map(|v| format!("{v}{}", value["step"])));
    own(value).or_else(|| Some(value.get("dataset")?.to_string())).unwrap_or_default()
}

/// Compares field by field; what differs, with its path.
pub(super) fn compare(at: &str, theirs: &Value, ours: &Value, differ: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (key, value) in theirs {
                let at = format!("{at}.{key}");
                match ours.get(key) {
                    _ if LEFT_OUT.contains(&key.as_str()) => {}
                    Some(other) if OTHERWISE.contains(&key.as_str()) => {
                        let is_same = std::mem::discriminant(value) == std::mem::discriminant(other);
                        if !is_same {
                            differ.push(format!("{at}: {value} is of another type than {other}"));
                        }
                    }
                    Some(other) => compare(&at, value, other, differ),
                    None => differ.push(format!("{at}: {value} is missing")),
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            let sorted = |list: &[Value]| {
                let mut list = list.to_vec();
                list.sort_by_key(place);
                list
            };
            for (i, (theirs, ours)) in sorted(theirs).iter().zip(&sorted(ours)).enumerate() {
                compare(&format!("{at}[{i}]"), theirs, ours, differ);
            }
        }
        (theirs, ours) if theirs == ours => {}
        // A text that holds JSON is the same if its JSON is.
        (Value::String(a), Value::String(b)) => {
            let read = |text: &str| serde_json::from_str::<Value>(text).ok();
            if read(a).is_none() || read(a) != read(b) {
                differ.push(format!("{at}: {a} is not {b}"));
            }
        }
        _ => differ.push(format!("{at}: {theirs} is not {ours}")),
    }
}
