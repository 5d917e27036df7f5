//! Three-way merges as Helm's client computes them and the API server carries them out.

use ferro_apply::merge::three_way;
use serde_json::{Map, Value, json};

use crate::oracle::{Answer, Oracle, cases};

/// A generator of choices (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }

    fn maybe(&mut self, value: impl FnOnce(&mut Self) -> Value) -> Option<Value> {
        (self.below(3) > 0).then(|| value(self))
    }

    fn word(&mut self) -> Value {
        json!(["a", "b", "c", "d"][usize::try_from(self.below(4)).unwrap()])
    }

    /// Items with different keys, in any order.
    fn list(&mut self, keys: &[Value], mut item: impl FnMut(&mut Self, &Value) -> Value) -> Value {
        let mut keys: Vec<&Value> = keys.iter().filter(|_| self.below(2) == 0).collect();
        if keys.len() > 1 && self.below(2) == 0 {
            keys.reverse();
        }
        Value::Array(keys.into_iter().map(|key| item(self, key)).collect())
    }
}

fn object(fields: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let fields = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn words() -> [Value; 3] {
    [json!("x"), json!("y"), json!("z")]
}

fn container(random: &mut Random, name: &Value) -> Value {
    let ports = [json!(80), json!(81), json!(82)];
    object([
        ("name", Some(name.clone())),
        ("image", random.maybe(Random::word)),
        (
            "args",
            random.maybe(|random| random.list(&words(), |_, word| word.clone())),
        ),
        (
            "ports",
            random.maybe(|random| {
                random.list(&ports, |random, port| {
                    object([
                        ("containerPort", Some(port.clone())),
                        ("name", random.maybe(Random::word)),
                    ])
                })
            }),
        ),
        (
            "env",
            random.maybe(|random| {
                random.list(&words(), |random, name| {
                    object([
                        ("name", Some(name.clone())),
                        ("value", random.maybe(Random::word)),
                    ])
                })
            }),
        ),
    ])
}

fn deployment(random: &mut Random) -> Value {
    let strategy = random.maybe(|random| match random.below(3) {
        0 => json!({ "type": "Recreate" }),
        1 => json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": random.below(3) } }),
        _ => json!({ "rollingUpdate": { "maxUnavailable": random.below(3) } }),
    });
    let volumes = random.maybe(|random| {
        random.list(&words(), |random, name| {
            let source = match random.below(2) {
                0 => ("configMap", json!({ "name": random.word() })),
                _ => ("emptyDir", json!({})),
            };
            object([("name", Some(name.clone())), (source.0, Some(source.1))])
        })
    });
    let pod = object([
        (
            "containers",
            random.maybe(|random| random.list(&words(), container)),
        ),
        ("volumes", volumes),
        (
            "tolerations",
            random.maybe(|random| random.list(&words(), |_, key| json!({ "key": key }))),
        ),
        (
            "nodeSelector",
            random.maybe(|random| {
                object([
                    ("x", random.maybe(Random::word)),
                    ("y", random.maybe(Random::word)),
                ])
            }),
        ),
    ]);
    let metadata = object([
        ("name", Some(json!("app"))),
        (
            "labels",
            random.maybe(|random| {
                object([
                    ("x", random.maybe(Random::word)),
                    ("y", random.maybe(Random::word)),
                ])
            }),
        ),
        (
            "finalizers",
            random.maybe(|random| random.list(&words(), |_, word| word.clone())),
        ),
    ]);
    object([
        ("apiVersion", Some(json!("apps/v1"))),
        ("kind", Some(json!("Deployment"))),
        ("metadata", Some(metadata)),
        (
            "spec",
            Some(object([
                ("replicas", random.maybe(|random| json!(random.below(3)))),
                ("strategy", strategy),
                ("template", Some(json!({ "spec": pod }))),
            ])),
        ),
    ])
}

/// What the API server reads of a merged object: directives are no fields of a kind, and null is no value.
fn decoded(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .filter(|(name, value)| !name.starts_with('$') && !value.is_null());
            Value::Object(
                fields
                    .map(|(name, value)| (name.clone(), decoded(value)))
                    .collect(),
            )
        }
        Value::Array(items) => {
            let items = items.iter().filter(|item| item["$patch"] != "delete");
            Value::Array(items.map(decoded).collect())
        }
        other => other.clone(),
    }
}

#[test]
fn merges_are_those_of_helms_client() {
    let Some(mut oracle) = Oracle::start() else { return };
    let mut random = Random(20_261_121);
    for case in 0..cases() {
        let original = deployment(&mut random);
        let modified = deployment(&mut random);
        // What is there is now and then just what was asked for.
        let live = match random.below(4) {
            0 => original.clone(),
            _ => deployment(&mut random),
        };
        let mut ours = three_way(&original, &modified, &live);
        let asked = json!({ "original": original, "modified": modified, "live": live });
        let Answer::Output(mut theirs) = oracle.ask("patch.threeway", asked.clone()) else {
            panic!("case {case}: {asked}");
        };
        for merged in [&mut ours, &mut theirs] {
            // Their order means nothing.
            if let Some(Value::Array(finalizers)) = merged.pointer_mut("/metadata/finalizers") {
                finalizers.sort_by_key(Value::to_string);
            }
        }
        assert_eq!(ours, decoded(&theirs), "case {case}: {asked}");
    }
}

#[test]
fn kinds_are_those_of_helms_client() {
    let Some(mut oracle) = Oracle::start() else { return };
    let known = include_str!("../../src/merge/kinds.txt");
    assert_eq!(
        oracle.ask("patch.schema", json!({})),
        Answer::Output(json!(known))
    );
}
