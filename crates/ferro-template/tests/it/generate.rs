//! Random values, templates and formats, the same for the same seed.

use serde_json::{Map, Value as Json, json};

use crate::typed::{encode, text};

/// A small random number generator (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66_D1CE_4E5B)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

const KEYS: [&str; 9] = ["a", "b", "c", "d", "Name", "Count", "Any", "Map", "zz"];
const TEXTS: [&str; 14] = [
    "",
    "a",
    "b",
    "abc",
    "héllo",
    "<b>&'\"</b>",
    "1",
    "true",
    "x y",
    "日本",
    "a\nb\t",
    "\\",
    "%d",
    "=\u{200b}",
];
const FLOATS: [&str; 22] = [
    "0",
    "-0",
    "1",
    "1.5",
    "-2.25",
    "100000",
    "999999",
    "1000000",
    "1234567",
    "12345678.9",
    "1e20",
    "1e21",
    "0.0001",
    "0.00001",
    "3.0",
    "1e-7",
    "123456789",
    "5e-324",
    "1.7976931348623157e308",
    "0.1",
    "2.5",
    "1e100",
];

/// A value for templates: its integers are small, because `range` goes through them.
pub(crate) fn value(random: &mut Random, depth: usize) -> Json {
    let kinds = if depth == 0 { 16 } else { 34 };
    match random.below(kinds) {
        0 => json!({"t": "nil"}),
        1 => json!({"t": "bool", "v": random.pick(&["true", "false"])}),
        2 | 3 => small_int(random),
        4 | 5 => json!({"t": "float64", "v": random.pick(&FLOATS)}),
        6..=8 => text(random.pick(&TEXTS)),
        9 => {
            json!({"t": random.pick(&["float32", "float64"]), "v": random.pick(&["0.1", "2.5", "1e10", "0"])})
        }
        10 => json!({"t": "string", "v": encode(&[0xC3, 0x28, b'x', 0xE6, 0x97][random.below(3)..])}),
        11 => json!({"t": random.pick(&["duration", "month"]), "v": random.below(14).to_string()}),
        12 => {
            json!({"t": random.pick(&["spoken", "error", "[]byte"]), "v": encode(random.pick(&TEXTS).as_bytes())})
        }
        13 => json!({"t": random.pick(&["nil map", "nil slice", "nil thing"])}),
        14 => json!({"t": "complex128", "l": [{"v": random.pick(&FLOATS)}, {"v": random.pick(&FLOATS)}]}),
        15 => json!({"t": "[]string", "l": [text("p"), text(random.pick(&TEXTS))]}),
        16..=19 => list(random, depth, "[]any", value),
        20 => list(
            random,
            1,
            "[]int",
            |random, _| json!({"t": "int", "v": random.below(5).to_string()}),
        ),
        21 => list(random, depth, "[][]any", |random, depth| {
            list(random, depth, "[]any", value)
        }),
        22 => list(
            random,
            1,
            "[]float64",
            |random, _| json!({"t": "float64", "v": random.pick(&FLOATS)}),
        ),
        23 => map(random, "map[string]string", |random| text(random.pick(&TEXTS))),
        24 => map(
            random,
            "map[string]int",
            |random| json!({"t": "int", "v": random.below(5).to_string()}),
        ),
        25 => {
            json!({"t": "map[int]any", "m": {"10": value(random, 0), "9": value(random, 0), "-1": value(random, 0)}})
        }
        26 => json!({"t": "map[bool]string", "m": {"true": text("yes"), "false": text("no")}}),
        27 => map(random, "table", |random| value(random, depth - 1)),
        28 | 29 => thing(random, depth),
        _ => map(random, "map[string]any", |random| value(random, depth - 1)),
    }
}

fn small_int(random: &mut Random) -> Json {
    let kinds = [
        "int", "int", "int", "int8", "int32", "int64", "uint", "uint8", "uint16", "uint64",
    ];
    let kind = random.pick(&kinds);
    let number = random.below(12);
    let sign = if !kind.starts_with('u') && random.one_in(4) {
        "-"
    } else {
        ""
    };
    json!({"t": kind, "v": format!("{sign}{number}")})
}

fn list(random: &mut Random, depth: usize, ty: &str, item: impl Fn(&mut Random, usize) -> Json) -> Json {
    let items: Vec<Json> = (0..random.below(4))
        .map(|_| item(random, depth.saturating_sub(1)))
        .collect();
    json!({"t": ty, "l": items})
}

fn map(random: &mut Random, ty: &str, mut item: impl FnMut(&mut Random) -> Json) -> Json {
    let mut entries = Map::new();
    for _ in 0..random.below(5) {
        let key = random.pick(&KEYS[..8]);
        entries.insert(key.to_owned(), item(random));
    }
    json!({"t": ty, "m": entries})
}

fn thing(random: &mut Random, depth: usize) -> Json {
    let ty = random.pick(&["thing", "*thing"]);
    let items: Vec<Json> = (0..random.below(3)).map(|_| value(random, depth - 1)).collect();
    let mut thing = json!({"t": ty, "v": encode(random.pick(&TEXTS).as_bytes()), "l": items});
    if random.one_in(2) {
        thing["m"] = map(random, "", |random| value(random, depth - 1))["m"].take();
    }
    thing
}

