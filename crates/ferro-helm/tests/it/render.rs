//! Random charts rendered: scopes, definitions that replace each other, errors as they are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferro_helm::render::{Engine, Environment, Mode, Release, Renderer};
use ferro_helm::values::resolve;
use ferro_helm::{Capabilities, KubeVersion};
use serde_json::{Map, Value as Json, json};

use crate::answer::compare;
use crate::charts::{Files, load, table, write_chart};
use crate::environment::Still;
use crate::oracle::{Answer, Oracle, cases};
use crate::random::Random;

const SNIPPETS: &[&str] = &[
    "a: {{ .Values.a }}\n",
    "{{ toYaml .Values }}\n",
    "{{ .Chart.Name }} {{ .Chart.IsRoot }} {{ .Chart.Version | quote }} {{ .Chart.Nope }}\n",
    "{{ .Template.Name }} {{ .Template.BasePath }}\n",
    "{{ .Release | toJson }} {{ .Release.IsUpgrade }}\n",
    "{{ include \"name\" . }}\n",
    "{{ template \"name\" .Values }}\n",
    "{{ define \"name\" }}[{{ $.Values }}]{{ end }}",
    "{{ define \"name\" }}<{{ typeOf . }}>{{ end }}",
    "{{ define \"name\" }} {{/* nothing */}} {{ end }}",
    "{{ include \"nobody\" . }}\n",
    "{{ required \"need it\" .Values.b }}\n",
    "{{ fail \"on purpose\" }}",
    "{{ tpl \"{{ .Values.c }}-{{ include \\\"name\\\" . }}\" . }}\n",
    "{{ tpl \"{{ .Values.a.b.c.d }}\" . }}\n",
    "{{ tpl \"{{ if }}\" . }}\n",
    "{{ .Values.a.b }}\n",
    "{{ .Values.a.b.c }}\n",
    "{{ .Values.global | toJson }}\n",
    "{{ set .Values \"a\" \"changed\" | keys | sortAlpha }}\n",
    "{{ .Files.Get \"README.md\" }}{{ (.Files.Glob \"**\").AsConfig }}\n",
    "{{ range $name, $_ := .Files }}{{ $name }},{{ end }}{{ .Files.Lines \"README.md\" }}\n",
    "{{ .Capabilities.KubeVersion }} {{ .Capabilities.KubeVersion.Minor }} {{ .Capabilities.APIVersions.Has \"v1\" }}\n",
    "{{ .Capabilities.Nope }}\n",
    "{{ range $name, $sub := .Subcharts }}{{ $name }}={{ $sub.Chart.Name }}:{{ $sub.Values.a }};{{ end }}\n",
    "{{ .Chart.Dependencies | toJson }}\n",
    "{{ .Values.PathValue \"a.b\" }}\n",
    "{{ (.Values.Table \"a\") | toJson }}\n",
    "{{ .Values.enabled | default \"none\" | upper }}\n",
    "{{ printf \"%v %T\" .Values.a .Values }}\n",
    "{{ lookup \"v1\" \"Pod\" \"a\" \"b\" }}\n",
    "{{ atoi \"x\" | int }}{{ index .Values \"a\" }}\n",
    "{{ if eq .Values.a 1 }}one{{ end }}\n",
    "{{ broken",
    "{{ unknown . }}",
    "{{ include \"loop\" . }}{{ define \"loop\" }}{{ if not (hasKey .Values \"stop\") }}x{{ $_ := set .Values \"stop\" 1 }}{{ include \"loop\" . }}{{ end }}{{ end }}\n",
    "{{- range $i, $e := until 3 }}{{ $i }}{{ end -}}\n",
    "{{ $.Values.alpha | toJson }} {{ .Values.beta | toJson }}\n",
];

fn write_templates(random: &mut Random, files: &mut Files) {
    let charts: Vec<String> = files
        .keys()
        .filter_map(|name| name.strip_suffix("Chart.yaml").map(str::to_owned))
        .collect();
    for prefix in charts {
        files.insert(format!("{prefix}README.md"), "one\ntwo\n".to_owned());
        for file in ["a.yaml", "b.yaml", "_helpers.tpl", "NOTES.txt", "deep/c.yaml"] {
            if random.one_in(2) {
                let text: String = (0..1 + random.below(3)).map(|_| *random.pick(SNIPPETS)).collect();
                files.insert(format!("{prefix}templates/{file}"), text);
            }
        }
    }
}

