//! What is fed with bytes of any kind, by `fuzz/` without end and by the tests for a while. Nothing in here may panic
//! or take long; what comes out does not matter.

use std::sync::Arc;

use ferro_gocompat::time::Time;
use ferro_helm::chart::{File, archive, load_archive, load_files};
use ferro_helm::manifest::{INSTALL_ORDER, sort};
use ferro_helm::strvals::{Grammar, parse_files_into, parse_into};
use ferro_helm::values;
use ferro_template::{Functions, Map, MissingKey, Options, Templates, Text, Value};
use serde_json::json;

struct Still;

impl ferro_sprig::Environment for Still {
    fn now(&self) -> Time {
        Time::from_unix(1_700_000_000, 0)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// Helm's functions without those that take long on purpose, and bounds that are soon reached.
fn templates() -> Templates {
    const SLOW: [&str; 10] = [
        "bcrypt",
        "derivePassword",
        "genCA",
        "genCAWithKey",
        "genPrivateKey",
        "genSelfSignedCert",
        "genSelfSignedCertWithKey",
        "genSignedCert",
        "genSignedCertWithKey",
        "htpasswd",
    ];
    let mut functions: Functions = ferro_sprig::helm_functions(Arc::new(Still));
    for name in SLOW {
        functions.remove(name);
    }
    Templates::new("t", Arc::new(functions)).with_options(Options {
        missing_key: MissingKey::Zero,
        max_output: 1 << 16,
        max_nesting: 50,
        max_steps: 2_000,
    })
}

fn data() -> Value {
    let list = Value::list(vec![
        Value::int(1),
        Value::from("b"),
        Value::Nil,
        Value::Float(2.5),
    ]);
    let inner = Map::from_iter([("a", Value::from("text")), ("b", list.clone())]);
    let values = Map::from_iter([
        ("a", Value::Map(inner)),
        ("list", list),
        ("name", Value::from("app")),
        ("n", Value::Float(3.0)),
    ]);
    Value::Map(Map::from_iter([("Values", Value::Map(values))]))
}

/// A template: read, and executed if it can be.
pub(crate) fn template(text: &[u8]) {
    let mut templates = templates();
    if templates.parse("t", text).is_ok() {
        templates.execute("t", &data(), &()).ok();
    }
}

/// A text for the functions that read one.
pub(crate) fn functions(text: &[u8]) {
    const CALLS: &str = r#"
{{ . | fromYaml | toYaml }}{{ . | fromYamlArray | toJson }}{{ . | fromJson | toPrettyJson }}{{ . | fromJsonArray }}
{{ . | fromToml | toToml }}{{ toYamlPretty . }}{{ toYaml . }}{{ quote . }}{{ printf . 1 "a" }}
{{ regexMatch . "aaa" }}{{ regexFindAll "(a)|b*" . -1 }}{{ regexReplaceAll "(a)" "ab" . }}{{ regexSplit "a?" . -1 }}
{{ semverCompare . "1.2.3" }}{{ semverCompare ">1" "1" }}
{{ toDate . "2024-01-02" }}{{ toDate "2006-01-02T15:04:05.999Z07:00" . }}{{ date . 0 }}{{ durationRound . }}
{{ dateModify . now }}{{ duration . }}{{ int64 . }}{{ float64 . }}{{ toDecimal . }}{{ atoi . }}
{{ camelcase . }}{{ snakecase . }}{{ kebabcase . }}{{ title . }}{{ initials . }}{{ wrap 5 . }}{{ abbrev 5 . }}
{{ trunc -3 . }}{{ substr 1 3 . }}{{ splitList "a" . }}{{ b64dec . }}{{ b32dec . }}{{ base . }}{{ clean . }}
{{ html . }}{{ js . }}{{ urlquery . }}{{ indent 2 . }}{{ swapcase . }}{{ nospace . }}{{ untitle . }}
"#;
    let mut templates = templates();
    templates.parse("calls", CALLS).unwrap();
    let text = Value::Str(Text::from_bytes(text));
    for call in CALLS.split_inclusive("}}") {
        templates.parse("call", call).unwrap();
        templates.execute("call", &text, &()).ok();
    }
    for call in [
        "{{ semver . }}",
        "{{ urlParse . | urlJoin }}",
        "{{ mustRegexMatch . . }}",
        "{{ decryptAES . . }}",
    ] {
        templates.parse("call", call).unwrap();
        templates.execute("call", &text, &()).ok();
    }
}

/// A values file, and YAML in general.
pub(crate) fn yaml(text: &[u8]) {
    values::read(text).ok();
    if let Ok(read) = ferro_yaml::sigs::from_slice(text) {
        ferro_yaml::sigs::to_string(&read).ok();
        ferro_yaml::sigs::to_string_pretty(&read).ok();
    }
    let content = Text::from(&*String::from_utf8_lossy(text));
    let files = [("a.yaml".to_owned(), content)].into();
    sort(&files, &INSTALL_ORDER).ok();
}

/// What stands behind `--set` and its kin.
pub(crate) fn assignments(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let start = json!({"a": {"b": [1.0, {"c": "x"}]}, "n": null});
    for grammar in [Grammar::Typed, Grammar::Strings, Grammar::Json, Grammar::Literal] {
        let mut values = start.as_object().unwrap().clone();
        parse_into(&mut values, &text, grammar).ok();
    }
    let mut values = start.as_object().unwrap().clone();
    parse_files_into(&mut values, &text, |path| Ok(path.to_owned())).ok();
}

/// An archive, as it came and as its tar.
pub(crate) fn archive(bytes: &[u8]) {
    load_archive(bytes).ok();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    std::io::Write::write_all(&mut packed, bytes).unwrap();
    archive::read(&packed.finish().unwrap()).ok();
}

/// The files of a chart that are read when it is loaded.
pub(crate) fn chart(text: &[u8]) {
    for name in [
        "Chart.yaml",
        "requirements.yaml",
        "Chart.lock",
        "values.yaml",
        ".helmignore",
    ] {
        let mut files = vec![File::new(name, text)];
        if name != "Chart.yaml" {
            files.push(File::new(
                "Chart.yaml",
                "apiVersion: v1\nname: a\nversion: 1.0.0\n",
            ));
        }
        load_files(files).ok();
    }
}

/// A schema for values.
pub(crate) fn schema(text: &[u8]) {
    let values = json!({"a": {"b": [1.0, "x", {"c": null}]}, "name": "app", "n": 3.5});
    values::schema::validate_against(&values, text, &mut Vec::new()).ok();
}