/// The data of a template: a map with most of the keys.
pub(crate) fn data(random: &mut Random) -> Json {
    if random.one_in(12) {
        return value(random, 3);
    }
    let mut entries = Map::new();
    for key in &KEYS[..8] {
        if !random.one_in(6) {
            entries.insert((*key).to_owned(), value(random, 3));
        }
    }
    let ty = if random.one_in(10) {
        "table"
    } else {
        "map[string]any"
    };
    json!({"t": ty, "m": entries})
}

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

const PIECES: [&str; 60] = [
    "{{",
    "}}",
    "{{-",
    "-}}",
    "{{- ",
    " -}}",
    "/*",
    "*/",
    "{{/*",
    "*/}}",
    "(",
    ")",
    "|",
    ":=",
    "=",
    ",",
    ".",
    "..",
    "$",
    "$x",
    "$x.y",
    "\"",
    "`",
    "'",
    "\\",
    "\n",
    " ",
    "\t",
    "end",
    "else",
    "if",
    "range",
    "with",
    "define",
    "block",
    "template",
    "break",
    "continue",
    "nil",
    "true",
    "{{end}}",
    "{{else}}",
    "{{else if .a}}",
    "{{define \"q\"}}",
    "{{block \"q\" .}}",
    "{{template \"q\"}}",
    "1",
    "0x",
    "1e",
    "1i",
    "+",
    "-",
    "é",
    "\u{200b}",
    "#",
    "\0",
    "undefined",
    "{{range $i, $e := .a}}",
    "{{break}}",
    "$i, $e",
];

/// Breaks a template in a few places.
pub(crate) fn mutate(random: &mut Random, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(8)).min(bytes.len());
        match random.below(5) {
            0 => drop(bytes.drain(at..end)),
            1 | 2 => drop(bytes.splice(at..at, random.pick(&PIECES).bytes())),
            3 => drop(bytes.splice(at..end, random.pick(&PIECES).bytes())),
            _ => {
                let copied = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                drop(bytes.splice(to..to, copied));
            }
        }
    }
    bytes
}

/// A format with verbs good and bad.
pub(crate) fn format(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..random.below(5) {
        match random.below(6) {
            0 => out.extend_from_slice(random.pick(&["x", " ", "é", "100%%", "\n"]).as_bytes()),
            _ => verb(random, &mut out),
        }
    }
    if random.one_in(20) {
        out.extend_from_slice(
            random
                .pick(&["%", "%5", "%-", "%.", "%[1]", "%\u{e9}", "%!", "%[", "%*"])
                .as_bytes(),
        );
    }
    if random.one_in(30) {
        out.extend_from_slice(b"%\xff");
    }
    out
}

fn verb(random: &mut Random, out: &mut Vec<u8>) {
    out.push(b'%');
    while random.one_in(3) {
        out.extend_from_slice(random.pick(&["+", "-", "#", "0", " "]).as_bytes());
    }
    if random.one_in(8) {
        out.extend_from_slice(
            random
                .pick(&["[1]", "[2]", "[3]", "[0]", "[9]", "[x]", "[]", "[1"])
                .as_bytes(),
        );
    }
    if random.one_in(3) {
        out.extend_from_slice(
            random
                .pick(&["1", "3", "8", "12", "20", "*", "[1]*", "30"])
                .as_bytes(),
        );
    }
    if random.one_in(3) {
        out.extend_from_slice(
            random
                .pick(&[".", ".0", ".1", ".2", ".5", ".20", ".*", ".[2]*", ".3"])
                .as_bytes(),
        );
    }
    if random.one_in(15) {
        out.extend_from_slice(random.pick(&["[1]", "[2]"]).as_bytes());
    }
    let verbs = b"vvvvvvddsssqqxXbobOceEfFgGtTUwzjk%!";
    out.push(verbs[random.below(verbs.len())]);
}

/// An operand of a format: any value, with numbers of every size.
pub(crate) fn operand(random: &mut Random) -> Json {
    match random.below(5) {
        0 => {
            let kind = random.pick(&["int", "int8", "int16", "int32", "int64"]);
            let bits = random.next() >> random.below(64);
            let wide = match kind {
                "int8" => i64::from(bits as i8),
                "int16" => i64::from(bits as i16),
                "int32" => i64::from(bits as i32),
                _ => bits as i64,
            };
            json!({"t": kind, "v": wide.to_string()})
        }
        1 => {
            let kind = random.pick(&["uint", "uint8", "uint16", "uint32", "uint64"]);
            let bits = random.next() >> random.below(64);
            let wide = match kind {
                "uint8" => u64::from(bits as u8),
                "uint16" => u64::from(bits as u16),
                "uint32" => u64::from(bits as u32),
                _ => bits,
            };
            json!({"t": kind, "v": wide.to_string()})
        }
        2 => {
            let number = f64::from_bits(random.next());
            let shown = if number.is_nan() {
                "NaN".to_owned()
            } else {
                format!("{number:e}")
            };
            json!({"t": "float64", "v": shown.replace("inf", "Inf")})
        }
        3 => {
            let number = f32::from_bits(random.next() as u32);
            let shown = if number.is_nan() {
                "NaN".to_owned()
            } else {
                format!("{number:e}")
            };
            json!({"t": "float32", "v": shown.replace("inf", "Inf")})
        }
        _ => without_inner_pointers(&value(random, 2)),
    }
}

/// Pointers within values print as addresses, which differ from run to run.
fn without_inner_pointers(value: &Json) -> Json {
    let text = value
        .to_string()
        .replace("*thing", "thing")
        .replace("\"error\"", "\"spoken\"");
    let mut out: Json = serde_json::from_str(&text).unwrap();
    out["t"] = value["t"].clone();
    out
}
