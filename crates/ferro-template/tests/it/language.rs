//! What the language does, by examples that the original is asked about, too, when it is there.

use std::sync::Arc;

use ferro_template::{Error, ErrorKind, Function, Functions, MissingKey, Options, Templates, Type, Value};
use serde_json::{Value as Json, json};

use crate::functions::functions;
use crate::oracle::{Answer, Oracle};
use crate::typed::{self, text};

fn sample() -> Json {
    json!({"t": "map[string]any", "m": {
        "name": text("world"),
        "n": {"t": "float64", "v": "3"},
        "i": {"t": "int", "v": "2"},
        "half": {"t": "float64", "v": "1.5"},
        "null": {"t": "nil"},
        "list": {"t": "[]any", "l": [text("a"), text("b")]},
        "map": {"t": "map[string]any", "m": {"k": text("v"), "a": {"t": "int", "v": "1"}}},
        "ints": {"t": "map[int]any", "m": {"10": text("ten"), "9": text("nine")}},
        "thing": {"t": "*thing", "v": typed::encode(b"T")},
    }})
}

fn render_with(missing_key: MissingKey, template: &str) -> Result<String, String> {
    let options = Options {
        missing_key,
        ..Options::default()
    };
    let mut templates = Templates::new("root", Arc::new(functions())).with_options(options);
    let execute = |templates: &mut Templates| -> Result<String, Error> {
        templates.parse("t", template)?;
        let data = typed::value(&sample());
        Ok(templates.execute("t", &data, &())?.to_string())
    };
    execute(&mut templates).map_err(|error| error.to_string())
}

fn check(cases: &[(&str, &str)]) {
    let mut oracle = Oracle::start();
    for (template, expected) in cases {
        let ours = render_with(MissingKey::Zero, template);
        assert_eq!(ours.as_deref(), Ok(*expected), "{template}");
        assert_eq!(
            original(oracle.as_mut(), template).unwrap_or_else(|| ours.clone()),
            ours,
            "{template}"
        );
    }
}

/// The errors without their common beginning.
fn check_errors(cases: &[(&str, &str)]) {
    let mut oracle = Oracle::start();
    for (template, expected) in cases {
        let ours = render_with(MissingKey::Zero, template);
        let error = ours.clone().expect_err(template);
        assert_eq!(
            error.strip_prefix("template: t:").unwrap_or(&error),
            *expected,
            "{template}"
        );
        assert_eq!(
            original(oracle.as_mut(), template).unwrap_or_else(|| ours.clone()),
            ours,
            "{template}"
        );
    }
}

/// What Go says, if it can be asked.
fn original(oracle: Option<&mut Oracle>, template: &str) -> Option<Result<String, String>> {
    let question = json!({
        "templates": [{"name": "t", "text": typed::encode(template.as_bytes())}],
        "execute": "t",
        "data": sample(),
        "missingkey": "zero",
    });
    Some(match oracle?.ask("template", question) {
        Answer::Output(output) => {
            Ok(String::from_utf8(typed::decode(output.as_str().unwrap_or(""))).unwrap())
        }
        Answer::Error(error) => Err(error),
        Answer::Crash => panic!("the original crashes on {template}"),
    })
}

#[test]
fn delimiters_trim_and_comments_vanish() {
    check(&[
        ("a {{- 1 -}} b", "a1b"),
        ("{{-3}}", "-3"),
        ("a {{-3}}", "a -3"),
        ("a \n\t{{- /* c */ -}}\r\n b", "ab"),
        ("{{/* a\n b */}}x", "x"),
        ("{{ \"a\" }}\n{{- \"b\" }}", "ab"),
        ("{{1\n}}", "1"),
    ]);
    check_errors(&[
        ("{{ /* c */ }}", "1: unexpected \"/\" in command"),
        ("{{/* c", "1: unclosed comment"),
        ("{{/* c */ }}", "1: comment ends before closing delimiter"),
    ]);
}

