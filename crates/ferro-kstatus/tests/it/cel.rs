//! Health expressions and readiness expressions.

use ferro_kstatus::{ExprError, HealthExpr, HealthExprs, ReadyExpr, Status, Status::*};
use serde_json::{Value, json};

fn exprs<'a>(api_version: &'a str, kind: &'a str, current: &'a str) -> HealthExpr<'a> {
    HealthExpr {
        api_version,
        kind,
        current,
        in_progress: None,
        failed: None,
    }
}

fn issuer(rest: Value) -> Value {
    let mut object = json!({"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer"});
    object
        .as_object_mut()
        .unwrap()
        .extend(rest.as_object().unwrap().clone());
    object
}

fn status_of(expr: HealthExpr<'_>, object: &Value) -> (Status, String) {
    let health = HealthExprs::compile(&[expr]).unwrap().health(object).unwrap();
    (health.status, health.message)
}

const READY: &str =
    "has(status.conditions) && status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')";

#[test]
fn expressions_decide_in_their_order() {
    let expr = HealthExpr {
        in_progress: Some("status.phase == 'a' || status.phase == 'b'"),
        failed: Some("status.phase == 'b' || status.phase == 'c'"),
        current: "status.phase in ['b', 'c', 'd']",
        ..exprs("cert-manager.io/v1", "ClusterIssuer", "")
    };
    for (phase, expected) in [
        ("a", InProgress),
        ("b", InProgress),
        ("c", Failed),
        ("d", Current),
        ("e", InProgress),
    ] {
        let object = issuer(json!({"status": {"phase": phase}}));
        assert_eq!(status_of(expr, &object).0, expected, "{phase}");
    }
}

#[test]
fn a_missing_status_is_unknown_not_failed() {
    let expr = exprs("cert-manager.io/v1", "ClusterIssuer", READY);
    let (status, message) = status_of(expr, &issuer(json!({})));
    assert_eq!(status, Unknown);
    assert!(message.contains("no such attribute(s): status"), "{message}");
    assert_eq!(status_of(expr, &issuer(json!({"status": {}}))).0, InProgress);
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    assert_eq!(status_of(expr, &issuer(ready)).0, Current);
}

#[test]
fn an_unobserved_generation_is_in_progress() {
    let expr = HealthExpr {
        failed: Some("true"),
        ..exprs("cert-manager.io/v1", "ClusterIssuer", "true")
    };
    let object = issuer(json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 1}}));
    assert_eq!(status_of(expr, &object).0, InProgress);
    let object = issuer(
        json!({"metadata": {"generation": 2, "deletionTimestamp": "x"}, "status": {"observedGeneration": 2}}),
    );
    assert_eq!(status_of(expr, &object).0, Failed);
}

#[test]
fn the_kind_is_preferred_to_its_group_and_versions_do_not_count() {
    let compiled = HealthExprs::compile(&[
        exprs("cert-manager.io/v1alpha1", "", "false"),
        exprs("cert-manager.io/v1beta1", "ClusterIssuer", "true"),
        exprs("v1", "ConfigMap", "data.ready == 'yes'"),
    ])
    .unwrap();
    assert_eq!(compiled.health(&issuer(json!({}))).unwrap().status, Current);
    let other = json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate"});
    assert_eq!(compiled.health(&other).unwrap().status, InProgress);
    assert!(compiled.cover("", "ConfigMap") && compiled.cover("cert-manager.io", "Any"));
    assert!(!compiled.cover("", "Secret") && !compiled.cover("apps", "ConfigMap"));
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"ready": "yes"}});
    assert_eq!(compiled.health(&map).unwrap().status, Current);
    assert!(
        compiled
            .health(&json!({"apiVersion": "v1", "kind": "Secret"}))
            .is_none()
    );
}

