//! Whether an apply would change an object (F.4).

use serde_json::{Map, Value};

/// Compares an object with what a dry-run of its apply would make of it.
///
/// Of the metadata only labels and annotations count, and the status does not.
#[must_use]
pub fn differs(live: &Value, dry_run: &Value) -> bool {
    let (Some(live), Some(dry_run)) = (live.as_object(), dry_run.as_object()) else {
        return live != dry_run;
    };
    if metadata(dry_run, "resourceVersion")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        return true;
    }
    let map_differs = |part: &str| match (metadata(live, part), metadata(dry_run, part)) {
        (Some(left), Some(right)) => !same_map(left, right),
        (Some(one), None) | (None, Some(one)) => !is_empty_map(one),
        (None, None) => false,
    };
    if map_differs("labels") || map_differs("annotations") {
        return true;
    }
    let counts = |key: &str| key != "metadata" && key != "status";
    let is_autoscaler = live.get("kind").and_then(Value::as_str) == Some("HorizontalPodAutoscaler");
    let field_differs = |key: &str| match (live.get(key), dry_run.get(key)) {
        (Some(left), Some(right)) if is_autoscaler && key == "spec" => {
            without_repeats(left) != without_repeats(right)
        }
        (left, right) => left != right,
    };
    live.keys()
        .chain(dry_run.keys())
        .filter(|key| counts(key))
        .any(|key| field_differs(key))
}

fn metadata<'a>(object: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(field)
}

fn is_empty_map(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

fn same_map(left: &Value, right: &Value) -> bool {
    left == right || (is_empty_map(left) && is_empty_map(right))
}

/// Applies in an older version of the API make the server repeat metrics of an autoscaler in a dry-run.
fn without_repeats(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(metrics) = spec.get_mut("metrics").and_then(Value::as_array_mut) {
        let mut seen: Vec<Value> = Vec::with_capacity(metrics.len());
        metrics.retain(|metric| {
            let new = !seen.contains(metric);
            if new {
                seen.push(metric.clone());
            }
            new
        });
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(metadata: Value, spec: Value) -> Value {
        let mut object = json!({"apiVersion": "v1", "kind": "Thing", "metadata": metadata, "spec": spec, "status": {"a": 1}});
        object["metadata"]["resourceVersion"] = "1".into();
        object
    }

    #[test]
    fn differs_looks_at_labels_annotations_and_the_rest() {
        let live = object(
            json!({"labels": {"a": "b"}, "uid": "x", "generation": 1}),
            json!({"n": 1}),
        );
        let mut other = live.clone();
        other["status"] = json!({"a": 2});
        other["metadata"]["generation"] = 2.into();
        other["metadata"]["finalizers"] = json!(["f"]);
        other["metadata"]["annotations"] = json!({});
        assert!(!differs(&live, &other));
        for (pointer, value) in [
            ("/spec/n", json!(2)),
            ("/spec", json!(null)),
            ("/metadata/labels/a", json!("c")),
            ("/metadata/labels", json!(null)),
            ("/metadata/annotations", json!({"a": "b"})),
            ("/metadata/resourceVersion", json!("")),
            ("/apiVersion", json!("v2")),
        ] {
            let mut changed = other.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            assert!(differs(&live, &changed), "{pointer}");
        }
        let mut more = live.clone();
        more["data"] = json!({});
        assert!(differs(&live, &more) && differs(&more, &live));
    }

    #[test]
    fn differs_says_yes_to_what_is_not_there() {
        let mut fresh = object(json!({}), json!({}));
        fresh["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("resourceVersion");
        assert!(differs(&fresh.clone(), &fresh));
    }

    #[test]
    fn repeated_metrics_of_an_autoscaler_do_not_count() {
        let scaler = |metrics: Value| {
            let mut scaler = object(json!({}), json!({"metrics": metrics}));
            scaler["kind"] = "HorizontalPodAutoscaler".into();
            scaler
        };
        let (cpu, memory) = (json!({"name": "cpu"}), json!({"name": "memory"}));
        assert!(!differs(
            &scaler(json!([cpu, memory])),
            &scaler(json!([cpu, memory, cpu]))
        ));
        assert!(differs(&scaler(json!([cpu])), &scaler(json!([cpu, memory]))));
    }
}
