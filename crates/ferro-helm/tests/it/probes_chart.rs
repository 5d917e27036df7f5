//! What the specification says about charts, values and renders, its part E, by its sections. Each is also asked of upstream.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ferro_helm::render::{Environment, Mode, Release, Renderer};
use ferro_helm::values::resolve;
use ferro_helm::{Capabilities, KubeVersion};
use serde_json::{Map, Value as Json, json};

use crate::charts::{Files, load};
use crate::oracle::{Answer, Oracle};
use crate::steady;

/// Files beside a usual `Chart.yaml`, values, and what the files render to or a part of the error.
struct Probe<'p> {
    files: &'p [(&'p str, &'p str)],
    values: Json,
    expected: Result<&'p [(&'p str, &'p str)], &'p str>,
}

const CHART: &str = "{apiVersion: v2, name: app, version: 1.0.0}";
const SUB: &str = "{apiVersion: v2, name: sub, version: 1.2.3}";

fn files(probe: &Probe<'_>) -> Files {
    let mut files = Files::from([("Chart.yaml".to_owned(), CHART.to_owned())]);
    files.extend(
        probe
            .files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned())),
    );
    files
}

type Rendered = Result<Map<String, Json>, String>;

fn ours(files: &Files, values: &Json) -> Rendered {
    let chart = load(files)?.chart;
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
    let values = values.as_object().unwrap();
    let root = resolve(&chart, values, &mut Vec::new())
        .map_err(|error| format!("chart dependencies processing failed: {error}"))?;
    let rendered =
        Renderer::new(steady::engine(), chart).render(&root, values, &environment, &mut Vec::new());
    let files = rendered.map_err(|error| error.to_string())?;
    Ok(files
        .into_iter()
        .map(|(name, text)| (name, json!(text.to_string())))
        .collect())
}

fn theirs(oracle: &mut Oracle, files: &Files, values: &Json) -> Option<Rendered> {
    let fields = json!({"files": files, "values": values, "kubeVersion": "1.34.0", "raw": true});
    match oracle.ask("helm.release", fields) {
        Answer::Output(output) => {
            let text = |text: &Json| BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap();
            let files = output.as_object().unwrap().iter();
            Some(Ok(files
                .map(|(name, content)| (name.clone(), json!(String::from_utf8(text(content)).unwrap())))
                .collect()))
        }
        Answer::Error(error) => Some(Err(error)),
        Answer::Crash => None,
    }
}

