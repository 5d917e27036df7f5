//! Random templates that try everything with everything, and mostly fail for it.

use crate::generate::{KEYS, Random};

/// Templates of which each may call those with higher numbers.
pub(crate) struct TemplateText<'r> {
    random: &'r mut Random,
    out: String,
    variables: Vec<String>,
    range_depth: usize,
    level: usize,
}

const ONE_ARG: [&str; 26] = [
    "not",
    "len",
    "print",
    "html",
    "js",
    "urlquery",
    "wantString",
    "wantInt",
    "wantInt8",
    "wantUint",
    "wantFloat",
    "wantFloat32",
    "wantComplex",
    "wantBool",
    "wantAny",
    "wantList",
    "wantStrings",
    "wantMap",
    "wantError",
    "wantDuration",
    "typeOf",
    "fail",
    "list",
    "println",
    "wantRest",
    "call",
];
const MANY_ARGS: [&str; 20] = [
    "and", "or", "eq", "ne", "lt", "le", "gt", "ge", "index", "slice", "print", "printf", "println", "list",
    "dict", "wantMany", "wantRest", "html", "call", "len",
];
const NUMBERS: [&str; 34] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "+2",
    "12",
    "0x1F",
    "0b11",
    "0o17",
    "017",
    "1_0",
    "1.5",
    "-2.5",
    ".5",
    "1.",
    "1e1",
    "3.0",
    "0x1p4",
    "'a'",
    "'\\n'",
    "'\\u00e9'",
    "'世'",
    "1i",
    "2.5i",
    "1+2i",
    "1e3-1i",
    "0i",
    "1_000.5",
    "-0",
    "'\\''",
    "0X1P-2",
    "0x.8p1",
    "2E-2",
];
const STRINGS: [&str; 12] = [
    "\"\"",
    "\"a\"",
    "\"b\"",
    "\"abc\"",
    "`raw`",
    "\"\\t\\\"x\\\"\"",
    "\"%d %s\"",
    "\"%v|%5.1f\"",
    "\"h\\u00e9\"",
    "`a\nb`",
    "\"\\xff\"",
    "\"Name\"",
];

impl<'r> TemplateText<'r> {
    pub(crate) fn new(random: &'r mut Random, level: usize) -> Self {
        Self {
            random,
            out: String::new(),
            variables: vec!["$".to_owned()],
            range_depth: 0,
            level,
        }
    }

    pub(crate) fn generate(mut self, size: usize) -> String {
        self.nodes(size, 3);
        self.out
    }

    fn nodes(&mut self, size: usize, depth: usize) {
        for _ in 0..=self.random.below(size) {
            self.node(depth);
        }
    }

    fn open(&mut self) {
        let delim = self.random.pick(&["{{", "{{", "{{", "{{ ", "{{- ", "{{-\n"]);
        self.out.push_str(delim);
    }

    fn close(&mut self) {
        let delim = self.random.pick(&["}}", "}}", "}}", " }}", " -}}", "\n-}}"]);
        self.out.push_str(delim);
    }

    fn node(&mut self, depth: usize) {
        let control = if depth == 0 { 8 } else { 17 };
        match self.random.below(control) {
            0 | 1 => {
                let text = self
                    .random
                    .pick(&["x", " ", "\n", "  text\n", "\tα ", "-", "}}", "{"]);
                self.out.push_str(text);
            }
            2 => self.out.push_str(
                self.random
                    .pick(&["{{/* c */}}", "{{- /* c */ -}}", "{{/*\n*/ -}}"]),
            ),
            3..=6 => {
                self.open();
                self.pipeline(depth.min(2));
                self.close();
            }
            7 => self.declaration(depth),
            8..=10 => self.branch("if", depth),
            11 => self.branch("with", depth),
            12..=14 => self.range(depth),
            15 => self.call_template(),
            _ => self.jump(),
        }
    }

    fn jump(&mut self) {
        if self.range_depth > 0 {
            self.open();
            let word = self.random.pick(&["break", "continue"]);
            self.out.push_str(word);
            self.close();
        }
    }

    fn call_template(&mut self) {
        if self.level >= 3 {
            return;
        }
        let target = self.level + 1 + self.random.below(3 - self.level);
        self.open();
        match self.random.below(4) {
            0 => self.out.push_str(&format!("template \"t{target}\"")),
            1 => {
                self.out.push_str(&format!("include \"t{target}\" "));
                self.operand(1);
            }
            _ => {
                self.out.push_str(&format!("template \"t{target}\" "));
                self.pipeline(1);
            }
        }
        self.close();
    }

    fn declaration(&mut self, depth: usize) {
        let name = self.random.pick(&["$x", "$y", "$z"]).to_owned();
        let is_known = self.variables.contains(&name);
        self.open();
        let operator = if is_known && self.random.one_in(2) {
            "="
        } else {
            ":="
        };
        self.out.push_str(&format!("{name} {operator} "));
        self.variables.push(name);
        self.pipeline(depth.min(2));
        self.close();
    }

