//! Characters, indicators and the five styles of scalars.

use super::analysis::{is_break, is_printable};
use super::machine::Machine;

impl Machine<'_> {
    pub(super) fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    pub(super) fn put_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
        // v2 leaves this to the next indentation.
        self.indention |= self.is_v3();
    }

    /// Writes a break of the text: only `\n` is a plain one, the others stay what they are.
    fn put_text_break(&mut self, c: char) {
        if c == '\n' {
            self.put_break();
        } else {
            self.out.push(c);
            self.column = 0;
            self.indention |= self.is_v3();
        }
    }

    /// Writes text that has no line breaks.
    fn put_str(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += if text.is_ascii() {
            text.len()
        } else {
            text.chars().count()
        };
    }

    pub(super) fn write_indicator(
        &mut self,
        indicator: &str,
        needs_whitespace: bool,
        is_whitespace: bool,
        is_indention: bool,
    ) {
        if needs_whitespace && !self.whitespace {
            self.put(' ');
        }
        self.put_str(indicator);
        self.whitespace = is_whitespace;
        self.indention &= is_indention;
    }

    /// Writes the name of an anchor.
    pub(super) fn write_name(&mut self, name: &str) {
        self.put_str(name);
        self.end_token();
    }

    fn end_token(&mut self) {
        self.whitespace = false;
        self.indention = false;
    }

    pub(super) fn write_tag(&mut self, tag: &str) {
        let (handle, suffix) = match tag
            .strip_prefix("!!")
            .or_else(|| tag.strip_prefix("tag:yaml.org,2002:"))
        {
            Some(core) => ("!!", core),
            None => match tag.strip_prefix('!') {
                Some(local) => ("!", local),
                None => ("", tag),
            },
        };
        if handle.is_empty() {
            self.write_indicator("!<", true, false, false);
            self.write_tag_content(suffix);
            self.write_indicator(">", false, false, false);
        } else {
            self.write_indicator(handle, true, false, false);
            self.write_tag_content(suffix);
        }
        self.end_token();
    }

    fn write_tag_content(&mut self, suffix: &str) {
        for byte in suffix.bytes() {
            let c = char::from(byte);
            if c.is_ascii_alphanumeric() || "-_;/?:@&=+$,.~*'()[]".contains(c) {
                self.put(c);
            } else {
                self.put_str(&format!("%{byte:02X}"));
            }
        }
    }

    pub(super) fn write_plain(&mut self, text: &str, may_fold: bool) {
        if !self.whitespace && (!text.is_empty() || !self.is_v3()) {
            self.put(' ');
        }
        if !self.put_short(text) {
            self.write_folding(text, may_fold, false);
        }
        self.whitespace &= text.is_empty() && self.is_v3();
        self.indention = false;
    }

    pub(super) fn write_single_quoted(&mut self, text: &str, may_fold: bool) {
        self.write_indicator("'", true, false, false);
        self.write_folding(text, may_fold, true);
        self.write_indicator("'", false, false, false);
        self.end_token();
    }

    /// Writes text that fits on the line, the usual case, at once.
    fn put_short(&mut self, text: &str) -> bool {
        let fits = self.column + text.len() <= self.settings.width
            && text.is_ascii()
            && memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_none();
        if fits {
            self.out.push_str(text);
            self.column += text.len();
        }
        fits
    }

    /// Writes plain or single-quoted text, which may go on at the next line behind a single blank.
    fn write_folding(&mut self, text: &str, may_fold: bool, quoted: bool) {
        let (mut after_space, mut after_break) = (false, false);
        let mut chars = text.chars().peekable();
        let mut is_first = true;
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            if c == ' ' {
                let inside = !quoted || (!is_first && next.is_some());
                let folds = may_fold && !after_space && self.column > self.settings.width && inside;
                if folds && next != Some(' ') {
                    self.write_indent();
                } else {
                    self.put(c);
                }
                after_space = true;
            } else if is_break(c) {
                if !after_break && c == '\n' {
                    self.put_break();
                }
                self.put_text_break(c);
                self.indention |= !self.is_v3();
                after_break = true;
            } else {
                if after_break {
                    self.write_indent();
                }
                if quoted && c == '\'' {
                    self.put('\'');
                }
                self.put(c);
                self.indention = false;
                (after_space, after_break) = (false, false);
            }
            is_first = false;
        }
    }

    pub(super) fn write_double_quoted(&mut self, text: &str, may_fold: bool) {
        self.write_indicator("\"", true, false, false);
        // Go looks for a byte order mark at the start of the text whichever character it is at, so one
        // there makes it escape them all.
        let escape_all = text.starts_with('\u{FEFF}');
        let mut after_space = false;
        let mut is_first = true;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            if escape_all || !is_printable(c) || is_break(c) || matches!(c, '"' | '\\') {
                self.put_escape(c);
                after_space = false;
            } else if c == ' ' {
                let inside = !is_first && next.is_some();
                if may_fold && !after_space && self.column > self.settings.width && inside {
                    self.write_indent();
                    if next == Some(' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(c);
                }
                after_space = true;
            } else {
                self.put(c);
                after_space = false;
            }
            is_first = false;
        }
        self.write_indicator("\"", false, false, false);
        self.end_token();
    }

    fn put_escape(&mut self, c: char) {
        let short = match c {
            '\0' => '0',
            '\u{7}' => 'a',
            '\u{8}' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\u{B}' => 'v',
            '\u{C}' => 'f',
            '\r' => 'r',
            '\u{1B}' => 'e',
            '"' => '"',
            '\\' => '\\',
            '\u{85}' => 'N',
            '\u{A0}' => '_',
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            _ => {
                let code = u32::from(c);
                let escape = match code {
                    0..=0xFF => format!("\\x{code:02X}"),
                    0x100..=0xFFFF => format!("\\u{code:04X}"),
                    _ => format!("\\U{code:08X}"),
                };
                return self.put_str(&escape);
            }
        };
        self.put('\\');
        self.put(short);
    }

    fn write_block_header(&mut self, indicator: &str, text: &str) {
        self.write_indicator(indicator, true, false, false);
        if text.starts_with(|c| c == ' ' || is_break(c)) {
            let hint = self.settings.indent.to_string();
            self.write_indicator(&hint, false, false, false);
        }
        let mut backwards = text.chars().rev();
        let chomp = match (backwards.next(), backwards.next()) {
            (Some(last), _) if !is_break(last) => "-",
            (Some(_), Some(before)) if !is_break(before) => "",
            (Some(_), _) => "+",
            (None, _) => "-",
        };
        if !chomp.is_empty() {
            self.write_indicator(chomp, false, false, false);
        }
        self.end_block_header();
        self.indention |= !self.is_v3();
        self.whitespace = true;
    }

    pub(super) fn write_literal(&mut self, text: &str) {
        self.write_block_header("|", text);
        let mut after_break = true;
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if is_break(c) {
                self.put_text_break(c);
                self.indention |= !self.is_v3();
                after_break = true;
                rest = rest.get(c.len_utf8()..).unwrap_or("");
                continue;
            }
            if after_break {
                self.write_indent();
            }
            let (line, remainder) = rest.split_at(rest.find(is_break).unwrap_or(rest.len()));
            self.put_str(line);
            self.indention = false;
            after_break = false;
            rest = remainder;
        }
    }

    pub(super) fn write_folded(&mut self, text: &str) {
        self.write_block_header(">", text);
        // Go looks at the first line of the text, not at the next one, to see whether it is indented.
        let first = text.chars().find(|c| !is_break(*c));
        let starts_blank = first.is_none_or(|c| matches!(c, ' ' | '\t' | '\0'));
        let (mut after_break, mut indented) = (true, true);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if is_break(c) {
                if !after_break && !indented && c == '\n' && !starts_blank {
                    self.put_break();
                }
                self.put_text_break(c);
                self.indention |= !self.is_v3();
                after_break = true;
                continue;
            }
            if after_break {
                self.write_indent();
                indented = matches!(c, ' ' | '\t');
            }
            let next_is_space = chars.peek() == Some(&' ');
            if !after_break && c == ' ' && !next_is_space && self.column > self.settings.width {
                self.write_indent();
            } else {
                self.put(c);
            }
            self.indention = false;
            after_break = false;
        }
    }

    pub(super) fn write_comment(&mut self, comment: &str) {
        let (mut after_break, mut has_pound) = (false, false);
        for c in comment.chars() {
            if is_break(c) {
                self.put_text_break(c);
                (after_break, has_pound) = (true, false);
                continue;
            }
            if after_break {
                self.write_indent();
            }
            if !has_pound {
                if c != '#' {
                    self.put_str("# ");
                }
                has_pound = true;
            }
            self.put(c);
            self.indention = false;
            after_break = false;
        }
        if !after_break {
            self.put_break();
        }
        self.whitespace = true;
    }
}
