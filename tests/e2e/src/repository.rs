//! Git repositories and what is in them.

use std::fmt::Write as _;

use anyhow::Result;

/// A repository on a world's Git server.
#[derive(Debug)]
pub struct Repository {
    inner: xtask::gitserver::Repository,
}

impl Repository {
    pub(crate) const fn new(inner: xtask::gitserver::Repository) -> Self {
        Self { inner }
    }

    /// Where the controllers find it, over plain HTTP.
    #[must_use]
    pub fn url(&self) -> &str {
        self.inner.url()
    }

    /// Its path on the server, such as `/app.git`.
    #[must_use]
    pub fn path(&self) -> &str {
        let url = self.inner.url();
        url.find("://")
            .and_then(|it| url.get(it + 3..))
            .and_then(|it| it.find('/').and_then(|slash| it.get(slash..)))
            .unwrap_or(url)
    }

    /// The bare repository.
    #[must_use]
    pub fn git_dir(&self) -> &std::path::Path {
        self.inner.git_dir()
    }

    /// The files of the next commit.
    #[must_use]
    pub fn work_tree(&self) -> &std::path::Path {
        self.inner.work_tree()
    }

    /// Writes the files and commits; gives the commit's hash.
    ///
    /// # Errors
    /// When Git fails.
    pub fn commit(&self, files: &[(&str, &str)]) -> Result<String> {
        for (path, text) in files {
            self.inner.write(path, text)?;
        }
        self.inner.commit("Change the files")
    }

    /// Writes a file of the next commit.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.inner.write(path, bytes)
    }

    /// Removes the files and commits; gives the commit's hash.
    ///
    /// # Errors
    /// When a file is not there or Git fails.
    pub fn commit_removal(&self, files: &[&str]) -> Result<String> {
        for path in files {
            self.inner.remove(path)?;
        }
        self.inner.commit("Remove files")
    }

    /// Runs Git on the repository and gives what it prints.
    ///
    /// # Errors
    /// When Git fails.
    pub fn git(&self, args: &[&str]) -> Result<String> {
        self.inner.git(args)
    }
}

/// The manifest of a ConfigMap.
#[must_use]
pub fn config_map(name: &str, data: &[(&str, &str)]) -> String {
    let mut text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n");
    for (key, value) in data {
        _ = writeln!(text, "  {key}: \"{value}\"");
    }
    text
}

/// A kustomization.yaml with these resources.
#[must_use]
pub fn kustomization_yaml(resources: &[&str]) -> String {
    let mut text =
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n".to_owned();
    for it in resources {
        _ = writeln!(text, "- {it}");
    }
    text
}
