//! What every file of the repository keeps to, and whether the documents tell the truth about it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use xtask::paths;

/// A source file that is longer is two.
const MAX_LINES: usize = 650;
/// The first lines of a file that is allowed to be longer say so.
const EXEMPT: &str = "tidy: a table";
/// Extensions of the files that people read.
const TEXT: [&str; 11] = [
    "rs", "go", "toml", "md", "yaml", "yml", "sh", "json", "txt", "html", "css",
];
/// What only makes sense on one machine, or was left for later. Taken apart here, or this file would break its own rule.
const FORBIDDEN: [(&str, &str); 6] = [
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/ho", "me/"), "a path of one machine"),
    (concat!("TO", "DO"), "do it, or file an issue"),
    (concat!("FIX", "ME"), "fix it, or file an issue"),
    (
        concat!("#[ig", "nore"),
        "a test runs, or prints why it is skipped",
    ),
];
/// What engines must not even name (their dependencies are the business of `layers`).
const IMPURE: [&str; 8] = [
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "SystemTime::now",
    "Instant::now",
    "async fn",
];

/// Files of engines that are behind a feature, for who wants a real folder or clock.
const OPTIONAL: [&str; 3] = [
    "crates/ferro-kustomize/src/dir.rs",
    "crates/ferro-helm/src/chart/dir.rs",
    "crates/ferro-sprig/src/system.rs",
];

pub(super) fn faults() -> Result<Vec<String>> {
    let root = paths::root();
    let files = tracked(&root)?;
    let mut faults = Vec::new();
    let mut tests = BTreeSet::new();
    let mut documents = Vec::new();
    for file in files {
        let name = file.to_string_lossy().into_owned();
        let extension = file.extension().and_then(|it| it.to_str()).unwrap_or_default();
        if !TEXT.contains(&extension) && name != "Makefile" && name != "Dockerfile" && name != ".ci/run" {
            continue;
        }
        // A file that is deleted but not committed yet, or that is no text.
        let Ok(text) = fs::read_to_string(root.join(&file)) else {
            continue;
        };
        faults.extend(text_faults(&name, &text));
        match extension {
            "rs" => {
                faults.extend(source_faults(&name, &text));
                tests.extend(test_names(&text).map(str::to_owned));
            }
            "md" => documents.push((name, text)),
            _ => {}
        }
    }
    for (name, text) in &documents {
        faults.extend(link_faults(&root, name, text));
        if name == "COMPATIBILITY.md" {
            faults.extend(tick_faults(text, &tests));
        }
    }
    Ok(faults)
}

fn tracked(root: &Path) -> Result<Vec<PathBuf>> {
    // A checkout that belongs to somebody else, as in a container, is still this one.
    let trusted = format!("safe.directory={}", root.display());
    let res = Command::new("git")
        .args(["-c", &trusted, "ls-files", "-z"])
        .current_dir(root)
        .output()
        .context("cannot start git")?;
    ensure!(
        res.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&res.stderr).trim()
    );
    let names = String::from_utf8(res.stdout).context("a file name is not UTF-8")?;
    Ok(names.split_terminator('\0').map(PathBuf::from).collect())
}

fn text_faults(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.is_empty() && !text.ends_with('\n') {
        faults.push(format!("{name}: no newline at its end"));
    }
    // What a test feeds to a parser may hold anything.
    let is_data = name.contains("/testdata/") || name.contains("/fixtures/") || name.contains("/golden/");
    for (number, line) in (1..).zip(text.lines()) {
        for (word, why) in FORBIDDEN {
            if !is_data && line.contains(word) {
                faults.push(format!("{name}:{number}: `{word}`: {why}"));
            }
        }
    }
    faults
}

fn source_faults(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    let is_exempt = text.lines().take(20).any(|it| it.contains(EXEMPT));
    if MAX_LINES < lines && !is_exempt {
        faults.push(format!("{name}: {lines} lines, at most {MAX_LINES}"));
    }
    // A module `tests` that has a file of its own needs no more explanation than its name.
    if !text.starts_with("//!") && !name.ends_with("/tests.rs") {
        faults.push(format!("{name}: does not begin by saying what it is for (`//!`)"));
    }
    let is_engine = [
        "gocompat",
        "yaml",
        "template",
        "sprig",
        "helm",
        "kustomize",
        "postbuild",
        "kstatus",
    ];
    if is_engine
        .iter()
        .any(|it| name.starts_with(&format!("crates/ferro-{it}/src/")))
    {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        // What reads the disk or the clock is compiled only with the feature for it.
        let is_optional = OPTIONAL.contains(&name);
        let named = IMPURE.iter().filter(|it| code.contains(**it) && !is_optional);
        faults.extend(named.map(|it| format!("{name}: `{it}` in an engine")));
    }
    faults
}

