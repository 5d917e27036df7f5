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

const FORMATS: &[&str] = &[
    "date",
    "date-time",
    "time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "json-pointer",
    "period",
    "regex",
    "relative-json-pointer",
    "semver",
    "uri",
    "uri-reference",
    "uri-template",
    "uuid",
    "int32",
    "unknown",
];

/// Texts that are of one format or another, or nearly so.
const FORMATTED: &[&str] = &[
    "2024-02-29",
    "2023-02-29",
    "2024-2-9",
    "0000-01-01",
    "2024-01-01T00:00:00Z",
    "2024-01-01t23:59:60z",
    "2024-01-01T23:59:60+01:00",
    "2024-01-01T24:00:00Z",
    "2024-01-01 00:00:00Z",
    "2024-01-01T00:00:00.123+25:00",
    "12:30:00Z",
    "12:30:00.5+01:30",
    "12:30",
    "P1DT2H",
    "P1W",
    "P1Y2W",
    "PT",
    "P",
    "1s",
    "a@b",
    "a@b.c",
    "a b@c.d",
    "\"a b\"@c.d",
    "a.@b.c",
    "a@[127.0.0.1]",
    "a@[IPv6:::1]",
    "@",
    "example.com",
    "example.com.",
    "-a.b",
    "a_b",
    "a..b",
    "xn--a",
    "127.0.0.1",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3",
    "::1",
    "::g",
    "1::2::3",
    "fe80::1%eth0",
    "::ffff:1.2.3.4",
    "12345::",
    "/a/~0~1",
    "a/b",
    "/~2",
    "/~",
    "1/a",
    "0#",
    "01#",
    "-1",
    "1.2.3",
    "1.2.3-rc.1+b",
    "1.2.03",
    "1.2.3-01",
    "v1.2.3",
    "1.2",
    "http://a/b",
    "a/b?c#d",
    "//host/p",
    "http://[::1]/",
    "http://a b",
    "http://a/%zz",
    "a\\b",
    "mailto:a@b",
    "http://{a}/",
    "{a",
    "urn:x:y",
    "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "6BA7B810-9DAD-11D1-80B4-00C04FD430C8",
    "6ba7b8109dad11d180b400c04fd430c8",
    "6ba7b810-9dad-11d1-80b4-00c04fd430cg",
    "2024-01-01/P1D",
    "2024-01-01T00:00:00Z/2024-01-02T00:00:00Z",
    "(a|b",
    "[a-z]+",
    "(?=a)",
];

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
            ("unevaluatedProperties", json!({"type": "number"})),
            ("unevaluatedItems", json!({"type": "string"})),
            ("additionalItems", json!(false)),
            ("items", json!(false)),
            ("items", json!([{"type": "string"}, {"type": "number"}])),
            ("minContains", json!(2)),
            ("minContains", json!(0)),
            ("maxContains", json!(1)),
            ("exclusiveMinimum", json!(2)),
            ("exclusiveMaximum", json!(2.5)),
            ("exclusiveMinimum", json!(true)),
            ("minLength", json!(1.0)),
            ("multipleOf", json!(1000)),
            ("multipleOf", json!(0.01)),
            ("$ref", json!("#/$defs/e")),
            ("$ref", json!("#anchor")),
            ("$ref", json!("other.json")),
            ("$ref", json!("other.json#/definitions/f")),
            ("$ref", json!("#/properties/a")),
            ("$dynamicRef", json!("#node")),
            ("$dynamicRef", json!("#anchor")),
            ("$recursiveRef", json!("#")),
            ("contentEncoding", json!("base64")),
            ("contentMediaType", json!("application/json")),
            ("default", json!([1])),
            ("deprecated", json!(true)),
            ("nullable", json!(true)),
            ("format", json!(*random.pick(FORMATS))),
            ("format", json!(*random.pick(FORMATS))),
            ("format", json!(*random.pick(FORMATS))),
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
        "then",
        "else",
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
    if random.one_in(6) {
        return json!(*random.pick(FORMATTED));
    }
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

/// Keywords that the schemas of schemas have something to say about.
const FORMS: &[&str] = &[
    "additionalItems",
    "additionalProperties",
    "allOf",
    "const",
    "contains",
    "default",
    "dependencies",
    "dependentRequired",
    "description",
    "enum",
    "examples",
    "exclusiveMinimum",
    "format",
    "id",
    "if",
    "items",
    "maxItems",
    "maximum",
    "minContains",
    "minLength",
    "multipleOf",
    "not",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "readOnly",
    "required",
    "title",
    "type",
    "unevaluatedItems",
    "uniqueItems",
    "unknown",
];

