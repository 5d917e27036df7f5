//! Ignore rules: `.sourceignore` files, `spec.ignore` and the default excludes.
//!
//! The syntax is gitignore's, the semantics are go-git's, which differ from Git's: the last pattern that
//! matches a path or one of its parents decides, so a file below an excluded directory can be included
//! again.

use tokio_util::sync::CancellationToken;

use crate::glob;
use crate::tree::{Budget, Directory, EntryKind, MountSource, TreeError};

/// The name of the file that holds ignore rules.
pub const IGNORE_FILE: &str = ".sourceignore";

/// Always excluded unless a user's rule includes it again.
const VCS: [&str; 4] = [".git/", ".gitignore", ".gitmodules", ".gitattributes"];

/// Excluded where the user gives no rule at all.
const DEFAULTS: [&str; 20] = [
    "*.jpg",
    "*.jpeg",
    "*.gif",
    "*.png",
    "*.wmv",
    "*.flv",
    "*.tar.gz",
    "*.zip",
    ".github/",
    ".circleci/",
    ".travis.yml",
    ".gitlab-ci.yml",
    "appveyor.yml",
    ".drone.yml",
    "cloudbuild.yaml",
    "codeship-services.yml",
    "codeship-steps.yml",
    "**/.goreleaser.yml",
    "**/.sops.yaml",
    "**/.flux.yaml",
];

/// The largest ignore file that is read.
const MAX_IGNORE_FILE: u64 = 1024 * 1024;

/// The most rules of all ignore files together.
const MAX_PATTERNS: usize = 10_000;

/// One rule with the directory it applies to.
#[derive(Debug, Clone)]
pub struct Pattern {
    domain: Vec<Box<[u8]>>,
    segments: Vec<Box<[u8]>>,
    is_inclusion: bool,
    is_dir_only: bool,
    is_path: bool,
}

/// The components of a path below the root.
pub type Components<'a> = &'a [&'a [u8]];

impl Pattern {
    /// Parses one line that is neither blank nor a comment; `domain` is where its file lies.
    pub fn parse(line: &[u8], domain: &[&[u8]]) -> Self {
        let (is_inclusion, mut text) = match line.strip_prefix(b"!") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        if !text.ends_with(b"\\ ") {
            while let Some(rest) = text.strip_suffix(b" ") {
                text = rest;
            }
        }
        let (is_dir_only, text) = match text.strip_suffix(b"/") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        Self {
            domain: domain.iter().map(|part| (*part).into()).collect(),
            segments: text.split(|byte| *byte == b'/').map(Into::into).collect(),
            is_inclusion,
            is_dir_only,
            is_path: text.contains(&b'/'),
        }
    }

    fn matches(&self, path: Components<'_>, is_dir: bool) -> bool {
        let Some((domain, below)) = path.split_at_checked(self.domain.len()) else {
            return false;
        };
        if below.is_empty() || !domain.iter().zip(&self.domain).all(|(part, own)| **part == **own) {
            return false;
        }
        if self.is_path {
            self.matches_path(below, is_dir)
        } else {
            self.matches_name(below, is_dir)
        }
    }

    fn matches_name(&self, path: Components<'_>, is_dir: bool) -> bool {
        let pattern = self.segments.first().map_or(&[][..], |segment| segment);
        for (index, name) in path.iter().enumerate() {
            match glob::matches(pattern, name) {
                Err(glob::BadPattern) => return false,
                Ok(false) => {}
                Ok(true) => return !self.is_dir_only || is_dir || index + 1 < path.len(),
            }
        }
        false
    }

    fn matches_path(&self, mut path: Components<'_>, is_dir: bool) -> bool {
        let mut is_matched = false;
        let mut can_skip = false;
        for (index, segment) in self.segments.iter().enumerate() {
            if segment.is_empty() {
                can_skip = false;
                continue;
            }
            if **segment == *b"**" {
                if index + 1 == self.segments.len() {
                    break;
                }
                can_skip = true;
                continue;
            }
            if segment.windows(2).any(|pair| pair == b"**") {
                return false;
            }
            let Some((first, rest)) = path.split_first() else {
                return false;
            };
            if !can_skip {
                if glob::matches(segment, first) != Ok(true) {
                    return false;
                }
                (is_matched, path) = (true, rest);
                continue;
            }
            can_skip = false;
            while let Some((name, rest)) = path.split_first() {
                path = rest;
                match glob::matches(segment, name) {
                    Err(glob::BadPattern) => return false,
                    Ok(true) => {
                        is_matched = true;
                        break;
                    }
                    Ok(false) if path.is_empty() => is_matched = false,
                    Ok(false) => {}
                }
            }
        }
        is_matched && (!self.is_dir_only || is_dir || !path.is_empty())
    }
}

/// Reads the rules of one file (or of `spec.ignore`, with an empty domain).
pub fn parse_patterns(text: &[u8], domain: &[&[u8]]) -> Vec<Pattern> {
    text.split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.starts_with(b"#") && !is_blank(line))
        .map(|line| Pattern::parse(line, domain))
        .collect()
}

