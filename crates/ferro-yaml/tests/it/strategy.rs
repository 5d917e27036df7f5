//! Random YAML: data with nasty scalars, and texts that may or may not be YAML.

use proptest::prelude::*;
use serde_json::{Value, json};

/// Text that resolvers and emitters are likely to treat in a special way.
pub(crate) fn nasty() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "",
        "~",
        "null",
        "Null",
        "y",
        "Y",
        "yes",
        "No",
        "on",
        "OFF",
        "true",
        "True",
        "tRUE",
        "0",
        "-0",
        "0o7",
        "0o8",
        "0644",
        "089",
        "1_000",
        "_1",
        "1__",
        "0x1F",
        "-0x1f",
        "0b11",
        "0b-1",
        "1e3",
        "1.",
        ".5",
        "._5",
        ".5_5",
        "1.5e-7",
        "1e400",
        "+1",
        "-",
        "--",
        "---",
        "--- a",
        "...",
        "....",
        ".inf",
        "-.Inf",
        ".nan",
        "1:30",
        "190:20:30",
        "1:2:3.4",
        "-1:59",
        "1:60",
        "2001-01-01",
        "2001-1-1",
        "2001-13-01",
        "2001-01-01T01:02:03Z",
        "2001-01-01t1:2:3.5+01:00",
        "2001-01-01 1:2:3",
        "2001-01-01  1:2:3",
        "<<",
        "=",
        "?",
        "? a",
        ":",
        ": a",
        "a: b",
        "a:",
        "a #b",
        "#a",
        "a#b",
        "- a",
        "-a",
        "*a",
        "&a",
        "!a",
        "!",
        "%a",
        "@a",
        "`a",
        "'a",
        "\"a",
        "a'b",
        "a\"b",
        "[a",
        "]",
        "{a",
        "}",
        "a,b",
        ",",
        "|",
        ">",
        "{{ .x }}",
        "${x}",
        "a\\b",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775808",
        "-9223372036854775809",
        "9007199254740993",
        "é",
        "日本語",
        "😀",
        "\u{feff}",
        "\u{feff}a b",
        "\u{85}",
        "a\u{85}b",
        "\u{2028}",
        "a\u{2029}b",
        "\u{a0}",
        "\u{7}",
        "\u{1b}[0m",
        "\t",
        "a\tb",
        "\ta",
        "a\t",
        " ",
        "  ",
        " a",
        "a ",
        "a  b",
        "\n",
        "\n\n",
        "a\n",
        "a\n\n",
        "\na",
        " \na",
        "a\n b",
        "a \nb",
        "a\n ",
        "a\nb",
        "a\n\nb\n",
        "a\r\nb",
        "\r",
        "a\tb\nc",
        "\n a",
        "  a\nb",
        "#a\nb",
        "a\n---\nb",
        "a\n...\n",
        "x: |\n  y\n",
    ])
    .prop_map(str::to_owned);
    let long =
        prop::collection::vec("[a-z':#,-]{1,14} ?|  |[0-9]{30,60}|é{3,9} ", 5..30).prop_map(|w| w.concat());
    let lines =
        prop::collection::vec("[a-c #:-]{0,6}|[a-z ]{70,120}", 1..5).prop_map(|lines| lines.join("\n"));
    prop_oneof![
        8 => words,
        2 => "[ -~]{0,12}",
        2 => "[-+0-9_.:eExXoObTZ ]{1,12}",
        2 => "[a\u{85}\u{a0}\u{2028}\u{feff}\u{e000}\u{10000} \n\t'\"\\\\é-]{0,8}",
        2 => long,
        2 => lines,
        1 => any::<String>(),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(|number| json!(number)),
        (-100_i32..100).prop_map(|number| json!(number)),
        any::<f64>()
            .prop_filter("finite", |float| float.is_finite())
            .prop_map(|number| json!(number)),
        (-10_000_i64..10_000, -25..25).prop_map(|(digits, power)| json!(digits as f64 * 10_f64.powi(power))),
    ]
}

