//! The `.gitmodules` file.

use std::collections::BTreeMap;

/// A submodule as its parent declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declaration {
    /// Where it lies in the parent.
    pub path: String,
    /// Its URL, which may be relative to the parent's.
    pub url: String,
}

/// Reads the declarations of a `.gitmodules` file; sections without path or URL do not count.
///
/// The format is Git's configuration. What is no submodule, and what is malformed, is skipped: the file
/// comes from the repository, and Git itself is lenient with it.
pub(crate) fn parse(text: &str) -> Vec<Declaration> {
    let mut sections: BTreeMap<String, (Option<String>, Option<String>)> = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in logical_lines(text) {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            let end = header.rfind(']').unwrap_or(header.len());
            current = section_name(header.get(..end).unwrap_or(header));
            continue;
        }
        let (Some(name), Some((key, value))) = (&current, line.split_once('=')) else {
            continue;
        };
        let (path, url) = sections.entry(name.clone()).or_default();
        match key.trim().to_ascii_lowercase().as_str() {
            "path" => *path = Some(unquote(value)),
            "url" => *url = Some(unquote(value)),
            _ => {}
        }
    }
    let complete = sections.into_values().filter_map(|(path, url)| {
        Some(Declaration {
            path: path?.trim_end_matches('/').to_owned(),
            url: url?,
        })
    });
    complete
        .filter(|declaration| is_safe_path(&declaration.path))
        .collect()
}

/// Whether a path stays below its root.
fn is_safe_path(path: &str) -> bool {
    !path.is_empty()
        && path
            .split('/')
            .all(|part| !matches!(part, "" | "." | ".." | ".git"))
}

/// Lines without comments, with those that end in a backslash joined.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending = String::new();
    for line in text.lines() {
        let line = strip_comment(line);
        match line.strip_suffix('\\') {
            Some(head) if !head.ends_with('\\') => pending.push_str(head),
            _ => {
                pending.push_str(line);
                lines.push(std::mem::take(&mut pending));
            }
        }
    }
    lines.push(pending);
    lines
}

fn strip_comment(line: &str) -> &str {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (index, character) in line.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '#' | ';' if !is_quoted => return line.get(..index).unwrap_or(line),
            _ => {}
        }
    }
    line
}

/// The name in `submodule "name"`.
fn section_name(header: &str) -> Option<String> {
    let (section, name) = header.trim().split_once(char::is_whitespace)?;
    section.eq_ignore_ascii_case("submodule").then(|| unquote(name))
}

fn unquote(value: &str) -> String {
    let (mut text, mut is_escaped) = (String::new(), false);
    for character in value.trim().chars() {
        match character {
            'n' if is_escaped => text.push('\n'),
            't' if is_escaped => text.push('\t'),
            _ if is_escaped => text.push(character),
            '\\' => {
                is_escaped = true;
                continue;
            }
            '"' => continue,
            _ => text.push(character),
        }
        is_escaped = false;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_finds_complete_and_safe_declarations() {
        let text = "[core]\n\tpath = no\n[submodule \"lib\"]\n\tpath = third/lib ; note\n\turl = ../lib.git\n\
            [submodule \"quoted name\"]\n  url=\"https://h/a#b\"\n  path = \"with space\"\n  branch = main\n\
            [submodule \"no-url\"]\npath = x\n[submodule \"evil\"]\npath = ../out\nurl = https://h/x\n\
            # [submodule \"off\"]\n[submodule \"joined\"]\npath = a\\\nb\nurl = https://h/ab\n";
        let found: Vec<_> = parse(text)
            .into_iter()
            .map(|found| (found.path, found.url))
            .collect();
        let pair = |path: &str, url: &str| (path.to_owned(), url.to_owned());
        let expected = [
            pair("ab", "https://h/ab"),
            pair("third/lib", "../lib.git"),
            pair("with space", "https://h/a#b"),
        ];
        assert_eq!(found, expected);
    }
}
