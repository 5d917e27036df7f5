//! Revision strings of artifacts: `main@sha1:<hash>`, `sha256:<hex>`, `v1.2.3`.

/// Rewrites a legacy revision (`main/<hash>`) in the canonical form (`main@sha1:<hash>`).
///
/// A revision that is empty or holds a colon is canonical already.
pub fn normalize(revision: &str) -> String {
    if revision.is_empty() || revision.contains(':') {
        return revision.to_owned();
    }
    let hash = revision.rsplit('/').next().unwrap_or(revision);
    let algorithm = if hash.len() == 40 { "sha1" } else { "<unknown>" };
    match legacy_pointer(revision) {
        "" => format!("{algorithm}:{hash}"),
        pointer => format!("{pointer}@{algorithm}:{hash}"),
    }
}

fn legacy_pointer(revision: &str) -> &str {
    if let Some((pointer, _)) = revision.rsplit_once('@') {
        return pointer;
    }
    match revision.rsplit_once('/') {
        Some(("HEAD", _)) | None => "",
        Some((pointer, _)) => pointer,
    }
}

/// Tells whether two revisions are the same once legacy forms are normalized.
pub fn equal(left: &str, right: &str) -> bool {
    left == right || normalize(left) == normalize(right)
}

/// The hash of a revision, without pointer and algorithm.
pub fn hash(revision: &str) -> &str {
    match revision.rsplit_once(':') {
        Some((_, hash)) => hash,
        None => revision.rsplit('/').next().unwrap_or(revision),
    }
}

/// The named pointer (branch, tag) of a revision, if it has one.
pub fn pointer(revision: &str) -> Option<&str> {
    revision.rsplit_once('@').map(|(pointer, _)| pointer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "5394cb7f48332b2de7c17dd8b8384bbc84b7e738";

    #[test]
    fn normalize_legacy_forms_become_canonical() {
        assert_eq!(normalize(&format!("main/{HASH}")), format!("main@sha1:{HASH}"));
        assert_eq!(normalize(&format!("HEAD/{HASH}")), format!("sha1:{HASH}"));
        assert_eq!(
            normalize(&format!("feature/branch/{HASH}")),
            format!("feature/branch@sha1:{HASH}")
        );
        assert_eq!(normalize(HASH), format!("sha1:{HASH}"));
        assert_eq!(normalize("main/5394cb7f"), "main@<unknown>:5394cb7f");
        let canonical = format!("refs/pull/420/head@sha1:{HASH}");
        assert_eq!(normalize(&canonical), canonical);
        assert_eq!(normalize(""), "");
    }

    #[test]
    fn parts_of_a_revision_are_found() {
        let revision = format!("a/b@sha1:{HASH}");
        assert_eq!(hash(&revision), HASH);
        assert_eq!(pointer(&revision), Some("a/b"));
        assert_eq!(pointer(&format!("sha1:{HASH}")), None);
        assert_eq!(hash(&format!("main/{HASH}")), HASH);
        assert!(equal(&format!("main/{HASH}"), &format!("main@sha1:{HASH}")));
        assert!(!equal(&format!("main/{HASH}"), &format!("dev@sha1:{HASH}")));
    }
}