#[test]
fn literals_are_those_of_go() {
    check(&[
        ("{{0x1F}} {{0b11}} {{0o17}} {{017}} {{1_000}}", "31 3 15 15 1000"),
        ("{{1.5}} {{1e3}} {{0x1p4}} {{.5}} {{3.0}}", "1.5 1000 16 0.5 3"),
        ("{{1i}} {{1+2i}} {{'a'}} {{'\\n'}}", "(0+1i) (1+2i) 97 10"),
        ("{{`a\\n`}}{{\"\\u00e9\\t\"}}{{true}}", "a\\né\ttrue"),
        (
            "{{printf \"%T %T %T %T\" 1 1.0 'a' 1i}}",
            "int float64 int complex128",
        ),
    ]);
    check_errors(&[
        (
            "{{9223372036854775808}}",
            "1:2: executing \"t\" at <9223372036854775808>: 9223372036854775808 overflows int",
        ),
        (
            "{{18446744073709551616}}",
            "1: integer overflow: \"18446744073709551616\"",
        ),
        ("{{08}}", "1: integer overflow: \"08\""),
        ("{{1_}}", "1: illegal number syntax: \"1_\""),
        ("{{1x}}", "1: bad number syntax: \"1x\""),
        ("{{'ab'}}", "1: malformed character constant: 'ab'"),
        ("{{\"a}}", "1: unterminated quoted string"),
        ("{{`a}}", "1: unterminated raw quoted string"),
        ("{{nil}}", "1:2: executing \"t\" at <nil>: nil is not a command"),
        ("{{\"a\".b}}", "1: unexpected . after term \"\\\"a\\\"\""),
    ]);
}

#[test]
fn variables_live_to_the_end_of_their_structure() {
    check(&[
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ("{{$x := 1}}{{if true}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21"),
        ("{{with $x := .name}}{{$x}}{{end}}", "world"),
        ("{{range $i, $e := .list}}{{$i}}={{$e}};{{end}}", "0=a;1=b;"),
        ("{{range $e := .map}}{{$e}};{{end}}", "1;v;"),
        (
            "{{$i := 0}}{{$e := 0}}{{range $i, $e = .list}}{{end}}{{$i}}{{$e}}",
            "1b",
        ),
        (
            "{{define \"d\"}}{{$}}{{.}}{{end}}{{template \"d\" 3}}{{template \"d\"}}",
            "33<no value><no value>",
        ),
    ]);
    check_errors(&[
        ("{{$x}}", "1: undefined variable \"$x\""),
        (
            "{{$x = 1}}",
            "1:7: executing \"t\" at <1>: undefined variable: $x",
        ),
        (
            "{{if true}}{{$x := 1}}{{end}}{{$x}}",
            "1: undefined variable \"$x\"",
        ),
        ("{{$x, $y := 1}}", "1: too many declarations in command"),
        (
            "{{and false ($x := 1)}}{{$x}}",
            "1:25: executing \"t\" at <$x>: undefined variable: $x",
        ),
    ]);
}

