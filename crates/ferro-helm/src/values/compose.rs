//! The values of a release, put together from what a HelmRelease names.
//!
//! Values that are set by a path win or lose against inline ones depending on what shares memory with what in
//! upstream's Go; users' digests depend on the outcome, so this shares the same things.

use serde_json::{Map, Value as Json};

use super::read::merge;
use crate::strvals::{self, Grammar, TreeMap};

/// Where and how a single value is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetPath<'p> {
    /// The path, in the grammar of `--set`.
    pub path: &'p str,
    /// Whether the value is taken as it is.
    pub literal: bool,
}

/// Values under composition: inline ones, over which references are laid, in order.
#[derive(Debug)]
pub struct Composition {
    inline: TreeMap,
    result: TreeMap,
}

impl Composition {
    /// Starts with the inline values, which finally win.
    pub fn new(inline: Map<String, Json>) -> Self {
        Self {
            inline: TreeMap::from_json(inline),
            result: TreeMap::default(),
        }
    }

    /// Lays the values of a file over those before.
    pub fn merge(&mut self, values: Map<String, Json>) {
        self.result = self.result.merged(&TreeMap::from_json(values));
    }

    /// Sets a single value. The inline values are laid over those before first.
    pub fn set(&mut self, target: TargetPath<'_>, value: &str) -> Result<(), strvals::Error> {
        self.result = self.result.merged(&self.inline);
        let (value, grammar) = if target.literal {
            (escaped(value), Grammar::Strings)
        } else if is_quoted(value) {
            (value.trim_matches(['\'', '"']).to_owned(), Grammar::Strings)
        } else {
            (value.to_owned(), Grammar::Typed)
        };
        strvals::parse_into_tree(&self.result, &format!("{}={value}", target.path), grammar)
    }

    /// Returns the composed values.
    pub fn finish(self) -> Map<String, Json> {
        let mut values = self.result.to_json();
        merge(&mut values, self.inline.to_json());
        values
    }
}

fn is_quoted(value: &str) -> bool {
    ['\'', '"']
        .into_iter()
        .any(|quote| value.starts_with(quote) && value.ends_with(quote))
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\\' | ',' | '[' | ']' | '{' | '}') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    enum Step {
        Path(&'static str, &'static str),
        Root(Json),
    }

    fn object(value: &Json) -> Map<String, Json> {
        value.as_object().cloned().unwrap()
    }

    fn composed(inline: &Json, steps: Vec<Step>) -> Json {
        let mut composition = Composition::new(object(inline));
        for step in steps {
            match step {
                Step::Root(values) => composition.merge(object(&values)),
                Step::Path(path, value) => {
                    let target = TargetPath { path, literal: false };
                    composition.set(target, value).unwrap();
                }
            }
        }
        Json::Object(composition.finish())
    }

    #[test]
    fn the_winner_depends_on_what_is_shared() {
        use Step::{Path, Root};
        let cases = [
            (json!({"a": 1}), vec![Path("a", "2")], json!({"a": 1})),
            (
                json!({"a": {"b": 1}}),
                vec![Path("a.b", "2")],
                json!({"a": {"b": 2}}),
            ),
            (
                json!({"a": {"b": 1}}),
                vec![Root(json!({"a": {"c": 3}})), Path("a.b", "2")],
                json!({"a": {"b": 1, "c": 3}}),
            ),
            (
                json!({"a": {"b": {"c": 1}}}),
                vec![Root(json!({"a": {"d": 3}})), Path("a.b.c", "2")],
                json!({"a": {"b": {"c": 2}, "d": 3}}),
            ),
            (
                json!({"a": [1, 2]}),
                vec![Path("a[0]", "9")],
                json!({"a": [9, 2]}),
            ),
            (
                json!({"a": [1, 2]}),
                vec![Path("a[2]", "9")],
                json!({"a": [1, 2]}),
            ),
            (
                json!({"a": {"l": [1]}}),
                vec![Path("a.l[1]", "9")],
                json!({"a": {"l": [1, 9]}}),
            ),
            (
                json!({"x": 1}),
                vec![Path("a.b", "2"), Root(json!({"a": {"b": 5}}))],
                json!({"x": 1, "a": {"b": 5}}),
            ),
            (
                json!({"a": {"b": 1}}),
                vec![Path("a.b", "null")],
                json!({"a": {"b": null}}),
            ),
        ];
        for (inline, steps, expected) in cases {
            assert_eq!(composed(&inline, steps), expected);
        }
    }

    #[test]
    fn quotes_and_literals_keep_a_value_a_string() {
        assert_eq!(
            composed(&json!({}), vec![Step::Path("a", "'1'")]),
            json!({"a": "1"})
        );
        let mut composition = Composition::new(Map::new());
        let target = TargetPath {
            path: "a\\.b",
            literal: true,
        };
        composition.set(target, "{x},[\\y]").unwrap();
        assert_eq!(Json::Object(composition.finish()), json!({"a.b": "{x},[\\y]"}));
    }
}
