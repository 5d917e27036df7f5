//! The patterns of `.Files.Glob`.

use ferro_gocompat::regexp::Regex;

/// Compiles a pattern: `*` stays within a folder, `**` does not, `?` is one character, `[abc]`, `[a-z]` and
/// `[!…]` are sets, `{a,b}` alternatives. A malformed one gives nothing.
pub(super) fn compile(pattern: &str) -> Option<Regex> {
    let mut compiler = Compiler {
        rest: pattern,
        regex: "(?s)^(?:".to_owned(),
        depth: 0,
    };
    compiler.compile()?;
    Regex::go(&compiler.regex).ok()
}

struct Compiler<'p> {
    rest: &'p str,
    regex: String,
    depth: usize,
}

impl Compiler<'_> {
    fn compile(&mut self) -> Option<()> {
        while let Some(c) = self.next() {
            match c {
                '*' => {
                    let is_super = self.take('*');
                    self.regex.push_str(if is_super { ".*" } else { "[^/]*" });
                }
                '?' => self.regex.push_str("[^/]"),
                '[' => self.set()?,
                '{' => {
                    self.depth += 1;
                    self.regex.push_str("(?:");
                }
                '}' if self.depth > 0 => {
                    self.depth -= 1;
                    self.regex.push(')');
                }
                ',' if self.depth > 0 => self.regex.push('|'),
                '\\' => {
                    if let Some(c) = self.next() {
                        self.literal(c);
                    }
                }
                c => self.literal(c),
            }
        }
        // Alternatives that are not closed end with the pattern.
        self.regex.push_str(&")".repeat(self.depth));
        self.regex.push_str(")$");
        Some(())
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    fn take(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn literal(&mut self, c: char) {
        if c.is_ascii_punctuation() {
            self.regex.push('\\');
        }
        self.regex.push(c);
    }

    /// A set is either one range or a list of characters, never both.
    fn set(&mut self) -> Option<()> {
        self.regex.push('[');
        if self.take('!') {
            self.regex.push('^');
        }
        let mut ahead = self.rest.chars();
        let (low, between) = (ahead.next()?, ahead.next());
        if between == Some('-') {
            let high = ahead.next()?;
            self.rest = ahead.as_str();
            if high < low || !self.take(']') {
                return None;
            }
            self.literal(low);
            self.regex.push('-');
            self.literal(high);
        } else {
            let mut is_empty = true;
            loop {
                match self.next()? {
                    ']' => break,
                    '\\' => {
                        let c = self.next()?;
                        self.literal(c);
                    }
                    c => self.literal(c),
                }
                is_empty = false;
            }
            if is_empty {
                return None;
            }
        }
        self.regex.push(']');
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        compile(pattern).unwrap().is_match(name)
    }

    #[test]
    fn stars_know_folders() {
        assert!(matches("config/*.yaml", "config/a.yaml"));
        assert!(!matches("config/*.yaml", "config/a/b.yaml"));
        assert!(matches("config/**.yaml", "config/a/b.yaml"));
        assert!(matches("**", "a/b/c") && !matches("*", "a/b"));
        assert!(matches("{a,b*}/?.txt", "bcd/x.txt") && !matches("{a,b*}/?.txt", "c/x.txt"));
    }

    #[test]
    fn sets_are_a_range_or_a_list() {
        assert!(matches("[a-c]x", "bx") && !matches("[!a-c]x", "bx"));
        assert!(matches("[xyz]", "y") && matches("[!xyz]", "/"));
        assert!(compile("[a-zA-Z]").is_none() && compile("[").is_none() && compile("[]").is_none());
    }
}
