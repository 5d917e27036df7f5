//! Random calls of every function whose result is determined, compared with sprig and Helm.

use std::sync::Arc;

use ferro_sprig::helm_functions;
use serde_json::{Map, Value as Json, json};

use crate::environment::Fixed;
use crate::oracle::{Answer, Oracle, cases};
use crate::random::Random;
use crate::render::{Functions, bytes_of, reference, render};

/// Functions of time, chance and surroundings, and those that take long.
const UNDETERMINED: &[&str] = &[
    "now",
    "ago",
    "randAlpha",
    "randAlphaNum",
    "randAscii",
    "randNumeric",
    "randBytes",
    "randInt",
    "shuffle",
    "uuidv4",
    "bcrypt",
    "htpasswd",
    "encryptAES",
    "derivePassword",
    "genPrivateKey",
    "genCA",
    "genCAWithKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "getHostByName",
    "env",
    "expandenv",
];
/// Only these of Helm's functions differ from sprig's.
const OF_HELM: &[&str] = &[
    "fromJson",
    "fromJsonArray",
    "fromToml",
    "fromYaml",
    "fromYamlArray",
    "mustToJson",
    "mustToToml",
    "mustToYaml",
    "toJson",
    "toToml",
    "toYaml",
    "toYamlPretty",
];
/// Functions that would say what time it is of what is no time.
const OF_TIMES: &[&str] = &["date", "dateInZone", "date_in_zone", "htmlDate", "htmlDateInZone"];

/// Here only the text of an error, or a form that charts never meet, is not followed: texts that are not UTF-8
/// in messages and patterns, and what go-yaml v3 makes of times, not-a-number and binary data.
const PLAIN: &[&str] = &[
    "regex",
    "mustRegex",
    "semver",
    "mustDateModify",
    "must_date_modify",
    "toYamlPretty",
];

/// One call: the template and the values that it is about.
#[derive(Debug)]
struct Case {
    kind: Functions,
    template: String,
    values: Json,
}

fn case(random: &mut Random, name: &str) -> Case {
    let ours = helm_functions(Arc::new(Fixed::default()));
    let function = ours.get(name).unwrap();
    let params = function.params();
    let mut count = params.len();
    if function.is_variadic() {
        count = count - 1 + random.below(4);
    }
    if random.one_in(40) {
        count = random.below(5);
    }
    let mut values = Map::new();
    let mut call = name.to_owned();
    for index in 0..count {
        let wanted = params.get(index).or_else(|| params.last());
        let value = match wanted {
            Some(wanted) if !random.one_in(12) => random.of_type(wanted),
            _ => random.any(2),
        };
        let value = adapted(random, name, index, value);
        values.insert(format!("a{index}"), value);
        call.push_str(&format!(" .Values.a{index}"));
    }
    let kind = if OF_HELM.contains(&name) {
        Functions::Helm
    } else {
        Functions::Sprig
    };
    Case {
        kind,
        template: template(name, &call),
        values: Json::Object(values),
    }
}

/// Functions that make as much as a number says, until memory ends.
const SIZED: &[&str] = &["until", "untilStep", "seq", "repeat", "indent", "nindent"];

/// Replaces what would make a result depend on the time, or the reference run out of memory.
fn adapted(random: &mut Random, name: &str, index: usize, value: Json) -> Json {
    if SIZED.contains(&name) && value.get("int").is_some() {
        return json!({"int": random.small().to_string()});
    }
    let at = usize::from(!name.starts_with("html"));
    if OF_TIMES.contains(&name) && index == at {
        let kind = random.pick(&["time", "int", "int64", "int32"]);
        let seconds = random.pick(&[0_i64, 951_782_400, 1_700_000_000, 1_720_000_000]);
        return json!({ kind: seconds.to_string() });
    }
    if name == "durationRound" && value.get("time").is_some() {
        return json!({"int64": "5400000000000"});
    }
    value
}

