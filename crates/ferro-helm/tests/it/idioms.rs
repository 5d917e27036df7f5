//! Charts as people write them, made up: helpers, nested `tpl`, values merged and printed, subcharts that are told
//! things through globals. Every rendered file is compared.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ferro_helm::render::{Engine, Environment, Mode, Release, Renderer};
use ferro_helm::values::resolve;
use ferro_helm::{Capabilities, KubeVersion};
use serde_json::{Map, Value as Json, json};

use crate::charts::{Files, load};
use crate::expressions::{Expressions, Kind};
use crate::oracle::{Answer, Oracle, cases};
use crate::random::Random;
use crate::steady;

/// Helpers that the expressions call.
const HELPERS: &str = r#"
{{- define "app.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}{{- .Release.Name -}}{{- else -}}{{- printf "%s-%s" .Release.Name $name -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- define "app.labels" }}
app.kubernetes.io/name: {{ include "app.fullname" . }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
{{- define "app.value" -}}
{{- $value := typeIs "string" .value | ternary .value (.value | toYaml) -}}
{{- if contains "{{" (toJson .value) -}}
{{- if .scope -}}{{- tpl (cat "{{- with $.RelativeScope -}}" $value "{{- end }}") (merge (dict "RelativeScope" .scope) .context) -}}
{{- else -}}{{- tpl $value .context -}}{{- end -}}
{{- else -}}{{- $value -}}{{- end -}}
{{- end -}}
{{- define "app.echo" -}}<{{ . }}>{{- end -}}
{{- define "app.sum" -}}{{ index . 0 }}/{{ last . | default "?" }}{{- end -}}
{{- define "app.yaml" }}
a: {{ .Values.name | quote }}
b: [1, two, {c: {{ .Values.replicas }}}]
d: {{ .Values.nope }}
{{- end }}
"#;

fn word(random: &mut Random) -> Json {
    let words = [
        "web",
        "my-app",
        "a",
        "",
        "Mixed Case",
        "1.2.3",
        "true",
        "10",
        "é-ü",
        "a: b",
        "x,y-z",
        "two\nlines\n",
        "  spaced ",
        "http://host/p",
        "a/b/c.txt",
        "#hash",
        "{{ not closed",
        "2024-01-02",
        "0123",
        "1e3",
        "null",
        "tab\there",
        "some longer text with enough words in it that a line of eighty characters cannot hold all of them",
    ];
    json!(*random.pick(&words))
}

fn scalar(random: &mut Random) -> Json {
    let scalars = [
        json!(1.0),
        json!(0.0),
        json!(80.0),
        json!(1_500_000.0),
        json!(0.25),
        json!(true),
        json!(false),
        json!(null),
    ];
    if random.one_in(2) {
        word(random)
    } else {
        random.pick(&scalars).clone()
    }
}

fn tree(random: &mut Random, depth: usize) -> Json {
    match random.below(if depth == 0 { 2 } else { 5 }) {
        0 | 1 => scalar(random),
        2 => (0..random.below(4)).map(|_| tree(random, depth - 1)).collect(),
        _ => {
            let keys = ["a", "b", "c", "cpu", "memory", "web", "x.y/z", "10", "2", "on"];
            let entries =
                (0..random.below(4)).map(|_| ((*random.pick(&keys)).to_owned(), tree(random, depth - 1)));
            Json::Object(entries.collect())
        }
    }
}

fn object(random: &mut Random, depth: usize) -> Json {
    loop {
        let tree = tree(random, depth);
        if tree.is_object() {
            return tree;
        }
    }
}

fn values(random: &mut Random) -> Json {
    let templates = [
        "{{ .Values.name }}",
        "{{ .Release.Name }}-{{ .Chart.Name }}",
        "plain",
        "{{ tpl .Values.text . }}",
        "{{ include \"app.labels\" . }}",
        "{{- range .Values.args }}{{ . }};{{ end }}",
        "{{ .Values.deep.a.b }}",
    ];
    let mut values = json!({
        "name": word(random),
        "text": word(random),
        "template": *random.pick(&templates),
        "enabled": random.one_in(2),
        "replicas": random.below(5) as f64,
        "ratio": 0.75,
        "big": 12_345_678_901.0,
        "none": null,
        "image": {"repository": "reg/img", "tag": word(random), "pull": random.one_in(2)},
        "args": (0..1 + random.below(3)).map(|_| word(random)).collect::<Vec<_>>(),
        "env": [{"name": "A", "value": word(random)}, {"name": "B", "value": scalar(random)}],
        "labels": {"app": word(random), "tier": "web"},
        "resources": {"limits": {"cpu": "100m", "memory": scalar(random)}},
        "deep": object(random, 3),
        "mixed": (0..random.below(5)).map(|_| tree(random, 2)).collect::<Vec<_>>(),
        "global": {"domain": word(random), "extra": tree(random, 2)},
    });
    if random.one_in(4) {
        values["deep"]["a"] = object(random, 2);
    }
    if random.one_in(4) {
        values["fullnameOverride"] = word(random);
    }
    values
}

struct Writer<'r> {
    make: Expressions<'r>,
    out: String,
    loops: usize,
}

impl Writer<'_> {
    fn action(&mut self, inside: &str) {
        let open = *self.make.random.pick(&["{{ ", "{{ ", "{{- "]);
        let close = *self.make.random.pick(&[" }}", " }}", " -}}"]);
        self.out.push_str(&format!("{open}{inside}{close}"));
    }

    fn pipeline(&mut self, kind: Kind) -> String {
        let depth = 1 + self.make.random.below(3);
        self.make.pipeline(kind, depth)
    }

    fn nodes(&mut self, depth: usize, most: usize) {
        let scope = self.make.variables.len();
        for _ in 0..=self.make.random.below(most) {
            self.node(depth);
        }
        self.make.variables.truncate(scope);
    }

    fn node(&mut self, depth: usize) {
        match self.make.random.below(if depth == 0 { 8 } else { 14 }) {
            0 => {
                let text: &str = self
                    .make
                    .random
                    .pick::<&str>(&["\n", "metadata:\n", "  # note\n", "text "]);
                self.out.push_str(text);
            }
            1..=3 => {
                let key = *self.make.random.pick(&["a: ", "  - ", "key: |-\n  ", "b: "]);
                self.out.push_str(key);
                let inside = self.pipeline(Kind::Text);
                self.action(&inside);
                self.out.push('\n');
            }
            4 | 5 => {
                let inside = self.pipeline(Kind::Any);
                self.action(&inside);
            }
            6 => {
                let name = format!("$v{}", self.make.random.below(3));
                let is_known = self.make.variables.contains(&name);
                let operator = if is_known && self.make.random.one_in(2) {
                    "="
                } else {
                    ":="
                };
                let inside = self.pipeline(Kind::Any);
                self.action(&format!("{name} {operator} {inside}"));
                self.make.variables.push(name);
            }
            7 => {
                let map = self.make.operand(Kind::Map, 1);
                let key = self.make.operand(Kind::Text, 1);
                let value = self.make.operand(Kind::Any, 1);
                self.action(&format!("$_ := set {map} {key} {value}"));
            }
            8..=10 => self.branch(depth),
            _ => self.range(depth),
        }
    }

    fn branch(&mut self, depth: usize) {
        let word = *self.make.random.pick(&["if", "if", "with"]);
        let kind = if word == "if" { Kind::Bool } else { Kind::Any };
        let condition = self.pipeline(kind);
        self.action(&format!("{word} {condition}"));
        if word == "with" {
            self.action("toJson .");
        }
        self.nodes(depth - 1, 3);
        if self.make.random.one_in(3) {
            let condition = self.pipeline(kind);
            self.action(&format!("else {word} {condition}"));
            self.nodes(depth - 1, 2);
        }
        self.otherwise(depth);
    }

    fn otherwise(&mut self, depth: usize) {
        if self.make.random.one_in(2) {
            self.action("else");
            self.nodes(depth - 1, 2);
        }
        self.action("end");
    }

    fn range(&mut self, depth: usize) {
        let scope = self.make.variables.len();
        let kind = *self.make.random.pick(&[Kind::List, Kind::List, Kind::Map]);
        let over = self.pipeline(kind);
        let head = *self.make.random.pick(&["", "$i, $e := ", "$e := "]);
        self.action(&format!("range {head}{over}"));
        if head.contains("$i") {
            self.make.variables.push("$i".to_owned());
        }
        if head.contains("$e") {
            self.make.variables.push("$e".to_owned());
            self.action("$e");
        }
        self.loops += 1;
        self.nodes(depth - 1, 2);
        if self.make.random.one_in(6) {
            let condition = self.pipeline(Kind::Bool);
            let word = *self.make.random.pick(&["break", "continue"]);
            self.action(&format!("if {condition}"));
            self.action(word);
            self.action("end");
        }
        self.loops -= 1;
        self.make.variables.truncate(scope);
        self.otherwise(depth);
    }
}

fn template(random: &mut Random) -> String {
    let make = Expressions {
        random,
        variables: Vec::new(),
    };
    let mut writer = Writer {
        make,
        out: String::new(),
        loops: 0,
    };
    writer.nodes(2, 4);
    writer.out
}

fn chart(random: &mut Random, files: &mut Files, prefix: &str, name: &str) {
    let mut metadata = json!({"apiVersion": "v2", "name": name, "version": "1.2.3+b.4", "appVersion": "2.0"});
    if random.one_in(3) {
        metadata["annotations"] = json!({"category": "x", "images": "- a\n"});
    }
    files.insert(format!("{prefix}Chart.yaml"), metadata.to_string());
    files.insert(format!("{prefix}values.yaml"), values(random).to_string());
    files.insert(format!("{prefix}templates/_helpers.tpl"), HELPERS.to_owned());
    files.insert(format!("{prefix}conf/a.txt"), "one\ntwo\r\n\nlast".to_owned());
    files.insert(format!("{prefix}conf/b.yaml"), "a: 1\nb: [x, 2.5]\n".to_owned());
    for file in ["a.yaml", "b.yaml"] {
        files.insert(format!("{prefix}templates/{file}"), template(random));
    }
}

fn mode(name: &str) -> Mode {
    match name {
        "strict" => Mode::Strict,
        "lint" => Mode::Lint,
        _ => Mode::Normal,
    }
}

fn ours(engine: &Engine, files: &Files, user: &Map<String, Json>, mode: Mode) -> Result<Json, String> {
    let loaded = load(files)?;
    let mut notices = Vec::new();
    let root = resolve(&loaded.chart, user, &mut notices).map_err(|error| error.to_string())?;
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
        mode,
    };
    let renderer = Renderer::new(engine.clone(), loaded.chart);
    let rendered = renderer
        .render(&root, user, &environment, &mut notices)
        .map_err(|error| error.to_string())?;
    let encoded = rendered
        .iter()
        .map(|(name, text)| (name.clone(), json!(BASE64_STANDARD.encode(text.as_bytes()))));
    Ok(Json::Object(encoded.collect()))
}