/// JSON data.
pub(crate) fn data() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(|value| json!(value)),
        2 => number(),
        8 => nasty().prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let key =
            prop_oneof![3 => "[a-z]{1,3}[0-9_.-]{0,3}[a-zA-Z0-9]{0,2}", 2 => nasty(), 1 => "[a-z]{120,135}"];
        // Go's numbers overflow, so that it sorts such keys by chance.
        let key = key.prop_filter("few digits", |key| {
            key.chars().filter(char::is_ascii_digit).count() < 19
        });
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| json!(items)),
            prop::collection::btree_map(key, inner, 0..6).prop_map(|entries| json!(entries)),
        ]
    })
}

/// One scalar as YAML text, in any style.
fn scalar_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => nasty().prop_map(|text| {
            // No comments here; they are compared by themselves.
            let line: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
            let line = line.replace(['#', '&'], "-");
            line.trim_start().to_owned()
        }),
        2 => nasty().prop_map(|text| format!("'{}'", text.replace('\'', "''").replace('\n', "\n            "))),
        2 => nasty().prop_map(|text| format!("{text:?}").replace("\\u{", "\\u00").replace('}', "")),
        1 => nasty().prop_map(|text| json!(text).to_string()),
        1 => "\\[[a-c, ]{0,6}\\]",
        1 => "\\{(a: [0-9]?, ?|b, ?|'c': x){0,3}\\}",
        1 => ("!!?(str|int|float|bool|null|binary|x|)", "( 1| x| 'y'| yes|)").prop_map(|(tag, text)| tag + &text),
        1 => "(&|\\*)[ab]( x)?",
    ]
}

/// The lines of a block, not yet indented.
fn block() -> impl Strategy<Value = Vec<String>> {
    let leaf = prop_oneof![
        5 => scalar_text().prop_map(|text| vec![text]),
        1 => ("[|>][-+]?", prop::collection::vec("[a-c]{0,2}[ #]?[a-c]", 0..4)).prop_map(|(header, lines)| {
            let mut block = vec![header, "  x".to_owned()];
            block.extend(lines.into_iter().map(|line| format!("  {line}")));
            block
        }),
        1 => prop::collection::vec("[a-c]{1,3}", 2..4),
    ];
    // Line breaks of YAML 1.1 that are none in 1.2 are not read as such, see the crate's limits.
    let leaf = leaf.prop_map(|lines: Vec<String>| {
        lines
            .into_iter()
            .map(|line| line.replace(['\u{85}', '\u{2028}', '\u{2029}', '\u{feff}'], ""))
            .collect::<Vec<_>>()
    });
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop_oneof![
            6 => "[a-d]", 1 => "(yes|1|1\\.5|~|'e'|\"f\"|<<|\\? g)", 1 => "&a h", 1 => "!!str i",
        ];
        let sequence = prop::collection::vec(inner.clone(), 1..4).prop_map(|items| {
            items
                .into_iter()
                .flat_map(|item| nest("- ", item, "  "))
                .collect()
        });
        let mapping = prop::collection::vec((key, inner, any::<bool>()), 1..4).prop_map(|entries| {
            entries
                .into_iter()
                .flat_map(|(key, value, wide)| {
                    if value.len() == 1 || value.first().is_some_and(|line| line.starts_with(['|', '>'])) {
                        return nest(&format!("{key}: "), value, "  ");
                    }
                    let indent = if wide { "    " } else { "  " };
                    let mut lines = vec![format!("{key}:")];
                    lines.extend(value.into_iter().map(|line| format!("{indent}{line}")));
                    lines
                })
                .collect()
        });
        prop_oneof![sequence, mapping]
    })
}

fn nest(first: &str, lines: Vec<String>, indent: &str) -> Vec<String> {
    let prefixed = |(index, line)| {
        if index == 0 {
            format!("{first}{line}")
        } else {
            format!("{indent}{line}")
        }
    };
    lines.into_iter().enumerate().map(prefixed).collect()
}

/// A YAML text without comments; often, but not always, well formed.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let document = block().prop_map(|lines| lines.join("\n") + "\n").boxed();
    prop_oneof![
        6 => document.clone(),
        1 => prop::collection::vec(document.clone(), 2..3).prop_map(|documents| documents.join("---\n")),
        1 => document.prop_map(|text| text.replace('\n', "\r\n")),
    ]
}