    fn branch(&mut self, word: &str, depth: usize) {
        let scope = self.variables.len();
        self.open();
        self.out.push_str(word);
        self.out.push(' ');
        if self.random.one_in(5) {
            self.out.push_str("$x := ");
            self.variables.push("$x".to_owned());
        }
        self.pipeline(2);
        self.close();
        self.nodes(3, depth - 1);
        if self.random.one_in(3) {
            self.open();
            self.out.push_str(&format!("else {word} "));
            self.pipeline(1);
            self.close();
            self.nodes(2, depth - 1);
        }
        self.end_with_else(depth);
        self.variables.truncate(scope);
    }

    fn end_with_else(&mut self, depth: usize) {
        if self.random.one_in(3) {
            self.open();
            self.out.push_str("else");
            self.close();
            self.nodes(2, depth - 1);
        }
        self.open();
        self.out.push_str("end");
        self.close();
    }

    fn range(&mut self, depth: usize) {
        let scope = self.variables.len();
        self.open();
        self.out.push_str("range ");
        let has_both =
            self.variables.iter().any(|name| name == "$x") && self.variables.iter().any(|name| name == "$y");
        match self.random.below(6) {
            0 => self.declare_range(&["$x"], ":="),
            1 | 2 => self.declare_range(&["$x", "$y"], ":="),
            3 if has_both => self.declare_range(&["$x", "$y"], "="),
            4 if has_both => self.declare_range(&["$y"], "="),
            _ => {}
        }
        self.pipeline(1);
        self.close();
        self.range_depth += 1;
        self.nodes(3, depth - 1);
        self.range_depth -= 1;
        self.end_with_else(depth);
        self.variables.truncate(scope);
    }

    fn declare_range(&mut self, names: &[&str], operator: &str) {
        self.out.push_str(&format!("{} {operator} ", names.join(", ")));
        self.variables.extend(names.iter().map(|name| (*name).to_owned()));
    }

    fn pipeline(&mut self, depth: usize) {
        self.command(depth);
        while self.random.one_in(4) {
            self.out.push_str(self.random.pick(&[" | ", "|", " |\n"]));
            if self.random.one_in(6) {
                self.field();
            } else if self.random.one_in(2) {
                let name = self.random.pick(&ONE_ARG);
                self.out.push_str(name);
            } else {
                let name = self.random.pick(&MANY_ARGS);
                self.out.push_str(name);
                self.out.push(' ');
                self.operand(depth.saturating_sub(1));
            }
        }
    }

    fn command(&mut self, depth: usize) {
        match self.random.below(8) {
            0..=3 => self.operand(depth),
            4 | 5 => {
                let name = self.random.pick(&ONE_ARG);
                self.out.push_str(name);
                self.out.push(' ');
                self.operand(depth.saturating_sub(1));
            }
            6 => {
                let name = self.random.pick(&MANY_ARGS);
                self.out.push_str(name);
                for _ in 0..self.random.below(4) {
                    self.out.push(' ');
                    self.operand(depth.saturating_sub(1));
                }
            }
            _ => {
                self.method();
                for _ in 0..self.random.below(3) {
                    self.out.push(' ');
                    self.operand(depth.saturating_sub(1));
                }
            }
        }
    }

    fn method(&mut self) {
        self.field();
        let name = self.random.pick(&[
            ".Hello",
            ".Greet",
            ".Sum",
            ".Nothing",
            ".Fail",
            ".Size",
            ".Pick",
            ".hidden",
            ".Nothing.x",
            ".Any.b",
        ]);
        if self.out.ends_with('.') {
            self.out.pop();
        }
        self.out.push_str(name);
    }

    fn field(&mut self) {
        if self.random.one_in(3) {
            let index = self.random.below(self.variables.len());
            let name = self.variables[index].clone();
            self.out.push_str(&name);
        } else if self.random.one_in(6) {
            return self.out.push('.');
        } else {
            let key = self.random.pick(&KEYS);
            self.out.push_str(&format!(".{key}"));
        }
        while self.random.one_in(3) {
            let key = self.random.pick(&KEYS);
            self.out.push_str(&format!(".{key}"));
        }
    }

    fn operand(&mut self, depth: usize) {
        match self.random.below(if depth == 0 { 13 } else { 16 }) {
            0..=5 => self.field(),
            6 | 7 => {
                let number = self.random.pick(&NUMBERS);
                self.out.push_str(number);
            }
            8 | 9 => {
                let string = self.random.pick(&STRINGS);
                self.out.push_str(string);
            }
            10 => self.out.push_str(self.random.pick(&["true", "false", "nil"])),
            11 => self.out.push_str(self.random.pick(&[
                "wantNothing",
                "giveNil",
                "giveAny",
                "giveAny.a",
                "list",
            ])),
            12 => self.out.push('.'),
            _ => {
                self.out.push('(');
                if self.random.one_in(10) {
                    self.out.push_str("$x := ");
                    self.variables.push("$x".to_owned());
                }
                self.pipeline(depth - 1);
                self.out.push(')');
                while self.random.one_in(3) {
                    let key = self.random.pick(&KEYS);
                    self.out.push_str(&format!(".{key}"));
                }
            }
        }
    }
}
