//! Artifacts and repositories that mean harm: a clear error, bounded memory, and everybody else goes on.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::{Case, Entry, Target, cases, condition, config_map, kustomization_yaml, text};
use ferro_testkit::http::{Response, Server};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use crate::apply::applied;

pub(crate) fn cases() -> Vec<Entry> {
    let mut all = cases!["hostile":
        archive_with_parent_paths_is_refused,
        archive_with_absolute_paths_is_refused,
        archive_with_links_out_of_the_root_writes_nothing_there,
        archive_that_is_no_archive_is_refused,
        archive_cut_short_is_refused,
        archive_with_another_digest_is_refused,
        archive_not_found_waits_for_the_source,
        archive_server_that_never_answers_holds_nobody_up,
        repository_with_links_out_of_the_root_leaks_nothing,
        resources_outside_of_the_artifact_are_refused,
        anchors_that_multiply_are_refused,
    ];
    let heavy = cases!["hostile":
        archive_that_is_a_gzip_bomb_is_refused_in_bounded_memory,
        archive_of_a_million_entries_is_refused_in_bounded_memory,
    ];
    all.extend(heavy.into_iter().map(|it| it.within(300)));
    all
}

/// Memory that a controller may need at most, whatever it is sent.
const MEMORY: u64 = 300 << 20;

/// An archive under construction; it takes names that no honest writer does.
struct Archive(GzEncoder<Vec<u8>>);

impl Archive {
    fn new() -> Self {
        Self(GzEncoder::new(Vec::new(), Compression::fast()))
    }

    fn entry(&mut self, name: &str, kind: EntryType, link: &str, content: &[u8]) -> Result<()> {
        let mut header = Header::new_ustar();
        {
            let raw = header.as_ustar_mut().context("a ustar header")?;
            raw.name[..name.len()].copy_from_slice(name.as_bytes());
            raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
        }
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.write_all(header.as_bytes())?;
        self.0.write_all(content)?;
        self.0
            .write_all(&vec![0; content.len().next_multiple_of(512) - content.len()])?;
        Ok(())
    }

    fn file(&mut self, name: &str, content: &str) -> Result<()> {
        self.entry(name, EntryType::Regular, "", content.as_bytes())
    }

    fn finish(mut self) -> Result<Vec<u8>> {
        self.0.write_all(&[0; 1024])?;
        Ok(self.0.finish()?)
    }
}

/// A source whose status points to a server of the test's.
struct Fake {
    _server: Server,
    kustomization: Target,
}

/// An ExternalArtifact with these bytes, and a Kustomization for it.
async fn serve(case: &Case, archive: Vec<u8>) -> Result<Fake> {
    let digest = Sha256::digest(&archive)
        .iter()
        .map(|it| format!("{it:02x}"))
        .collect::<String>();
    let size = archive.len();
    let archive = bytes::Bytes::from(archive);
    let server = Server::start(move |_| Response::new(200, archive.clone()));
    point(case, server, &digest, size).await
}

async fn point(case: &Case, server: Server, digest: &str, size: usize) -> Result<Fake> {
    let source = case.object("source.toolkit.fluxcd.io/v1", "ExternalArtifact", "fake")?;
    source.apply(&json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "ExternalArtifact", "metadata": {"name": "fake"}, "spec": {}})).await?;
    let artifact = json!({
        "digest": format!("sha256:{digest}"),
        "lastUpdateTime": "2026-01-01T00:00:00Z",
        "path": "externalartifact/fake.tar.gz",
        "revision": format!("latest@sha256:{digest}"),
        "size": size,
        "url": server.url("/externalartifact/fake.tar.gz"),
    });
    source
        .merge_status(&json!({"status": {"artifact": artifact}}))
        .await?;
    let kind = json!({"sourceRef": {"kind": "ExternalArtifact", "name": "fake"}});
    let kustomization = case.kustomize("fake", "fake", kind).await?;
    Ok(Fake {
        _server: server,
        kustomization,
    })
}