#[test]
fn bad_lists_are_refused() {
    let compile = |list: &[HealthExpr<'_>]| HealthExprs::compile(list).unwrap_err().to_string();
    assert_eq!(
        compile(&[exprs("v1", "A", "")]),
        "failed to create status evaluator for healthchecks[0]: expression Current not specified"
    );
    assert_eq!(
        compile(&[exprs("a.b/v1", "A", "true"), exprs("a.b/v2", "A", "true")]),
        "failed to create status evaluator for healthchecks[1]: duplicate health check expressions for 'a.b/A'"
    );
    let message = compile(&[HealthExpr {
        failed: Some("status."),
        ..exprs("v1", "A", "true")
    }]);
    assert!(
        message
            .contains("failed to parse the expression Failed: failed to parse the CEL expression 'status.'"),
        "{message}"
    );
    assert!(compile(&[exprs("a/b/c", "A", "true")]).contains("invalid apiVersion"));
    // Only parsed: unknown names and other types are found on evaluation.
    let (status, message) = status_of(
        exprs("v1", "A", "nothing.here"),
        &json!({"apiVersion": "v1", "kind": "A"}),
    );
    assert_eq!(
        (status, message.as_str()),
        (
            Unknown,
            "failed to evaluate the CEL expression 'nothing.here': no such attribute(s): nothing"
        )
    );
    let (status, message) = status_of(
        exprs("v1", "A", "1 + 1"),
        &json!({"apiVersion": "v1", "kind": "A"}),
    );
    assert_eq!(
        (status, message.as_str()),
        (Unknown, "failed to evaluate CEL expression as boolean: '1 + 1'")
    );
}

/// Evaluates over an object with one field `x`.
fn eval(expr: &str, x: Value) -> Result<bool, String> {
    let object = json!({"apiVersion": "v1", "kind": "A", "x": x});
    match status_of(exprs("v1", "A", expr), &object) {
        (Current, _) => Ok(true),
        (InProgress, _) => Ok(false),
        (_, message) => Err(message),
    }
}

#[test]
fn the_libraries_of_the_environment_are_there() {
    let x = json!({"s": "a,b", "n": 3, "big": 18_446_744_073_709_551_615_u64, "f": 1.5, "l": [1, 2, 3], "m": {"k": "v"}, "neg": -1});
    let truths = [
        "x.s.split(',').size() == 2 && x.s.split(',')[1] == 'b'",
        "x.s.upperAscii() == 'A,B' && 'AB'.lowerAscii() == 'ab'",
        "x.s.replace(',', '--') == 'a--b' && 'aaa'.replace('a', 'b', 2) == 'bba' && 'aa'.replace('a', 'b', -1) == 'bb'",
        "['a', 'b'].join('-') == 'a-b' && ['a', 'b'].join() == 'ab' && x.l.map(i, string(i)).join(',') == '1,2,3'",
        "'%s is %d'.format([x.s, x.n]) == 'a,b is 3'",
        "x.s.substring(1) == ',b' && x.s.indexOf('b') == 2 && '  t '.trim() == 't' && x.s.charAt(0) == 'a'",
        "sets.contains(x.l, [1, 3]) && !sets.contains([1], x.l)",
        "sets.equivalent([1, 2, 3, 3], x.l) && !sets.equivalent([1], x.l)",
        "sets.intersects(x.l, [9, 3]) && !sets.intersects(x.l, []) && sets.contains(x.l, [])",
        "base64.encode(b'hi') == 'aGk=' && base64.decode('aGk=') == b'hi'",
        "x.n == 3 && x.n == 3.0 && x.n > 2.5 && x.n + 1 == 4 && x.n - 4 == x.neg && x.big > x.n",
        "x.f == 1.5 && x.f < x.n && 3u == x.n",
        "x.l.all(i, i > 0) && x.l.exists(i, i == 2) && x.l.exists_one(i, i > 2)",
        "x.l.filter(i, i > 1) == [2, 3] && x.l.map(i, i > 1, i * 2) == [4, 6]",
        "has(x.m.k) && !has(x.m.z) && x.m['k'] == 'v' && 'k' in x.m",
        "x.?m.?k.orValue('none') == 'v' && x.?z.?k.orValue('none') == 'none' && !x.?z.hasValue()",
        "x.m[?'k'].value() == 'v' && optional.of(1).hasValue() && !optional.none().hasValue()",
        "'abc'.matches('^a.c$') && matches('abc', 'b') && x.s.startsWith('a') && x.s.endsWith('b') && x.s.contains(',')",
        "timestamp('2026-01-02T03:04:05Z').getHours() == 3 && duration('90s') > duration('1m')",
        "timestamp('2026-01-02T03:04:05Z') + duration('1h') == timestamp('2026-01-02T04:04:05Z')",
        "x.s + 'c' == 'a,bc' && x.l + [4] == [1, 2, 3, 4] && size(x.s + x.s) == 6",
        "(x.n > 2 ? 'yes' : 'no') == 'yes' && int('7') == 7 && double('1.5') == x.f && string(x.n) == '3'",
        "true || x.nothing.here",
    ];
    for expr in truths {
        assert_eq!(eval(expr, x.clone()), Ok(true), "{expr}");
    }
}

#[test]
fn evaluation_errors_name_the_fault_but_no_values() {
    for (expr, part) in [
        ("x.nothing == 1", "no such key: nothing"),
        ("x.s + 1 == 'a'", "no matching overload"),
        ("x.n / 0 == 1", "division by zero"),
        ("x.l[7] == 1", "index out of bounds"),
        ("x.s.nothing() == 1", ""),
        ("foo(x) == 1", "foo"),
        ("x.s < 1", ""),
    ] {
        let message = eval(expr, json!({"s": "hunter2", "n": 1, "l": [1]})).unwrap_err();
        assert!(message.contains(part), "{expr}: {message}");
        assert!(!message.contains("hunter2"), "{expr}: {message}");
    }
}

#[test]
fn evaluation_is_bounded() {
    let list: Vec<i64> = (0..3_000).collect();
    let text = "x".repeat(1 << 20);
    let hostile = [
        "x.l.all(a, x.l.all(b, x.l.all(c, a + b + c >= 0)))",
        "x.l.map(a, x.s).join(x.s) == ''",
        "x.s.replace('', x.s) == ''",
        "[x.s].map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a) == ['']",
        "x.l.map(a, x.s.upperAscii()).size() == 0",
        "x.l.map(a, x).size() == 0",
        "x.l.exists(a, {'k': x.s}.k == '')",
        "[x.s, x.s].map(a, {'k': [a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a]}).map(a, [a, a, a, a]) == []",
        "x.l.exists(a, x.l.exists(b, 'abc'.matches('z' + string(a))))",
        "x.l.map(a, x.l).map(b, b + b).map(b, b + b).map(b, b + b).size() == 0",
        "'%s'.format([x.l.map(a, x.s)]) == ''",
    ];
    for expr in hostile {
        let message = eval(expr, json!({"l": list, "s": text})).unwrap_err();
        assert!(message.contains("than allowed"), "{expr}: {message}");
    }
    // What people write about long lists is far below the bound.
    assert_eq!(
        eval(
            "x.all(a, x.exists(b, a == b))",
            json!((0..200).collect::<Vec<i64>>())
        ),
        Ok(true)
    );
    let long = format!("true{}", " ".repeat(70_000));
    assert!(matches!(ReadyExpr::compile(&long), Err(ExprError::Parse { .. })));
}

#[test]
fn an_object_is_judged_once_for_each_of_its_versions() {
    let exprs = HealthExprs::compile(&[exprs("v1", "A", "x == 1")]).unwrap();
    let health = |uid: &str, version: &str, x: u8| {
        let metadata = json!({"uid": uid, "resourceVersion": version});
        let object = json!({"apiVersion": "v1", "kind": "A", "metadata": metadata, "x": x});
        exprs.health(&object).unwrap().status
    };
    assert_eq!(health("u", "1", 1), Current);
    // No two objects have the same version, so it is not looked at.
    assert_eq!(health("u", "1", 2), Current);
    assert_eq!(health("u", "2", 2), InProgress);
    assert_eq!(health("v", "1", 2), InProgress);
}

#[test]
fn deep_expressions_are_refused_before_they_fill_the_stack() {
    let chain = |link: &str, links: usize| link.repeat(links);
    // Each is a tree as deep as it has links.
    let deep = move |links: usize| {
        [
            format!("1{} > 0", chain("+1", links)),
            format!("x{} == 1", chain(".b", links)),
            format!("x{} == 1", chain("[0]", links)),
            format!("x{}", chain("<b", links)),
            format!("x{}", chain(" in b", links)),
            format!("{}x", chain("!", links)),
            format!("{}1 > 0", chain("-", links)),
            format!("{}1 > 0", chain("- ", links)),
            format!("x{} == 'a'", chain(".trim()", links / 2)),
            format!("x{}.size() == 0", chain(".map(i, i)", links / 2)),
            format!("x == '{}'{} ", "\\'&&", chain("+'&&'", links)),
        ]
    };
    // The stack of a worker thread, in a build without optimisation.
    let checked = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        for expr in deep(245) {
            match HealthExprs::compile(&[exprs("v1", "A", &expr)]) {
                Ok(_) => drop(eval(&expr, json!(1))),
                Err(error) => assert!(!error.to_string().contains("deep"), "{error}"),
            }
            drop(ReadyExpr::compile(&expr.replace('x', "dep")));
        }
        let brackets = [
            chain("(", 30_000),
            chain("[", 30_000),
            chain("f(", 30_000),
            chain("{1:", 20_000),
        ];
        for expr in deep(8_000).into_iter().chain(brackets) {
            let Err(error) = HealthExprs::compile(&[exprs("v1", "A", &expr)]) else {
                panic!("{} was accepted", &expr[..40]);
            };
            assert!(
                error.to_string().contains("operators or brackets deep"),
                "{}",
                &expr[..40]
            );
            assert!(ReadyExpr::compile(&expr).is_err());
        }
    });
    checked.unwrap().join().unwrap();
    // Wide is not deep.
    let wide = vec!["dep.status.a.b.c == 'x'"; 500].join(" || ");
    assert!(ReadyExpr::compile(&wide).is_ok());
}