fn check(probes: &[Probe<'_>]) {
    let mut oracle = Oracle::start();
    let mut differences = Vec::new();
    for probe in probes {
        let files = files(probe);
        let ours = ours(&files, &probe.values);
        let is_expected = match (&ours, probe.expected) {
            (Ok(rendered), Ok(expected)) => expected
                .iter()
                .all(|(name, text)| rendered.get(*name) == Some(&json!(text))),
            (Err(error), Err(part)) => error.contains(part),
            _ => false,
        };
        if !is_expected {
            differences.push(format!("{files:?}: {ours:?} is not {:?}", probe.expected));
        }
        let theirs = oracle
            .as_mut()
            .and_then(|oracle| theirs(oracle, &files, &probe.values));
        if theirs.as_ref().is_some_and(|theirs| *theirs != ours) {
            differences.push(format!("{files:?}: {ours:?}, but upstream {theirs:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// A chart that cannot be loaded.
fn refused<'p>(files: &'p [(&'p str, &'p str)], error: &'p str) -> Probe<'p> {
    Probe {
        files,
        values: json!({}),
        expected: Err(error),
    }
}

/// A chart whose first template is at `templates/a.yaml`.
fn rendered<'p>(
    files: &'p [(&'p str, &'p str)],
    values: Json,
    expected: &'p [(&'p str, &'p str)],
) -> Probe<'p> {
    Probe {
        files,
        values,
        expected: Ok(expected),
    }
}

const A: &str = "app/templates/a.yaml";
const SUB_A: &str = "app/charts/sub/templates/a.yaml";

#[test]
fn e1_charts_that_are_refused() {
    check(&[
        refused(&[("Chart.yaml", "[")], "cannot load Chart.yaml"),
        refused(&[("values.yaml", "a: [")], "cannot load values.yaml"),
        refused(
            &[("Chart.yaml", "{apiVersion: v2, version: 1.0.0}")],
            "chart.metadata.name is required",
        ),
        refused(
            &[("Chart.yaml", "{apiVersion: v2, name: a}")],
            "chart.metadata.version is required",
        ),
        refused(
            &[("Chart.yaml", "{apiVersion: v2, name: a/b, version: 1.0.0}")],
            "chart.metadata.name \"a/b\" is invalid",
        ),
        refused(
            &[("Chart.yaml", "{apiVersion: v2, name: .., version: 1.0.0}")],
            "chart.metadata.name \"..\" is not allowed",
        ),
        refused(
            &[("Chart.yaml", "{apiVersion: v2, name: a, version: x}")],
            "chart.metadata.version \"x\" is invalid",
        ),
        refused(
            &[(
                "Chart.yaml",
                "{apiVersion: v2, name: a, version: 1.0.0, type: other}",
            )],
            "chart.metadata.type must be application or library",
        ),
        refused(
            &[(
                "Chart.yaml",
                "{apiVersion: v2, name: a, version: 1.0.0, dependencies: [{name: b, alias: 'x y'}]}",
            )],
            "dependency \"b\" has disallowed characters in the alias",
        ),
        refused(
            &[(
                "Chart.yaml",
                "{apiVersion: v2, name: a, version: 1.0.0, dependencies: [{name: b}, {name: c, alias: b}]}",
            )],
            "more than one dependency with name or alias \"b\"",
        ),
        refused(
            &[("charts/sub/values.yaml", "a: 1")],
            "error unpacking subchart sub in app",
        ),
    ]);
}

#[test]
fn e1_where_files_go() {
    check(&[
        rendered(
            &[
                (
                    "templates/a.yaml",
                    "{{ range $name, $_ := .Files }}{{ $name }} {{ end }}{{ .Chart.APIVersion }}",
                ),
                ("Chart.yaml", "{name: app, version: 1.0.0}"),
                ("crds/c.yaml", "c"),
                ("README.md", "r"),
                ("values.schema.json", "{}"),
                ("charts/x.prov", "p"),
                ("requirements.yaml", "dependencies: []"),
            ],
            json!({}),
            &[(A, "README.md charts/x.prov crds/c.yaml requirements.yaml v1")],
        ),
        rendered(
            &[
                (
                    "templates/a.yaml",
                    "{{ .Chart.Description }}|{{ .Files.Get \"requirements.yaml\" }}|{{ toJson .Values }}",
                ),
                (
                    "Chart.yaml",
                    "{apiVersion: v2, name: app, version: 1.0.0, description: \"a\\tb\\u00a0c\\u0007d\"}",
                ),
                ("values.yaml", "a: {b: 1}\n---\na: {c: 2}\n"),
                ("charts/_hidden/Chart.yaml", "not a chart"),
            ],
            json!({}),
            &[(A, "a b cd||{\"a\":{\"b\":1,\"c\":2}}")],
        ),
    ]);
}

fn with_dependency(dependency: &str) -> String {
    format!("{{apiVersion: v2, name: app, version: 1.0.0, dependencies: [{dependency}]}}")
}

#[test]
fn e3_conditions_tags_and_aliases() {
    let chart = with_dependency("{name: sub, version: ^1, condition: 'sub.enabled,other', tags: [t, u]}");
    let alias =
        with_dependency("{name: sub, version: '*', alias: one}, {name: sub, version: '*', alias: two}");
    let old = with_dependency("{name: sub, version: ^2}");
    let template = "{{ range .Chart.Dependencies }}{{ .Name }} {{ end }}{{ .Subcharts | keys | sortAlpha }}";
    let files = |chart| {
        [
            ("Chart.yaml", chart),
            ("templates/a.yaml", template),
            ("charts/sub/Chart.yaml", SUB),
            ("charts/sub/templates/a.yaml", "{{ .Chart.Name }}"),
        ]
    };
    let there: &[_] = &[(A, "sub [sub]"), (SUB_A, "sub")];
    let gone: &[_] = &[(A, "[]")];
    let files_of_one = files(&chart);
    let tagged = |values, expected| rendered(&files_of_one, values, expected);
    check(&[
        tagged(json!({}), there),
        tagged(json!({"sub": {"enabled": false}}), gone),
        tagged(json!({"sub": {"enabled": "no"}, "other": false}), gone),
        tagged(json!({"tags": {"t": false}}), gone),
        tagged(json!({"tags": {"t": false, "u": true}}), there),
        tagged(json!({"tags": {"t": false}, "sub": {"enabled": true}}), there),
        tagged(json!({"tags": {"t": "false"}}), there),
        rendered(
            &files(&alias),
            json!({}),
            &[
                (A, "one two [one two]"),
                ("app/charts/one/templates/a.yaml", "one"),
                ("app/charts/two/templates/a.yaml", "two"),
            ],
        ),
        // A subchart that nobody lists, for its version does not fit, stays.
        rendered(&files(&old), json!({}), there),
    ]);
}

#[test]
fn e3_imported_values() {
    let chart = with_dependency(
        "{name: sub, version: '*', import-values: [data, none, {child: deep.er, parent: mine.too}]}",
    );
    check(&[rendered(
        &[
            ("Chart.yaml", &chart),
            ("values.yaml", "{mine: {own: 1}, q: parent}"),
            (
                "templates/a.yaml",
                "{{ omit .Values \"sub\" | toJson }} {{ (index .Chart.Dependencies 0).ImportValues | toJson }}",
            ),
            ("charts/sub/Chart.yaml", SUB),
            (
                "charts/sub/values.yaml",
                "{exports: {data: {q: child, r: 2}}, deep: {er: {x: 3}}}",
            ),
        ],
        json!({}),
        &[(
            A,
            "{\"mine\":{\"own\":1,\"too\":{\"x\":3}},\"q\":\"parent\",\"r\":2} \
             [{\"child\":\"exports.data\",\"parent\":\".\"},{\"child\":\"exports.none\",\"parent\":\".\"},{\"child\":\"deep.er\",\"parent\":\"mine.too\"}]",
        )],
    )]);
}

#[test]
fn e4_coalescing() {
    let own: &[_] = &[
        (
            "values.yaml",
            "{a: 1, t: {x: 1, w: 2, o: null}, s: text, o: null, l: [1, null]}",
        ),
        ("templates/a.yaml", "{{ toJson .Values }}"),
    ];
    let both: &[_] = &[
        ("values.yaml", "{global: {g: {a: 1}}, sub: {x: 2, gone: null}}"),
        ("templates/a.yaml", "{{ toJson .Values }}"),
        ("charts/sub/Chart.yaml", SUB),
        (
            "charts/sub/values.yaml",
            "{x: 1, gone: 1, kept: 1, global: {g: {a: 0, b: 2}}}",
        ),
        ("charts/sub/templates/a.yaml", "{{ toJson .Values }}"),
    ];
    check(&[
        rendered(
            own,
            json!({}),
            &[(
                A,
                "{\"a\":1,\"l\":[1,null],\"s\":\"text\",\"t\":{\"w\":2,\"x\":1}}",
            )],
        ),
        rendered(
            own,
            json!({"a": null, "t": {"x": null, "z": 3}, "s": {"k": 1}, "l": []}),
            &[(A, "{\"l\":[],\"s\":{\"k\":1},\"t\":{\"w\":2,\"z\":3}}")],
        ),
        rendered(
            own,
            json!({"t": "no table"}),
            &[(A, "{\"a\":1,\"l\":[1,null],\"s\":\"text\",\"t\":\"no table\"}")],
        ),
        rendered(
            both,
            json!({}),
            &[(
                SUB_A,
                "{\"global\":{\"g\":{\"a\":1,\"b\":2}},\"gone\":1,\"kept\":1,\"x\":2}",
            )],
        ),
        rendered(
            both,
            json!({"global": {"g": {"b": 3}}, "sub": {"kept": null}}),
            &[(SUB_A, "{\"global\":{\"g\":{\"a\":1,\"b\":3}},\"x\":2}")],
        ),
        Probe {
            files: both,
            values: json!({"sub": 5.0}),
            expected: Err("type mismatch on sub: %!t("),
        },
    ]);
}

#[test]
fn e5_schemas() {
    let chart: &[_] = &[
        (
            "values.schema.json",
            "{\"properties\": {\"n\": {\"type\": \"number\"}}, \"required\": [\"x\"]}",
        ),
        ("templates/a.yaml", "ok"),
    ];
    let mut oracle = Oracle::start();
    let text = "values don't meet the specifications of the schema(s) in the following chart(s):\napp:\n- at '': missing property 'x'\n- at '/n': got string, want number\n";
    let probe = refused(chart, "");
    let chart = load(&files(&probe)).unwrap().chart;
    let options = ferro_helm::release::ReleaseOptions {
        release: Release {
            name: "rel".to_owned(),
            namespace: "ns1".to_owned(),
            revision: 1,
            is_upgrade: false,
        },
        capabilities: Capabilities::default(),
        lookup: None,
        skip_schema_validation: false,
        sub_notes: false,
    };
    let values = json!({"n": "1"});
    let renderer = Renderer::new(steady::engine(), chart);
    let error =
        ferro_helm::release::render(&renderer, values.as_object().unwrap(), &options, &mut Vec::new())
            .unwrap_err()
            .to_string();
    assert_eq!(error, text);
    if let Some(Err(theirs)) = oracle
        .as_mut()
        .and_then(|oracle| theirs(oracle, &files(&probe), &values))
    {
        assert_eq!(error, theirs);
    }
}

#[test]
fn e6_what_templates_are_given() {
    let file: &[_] = &[("f/x.txt", "one\ntwo\n"), ("f/y.bin", "hi")];
    let probe = |template: &'static str| -> Vec<(&'static str, &'static str)> {
        let mut files = file.to_vec();
        files.push(("values.yaml", "{a: {b: 1}, l: [1]}"));
        files.push(("templates/a.yaml", template));
        files
    };
    let cases = [
        (
            "{{ keys . | sortAlpha | join \" \" }}",
            "Capabilities Chart Files Release Subcharts Template Values",
        ),
        (
            "{{ .Release.Name }} {{ .Release.Namespace }} {{ .Release.IsInstall }} {{ .Release.IsUpgrade }} {{ .Release.Revision }} {{ .Release.Service }}",
            "rel ns1 true false 1 Helm",
        ),
        (
            "{{ .Template.Name }} {{ .Template.BasePath }}",
            "app/templates/a.yaml app/templates",
        ),
        (
            "{{ .Capabilities.KubeVersion }} {{ .Capabilities.KubeVersion.Minor }} {{ .Capabilities.KubeVersion.GitVersion }}",
            "v1.34.0 34 v1.34.0",
        ),
        (
            "{{ .Capabilities.APIVersions.Has \"apps/v1\" }} {{ .Capabilities.APIVersions.Has \"apps/v1/Deployment\" }}",
            "true false",
        ),
        (
            "{{ typeOf .Values }} {{ typeOf .Values.a }} {{ typeOf .Values.l }} {{ typeOf .Template }} {{ typeOf .Release }}",
            "common.Values map[string]interface {} []interface {} common.Values map[string]interface {}",
        ),
        (
            "{{ typeOf .Files }} {{ typeOf .Capabilities }} {{ typeOf .Release.Revision }} {{ typeOf .Values.a.b }}",
            "engine.files *common.Capabilities int float64",
        ),
        (
            "{{ typeIs \"map[string]interface {}\" .Values }} {{ kindIs \"map\" .Values }}",
            "false true",
        ),
        (
            "{{ .Values.PathValue \"a.b\" }} {{ .Values.Table \"a\" }}",
            "1 map[b:1]",
        ),
        (
            "{{ .Files.Get \"f/x.txt\" }}|{{ .Files.Get \"none\" }}|{{ .Files.Lines \"f/x.txt\" }}|{{ .Files.Lines \"none\" }}",
            "one\ntwo\n||[one two]|[]",
        ),
        (
            "{{ (.Files.Glob \"f/*.txt\").AsConfig }}|{{ (.Files.Glob \"f/*\").AsSecrets }}",
            "x.txt: |\n  one\n  two|x.txt: b25lCnR3bwo=\ny.bin: aGk=",
        ),
        (
            "{{ range $name, $bytes := .Files.Glob \"**\" }}{{ $name }} {{ end }}{{ range .Files.Glob \"f/y*\" }}{{ . }} {{ toString . }}{{ end }}",
            "f/x.txt f/y.bin [104 105] hi",
        ),
        (
            "{{ .Chart.Name }} {{ .Chart.IsRoot }} {{ .Chart.Deprecated }} [{{ .Chart.Nothing }}] {{ .Chart.Maintainers }}",
            "app true false [] []",
        ),
        (
            "{{ (deepCopy .Capabilities.KubeVersion).Version }} {{ deepCopy .Capabilities.KubeVersion }}",
            "v1.34.0 {v1.34.0  1 34}",
        ),
        (
            "{{ (deepCopy .).Capabilities.KubeVersion }}|{{ (deepCopy .Capabilities).KubeVersion.GitVersion }}|{{ .Capabilities.KubeVersion }}",
            "v1.34.0|v1.34.0|v1.34.0",
        ),
        ("{{ $_ := set .Values \"late\" 1 }}{{ .Values.late }}", "1"),
    ];
    let files: Vec<_> = cases.iter().map(|(template, _)| probe(template)).collect();
    let expected: Vec<_> = cases.iter().map(|(_, output)| [(A, *output)]).collect();
    let probes: Vec<_> = files
        .iter()
        .zip(&expected)
        .map(|(files, expected)| rendered(files, json!({}), expected))
        .collect();
    check(&probes);
}

#[test]
fn e7_sets_of_templates() {
    check(&[
        // The deepest come first, the last by name before the first; later definitions replace earlier ones.
        rendered(
            &[
                (
                    "templates/a.yaml",
                    "{{ define \"d\" }}a{{ end }}{{ include \"d\" . }}{{ .Values.trace }}",
                ),
                (
                    "templates/b.yaml",
                    "{{ define \"d\" }}b{{ end }}{{ $_ := set .Values \"trace\" \"b was first\" }}",
                ),
                ("templates/c.yaml", "{{ define \"d\" }} {{ end }}"),
                ("charts/sub/Chart.yaml", SUB),
                (
                    "charts/sub/templates/a.yaml",
                    "{{ define \"d\" }}sub{{ end }}{{ include \"d\" . }}",
                ),
                ("templates/_p.tpl", "never rendered"),
                ("templates/x.txt", "{{ 1 }}"),
            ],
            json!({}),
            &[(A, "ab was first"), (SUB_A, "a"), ("app/templates/x.txt", "1")],
        ),
        rendered(
            &[
                (
                    "templates/a.yaml",
                    "{{ tpl \"{{ define `n` }}<{{ .Release.Name }}>{{ end }}{{ include `n` . }}\" . }}{{ tpl \"{{ .Values.none }}\" . | len }}",
                ),
                (
                    "charts/lib/Chart.yaml",
                    "{apiVersion: v2, name: lib, version: 1.0.0, type: library}",
                ),
                ("charts/lib/templates/_h.tpl", "{{ define \"lib.x\" }}x{{ end }}"),
                ("charts/lib/templates/never.yaml", "{{ fail \"never\" }}"),
                (
                    "templates/b.yaml",
                    "{{ include \"lib.x\" . }}{{ lookup \"v1\" \"Secret\" \"ns\" \"s\" }}{{ getHostByName \"localhost\" }}",
                ),
            ],
            json!({}),
            &[(A, "<rel>0"), ("app/templates/b.yaml", "xmap[]")],
        ),
        refused(
            &[(
                "templates/a.yaml",
                "{{ define \"r\" }}{{ include \"r\" . }}{{ end }}{{ include \"r\" . }}",
            )],
            "rendering template has a nested reference name: r: unable to execute template",
        ),
        refused(
            &[("templates/a.yaml", "{{ if }}")],
            "parse error at (app/templates/a.yaml:1): missing value for if",
        ),
        // What nobody calls must be right all the same.
        refused(
            &[(
                "templates/_unused.tpl",
                "{{ define \"u\" }}{{ nothing }}{{ end }}",
            )],
            "parse error at (app/templates/_unused.tpl:1): function \"nothing\" not defined",
        ),
        refused(
            &[
                ("templates/a.yaml", "{{ include \"outer\" . }}"),
                (
                    "templates/_h.tpl",
                    "{{ define \"outer\" }}\n{{ include \"inner\" . }}{{ end }}{{ define \"inner\" }}{{ .Values.x.y }}{{ end }}",
                ),
            ],
            "app/templates/a.yaml:1:3\n  executing \"app/templates/a.yaml\" at <include \"outer\" .>:\n    error calling include:",
        ),
        refused(
            &[
                ("templates/a.yaml", "{{ include \"outer\" . }}"),
                (
                    "templates/_h.tpl",
                    "{{ define \"outer\" }}{{ required \"need it\" .Values.x }}{{ end }}",
                ),
            ],
            "execution error at (app/templates/a.yaml:1:3): need it",
        ),
    ]);
}
