//! Random questions to the oracle.

use std::cell::{Cell, RefCell};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::answer::answer;
use crate::oracle::{Answer, Oracle, cases};
use crate::strategy::{data, nasty, text};

/// How an answer relates to that of the reference.
#[derive(PartialEq)]
enum Verdict {
    Same,
    /// We read what the reference refuses, or refuse what it reads: our parser follows YAML 1.2 in what
    /// is well formed.
    OtherGrammar,
    Different,
}

/// Errors have the parser's own words, so only that both fail is compared.
fn judge(ours: &Result<Value, String>, theirs: &Answer) -> Verdict {
    match (ours, theirs) {
        (Ok(ours), Answer::Output(theirs)) if ours == theirs => Verdict::Same,
        (Err(_), Answer::Error(_)) | (_, Answer::Crash) => Verdict::Same,
        (Ok(_), Answer::Error(_)) | (Err(_), Answer::Output(_)) => Verdict::OtherGrammar,
        _ => Verdict::Different,
    }
}

fn compare(op: &'static str, texts: impl Strategy<Value = String>) {
    let Some(oracle) = Oracle::start() else {
        return;
    };
    let oracle = RefCell::new(oracle);
    let others = Cell::new(0);
    let config = Config {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 4000,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&texts, |text| {
            let theirs = oracle.borrow_mut().ask(op, json!({"text": text}));
            let ours = answer(op, &text);
            if judge(&ours, &theirs) == Verdict::OtherGrammar {
                others.set(others.get() + 1);
                if std::env::var_os("FERRO_SHOW_GRAMMAR").is_some() {
                    eprintln!("grammar: {op} of {text:?}: {ours:?} {theirs:?}");
                }
            }
            let differs = judge(&ours, &theirs) == Verdict::Different;
            prop_assert!(!differs, "{op} of {text:?}\n  ours {ours:?}\ntheirs {theirs:?}");
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    eprintln!(
        "{op}: {} of {} texts that the reference refuses were read",
        others.get(),
        cases()
    );
}

#[test]
fn data_is_written_as_sigs_yaml_writes_it() {
    compare(
        "yaml.v2.fromjson",
        data().prop_map(|value| ferro_gocompat::json::to_string(&value)),
    );
}

#[test]
fn texts_are_read_as_sigs_yaml_reads_them() {
    compare("yaml.v2.roundtrip", text());
}

#[test]
fn texts_are_read_strictly_as_sigs_yaml_reads_them() {
    compare("yaml.v2.strict", text());
}

#[test]
fn plain_scalars_are_read_as_sigs_yaml_reads_them() {
    // YAML 1.1 has more line breaks and fewer characters in the names of anchors.
    let differs = ['\u{85}', '\u{2028}', '\u{2029}', '\u{feff}', '&'];
    let text = nasty().prop_filter("YAML 1.2", move |text| !text.contains(differs));
    compare("yaml.v2.roundtrip", text);
}

#[test]
fn plain_scalars_have_the_tag_that_go_yaml_gives_them() {
    compare("yaml.v3.tag", nasty());
}

#[test]
fn nodes_are_written_as_kyaml_writes_them() {
    compare("kyaml.roundtrip", text());
}

#[test]
fn streams_are_written_as_go_yaml_writes_them() {
    compare("yaml.v3.nodes", text());
}

#[test]
fn resources_become_json_as_in_kyaml() {
    // kyaml gives a lone null as `null` or `{}`, depending on how it is written; it is no resource anyway.
    compare("kyaml.json", text());
}
