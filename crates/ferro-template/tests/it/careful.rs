//! Random templates that seldom fail: the data has a fixed shape, and expressions have the types that the
//! functions ask for. Free ones (see `generate`) stop at an error before they have printed much.

use serde_json::{Value as Json, json};

use crate::generate::{self, Random};
use crate::typed::text;

const WORDS: [&str; 8] = ["alpha", "be ta", "<g>", "δ", "", "x\"y", "two\nlines", "%v"];

/// Data in which each key has its type: see [`CarefulText::path`].
pub(crate) fn data(random: &mut Random) -> Json {
    let word = |random: &mut Random| text(random.pick(&WORDS));
    let int = |random: &mut Random| json!({"t": "int", "v": random.below(6).to_string()});
    let entry =
        |random: &mut Random| json!({"t": "map[string]any", "m": {"a": int(random), "b": word(random)}});
    let entries: Vec<Json> = (0..random.below(3)).map(|_| entry(random)).collect();
    json!({"t": "map[string]any", "m": {
        "a": int(random),
        "b": word(random),
        "c": {"t": "[]any", "l": (0..random.below(4)).map(|_| generate::value(random, 0)).collect::<Vec<_>>()},
        "d": {"t": "map[string]any", "m": {"a": int(random), "b": word(random), "k-1": word(random)}},
        "e": {"t": "float64", "v": random.pick(&["0", "1.5", "1e6", "123456789", "0.00001", "-3"])},
        "f": {"t": "bool", "v": random.pick(&["true", "false"])},
        "g": {"t": "[]string", "l": [word(random), word(random)]},
        "h": {"t": "map[string]int", "m": {"z": int(random), "y": int(random)}},
        "i": {"t": "*thing", "v": crate::typed::encode(b"thing"), "l": [int(random)], "m": {"b": word(random)}},
        "l": {"t": "[]any", "l": entries},
    }})
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Int,
    Bool,
    List,
    Map,
    Any,
}

/// A template that reaches everything from `$`.
pub(crate) struct CarefulText<'r> {
    random: &'r mut Random,
    out: String,
    /// Variables of any type, innermost last.
    variables: Vec<&'static str>,
    range_depth: usize,
    level: usize,
}

impl<'r> CarefulText<'r> {
    pub(crate) fn new(random: &'r mut Random, level: usize) -> Self {
        Self {
            random,
            out: String::new(),
            variables: Vec::new(),
            range_depth: 0,
            level,
        }
    }

    pub(crate) fn generate(mut self, size: usize) -> String {
        self.nodes(size, 3);
        self.out
    }

    fn action(&mut self, inside: &str) {
        let left = self.random.pick(&["{{", "{{ ", "{{- "]);
        let right = self.random.pick(&["}}", " }}", " -}}"]);
        self.out.push_str(&format!("{left}{inside}{right}"));
    }

    fn nodes(&mut self, size: usize, depth: usize) {
        let scope = self.variables.len();
        for _ in 0..=self.random.below(size) {
            self.node(depth);
        }
        self.variables.truncate(scope);
    }

    fn node(&mut self, depth: usize) {
        match self.random.below(if depth == 0 { 7 } else { 14 }) {
            0 => self
                .out
                .push_str(self.random.pick(&["text ", "\n", "  - a: ", "é"])),
            1..=4 => {
                let pipeline = self.pipeline();
                self.action(&pipeline);
            }
            5 => self.declaration(),
            6 => self.call(),
            7..=9 => self.branch(depth),
            10..=12 => self.range(depth),
            _ => {
                if self.range_depth > 0 {
                    let condition = self.expr(Kind::Bool, 1);
                    let word = self.random.pick(&["break", "continue"]);
                    self.out
                        .push_str(&format!("{{{{if {condition}}}}}{{{{{word}}}}}{{{{end}}}}"));
                }
            }
        }
    }

    fn pipeline(&mut self) -> String {
        let kind = self.kind();
        let mut pipeline = self.expr(kind, 2);
        let stages = [
            "print \"<\"",
            "printf \"%v|%T\" 1",
            "list",
            "html",
            "js",
            "urlquery",
            "typeOf",
            "not",
            "and 1",
            "or 0",
        ];
        while self.random.one_in(3) {
            pipeline = format!("{pipeline} | {}", self.random.pick(&stages));
        }
        pipeline
    }

    fn kind(&mut self) -> Kind {
        [
            Kind::Text,
            Kind::Int,
            Kind::Bool,
            Kind::List,
            Kind::Map,
            Kind::Any,
        ][self.random.below(6)]
    }

    fn declaration(&mut self) {
        let name = self.random.pick(&["$x", "$y"]);
        let operator = if self.variables.contains(&name) && self.random.one_in(2) {
            "="
        } else {
            ":="
        };
        let value = self.pipeline();
        self.action(&format!("{name} {operator} {value}"));
        self.variables.push(name);
    }

    fn call(&mut self) {
        if self.level < 2 {
            let target = self.level + 1;
            let word = self.random.pick(&["template", "include"]);
            self.action(&format!("{word} \"t{target}\" $"));
        }
    }

    fn branch(&mut self, depth: usize) {
        let word = self.random.pick(&["if", "with"]);
        let condition = self.pipeline();
        self.action(&format!("{word} {condition}"));
        self.nodes(3, depth - 1);
        if self.random.one_in(3) {
            let condition = self.pipeline();
            self.action(&format!("else {word} {condition}"));
            self.nodes(2, depth - 1);
        }
        self.otherwise(depth);
    }

