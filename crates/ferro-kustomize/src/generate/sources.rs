//! Where the content of generated objects comes from.

use crate::Quirks;
use crate::error::{Context, Error, ErrorKind, Location, Result, fail};
use crate::loader::Loader;
use crate::path;

/// Upstream stops reading a file at a line this long, without a word.
const MAX_LINE: usize = 65_536;

pub(super) struct Sources<'a> {
    pub(super) literals: &'a [String],
    pub(super) files: &'a [String],
    pub(super) envs: &'a [String],
    pub(super) quirks: Quirks,
}

type Pairs = Vec<(String, Vec<u8>)>;

impl Sources<'_> {
    /// Reads all pairs, in the order of their keys.
    pub(super) fn load(&self, name: &str, loader: &Loader<'_>) -> Result<Pairs> {
        let mut pairs = self.collect(loader).during(|| "loading KV pairs".to_owned())?;
        pairs.sort_by(|(left, _), (right, _)| left.cmp(right));
        let repeated = pairs
            .windows(2)
            .find(|pair| matches!(pair, [(left, _), (right, _)] if left == right));
        if let Some([(key, _), ..]) = repeated {
            fail!("configmap {name} illegally repeats the key `{key}`");
        }
        Ok(pairs)
    }

    fn collect(&self, loader: &Loader<'_>) -> Result<Pairs> {
        let mut pairs = Pairs::new();
        for env in self.envs {
            let words = || format!("env source files: [{}]", self.envs.join(" "));
            let content = loader.load(env).during(words)?;
            let shown = loader.shown(env);
            self.read_env(&shown, &content, &mut pairs).during(words)?;
        }
        for source in self.literals {
            let pair = literal(source).during(|| format!("literal sources [{}]", self.literals.join(" ")))?;
            pairs.push(pair);
        }
        for source in self.files {
            let words = || format!("file sources: [{}]", self.files.join(" "));
            let (key, path) = file_source(source).during(words)?;
            let content = loader.load(path).during(words)?;
            pairs.push((key.to_owned(), content.into_owned()));
        }
        Ok(pairs)
    }

    /// Reads `key=value` lines: nothing is unquoted, and `#` starts a comment only at the start of a line.
    fn read_env(&self, file: &str, content: &[u8], pairs: &mut Pairs) -> Result<()> {
        for (number, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let place = || {
                let line = u32::try_from(number + 1).unwrap_or(u32::MAX);
                Some(Location {
                    file: file.into(),
                    document: 0,
                    line,
                })
            };
            if line.len() >= MAX_LINE {
                if self.quirks == Quirks::Upstream {
                    return Ok(());
                }
                let text = format!(
                    "line {} of '{file}' is too long; kustomize would drop it and all behind it",
                    number + 1
                );
                return Err(Error::from(ErrorKind::DataLoss(text)).at(place()));
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let Ok(line) = std::str::from_utf8(line) else {
                let bytes: Vec<String> = line.iter().map(u8::to_string).collect();
                let text = String::from_utf8_lossy(line);
                let problem = format!("line [{}] has invalid utf8 bytes : {text}", bytes.join(" "));
                return Err(Error::other(problem).at(place()));
            };
            let line = if number == 0 {
                line.strip_prefix('\u{feff}').unwrap_or(line)
            } else {
                line
            };
            let line = line.trim_start();
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            if !key.is_empty() && !line.starts_with('#') {
                pairs.push((key.to_owned(), value.as_bytes().to_vec()));
            }
        }
        Ok(())
    }
}

/// Reads `key=value`; one pair of quotes around the value is removed.
fn literal(source: &str) -> Result<(String, Vec<u8>)> {
    let Some((key, value)) = source.split_once('=').filter(|(key, _)| !key.is_empty()) else {
        fail!("invalid literal source {source}, expected key=value");
    };
    let unquoted = ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    Ok((key.to_owned(), unquoted.unwrap_or(value).as_bytes().to_vec()))
}

/// Reads `path` or `key=path`.
fn file_source(source: &str) -> Result<(&str, &str)> {
    let quote = ferro_gocompat::quote::quote;
    match source.split_once('=') {
        None => Ok((path::base_name(source), source)),
        Some((_, rest)) if rest.contains('=') => {
            fail!("source {} key name or file path contains '='", quote(source));
        }
        Some(("", path)) => {
            fail!(
                "missing key name for file path {} in source {}",
                quote(path),
                quote(source)
            );
        }
        Some((key, "")) => {
            fail!(
                "missing file path for key name {} in source {}",
                quote(key),
                quote(source)
            );
        }
        Some((key, path)) => Ok((key, path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(text: &str) -> Vec<(String, String)> {
        let sources = Sources {
            literals: &[],
            files: &[],
            envs: &[],
            quirks: Quirks::Fixed,
        };
        let mut pairs = Pairs::new();
        sources.read_env("f.env", text.as_bytes(), &mut pairs).unwrap();
        pairs
            .into_iter()
            .map(|(key, value)| (key, String::from_utf8(value).unwrap()))
            .collect()
    }

    #[test]
    fn env_lines_are_taken_as_they_are() {
        let text = "\u{feff}a=1\r\n  # c\n\n b = 'x' #y \nc\n=z\n";
        let expected = [("a", "1"), ("b ", " 'x' #y "), ("c", "")];
        assert_eq!(
            env(text),
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn a_line_that_upstream_drops_is_an_error() {
        let sources = Sources {
            literals: &[],
            files: &[],
            envs: &[],
            quirks: Quirks::Fixed,
        };
        let long = format!("a=1\nb={}\nc=2", "x".repeat(70_000));
        let error = sources
            .read_env("f.env", long.as_bytes(), &mut Pairs::new())
            .unwrap_err();
        assert_eq!(error.location().unwrap().line, 2);
    }

    #[test]
    fn literals_lose_one_pair_of_quotes() {
        assert_eq!(literal("a=\"'x'\"").unwrap().1, b"'x'");
        assert_eq!(literal("a='").unwrap().1, b"'");
        assert!(literal("=x").is_err());
        assert!(literal("x").is_err());
    }

    #[test]
    fn file_sources_name_their_key() {
        assert_eq!(file_source("d/f.txt").unwrap(), ("f.txt", "d/f.txt"));
        assert_eq!(file_source("k=d/f").unwrap(), ("k", "d/f"));
        for source in ["=f", "k=", "a=b=c"] {
            assert!(file_source(source).is_err());
        }
    }
}
