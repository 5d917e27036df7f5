//! Times the rendering of a template in the manner of charts: `render-speed [ROUNDS]`.
//!
//! With `FERRO_ORACLE` set, Go's engine renders the same template over the same data, and the outputs are
//! compared.

use std::sync::Arc;
use std::time::Instant;

use ferro_template::{Error, Function, Functions, Map, MissingKey, Options, Templates, Type, Value};

#[allow(
    dead_code,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "the client is written for tests"
)]
#[path = "../../../tests/conformance/oracle.rs"]
mod oracle;

const HELPERS: &str = r#"
{{- define "name" -}}{{ printf "%s-%s" .Release.Name (or .Values.nameOverride .Chart.Name) }}{{- end -}}
{{- define "labels" -}}
app.kubernetes.io/name: {{ include "name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- range $key, $value := .Values.labels }}
{{ $key }}: {{ printf "%q" $value }}
{{- end }}
{{- end -}}
"#;

const DEPLOYMENT: &str = r#"
{{- $root := . -}}
{{- range $index, $component := .Values.components }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "name" $root }}-{{ $component.name }}
  labels: {{ include "labels" $root }}
spec:
  {{- if not $component.autoscaling }}
  replicas: {{ $component.replicas }}
  {{- end }}
  template:
    spec:
      {{- with $component.serviceAccount }}
      serviceAccountName: {{ . }}
      {{- end }}
      containers:
        - name: {{ $component.name }}
          image: "{{ $root.Values.image.registry }}/{{ $component.image }}:{{ or $component.tag $root.Chart.AppVersion }}"
          {{- if and $component.args (gt (len $component.args) 0) }}
          args:
            {{- range $component.args }}
            - {{ printf "%q" . }}
            {{- end }}
          {{- end }}
          env:
            {{- range $name, $value := $component.env }}
            - name: {{ $name }}
              value: {{ printf "%q" $value }}
            {{- end }}
          {{- if eq $component.kind "web" }}
          ports:
            {{- range $component.ports }}
            - containerPort: {{ . }}
            {{- end }}
          {{- else if eq $component.kind "worker" }}
          command: ["worker", {{ index $component.args 0 | printf "%q" }}]
          {{- end }}
{{- end }}
"#;

fn functions() -> Functions {
    let mut functions = Functions::builtins();
    let include = Function::new(
        &[&Type::String, &Type::Any],
        &Type::String,
        |call, args| match args {
            [Value::Str(name), data] => call.execute(&name.to_str(), data).map(Value::Str),
            _ => Ok(Value::Nil),
        },
    );
    functions.insert("include", include);
    functions
}

/// The data as JSON of the oracle's typed values; ours is made of the same.
fn data() -> serde_json::Value {
    use base64::Engine;
    use serde_json::json;
    let text =
        |text: &str| json!({"t": "string", "v": base64::engine::general_purpose::STANDARD.encode(text)});
    let int = |number: i64| json!({"t": "float64", "v": number.to_string()});
    let map = |entries: serde_json::Value| json!({"t": "map[string]any", "m": entries});
    let list = |items: Vec<serde_json::Value>| json!({"t": "[]any", "l": items});
    let component = |number: i64| {
        map(json!({
            "name": text(&format!("component-{number}")),
            "kind": text(if number % 2 == 0 { "web" } else { "worker" }),
            "replicas": int(number),
            "image": text("example/component"),
            "serviceAccount": text(if number % 3 == 0 { "" } else { "runner" }),
            "args": list(vec![text("--verbose"), text("--listen=:8080"), text("--config=/etc/c.yaml")]),
            "env": map(json!({"LOG_LEVEL": text("info"), "REGION": text("eu"), "TOKEN": text("a \"quoted\" one")})),
            "ports": list(vec![int(8080), int(9090)]),
        }))
    };
    map(json!({
        "Release": map(json!({"Name": text("demo"), "Service": text("Helm")})),
        "Chart": map(json!({"Name": text("chart"), "AppVersion": text("1.2.3")})),
        "Values": map(json!({
            "image": map(json!({"registry": text("registry.example")})),
            "labels": map(json!({"team": text("a"), "tier": text("backend")})),
            "components": list((0..10).map(component).collect()),
        })),
    }))
}

fn value(data: &serde_json::Value) -> Value {
    use base64::Engine;
    match data["t"].as_str() {
        Some("string") => {
            let text = data["v"].as_str().unwrap_or("");
            Value::str(
                base64::engine::general_purpose::STANDARD
                    .decode(text)
                    .unwrap_or_default(),
            )
        }
        Some("float64") => Value::Float(
            data["v"]
                .as_str()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0.0),
        ),
        Some("[]any") => Value::list(data["l"].as_array().into_iter().flatten().map(value).collect()),
        _ => {
            let entries = data["m"].as_object().into_iter().flatten();
            Value::Map(Map::from_iter(
                entries.map(|(key, item)| (key.as_str(), value(item))),
            ))
        }
    }
}

#[allow(clippy::print_stdout, reason = "it is a program")]
fn main() -> Result<(), Error> {
    let rounds: u32 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(2000);
    let options = Options {
        missing_key: MissingKey::Zero,
        ..Options::default()
    };
    let mut templates = Templates::new("root", Arc::new(functions())).with_options(options);
    templates.parse("helpers", HELPERS)?;
    templates.parse("deployment", DEPLOYMENT)?;
    let data = data();
    let values = value(&data);
    let output = templates.execute("deployment", &values, &())?;
    let start = Instant::now();
    for _ in 0..rounds {
        templates.execute("deployment", &values, &())?;
    }
    let ours = start.elapsed() / rounds;
    println!("ferro-template: {ours:?} for {} bytes", output.len());
    compare(&data, rounds, &output);
    Ok(())
}

#[allow(clippy::print_stdout, reason = "it is a program")]
fn compare(data: &serde_json::Value, rounds: u32, output: &ferro_template::Text) {
    use base64::Engine;
    let encode = |text: &[u8]| base64::engine::general_purpose::STANDARD.encode(text);
    let Some(mut oracle) = oracle::Oracle::start() else {
        return;
    };
    let question = serde_json::json!({
        "templates": [
            {"name": "helpers", "text": encode(HELPERS.as_bytes())},
            {"name": "deployment", "text": encode(DEPLOYMENT.as_bytes())},
        ],
        "execute": "deployment",
        "data": data,
        "missingkey": "zero",
        "rounds": rounds,
    });
    let same =
        oracle.ask("template", question.clone()) == oracle::Answer::Output(encode(output.as_bytes()).into());
    println!("same output as text/template: {same}");
    if let oracle::Answer::Output(nanos) = oracle.ask("template.time", question) {
        println!("text/template: {nanos} ns");
    }
}
