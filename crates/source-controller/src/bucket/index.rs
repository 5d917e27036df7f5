//! What a bucket holds, as far as it is wanted, and the revision that this makes (`spec/sources-and-images.md` sections 14.3 and A.3).

use std::collections::BTreeMap;

use ferro_artifact::digest::{Algorithm, Digest};

/// ETags by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    etags: BTreeMap<String, String>,
}

impl Index {
    pub(super) const fn new(etags: BTreeMap<String, String>) -> Self {
        Self { etags }
    }

    pub(super) fn len(&self) -> usize {
        self.etags.len()
    }

    pub(super) const fn etags(&self) -> &BTreeMap<String, String> {
        &self.etags
    }

    /// Notes which version of an object was received; `None` if it was gone.
    pub(super) fn note(&mut self, key: &str, etag: Option<String>) {
        match etag {
            Some(etag) => self.etags.insert(key.to_owned(), etag),
            None => self.etags.remove(key),
        };
    }

    /// The digest over a line for each object, `key etag`, in the order of the keys.
    pub(super) fn digest(&self, algorithm: Algorithm) -> Digest {
        let mut hasher = algorithm.hasher();
        for (key, etag) in &self.etags {
            for part in [key.as_bytes(), b" ", etag.as_bytes(), b"\n"] {
                hasher.update(part);
            }
        }
        hasher.finish()
    }

    /// Whether `revision` is that of this index, in whatever algorithm it was made.
    pub(super) fn is_of(&self, revision: &str) -> bool {
        revision
            .parse::<Digest>()
            .is_ok_and(|revision| self.digest(revision.algorithm()) == revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_over_sorted_lines() {
        let etags = [("dir/b.yaml", "222"), ("a.yaml", "111")];
        let etags = etags.map(|(key, etag)| (key.to_owned(), etag.to_owned()));
        let mut index = Index::new(etags.into_iter().collect());
        let expected = Algorithm::Sha256.digest(b"a.yaml 111\ndir/b.yaml 222\n");
        assert_eq!(index.digest(Algorithm::Sha256), expected);
        assert!(index.is_of(&expected.to_string()));
        assert!(
            index.is_of(
                &Algorithm::Blake3
                    .digest(b"a.yaml 111\ndir/b.yaml 222\n")
                    .to_string()
            )
        );
        index.note("a.yaml", None);
        assert_eq!(
            index.digest(Algorithm::Sha512),
            Algorithm::Sha512.digest(b"dir/b.yaml 222\n")
        );
        for revision in ["", "sha256:1", &expected.to_string()] {
            assert!(!index.is_of(revision), "{revision}");
        }
    }

    #[test]
    fn digest_of_nothing_is_that_of_no_bytes() {
        let empty = Index::default();
        assert_eq!(empty.digest(Algorithm::Sha256), Algorithm::Sha256.digest(b""));
    }
}
