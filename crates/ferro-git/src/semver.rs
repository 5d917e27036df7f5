//! Choosing a tag by a range of versions.

use ferro_gocompat::semver::{Constraints, Version};

use crate::refs::RemoteRef;
use crate::{Error, Result};

/// The tags with the highest version in `range`: several when they differ in build metadata only.
///
/// A tag counts when it has all three numbers, with or without `v` before them.
pub(crate) fn highest<'a>(range: &str, refs: &'a [RemoteRef]) -> Result<Vec<&'a RemoteRef>> {
    let constraints = Constraints::parse(range).map_err(|error| Error::InvalidSemver {
        reason: error.to_string(),
    })?;
    let mut best: Option<(Version, Vec<&RemoteRef>)> = None;
    for found in refs {
        let Some(tag) = found.name.strip_prefix("refs/tags/") else {
            continue;
        };
        if tag.splitn(3, '.').count() < 3 {
            continue;
        }
        let Ok(version) = Version::parse(tag) else {
            continue;
        };
        if !constraints.check(&version) {
            continue;
        }
        match &mut best {
            Some((highest, tags)) if version == *highest => tags.push(found),
            Some((highest, _)) if version < *highest => {}
            _ => best = Some((version, vec![found])),
        }
    }
    best.map(|(_, tags)| tags).ok_or_else(|| Error::NoSemverMatch {
        range: range.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(range: &str, tags: &[&str]) -> Result<Vec<String>> {
        let target = gix_hash::ObjectId::null(gix_hash::Kind::Sha1);
        let to_ref = |tag: &&str| RemoteRef {
            name: format!("refs/tags/{tag}"),
            target,
            tag: None,
        };
        let refs: Vec<_> = tags.iter().map(to_ref).collect();
        let short = |found: &RemoteRef| found.name.trim_start_matches("refs/tags/").to_owned();
        highest(range, &refs).map(|tags| tags.into_iter().map(short).collect())
    }

    #[test]
    fn highest_follows_the_range() {
        let tags = [
            "v1",
            "1.2",
            "1.2.3",
            "v1.10.0",
            "1.9.9",
            "2.0.0-rc.1",
            "release",
            "3.0.0-alpha",
            "1.x.0",
        ];
        let cases = [
            ("*", "v1.10.0"),
            ("1.x", "v1.10.0"),
            ("~1.2", "1.2.3"),
            ("<1.10.0", "1.9.9"),
            (">=2.0.0-0", "3.0.0-alpha"),
            (">=2.0.0-0 <3.0.0-0", "2.0.0-rc.1"),
        ];
        for (range, expected) in cases {
            assert_eq!(pick(range, &tags).unwrap(), [expected], "{range}");
        }
        assert!(matches!(pick(">=2", &tags), Err(Error::NoSemverMatch { .. })));
        assert!(matches!(
            pick("not a range", &tags),
            Err(Error::InvalidSemver { .. })
        ));
    }

    #[test]
    fn highest_build_metadata_is_a_tie() {
        assert_eq!(
            pick("*", &["1.0.0+a", "v1.0.0", "0.9.0"]).unwrap(),
            ["1.0.0+a", "v1.0.0"]
        );
    }
}