/// The names of functions under an attribute that has to do with tests, and of the end-to-end tests.
fn test_names(text: &str) -> impl Iterator<Item = &str> {
    let mut lines = text.lines().map(str::trim);
    let mut marked = false;
    std::iter::from_fn(move || {
        for line in lines.by_ref() {
            if line.starts_with("#[") && line.contains("test") {
                marked = true;
            }
            let function = line
                .strip_prefix("async fn ")
                .or_else(|| line.strip_prefix("fn "));
            let function = function
                .or_else(|| line.strip_prefix("pub(crate) async fn "))
                .and_then(|it| it.split(['(', '<']).next());
            let is_case = line.contains("(case: Case)") || line.contains("(case: &Case)");
            if let Some(name) = function
                && (std::mem::take(&mut marked) || is_case)
            {
                return Some(name);
            }
        }
        None
    })
}

/// A tick in the checklist names a test that exists, in backquotes, with or without its path.
fn tick_faults(text: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let ticks = (1..)
        .zip(text.lines())
        .filter(|(_, line)| line.trim_start().to_lowercase().starts_with("- [x]"));
    let mut faults = Vec::new();
    for (number, line) in ticks {
        let quoted: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        let is_test = |it: &&str| it.rsplit("::").next().is_some_and(|name| tests.contains(name));
        let dead = quoted.iter().find(|it| looks_like_a_test(it) && !is_test(it));
        if let Some(dead) = dead {
            faults.push(format!("COMPATIBILITY.md:{number}: there is no test `{dead}`"));
        } else if !quoted.iter().any(is_test) {
            faults.push(format!(
                "COMPATIBILITY.md:{number}: a tick without the name of its test"
            ));
        }
    }
    faults
}

/// A path, or words joined as only the name of a test joins them: fields, flags and metrics have other forms.
fn looks_like_a_test(quoted: &str) -> bool {
    let is_name = |it: &str| {
        it.chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let last = quoted.rsplit("::").next().unwrap_or_default();
    is_name(last) && (quoted.contains("::") || last.matches('_').count() >= 2)
}

/// A link to a file of the repository leads somewhere.
fn link_faults(root: &Path, name: &str, text: &str) -> Vec<String> {
    let dir = Path::new(name).parent().unwrap_or_else(|| Path::new(""));
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|it| it.split([')', '#', ' ']).next());
    let local = targets.filter(|it| !it.is_empty() && !it.contains("://") && !it.starts_with("mailto:"));
    let dead = local.filter(|it| !root.join(dir).join(it).exists());
    dead.map(|it| format!("{name}: the link to `{it}` leads nowhere"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_needs_a_test_that_exists() {
        let source = "    #[test]\n    fn suspend_is_respected() {\n\nasync fn prune_works(case: Case) -> Result<()> {\nfn helper() {";
        let tests: BTreeSet<String> = test_names(source).map(str::to_owned).collect();
        let text = "- [x] suspend (`suspend_is_respected`)\n- [x] prune: `e2e::prune::prune_works`\n- [ ] decryption\n- [x] `helper`\n- [x] `a::gone`\n- [x] `suspend_is_respected`, `prune_was_renamed_since`\n";
        let faults = tick_faults(text, &tests);
        assert_eq!(
            faults,
            [
                "COMPATIBILITY.md:4: a tick without the name of its test",
                "COMPATIBILITY.md:5: there is no test `a::gone`",
                "COMPATIBILITY.md:6: there is no test `prune_was_renamed_since`"
            ]
        );
    }

    #[test]
    fn long_files_and_forbidden_words_are_found() {
        let long = format!("//! Long.\n{}", "\n".repeat(MAX_LINES));
        assert_eq!(source_faults("crates/a/src/b.rs", &long).len(), 1);
        assert!(source_faults("crates/a/src/b.rs", &format!("//! Long; {EXEMPT}.\n{long}")).is_empty());
        assert_eq!(text_faults("a.rs", concat!("//! TO", "DO\n")).len(), 1);
        assert_eq!(
            source_faults("crates/ferro-yaml/src/a.rs", "//! A.\nuse std::net::TcpStream;\n").len(),
            1
        );
    }
}
