//! Where two documents differ.

use serde_json::Value;

/// A path with what is there before and after; null: nothing.
pub(super) type Difference = (String, Value, Value);

/// Adds every difference to `found`, in the order of the documents. Maps are entered `depth_left`
/// times; what is below that differs as a whole, and so do lists.
pub(super) fn walk(
    path: &str,
    before: &Value,
    after: &Value,
    depth_left: usize,
    found: &mut Vec<Difference>,
) {
    if before == after {
        return;
    }
    match (before, after) {
        (Value::Object(before), Value::Object(after)) if depth_left > 0 => {
            let added = after.keys().filter(|key| !before.contains_key(*key));
            for key in before.keys().chain(added) {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let (one, other) = (before.get(key), after.get(key));
                let (one, other) = (one.unwrap_or(&Value::Null), other.unwrap_or(&Value::Null));
                walk(&below, one, other, depth_left - 1, found);
            }
        }
        _ => found.push((path.to_owned(), before.clone(), after.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_are_found_as_deep_as_asked() {
        let before = json!({"a": {"b": {"c": 1}}, "gone": 1, "same": [1]});
        let after = json!({"a": {"b": {"c": 2}}, "same": [1], "new": [2]});
        for (depth, first) in [(9, "a.b.c"), (3, "a.b.c"), (2, "a.b"), (1, "a")] {
            let mut found = Vec::new();
            walk("", &before, &after, depth, &mut found);
            let paths: Vec<&str> = found.iter().map(|(path, _, _)| path.as_str()).collect();
            assert_eq!(paths, [first, "gone", "new"], "{depth}");
            assert_eq!(found[1], ("gone".to_owned(), json!(1), Value::Null));
            assert_eq!(found[2], ("new".to_owned(), Value::Null, json!([2])));
        }
        let mut found = Vec::new();
        walk("", &before, &after, 0, &mut found);
        assert_eq!(found, [(String::new(), before, after)]);
    }
}
