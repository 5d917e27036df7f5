//! Printing one basic value under a verb, with flags, width and precision.

use crate::float::{self, Width};
use crate::literal::decode;
use crate::unicode::is_print;

/// The flags, width and precision of a verb.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flags {
    /// The width, if given.
    pub width: Option<usize>,
    /// The precision, if given.
    pub precision: Option<usize>,
    /// `-`: pad on the right.
    pub minus: bool,
    /// `+`: always a sign; ASCII only for `%q`.
    pub plus: bool,
    /// `#`: the alternate form.
    pub sharp: bool,
    /// A blank: room for a sign.
    pub space: bool,
    /// `0`: pad with zeros.
    pub zero: bool,
    /// `%+v`
    pub plus_v: bool,
    /// `%#v`
    pub sharp_v: bool,
}

/// A buffer and the flags with which the next operand is printed into it.
#[derive(Debug)]
pub struct Printer {
    /// What was printed.
    pub out: Vec<u8>,
    /// How the next operand is printed.
    pub flags: Flags,
    /// Padding stops where the output would be longer than this. It may still become longer, so whoever sets
    /// a limit looks at the length afterwards.
    pub limit: usize,
}

impl Default for Printer {
    fn default() -> Self {
        Self {
            out: Vec::new(),
            flags: Flags::default(),
            limit: usize::MAX,
        }
    }
}

impl Printer {
    /// Appends text as it is.
    pub fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Appends a character as it is.
    pub fn char(&mut self, c: char) {
        self.text(c.encode_utf8(&mut [0; 4]));
    }

    fn fill(&mut self, count: usize) {
        // Zeros go to the left only.
        let filler = if self.flags.zero && !self.flags.minus {
            b'0'
        } else {
            b' '
        };
        let room = self.limit.saturating_add(1).saturating_sub(self.out.len());
        self.out.extend(std::iter::repeat_n(filler, count.min(room)));
    }

    /// Appends text, padded to the width.
    pub fn pad(&mut self, text: &[u8]) {
        let missing = match self.flags.width {
            None | Some(0) => 0,
            Some(width) => width.saturating_sub(count_chars(text)),
        };
        if !self.flags.minus {
            self.fill(missing);
        }
        self.out.extend_from_slice(text);
        if self.flags.minus {
            self.fill(missing);
        }
    }

    fn pad_with_blanks(&mut self, text: &[u8]) {
        let zero = std::mem::take(&mut self.flags.zero);
        self.pad(text);
        self.flags.zero = zero;
    }

    /// `%t`
    pub fn boolean(&mut self, value: bool) {
        self.pad(if value { b"true" } else { b"false" });
    }

    /// An integer by its sign and magnitude. `verb` matters for `O` and `X` only.
    pub fn integer(&mut self, is_negative: bool, magnitude: u64, base: u64, verb: char) {
        let flags = self.flags;
        if flags.precision == Some(0) && magnitude == 0 {
            let zero = std::mem::take(&mut self.flags.zero);
            self.fill(flags.width.unwrap_or(0));
            self.flags.zero = zero;
            return;
        }
        let least = match (flags.precision, flags.width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero && !flags.minus => {
                let sign = is_negative || flags.plus || flags.space;
                width.saturating_sub(usize::from(sign))
            }
            _ => 0,
        };
        let mut digits = Vec::with_capacity(least.max(20));
        let alphabet = if verb == 'X' {
            b"0123456789ABCDEF"
        } else {
            b"0123456789abcdef"
        };
        let mut rest = magnitude;
        loop {
            let digit = usize::try_from(rest % base).unwrap_or(0);
            digits.push(alphabet.get(digit).copied().unwrap_or(b'0'));
            rest /= base;
            if rest == 0 {
                break;
            }
        }
        while digits.len() < least {
            digits.push(b'0');
        }
        if flags.sharp {
            match base {
                2 => digits.extend_from_slice(b"b0"),
                8 if digits.last() != Some(&b'0') => digits.push(b'0'),
                16 => digits.extend_from_slice(if verb == 'X' { b"X0" } else { b"x0" }),
                _ => {}
            }
        }
        if verb == 'O' {
            digits.extend_from_slice(b"o0");
        }
        if is_negative {
            digits.push(b'-');
        } else if flags.plus {
            digits.push(b'+');
        } else if flags.space {
            digits.push(b' ');
        }
        digits.reverse();
        self.pad_with_blanks(&digits);
    }

