//! The files that a cluster's components read: keys, tokens, the kubeconfig and the nodes.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::{Layout, Options, User};

pub(super) fn write(layout: &Layout, options: &Options) -> Result<()> {
    let dir = &layout.dir;
    let res = Command::new(layout.bin.join("cluster-keys"))
        .arg(dir.join("pki"))
        .output()
        .context("cannot start cluster-keys")?;
    ensure!(
        res.status.success(),
        "cluster-keys: {}",
        String::from_utf8_lossy(&res.stderr).trim()
    );

    private(
        &dir.join("tokens.csv"),
        &format!("{},admin,admin,system:masters\n", layout.token),
    )?;
    let admin = User {
        name: "admin",
        token: &layout.token,
        namespace: None,
    };
    kubeconfig(layout, &options.name, &admin, &layout.kubeconfig())?;
    fs::write(
        dir.join("nodes.json"),
        serde_json::to_string_pretty(&nodes(options.nodes))?,
    )?;
    Ok(())
}

/// 128 bits from the kernel, in hexadecimal digits.
pub(super) fn random_token() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|it| format!("{it:02x}")).collect())
}

/// Writes a kubeconfig for a user; the cluster and the context have the `name`.
pub(super) fn kubeconfig(layout: &Layout, name: &str, user: &User<'_>, path: &Path) -> Result<()> {
    let authority = BASE64.encode(fs::read(layout.certificate_authority())?);
    let server = layout.server();
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": user.name, "user": {"token": user.token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user.name, "namespace": user.namespace}}],
        "current-context": name,
    });
    // JSON is YAML, and every reader of kubeconfigs reads it as such.
    private(path, &serde_json::to_string_pretty(&config)?)
}

fn nodes(count: u32) -> Value {
    let node = |index: u32| {
        let name = format!("node-{index}");
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
            },
        })
    };
    json!({"apiVersion": "v1", "kind": "List", "items": (1..=count).map(node).collect::<Vec<_>>()})
}

/// Writes a file that only its owner can read.
fn private(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}
