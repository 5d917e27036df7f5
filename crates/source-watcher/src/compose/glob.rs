//! The two globs of the recipes: Go's `fs.Glob`, which chooses what is copied, and doublestar, where `**` is any number of directories and
//! braces hold alternatives, which chooses archives and what is left out.

use ferro_artifact::glob::{BadPattern, matches};
use regex::{Regex, RegexBuilder};

use super::tree::{Found, Node, Tree, join};

/// The patterns that one with alternatives may stand for.
const MAX_ALTERNATIVES: usize = 1000;

/// The characters that make a path of a recipe a pattern.
pub(crate) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', ']'])
}

/// The characters that make a path a pattern for Go.
fn has_meta(path: &str) -> bool {
    path.contains(['*', '?', '[', '\\'])
}

/// The paths in a tree that match a pattern of Go's `fs.Glob`, in its order: by name in each directory.
///
/// # Errors
/// When the pattern is malformed.
pub(crate) fn go_glob(root: &Tree, pattern: &str) -> Result<Vec<String>, BadPattern> {
    matches(pattern.as_bytes(), b"")?;
    if !has_meta(pattern) {
        let found = root.find(pattern).map(|_| pattern.to_owned());
        return Ok(found.into_iter().collect());
    }
    let (directory, file) = match pattern.rsplit_once('/') {
        Some((directory, file)) => (directory, file),
        None => (".", pattern),
    };
    let mut found = Vec::new();
    if has_meta(directory) {
        for directory in go_glob(root, directory)? {
            glob_in(root, &directory, file, &mut found)?;
        }
    } else {
        glob_in(root, directory, file, &mut found)?;
    }
    Ok(found)
}

fn glob_in(root: &Tree, directory: &str, pattern: &str, found: &mut Vec<String>) -> Result<(), BadPattern> {
    let Some(Found::Directory(entries)) = root.find(directory) else {
        return Ok(());
    };
    for (name, _) in entries.iter() {
        if matches(pattern.as_bytes(), name.as_bytes())? {
            found.push(join(directory, name));
        }
    }
    Ok(())
}

/// Why a doublestar pattern was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A doublestar pattern.
#[derive(Debug)]
pub(crate) struct DoubleStar {
    regex: Regex,
    has_slash: bool,
}

impl DoubleStar {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is malformed, or stands for too many patterns.
    pub(crate) fn parse(pattern: &str) -> Result<Self, Malformed> {
        if !is_valid(pattern.as_bytes()) {
            return Err(Malformed);
        }
        let mut plain = Vec::new();
        expand(pattern.to_owned(), &mut plain)?;
        let alternatives: Vec<String> = plain.iter().map(|pattern| translate(pattern)).collect();
        let regex = RegexBuilder::new(&format!("^(?:{})$", alternatives.join("|")))
            .dot_matches_new_line(true)
            .build()
            .map_err(|_| Malformed)?;
        Ok(Self {
            regex,
            has_slash: pattern.contains('/'),
        })
    }

    /// Whether a path matches.
    pub(crate) fn is_match(&self, path: &str) -> bool {
        self.regex.is_match(path)
    }

    /// Whether a path, or for a pattern without a slash the last name in it, matches.
    fn excludes(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.is_match(path) || (!self.has_slash && self.is_match(name))
    }
}

