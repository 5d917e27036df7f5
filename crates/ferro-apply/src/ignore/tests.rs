use super::*;
use serde_json::json;

fn rule(target: Option<Selector>, paths: &[&str]) -> RuleSpec {
    RuleSpec {
        target,
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    }
}

fn pointers(paths: &[&str]) -> Vec<Pointer> {
    paths.iter().map(|path| Pointer::parse(path).unwrap()).collect()
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web-1", "namespace": "prod", "labels": {"app": "web"}, "annotations": {"a": "b"}},
        "spec": {"replicas": 1}})
}

#[test]
fn targets_are_anchored_expressions_and_selectors() {
    let some = |text: &str| Some(text.to_owned());
    for (target, expected) in [
        (Selector::default(), true),
        (
            Selector {
                kind: some("Deploy"),
                ..Selector::default()
            },
            false,
        ),
        (
            Selector {
                kind: some("Deploy.*"),
                group: some("apps"),
                version: some("v[12]"),
                ..Selector::default()
            },
            true,
        ),
        (
            Selector {
                name: some("web-1|db"),
                namespace: some("prod"),
                ..Selector::default()
            },
            true,
        ),
        (
            Selector {
                name: some("web"),
                ..Selector::default()
            },
            false,
        ),
        (
            Selector {
                group: some(""),
                ..Selector::default()
            },
            true,
        ),
        (
            Selector {
                label_selector: some("app in (web)"),
                annotation_selector: some("a=b"),
                ..Selector::default()
            },
            true,
        ),
        (
            Selector {
                label_selector: some("app!=web"),
                ..Selector::default()
            },
            false,
        ),
        (
            Selector {
                annotation_selector: some("!a"),
                ..Selector::default()
            },
            false,
        ),
    ] {
        let rules = Rules::compile(&[rule(Some(target.clone()), &["/spec/replicas"])]).unwrap();
        assert_eq!(rules.applies_to(&deployment()), expected, "{target:?}");
    }
    assert!(!Rules::default().applies_to(&deployment()));
}

#[test]
fn rules_without_a_target_add_up() {
    let rules = Rules::compile(&[
        rule(None, &["/spec/replicas"]),
        rule(None, &["/spec/paused", "/spec/replicas"]),
    ])
    .unwrap();
    assert_eq!(
        rules.pointers(&deployment()),
        pointers(&["/spec/paused", "/spec/replicas"])
    );
}

#[test]
fn malformed_rules_are_named() {
    let error = |spec: RuleSpec| Rules::compile(&[rule(None, &[]), spec]).unwrap_err().to_string();
    assert!(error(rule(None, &["spec/replicas"])).contains("invalid path 'spec/replicas' of ignore rule 1"));
    assert!(error(rule(None, &[""])).contains("invalid path ''"));
    let target = Selector {
        kind: Some("(".to_owned()),
        ..Selector::default()
    };
    assert!(error(rule(Some(target), &[])).contains("invalid kind '('"));
    let target = Selector {
        label_selector: Some("a b".to_owned()),
        ..Selector::default()
    };
    assert!(error(rule(Some(target), &[])).contains("invalid labelSelector 'a b'"));
}

#[test]
fn remove_tolerates_what_is_missing() {
    let mut object = json!({"a": {"b/c": 1, "~": 2}, "l": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]});
    remove(
        &mut object,
        &pointers(&[
            "/a/b~1c", "/a/~0", "/x/y", "/l/2", "/l/10", "/l/99", "/l/01", "/a/b/c/d",
        ]),
    );
    assert_eq!(object, json!({"a": {}, "l": [0, 1, 3, 4, 5, 6, 7, 8, 9]}));
}

fn with_fields(mut live: Value, manager: &str, operation: &str, fields: &Value) -> Value {
    live["metadata"]["managedFields"] = json!([
        {"manager": "us", "operation": "Apply", "fieldsV1": fields},
        {"manager": manager, "operation": operation, "fieldsV1": fields}
    ]);
    live
}

