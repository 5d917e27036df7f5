//! What the specification says was seen in upstream's engine, by its sections: G the language, H the functions, I the
//! formats, J assignments. Each is also asked of upstream again.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ferro_helm::render::{Environment, Mode, Release, Renderer};
use ferro_helm::strvals::{Grammar, parse_into};
use ferro_helm::values::resolve;
use ferro_helm::{Capabilities, KubeVersion};
use serde_json::{Map, json};

use crate::charts::{Files, load};
use crate::oracle::{Answer, Oracle};
use crate::steady;

/// A template with what it renders to, or a part of its error.
type Probe = (&'static str, Result<&'static str, &'static str>);

const VALUES: &str =
    "{num: 3, f: 1.5, big: 1000000, s: abc, m: {a: 1, none: null}, l: [a, b], t: true, e: ''}";

fn files(template: &str) -> Files {
    let mut files = Files::new();
    files.insert(
        "Chart.yaml".to_owned(),
        "{apiVersion: v2, name: app, version: 1.0.0}".to_owned(),
    );
    files.insert("values.yaml".to_owned(), VALUES.to_owned());
    files.insert("templates/a.yaml".to_owned(), template.to_owned());
    files
}

fn ours(template: &str) -> Result<String, String> {
    let chart = load(&files(template)).unwrap().chart;
    let environment = Environment {
        release: Release {
            name: "rel".to_owned(),
            namespace: "ns1".to_owned(),
            revision: 1,
            is_upgrade: false,
        },
        capabilities: Capabilities {
            kube_version: KubeVersion::parse("1.34.0").unwrap(),
            ..Capabilities::default()
        },
        lookup: None,
        mode: Mode::Normal,
    };
    let root = resolve(&chart, &Map::new(), &mut Vec::new()).unwrap();
    let renderer = Renderer::new(steady::engine(), chart);
    let rendered = renderer.render(&root, &Map::new(), &environment, &mut Vec::new());
    rendered
        .map(|files| files["app/templates/a.yaml"].to_string())
        .map_err(|error| error.to_string())
}

fn theirs(oracle: &mut Oracle, template: &str) -> Option<Result<String, String>> {
    let fields = json!({"files": files(template), "values": {}, "kubeVersion": "1.34.0", "raw": true});
    match oracle.ask("helm.release", fields) {
        Answer::Output(output) => {
            let text = BASE64_STANDARD
                .decode(output["app/templates/a.yaml"].as_str().unwrap())
                .unwrap();
            Some(Ok(String::from_utf8(text).unwrap()))
        }
        Answer::Error(error) => Some(Err(error)),
        Answer::Crash => None,
    }
}

fn check(probes: &[Probe]) {
    let mut oracle = Oracle::start();
    let mut differences = Vec::new();
    for (template, expected) in probes {
        let ours = ours(template);
        let is_expected = match (&ours, expected) {
            (Ok(output), Ok(expected)) => output == expected,
            (Err(error), Err(part)) => error.contains(part),
            _ => false,
        };
        if !is_expected {
            differences.push(format!("{template}: {ours:?} is not {expected:?}"));
        }
        let theirs = oracle.as_mut().and_then(|oracle| theirs(oracle, template));
        if theirs.as_ref().is_some_and(|theirs| *theirs != ours) {
            differences.push(format!("{template}: {ours:?}, but upstream {theirs:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn g1_lexing() {
    check(&[
        ("a {{-3}} b", Ok("a -3 b")),
        ("a {{- 3 -}} b", Ok("a3b")),
        ("{{/* c */}}{{- /* c */ -}} x", Ok("x")),
        ("{{ /* c */ }}", Err("unexpected \"/\" in command")),
        ("{{/* c }}", Err("unclosed comment")),
        ("{{/* c */ x}}", Err("comment ends before closing delimiter")),
        (
            "{{ 'a' }} {{ 0x1F }} {{ 0b11 }} {{ 0o17 }} {{ 017 }} {{ 1_000 }} {{ 1e3 }} {{ 0x1p4 }} {{ .5 }}",
            Ok("97 31 3 15 15 1000 1000 16 0.5"),
        ),
        (
            "{{ \"str\".foo }}",
            Err("unexpected . after term \"\\\"str\\\"\""),
        ),
        ("{{ nil }}", Err("nil is not a command")),
        ("{{ \"a\nb\" }}", Err("unterminated quoted string")),
        ("{{\n  .Values.s\n}}", Ok("abc")),
        ("{{ 99999999999999999999 }}", Err("\"99999999999999999999\"")),
    ]);
}

#[test]
fn g2_grammar() {
    check(&[
        ("{{ if true }}", Err("unexpected EOF")),
        ("{{ end }}", Err("unexpected {{end}}")),
        ("{{ $x }}", Err("undefined variable \"$x\"")),
        ("{{ nothing }}", Err("function \"nothing\" not defined")),
        ("{{ break }}", Err("{{break}} outside {{range}}")),
        ("{{ if }}{{ end }}", Err("missing value for if")),
        ("{{ 1 | 2 }}", Err("non executable command in pipeline stage 2")),
        (
            "{{ define \"x\" }}1{{ end }}{{ define \"x\" }}2{{ end }}{{ define \"x\" }} {{ end }}{{ include \"x\" . }}",
            Err("multiple definition of template \"x\""),
        ),
        ("{{ block \"b\" 1 }}<{{ . }}>{{ end }}", Ok("<1>")),
    ]);
}

#[test]
fn g3_variables_and_scope() {
    check(&[
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", Ok("2")),
        (
            "{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ end }}{{ $x }}",
            Ok("1"),
        ),
        (
            "{{ $x := 1 }}{{ range .Values.l }}{{ $x = . }}{{ end }}{{ $x }}",
            Ok("b"),
        ),
        (
            "{{ define \"d\" }}[{{ . }}{{ $ }}]{{ end }}{{ template \"d\" }}{{ template \"d\" 1 }}",
            Ok("[][11]"),
        ),
    ]);
}

#[test]
fn g4_fields_of_what_is_not_there() {
    check(&[
        ("[{{ .Values.nope }}]", Ok("[]")),
        (
            "{{ .Values.nope.foo }}",
            Err("nil pointer evaluating interface {}.foo"),
        ),
        ("[{{ (.Values.nope).foo }}]", Ok("[]")),
        (
            "{{ .Values.m.none.y }}",
            Err("nil pointer evaluating interface {}.y"),
        ),
        (
            "{{ .Values.s.foo }}",
            Err("can't evaluate field foo in type interface {}"),
        ),
        (
            "{{ .Capabilities.Foo }}",
            Err("can't evaluate field Foo in type interface {}"),
        ),
        ("{{ .Values.s 1 }}", Err("s is not a method but has arguments")),
        ("[{{ .Chart.Foo }}]", Ok("[]")),
    ]);
}

#[test]
fn g5_truth_range_and_control() {
    check(&[
        (
            "{{ if or 0 \"\" (list) (dict) nil false 0.0 }}t{{ else }}f{{ end }}",
            Ok("f"),
        ),
        (
            "{{ range .Values.num }}{{ end }}",
            Err("range can't iterate over 3"),
        ),
        (
            "{{ range .Values.s }}{{ end }}",
            Err("range can't iterate over abc"),
        ),
        (
            "{{ range $i := 3 }}{{ $i }}{{ end }}{{ range until (int .Values.num) }}{{ . }}{{ end }}",
            Ok("012012"),
        ),
        (
            "{{ range $i, $e := 3 }}{{ end }}",
            Err("can't use 3 to iterate over more than one variable"),
        ),
        ("{{ range .Values.nope }}x{{ else }}none{{ end }}", Ok("none")),
        (
            "{{ or .Values.s (fail \"not evaluated\") }}{{ and .Values.e (fail \"nor this\") }}",
            Ok("abc"),
        ),
        ("{{ and 1 \"x\" }} {{ or 0 \"y\" }} {{ not 1 }}", Ok("x y false")),
    ]);
}

#[test]
fn g6_builtins() {
    check(&[
        (
            "{{ eq 1 2 1 }} {{ eq 1.5 .Values.f }} {{ eq .Values.nope nil }}",
            Ok("true true true"),
        ),
        (
            "{{ eq .Values.num 3 }}",
            Err("incompatible types for comparison: float64 and int"),
        ),
        (
            "{{ eq \"a\" 1 }}",
            Err("incompatible types for comparison: string and int"),
        ),
        ("{{ eq (int .Values.num) 3 }}", Ok("true")),
        ("{{ eq (list 1) (list 1) }}", Err("non-comparable type")),
        ("{{ lt true false }}", Err("invalid type for comparison")),
        ("{{ len \"héé\" }} {{ len .Values.l }}", Ok("5 2")),
        ("{{ len 3 }}", Err("len of type int")),
        ("[{{ index .Values.m \"zz\" }}]", Ok("[]")),
        ("{{ index .Values.l 5 }}", Err("index out of range: 5")),
        ("{{ index .Values.nope 1 }}", Err("index of untyped nil")),
        ("{{ index \"abc\" 1 }}", Ok("98")),
        (
            "{{ index .Values.l \"a\" }}",
            Err("cannot index slice/array with type string"),
        ),
        ("{{ index 1 1 }}", Err("can't index item of type int")),
        (
            "{{ index .Values.m 1 }}",
            Err("value has type int; should be string"),
        ),
        (
            "{{ html \"<a href='x'>&\\\"\" }}",
            Ok("&lt;a href=&#39;x&#39;&gt;&amp;&#34;"),
        ),
        (
            "{{ js \"<'\\\"&=>\" }}",
            Ok("\\u003C\\'\\\"\\u0026\\u003D\\u003E"),
        ),
        ("{{ urlquery \"a b&c\" }}", Ok("a+b%26c")),
        ("{{ print \"a\" 1 2 \"b\" }}|{{ print 1 2 }}", Ok("a1 2b|1 2")),
        (
            "{{ call 5 }}",
            Err("error calling call: non-function 5 of type int"),
        ),
    ]);
}

#[test]
fn g6_arguments() {
    check(&[
        ("{{ upper 5 }}", Err("expected string; found 5")),
        ("{{ until \"x\" }}", Err("expected integer; found \"x\"")),
        (
            "{{ keys \"x\" }}",
            Err("can't handle \"x\" for arg of type map[string]interface {}"),
        ),
        (
            "{{ upper (add 1 2) }}",
            Err("wrong type for value; expected string; got int64"),
        ),
        (
            "{{ upper .Values.nope }}",
            Err("wrong type for value; expected string; got interface {}"),
        ),
        ("{{ upper nil }}", Err("cannot assign nil to string")),
        (
            "{{ until .Values.num }}",
            Err("wrong type for value; expected int; got float64"),
        ),
        ("{{ until 3.0 }} {{ trunc 1.0 \"abc\" }}", Ok("[0 1 2] a")),
        (
            "{{ upper \"a\" \"b\" }}",
            Err("wrong number of args for upper: want 1 got 2"),
        ),
        ("{{ dig }}", Err("dig needs at least three arguments")),
    ]);
}

#[test]
fn g6_error_positions() {
    check(&[
        (
            "x\n  {{ .Values.m.none.b.c }}",
            Err(
                "app/templates/a.yaml:2:12\n  executing \"app/templates/a.yaml\" at <.Values.m.none.b.c>:\n    nil pointer evaluating interface {}.b",
            ),
        ),
        ("{{ $x := .Values }}{{ $x.m.none.y }}", Err("<$x.m.none.y>")),
        (
            "{{ index   .Values.l  9 }}",
            Err(
                "template: app/templates/a.yaml:1:3: executing \"app/templates/a.yaml\" at <index .Values.l 9>: error calling index: index out of range: 9",
            ),
        ),
        ("{{ upper .Values.num }}", Err("at <.Values.num>:")),
        ("{{ upper \"a\" \"b\" }}", Err("at <upper>:")),
        ("{{ .Values.s | trunc \"x\" }}", Err("at <\"x\">:")),
        (
            "{{ template \"nobody\" . }}",
            Err("template \"nobody\" not defined"),
        ),
        (
            "{{ required \"why not\" .Values.nope }}",
            Err("execution error at (app/templates/a.yaml:1:3): why not"),
        ),
        (
            "{{ fail \"stop\" }}",
            Err("execution error at (app/templates/a.yaml:1:3): stop"),
        ),
        ("{{ tpl \"{{ .x.y.z }}\" . }}", Err("gotpl:1:5")),
        (
            "{{ tpl \"{{ if }}\" . }}",
            Err("cannot parse template \"{{ if }}\""),
        ),
    ]);
}

#[test]
fn g7_value_printing() {
    check(&[
        (
            "{{ range list 100000.0 123456.0 999999.0 1000000.0 1234567.0 12345678.9 123456789.0 1e20 1e21 0.0001 0.00001 3.0 1.10 -0.0 }}{{ . }} {{ end }}",
            Ok(
                "100000 123456 999999 1e+06 1.234567e+06 1.23456789e+07 1.23456789e+08 1e+20 1e+21 0.0001 1e-05 3 1.1 -0 ",
            ),
        ),
        (
            "{{ .Values.big }} {{ .Values.big | quote }} {{ toString .Values.big }} {{ toYaml .Values.big }} {{ toJson .Values.big }}",
            Ok("1e+06 \"1e+06\" 1e+06 1000000 1000000"),
        ),
        (
            "{{ .Values.m }} {{ .Values.l }} {{ list nil }}",
            Ok("map[a:1] [a b] [<nil>]"),
        ),
        (
            "{{ printf \"%d %s %d\" .Values.num 1 \"x\" }}",
            Ok("%!d(float64=3) %!s(int=1) %!d(string=x)"),
        ),
        (
            "{{ printf \"%d\" }}|{{ printf \"a\" 1 }}|{{ printf \"%\" }}|{{ printf \"%[5]d\" 1 }}",
            Ok("%!d(MISSING)|a%!(EXTRA int=1)|%!(NOVERB)|%!d(BADINDEX)"),
        ),
        (
            "{{ printf \"%#v %T\" (dict \"a\" \"x\") (list) }}",
            Ok("map[string]interface {}{\"a\":\"x\"} []interface {}"),
        ),
        (
            "{{ printf \"%s\" (list \"a\" 1) }} {{ printf \"%.0f %.2f %05d|%-4s|%+d|%x\" 2.5 1.005 42 \"a\" 3 \"hi\" }}",
            Ok("[a %!s(int=1)] 2 1.00 00042|a   |+3|6869"),
        ),
    ]);
}

#[test]
fn g8_no_value() {
    check(&[
        ("[{{ .Values.nope }}][<no value>]", Ok("[][]")),
        (
            "{{ define \"d\" }}{{ .Values.nope }}{{ end }}{{ include \"d\" . | quote }} {{ include \"d\" . | len }}",
            Ok("\"\" 10"),
        ),
    ]);
}

#[test]
fn h_numbers_and_merging() {
    check(&[
        (
            "{{ int64 \"0x1f\" }} {{ int64 \"010\" }} {{ int64 \"08\" }} {{ int64 \"1.9\" }} {{ int64 \" 5\" }} {{ int64 1e20 }}",
            Ok("31 8 0 0 0 -9223372036854775808"),
        ),
        ("{{ env \"HOME\" }}", Err("function \"env\" not defined")),
        (
            "{{ hello }} {{ duration 95 }} {{ duration \"95\" }} {{ durationRound \"2h10m5s\" }} {{ durationRound \"2400h10m5s\" }}",
            Ok("Hello! 0s 1m35s 2h 3mo"),
        ),
        ("{{ merge (dict \"b\" 0) (dict \"b\" 3) }}", Ok("map[b:3]")),
        (
            "{{ mergeOverwrite (dict \"b\" 5) (dict \"b\" nil) }}",
            Ok("map[b:<nil>]"),
        ),
        (
            "{{ mergeOverwrite (dict \"m\" (dict \"a\" 1)) (dict \"m\" (dict)) }}",
            Ok("map[m:map[a:1]]"),
        ),
        (
            "{{ $a := dict \"x\" (dict \"y\" 1) }}{{ $b := merge (dict) $a }}{{ $_ := set $b.x \"z\" 2 }}{{ $a }}",
            Ok("map[x:map[y:1 z:2]]"),
        ),
        (
            "{{ dig \"a\" \"b\" \"d\" .Values.m }}",
            Err("interface conversion: interface {} is float64, not map[string]interface {}"),
        ),
        ("{{ first \"abc\" }}", Err("Cannot find first on type string")),
        (
            "{{ regexFindAll \"(\" \"a\" 1 }}",
            Err("error parsing regexp: missing closing ): `(`"),
        ),
        (
            "{{ regexReplaceAll \"a(x*)b\" \"-ab-axxb-\" \"$1W\" }} {{ regexReplaceAll \"a(x*)b\" \"-ab-axxb-\" \"${1}W\" }}",
            Ok("--- -W-xxW-"),
        ),
        (
            "{{ seq 0 }}|{{ seq -3 }}|{{ seq 2 5 }}|{{ seq 1 2 6 }}|{{ seq 5 1 1 }}",
            Ok("1 0|1 0 -1 -2 -3|2 3 4 5|1 3 5|"),
        ),
        (
            "{{ snakecase \"HTTPServerName\" }} {{ camelcase \"http_server-name\" }} {{ kebabcase \"HTTPServer\" }}",
            Ok("http_server_name HttpServerName http-server"),
        ),
    ]);
}

#[test]
fn h1_from_yaml_errors() {
    check(&[
        (
            "{{ fromYaml \"[a\" }}",
            Ok("map[Error:error converting YAML to JSON: yaml: line 1: did not find expected ',' or ']']"),
        ),
        (
            "{{ fromYaml \"[a]\" }}",
            Ok(
                "map[Error:error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}]",
            ),
        ),
        (
            "{{ fromYamlArray \"a: 1\" }}",
            Ok(
                "[error unmarshaling JSON: while decoding JSON: json: cannot unmarshal object into Go value of type []interface {}]",
            ),
        ),
    ]);
}

#[test]
fn i1_reading_yaml() {
    check(&[
        (
            "{{ fromYaml \"a: [y, Yes, ON, no, Off, ~, null]\" | toJson }}",
            Ok("{\"a\":[true,true,true,false,false,null,null]}"),
        ),
        (
            "{{ fromYaml \"yes: 1\\n2: b\\n\" | toJson }}",
            Ok("{\"2\":\"b\",\"true\":1}"),
        ),
        (
            "{{ fromYaml \"a: [+1, 1_000, 0777, 0o17, 0x1F, 0b11, 08, .5, 1., 1e3, 1:30, 2020-01-01]\" | toJson }}",
            Ok("{\"a\":[1,1000,511,15,31,3,8,0.5,1,1000,\"1:30\",\"2020-01-01\"]}"),
        ),
        (
            "{{ fromYaml \"a: .inf\" }}",
            Ok("map[Error:error converting YAML to JSON: json: unsupported value: +Inf]"),
        ),
        (
            "{{ fromYaml \"a: 1\\na: 2\\nb: &x {c: 1}\\nd: {<<: *x}\" | toJson }}",
            Ok("{\"a\":2,\"b\":{\"c\":1},\"d\":{\"c\":1}}"),
        ),
    ]);
}

#[test]
fn i2_to_yaml() {
    check(&[
        (
            "{{ toYaml (dict \"z\" 0 \"aB\" 0 \"a10\" 0 \"a2\" 0 \"a.b\" 0 \"a-b\" 0 \"A\" 0 \"10\" 0 \"2\" 0 \"1\" 0 \"_x\" 0) }}",
            Ok("_x: 0\n\"1\": 0\n\"2\": 0\n\"10\": 0\nA: 0\na-b: 0\na.b: 0\na2: 0\na10: 0\naB: 0\nz: 0"),
        ),
        (
            "{{ toYaml (dict \"k\" (list \"a\" (list 1) (dict \"x\" 1 \"y\" 2)) \"m\" (dict) \"l\" (list) \"n\" nil) }}",
            Ok("k:\n- a\n- - 1\n- x: 1\n  \"y\": 2\nl: []\nm: {}\n\"n\": null"),
        ),
        (
            "{{ toYaml (list 1234567.0 12345678.9 0.000001 1e20 true) }}",
            Ok("- 1234567\n- 1.23456789e+07\n- 1e-06\n- 1e+20\n- true"),
        ),
        (
            "{{ toYaml (list \"true\" \"y\" \"1e3\" \"\" \"0o7\" \"1:30\" \"2020-01-01\" \"a: b\" \"#a\" \"- a\" \" \" \"a\\tb\" \"=\" \"a'b\" \"😀\") }}",
            Ok(
                "- \"true\"\n- \"y\"\n- \"1e3\"\n- \"\"\n- \"0o7\"\n- \"1:30\"\n- \"2020-01-01\"\n- 'a: b'\n- '#a'\n- '- a'\n- ' '\n- \"a\\tb\"\n- =\n- a'b\n- \"\\U0001F600\"",
            ),
        ),
        (
            "{{ toYaml (list \"a\\nb\" \"a\\nb\\n\" \"a\\n\\n\" \"\\na\" \"x  \\ny\") }}",
            Ok("- |-\n  a\n  b\n- |\n  a\n  b\n- |+\n  a\n\n- |2-\n\n  a\n- \"x  \\ny\""),
        ),
        (
            "{{ toYaml (dict \"k\" (repeat 20 \"word \")) }}",
            Ok(
                "k: 'word word word word word word word word word word word word word word word word\n  word word word word '",
            ),
        ),
    ]);
}

#[test]
fn i3_to_i5_other_formats() {
    check(&[
        (
            "{{ toYamlPretty (dict \"l\" (list 1) \"n\" \"y\" \"f\" 1e6) }}",
            Ok("f: 1e+06\nl:\n  - 1\n\"n\": \"y\""),
        ),
        (
            "{{ toJson (dict \"b\" \"<&>\" \"a\" 1e21 \"c\" 0.0000001 \"d\" 1.0) }}",
            Ok("{\"a\":1e+21,\"b\":\"\\u003c\\u0026\\u003e\",\"c\":1e-7,\"d\":1}"),
        ),
        ("{{ toRawJson (list \"<&>\") }}", Ok("[\"<&>\"]")),
        (
            "{{ toToml (dict \"b\" (dict \"c\" 1) \"a\" 1.0 \"n\" nil \"l\" (list 1 2)) }}",
            Ok("a = 1.0\nl = [1, 2]\n\n[b]\n  c = 1\n"),
        ),
        (
            "{{ typeOf (fromToml \"a = 1\").a }} {{ typeOf (fromToml \"a = 1.0\").a }} {{ typeOf (fromToml \"a = 2020-01-01\").a }}",
            Ok("int64 float64 time.Time"),
        ),
    ]);
}

#[test]
fn j1_assignments() {
    let table = [
        ("a=1", json!({"a": 1})),
        ("a=0", json!({"a": 0})),
        ("a=-5", json!({"a": -5})),
        ("a=null", json!({"a": null})),
        ("a=", json!({"a": ""})),
        ("a[2]=x", json!({"a": [null, null, "x"]})),
        ("a={1,b,true}", json!({"a": [1, "b", true]})),
        ("=x", json!({})),
        (".a=1", json!({})),
        (
            "a=1.5,b=1e3,c=0x1,d=1_000,e=01",
            json!({"a": "1.5", "b": "1e3", "c": "0x1", "d": "1_000", "e": "01"}),
        ),
        ("a=9223372036854775808", json!({"a": "9223372036854775808"})),
        ("a=true,b=TRUE", json!({"a": true, "b": true})),
        ("a=nul,b=~,c=\"q\"", json!({"a": "nul", "b": "~", "c": "\"q\""})),
        ("a=1,", json!({"a": 1})),
        ("a[0][1]=q", json!({"a": [[null, "q"]]})),
        ("a=x\\,y", json!({"a": "x,y"})),
        ("a={}", json!({"a": [""]})),
        ("a\\.b=1", json!({"a.b": 1})),
        ("a=b=c", json!({"a": "b=c"})),
    ];
    for (text, expected) in table {
        let mut values = Map::new();
        parse_into(&mut values, text, Grammar::Typed).unwrap();
        assert_eq!(json!(values), expected, "{text}");
    }
    let errors = [
        ("a", "key \"a\" has no value"),
        ("a,b=1", "key \"a\" has no value (cannot end with ,)"),
        ("a.=1", "key map \"a\" has no value"),
        ("a={1", "list must terminate with '}'"),
        ("a[-1]=1", "negative -1 index not allowed"),
        (
            "a[70000]=1",
            "index of 70000 is greater than maximum supported index of 65536",
        ),
        ("a[x]=1", "error parsing index: strconv.Atoi"),
    ];
    for (text, expected) in errors {
        let error = parse_into(&mut Map::new(), text, Grammar::Typed)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let mut values = json!({"a": "s"}).as_object().unwrap().clone();
    let error = parse_into(&mut values, "a.b=1", Grammar::Typed)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "unable to parse key: interface conversion: interface {} is string, not map[string]interface {}"
    );
    let mut values = Map::new();
    parse_into(&mut values, "a=null", Grammar::Strings).unwrap();
    assert_eq!(json!(values), json!({"a": "null"}));
}

#[test]
fn j5_versions() {
    check(&[
        (
            "{{ semver \"v1.2\" }} {{ (semver \"v1.2\").Original }}",
            Ok("1.2.0 v1.2"),
        ),
        (
            "{{ semverCompare \">1.2\" \"1.2.5\" }} {{ semverCompare \"<=1.2\" \"1.2.5\" }} {{ semverCompare \"!=1.2\" \"1.2.5\" }} {{ semverCompare \"=1.2\" \"1.2.5\" }}",
            Ok("false true false true"),
        ),
        (
            "{{ semverCompare \"^0.0.3\" \"0.0.4\" }} {{ semverCompare \"~1\" \"1.9.0\" }} {{ semverCompare \"1.2 - 2.3\" \"2.3.9\" }}",
            Ok("false true true"),
        ),
        (
            "{{ semverCompare \">=1.19\" \"1.33.4-gke.1\" }} {{ semverCompare \">=1.19-0\" \"1.33.4-gke.1\" }}",
            Ok("false true"),
        ),
        ("{{ semver \"1.2.3.4\" }}", Err("invalid semantic version")),
        (
            "{{ semverCompare \"bad!\" \"1\" }}",
            Err("improper constraint: \"bad!\""),
        ),
    ]);
}