#[test]
fn fields_of_what_is_not_there() {
    check(&[
        ("{{.nope}}{{.null}}", "<no value><no value>"),
        ("{{(.nope).foo}}", "<no value>"),
        ("{{$x := .nope}}{{$x.foo}}", "<no value>"),
        (
            "{{len .map}}{{.map.k}}{{.thing.Name}}{{.thing.Hello}}",
            "2vThello T",
        ),
        (
            "{{.thing.Greet \"x\"}}{{\"y\" | .thing.Greet}}",
            "T greets xT greets y",
        ),
    ]);
    check_errors(&[
        (
            "{{.nope.foo}}",
            "1:7: executing \"t\" at <.nope.foo>: nil pointer evaluating interface {}.foo",
        ),
        (
            "{{.null.foo.bar}}",
            "1:7: executing \"t\" at <.null.foo.bar>: nil pointer evaluating interface {}.foo",
        ),
        (
            "{{.name.foo}}",
            "1:7: executing \"t\" at <.name.foo>: can't evaluate field foo in type interface {}",
        ),
        (
            "{{(.name).foo}}",
            "1:3: executing \"t\" at <.name>: can't evaluate field foo in type string",
        ),
        (
            "{{$x := .list}}{{$x.foo}}",
            "1:19: executing \"t\" at <$x.foo>: can't evaluate field foo in type []interface {}",
        ),
        (
            "{{.thing.hidden}}",
            "1:8: executing \"t\" at <.thing.hidden>: hidden is an unexported field of struct type interface {}",
        ),
        (
            "{{.thing.Nope}}",
            "1:8: executing \"t\" at <.thing.Nope>: can't evaluate field Nope in type interface {}",
        ),
        (
            "{{.map.k 1}}",
            "1:6: executing \"t\" at <.map.k>: k is not a method but has arguments",
        ),
        (
            "{{.thing.Name 1}}",
            "1:8: executing \"t\" at <.thing.Name>: Name has arguments but cannot be invoked as function",
        ),
        (
            "{{. 1}}",
            "1:2: executing \"t\" at <.>: can't give argument to non-function .",
        ),
        (
            "{{.thing.Fail \"bad\"}}",
            "1:8: executing \"t\" at <.thing.Fail>: error calling Fail: bad",
        ),
    ]);
    assert_eq!(
        render_with(MissingKey::Invalid, "{{.nope.foo}}").as_deref(),
        Ok("<no value>")
    );
    let strict = [
        ("{{.nope}}", "map has no entry for key \"nope\""),
        ("{{(.null).foo}}", "nil data; no entry for key \"foo\""),
    ];
    for (template, expected) in strict {
        assert!(
            render_with(MissingKey::Error, template)
                .unwrap_err()
                .ends_with(expected),
            "{template}"
        );
    }
}

#[test]
fn control_structures() {
    check(&[
        ("{{if .nope}}a{{else if .i}}b{{else}}c{{end}}", "b"),
        ("{{with .nope}}a{{else with .i}}{{.}}{{end}}", "2"),
        ("{{range .nope}}a{{else}}none{{end}}", "none"),
        ("{{range 3}}{{.}}{{end}}{{range 0}}{{else}}none{{end}}", "012none"),
        ("{{range $k, $v := .map}}{{$k}}={{$v}} {{end}}", "a=1 k=v "),
        ("{{range $k, $v := .ints}}{{$k}}={{$v}} {{end}}", "9=nine 10=ten "),
        (
            "{{range .list}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}",
            "a",
        ),
        (
            "{{range .list}}{{if eq . \"a\"}}{{continue}}{{end}}{{.}}{{end}}",
            "b",
        ),
        (
            "{{range 2}}{{range $.nope}}{{else}}x{{break}}y{{end}}z{{end}}",
            "xzxz",
        ),
        (
            "{{range 2}}{{range $.nope}}{{else}}x{{continue}}y{{end}}z{{end}}",
            "xx",
        ),
        ("{{block \"b\" .name}}[{{.}}]{{end}}", "[world]"),
        (
            "{{define \"a\"}}1{{end}}{{define \"a\"}} {{end}}{{template \"a\"}}",
            "1",
        ),
    ]);
    check_errors(&[
        (
            "{{range .half}}{{end}}",
            "1:8: executing \"t\" at <.half>: range can't iterate over 1.5",
        ),
        (
            "{{range .name}}{{end}}",
            "1:8: executing \"t\" at <.name>: range can't iterate over world",
        ),
        (
            "{{range $i, $e := 3}}{{end}}",
            "1:18: executing \"t\" at <3>: can't use 3 to iterate over more than one variable",
        ),
        ("{{break}}", "1: {{break}} outside {{range}}"),
        (
            "{{range 1}}{{define \"x\"}}{{end}}{{end}}",
            "1: unexpected <define> in command",
        ),
        ("{{if 1}}", "1: unexpected EOF"),
        ("{{if}}{{end}}", "1: missing value for if"),
        ("{{end}}", "1: unexpected {{end}}"),
        ("{{else}}", "1: unexpected {{else}}"),
        (
            "{{template \"no\"}}",
            "1:11: executing \"t\" at <{{template \"no\"}}>: template \"no\" not defined",
        ),
        ("{{1 | 2}}", "1: non executable command in pipeline stage 2"),
        (
            "{{define \"a\"}}1{{end}}{{define \"a\"}}2{{end}}",
            "1: template: multiple definition of template \"a\"",
        ),
        ("a\n{{ if }}\nb", "2: missing value for if"),
        ("{{ \"a\n", "1: unterminated quoted string"),
        ("{{ 1\n\n", "3: unclosed action started at t:1"),
    ]);
}