/// Every path in a tree that matches, in the order of a walk.
pub(crate) fn double_star_glob(root: &Tree, pattern: &DoubleStar) -> Vec<String> {
    fn walk(tree: &Tree, prefix: &str, pattern: &DoubleStar, found: &mut Vec<String>) {
        for (name, node) in tree.iter() {
            let path = join(prefix, name);
            if pattern.is_match(&path) {
                found.push(path.clone());
            }
            if let Node::Directory(below) = node {
                walk(below, &path, pattern, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(root, "", pattern, &mut found);
    found
}

/// Whether one of `patterns` leaves `path` out, counted from the root of the source or from `base`, which is where the copy begins.
pub(crate) fn is_excluded(path: &str, base: &str, patterns: &[DoubleStar]) -> bool {
    let excluded = |path: &str| patterns.iter().any(|pattern| pattern.excludes(path));
    if excluded(path) {
        return true;
    }
    let below = path.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
    below.is_some_and(excluded)
}

/// The literal directories before the first pattern in a path.
pub(crate) fn base_of(pattern: &str) -> String {
    let clean = super::tree::clean(pattern);
    let parts: Vec<&str> = clean.split('/').take_while(|part| !is_pattern(part)).collect();
    if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    }
}

/// Whether classes and alternatives are closed.
fn is_valid(pattern: &[u8]) -> bool {
    let (mut depth, mut index) = (0_usize, 0);
    while let Some(byte) = pattern.get(index) {
        match byte {
            b'\\' => {
                index += 1;
                if index >= pattern.len() {
                    return false;
                }
            }
            b'[' => match class_end(pattern, index) {
                Some(end) => index = end,
                None => return false,
            },
            b'{' => depth += 1,
            b'}' if depth == 0 => return false,
            b'}' => depth -= 1,
            _ => {}
        }
        index += 1;
    }
    depth == 0
}

/// The place of the bracket that closes the class which begins at `start`.
fn class_end(pattern: &[u8], start: usize) -> Option<usize> {
    let mut index = start + 1;
    if matches!(pattern.get(index), Some(b'^' | b'!')) {
        index += 1;
    }
    // A class without members is none.
    if pattern.get(index) == Some(&b']') {
        return None;
    }
    loop {
        match pattern.get(index)? {
            b'\\' => index += 2,
            b']' => return Some(index),
            _ => index += 1,
        }
    }
}

/// Writes each alternative of the first group out, and then those of the next.
fn expand(pattern: String, plain: &mut Vec<String>) -> Result<(), Malformed> {
    let mut waiting = vec![pattern];
    while let Some(pattern) = waiting.pop() {
        if waiting.len() + plain.len() >= MAX_ALTERNATIVES {
            return Err(Malformed);
        }
        match alternatives(&pattern) {
            None => plain.push(pattern),
            Some((before, group, after)) => {
                waiting.extend(group.into_iter().map(|part| format!("{before}{part}{after}")));
            }
        }
    }
    Ok(())
}

/// The text before the first group, the members of the group, and the text after it.
fn alternatives(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let bytes = pattern.as_bytes();
    let (mut index, mut depth) = (0, 0_usize);
    let (mut open, mut start, mut members) = (0, 0, Vec::new());
    while let Some(byte) = bytes.get(index) {
        match byte {
            b'\\' => index += 1,
            b'[' if depth == 0 => index = class_end(bytes, index)?,
            b'{' => {
                if depth == 0 {
                    (open, start) = (index, index + 1);
                }
                depth += 1;
            }
            b',' if depth == 1 => {
                members.push(pattern.get(start..index)?);
                start = index + 1;
            }
            b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    members.push(pattern.get(start..index)?);
                    return Some((pattern.get(..open)?, members, pattern.get(index + 1..)?));
                }
            }
            _ => {}
        }
        index += 1;
    }
    None
}

/// A pattern without alternatives as a regular expression: matching one takes time that grows with the path only.
fn translate(pattern: &str) -> String {
    let (mut out, mut rest) = (String::new(), pattern);
    let mut starts_segment = true;
    while let Some(first) = rest.chars().next() {
        let is_double = starts_segment && rest.starts_with("**");
        if is_double && rest.len() == 2 {
            // `a/**` is `a`, too.
            return match out.strip_suffix('/') {
                Some(before) => format!("{before}(?:/.*)?"),
                None => format!("{out}.*"),
            };
        }
        if is_double && rest.starts_with("**/") {
            out.push_str("(?:.*/)?");
            rest = rest.get(3..).unwrap_or_default();
            continue;
        }
        let mut taken = first.len_utf8();
        match first {
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => {
                let end = class_end(rest.as_bytes(), 0).unwrap_or_default();
                out.push_str(&class(rest.get(1..end).unwrap_or_default()));
                taken = end + 1;
            }
            '\\' => {
                let escaped = rest.chars().nth(1).unwrap_or('\\');
                out.push_str(&regex::escape(escaped.encode_utf8(&mut [0; 4])));
                taken = 1 + escaped.len_utf8();
            }
            other => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
        starts_segment = first == '/';
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

/// The inside of a class; a slash is never in it.
fn class(inside: &str) -> String {
    let negated = inside.strip_prefix(['^', '!']);
    let (mut members, mut chars) = (String::new(), negated.unwrap_or(inside).chars().peekable());
    let next = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| match chars.next() {
        Some('\\') => chars.next(),
        other => other,
    };
    while let Some(low) = next(&mut chars) {
        let mut high = low;
        if chars.peek() == Some(&'-') {
            chars.next();
            high = next(&mut chars).unwrap_or('-');
        }
        if low <= high {
            members.push_str(&format!(
                "\\x{{{:x}}}-\\x{{{:x}}}",
                u32::from(low),
                u32::from(high)
            ));
        }
    }
    match (negated.is_some(), members.is_empty()) {
        (true, _) => format!("[^/{members}]"),
        (false, false) => format!("[[{members}]&&[^/]]"),
        // Nothing is in it.
        (false, true) => "[^\\x{0}-\\x{10ffff}]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::{File, Stage};
    use super::*;

    fn tree(paths: &[&str]) -> Tree {
        let mut stage = Stage::default();
        for path in paths {
            let file = File::in_memory(Vec::new(), false);
            stage.put(path, std::sync::Arc::new(file)).unwrap();
        }
        stage.into_tree()
    }

    #[test]
    fn go_glob_matches_by_directory() {
        let tree = tree(&["a/x.yaml", "a/b/y.yaml", "b/x.yaml", ".hidden", "c.yaml", "a*"]);
        let cases: [(&str, &[&str]); 12] = [
            ("*.yaml", &["c.yaml"]),
            ("*", &[".hidden", "a", "a*", "b", "c.yaml"]),
            ("**", &[".hidden", "a", "a*", "b", "c.yaml"]),
            ("*/x.yaml", &["a/x.yaml", "b/x.yaml"]),
            ("a/**", &["a/b", "a/x.yaml"]),
            ("./*.yaml", &["c.yaml"]),
            ("a\\*", &["a*"]),
            ("[ab]/?.yaml", &["a/x.yaml", "b/x.yaml"]),
            // What is no valid path of Go's file systems leads nowhere.
            ("a//*", &[]),
            ("../*", &[]),
            ("/*", &[]),
            ("*/", &[]),
        ];
        for (pattern, expected) in cases {
            assert_eq!(go_glob(&tree, pattern).unwrap(), expected, "{pattern}");
        }
        assert_eq!(go_glob(&tree, "[a"), Err(BadPattern));
        assert_eq!(go_glob(&tree, "c.yaml]").unwrap(), [""; 0]);
    }

    #[test]
    fn double_star_known_answers_hold() {
        let cases = [
            ("**", "a/b/c", true),
            ("**/**", "a/b", true),
            ("**/*.md", "README.md", true),
            ("**/*.md", "docs/deep/a.md", true),
            ("*.md", "docs/a.md", false),
            ("a/**", "a", true),
            ("a/**", "a/b/c", true),
            ("a/**", "ab", false),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/x/y/c", true),
            ("a**/c", "axx/c", true),
            ("a**/c", "ax/x/c", false),
            ("{a,b{1,2}}.txt", "b2.txt", true),
            ("{a,b{1,2}}.txt", "b3.txt", false),
            ("{dir/**,x}/f", "dir/a/f", true),
            ("[!a-c]x", "dx", true),
            ("[^a-c]x", "bx", false),
            ("[^a]", "/", false),
            ("[+--]", "-", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("a?c", "a/c", false),
            ("a.c", "abc", false),
            ("[z-a]", "m", false),
        ];
        for (pattern, path, expected) in cases {
            let found = DoubleStar::parse(pattern).unwrap().is_match(path);
            assert_eq!(found, expected, "{pattern} on {path}");
        }
        for pattern in ["[", "[]", "a{b", "a}", "\\", "[a"] {
            assert_eq!(DoubleStar::parse(pattern).err(), Some(Malformed), "{pattern}");
        }
        // A bomb of alternatives.
        assert!(DoubleStar::parse(&"{a,b}".repeat(30)).is_err());
    }

    #[test]
    fn excludes_match_paths_from_the_root_from_the_base_and_names() {
        let patterns = |texts: &[&str]| -> Vec<DoubleStar> {
            texts
                .iter()
                .map(|text| DoubleStar::parse(text).unwrap())
                .collect()
        };
        assert!(is_excluded("docs/deep/a.md", ".", &patterns(&["*.md"])));
        assert!(!is_excluded("docs/deep/a.md", ".", &patterns(&["docs/*.md"])));
        assert!(is_excluded("apps/test/x", "apps", &patterns(&["test/**"])));
        assert!(!is_excluded("apps/test/x", ".", &patterns(&["test/**"])));
        assert_eq!(base_of("a/b/*/c"), "a/b");
        assert_eq!(base_of("*.md"), ".");
    }
}