#[test]
fn ready_expressions_must_be_statically_bool() {
    let accepted = [
        "dep.status.x == true",
        "dep.metadata.name != self.metadata.name",
        "dep.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')",
        "dep.status.conditions.filter(c, c.type == 'Ready').all(c, c.status == 'True')",
        "has(dep.status.x)",
        "dep.spec.n > 1 || !has(self.spec.y)",
        "'a' in dep.metadata.labels",
        "size(dep.spec.list) > 1 && dep.spec.list.size() < 9",
        "dep.metadata.name.startsWith('a')",
        "bool(dep.status.x)",
        "dep.spec.a ? true : false",
        "sets.contains(dep.spec.list, ['a'])",
        "dep.?status.?x.orValue('') == 'y'",
        "dep.spec.n + 1 > 2.5",
        "dep.status.x.hasValue()",
        "true",
        "['a', 'b'].exists_one(i, i == dep.metadata.name)",
        "timestamp(dep.metadata.creationTimestamp) + duration('1m') < timestamp('2026-01-01T00:00:00Z')",
    ];
    for expr in accepted {
        assert!(
            ReadyExpr::compile(expr).is_ok(),
            "{expr}: {:?}",
            ReadyExpr::compile(expr)
        );
    }
    for (expr, kind) in [
        ("dep.status.x", "dyn"),
        ("self", "dyn"),
        ("dep.spec.n + 1", "int"),
        ("'a'", "string"),
        ("1", "int"),
        ("[1]", "list(dyn)"),
        ("dep.?status", "optional_type(dyn)"),
        ("dep.spec.list.map(i, i)", "list(dyn)"),
        ("dep.spec.a ? dep.spec.b : true", "dyn"),
        ("size(dep.spec.list)", "int"),
    ] {
        let error = ReadyExpr::compile(expr).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("CEL expression output type mismatch: expected bool, got {kind}"),
            "{expr}"
        );
    }
    for expr in [
        "status.x == true",
        "dep.x ==",
        "nope(dep)",
        "1 + 'a' == 2",
        "'a'.nope()",
        "'a' && true",
        "1.name == 1",
        "'a' < 1",
        "dep.a.exists(c, d)",
        "",
    ] {
        assert!(
            matches!(ReadyExpr::compile(expr), Err(ExprError::Parse { .. })),
            "{expr}: {:?}",
            ReadyExpr::compile(expr)
        );
    }
}

#[test]
fn ready_expressions_see_both_objects() {
    let expr = ReadyExpr::compile(
        "dep.metadata.labels['v'] == self.metadata.labels['v'] && dep.metadata.generation + 1 == 3",
    )
    .unwrap();
    let this = json!({"metadata": {"labels": {"v": "1"}}});
    let dep = json!({"metadata": {"labels": {"v": "1"}, "generation": 2}});
    assert_eq!(expr.eval(&this, &dep), Ok(true));
    assert_eq!(
        expr.eval(&json!({"metadata": {"labels": {"v": "2"}}}), &dep),
        Ok(false)
    );
    let message = expr.eval(&this, &json!({})).unwrap_err().to_string();
    assert!(message.contains("no such key: metadata"), "{message}");
}
