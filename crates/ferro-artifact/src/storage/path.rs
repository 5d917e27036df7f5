//! Paths inside the storage.

use std::fmt;
use std::path::PathBuf;

/// The path of a stored file: kind, namespace and name of the object, and the file's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArtifactPath {
    kind: String,
    namespace: String,
    name: String,
    file: String,
}

/// A path that would leave its place in the storage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid storage path '{path}', expected <kind>/<namespace>/<name>/<file>")]
pub struct PathError {
    /// The path.
    pub path: String,
}

impl ArtifactPath {
    /// The path of `file` for an object; the kind is written in lower case.
    pub fn new(kind: &str, namespace: &str, name: &str, file: &str) -> Result<Self, PathError> {
        let path = Self {
            kind: kind.to_lowercase(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            file: file.to_owned(),
        };
        let is_plain = [&path.kind, &path.namespace, &path.name, &path.file]
            .into_iter()
            .all(|component| is_component(component));
        if is_plain {
            Ok(path)
        } else {
            Err(PathError {
                path: path.to_string(),
            })
        }
    }

    /// Reads the path of an artifact's status.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        let mut parts = path.splitn(4, '/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(kind), Some(namespace), Some(name), Some(file)) => Self::new(kind, namespace, name, file),
            _ => Err(PathError {
                path: path.to_owned(),
            }),
        }
    }

    /// Another file of the same object.
    pub fn sibling(&self, file: &str) -> Result<Self, PathError> {
        Self::new(&self.kind, &self.namespace, &self.name, file)
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The object's directory, relative to the base.
    pub fn directory(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace, self.name)
    }

    pub(super) fn relative(&self) -> PathBuf {
        [&self.kind, &self.namespace, &self.name, &self.file]
            .iter()
            .collect()
    }

    pub(super) fn is_of(&self, kind: &str, namespace: &str, name: &str) -> bool {
        self.kind == kind && self.namespace == namespace && self.name == name
    }
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.kind, self.namespace, self.name, self.file)
    }
}

pub(super) fn is_component(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', '\0'])
}

/// The host that artifact URLs name: `advertised` if given, else derived from the listen address.
///
/// An empty host means `localhost`; the wildcard address means this machine's `hostname`.
pub fn advertised_host(listen: &str, advertised: &str, hostname: &str) -> String {
    if !advertised.is_empty() {
        return advertised.to_owned();
    }
    let (host, port) = listen.rsplit_once(':').unwrap_or((listen, ""));
    let host = match host {
        "" => "localhost",
        "0.0.0.0" => hostname,
        host => host,
    };
    if port.is_empty() {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifact_path_leaving_the_storage_is_refused() {
        let path = ArtifactPath::new("GitRepository", "default", "app", "abc.tar.gz").unwrap();
        assert_eq!(path.to_string(), "gitrepository/default/app/abc.tar.gz");
        assert_eq!(ArtifactPath::parse(&path.to_string()).unwrap(), path);
        for bad in [
            "",
            "a/b/c",
            "a/b/c/",
            "a/b/../d",
            "a/b/c/d/e",
            "/a/b/c",
            "a/b/c/..",
            "a/b/c/d\\e",
        ] {
            assert!(ArtifactPath::parse(bad).is_err(), "{bad}");
        }
        assert!(path.sibling("../x").is_err());
    }

    #[test]
    fn advertised_host_is_derived_as_upstream_does() {
        assert_eq!(advertised_host(":9090", "", "pod"), "localhost:9090");
        assert_eq!(advertised_host("0.0.0.0:9090", "", "pod"), "pod:9090");
        assert_eq!(advertised_host("127.0.0.1:9090", "", "pod"), "127.0.0.1:9090");
        assert_eq!(
            advertised_host(":9090", "source.flux.svc.", "pod"),
            "source.flux.svc."
        );
        assert_eq!(advertised_host("[::1]:9090", "", "pod"), "[::1]:9090");
    }
}
