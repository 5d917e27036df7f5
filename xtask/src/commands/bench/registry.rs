//! A registry on the same machine, which charts and manifests come from.
//!
//! It is CNCF distribution, built from the module that `tests/registry` pins; what it serves is written in the form of its own storage, so
//! that nothing has to be pushed.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use xtask::process::{self, Nursery, Process};
use xtask::{http, paths, ports};

use super::super::programs::quiet;

/// The media type of the layer that is a chart.
pub(super) const CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// Builds the registry, once.
pub(super) fn build() -> Result<PathBuf> {
    let program = paths::target().join("registry/registry");
    let mut command = Command::new("go");
    command
        .args(["build", "-o"])
        .arg(&program)
        .arg("github.com/distribution/distribution/v3/cmd/registry")
        .current_dir(paths::root().join("tests/registry"));
    quiet(command)?;
    Ok(program)
}

/// A registry that ends with the cluster.
#[derive(Debug)]
pub(super) struct Registry {
    pub host: String,
    _process: Process,
}

impl Registry {
    pub(super) fn start(program: &Path, content: &Path, nursery: &Nursery) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()?));
        let config = content.join("config.yaml");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: '{}'}}}}\nhttp: {{addr: '{address}'}}\n",
            content.display()
        );
        fs::write(&config, text)?;
        let mut command = Command::new(program);
        command
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none");
        let process = nursery.start("registry", command, &content.join("registry.log"))?;
        let answers = || http::get(address, "/v2/", Duration::from_secs(5)).ok();
        process::until("the registry", Duration::from_secs(60), answers, || Ok(()))?;
        Ok(Self {
            host: address.to_string(),
            _process: process,
        })
    }
}

/// A tar.gz of files.
pub(super) fn archive(files: &[(String, String)]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, text.as_bytes())?;
    }
    Ok(tar.into_inner()?.finish()?)
}

/// Stores an artifact with one layer under a tag.
pub(super) fn put(content: &Path, repository: &str, tag: &str, media_type: &str, layer: &[u8]) -> Result<()> {
    let root = content.join("docker/registry/v2");
    let descriptor = |media_type: &str, bytes: &[u8]| -> Result<Value> {
        let hex = put_blob(&root, bytes)?;
        let link = format!("repositories/{repository}/_layers/sha256/{hex}/link");
        put_link(&root.join(link), &hex)?;
        Ok(json!({"mediaType": media_type, "digest": format!("sha256:{hex}"), "size": bytes.len()}))
    };
    let config = descriptor("application/vnd.cncf.flux.config.v1+json", b"{}")?;
    let layers = [descriptor(media_type, layer)?];
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": layers});
    let hex = put_blob(&root, manifest.to_string().as_bytes())?;
    let manifests = root.join(format!("repositories/{repository}/_manifests"));
    put_link(&manifests.join(format!("revisions/sha256/{hex}/link")), &hex)?;
    put_link(&manifests.join(format!("tags/{tag}/current/link")), &hex)?;
    put_link(
        &manifests.join(format!("tags/{tag}/index/sha256/{hex}/link")),
        &hex,
    )
}

fn put_blob(root: &Path, bytes: &[u8]) -> Result<String> {
    let hex = Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let prefix: String = hex.chars().take(2).collect();
    let folder = root.join(format!("blobs/sha256/{prefix}/{hex}"));
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("data"), bytes)?;
    Ok(hex)
}

fn put_link(path: &Path, hex: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, format!("sha256:{hex}"))?)
}
