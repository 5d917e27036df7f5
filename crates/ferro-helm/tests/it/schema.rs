//! `values.schema.json`: random schemas and values.

use ferro_helm::values::schema::validate_against;
use serde_json::{Value as Json, json};

use crate::oracle::{Answer, Oracle, cases};
use crate::random::Random;

const DRAFTS: &[&str] = &[
    "http://json-schema.org/draft-04/schema#",
    "http://json-schema.org/draft-06/schema",
    "http://json-schema.org/draft-07/schema#",
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2020-12/schema",
];

fn schema(random: &mut Random, depth: usize) -> Json {
    if random.one_in(12) {
        return [json!({}), json!({"type": "object"}), json!({"type": "string"})][random.below(3)].clone();
    }
    let mut object = serde_json::Map::new();
    for _ in 0..1 + random.below(3) {
        let (keyword, value) = keyword(random, depth);
        object.insert(keyword.to_owned(), value);
    }
    Json::Object(object)
}

fn keyword(random: &mut Random, depth: usize) -> (&'static str, Json) {
    if depth == 0 || random.one_in(3) {
        let choices = [
            ("type", json!("string")),
            ("type", json!(["number", "null"])),
            ("type", json!("integer")),
            ("type", json!(["object", "array"])),
            ("enum", json!(["a", 1, null, true])),
            ("enum", json!(["x"])),
            ("enum", json!([{"a": 1}, 2])),
            ("const", json!("a")),
            ("const", json!([1])),
            ("minimum", json!(2)),
            ("maximum", json!(1.5)),
            ("multipleOf", json!(0.1)),
            ("minLength", json!(2)),
            ("maxLength", json!(1)),
            ("pattern", json!("^a|b$")),
            ("minItems", json!(1)),
            ("maxItems", json!(1)),
            ("uniqueItems", json!(true)),
            ("minProperties", json!(1)),
            ("maxProperties", json!(1)),
            ("required", json!(["a", "b"])),
            ("required", json!(["it's"])),
            ("$ref", json!("#/definitions/d")),
            ("$ref", json!("#")),
            ("additionalProperties", json!(false)),
            ("unevaluatedProperties", json!(false)),
            ("unevaluatedItems", json!(false)),
        ];
        return random.pick(&choices).clone();
    }
    let inner = depth - 1;
    let keyword = *random.pick(&[
        "properties",
        "properties",
        "properties",
        "items",
        "additionalProperties",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "patternProperties",
        "propertyNames",
        "contains",
        "prefixItems",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "additionalItems",
    ]);
    let value = match keyword {
        "properties" => json!({"a": schema(random, inner), "b": schema(random, inner)}),
        "patternProperties" => json!({"^a": schema(random, inner)}),
        "dependencies" => json!({"a": ["b"], "b": schema(random, inner)}),
        "dependentSchemas" => json!({"a": schema(random, inner)}),
        "dependentRequired" => json!({"a": ["b", "c"]}),
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => json!([schema(random, inner), schema(random, inner)]),
        _ => schema(random, inner),
    };
    (keyword, value)
}

fn value(random: &mut Random, depth: usize) -> Json {
    let scalars = [
        json!(1.0),
        json!(2.5),
        json!(1000.0),
        json!(0.3),
        json!("a"),
        json!("bb"),
        json!(""),
        json!(null),
        json!(true),
    ];
    if depth == 0 || random.one_in(3) {
        return random.pick(&scalars).clone();
    }
    if random.one_in(3) {
        return (0..random.below(4)).map(|_| value(random, depth - 1)).collect();
    }
    let mut object = serde_json::Map::new();
    for _ in 0..random.below(4) {
        object.insert(
            (*random.pick(&["a", "b", "c/d"])).to_owned(),
            value(random, depth - 1),
        );
    }
    Json::Object(object)
}

/// Go goes through objects in random order, so lines, and the names in them, are compared without regard to
/// theirs.
fn lines(text: &str) -> Vec<Vec<&str>> {
    fn words(line: &str) -> Vec<&str> {
        let mut words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        words.sort_unstable();
        words
    }
    let mut lines: Vec<Vec<&str>> = text.lines().map(words).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn random_schemas_accept_and_refuse_alike() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let mut random = Random::new(23);
    let (mut refused, mut accepted) = (0, 0);
    for _ in 0..cases() {
        let mut schema = schema(&mut random, 3);
        if !random.one_in(4) {
            schema["$schema"] = json!(*random.pick(DRAFTS));
        }
        schema["definitions"] = json!({"d": self::schema(&mut random, 1)});
        let values = json!({"a": value(&mut random, 3), "b": value(&mut random, 2)});
        let text = schema.to_string();
        let ours = validate_against(&values, text.as_bytes(), &mut Vec::new());
        let theirs = match oracle.ask("helm.schema", json!({"text": text, "values": values})) {
            Answer::Output(_) => Ok(()),
            Answer::Error(error) => Err(error),
            Answer::Crash => continue,
        };
        // A chain of references that comes back to itself is refused in words of our own.
        if theirs
            .as_ref()
            .is_err_and(|error| error.contains("causing reference cycle"))
        {
            assert!(ours.is_err(), "{schema:#} {values:#}");
            continue;
        }
        match (&ours, &theirs) {
            (Ok(()), Ok(())) => accepted += 1,
            (Err(ours), Err(theirs)) => {
                refused += 1;
                assert_eq!(lines(ours), lines(theirs), "{schema:#} {values:#}");
            }
            _ => panic!("ours {ours:?}, theirs {theirs:?}: {schema:#} {values:#}"),
        }
    }
    assert!(
        refused > 50 && accepted > 50,
        "{refused} refused, {accepted} accepted"
    );
}

#[test]
fn what_is_not_in_the_schema_is_not_fetched() {
    let check = |schema: Json| validate_against(&json!({}), schema.to_string().as_bytes(), &mut Vec::new());
    assert_eq!(
        check(json!({"$ref": "https://example.com/a.json"})),
        Err("failing loading \"https://example.com/a.json\": remote schemas are not loaded".to_owned())
    );
    assert_eq!(
        check(json!({"properties": {"x": {"$ref": "file:///etc/passwd"}}})),
        Err("failing loading \"file:///etc/passwd\": open /etc/passwd: no such file or directory".to_owned())
    );
    assert_eq!(
        check(json!({"$ref": "#/nothing"})),
        Err("json-pointer in \"file:///values.schema.json#/nothing\" not found".to_owned())
    );
}

#[test]
fn schemas_that_cost_without_end_are_stopped() {
    let mut definitions = serde_json::Map::new();
    for level in 0..30 {
        let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
        definitions.insert(format!("d{level}"), json!({"anyOf": [next, next, next]}));
    }
    definitions.insert("d30".to_owned(), json!(false));
    let schema = json!({"$defs": definitions, "$ref": "#/$defs/d0"});
    let checked = validate_against(&json!({}), schema.to_string().as_bytes(), &mut Vec::new());
    assert!(checked.is_err_and(|error| error.contains("too many steps")));
}
