//! The `.gitmodules` file.

use std::collections::BTreeMap;

use crate::config;

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
/// What is no submodule is skipped: the file comes from the repository, and Git itself is lenient with it.
pub(crate) fn parse(text: &str) -> Vec<Declaration> {
    let mut sections: BTreeMap<String, (Option<String>, Option<String>)> = BTreeMap::new();
    for setting in config::parse(text) {
        let Some(name) = setting.subsection.filter(|_| setting.section == "submodule") else {
            continue;
        };
        let (path, url) = sections.entry(name).or_default();
        match setting.key.as_str() {
            "path" => *path = Some(setting.value),
            "url" => *url = Some(setting.value),
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
