//! Refs of a remote, and which of them a reference means.

use gix_hash::ObjectId;
use gix_protocol::handshake::Ref;

use crate::{Error, Result};

/// The branch that is meant when nothing is said.
pub const DEFAULT_BRANCH: &str = "master";

/// A ref of the remote, with tags peeled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRef {
    /// The full name, `refs/heads/main`.
    pub name: String,
    /// What it points to once tags are followed: a commit, nearly always.
    pub target: ObjectId,
    /// The annotated tag that it points to itself.
    pub tag: Option<ObjectId>,
}

impl RemoteRef {
    /// Refs whose name is not UTF-8 cannot be asked for, and unborn ones point nowhere.
    pub(crate) fn from_protocol(found: Ref) -> Option<Self> {
        let (name, target, tag) = match found {
            Ref::Peeled {
                full_ref_name,
                tag,
                object,
            } => (full_ref_name, object, Some(tag)),
            Ref::Direct {
                full_ref_name,
                object,
            } => (full_ref_name, object, None),
            Ref::Symbolic {
                full_ref_name,
                tag,
                object,
                ..
            } => (full_ref_name, object, tag),
            Ref::Unborn { .. } => return None,
        };
        Some(Self {
            name: String::from_utf8(name.into()).ok()?,
            target,
            tag,
        })
    }
}

/// What a user asks for; the first that is set in the order commit, name, tag, semver, branch counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    /// A branch, `master` when nothing else is set.
    pub branch: Option<String>,
    /// A tag.
    pub tag: Option<String>,
    /// A range of versions that tags are matched with.
    pub semver: Option<String>,
    /// A full ref name.
    pub name: Option<String>,
    /// A commit; with a branch, the branch only goes into the revision.
    pub commit: Option<String>,
}

/// A [`Reference`] reduced to the one thing that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Commit { id: ObjectId, branch: Option<String> },
    Name { name: String, is_peeled: bool },
    Tag(String),
    Semver(String),
    Branch(String),
}

