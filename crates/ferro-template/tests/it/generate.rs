//! Random values and formats, and random damage to templates: the same for the same seed.

use serde_json::{Map, Value as Json, json};

use crate::typed::{encode, text};

/// A small random number generator (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    /// Starts from a seed, and from the one in `FERRO_SEED` for other cases than usual.
    pub(crate) fn new(seed: u64) -> Self {
        let wished = std::env::var("FERRO_SEED").ok();
        let wished = wished.and_then(|seed| seed.parse::<u64>().ok()).unwrap_or(0);
        let seed = seed ^ wished.wrapping_mul(0xA076_1D64_78BD_642F);
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

pub(crate) const KEYS: [&str; 9] = ["a", "b", "c", "d", "Name", "Count", "Any", "Map", "zz"];
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