/// Prints the result in several ways, and the arguments afterwards, for some functions change them.
fn template(name: &str, call: &str) -> String {
    match name {
        // Go shuffles these.
        "keys" => format!("{{{{ {call} | sortAlpha }}}}"),
        "values" => format!("{{{{ {call} | len }}}}"),
        // Go sorts some of its arguments in place.
        "sortAlpha" => format!("{{{{ {call} }}}}"),
        _ => format!(
            "{{{{ $r := {call} }}}}{{{{ printf \"%T|%v|\" $r $r }}}}{{{{ toJson $r }}}}|{{{{ toJson .Values }}}}"
        ),
    }
}

fn compare(oracle: &mut Oracle, case: &Case) -> Option<String> {
    let ours = render(
        case.kind,
        Arc::new(Fixed::default()),
        case.template.as_bytes(),
        &case.values,
    );
    let theirs = reference(oracle, case.kind, case.template.as_bytes(), &case.values);
    let agrees = match (&ours, &theirs) {
        (_, Answer::Crash) => true,
        (Ok(ours), Answer::Output(output)) => without_gaps(case.kind, ours) == bytes_of(output),
        (Err(ours), Answer::Error(theirs)) => same_error(case.kind, ours, theirs),
        _ => false,
    };
    if agrees {
        return None;
    }
    let ours = ours.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let theirs = match theirs {
        Answer::Output(output) => Ok(String::from_utf8_lossy(&bytes_of(&output)).into_owned()),
        Answer::Error(text) => Err(text),
        Answer::Crash => Err("crash".to_owned()),
    };
    Some(format!(
        "{}\n  ours   {ours:?}\n  theirs {theirs:?}\n  values {}",
        case.template, case.values
    ))
}

/// Helm removes the mark of what has no value.
fn without_gaps(kind: Functions, output: &[u8]) -> Vec<u8> {
    match kind {
        Functions::Sprig => output.to_vec(),
        Functions::Helm => match std::str::from_utf8(output) {
            Ok(text) => text.replace("<no value>", "").into_bytes(),
            Err(_) => output.to_vec(),
        },
    }
}

/// Helm arranges the parts of an error anew; the last part says what happened.
fn same_error(kind: Functions, ours: &str, theirs: &str) -> bool {
    let message = |text: &str| {
        let after = text
            .rsplit_once("error calling ")
            .map_or(text, |(_, message)| message);
        after
            .rsplit_once(">: ")
            .map_or(after, |(_, message)| message)
            .trim()
            .to_owned()
    };
    match kind {
        Functions::Sprig => ours == theirs,
        Functions::Helm => message(ours) == message(theirs) || theirs.contains(&message(ours)),
    }
}

#[test]
fn random_calls_answer_like_the_reference() {
    let Some(mut oracle) = Oracle::start() else { return };
    let functions = helm_functions(Arc::new(Fixed::default()));
    let builtins = ferro_template::Functions::builtins();
    let only = std::env::var("FERRO_ONLY").ok();
    let mut names: Vec<&str> = functions
        .names()
        .filter(|name| builtins.get(name).is_none() || *name == "slice")
        .filter(|name| !UNDETERMINED.contains(name))
        .filter(|name| {
            only.as_ref()
                .is_none_or(|only| only.split(',').any(|wanted| wanted == *name))
        })
        .collect();
    names.sort_unstable();
    let per_function = (cases() as usize * 4).div_ceil(names.len()).max(8);
    let (mut compared, mut differences) = (0, Vec::new());
    for (seed, name) in names.iter().enumerate() {
        let mut random = Random::new(seed as u64 + 1);
        random.plain = PLAIN.iter().any(|start| name.starts_with(start));
        let mut shown = 0;
        for _ in 0..per_function {
            compared += 1;
            let case = case(&mut random, name);
            if let Some(difference) = compare(&mut oracle, &case) {
                shown += 1;
                if shown <= 3 {
                    differences.push(difference);
                }
            }
        }
    }
    eprintln!("{compared} calls of {} functions compared", names.len());
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}