fn decoded(answer: &Result<Json, String>) -> Result<Vec<(String, String)>, String> {
    let files = answer.clone()?;
    let decode = |text: &Json| BASE64_STANDARD.decode(text.as_str().unwrap_or_default()).unwrap();
    let files = files.as_object().unwrap().iter();
    Ok(files
        .map(|(name, text)| (name.clone(), String::from_utf8_lossy(&decode(text)).into_owned()))
        .collect())
}

#[test]
fn charts_in_the_idioms_of_charts_render_alike() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let engine = steady::engine();
    let mut random = Random::new(43);
    let (mut rendered, mut failed, mut unstable, mut different) = (0, 0, 0, Vec::new());
    for _ in 0..cases() * 2 {
        let mut files = Files::new();
        chart(&mut random, &mut files, "", "root");
        if random.one_in(3) {
            chart(&mut random, &mut files, "charts/sub/", "sub");
        }
        let mut user = Map::new();
        if random.one_in(3) {
            user.insert("name".to_owned(), word(&mut random));
            user.insert("global".to_owned(), object(&mut random, 2));
        }
        let mode_name = *random.pick(&["", "", "", "", "strict", "lint"]);
        let fields =
            json!({"files": files, "values": user, "mode": mode_name, "kubeVersion": "1.34.0", "raw": true});
        let ours = ours(&engine, &files, &user, mode(mode_name));
        let first = oracle.ask("helm.release", fields.clone());
        let theirs = match &first {
            Answer::Output(output) => Ok(output.clone()),
            Answer::Error(error) => Err(error.clone()),
            Answer::Crash => continue,
        };
        if ours == theirs {
            match theirs {
                Ok(_) => rendered += 1,
                Err(_) => failed += 1,
            }
        } else if (0..12).any(|_| oracle.ask("helm.release", fields.clone()) != first) {
            unstable += 1;
        } else {
            let (ours, theirs) = (decoded(&ours), decoded(&theirs));
            different.push(format!("{fields:#}\nours   {ours:?}\ntheirs {theirs:?}"));
        }
    }
    eprintln!("{rendered} rendered and {failed} failed alike, {unstable} without one answer");
    let count = different.len();
    different.sort_by_key(String::len);
    different.truncate(12);
    assert!(different.is_empty(), "{count} differ\n{}", different.join("\n\n"));
}
