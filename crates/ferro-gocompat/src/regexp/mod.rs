//! Regular expressions in Go's (RE2) syntax, run by the engines of the `regex` crate.
//!
//! The two engines agree on what matches first, but not on the syntax: `\d` and `\b` are ASCII in Go, `{`
//! may be a literal, `[a&&b]` is a plain set, `x{1001}` is an error. So a pattern is parsed by Go's rules and
//! written anew; what Go refuses is refused with its message.

mod class;
mod parse;

use std::sync::OnceLock;

use regex_automata::meta;
use regex_automata::util::captures::Captures as Groups;
use regex_automata::util::syntax;

/// The most memory that one compiled pattern may take.
const SIZE_LIMIT: usize = 10 << 20;
/// The longest pattern that is read.
const MAX_PATTERN_LEN: usize = 64 << 10;
/// The longest pattern that is not compiled for all texts at once: without repetitions it cannot become too large.
const MAX_LAZY_LEN: usize = 512;
/// The longest text that is searched without first preparing for many. Most are names, and most patterns are asked once.
const SHORT_TEXT: usize = 16 << 10;

/// Why a pattern is refused; prints like Go's error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {problem}: `{fragment}`")]
pub struct Error {
    /// What is wrong.
    pub problem: &'static str,
    /// The part of the pattern that is wrong.
    pub fragment: String,
}

impl Error {
    fn new(problem: &'static str, fragment: &str) -> Self {
        Self {
            problem,
            fragment: fragment.to_owned(),
        }
    }
}

/// A compiled pattern.
///
/// ```
/// use ferro_gocompat::regexp::Regex;
///
/// let tag = Regex::go(r"^main-(?P<sha>[a-f0-9]+)-(\d+)$")?;
/// let found = tag.captures("main-abc123-42").expect("it matches");
/// assert_eq!((found.name("sha"), found.get(2)), (Some("abc123"), Some("42")));
/// assert_eq!(tag.replace_all("main-ab-1", "$2/${sha}"), "1/ab");
/// # Ok::<(), ferro_gocompat::regexp::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Regex {
    pattern: String,
    /// The pattern in the syntax of the engine.
    translated: String,
    /// For short texts in ASCII. Most are, and sets like `[^a]` are compiled many times faster for them.
    ascii: Option<meta::Regex>,
    any: OnceLock<meta::Regex>,
    names: Vec<String>,
}

/// The groups of a match.
#[derive(Debug)]
pub struct Captures<'r, 't> {
    regex: &'r Regex,
    text: &'t str,
    groups: Groups,
}

impl Regex {
    /// Compiles a pattern like `regexp.Compile`.
    pub fn go(pattern: &str) -> Result<Self, Error> {
        Self::compile(pattern, |translated| translated)
    }

    /// Compiles a pattern that has to match the whole text.
    pub fn go_anchored(pattern: &str) -> Result<Self, Error> {
        Self::compile(pattern, |translated| format!(r"\A(?:{translated})\z"))
    }

    fn compile(pattern: &str, adapt: impl FnOnce(String) -> String) -> Result<Self, Error> {
        if pattern.len() > MAX_PATTERN_LEN {
            return Err(Error::new("expression too large", ""));
        }
        let parsed = parse::parse(pattern)?;
        let translated = adapt(parsed.translated);
        let any = OnceLock::new();
        // Repetitions with counts, and properties, which are for all texts only, have braces; so do escapes, which are harmless.
        let has_braces = translated.replace(r"\x{", "").contains('{');
        let is_lazy = translated.len() <= MAX_LAZY_LEN && translated.is_ascii() && !has_braces;
        let ascii = is_lazy.then(|| build(&translated, For::ShortAscii)).flatten();
        if ascii.is_none() {
            let built =
                build(&translated, For::All).ok_or_else(|| Error::new("expression too large", pattern))?;
            any.get_or_init(|| built);
        }
        Ok(Self {
            pattern: pattern.to_owned(),
            translated,
            ascii,
            any,
            names: parsed.names,
        })
    }

    fn engine(&self, text: &str) -> &meta::Regex {
        match &self.ascii {
            Some(ascii) if text.len() <= SHORT_TEXT && text.is_ascii() => ascii,
            _ => self.any.get_or_init(|| {
                build(&self.translated, For::All).expect("it is short, and was compiled for ASCII before")
            }),
        }
    }