fn is_blank(line: &[u8]) -> bool {
    match str::from_utf8(line) {
        Ok(text) => text.trim().is_empty(),
        Err(_) => false,
    }
}

/// Decides which paths stay out of an artifact.
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    patterns: Vec<Pattern>,
    has_inclusion: bool,
}

impl Matcher {
    /// Matches by exactly these patterns; the last match wins.
    pub fn new(patterns: Vec<Pattern>) -> Self {
        let has_inclusion = patterns.iter().any(|pattern| pattern.is_inclusion);
        Self {
            patterns,
            has_inclusion,
        }
    }

    /// Matches by the user's patterns, or by the default excludes where there are none; version control
    /// files are excluded first in both cases.
    pub fn with_defaults(user: Vec<Pattern>) -> Self {
        let mut patterns: Vec<Pattern> = VCS
            .iter()
            .map(|line| Pattern::parse(line.as_bytes(), &[]))
            .collect();
        if user.is_empty() {
            patterns.extend(DEFAULTS.iter().map(|line| Pattern::parse(line.as_bytes(), &[])));
        }
        patterns.extend(user);
        Self::new(patterns)
    }

    /// Collects the rules of every ignore file in `root`, appends `spec_ignore`, adds the defaults.
    ///
    /// A tree of a few objects can name the same subtree over and over, so the walk is bounded like that of the
    /// archive, and ends when `cancel` says so. Blocks the thread.
    pub fn load_blocking(
        root: &dyn Directory,
        spec_ignore: Option<&str>,
        cancel: &CancellationToken,
    ) -> Result<Self, TreeError> {
        let mut rules = Rules {
            root,
            budget: Budget::new(crate::archive::MAX_ENTRIES, cancel),
            path: Vec::new(),
            patterns: Vec::new(),
        };
        rules.collect(root)?;
        if let Some(text) = spec_ignore {
            rules.add(text.as_bytes())?;
        }
        Ok(Self::with_defaults(rules.patterns))
    }

    /// Tells whether the path is excluded.
    pub fn is_excluded(&self, path: Components<'_>, is_dir: bool) -> bool {
        let last = self
            .patterns
            .iter()
            .rev()
            .find(|pattern| pattern.matches(path, is_dir));
        last.is_some_and(|pattern| !pattern.is_inclusion)
    }

    /// Tells whether a path below an excluded directory may still be included.
    ///
    /// Every pattern that matches a directory matches all that is below it, so only an inclusion can
    /// change the verdict there.
    pub const fn can_include_below_excluded(&self) -> bool {
        self.has_inclusion
    }
}

/// Rules as they are found.
struct Rules<'a> {
    root: &'a dyn Directory,
    budget: Budget<'a>,
    path: Vec<Vec<u8>>,
    patterns: Vec<Pattern>,
}

