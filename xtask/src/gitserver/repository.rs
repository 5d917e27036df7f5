//! A repository that a test commits to.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// A bare repository with a work tree beside it.
#[derive(Debug)]
pub struct Repository {
    git_dir: PathBuf,
    work_tree: PathBuf,
    url: String,
}

impl Repository {
    pub(super) fn create(root: &Path, name: &str, url: String) -> Result<Self> {
        let it = Self {
            git_dir: root.join(format!("{name}.git")),
            work_tree: root.join(format!("{name}.worktree")),
            url,
        };
        fs::create_dir_all(&it.work_tree)?;
        let mut init = Command::new("git");
        isolated(&mut init);
        init.args(["init", "--quiet", "--bare", "--initial-branch=main"])
            .arg(&it.git_dir);
        output(init)?;
        // As the well-known forges do: a commit can be asked for by its hash, and a push needs no server-side switch.
        for setting in [
            "uploadpack.allowAnySHA1InWant",
            "uploadpack.allowFilter",
            "http.receivepack",
        ] {
            it.git(&["config", setting, "true"])?;
        }
        Ok(it)
    }

    /// Where clients find it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The bare repository.
    #[must_use]
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The files of the next commit.
    #[must_use]
    pub fn work_tree(&self) -> &Path {
        &self.work_tree
    }

    /// Writes a file of the next commit.
    ///
    /// # Errors
    /// When the path leaves the work tree or cannot be written.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> Result<()> {
        let file = self.file(path)?;
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Removes a file or directory from the next commit.
    ///
    /// # Errors
    /// When it is not there.
    pub fn remove(&self, path: &str) -> Result<()> {
        let file = self.file(path)?;
        let res = if file.is_dir() {
            fs::remove_dir_all(&file)
        } else {
            fs::remove_file(&file)
        };
        res.with_context(|| format!("cannot remove {}", file.display()))
    }

    /// Commits all changes to the current branch and gives the commit's hash.
    ///
    /// # Errors
    /// When Git fails.
    pub fn commit(&self, message: &str) -> Result<String> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message])?;
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs Git on the repository and gives what it prints.
    ///
    /// # Errors
    /// When Git fails; the error says what it printed.
    pub fn git(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new("git");
        isolated(&mut command);
        command
            .env("GIT_DIR", &self.git_dir)
            .env("GIT_WORK_TREE", &self.work_tree);
        command.args(args).current_dir(&self.work_tree);
        output(command)
    }

    fn file(&self, path: &str) -> Result<PathBuf> {
        let stays = Path::new(path)
            .components()
            .all(|it| matches!(it, Component::Normal(_)));
        ensure!(stays, "`{path}` leaves the work tree");
        Ok(self.work_tree.join(path))
    }
}

/// Keeps the user's settings, and those of a Git command that started us, out.
pub(super) fn isolated(command: &mut Command) {
    let inherited =
        std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|it| it.starts_with("GIT_")));
    for (name, _) in inherited {
        command.env_remove(name);
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0");
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "Test")
            .env(format!("GIT_{role}_EMAIL"), "test@example.com");
    }
}

fn output(mut command: Command) -> Result<String> {
    let res = command.output().context("cannot start git")?;
    let text = String::from_utf8_lossy(&res.stderr);
    ensure!(res.status.success(), "{command:?} failed: {}", text.trim());
    Ok(String::from_utf8_lossy(&res.stdout).trim().to_owned())
}