    /// Returns the pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Tells whether the pattern matches anywhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.engine(text).is_match(text)
    }

    /// Returns the leftmost match.
    pub fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        let found = self.engine(text).find(text)?;
        text.get(found.range())
    }

    /// Returns the leftmost match with its groups.
    pub fn captures<'t>(&self, text: &'t str) -> Option<Captures<'_, 't>> {
        self.find_all(text).next()
    }

    /// Returns all matches, none overlapping another.
    pub fn find_all<'r, 't>(&'r self, text: &'t str) -> impl Iterator<Item = Captures<'r, 't>> {
        self.engine(text).captures_iter(text).map(move |groups| Captures {
            regex: self,
            text,
            groups,
        })
    }

    /// Returns the names of the groups, that of the whole match first; unnamed ones are empty.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Replaces all matches; `$1`, `$name` and `${name}` in the template stand for groups, `$$` for `$`.
    pub fn replace_all(&self, text: &str, template: &str) -> String {
        let mut out = String::new();
        let mut end = 0;
        for found in self.find_all(text) {
            let range = found.range(0).unwrap_or(end..end);
            out.push_str(text.get(end..range.start).unwrap_or_default());
            found.expand_into(&mut out, template);
            end = range.end;
        }
        out.push_str(text.get(end..).unwrap_or_default());
        out
    }
}

/// What texts a pattern is compiled for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    All,
    ShortAscii,
}

fn build(translated: &str, texts: For) -> Option<meta::Regex> {
    let is_unicode = texts == For::All;
    let syntax = syntax::Config::new()
        .unicode(is_unicode)
        .utf8(is_unicode)
        .nest_limit(2 * parse::MAX_DEPTH);
    let config = meta::Config::new()
        .utf8_empty(is_unicode)
        .nfa_size_limit(Some(SIZE_LIMIT))
        // What is faster on long texts takes longer to make than a short one to search.
        .auto_prefilter(texts == For::All)
        .hybrid(texts == For::All)
        .dfa(texts == For::All)
        .onepass(texts == For::All);
    meta::Builder::new()
        .syntax(syntax)
        .configure(config)
        .build(translated)
        .ok()
}

impl<'t> Captures<'_, 't> {
    fn expand_into(&self, out: &mut String, template: &str) {
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
                continue;
            }
            let Some((name, after)) = template_name(rest) else {
                // Not a reference: the sign stands for itself.
                out.push('$');
                continue;
            };
            rest = after;
            out.push_str(self.group(name).unwrap_or(""));
        }
        out.push_str(rest);
    }

    /// A group that a template refers to.
    fn group(&self, name: &str) -> Option<&'t str> {
        let all_digits = name.bytes().all(|byte| byte.is_ascii_digit());
        // Go takes a number with a leading zero or too many digits for a name.
        let number = (all_digits && (name == "0" || !name.starts_with('0')))
            .then(|| name.parse().ok())
            .flatten();
        if let Some(index) = number.filter(|index: &usize| *index < 100_000_000) {
            return self.get(index);
        }
        let named = self.regex.names.iter().enumerate();
        named
            .filter(|(_, known)| *known == name)
            .find_map(|(index, _)| self.get(index))
    }

    /// Returns a group by its number, 0 being the whole match.
    pub fn get(&self, index: usize) -> Option<&'t str> {
        self.text.get(self.range(index)?)
    }

    /// Returns where a group is, in bytes.
    pub fn range(&self, index: usize) -> Option<std::ops::Range<usize>> {
        self.groups.get_group(index).map(|group| group.range())
    }

    /// Returns a group by its name.
    pub fn name(&self, name: &str) -> Option<&'t str> {
        let index = self
            .regex
            .names
            .iter()
            .position(|known| !known.is_empty() && known == name)?;
        self.get(index)
    }

    /// Returns the number of groups, the whole match included.
    #[expect(clippy::len_without_is_empty, reason = "there is always the whole match")]
    pub fn len(&self) -> usize {
        self.groups.group_len()
    }

    /// Fills a template with the groups, as [`Regex::replace_all`] does.
    pub fn expand(&self, template: &str) -> String {
        let mut out = String::new();
        self.expand_into(&mut out, template);
        out
    }
}

/// Splits a group's name off the text behind a `$`.
fn template_name(text: &str) -> Option<(&str, &str)> {
    let (braced, text) = match text.strip_prefix('{') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let is_word = |c: char| c == '_' || crate::unicode::is_letter(c) || crate::unicode::is_digit(c);
    let (name, rest) = text.split_at(text.find(|c| !is_word(c)).unwrap_or(text.len()));
    if name.is_empty() {
        return None;
    }
    if braced {
        rest.strip_prefix('}').map(|rest| (name, rest))
    } else {
        Some((name, rest))
    }
}

#[cfg(test)]
mod tests;
