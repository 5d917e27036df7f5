//! Character classes as Go's `unicode` package has them, which knows Unicode 15.

use std::sync::LazyLock;

use regex::Regex;

static LETTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{L}&&\p{age=15.0}]$").ok());
static DIGIT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{Nd}&&\p{age=15.0}]$").ok());
static GRAPHIC: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[[\p{L}\p{M}\p{N}\p{P}\p{S}]&&\p{age=15.0}]$").ok());

fn matches(class: &LazyLock<Option<Regex>>, c: char) -> bool {
    class
        .as_ref()
        .is_some_and(|class| class.is_match(c.encode_utf8(&mut [0; 4])))
}

/// Tells whether `c` is a letter (category L), which is narrower than Rust's alphabetic.
pub fn is_letter(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphabetic()
    } else {
        c.is_alphabetic() && matches(&LETTER, c)
    }
}

/// Tells whether `c` is a decimal digit (category Nd).
pub fn is_digit(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_digit()
    } else {
        c.is_numeric() && matches(&DIGIT, c)
    }
}

/// Tells whether `strconv.IsPrint` holds: letters, marks, numbers, punctuation, symbols and the blank.
pub fn is_print(c: char) -> bool {
    if c.is_ascii() {
        matches!(c, ' '..='~')
    } else {
        matches(&GRAPHIC, c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_go() {
        // Roman numeral one is alphabetic in Rust, but of category Nl; so is no Go letter or digit.
        let expected = [
            ('a', true, false, true),
            ('é', true, false, true),
            ('Ⅰ', false, false, true),
            ('٣', false, true, true),
            ('½', false, false, true),
            ('\u{A0}', false, false, false),
            ('\u{200B}', false, false, false),
            ('\u{FEFF}', false, false, false),
            ('\u{301}', false, false, true),
            ('😀', false, false, true),
            ('\u{E000}', false, false, false),
            ('\u{2028}', false, false, false),
        ];
        for (c, letter, digit, print) in expected {
            assert_eq!(
                (is_letter(c), is_digit(c), is_print(c)),
                (letter, digit, print),
                "{c:?}"
            );
        }
    }
}
