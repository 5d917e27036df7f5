//! Random arguments.

use ferro_template::types::{ANY_MAP, ANY_SLICE};
use ferro_template::{IntKind, Kind, Type};
use serde_json::{Map, Value as Json, json};

use crate::render::latin;

/// A small generator with a fixed seed.
pub(crate) struct Random {
    state: u64,
    /// Only texts that are UTF-8, numbers that JSON has, and no times.
    pub(crate) plain: bool,
}

const TEXTS: &[&[u8]] = &[
    b"",
    b" ",
    b"a",
    b"abc",
    b"hello world",
    b"Hello World",
    b"foo-bar_baz",
    b"HTTPServerName",
    b"First Name2",
    b"true",
    b"false",
    b"0",
    b"1",
    b"-3",
    b"42",
    b"010",
    b"0x1f",
    b"1_000",
    b"1.5",
    b"1e3",
    b"9.0",
    b"08",
    b" 5",
    b"999999999999999999999",
    b"a,b,c",
    b"a/b/../c.txt",
    b"/x//y/",
    b"k: v",
    b"- a\n- b",
    b"{\"a\": [1, 2.5, null]}",
    b"[1, \"x\"]",
    b"null",
    b"a: 1\nb: [x, y]\n",
    b"line one\nline two\n",
    b"\ttab",
    b"\xc3\xa9t\xc3\xa9",
    b"na\xc3\xafve \xe2\x82\xac",
    b"\xff\xfe",
    b"a\xe2\x82",
    b"\xf0\x9f\x98\x80",
    b"1.2.3",
    b"v1.2",
    b"1.2.3-rc.1+b5",
    b">=1.0 <2.0",
    b"^1.2",
    b"~1.2.3 || *",
    b"http://u:p@host:80/p?q=1#f",
    b"mailto:x@y",
    b"::bad",
    b"2024-02-29",
    b"2006-01-02",
    b"2006-01-02T15:04:05Z07:00",
    b"2024-05-06T07:08:09Z",
    b"Mon Jan _2 15:04:05 MST 2006",
    b"1h30m",
    b"-5s",
    b"90",
    b"3d",
    b"Europe/Paris",
    b"America/New_York",
    b"Nowhere/X",
    b"a+",
    b"(a)(b)?",
    b"[a-z]+",
    b"(",
    b"x*",
    b"\\d+",
    b"$1-${2}",
    b"a.b",
    b"SGVsbG8=",
    b"SGVsbG8",
    b"JBSWY3DP",
    b"!!",
    b"int",
    b"string",
    b"map[string]interface {}",
    b"slice",
    b"map",
    b"\x00\x01\x7f",
    b"<a href=\"x\">&'</a>",
    b"ABCD efgh IJ",
    b"a = 1\n[t]\nb = \"x\"\n",
    b"the quick brown fox jumps over the lazy dog and then some more words to fill the line",
    b"\xc7\x86\xc3\x9f\xc4\xb0",
    b"\xe2\x80\xa8",
    b"on",
    b"yes",
    b"~",
    b"'q' \"d\" `b`",
];