/// An honest Kustomization of the same controllers works.
async fn others_work(case: &Case) -> Result<()> {
    let (repository, kustomization) = case
        .app(&[("honest.yaml", &config_map("honest", &[]))], json!({}))
        .await?;
    applied(&kustomization, &repository.git(&["rev-parse", "HEAD"])?).await?;
    Ok(())
}

/// The archive is refused with that message, and nothing of it is applied.
async fn refused(case: &Case, fake: &Fake, message: &str) -> Result<()> {
    let limit = Duration::from_secs(200);
    let object = fake
        .kustomization
        .expect_within(limit, "Ready", "False", "ArtifactFailed", message)
        .await?;
    ensure!(
        condition(&object, "Reconciling").is_some_and(|it| it["reason"] == "ProgressingWithRetry"),
        "{}",
        object["status"]
    );
    fake.kustomization
        .expect_event("Warning", "ArtifactFailed", message)
        .await?;
    ensure!(
        case.config_map("evil")?.find().await?.is_none(),
        "part of the archive was applied"
    );
    others_work(case).await
}

fn evil() -> String {
    config_map("evil", &[])
}

async fn archive_with_parent_paths_is_refused(case: Case) -> Result<()> {
    let mut archive = Archive::new();
    archive.file("good.yaml", &evil())?;
    archive.file("../../../../../../tmp/e2e-evil.yaml", &evil())?;
    let fake = serve(&case, archive.finish()?).await?;
    refused(&case, &fake, "../../../../../../tmp/e2e-evil.yaml").await?;
    ensure!(
        !std::path::Path::new("/tmp/e2e-evil.yaml").exists(),
        "a file was written outside"
    );
    Ok(())
}

async fn archive_with_absolute_paths_is_refused(case: Case) -> Result<()> {
    let outside = case.dir()?.join("evil.yaml");
    let name = outside.to_string_lossy().into_owned();
    let mut archive = Archive::new();
    archive.file("good.yaml", &evil())?;
    archive.file(name.get(..100).unwrap_or(&name), &evil())?;
    let fake = serve(&case, archive.finish()?).await?;
    refused(&case, &fake, name.get(..100).unwrap_or(&name)).await?;
    ensure!(!outside.exists(), "a file was written outside");
    Ok(())
}

async fn archive_with_links_out_of_the_root_writes_nothing_there(case: Case) -> Result<()> {
    let outside = case.dir()?;
    let target = outside.to_string_lossy().into_owned();
    ensure!(target.len() < 100, "{target} does not fit into a header");
    // Upstream leaves symbolic links out; what is then written "through" one stays inside.
    let mut archive = Archive::new();
    archive.file("inside.yaml", &config_map("inside", &[]))?;
    archive.entry("link", EntryType::Symlink, &target, &[])?;
    archive.entry("up", EntryType::Symlink, "../..", &[])?;
    archive.file("link/through.yaml", &config_map("through", &[]))?;
    let fake = serve(&case, archive.finish()?).await?;
    let is_over = |it: &serde_json::Value| condition(it, "Ready").is_some_and(|it| it["status"] != "Unknown");
    fake.kustomization.until("it is ready or failed", is_over).await?;
    ensure!(
        !outside.join("through.yaml").exists(),
        "a file was written through a link"
    );

    // A hard link would show the file itself.
    let mut archive = Archive::new();
    archive.file("good.yaml", &evil())?;
    archive.entry("evil-link.yaml", EntryType::Link, "/etc/passwd", &[])?;
    let fake = serve(&case, archive.finish()?).await?;
    refused(&case, &fake, "evil-link.yaml").await
}

async fn archive_that_is_no_archive_is_refused(case: Case) -> Result<()> {
    let fake = serve(&case, b"<html>Please log in</html>".to_vec()).await?;
    refused(&case, &fake, "the archive is damaged").await
}

async fn archive_cut_short_is_refused(case: Case) -> Result<()> {
    let mut archive = Archive::new();
    archive.file("evil.yaml", &evil())?;
    let mut bytes = archive.finish()?;
    bytes.truncate(bytes.len() / 2);
    let fake = serve(&case, bytes).await?;
    refused(&case, &fake, "the archive is damaged").await
}