fn ours(engine: &Engine, files: &Files, user: &Map<String, Json>, is_upgrade: bool) -> Result<Json, String> {
    let loaded = load(files)?;
    let mut notices = Vec::new();
    let root = resolve(&loaded.chart, user, &mut notices).map_err(|error| error.to_string())?;
    let environment = Environment {
        release: Release {
            name: "rel".to_owned(),
            namespace: "ns".to_owned(),
            revision: 1,
            is_upgrade,
        },
        capabilities: Capabilities {
            kube_version: KubeVersion::parse("1.33.4-gke.1").unwrap(),
            ..Capabilities::default()
        },
        lookup: None,
        mode: Mode::Normal,
    };
    let renderer = Renderer::new(engine.clone(), loaded.chart);
    let rendered = renderer
        .render(&root, user, &environment, &mut notices)
        .map_err(|error| error.to_string())?;
    let rendered: BTreeMap<_, _> = rendered
        .iter()
        .map(|(name, text)| (name, text.to_string()))
        .collect();
    Ok(json!(rendered))
}

#[test]
fn random_charts_render_alike() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let engine = Engine::new(Arc::new(Still::default()));
    let mut random = Random::new(31);
    let (mut rendered, mut failed) = (0, 0);
    for _ in 0..cases() {
        let mut files = Files::new();
        let depth = random.below(3);
        write_chart(&mut random, &mut files, "", "root", depth);
        write_templates(&mut random, &mut files);
        let user = table(&mut random, 3);
        let is_upgrade = random.one_in(2);
        let fields =
            json!({"files": files, "values": user, "kubeVersion": "1.33.4-gke.1", "isUpgrade": is_upgrade});
        let first = oracle.ask("helm.render", fields.clone());
        if (0..3).any(|_| oracle.ask("helm.render", fields.clone()) != first) {
            continue;
        }
        match first {
            Answer::Output(_) => rendered += 1,
            _ => failed += 1,
        }
        compare(
            &mut oracle,
            "helm.render",
            &fields,
            &ours(&engine, &files, &user, is_upgrade),
        );
    }
    assert!(
        rendered > 20 && failed > 20,
        "{rendered} rendered, {failed} failed"
    );
}

/// What a text renders to as the only template of a chart.
fn rendered(text: &str) -> Result<String, String> {
    let mut files = Files::new();
    files.insert(
        "Chart.yaml".to_owned(),
        "{apiVersion: v2, name: app, version: 1.0.0}".to_owned(),
    );
    files.insert("templates/a.yaml".to_owned(), text.to_owned());
    let engine = Engine::new(Arc::new(Still::default()));
    let rendered = ours(&engine, &files, &Map::new(), false)?;
    Ok(rendered["app/templates/a.yaml"].as_str().unwrap().to_owned())
}

#[test]
fn a_blank_text_within_a_text_renders_to_nothing() {
    let text = r#"{{ tpl "a{{ tpl \"{{/* blank */}}\" . }}b{{ tpl \"\" . }}c" . }}"#;
    assert_eq!(rendered(text).as_deref(), Ok("abc"));
}

#[test]
fn what_functions_get_of_a_version_is_a_copy_without_its_methods() {
    for (text, expected) in [
        ("{{ .Capabilities.KubeVersion }}", "v1.33.4"),
        ("{{ with .Capabilities.KubeVersion }}{{ . }}{{ end }}", "v1.33.4"),
        (
            "{{ default 1 .Capabilities.KubeVersion }}",
            "{v1.33.4-gke.1 v1.33.4 1 33}",
        ),
        (
            "{{ printf \"%s\" .Capabilities.KubeVersion }}",
            "{v1.33.4-gke.1 v1.33.4 1 33}",
        ),
        ("{{ (default 1 .Capabilities.KubeVersion).Minor }}", "33"),
    ] {
        assert_eq!(rendered(text).as_deref(), Ok(expected), "{text}");
    }
    let failed = rendered("{{ (default 1 .Capabilities.KubeVersion).GitVersion }}");
    assert!(failed.is_err_and(|error| error.contains("can't evaluate field GitVersion in type")));
}

#[test]
fn the_build_of_helm_has_the_names_of_its_tags_in_json() {
    let version = Capabilities::default().helm_version;
    let expected = format!(
        r#"{{"version":"{}","go_version":"{}","kube_client_version":"{}"}}"#,
        version.version, version.go_version, version.kube_client_version
    );
    assert_eq!(rendered("{{ toJson .Capabilities.HelmVersion }}"), Ok(expected));
}
