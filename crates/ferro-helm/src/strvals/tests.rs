use serde_json::json;

use super::*;

fn parse(text: &str, grammar: Grammar) -> Result<Json, String> {
    let mut values = Map::new();
    parse_into(&mut values, text, grammar).map_err(|error| error.to_string())?;
    Ok(Json::Object(values))
}

#[test]
fn values_have_types() {
    let cases = [
        ("a=1", json!({"a": 1})),
        ("a=0", json!({"a": 0})),
        ("a=-5", json!({"a": -5})),
        ("a=null", json!({"a": null})),
        ("a=", json!({"a": ""})),
        ("a[2]=x", json!({"a": [null, null, "x"]})),
        ("a={1,b,true}", json!({"a": [1, "b", true]})),
        ("a=x\\,y", json!({"a": "x,y"})),
        ("=x", json!({})),
        (".a=1", json!({})),
        (
            "a=1.5,b=1e3,c=0x1,d=1_000,e=01",
            json!({"a": "1.5", "b": "1e3", "c": "0x1", "d": "1_000", "e": "01"}),
        ),
        ("a=9223372036854775808", json!({"a": "9223372036854775808"})),
        ("a=TRUE", json!({"a": true})),
        ("a=nul,b=~,c=\"q\"", json!({"a": "nul", "b": "~", "c": "\"q\""})),
        ("a=1,", json!({"a": 1})),
        ("a[0][1]=q", json!({"a": [[null, "q"]]})),
        ("a\\.b=c", json!({"a.b": "c"})),
        ("a={}", json!({"a": [""]})),
        ("a[0]", json!({"a": []})),
        ("a[0", json!({})),
        ("a[0].b=", json!({"a": []})),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text, Grammar::Typed), Ok(expected), "{text}");
    }
}

#[test]
fn mistakes_are_told_in_upstream_words() {
    let cases = [
        ("a", "key \"a\" has no value"),
        ("a,b=1", "key \"a\" has no value (cannot end with ,)"),
        ("a.=1", "key map \"a\" has no value"),
        ("a[-1]=1", "negative -1 index not allowed"),
        (
            "a[70000]=1",
            "index of 70000 is greater than maximum supported index of 65536",
        ),
        (
            "a[x]=1",
            "error parsing index: strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        ("a[0]b=1", "unexpected data at end of array index: ['b']"),
        ("a={b", "list must terminate with '}'"),
        (
            "a=b,a.c=d",
            "unable to parse key: interface conversion: interface {} is string, not map[string]interface {}",
        ),
        (
            "a=null,a[0]=d",
            "unable to parse key: interface conversion: interface {} is nil, not []interface {}",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text, Grammar::Typed), Err(expected.to_owned()), "{text}");
    }
    let deep = format!("{}=1", ["a"; 32].join("."));
    assert_eq!(
        parse(&deep, Grammar::Typed),
        Err("value name nested level is greater than maximum supported nested level of 30".to_owned())
    );
}

#[test]
fn other_grammars_differ_in_the_value() {
    let strings = parse("a=null,b=1,c={x,2}", Grammar::Strings);
    assert_eq!(strings, Ok(json!({"a": "null", "b": "1", "c": ["x", "2"]})));
    let typed = parse("a={\"b\":[1]} ,c[1]=2,d=", Grammar::Json);
    assert_eq!(typed, Ok(json!({"a": {"b": [1.0]}, "c": [null, 2.0], "d": null})));
    let literal = parse("a.b[0]=x,y=\\{z}", Grammar::Literal);
    assert_eq!(literal, Ok(json!({"a": {"b": ["x,y=\\{z}"]}})));
}

#[test]
fn what_nests_without_end_is_refused() {
    let text = format!("a{}=1", "[0]".repeat(100_000));
    assert_eq!(parse(&text, Grammar::Typed), Err(Error::TooLarge.to_string()));
    assert_eq!(parse(&text, Grammar::Literal), Err(Error::TooLarge.to_string()));
    let text = format!("a{}=1", "[65536]".repeat(200));
    assert_eq!(parse(&text, Grammar::Typed), Err(Error::TooLarge.to_string()));
}