impl Reference {
    pub(crate) fn target(&self) -> Result<Target> {
        let set = |field: &Option<String>| {
            field
                .as_deref()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        if let Some(commit) = set(&self.commit) {
            let invalid = |_| Error::CommitNotFound {
                commit: commit.clone(),
            };
            let id = ObjectId::from_hex(commit.as_bytes()).map_err(invalid)?;
            return Ok(Target::Commit {
                id,
                branch: set(&self.branch),
            });
        }
        if let Some(name) = set(&self.name) {
            if name.starts_with('/') || name.ends_with('/') {
                return Err(Error::UnresolvedName { name });
            }
            let is_peeled = name.ends_with(PEELED);
            return Ok(Target::Name { name, is_peeled });
        }
        if let Some(tag) = set(&self.tag) {
            return Ok(Target::Tag(tag));
        }
        if let Some(range) = set(&self.semver) {
            return Ok(Target::Semver(range));
        }
        Ok(Target::Branch(
            set(&self.branch).unwrap_or_else(|| DEFAULT_BRANCH.to_owned()),
        ))
    }
}

/// The suffix that asks for the commit behind a tag.
const PEELED: &str = "^{}";

impl Target {
    /// The prefixes of refs that decide it; servers send no others.
    pub(crate) fn prefixes(&self) -> Vec<String> {
        match self {
            // Any ref shows that the repository is there.
            Self::Commit { branch: None, .. } => vec!["HEAD".to_owned()],
            Self::Commit {
                branch: Some(branch), ..
            }
            | Self::Branch(branch) => vec![heads(branch)],
            Self::Name { name, .. } => vec![name.trim_end_matches(PEELED).to_owned()],
            Self::Tag(tag) => vec![tags(tag)],
            Self::Semver(_) => vec!["refs/tags/".to_owned()],
        }
    }
}

pub(crate) fn heads(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

pub(crate) fn tags(tag: &str) -> String {
    format!("refs/tags/{tag}")
}

/// A reference that has been resolved to a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The commit.
    pub commit: ObjectId,
    /// The annotated tag through which it was found.
    pub tag: Option<ObjectId>,
    /// The ref, if there is one: `refs/heads/main`.
    pub ref_name: Option<String>,
    /// The revision string of an artifact made of it.
    pub revision: String,
}

impl Resolved {
    fn new(commit: ObjectId, tag: Option<ObjectId>, ref_name: Option<String>, is_absolute: bool) -> Self {
        let pointer = ref_name.as_deref().and_then(|name| pointer(name, is_absolute));
        let hash = format!("{}:{}", commit.kind(), commit.to_hex());
        let revision = match pointer {
            Some(pointer) => format!("{pointer}@{hash}"),
            None => hash,
        };
        Self {
            commit,
            tag,
            ref_name,
            revision,
        }
    }
}

/// What a revision calls a ref: its full name, or the name without its first two segments.
fn pointer(name: &str, is_absolute: bool) -> Option<&str> {
    if is_absolute {
        return Some(name);
    }
    name.splitn(3, '/').nth(2)
}

/// Finds what `target` means among the remote's refs; `None` if they do not say.
///
/// Which tag a range means is for [`crate::semver`] to say.
pub(crate) fn resolve(target: &Target, refs: &[RemoteRef]) -> Option<Resolved> {
    let find = |name: &str| refs.iter().find(|found| found.name == name);
    match target {
        Target::Commit { id, branch: None } => Some(Resolved::new(*id, None, None, false)),
        Target::Commit {
            id,
            branch: Some(branch),
        } => find(&heads(branch)).map(|found| Resolved::new(*id, None, Some(found.name.clone()), false)),
        Target::Name { name, is_peeled } => {
            let found = find(name.trim_end_matches(PEELED))?;
            // The suffix asks for the commit of an annotated tag; other refs have no such form.
            if *is_peeled && found.tag.is_none() {
                return None;
            }
            Some(Resolved::new(found.target, found.tag, Some(name.clone()), true))
        }
        Target::Tag(tag) => find(&tags(tag)).map(by_tag),
        Target::Branch(branch) => find(&heads(branch)).map(by_tag),
        Target::Semver(_) => None,
    }
}

/// The resolution to a ref as it is.
pub(crate) fn by_tag(found: &RemoteRef) -> Resolved {
    Resolved::new(found.target, found.tag, Some(found.name.clone()), false)
}

/// The error for a target that the refs do not have.
pub(crate) fn not_found(target: &Target) -> Error {
    match target {
        Target::Commit { id, branch: None } => Error::CommitNotFound {
            commit: id.to_string(),
        },
        Target::Commit {
            branch: Some(branch), ..
        }
        | Target::Branch(branch) => Error::RefNotFound { name: heads(branch) },
        Target::Name { name, .. } => Error::UnresolvedName { name: name.clone() },
        Target::Tag(tag) => Error::RefNotFound { name: tags(tag) },
        Target::Semver(range) => Error::NoSemverMatch { range: range.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> ObjectId {
        ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
    }

    fn refs() -> Vec<RemoteRef> {
        let found = |name: &str, target, tag| RemoteRef {
            name: name.to_owned(),
            target,
            tag,
        };
        vec![
            found("refs/heads/a/b", id('1'), None),
            found("refs/heads/master", id('2'), None),
            found("refs/tags/v1.0.0", id('3'), Some(id('4'))),
            found("refs/pull/420/head", id('5'), None),
        ]
    }

    fn revision(reference: &Reference) -> Option<String> {
        resolve(&reference.target().unwrap(), &refs()).map(|resolved| resolved.revision)
    }

    #[test]
    fn resolve_revision_strings_are_upstreams() {
        let some = |text: &str| Some(text.to_owned());
        let hash = |digit: char| format!("sha1:{}", digit.to_string().repeat(40));
        let default = Reference::default();
        let cases = [
            (default.clone(), Some(format!("master@{}", hash('2')))),
            (
                Reference {
                    branch: some("a/b"),
                    ..default.clone()
                },
                Some(format!("a/b@{}", hash('1'))),
            ),
            (
                Reference {
                    branch: some("gone"),
                    ..default.clone()
                },
                None,
            ),
            (
                Reference {
                    tag: some("v1.0.0"),
                    ..default.clone()
                },
                Some(format!("v1.0.0@{}", hash('3'))),
            ),
            (
                Reference {
                    name: some("refs/pull/420/head"),
                    ..default.clone()
                },
                Some(format!("refs/pull/420/head@{}", hash('5'))),
            ),
            (
                Reference {
                    name: some("refs/tags/v1.0.0^{}"),
                    ..default.clone()
                },
                Some(format!("refs/tags/v1.0.0^{{}}@{}", hash('3'))),
            ),
            (
                Reference {
                    name: some("refs/heads/master^{}"),
                    ..default.clone()
                },
                None,
            ),
            (
                Reference {
                    commit: some(&"9".repeat(40)),
                    ..default.clone()
                },
                Some(hash('9')),
            ),
            (
                Reference {
                    commit: some(&"9".repeat(40)),
                    branch: some("a/b"),
                    ..default.clone()
                },
                Some(format!("a/b@{}", hash('9'))),
            ),
            (
                Reference {
                    commit: some(&"9".repeat(40)),
                    branch: some("gone"),
                    ..default
                },
                None,
            ),
        ];
        for (reference, expected) in cases {
            assert_eq!(revision(&reference), expected, "{reference:?}");
        }
    }

    #[test]
    fn target_precedence_is_upstreams() {
        let some = |text: &str| Some(text.to_owned());
        let mut reference = Reference {
            branch: some("b"),
            tag: some("t"),
            semver: some("*"),
            name: some("refs/heads/n"),
            commit: some(&"9".repeat(40)),
        };
        assert!(matches!(reference.target().unwrap(), Target::Commit { .. }));
        reference.commit = some("");
        assert!(matches!(reference.target().unwrap(), Target::Name { .. }));
        reference.name = None;
        assert!(matches!(reference.target().unwrap(), Target::Tag(_)));
        reference.tag = None;
        assert!(matches!(reference.target().unwrap(), Target::Semver(_)));
        reference.semver = None;
        assert_eq!(reference.target().unwrap(), Target::Branch("b".to_owned()));
    }

    #[test]
    fn target_malformed_references_are_refused() {
        for name in ["/refs/heads/x", "refs/heads/x/"] {
            let reference = Reference {
                name: Some(name.to_owned()),
                ..Reference::default()
            };
            assert!(
                matches!(reference.target(), Err(Error::UnresolvedName { .. })),
                "{name}"
            );
        }
        let reference = Reference {
            commit: Some("abc".to_owned()),
            ..Reference::default()
        };
        assert!(matches!(reference.target(), Err(Error::CommitNotFound { .. })));
    }
}