    fn otherwise(&mut self, depth: usize) {
        if self.random.one_in(2) {
            self.action("else");
            self.nodes(2, depth - 1);
        }
        self.action("end");
    }

    fn range(&mut self, depth: usize) {
        let scope = self.variables.len();
        let over = match self.random.below(4) {
            0 => self.expr(Kind::Map, 1),
            1 => self.expr(Kind::Int, 0),
            _ => self.expr(Kind::List, 1),
        };
        let is_int =
            over == "$.a" || over.starts_with(|c: char| c.is_ascii_digit()) || over.starts_with("(wantInt");
        let declared = match self.random.below(3) {
            0 => "",
            1 if !is_int && !over.starts_with("(len") && !over.starts_with("($.i.Sum") => "$x, $y := ",
            _ => "$x := ",
        };
        self.action(&format!("range {declared}{over}"));
        match declared {
            "" => {}
            "$x := " => self.variables.push("$x"),
            _ => self.variables.extend(["$x", "$y"]),
        }
        self.range_depth += 1;
        if self.random.one_in(2) {
            self.action(".");
        }
        self.nodes(3, depth - 1);
        self.range_depth -= 1;
        self.variables.truncate(scope);
        self.otherwise(depth);
    }

    fn path(&mut self, kind: Kind) -> &'static str {
        let paths: &[&str] = match kind {
            Kind::Text => &[
                "$.b",
                "$.d.b",
                "$.i.Name",
                "$.i.Hello",
                "$.i.Map.b",
                "\"lit\"",
                "`raw`",
                "\"a\\tb\"",
            ],
            Kind::Int => &["$.a", "$.d.a", "$.i.Count", "$.h.z", "0", "3", "1", "2"],
            Kind::Bool => &["$.f", "true", "false"],
            Kind::List => &["$.c", "$.g", "$.l"],
            Kind::Map => &["$.d", "$.h", "$.i.Map"],
            Kind::Any => &[
                "$.zz",
                "$.e",
                "nil",
                "1.5",
                "'x'",
                "$.i.Any",
                "$.d.zz",
                "$.e",
                "giveNil",
                "$.i.Nothing",
            ],
        };
        paths[self.random.below(paths.len())]
    }

    fn any(&mut self, depth: usize) -> String {
        if !self.variables.is_empty() && self.random.one_in(3) {
            let index = self.random.below(self.variables.len());
            return self.variables[index].to_owned();
        }
        let kind = self.kind();
        let text = self.expr(kind, depth);
        // A nil that starts a pipeline is an error.
        if text == "nil" { "$.zz".to_owned() } else { text }
    }

    fn expr(&mut self, kind: Kind, depth: usize) -> String {
        if depth == 0 || self.random.one_in(3) {
            let path = self.path(kind);
            return if path == "nil" {
                "$.zz".to_owned()
            } else {
                path.to_owned()
            };
        }
        let depth = depth - 1;
        match (kind, self.random.below(5)) {
            (Kind::Text, 0) => format!("(print {} {})", self.any(depth), self.any(depth)),
            (Kind::Text, 1) => format!(
                "(printf \"%v %5d|%q\" {} {} {})",
                self.any(depth),
                self.expr(Kind::Int, depth),
                self.expr(Kind::Text, depth)
            ),
            (Kind::Text, 2) => format!("(html {} | js)", self.any(depth)),
            (Kind::Text, 3) => format!("($.i.Greet {})", self.expr(Kind::Text, depth)),
            (Kind::Text, _) => format!("(println {} {})", self.any(depth), self.any(depth)),
            (Kind::Int, 0) => format!("(len {})", self.expr(Kind::List, depth)),
            (Kind::Int, 1) => format!("($.i.Sum {} 2)", self.expr(Kind::Int, depth)),
            (Kind::Int, _) => format!("(wantInt {})", self.expr(Kind::Int, depth)),
            (Kind::Bool, 0) => format!(
                "(eq {} {})",
                self.expr(Kind::Text, depth),
                self.expr(Kind::Text, depth)
            ),
            (Kind::Bool, 1) => format!(
                "(lt {} {})",
                self.expr(Kind::Int, depth),
                self.expr(Kind::Int, depth)
            ),
            (Kind::Bool, 2) => format!("(not {})", self.any(depth)),
            (Kind::Bool, 3) => format!(
                "(ge {} {})",
                self.expr(Kind::Text, depth),
                self.expr(Kind::Text, depth)
            ),
            (Kind::Bool, _) => format!(
                "(ne {} {})",
                self.expr(Kind::Int, depth),
                self.expr(Kind::Int, depth)
            ),
            (Kind::List, 0) => format!("(list {} {})", self.any(depth), self.any(depth)),
            (Kind::List, 1) => format!("(slice {} 0 1)", "$.g"),
            (Kind::List, _) => format!("(list {} $.c)", self.any(depth)),
            (Kind::Map, _) => format!(
                "(dict \"k\" {} {} 2)",
                self.any(depth),
                self.expr(Kind::Text, depth)
            ),
            (Kind::Any, 0) => format!("(or {} {})", self.any(depth), self.any(depth)),
            (Kind::Any, 1) => format!("(and {} {})", self.any(depth), self.any(depth)),
            (Kind::Any, 2) => format!("(index $.d {})", self.expr(Kind::Text, depth)),
            (Kind::Any, _) => format!("(index $.g {})", self.random.below(2)),
        }
    }
}