#[test]
fn and_or_stop_early_and_return_operands() {
    check(&[
        ("{{and 1 0 (fail \"never\")}} {{or 0 2 (fail \"never\")}}", "0 2"),
        (
            "{{and 1 .name}} {{or .nope .name}} {{not .nope}}",
            "world world true",
        ),
        ("{{.name | and 1}} {{.name | or 0}}", "world world"),
    ]);
    check_errors(&[(
        "{{and 1 (fail \"now\")}}",
        "1:9: executing \"t\" at <fail \"now\">: error calling fail: now",
    )]);
}

#[test]
fn comparisons_depend_on_types() {
    check(&[
        (
            "{{eq 1 2 1}} {{eq (wantUint 3) 3}} {{eq .n 3.0}} {{ne \"a\" \"b\"}}",
            "true true true true",
        ),
        (
            "{{eq .nope nil}} {{eq .nope 1}} {{eq .null .nope}} {{eq .map nil}}",
            "true false true false",
        ),
        (
            "{{lt 1 2}} {{le 2 2}} {{gt 1.5 2.5}} {{ge \"b\" \"a\"}}",
            "true true false true",
        ),
    ]);
    check_errors(&[
        (
            "{{if eq .n 3}}{{end}}",
            "1:5: executing \"t\" at <eq .n 3>: error calling eq: incompatible types for comparison: float64 and int",
        ),
        (
            "{{eq 1 \"a\"}}",
            "1:2: executing \"t\" at <eq 1 \"a\">: error calling eq: incompatible types for comparison: int and string",
        ),
        (
            "{{lt true false}}",
            "1:2: executing \"t\" at <lt true false>: error calling lt: invalid type for comparison",
        ),
        (
            "{{eq .list .list}}",
            "1:2: executing \"t\" at <eq .list .list>: error calling eq: non-comparable type [a b]: []interface {}",
        ),
        (
            "{{eq 1}}",
            "1:2: executing \"t\" at <eq 1>: error calling eq: missing argument for comparison",
        ),
    ]);
}

#[test]
fn index_slice_len() {
    check(&[
        (
            "{{index .list 1}} {{index .map \"k\"}} {{index .map \"no\"}} {{index \"abc\" 0}}",
            "b v <no value> 97",
        ),
        (
            "{{len \"héé\"}} {{len .list}} {{slice \"abc\" 1 2}} {{slice .list 1}}",
            "5 2 b [b]",
        ),
        ("{{index .ints 9}} {{index .map}}", "nine map[a:1 k:v]"),
    ]);
    check_errors(&[
        (
            "{{index .list 5}}",
            "1:2: executing \"t\" at <index .list 5>: error calling index: index out of range: 5",
        ),
        (
            "{{index .list 2}}",
            "1:2: executing \"t\" at <index .list 2>: error calling index: reflect: slice index out of range",
        ),
        (
            "{{index .list \"a\"}}",
            "1:2: executing \"t\" at <index .list \"a\">: error calling index: cannot index slice/array with type string",
        ),
        (
            "{{index .nope 1}}",
            "1:2: executing \"t\" at <index .nope 1>: error calling index: index of untyped nil",
        ),
        (
            "{{index 1 1}}",
            "1:2: executing \"t\" at <index 1 1>: error calling index: can't index item of type int",
        ),
        (
            "{{index .map 1}}",
            "1:2: executing \"t\" at <index .map 1>: error calling index: value has type int; should be string",
        ),
        (
            "{{len 3}}",
            "1:2: executing \"t\" at <len 3>: error calling len: len of type int",
        ),
        (
            "{{len .nope}}",
            "1:2: executing \"t\" at <len .nope>: error calling len: len of nil pointer",
        ),
        (
            "{{slice .list .i}}",
            "1:2: executing \"t\" at <slice .list .i>: error calling slice: cannot index slice/array with type interface {}",
        ),
        (
            "{{call .i}}",
            "1:2: executing \"t\" at <call .i>: error calling call: non-function .i of type int",
        ),
        (
            "{{call nil}}",
            "1:2: executing \"t\" at <call nil>: error calling call: call of nil",
        ),
    ]);
}

