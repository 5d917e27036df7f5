//! Builds the control plane from its Go modules, once per version.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::paths;

/// The programs that are links to one file, which looks at the name it is started under.
const LINKS: [&str; 6] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "cluster-keys",
];

/// What decides whether a built program is up to date.
const SOURCES: [&str; 6] = [
    "go.mod",
    "go.sum",
    "main.go",
    "keys.go",
    "kwok/go.mod",
    "kwok/go.sum",
];

/// Builds what is missing or out of date and gives the directory of the programs.
///
/// # Errors
/// When Go is missing or a build fails.
pub fn build() -> Result<PathBuf> {
    let source = paths::root().join("tests/cluster");
    let out = paths::cluster();
    let bin = out.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("cannot create {}", bin.display()))?;

    // Test programs that start at the same time build once.
    let lock = File::create(out.join("lock"))?;
    lock.lock()?;

    let version = kubernetes_version(&source)?;
    let stamp = stamp(&source)?;
    let stamp_file = out.join("stamp");
    if fs::read_to_string(&stamp_file).is_ok_and(|it| it == stamp) {
        return Ok(bin);
    }
    crate::term::note(format_args!(
        "building the control plane, Kubernetes {version}: some minutes, once"
    ));
    let minor = version.split('.').nth(1).unwrap_or_default();
    let stamped = format!(
        "-s -w -X k8s.io/component-base/version.gitVersion={version} -X k8s.io/component-base/version.gitMajor=1 \
         -X k8s.io/component-base/version.gitMinor={minor}"
    );
    go_build(&source, &stamped, &bin.join("cluster"), ".")?;
    go_build(
        &source.join("kwok"),
        "-s -w",
        &bin.join("kwok"),
        "sigs.k8s.io/kwok/cmd/kwok",
    )?;
    for name in LINKS {
        let link = bin.join(name);
        if fs::symlink_metadata(&link).is_ok() {
            fs::remove_file(&link)?;
        }
        symlink("cluster", &link)?;
    }
    fs::write(&stamp_file, stamp)?;
    Ok(bin)
}

/// The version of Kubernetes in go.mod, such as `v1.35.4`.
///
/// # Errors
/// When go.mod does not name it.
pub fn kubernetes_version(source: &Path) -> Result<String> {
    let file = source.join("go.mod");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    text.lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
        .map(str::to_owned)
        .with_context(|| format!("{}: no version of k8s.io/kubernetes", file.display()))
}

/// All that the programs are made from, verbatim: equal text, equal programs.
fn stamp(source: &Path) -> Result<String> {
    let mut text = String::from("built by cargo xtask cluster build\n");
    for name in SOURCES {
        let file = source.join(name);
        text.push_str(&fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    Ok(text)
}

fn go_build(module: &Path, flags: &str, out: &Path, package: &str) -> Result<()> {
    // A build that is cut off leaves no half program under the final name.
    let partial = out.with_extension("partial");
    let status = Command::new("go")
        .current_dir(module)
        .args([
            "build",
            "-mod=readonly",
            "-buildvcs=false",
            "-trimpath",
            "-ldflags",
            flags,
            "-o",
        ])
        .arg(&partial)
        .arg(package)
        .env("CGO_ENABLED", "0")
        .status()
        .context("cannot start `go`: the test cluster is built from Go modules, install Go 1.26 or later")?;
    if !status.success() {
        bail!("`go build` failed in {}", module.display());
    }
    fs::rename(&partial, out).with_context(|| format!("cannot write {}", out.display()))
}