async fn archive_with_another_digest_is_refused(case: Case) -> Result<()> {
    let mut archive = Archive::new();
    archive.file("evil.yaml", &evil())?;
    let bytes = bytes::Bytes::from(archive.finish()?);
    let size = bytes.len();
    let server = Server::start(move |_| Response::new(200, bytes.clone()));
    let fake = point(&case, server, &"0".repeat(64), size).await?;
    refused(&case, &fake, &"0".repeat(64)).await
}

async fn archive_not_found_waits_for_the_source(case: Case) -> Result<()> {
    let server = Server::start(|_| Response::new(404, "gone"));
    let fake = point(&case, server, &"0".repeat(64), 1).await?;
    let message = "Source is not ready, artifact not found, retrying in 1s";
    fake.kustomization
        .expect("Ready", "False", "ArtifactFailed", message)
        .await?;
    others_work(&case).await
}

async fn archive_server_that_never_answers_holds_nobody_up(case: Case) -> Result<()> {
    let (senders, receivers) = std::sync::mpsc::channel();
    let senders = Arc::new(std::sync::Mutex::new(senders));
    let server = Server::start(move |_| {
        let (sender, pieces) = tokio::sync::mpsc::channel(1);
        // Kept, so that the body neither goes on nor ends.
        if let Ok(senders) = senders.lock() {
            drop(senders.send(sender));
        }
        Response::stream(200, pieces)
    });
    let fake = point(&case, server, &"0".repeat(64), 1).await?;
    fake.kustomization
        .expect(
            "Reconciling",
            "True",
            "Progressing",
            "Fetching manifests for revision latest@sha256:",
        )
        .await?;
    others_work(&case).await?;
    // Nor does it hold up its own end.
    drop(receivers);
    fake.kustomization.delete().await?;
    fake.kustomization.gone().await
}

/// Half a terabyte of zeros in a few megabytes: a compressed gigabyte, repeated.
fn bomb() -> Result<Vec<u8>> {
    let mut first = Archive::new();
    // A file whose size no header of this format could hold honestly is cut to the largest: 8 GiB.
    let mut header = Header::new_ustar();
    header.set_path("evil.yaml")?;
    header.set_size(8 * (1 << 30) - 1);
    header.set_cksum();
    first.0.write_all(header.as_bytes())?;
    let mut bytes = first.0.finish()?;
    let mut zeros = GzEncoder::new(Vec::new(), Compression::best());
    let chunk = vec![0; 1 << 20];
    for _ in 0..64 {
        zeros.write_all(&chunk)?;
    }
    let zeros = zeros.finish()?;
    // Members of a gzip stream follow each other.
    for _ in 0..1024 {
        bytes.extend_from_slice(&zeros);
    }
    Ok(bytes)
}

async fn archive_that_is_a_gzip_bomb_is_refused_in_bounded_memory(case: Case) -> Result<()> {
    let bomb = case.blocking(|_| bomb()).await?;
    let fake = serve(&case, bomb).await?;
    refused(&case, &fake, "larger than").await?;
    let peak = case.world().peak_memory("kustomize-controller")?;
    ensure!(peak < MEMORY, "kustomize-controller needed {} MiB", peak >> 20);
    Ok(())
}

async fn archive_of_a_million_entries_is_refused_in_bounded_memory(case: Case) -> Result<()> {
    let archive = case
        .blocking(|_| {
            let mut archive = Archive::new();
            archive.file("evil.yaml", &evil())?;
            for it in 0..1_000_000_u32 {
                archive.entry(&format!("{:03}/{it}", it % 1000), EntryType::Regular, "", &[])?;
            }
            archive.finish()
        })
        .await?;
    let fake = serve(&case, archive).await?;
    refused(&case, &fake, "entries").await?;
    let peak = case.world().peak_memory("kustomize-controller")?;
    ensure!(peak < MEMORY, "kustomize-controller needed {} MiB", peak >> 20);
    Ok(())
}

