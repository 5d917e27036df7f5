//! Random templates and formats, compared with Go's.

use std::sync::{Arc, LazyLock};

use ferro_template::{Functions, MissingKey, Options, Templates, Value, sprintf};
use serde_json::{Value as Json, json};

use crate::careful::{self, CarefulText};
use crate::free::TemplateText;
use crate::functions::functions;
use crate::generate::{self, Random};
use crate::oracle::{Answer, Oracle, cases};
use crate::typed;

static FUNCTIONS: LazyLock<Arc<Functions>> = LazyLock::new(|| Arc::new(functions()));

/// The output in base64, or the error.
type Outcome = Result<String, String>;

fn execute(question: &Json) -> Outcome {
    let missing_key = match question["missingkey"].as_str().unwrap() {
        "zero" => MissingKey::Zero,
        "error" => MissingKey::Error,
        _ => MissingKey::Invalid,
    };
    let options = Options {
        missing_key,
        ..Options::default()
    };
    let mut templates = Templates::new("root", Arc::clone(&FUNCTIONS)).with_options(options);
    for template in question["templates"].as_array().unwrap() {
        let text = typed::decode(template["text"].as_str().unwrap());
        templates
            .parse(template["name"].as_str().unwrap(), text)
            .map_err(|error| error.to_string())?;
    }
    let data = typed::value(&question["data"]);
    let output = templates.execute(question["execute"].as_str().unwrap(), &data, &());
    output
        .map(|text| typed::encode(text.as_bytes()))
        .map_err(|error| error.to_string())
}

fn print(question: &Json) -> Outcome {
    let format = typed::decode(question["format"].as_str().unwrap());
    let args: Vec<Value> = question["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(typed::value)
        .collect();
    Ok(typed::encode(sprintf(&format, &args).as_bytes()))
}

/// Asks both sides and collects what differs.
fn compare(op: &str, ours: fn(&Json) -> Outcome, mut question: impl FnMut(&mut Random) -> Json) {
    let Some(mut oracle) = Oracle::start() else { return };
    let mut differences = 0;
    let (mut outputs, mut errors, mut crashes) = (0, 0, 0);
    for case in 0..u64::from(cases()) {
        let question = question(&mut Random::new(case));
        let theirs = match oracle.ask(op, question.clone()) {
            Answer::Output(output) => {
                outputs += 1;
                Ok(output.as_str().unwrap_or("").to_owned())
            }
            Answer::Error(error) => {
                errors += 1;
                Err(error)
            }
            Answer::Crash => {
                crashes += 1;
                continue;
            }
        };
        let ours = ours(&question);
        if normal(op, &ours) != normal(op, &theirs) {
            differences += 1;
            if differences <= 12 {
                eprintln!(
                    "case {case}: {}\n  ours:   {}\n  theirs: {}",
                    show(&question),
                    normal(op, &ours),
                    normal(op, &theirs)
                );
            }
        }
    }
    eprintln!(
        "{op}: {outputs} outputs and {errors} errors compared, {crashes} crashes of the original left out"
    );
    assert_eq!(differences, 0, "differences in {op}");
}

/// Makes outcomes comparable: invalid bytes of errors do not survive JSON, and the addresses that a template
/// prints for pointers differ from run to run.
fn normal(op: &str, outcome: &Outcome) -> String {
    let text = match outcome {
        Ok(output) => String::from_utf8_lossy(&typed::decode(output)).into_owned(),
        Err(error) => format!("error: {error}"),
    };
    if op != "template" {
        return text;
    }
    let is_digit = |c: char| c.is_ascii_hexdigit() || c == 'x';
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find(is_digit) {
        let (before, from) = rest.split_at(start);
        let (digits, after) = from.split_at(from.find(|c| !is_digit(c)).unwrap_or(from.len()));
        out.push_str(before);
        out.push_str(if digits.len() >= 12 { "ADDRESS" } else { digits });
        rest = after;
    }
    out + rest
}

fn show(question: &Json) -> String {
    let mut shown = String::new();
    for template in question["templates"].as_array().into_iter().flatten() {
        let text = typed::decode(template["text"].as_str().unwrap());
        shown.push_str(&format!(
            "\n  {}: {:?}",
            template["name"],
            String::from_utf8_lossy(&text)
        ));
    }
    if let Some(format) = question["format"].as_str() {
        shown.push_str(&format!(
            "\n  {:?} {}",
            String::from_utf8_lossy(&typed::decode(format)),
            question["args"]
        ));
    }
    let data = question["data"].to_string();
    shown
        + &format!(
            "\n  {} {}",
            question["missingkey"],
            data.chars().take(1500).collect::<String>()
        )
}

fn template(name: &str, text: &[u8]) -> Json {
    json!({"name": name, "text": typed::encode(text)})
}

fn missing_key(random: &mut Random) -> &'static str {
    random.pick(&["default", "zero", "zero", "error"])
}

#[test]
fn random_templates_execute_as_in_go() {
    compare("template", execute, |random| {
        let mut templates = Vec::new();
        for level in 0..4 {
            let text = TemplateText::new(random, level).generate(if level == 0 { 8 } else { 4 });
            templates.push(template(&format!("t{level}"), text.as_bytes()));
        }
        json!({
            "templates": templates,
            "execute": "t0",
            "data": generate::data(random),
            "missingkey": missing_key(random),
        })
    });
}

#[test]
fn careful_templates_execute_as_in_go() {
    compare("template", execute, |random| {
        let mut templates = Vec::new();
        for level in 0..3 {
            let text = CarefulText::new(random, level).generate(if level == 0 { 7 } else { 4 });
            templates.push(template(&format!("t{level}"), text.as_bytes()));
        }
        json!({
            "templates": templates,
            "execute": "t0",
            "data": careful::data(random),
            "missingkey": "zero",
        })
    });
}

#[test]
fn broken_templates_are_refused_as_in_go() {
    compare("template", execute, |random| {
        let text = TemplateText::new(random, 3).generate(6);
        let text = generate::mutate(random, &text);
        json!({
            // Nothing is executed: a mutated template may run forever.
            "templates": [template("broken", &text), template("none", b"")],
            "execute": "none",
            "data": {"t": "nil"},
            "missingkey": "default",
        })
    });
}

#[test]
fn random_formats_print_as_in_go() {
    compare("go.printf", print, |random| {
        let format = generate::format(random);
        let args: Vec<Json> = (0..random.below(4)).map(|_| generate::operand(random)).collect();
        json!({"format": typed::encode(&format), "args": args})
    });
}
