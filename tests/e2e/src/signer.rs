//! The program that signs as cosign and notation do, `tests/conformance/signer`.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::reference;

/// Registries and an instance of Sigstore, which end with this.
#[derive(Debug)]
pub struct Signer {
    program: PathBuf,
    dir: PathBuf,
    printed: Value,
    process: Child,
    // The program ends with its input.
    input: Option<ChildStdin>,
}

impl Signer {
    /// Starts the services; nothing if the program is not there and cannot be built. Files are in `dir`.
    ///
    /// # Errors
    /// When it does not compile or start.
    pub fn start(dir: &Path) -> Result<Option<Self>> {
        let Some(program) = reference::program("signer", "FERRO_SIGNER", &["go"])? else {
            return Ok(None);
        };
        let mut process = Command::new(&program)
            .arg("services")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take();
        let output = process.stdout.take().context("the signer's output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let printed: Value = serde_json::from_str(&line).context("what the signer says")?;
        for (name, key) in [
            ("root.json", "trustedRoot"),
            ("config.json", "signingConfig"),
            ("tiles.json", "tiledSigningConfig"),
        ] {
            std::fs::write(dir.join(name), printed[key].to_string())?;
        }
        Ok(Some(Self {
            program,
            dir: dir.to_path_buf(),
            printed,
            process,
            input,
        }))
    }

    /// What the services say of themselves: an address or a document.
    #[must_use]
    pub fn told(&self, key: &str) -> String {
        match &self.printed[key] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// Runs a command of the program where the services have their files, and gives what it prints.
    ///
    /// # Errors
    /// When it fails; the error has its standard error.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .args(args)
            .current_dir(&self.dir)
            // Nothing of the user's, neither keys nor credentials.
            .env("HOME", &self.dir)
            .env("COSIGN_PASSWORD", "")
            .stdin(Stdio::null())
            .output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "signer {args:?}: {errors}");
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// A file that a command has written.
    ///
    /// # Errors
    /// When it is not there.
    pub fn file(&self, name: &str) -> Result<String> {
        Ok(std::fs::read_to_string(self.dir.join(name))?)
    }

    /// Stores a file as an artifact, and gives its digest.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub fn push(&self, reference: &str, content: &[u8], flags: &[&str]) -> Result<String> {
        std::fs::write(self.dir.join("artifact"), content)?;
        self.run(&[&["push", reference, "artifact"], flags].concat())
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
