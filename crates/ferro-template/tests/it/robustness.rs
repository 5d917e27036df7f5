//! What hostile templates can do: nothing but fail.

use std::sync::Arc;

use ferro_template::{ErrorKind, MissingKey, Options, Templates, Value, sprint, sprintf};

use crate::free::TemplateText;
use crate::functions::functions;
use crate::generate::{self, Random};
use crate::oracle::cases;
use crate::typed;

fn small() -> Options {
    Options {
        missing_key: MissingKey::Zero,
        max_output: 1 << 20,
        max_nesting: 200,
        max_steps: 20_000,
    }
}

fn run(text: &[u8], data: &Value) -> Result<String, ferro_template::Error> {
    let mut templates = Templates::new("root", Arc::new(functions())).with_options(small());
    templates.parse("t", text)?;
    Ok(templates.execute("t", data, &())?.to_string())
}

#[test]
fn broken_templates_and_arbitrary_bytes_do_not_panic() {
    for case in 0..u64::from(cases()) {
        let mut random = Random::new(case ^ 0xF00D);
        let data = typed::value(&generate::data(&mut random));
        let text = TemplateText::new(&mut random, 0).generate(6);
        // Whether it fails does not matter here.
        run(&generate::mutate(&mut random, &text), &data).ok();
        let mut bytes: Vec<u8> = (0..random.below(60)).map(|_| random.next() as u8).collect();
        bytes.splice(0..0, *b"{{");
        run(&bytes, &data).ok();
        let args: Vec<Value> = (0..2)
            .map(|_| typed::value(&generate::value(&mut random, 2)))
            .collect();
        sprintf(&bytes, &args);
    }
}

/// Runs on a stack as small as threads may have, to see that nesting does not use it.
fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new()
        .stack_size(512 << 10)
        .spawn(test)
        .unwrap();
    thread.join().unwrap();
}

#[test]
fn nesting_does_not_use_the_stack() {
    on_small_stack(|| {
        let parens = format!("{{{{{}1{}}}}}", "(".repeat(9_999), ")".repeat(9_999));
        assert_eq!(run(parens.as_bytes(), &Value::Nil).unwrap(), "1");
        let deeper = format!("{{{{{}1{}}}}}", "(".repeat(10_001), ")".repeat(10_001));
        let error = run(deeper.as_bytes(), &Value::Nil).unwrap_err().to_string();
        assert_eq!(error, "template: t:1: max expression depth exceeded");
        let shown = format!("{{{{{}len 1{}}}}}", "(".repeat(9_000), ")".repeat(9_000));
        assert!(
            run(shown.as_bytes(), &Value::Nil)
                .unwrap_err()
                .to_string()
                .ends_with("len of type int")
        );
        let ifs = format!("{}x{}", "{{if 1}}".repeat(6_000), "{{end}}".repeat(6_000));
        assert_eq!(run(ifs.as_bytes(), &Value::Nil).unwrap(), "x");
        let elses = format!("{{{{if 0}}}}{}{{{{end}}}}", "{{else if 0}}".repeat(6_000));
        assert_eq!(run(elses.as_bytes(), &Value::Nil).unwrap(), "");
        let blocks = format!("{}x{}", "{{block \"b\" 1}}".repeat(2), "{{end}}".repeat(2));
        assert!(
            run(blocks.as_bytes(), &Value::Nil)
                .unwrap_err()
                .to_string()
                .contains("multiple definition")
        );
    });
}

#[test]
fn templates_call_each_other_to_gos_depth() {
    on_small_stack(|| {
        let mut templates = Templates::new("root", Arc::new(functions()));
        templates.parse("t", "{{template \"t\" .}}").unwrap();
        let error = templates.execute("t", &Value::Nil, &()).unwrap_err().to_string();
        let expected = "template: t:1:11: executing \"t\" at <{{template \"t\" .}}>: \
                        exceeded maximum template depth (100000)";
        assert_eq!(error, expected);
    });
}

#[test]
fn nested_executions_are_bounded() {
    on_small_stack(|| {
        let mut templates = Templates::new("root", Arc::new(functions()));
        templates.parse("t", "{{include \"t\" .}}").unwrap();
        let error = templates.execute("t", &Value::Nil, &()).unwrap_err();
        assert_eq!(
            error.chain().last().map(ferro_template::Error::kind),
            Some(ErrorKind::Limit)
        );
        assert!(
            error
                .to_string()
                .ends_with("exceeded maximum nesting of executions (10000)")
        );
    });
}

#[test]
fn deep_values_are_dropped_and_refused() {
    on_small_stack(|| {
        let mut value = Value::Nil;
        for _ in 0..200_000 {
            value = Value::list(vec![value]);
        }
        sprint(std::slice::from_ref(&value));
        drop(value);
        let text = "{{$m := dict}}{{$_ := set $m \"self\" $m}}{{$_ := set $m \"twin\" $m}}{{$m}}";
        let error = run(text.as_bytes(), &Value::Nil).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
    });
}

#[test]
fn output_and_steps_are_bounded() {
    let cases = [
        "{{range 1000000000000}}{{end}}",
        "{{range 10000}}{{printf \"%900000d\" 1}}{{end}}",
        "{{printf \"%999999d%999999d%999999d\" 1 1 1}}",
        "{{define \"a\"}}{{range 99999}}{{template \"a\" .}}{{end}}{{end}}{{template \"a\" .}}",
    ];
    for text in cases {
        let error = run(text.as_bytes(), &Value::Nil).unwrap_err();
        let kind = error.chain().last().map(ferro_template::Error::kind);
        let is_bounded = kind == Some(ErrorKind::Limit) || error.to_string().contains("template depth");
        assert!(is_bounded, "{text}: {error}");
    }
}