impl Random {
    /// Starts from a seed, and from the one in `FERRO_SEED` for other cases than usual.
    pub(crate) fn new(seed: u64) -> Self {
        let wished = std::env::var("FERRO_SEED").ok();
        let wished = wished.and_then(|seed| seed.parse::<u64>().ok()).unwrap_or(0);
        Self {
            state: seed ^ wished.wrapping_mul(0xA076_1D64_78BD_642F) ^ 0x9E37_79B9_7F4A_7C15,
            plain: false,
        }
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % bound as u64) as usize
    }

    pub(crate) fn one_in(&mut self, chance: usize) -> bool {
        self.below(chance) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    pub(crate) fn text(&mut self) -> Vec<u8> {
        loop {
            let text = self.any_text();
            if !self.plain || std::str::from_utf8(&text).is_ok() {
                return text;
            }
        }
    }

    fn any_text(&mut self) -> Vec<u8> {
        match self.below(8) {
            0 => (0..self.below(12))
                .map(|_| self.pick(b"abzAZ019 -_.,:/\n\t{}[]'\"#&*!|>%@`\\=+"))
                .collect(),
            1 => [self.pick(TEXTS), self.pick(TEXTS)].concat(),
            2 => {
                let chars = [
                    'a', 'B', '1', ' ', '-', '_', 'é', 'ß', 'Ǆ', '中', '\u{2028}', '😀', 'İ', 'ⅷ', '٣', '“',
                    '$',
                ];
                (0..self.below(8))
                    .map(|_| self.pick(&chars))
                    .collect::<String>()
                    .into_bytes()
            }
            _ => self.pick(TEXTS).to_vec(),
        }
    }

    fn key(&mut self) -> String {
        self.pick(&[
            "a",
            "b",
            "c",
            "A",
            "a1",
            "a10",
            "a2",
            "x-y",
            "x.y",
            "",
            "yes",
            "1",
            "k:",
            "key with space",
            "ñ",
        ])
        .to_owned()
    }

    /// A number that no function makes something huge of.
    pub(crate) fn small(&mut self) -> i64 {
        if self.one_in(10) {
            return self.pick(&[100, 255, -100, 63]);
        }
        self.below(20) as i64 - 6
    }

    fn number(&mut self) -> i64 {
        match self.below(6) {
            0 => self.pick(&[
                i64::MAX,
                i64::MIN,
                1 << 53,
                (1 << 53) + 1,
                1_700_000_000,
                951_782_400,
                -1,
                1_000_000,
            ]),
            1 => self.below(100_000) as i64,
            _ => self.small(),
        }
    }

    fn float(&mut self) -> String {
        match self.below(5) {
            0 if !self.plain => self
                .pick(&[
                    "NaN", "Inf", "-Inf", "-0", "1e20", "-1e300", "1e-7", "5e-324", "0.1",
                ])
                .to_owned(),
            1 => format!("{}", self.number()),
            _ => format!("{}e-{}", self.number(), self.below(8)),
        }
    }

    /// A value of any type, described.
    pub(crate) fn any(&mut self, depth: usize) -> Json {
        let kinds = if depth == 0 { 9 } else { 16 };
        match self.below(kinds) {
            0 => Json::Null,
            1 => json!({"bool": self.one_in(2)}),
            2 | 3 => json!({"string": latin(&self.text())}),
            4 => json!({"int": self.number().to_string()}),
            5 => json!({"float64": self.float()}),
            6 => json!({"int64": self.number().to_string()}),
            7 => json!({ self.pick(&["int32", "uint8"]): self.below(120).to_string() }),
            8 => self.rare(),
            9..12 => self.list(depth - 1),
            _ => self.map(depth - 1),
        }
    }

    fn rare(&mut self) -> Json {
        match self.below(8) {
            0 if !self.plain => json!({"bytes": latin(&self.text())}),
            1 => json!({"strings": (0..self.below(4)).map(|_| latin(&self.text())).collect::<Vec<_>>()}),
            2 => json!({"ints": (0..self.below(4)).map(|_| self.small()).collect::<Vec<_>>()}),
            3 => json!({"texts": { self.key(): latin(&self.text()), self.key(): latin(&self.text()) }}),
            4 => json!({"nil list": null}),
            5 => json!({"nil map": null}),
            6 if !self.plain => {
                json!({"time": self.pick(&[0, 1_700_000_000, 951_782_400, -62_135_596_800, 4_102_444_800_i64]).to_string()})
            }
            _ => json!({"duration": self.number().to_string()}),
        }
    }

    pub(crate) fn list(&mut self, depth: usize) -> Json {
        json!({"list": (0..self.below(5)).map(|_| self.any(depth)).collect::<Vec<_>>()})
    }

    pub(crate) fn map(&mut self, depth: usize) -> Json {
        let entries: Map<String, Json> = (0..self.below(5))
            .map(|_| (self.key(), self.any(depth)))
            .collect();
        json!({"map": entries})
    }

    /// A value of the type that a parameter has.
    pub(crate) fn of_type(&mut self, ty: &Type) -> Json {
        match ty.kind() {
            Kind::Bool => json!({"bool": self.one_in(2)}),
            Kind::Int(IntKind::Int) => json!({"int": self.small().to_string()}),
            Kind::Int(_) => json!({"int64": self.small().to_string()}),
            Kind::Float64 => json!({"float64": self.float()}),
            Kind::String => json!({"string": latin(&self.text())}),
            _ if ty == ANY_SLICE => self.list(2),
            _ if ty == ANY_MAP => self.map(2),
            Kind::Struct => {
                json!({"time": self.pick(&[0, 1_700_000_000, 951_782_400, -62_135_596_800_i64]).to_string()})
            }
            _ => self.any(3),
        }
    }
}
