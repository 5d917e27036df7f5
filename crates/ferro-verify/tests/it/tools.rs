//! The programs that people sign with, each with a home directory of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether a program is installed; says so if a test is left out.
pub(crate) fn has(program: &str, argument: &str) -> bool {
    let found = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// GnuPG with keys of its own. Its agent ends with it.
pub(crate) struct Gpg {
    home: tempfile::TempDir,
}

impl Gpg {
    pub(crate) fn new() -> Self {
        let home = tempfile::Builder::new().prefix("gpg").tempdir().unwrap();
        std::fs::write(home.path().join("gpg.conf"), "allow-weak-digest-algos\n").unwrap();
        Self { home }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("gpg");
        command
            .env("GNUPGHOME", self.home.path())
            .env("LC_ALL", "C")
            .args([
                "--batch",
                "--quiet",
                "--no-tty",
                "--pinentry-mode",
                "loopback",
                "--passphrase",
                "",
            ])
            .args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        run(&mut self.command(arguments))
    }

    /// Makes a key for `user` and returns its fingerprint.
    pub(crate) fn key(&self, user: &str, algorithm: &str, usage: &str, expires: &str) -> String {
        self.key_at(user, algorithm, usage, expires, &[])
    }

    pub(crate) fn key_at(
        &self,
        user: &str,
        algorithm: &str,
        usage: &str,
        expires: &str,
        options: &[&str],
    ) -> String {
        let arguments = ["--quick-generate-key", user, algorithm, usage, expires];
        self.run(&[options, &arguments].concat());
        self.fingerprint(user)
    }

    pub(crate) fn fingerprint(&self, user: &str) -> String {
        let listed = self.run(&["--with-colons", "--list-keys", user]);
        let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    /// Changes a key by the commands of `--edit-key`.
    pub(crate) fn edit(&self, user: &str, commands: &str) {
        let commands = self.file("commands", commands.as_bytes());
        let output = Command::new("gpg")
            .env("GNUPGHOME", self.home.path())
            .args([
                "--quiet",
                "--no-tty",
                "--pinentry-mode",
                "loopback",
                "--passphrase",
                "",
            ])
            .args(["--command-fd", "0", "--edit-key", user])
            .stdin(std::fs::File::open(commands).unwrap())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
    }

    /// The armored public key.
    pub(crate) fn export(&self, user: &str) -> String {
        self.run(&["--armor", "--export", user])
    }

    /// A detached signature over `data`.
    pub(crate) fn sign(&self, user: &str, data: &[u8], options: &[&str]) -> String {
        let file = self.file("data", data);
        let target = ["--armor", "--output", "-", "--local-user", user];
        let detach = ["--detach-sign", file.to_str().unwrap()];
        self.run(&[options, &target, &detach].concat())
    }

    pub(crate) fn file(&self, name: &str, data: &[u8]) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, data).unwrap();
        path
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ended = Command::new("gpgconf")
            .env("GNUPGHOME", self.home.path())
            .args(["--kill", "all"])
            .status();
    }
}

/// Makes a key with `ssh-keygen` in `directory`; its public half.
pub(crate) fn ssh_key(directory: &Path, name: &str, arguments: &[&str]) -> String {
    let path = directory.join(name);
    run(Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", "someone@example.com", "-f"])
        .arg(&path)
        .args(arguments));
    std::fs::read_to_string(path.with_extension("pub")).unwrap()
}

/// Signs with such a key for a purpose.
pub(crate) fn ssh_sign(directory: &Path, name: &str, purpose: &str, data: &[u8], options: &[&str]) -> String {
    let file = directory.join("data");
    std::fs::write(&file, data).unwrap();
    let signature = directory.join("data.sig");
    let _gone = std::fs::remove_file(&signature);
    run(Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", purpose, "-f"])
        .arg(directory.join(name))
        .args(options)
        .arg(&file));
    std::fs::read_to_string(signature).unwrap()
}