#[test]
fn adjust_payload_keeps_the_live_value_or_leaves_the_field_to_its_manager() {
    let payload = json!({"spec": {"replicas": 1, "other": 2}});
    let dry_run = json!({"metadata": {}, "spec": {"replicas": 1, "other": 2}});
    let fields = json!({"f:spec": {"f:replicas": {}}});
    let live = json!({"metadata": {}, "spec": {"replicas": 5, "other": 1}});
    let adjusted = |live: &Value| {
        let mut payload = payload.clone();
        adjust_payload(&mut payload, live, &dry_run, &pointers(&["/spec/replicas"]), "us");
        payload
    };
    let kept = json!({"spec": {"replicas": 5, "other": 2}});
    let left_out = json!({"spec": {"other": 2}});
    assert_eq!(adjusted(&live), kept);
    assert_eq!(
        adjusted(&with_fields(live.clone(), "hpa", "Update", &fields)),
        kept
    );
    assert_eq!(
        adjusted(&with_fields(live.clone(), "hpa", "Apply", &fields)),
        left_out
    );
    assert_eq!(
        adjusted(&with_fields(
            live.clone(),
            "hpa",
            "Apply",
            &json!({"f:spec": {"f:paused": {}}})
        )),
        kept
    );
    // Gone from the cluster: it is not put back. The same as planned: it stays.
    assert_eq!(adjusted(&json!({"metadata": {}, "spec": {"other": 1}})), left_out);
    assert_eq!(
        adjusted(&json!({"metadata": {}, "spec": {"replicas": 1, "other": 1}})),
        payload
    );
}

#[test]
fn ownership_follows_the_keys_of_list_items() {
    let live = json!({"metadata": {}, "spec": {"containers": [
        {"name": "web", "image": "a:2"}, {"name": "side", "image": "b:2"}], "tags": ["x", "y"], "atomic": {"a": 1}}});
    let dry_run = json!({"metadata": {}, "spec": {"containers": [
        {"name": "web", "image": "a:1"}, {"name": "side", "image": "b:1"}], "tags": ["x", "z"], "atomic": {"a": 2}}});
    let payload = dry_run.clone();
    let fields = json!({"f:spec": {
        "f:containers": {"k:{\"name\":\"side\"}": {".": {}, "f:image": {}}}, "f:tags": {"v:\"y\"": {}}, "f:atomic": {}}});
    let live = with_fields(live, "them", "Apply", &fields);
    for (path, expected) in [
        ("/spec/containers/0/image", Some(json!("a:2"))),
        ("/spec/containers/1/image", None),
        ("/spec/atomic/a", None),
    ] {
        let mut adjusted = payload.clone();
        adjust_payload(&mut adjusted, &live, &dry_run, &pointers(&[path]), "us");
        assert_eq!(adjusted.pointer(path), expected.as_ref(), "{path}");
    }
    let mut adjusted = payload.clone();
    adjust_payload(&mut adjusted, &live, &dry_run, &pointers(&["/spec/tags/1"]), "us");
    assert_eq!(adjusted["spec"]["tags"], json!(["x"]));
    // A map that leads to the field is made, a list is not.
    let mut adjusted = json!({"spec": {}});
    adjust_payload(
        &mut adjusted,
        &live,
        &dry_run,
        &pointers(&["/spec/containers/0/image"]),
        "us",
    );
    assert_eq!(adjusted, json!({"spec": {}}));
    let mut adjusted = json!({});
    let unowned = json!({"metadata": {}, "spec": {"template": {"paused": true}}});
    adjust_payload(
        &mut adjusted,
        &unowned,
        &dry_run,
        &pointers(&["/spec/template/paused"]),
        "us",
    );
    assert_eq!(adjusted, json!({"spec": {"template": {"paused": true}}}));
}

/// Quoted text, braces that count nothing and sets with `&&` are Go's; other engines know neither.
#[test]
fn patterns_are_those_of_go() {
    let named = |pattern: &str| {
        let target = Selector {
            name: Some(pattern.to_owned()),
            ..Selector::default()
        };
        Rules::compile(&[rule(Some(target), &["/spec/replicas"])])
    };
    for (pattern, matches) in [
        (r"\Qweb-1\E", true),
        (r"\Qweb-.\E", false),
        ("web-1|web-{", true),
        ("[v&&w]eb-1", true),
        (r"web-\d\z", true),
        ("(?i)WEB-1", true),
    ] {
        let rules = named(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert_eq!(rules.applies_to(&deployment()), matches, "{pattern}");
    }
    for (pattern, message) in [
        (
            "web**",
            "error parsing regexp: invalid nested repetition operator: `**`",
        ),
        (
            "web{1001}",
            "error parsing regexp: invalid repeat count: `{1001}`",
        ),
        ("(web", "error parsing regexp: missing closing ): `(web`"),
        (r"\1", r"error parsing regexp: invalid escape sequence: `\1`"),
    ] {
        let Err(Error::Pattern { message: found, .. }) = named(pattern) else {
            panic!("{pattern} is accepted");
        };
        assert_eq!(found, message);
    }
}