impl Rules<'_> {
    fn collect(&mut self, directory: &dyn Directory) -> Result<(), TreeError> {
        if self.path.len() > crate::tree::MAX_DEPTH {
            return Err(TreeError::too_deep(&self.path));
        }
        let mut subdirectories = Vec::new();
        for entry in directory.entries()? {
            self.budget.spend()?;
            match entry.kind {
                EntryKind::File(content) if entry.name == IGNORE_FILE.as_bytes() => {
                    let text = content
                        .read_all(MAX_IGNORE_FILE)
                        .map_err(|error| error.below(&self.path))?;
                    self.add(&text)?;
                }
                EntryKind::Other if entry.name == IGNORE_FILE.as_bytes() => {
                    if let Some(target) = directory.link(&entry.name)? {
                        self.add_linked(&target)?;
                    }
                }
                EntryKind::Directory(below) if entry.name != b".git" => {
                    subdirectories.push((entry.name, below));
                }
                EntryKind::Directory(_) | EntryKind::File(_) | EntryKind::Other => {}
            }
        }
        for (name, below) in subdirectories {
            self.path.push(name);
            self.collect(below.as_ref())?;
            self.path.pop();
        }
        Ok(())
    }

    /// Adds the rules of the file that a link leads to. Like upstream, they count from where the link is; unlike upstream, a link that leads
    /// out of the tree leads nowhere.
    fn add_linked(&mut self, target: &[u8]) -> Result<(), TreeError> {
        let mut path = self.path.clone();
        if target.starts_with(b"/") {
            return Ok(());
        }
        for part in target.split(|byte| *byte == b'/') {
            match part {
                b".." if path.pop().is_none() => return Ok(()),
                b"" | b"." | b".." => {}
                name => path.push(name.to_vec()),
            }
        }
        let text = crate::tree::with_path(self.root, &path, &mut |found| match found {
            MountSource::File(content) => content.read_all(MAX_IGNORE_FILE).map(Some),
            MountSource::Directory(_) => Ok(None),
        })?;
        match text
            .transpose()
            .map_err(|error| error.below(&self.path))?
            .flatten()
        {
            Some(text) => self.add(&text),
            None => Ok(()),
        }
    }

    fn add(&mut self, text: &[u8]) -> Result<(), TreeError> {
        let domain: Vec<&[u8]> = self.path.iter().map(Vec::as_slice).collect();
        self.patterns.extend(parse_patterns(text, &domain));
        // Each is tried on each entry of the tree.
        if self.patterns.len() > MAX_PATTERNS {
            return Err(TreeError::TooManyRules { limit: MAX_PATTERNS });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_excluded(matcher: &Matcher, path: &str) -> bool {
        let (path, is_dir) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, false),
        };
        let components: Vec<&[u8]> = path.split('/').map(str::as_bytes).collect();
        matcher.is_excluded(&components, is_dir)
    }

    fn user(text: &str) -> Matcher {
        Matcher::with_defaults(parse_patterns(text.as_bytes(), &[]))
    }

    #[test]
    fn is_excluded_specified_examples_hold() {
        let cases = [
            ("", ".github/workflows/ci.yaml", true),
            ("/deploy", ".github/workflows/ci.yaml", false),
            ("", "img/logo.png", true),
            ("/*\n!/deploy", "README.md", true),
            ("/*\n!/deploy", "deploy/a.yaml", false),
            ("*.md", "docs/a.md", true),
            ("docs/", "docs/a.yaml", true),
            ("docs/\n!docs/a.yaml", "docs/a.yaml", false),
            ("# x", "# x", false),
            (" # x", " # x", true),
            // Version control files go first, so a rule can bring them back.
            ("!/.gitignore", ".gitignore", false),
            ("x", "a/.gitattributes", true),
            ("x", ".git/HEAD", true),
            // A submodule's .git is a file, which a rule for directories does not match.
            ("x", "sub/.git", false),
            // One line is enough to switch the defaults off, the ignore file itself stays.
            ("x", "img/logo.png", false),
            ("", ".sourceignore", false),
            ("", "deep/down/.sops.yaml", true),
            ("", ".flux.yaml", true),
            ("", "archive.tar.gz", true),
        ];
        for (text, path, expected) in cases {
            assert_eq!(is_excluded(&user(text), path), expected, "{text:?} on {path}");
        }
    }

    #[test]
    fn is_excluded_follows_go_git() {
        let cases = [
            ("value", "a/value", true),
            ("value/", "a/value", false),
            ("value/", "a/value/", true),
            ("value/", "a/value/b", true),
            ("/value", "value", true),
            ("/value", "a/value", false),
            ("a/value", "a/value/tail", true),
            ("a/value", "x/a/value", false),
            ("**/value", "a/b/value", true),
            ("**/value", "value", true),
            ("**/value/vol", "a/value/vol/tail", true),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/b/b/c", true),
            ("a/**/c", "a/b", false),
            ("a/**", "a/b", true),
            ("a/**", "a", true),
            ("**", "a", true),
            ("a**/b", "ax/b", false),
            ("*.tx[t", "a.txt", false),
            ("\\#note", "#note", true),
            ("\\!note", "!note", true),
            ("trail   ", "trail", true),
            ("trail\\ ", "trail ", true),
            ("trail\\ ", "trail", false),
            ("v[0-9].yaml", "v1.yaml", true),
            ("v?.yaml", "v12.yaml", false),
            ("a/*/c", "a/b/x/c", false),
            ("file\r", "file", true),
        ];
        for (text, path, expected) in cases {
            let matcher = Matcher::new(parse_patterns(text.as_bytes(), &[]));
            assert_eq!(is_excluded(&matcher, path), expected, "{text:?} on {path}");
        }
    }

    #[test]
    fn is_excluded_patterns_keep_to_their_domain() {
        let matcher = Matcher::new(parse_patterns(b"*.yaml\n/x", &[b"apps".as_slice()]));
        assert!(is_excluded(&matcher, "apps/a.yaml"));
        assert!(is_excluded(&matcher, "apps/deep/a.yaml"));
        assert!(is_excluded(&matcher, "apps/x"));
        assert!(!is_excluded(&matcher, "apps/deep/x"));
        assert!(!is_excluded(&matcher, "a.yaml"));
        assert!(!is_excluded(&matcher, "apps/"));
    }
}