#[test]
fn arguments_are_checked_against_parameters() {
    check(&[
        (
            "{{wantInt 3.0}} {{wantFloat 3}} {{wantUint 'a'}} {{wantInt8 1e1}}",
            "4 1.5 97 10",
        ),
        (
            "{{wantAny nil}} {{wantAny .nope}} {{wantMap nil}} {{wantList (list 1 2)}}",
            "<nil> <nil> map[string]interface {}/0 2",
        ),
        ("{{wantMany \"a\" 1 2}} {{3 | wantMany \"b\" 2}}", "a[1 2] b[2 3]"),
    ]);
    check_errors(&[
        (
            "{{wantString 5}}",
            "1:13: executing \"t\" at <5>: expected string; found 5",
        ),
        (
            "{{wantInt \"x\"}}",
            "1:10: executing \"t\" at <\"x\">: expected integer; found \"x\"",
        ),
        (
            "{{wantMap \"x\"}}",
            "1:10: executing \"t\" at <\"x\">: can't handle \"x\" for arg of type map[string]interface {}",
        ),
        (
            "{{wantString .i}}",
            "1:13: executing \"t\" at <.i>: wrong type for value; expected string; got int",
        ),
        (
            "{{wantString .nope}}",
            "1:13: executing \"t\" at <.nope>: wrong type for value; expected string; got interface {}",
        ),
        (
            "{{wantString nil}}",
            "1:13: executing \"t\" at <nil>: cannot assign nil to string",
        ),
        (
            "{{.nope | wantString}}",
            "1:10: executing \"t\" at <wantString>: invalid value; expected string",
        ),
        (
            "{{wantInt .n}}",
            "1:10: executing \"t\" at <.n>: wrong type for value; expected int; got float64",
        ),
        (
            "{{wantString \"a\" \"b\"}}",
            "1:2: executing \"t\" at <wantString>: wrong number of args for wantString: want 1 got 2",
        ),
        (
            "{{wantMany}}",
            "1:2: executing \"t\" at <wantMany>: wrong number of args for wantMany: want at least 1 got 0",
        ),
        ("{{noSuch 1}}", "1: function \"noSuch\" not defined"),
    ]);
}

#[test]
fn escapers() {
    check(&[
        (
            "{{html \"<a href='x'>&\\\"\\x00\"}}",
            "&lt;a href=&#39;x&#39;&gt;&amp;&#34;\u{FFFD}",
        ),
        (
            "{{js \"<'a'>\\\\\\n=&é\\u200b\"}}",
            "\\u003C\\'a\\'\\u003E\\\\\\u000A\\u003D\\u0026é\\u200B",
        ),
        (
            "{{urlquery \"a b/é?\"}} {{urlquery .nope}}",
            "a+b%2F%C3%A9%3F %3Cno+value%3E",
        ),
    ]);
}

