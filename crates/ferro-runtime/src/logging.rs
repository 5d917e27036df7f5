//! Log lines with the keys that upstream's controllers write and `flux logs` reads:
//! `level`, `ts`, `msg`, then the fields of the enclosing spans and of the line itself, of which the line's own win.
//!
//! tracing's fields are flat. One whose name begins with `json.` is a text that holds JSON, and appears as what it holds: `json.output =
//! r#"{"a": 1}"#` is `"output":{"a":1}`.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Registry};

use crate::flags::{LogEncoding, LogLevel};

/// Installs the process-wide logger. A second call changes nothing.
pub fn init(encoding: LogEncoding, level: LogLevel) {
    let filter = match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug,hyper=info,h2=info,rustls=info,tower=info",
        // kube's own warnings about a watch that is opened again are noise to an operator.
        LogLevel::Info => "info,kube_runtime=error,kube_client=error,hyper=error,h2=error",
        LogLevel::Error => "error",
    };
    let filter = std::env::var("RUST_LOG").map_or_else(|_| EnvFilter::new(filter), EnvFilter::new);
    let registry = Registry::default().with(filter);
    // Fails only if a logger is there already, as in tests that start several controllers in one process.
    let _already_set = match encoding {
        LogEncoding::Json => tracing::subscriber::set_global_default(registry.with(JsonLines)),
        LogEncoding::Console => tracing::subscriber::set_global_default(
            registry.with(
                tracing_subscriber::fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_target(false),
            ),
        ),
    };
}

/// Fields recorded on a span, kept until lines inside it are written.
struct SpanFields(Map<String, Value>);

struct JsonLines;

impl<S> Layer<S> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let mut fields = Map::new();
        attributes.record(&mut Fields(&mut fields));
        if let Some(span) = cx.span(id) {
            span.extensions_mut().insert(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        if let Some(span) = cx.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<SpanFields>()
        {
            values.record(&mut Fields(&mut fields.0));
        }
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let mut inherited = Map::new();
        for span in cx
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(fields) = span.extensions().get::<SpanFields>() {
                inherited.extend(fields.0.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
        }
        let mut own = Map::new();
        event.record(&mut Fields(&mut own));
        let now = jiff::Timestamp::now();
        let line = render(*event.metadata().level(), now, inherited, own);
        // A log line that cannot be written has nowhere to be reported.
        let _written = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

/// Puts a line together: upstream's fixed keys first, `controllerKind` turned into the object's own key.
fn render(
    level: Level,
    now: jiff::Timestamp,
    mut inherited: Map<String, Value>,
    mut own: Map<String, Value>,
) -> String {
    let mut line = String::with_capacity(256);
    let level = match level {
        Level::ERROR => "error",
        Level::WARN | Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    let message = own.remove("message").unwrap_or_default();
    let _infallible = write!(line, r#"{{"level":"{level}","ts":"{now:.3}","msg":{message}"#);
    if let (Some(Value::String(kind)), Some(name), Some(namespace)) = (
        inherited.get("controllerKind"),
        inherited.get("name"),
        inherited.get("namespace"),
    ) {
        let object = serde_json::json!({ "name": name, "namespace": namespace });
        inherited.insert(kind.clone(), object);
    }
    inherited.retain(|key, _| !own.contains_key(key));
    let fixed = |key: &str| matches!(key, "level" | "ts" | "msg");
    for (key, value) in inherited.iter().chain(own.iter()).filter(|(key, _)| !fixed(key)) {
        let _infallible = write!(line, ",{}:{value}", Value::String(key.clone()));
    }
    line.push_str("}\n");
    line
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let structured = field
            .name()
            .strip_prefix("json.")
            .and_then(|name| Some((name, serde_json::from_str(value).ok()?)));
        let (name, value) = structured.unwrap_or_else(|| (field.name(), value.into()));
        self.0.insert(name.to_owned(), value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0
            .insert(field.name().to_owned(), format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn render_reconcile_line_has_upstream_keys() {
        let now = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let inherited = serde_json::json!({
            "controller": "kustomization", "controllerKind": "Kustomization", "name": "apps", "namespace": "flux-system"
        });
        let own = serde_json::json!({ "message": "say \"hi\"", "revision": "main@sha1:1" });
        let (Value::Object(inherited), Value::Object(own)) = (inherited, own) else {
            unreachable!()
        };
        let line: Value = serde_json::from_str(&render(Level::INFO, now, inherited, own)).unwrap();
        assert_eq!(line["level"], "info");
        assert_eq!(line["ts"], "2026-01-02T03:04:05.678Z");
        assert_eq!(line["msg"], "say \"hi\"");
        assert_eq!(line["Kustomization"]["name"], "apps");
        assert_eq!(line["revision"], "main@sha1:1");
    }

    #[test]
    fn render_writes_no_key_twice() {
        let now = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let inherited = serde_json::json!({ "name": "apps", "namespace": "flux-system", "level": "x" });
        let own = serde_json::json!({ "message": "m", "name": "other" });
        let (Value::Object(inherited), Value::Object(own)) = (inherited, own) else {
            unreachable!()
        };
        let line = render(Level::INFO, now, inherited, own);
        let expected = r#"{"level":"info","ts":"2026-01-02T03:04:05.678Z","msg":"m","namespace":"flux-system","name":"other"}"#;
        assert_eq!(line.trim_end(), expected);
    }

    #[test]
    fn field_with_json_is_written_as_json() {
        #[derive(Clone, Default)]
        struct Capture(std::sync::Arc<std::sync::Mutex<Map<String, Value>>>);
        impl<S: Subscriber> Layer<S> for Capture {
            fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
                event.record(&mut Fields(&mut self.0.lock().unwrap()));
            }
        }
        let capture = Capture::default();
        tracing::subscriber::with_default(Registry::default().with(capture.clone()), || {
            tracing::info!(json.output = r#"{"a": {"b": 1}}"#, json.text = "no {json", "done");
        });
        let fields = capture.0.lock().unwrap();
        assert_eq!(fields["output"], serde_json::json!({ "a": { "b": 1 } }));
        assert_eq!(fields["json.text"], "no {json");
    }
}
