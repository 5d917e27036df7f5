//! In which styles a scalar may be written.

use super::Flavor;

/// What the characters of a scalar allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Analysis {
    pub(super) multiline: bool,
    pub(super) flow_plain: bool,
    pub(super) block_plain: bool,
    pub(super) single_quoted: bool,
    pub(super) block: bool,
}

/// A line break in the sense of YAML 1.1.
pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether a character may stand in output as it is. Nothing beyond the basic plane may.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{A0}'..='\u{D7FF}' | '\u{E000}'..='\u{FEFE}' | '\u{FF00}'..='\u{FFFD}')
}

/// The findings of one pass over the characters.
#[derive(Default)]
struct Findings {
    block_indicators: bool,
    flow_indicators: bool,
    line_breaks: bool,
    special: bool,
    tabs: bool,
    space_or_break_at_end: bool,
    trailing_space: bool,
    break_space: bool,
    space_break: bool,
}

pub(super) fn analyze(text: &str, flavor: Flavor) -> Analysis {
    if text.is_empty() {
        return Analysis {
            multiline: false,
            flow_plain: false,
            block_plain: true,
            single_quoted: true,
            block: false,
        };
    }
    if is_ordinary(text.as_bytes()) {
        return Analysis {
            multiline: false,
            flow_plain: true,
            block_plain: true,
            single_quoted: true,
            block: true,
        };
    }
    let found = scan(text, flavor);
    let unquotable = found.break_space || found.space_break || found.tabs || found.special;
    let plain = !unquotable && !found.space_or_break_at_end && !found.line_breaks;
    Analysis {
        multiline: found.line_breaks,
        flow_plain: plain && !found.flow_indicators,
        block_plain: plain && !found.block_indicators,
        single_quoted: !unquotable,
        block: !found.trailing_space && !found.space_break && !found.special,
    }
}

/// Whether nothing in a text can matter, as in most: words, names, paths.
fn is_ordinary(text: &[u8]) -> bool {
    let is_edge = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_');
    // Those that are indicators are so at the start only.
    let is_inner = |byte: &u8| {
        matches!(byte, b' '..=b'~') && !matches!(byte, b'#' | b',' | b':' | b'?' | b'[' | b']' | b'{' | b'}')
    };
    text.first().is_some_and(is_edge) && text.last() != Some(&b' ') && text.iter().all(is_inner)
}

fn scan(text: &str, flavor: Flavor) -> Findings {
    let mut found = Findings::default();
    if text.starts_with("---") || text.starts_with("...") {
        found.block_indicators = true;
        found.flow_indicators = true;
    }
    let mut after_whitespace = true;
    let (mut after_space, mut after_break) = (false, false);
    let mut chars = text.chars().peekable();
    let mut is_first = true;
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        let before_whitespace = next.is_none_or(|next| matches!(next, ' ' | '\t'));
        found.indicator(c, is_first, after_whitespace, before_whitespace);
        if c == '\t' && flavor == Flavor::V3 {
            found.tabs = true;
        } else if !is_printable(c) {
            found.special = true;
        }
        let is_edge = is_first || next.is_none();
        if c == ' ' {
            found.space_or_break_at_end |= is_edge;
            found.trailing_space |= next.is_none();
            found.break_space |= after_break;
        } else if is_break(c) {
            found.line_breaks = true;
            found.space_or_break_at_end |= is_edge;
            found.space_break |= after_space;
        }
        after_space = c == ' ';
        after_break = is_break(c);
        after_whitespace = matches!(c, ' ' | '\t' | '\0') || after_break;
        is_first = false;
    }
    found
}

impl Findings {
    fn indicator(&mut self, c: char, is_first: bool, after_whitespace: bool, before_whitespace: bool) {
        let (flow, block) = match c {
            '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
            | '`'
                if is_first =>
            {
                (true, true)
            }
            '?' if is_first => (true, before_whitespace),
            ':' => (true, before_whitespace),
            '-' if is_first => (before_whitespace, before_whitespace),
            ',' | '?' | '[' | ']' | '{' | '}' => (true, false),
            '#' => (after_whitespace, after_whitespace),
            _ => return,
        };
        self.flow_indicators |= flow;
        self.block_indicators |= block;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_texts_are_what_the_scan_finds_them_to_be() {
        // Every text of up to three of these.
        let pieces: Vec<char> = (1_u8..0x7F)
            .map(char::from)
            .chain(['é', '\u{85}', '\u{2028}'])
            .collect();
        let mut ordinary = 0;
        let mut check = |text: &str| {
            if is_ordinary(text.as_bytes()) {
                let found = scan(text, Flavor::V3);
                let is_clean = !(found.block_indicators
                    || found.flow_indicators
                    || found.line_breaks
                    || found.special
                    || found.tabs
                    || found.space_or_break_at_end
                    || found.trailing_space
                    || found.break_space
                    || found.space_break);
                assert!(is_clean, "{text:?}");
                ordinary += 1;
            }
        };
        for a in &pieces {
            check(&a.to_string());
            for b in &pieces {
                check(&format!("{a}{b}"));
                for c in &pieces {
                    check(&format!("{a}{b}{c}"));
                }
            }
        }
        assert!(ordinary > 100_000, "{ordinary}");
    }
}