async fn repository_with_links_out_of_the_root_leaks_nothing(case: Case) -> Result<()> {
    let repository = case.repository("app")?;
    for (name, target) in [
        ("secret.yaml", "/etc/passwd"),
        ("dir", "/etc"),
        ("up", "../../.."),
    ] {
        std::os::unix::fs::symlink(target, repository.work_tree().join(name))?;
    }
    let commit = repository.commit(&[("a.yaml", &config_map("a", &[]))])?;
    let source = case.git_repository("app", repository.url(), json!({})).await?;
    let message = format!("stored artifact for revision 'main@sha1:{commit}'");
    let object = source.expect("Ready", "True", "Succeeded", &message).await?;
    let (_, bytes) = case.download(&text(&object, "/status/artifact/url")).await?;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    for entry in archive.entries()? {
        let entry = entry?;
        let (kind, path) = (entry.header().entry_type(), entry.path()?.into_owned());
        ensure!(
            kind.is_file() || kind.is_dir(),
            "{} is a {kind:?}",
            path.display()
        );
        ensure!(
            ["", ".", "a.yaml"].contains(&path.to_string_lossy().as_ref()),
            "{} is in the artifact",
            path.display()
        );
    }
    let kustomization = case.kustomize("app", "app", json!({})).await?;
    applied(&kustomization, &commit).await?;
    Ok(())
}

async fn resources_outside_of_the_artifact_are_refused(case: Case) -> Result<()> {
    let up = "../".repeat(30);
    let generator = format!("configMapGenerator:\n- name: evil\n  files: [{up}etc/passwd]\n");
    let patch =
        format!("resources: [a.yaml]\npatches:\n- path: {up}etc/passwd\n  target: {{kind: ConfigMap}}\n");
    let files = [
        (
            "resource/kustomization.yaml",
            kustomization_yaml(&[&format!("{up}etc/passwd")]),
        ),
        (
            "base/kustomization.yaml",
            kustomization_yaml(&[&format!("{up}etc")]),
        ),
        ("generator/kustomization.yaml", generator),
        ("patch/kustomization.yaml", patch),
        ("patch/a.yaml", evil()),
    ];
    let files: Vec<_> = files.iter().map(|it| (it.0, it.1.as_str())).collect();
    let repository = case.repository("hostile")?;
    repository.commit(&files)?;
    case.git_repository("hostile", repository.url(), json!({}))
        .await?;
    for name in ["resource", "base", "generator", "patch"] {
        let kustomization = case
            .kustomize(name, "hostile", json!({"path": format!("./{name}")}))
            .await?;
        let object = kustomization
            .expect("Ready", "False", "BuildFailed", "kustomize build failed: ")
            .await?;
        ensure!(
            !object.to_string().contains("root:x:0:0"),
            "{name}: a file of the host is in the status"
        );
    }
    ensure!(
        case.config_map("evil")?.find().await?.is_none(),
        "a file of the host was applied"
    );
    others_work(&case).await
}

async fn anchors_that_multiply_are_refused(case: Case) -> Result<()> {
    let mut laughs = String::from(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: evil}\nx0: &x0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n",
    );
    for level in 1..12 {
        let before = level - 1;
        let list = vec![format!("*x{before}"); 10].join(", ");
        laughs.push_str(&format!("x{level}: &x{level} [{list}]\n"));
    }
    let repository = case.repository("hostile")?;
    repository.commit(&[("laughs.yaml", &laughs)])?;
    case.git_repository("hostile", repository.url(), json!({}))
        .await?;
    let kustomization = case.kustomize("hostile", "hostile", json!({})).await?;
    kustomization
        .expect("Ready", "False", "BuildFailed", "laughs.yaml")
        .await?;
    let peak = case.world().peak_memory("kustomize-controller")?;
    ensure!(peak < MEMORY, "kustomize-controller needed {} MiB", peak >> 20);
    others_work(&case).await
}