    /// `%U`: `U+0078`, with `#` also `'x'`.
    pub fn unicode(&mut self, code: u64) {
        let digits = self.flags.precision.unwrap_or(4).max(4);
        // Rust itself takes no width beyond 65535.
        let code_digits = format!("{code:X}");
        let mut text = String::from("U+");
        text.extend(std::iter::repeat_n('0', digits.saturating_sub(code_digits.len())));
        text.push_str(&code_digits);
        let shown = u32::try_from(code)
            .ok()
            .and_then(char::from_u32)
            .filter(|c| is_print(*c));
        if let (true, Some(c)) = (self.flags.sharp, shown) {
            text.push_str(&format!(" '{c}'"));
        }
        self.pad_with_blanks(text.as_bytes());
    }

    /// `%s`: cut to the precision, in characters.
    pub fn string(&mut self, text: &[u8]) {
        let text = self.truncate(text);
        self.pad(text);
    }

    fn truncate<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let Some(precision) = self.flags.precision else {
            return text;
        };
        let mut end = 0;
        for _ in 0..precision {
            let rest = text.get(end..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            end += decode(rest).1;
        }
        text.get(..end).unwrap_or(text)
    }

    /// `%x` and `%X` of bytes.
    pub fn hex(&mut self, bytes: &[u8], is_upper: bool) {
        let flags = self.flags;
        let bytes = bytes
            .get(..flags.precision.unwrap_or(usize::MAX).min(bytes.len()))
            .unwrap_or(bytes);
        if bytes.is_empty() {
            self.fill(flags.width.unwrap_or(0));
            return;
        }
        let prefix: &[u8] = match (flags.sharp, is_upper) {
            (false, _) => b"",
            (true, true) => b"0X",
            (true, false) => b"0x",
        };
        let alphabet = if is_upper {
            b"0123456789ABCDEF"
        } else {
            b"0123456789abcdef"
        };
        let digit = |nibble: u8| alphabet.get(usize::from(nibble)).copied().unwrap_or(b'0');
        let mut text = prefix.to_vec();
        for (index, byte) in bytes.iter().enumerate() {
            if flags.space && index > 0 {
                text.push(b' ');
                text.extend_from_slice(prefix);
            }
            text.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        self.pad(&text);
    }

    /// `%q`: quoted, with `#` in backquotes if possible.
    pub fn quoted(&mut self, text: &[u8]) {
        let text = self.truncate(text);
        if self.flags.sharp && can_backquote(text) {
            let text = [b"`", text, b"`"].concat();
            return self.pad(&text);
        }
        let mut quoted = String::with_capacity(text.len() + 2);
        append_quoted(&mut quoted, text, '"', self.flags.plus);
        self.pad(quoted.as_bytes());
    }

    /// `%c`: the character of that number.
    pub fn character(&mut self, code: u64) {
        let c = to_char(code);
        self.pad(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// `%q` of a number: the quoted character.
    pub fn quoted_character(&mut self, code: u64) {
        let mut quoted = String::new();
        let c = to_char(code);
        append_quoted(
            &mut quoted,
            c.encode_utf8(&mut [0; 4]).as_bytes(),
            '\'',
            self.flags.plus,
        );
        self.pad(quoted.as_bytes());
    }

    /// A float in a format of [`float::append`]; the precision of the flags goes before `precision`.
    pub fn float(&mut self, value: f64, width: Width, format: u8, precision: Option<usize>) {
        let flags = self.flags;
        let precision = flags.precision.or(precision);
        let mut number = String::with_capacity(24);
        float::append(&mut number, value, format, precision, width);
        if !number.starts_with(['-', '+']) {
            number.insert(0, '+');
        }
        if flags.space && number.starts_with('+') && !flags.plus {
            number.replace_range(..1, " ");
        }
        if !value.is_finite() {
            // Remove the sign of not-a-number unless asked for.
            let hides_sign = value.is_nan() && !flags.space && !flags.plus;
            let shown = number.get(usize::from(hides_sign)..).unwrap_or("");
            return self.pad_with_blanks(shown.as_bytes());
        }
        if flags.sharp && format != b'b' {
            number = with_point(&number, format, precision);
        }
        if flags.plus || !number.starts_with('+') {
            let missing = flags.width.unwrap_or(0).saturating_sub(number.len());
            if flags.zero && !flags.minus && missing > 0 {
                // The sign goes before the zeros.
                let (sign, rest) = number.split_at(1);
                self.text(sign);
                self.fill(missing);
                return self.text(rest);
            }
            return self.pad(number.as_bytes());
        }
        self.pad(number.get(1..).unwrap_or("").as_bytes());
    }
}

/// The `#` flag: a decimal point always, and trailing zeros kept. `number` has a sign.
fn with_point(number: &str, format: u8, precision: Option<usize>) -> String {
    let mut digits = match format {
        b'g' | b'G' | b'x' => precision.map_or(6, |digits| digits as i64),
        _ => 0,
    };
    let is_hex = matches!(format, b'x' | b'X');
    let exponent = number.find(|c: char| matches!(c, 'p' | 'P') || !is_hex && matches!(c, 'e' | 'E'));
    let (mantissa, tail) = number.split_at(exponent.unwrap_or(number.len()));
    let mut saw_nonzero = false;
    for c in mantissa.chars().skip(1).filter(|c| *c != '.') {
        saw_nonzero |= c != '0';
        digits -= i64::from(saw_nonzero);
    }
    let mut out = mantissa.to_owned();
    if !mantissa.contains('.') {
        if mantissa.len() == 2 && mantissa.ends_with('0') {
            digits -= 1;
        }
        out.push('.');
    }
    out.extend(std::iter::repeat_n('0', usize::try_from(digits).unwrap_or(0)));
    out + tail
}

fn to_char(code: u64) -> char {
    u32::try_from(code)
        .ok()
        .and_then(char::from_u32)
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Counts characters, of which every invalid byte is one: `utf8.RuneCount`.
pub(super) fn count_chars(text: &[u8]) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.utf8_chunks()
        .map(|chunk| chunk.valid().chars().count() + chunk.invalid().len())
        .sum()
}

/// Tells whether a text can stand between backquotes: `strconv.CanBackquote`.
fn can_backquote(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| {
        text.chars()
            .all(|c| c == '\t' || !matches!(c, '\0'..='\u{1F}' | '`' | '\u{7F}' | '\u{FEFF}'))
    })
}

fn append_quoted(out: &mut String, text: &[u8], quote: char, ascii_only: bool) {
    out.push(quote);
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            append_escaped(out, c, quote, ascii_only);
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push(quote);
}

fn append_escaped(out: &mut String, c: char, quote: char, ascii_only: bool) {
    let short = match c {
        '\\' => "\\\\",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\u{C}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{B}' => "\\v",
        _ if c == quote => return out.extend(['\\', c]),
        _ if is_print(c) && (c.is_ascii() || !ascii_only) => return out.push(c),
        _ => {
            let code = u32::from(c);
            let escape = match code {
                0..=0x1F | 0x7F => format!("\\x{code:02x}"),
                0x80..=0xFFFF => format!("\\u{code:04x}"),
                _ => format!("\\U{code:08x}"),
            };
            return out.push_str(&escape);
        }
    };
    out.push_str(short);
}