#[test]
fn errors_of_nested_templates_are_chained() {
    let mut templates = Templates::new("root", Arc::new(functions()));
    templates.parse("inner", "\n {{ fail \"boom\" }}").unwrap();
    templates.parse("outer", "{{include \"inner\" .}}").unwrap();
    let error = templates.execute("outer", &Value::Nil, &()).unwrap_err();
    let texts: Vec<(ErrorKind, String)> = error
        .chain()
        .map(|link| (link.kind(), link.to_string()))
        .collect();
    let inner = "template: inner:2:4: executing \"inner\" at <fail \"boom\">: error calling fail: boom";
    let outer = "template: outer:1:2: executing \"outer\" at <include \"inner\" .>: error calling include: ";
    assert_eq!(
        texts,
        [
            (ErrorKind::Exec, format!("{outer}{inner}")),
            (ErrorKind::Exec, inner.to_owned()),
            (ErrorKind::Plain, "boom".to_owned()),
        ]
    );
    let missing = templates
        .execute("none", &Value::Nil, &())
        .unwrap_err()
        .to_string();
    assert_eq!(
        missing,
        "template: no template \"none\" associated with template \"root\""
    );
}

#[test]
fn children_add_templates_without_changing_the_set() {
    let mut functions = Functions::builtins();
    let tpl = Function::new(&[&Type::String], &Type::String, |call, args| {
        let mut child = call.templates().child();
        child.parse("text", args[0].as_text().unwrap().as_bytes())?;
        call.execute_in(
            &child,
            "text",
            &Value::from(call.state::<String>().unwrap().as_str()),
        )
        .map(Value::Str)
    });
    functions.insert("tpl", tpl);
    let mut templates = Templates::new("root", Arc::new(functions));
    templates.parse("known", "known").unwrap();
    let text = "{{tpl \"{{define `new`}}<{{.}}>{{end}}{{template `new` .}}{{template `known`}}\"}}";
    templates.parse("main", text).unwrap();
    let output = templates
        .execute("main", &Value::Nil, &"state".to_owned())
        .unwrap();
    assert_eq!(output, *"<state>known");
    assert!(!templates.contains("new"));
}

#[test]
fn delimiters_can_be_others() {
    let mut templates = Templates::new("root", Arc::new(Functions::builtins())).with_delims("<<", ">>");
    templates.parse("t", "{{1}} << 2 -\n>> <</* c */>>").unwrap_err();
    templates.parse("t", "{{1}} << 2 ->> \n x<</* c */>>").unwrap();
    assert_eq!(templates.execute("t", &Value::Nil, &()).unwrap(), *"{{1}} 2x");
}

#[test]
fn what_cannot_be_indexed_is_told_by_its_own_type() {
    let month = typed::value(&json!({"t": "month", "v": "3"}));
    for (call, what) in [("index . 1", "index"), ("slice . 1", "slice")] {
        let mut templates = Templates::new("t", Arc::new(Functions::builtins()));
        templates.parse("t", format!("{{{{{call}}}}}")).unwrap();
        let error = templates.execute("t", &month, &()).unwrap_err().to_string();
        let expected = format!("can't {what} item of type time.Month");
        assert!(error.ends_with(&expected), "{error}");
    }
}

#[test]
fn what_pointers_lead_to_cannot_be_indexed() {
    check_errors(&[
        (
            "{{index .thing 1}}",
            "1:2: executing \"t\" at <index .thing 1>: error calling index: can't index item of type main.thing",
        ),
        (
            "{{slice .thing}}",
            "1:2: executing \"t\" at <slice .thing>: error calling slice: can't slice item of type main.thing",
        ),
        (
            "{{len .thing}}",
            "1:2: executing \"t\" at <len .thing>: error calling len: len of type main.thing",
        ),
    ]);
}

#[test]
fn precisions_may_be_large() {
    check(&[
        ("{{printf \"%.70000U\" 65 | len}}", "70002"),
        ("{{printf \"%70000.66000d\" 65 | len}}", "70000"),
        ("{{printf \"%.70000f\" 1.5 | len}}", "70002"),
        (
            "{{printf \"%.70000e\" 1.5 | len}} {{printf \"%.70000x\" 1.5 | len}}",
            "70006 70008",
        ),
    ]);
}
