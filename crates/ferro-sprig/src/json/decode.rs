//! JSON text read as `encoding/json` reads it into an empty interface.

use ferro_gocompat::quote::quote;
use ferro_template::{Map, Text, Value};

use crate::text::runes;

/// Deeper texts are refused, as in Go.
const MAX_DEPTH: usize = 10_000;

/// What was read, and what was wrong with it. A number that is too large is a nil, and the rest is read.
pub(crate) struct Decoded {
    pub(crate) value: Value,
    pub(crate) problem: Option<String>,
}

/// Reads one value.
pub(crate) fn decode(input: &[u8]) -> Decoded {
    let mut decoder = Decoder {
        input,
        at: 0,
        depth: 0,
        number_problem: None,
    };
    match decoder.document() {
        Ok(value) => Decoded {
            value,
            problem: decoder.number_problem,
        },
        Err(problem) => Decoded {
            value: Value::Nil,
            problem: Some(problem),
        },
    }
}

struct Decoder<'i> {
    input: &'i [u8],
    at: usize,
    depth: usize,
    number_problem: Option<String>,
}

type Read<T> = Result<T, String>;

impl Decoder<'_> {
    fn document(&mut self) -> Read<Value> {
        let first = self.significant()?;
        let value = self.value(first)?;
        self.skip_blanks();
        match self.input.get(self.at) {
            Some(byte) => Err(unexpected(*byte, "after top-level value")),
            None => Ok(value),
        }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.input.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Takes the next byte that is no blank.
    fn significant(&mut self) -> Read<u8> {
        self.skip_blanks();
        let byte = self.input.get(self.at).copied();
        self.at += 1;
        byte.ok_or_else(|| "unexpected end of JSON input".to_owned())
    }

    /// Looks at the next byte; Go's scanner sees a blank behind the end.
    fn peek(&self) -> u8 {
        self.input.get(self.at).copied().unwrap_or(b' ')
    }

    fn value(&mut self, first: u8) -> Read<Value> {
        match first {
            b'{' => self.nested(first, Self::object),
            b'[' => self.nested(first, Self::array),
            b'"' => self.string().map(|text| Value::Str(Text::from_bytes(&text))),
            b'-' | b'0'..=b'9' => self.number(first),
            b't' => self.literal("true", Value::Bool(true)),
            b'f' => self.literal("false", Value::Bool(false)),
            b'n' => self.literal("null", Value::Nil),
            _ => Err(unexpected(first, "looking for beginning of value")),
        }
    }

    fn nested(&mut self, first: u8, read: fn(&mut Self) -> Read<Value>) -> Read<Value> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(unexpected(first, "exceeded max depth"));
        }
        let value = stacker::maybe_grow(64 << 10, 1 << 20, || read(self));
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Read<Value> {
        let map = Map::new();
        let mut byte = self.significant()?;
        if byte == b'}' {
            return Ok(Value::Map(map));
        }
        loop {
            if byte != b'"' {
                return Err(unexpected(byte, "looking for beginning of object key string"));
            }
            let key = self.string()?;
            let colon = self.significant()?;
            if colon != b':' {
                return Err(unexpected(colon, "after object key"));
            }
            let first = self.significant()?;
            map.insert(key, self.value(first)?);
            match self.significant()? {
                b'}' => return Ok(Value::Map(map)),
                b',' => byte = self.significant()?,
                other => return Err(unexpected(other, "after object key:value pair")),
            }
        }
    }

    fn array(&mut self) -> Read<Value> {
        let mut items = Vec::new();
        let mut first = self.significant()?;
        if first == b']' {
            return Ok(Value::list(items));
        }
        loop {
            items.push(self.value(first)?);
            match self.significant()? {
                b']' => return Ok(Value::list(items)),
                b',' => first = self.significant()?,
                other => return Err(unexpected(other, "after array element")),
            }
        }
    }

    fn literal(&mut self, word: &str, value: Value) -> Read<Value> {
        for expected in word.bytes().skip(1) {
            let byte = self.peek();
            if byte != expected {
                let place = format!("in literal {word} (expecting '{}')", char::from(expected));
                return Err(unexpected(byte, &place));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn number(&mut self, first: u8) -> Read<Value> {
        let start = self.at - 1;
        let leading = if first == b'-' {
            let byte = self.peek();
            if !byte.is_ascii_digit() {
                return Err(unexpected(byte, "in numeric literal"));
            }
            self.at += 1;
            byte
        } else {
            first
        };
        if leading != b'0' {
            self.digits();
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.required_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.required_digits("in exponent of numeric literal")?;
        }
        let text = self.input.get(start..self.at).unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Value::Float(value)),
            _ => {
                self.number_problem.get_or_insert_with(|| {
                    format!("json: cannot unmarshal number {text} into Go value of type float64")
                });
                Ok(Value::Nil)
            }
        }
    }

    fn digits(&mut self) {
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
    }

    fn required_digits(&mut self, place: &str) -> Read<()> {
        if !self.peek().is_ascii_digit() {
            return Err(unexpected(self.peek(), place));
        }
        self.digits();
        Ok(())
    }

    /// Reads a string behind its opening quote; bytes that are not UTF-8 become replacement characters.
    fn string(&mut self) -> Read<Vec<u8>> {
        let mut out = Vec::new();
        let mut start = self.at;
        loop {
            let Some(&byte) = self.input.get(self.at) else {
                return Err("unexpected end of JSON input".to_owned());
            };
            match byte {
                b'"' => {
                    self.push_text(&mut out, start);
                    self.at += 1;
                    return Ok(out);
                }
                b'\\' => {
                    self.push_text(&mut out, start);
                    self.at += 1;
                    self.escape(&mut out)?;
                    start = self.at;
                }
                0..b' ' => return Err(unexpected(byte, "in string literal")),
                _ => self.at += 1,
            }
        }
    }

    fn push_text(&self, out: &mut Vec<u8>, start: usize) {
        let text = self.input.get(start..self.at).unwrap_or_default();
        match std::str::from_utf8(text) {
            Ok(_) => out.extend_from_slice(text),
            Err(_) => out.extend(runes::collect(runes::chars(text))),
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Read<()> {
        let byte = self.peek();
        let plain = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.unicode_escape(out),
            _ => return Err(unexpected(byte, "in string escape code")),
        };
        self.at += 1;
        out.push(plain);
        Ok(())
    }

    /// Two escapes may make one character; half of a pair is a replacement character.
    fn unicode_escape(&mut self, out: &mut Vec<u8>) -> Read<()> {
        self.at += 1;
        let high = self.four_digits()?;
        if let Some(c) = char::from_u32(high) {
            runes::push(out, c);
            return Ok(());
        }
        let after = self.at;
        if high < 0xDC00 && self.input.get(after..after + 2) == Some(b"\\u") {
            self.at += 2;
            let low = self.four_digits()?;
            if (0xDC00..0xE000).contains(&low) {
                let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                runes::push(out, char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                return Ok(());
            }
            self.at = after;
        }
        runes::push(out, char::REPLACEMENT_CHARACTER);
        Ok(())
    }

    fn four_digits(&mut self) -> Read<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let byte = self.peek();
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(unexpected(byte, "in \\u hexadecimal character escape"));
            };
            code = code << 4 | digit;
            self.at += 1;
        }
        Ok(code)
    }
}

/// Go quotes the byte as if it were a character.
fn unexpected(byte: u8, place: &str) -> String {
    let shown = match byte {
        b'\'' => r"\'".to_owned(),
        b'"' => "\"".to_owned(),
        _ => {
            let quoted = quote(&char::from(byte).to_string());
            quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
        }
    };
    format!("invalid character '{shown}' {place}")
}
