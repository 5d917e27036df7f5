//! The first phase of a pass: what the bucket holds, and what of it is wanted (`spec/sources-and-images.md` section 14.3).

use std::collections::BTreeMap;

use ferro_artifact::archive::{MAX_BYTES, MAX_ENTRIES};
use ferro_artifact::ignore::{IGNORE_FILE, Matcher, parse_patterns};
use ferro_bucket::{Bucket, Error, Listed};
use ferro_http::describe;

/// The largest file with ignore rules.
const MAX_IGNORE_FILE: usize = 1 << 20;

/// The most ignore rules: each is tried on each key.
const MAX_PATTERNS: usize = 10_000;

/// What a bucket holds.
#[derive(Debug)]
pub(super) struct Found {
    /// What is wanted, by key.
    pub objects: BTreeMap<String, Listed>,
    /// The file with ignore rules in the root, which goes into the artifact.
    pub ignore_file: Option<Vec<u8>>,
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub bucket_name: &'a str,
    pub prefix: &'a str,
    pub ignore: Option<&'a str>,
}

/// Looks at the whole bucket.
///
/// # Errors
/// With the text of the reference.
pub(super) async fn look(bucket: &Bucket, wanted: Wanted<'_>) -> Result<Found, String> {
    let ignore_file = match ignore_file(bucket).await {
        Ok(content) => content,
        Err(fault) => return Err(explain(bucket, wanted.bucket_name, fault).await),
    };
    let mut patterns = parse_patterns(ignore_file.as_deref().unwrap_or_default(), &[]);
    patterns.extend(parse_patterns(wanted.ignore.unwrap_or_default().as_bytes(), &[]));
    if patterns.len() > MAX_PATTERNS {
        return Err(format!("more than {MAX_PATTERNS} ignore rules"));
    }
    let matcher = Matcher::new(patterns);
    let objects = match objects(bucket, wanted.prefix, &matcher).await {
        Ok(objects) => objects,
        Err(Trouble::Bounds(problem)) => return Err(format!("bucket '{}' {problem}", wanted.bucket_name)),
        Err(Trouble::Storage(error)) => {
            let name = wanted.bucket_name;
            let step = format!(
                "indexation of objects from bucket '{name}' failed: listing objects from bucket '{name}' failed"
            );
            return Err(explain(bucket, name, Fault { step, error }).await);
        }
    };
    Ok(Found { objects, ignore_file })
}

/// What failed, in the words of the reference.
struct Fault {
    step: String,
    error: Error,
}

/// The text of a fault. The reference asks for the bucket before anything else; here that is only done when something else has failed, which saves
/// a request in all passes that succeed.
async fn explain(bucket: &Bucket, name: &str, fault: Fault) -> String {
    let unconfirmed =
        |error: &Error| format!("failed to confirm existence of '{name}' bucket: {}", shown(error));
    if matches!(fault.error, Error::Http(_) | Error::InvalidBucketName(_)) {
        return unconfirmed(&fault.error);
    }
    match bucket.exists().await {
        Ok(true) => format!("{}: {}", fault.step, shown(&fault.error)),
        Ok(false) => format!("bucket '{name}' not found"),
        Err(error) => unconfirmed(&error),
    }
}

async fn ignore_file(bucket: &Bucket) -> Result<Option<Vec<u8>>, Fault> {
    read_ignore_file(bucket).await.map_err(|error| Fault {
        step: format!("failed to get Etag for '{IGNORE_FILE}' object"),
        error,
    })
}

async fn read_ignore_file(bucket: &Bucket) -> Result<Option<Vec<u8>>, Error> {
    let listed = Listed {
        key: IGNORE_FILE.to_owned(),
        ..Listed::default()
    };
    let Some(mut object) = bucket.get(&listed).await? else {
        return Ok(None);
    };
    let mut content = Vec::new();
    while let Some(chunk) = object.chunk().await? {
        content.extend_from_slice(&chunk);
        if content.len() > MAX_IGNORE_FILE {
            return Err(Error::Malformed {
                reason: format!("the file is larger than {MAX_IGNORE_FILE} bytes"),
            });
        }
    }
    Ok(Some(content))
}

enum Trouble {
    Storage(Error),
    Bounds(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Storage(error)
    }
}

async fn objects(
    bucket: &Bucket,
    prefix: &str,
    matcher: &Matcher,
) -> Result<BTreeMap<String, Listed>, Trouble> {
    let mut objects = BTreeMap::new();
    let mut bytes = 0_u64;
    let mut listing = bucket.list(prefix);
    while let Some(page) = listing.next_page().await? {
        for listed in page.into_iter().filter(|listed| is_wanted(&listed.key, matcher)) {
            bytes = bytes.saturating_add(listed.size);
            objects.insert(listed.key.clone(), listed);
        }
        let advice = "leave some out by spec.prefix or spec.ignore";
        if objects.len() as u64 > MAX_ENTRIES {
            return Err(Trouble::Bounds(format!(
                "holds more than {MAX_ENTRIES} objects: {advice}"
            )));
        }
        if bytes > MAX_BYTES {
            return Err(Trouble::Bounds(format!(
                "holds objects of more than {MAX_BYTES} bytes in total: {advice}"
            )));
        }
    }
    Ok(objects)
}

fn is_wanted(key: &str, matcher: &Matcher) -> bool {
    if key.ends_with('/') || key == IGNORE_FILE {
        return false;
    }
    let path: Vec<&[u8]> = key.split('/').map(str::as_bytes).collect();
    !matcher.is_excluded(&path, false)
}

/// The text of an error. Of addresses nothing is shown after the question mark, where signatures are.
pub(super) fn shown(error: &dyn std::error::Error) -> String {
    let text = describe(error);
    let words: Vec<&str> = text
        .split(' ')
        .map(|word| {
            let is_url = word.contains("http://") || word.contains("https://");
            let cut = word.find('?').filter(|_| is_url);
            cut.and_then(|at| word.get(..at)).unwrap_or(word)
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_wanted_follows_the_patterns_and_no_default() {
        let matcher = Matcher::new(parse_patterns(b"*.md\n!keep.md\n/top", &[]));
        for key in [
            "a.yaml",
            "x/keep.md",
            ".gitignore",
            "logo.png",
            "x/.sourceignore",
            "x/top",
        ] {
            assert!(is_wanted(key, &matcher), "{key}");
        }
        for key in ["dir/", "README.md", ".sourceignore", "top", "top/x"] {
            assert!(!is_wanted(key, &matcher), "{key}");
        }
    }

    #[test]
    fn shown_has_no_queries_of_addresses() {
        let error = Error::Credential("at https://h/p?sig=hunter2 failed, why?".to_owned());
        assert_eq!(shown(&error), "at https://h/p failed, why?");
    }
}