#[test]
fn random_schemas_accept_and_refuse_alike() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let mut random = Random::new(23);
    let (mut refused, mut accepted, mut malformed, mut different) = (0, 0, 0, Vec::new());
    for _ in 0..cases() * 2 {
        let mut schema = schema(&mut random, 3);
        if !random.one_in(4) {
            schema["$schema"] = json!(*random.pick(DRAFTS));
        }
        schema["definitions"] = json!({"d": self::schema(&mut random, 1)});
        let mut other = self::schema(&mut random, 1);
        other["definitions"] = json!({"f": self::schema(&mut random, 1)});
        // Older drafts know no `$defs`; upstream learns of an address in there while it follows references, so whether it
        // is known depends on their order. Here it never is.
        let is_old = DRAFTS[..3].iter().any(|draft| schema["$schema"] == json!(draft));
        if !is_old && random.one_in(2) {
            other["$id"] = json!("other.json");
            other["$dynamicAnchor"] = json!("node");
        }
        let mut anchored = self::schema(&mut random, 1);
        anchored["$anchor"] = json!("anchor");
        schema["$defs"] = json!({"e": other, "g": anchored});
        if random.one_in(2) {
            schema["$dynamicAnchor"] = json!("node");
        }
        if schema["$schema"] == json!(DRAFTS[3]) && random.one_in(2) {
            schema["$recursiveAnchor"] = json!(true);
        }
        // References within another address would be fetched.
        if random.one_in(5) && !schema.to_string().contains("other.json") {
            let keyword = *random.pick(&["$id", "$id", "id"]);
            schema[keyword] = json!("https://example.com/schemas/values.json");
        }
        let values = json!({"a": value(&mut random, 3), "b": value(&mut random, 2)});
        if random.one_in(3) {
            let form = json!(value(&mut random, 2));
            let place = match random.one_in(2) {
                true => &mut schema,
                false => &mut schema["definitions"]["d"],
            };
            if let Some(place) = place.as_object_mut() {
                place.insert((*random.pick(FORMS)).to_owned(), form);
            }
        }
        let text = schema.to_string();
        let ours = validate_against(&values, text.as_bytes(), &mut Vec::new());
        let theirs = match oracle.ask("helm.schema", json!({"text": text, "values": values})) {
            Answer::Output(_) => Ok(()),
            Answer::Error(error) => Err(error),
            Answer::Crash => continue,
        };
        match (&ours, &theirs) {
            (Ok(()), Ok(())) => accepted += 1,
            (Err(ours), Err(theirs)) if is_about_the_schema(theirs) => {
                malformed += 1;
                // Of references that lead nowhere we tell in words of our own.
                let is_form = theirs.contains("is not valid against metaschema");
                if !is_about_the_schema(ours) || (is_form && lines(ours) != lines(theirs)) {
                    different.push(format!("ours {ours}\ntheirs {theirs}\n{schema:#} {values:#}"));
                }
            }
            // A chain of references that comes back to itself is refused in words of our own.
            (Err(ours), Err(theirs)) if theirs.contains("causing reference cycle") => {
                assert!(!is_about_the_schema(ours), "{ours} {schema:#} {values:#}");
                refused += 1;
            }
            (Err(ours), Err(theirs)) if lines(ours) == lines(theirs) => refused += 1,
            _ => different.push(format!("ours {ours:?}\ntheirs {theirs:?}\n{schema:#} {values:#}")),
        }
    }
    eprintln!("{accepted} accepted, {refused} refused, {malformed} malformed");
    let count = different.len();
    different.sort_by_key(String::len);
    different.truncate(20);
    assert!(different.is_empty(), "{count} differ\n{}", different.join("\n\n"));
    assert!(
        refused > 50 && accepted > 50,
        "{refused} refused, {accepted} accepted"
    );
}

/// Whether the schema itself is at fault and not the values.
fn is_about_the_schema(error: &str) -> bool {
    !error.starts_with("- at '") && !error.starts_with("jsonschema validation failed with")
}

/// As Helm 4.2.4 prints it.
#[test]
fn schemas_that_are_none_are_refused_as_by_helm() {
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"x": {"type": "strin"}},
    });
    let refused = validate_against(&json!({"x": 5}), schema.to_string().as_bytes(), &mut Vec::new());
    let expected = "\"file:///values.schema.json#\" is not valid against metaschema: jsonschema validation failed with \
                    'http://json-schema.org/draft-07/schema#'\n\
                    - at '/properties/x/type': 'anyOf' failed\n  \
                    - at '/properties/x/type': value must be one of 'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'\n  \
                    - at '/properties/x/type': got string, want array";
    assert_eq!(refused, Err(expected.to_owned()));
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
