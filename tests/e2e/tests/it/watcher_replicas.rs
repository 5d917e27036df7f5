//! Replicas of source-watcher: what was composed is served by each, and made anew by whoever leads. Each test has a cluster for itself and
//! starts the controllers.

use anyhow::{Result, ensure};
use e2e::{Case, Controller, Entry, Repository, Target, cases, text};
use serde_json::{Value, json};

use super::sources_replicas::{
    Balancer, Downloads, ELECTION, again, download, files, serves, start_replica, until,
};

pub(crate) fn cases() -> Vec<Entry> {
    let all = cases!["watcher_replicas":
        watcher_replicas_serve_through_failovers_and_write_nothing_anew,
        watcher_without_the_artifacts_makes_the_same_anew,
    ];
    all.into_iter().map(|it| it.alone().within(600)).collect()
}

const PROGRAM: &str = "source-watcher";
const OUTPUTS: [&str; 2] = ["one", "two"];

/// A generator of two artifacts of one GitRepository.
struct Generated {
    repository: Repository,
    generator: Target,
    outputs: Vec<Target>,
    /// Who fetches the source.
    _source: Controller,
}

impl Generated {
    async fn start(case: &Case) -> Result<Self> {
        let source = case.blocking(|world| world.start_controller(world.setup("source-controller", &[])));
        let source = source.await?;
        let repository = case.repository("app")?;
        repository.commit(&[("one/a", "1"), ("two/a", "1")])?;
        case.git_repository("app", repository.url(), json!({})).await?;
        let artifacts = OUTPUTS.map(|name| {
            let copy = json!([{"from": format!("@git/{name}/**"), "to": "@artifact/"}]);
            json!({"name": name, "copy": copy})
        });
        let generator = case.object("source.extensions.fluxcd.io/v1beta1", "ArtifactGenerator", "app")?;
        let sources = json!([{"alias": "git", "kind": "GitRepository", "name": "app"}]);
        let object = json!({
            "apiVersion": "source.extensions.fluxcd.io/v1beta1", "kind": "ArtifactGenerator", "metadata": {"name": "app"},
            "spec": {"sources": sources, "artifacts": artifacts},
        });
        generator.apply(&object).await?;
        settled(&generator).await?;
        Ok(Self {
            repository,
            generator,
            outputs: outputs(case)?,
            _source: source,
        })
    }

    /// Commits, and waits until the first artifact has that and the second is untouched.
    async fn change(&self, case: &Case, value: &str) -> Result<()> {
        let [first, second] = [&self.outputs[0], &self.outputs[1]];
        let digest = |it: &Value| text(it, "/status/artifact/digest");
        let (old, untouched) = (digest(&first.get().await?), second.get().await?);
        let commit = self.repository.commit(&[("one/a", value)])?;
        case.fetch("app", &commit).await?;
        first
            .until("the commit is composed", |it| digest(it) != old)
            .await?;
        settled(&self.generator).await?;
        ensure!(second.get().await? == untouched, "it was written for nothing");
        Ok(())
    }

    /// The artifacts' objects as they are.
    async fn written(&self) -> Result<Vec<Value>> {
        let mut written = Vec::new();
        for output in &self.outputs {
            written.push(output.get().await?);
        }
        Ok(written)
    }
}

async fn settled(generator: &Target) -> Result<()> {
    let made = generator.expect("Ready", "True", "Succeeded", "generated 2 artifact(s)");
    made.await.map(drop)
}

fn outputs(case: &Case) -> Result<Vec<Target>> {
    let external = |name| case.object("source.toolkit.fluxcd.io/v1", "ExternalArtifact", name);
    OUTPUTS.into_iter().map(external).collect()
}

async fn watcher_replicas_serve_through_failovers_and_write_nothing_anew(case: Case) -> Result<()> {
    let balancer = Balancer::start().await?;
    let flags = [format!("--storage-adv-addr={}", balancer.address)];
    let mut first = start_replica(&case, PROGRAM, "first-watcher", &flags).await?;
    balancer.add(&first);
    let app = Generated::start(&case).await?;
    let mut second = start_replica(&case, PROGRAM, "second-watcher", &flags).await?;
    ensure!(serves(&second), "a standby that is ready does not serve");
    let data = case.world().dir().join("second-watcher/data");
    ensure!(
        files(&data)?.len() == OUTPUTS.len(),
        "the standby has {:?}",
        files(&data)?
    );
    balancer.add(&second);

    let downloads = Downloads::start(&case, outputs(&case)?);
    downloads.more().await;
    app.change(&case, "2").await?;
    downloads.more().await;
    let before = app.written().await?;
    first.kill();
    downloads.more().await;
    // Only a leader answers.
    app.generator.reconcile().await?;
    ensure!(app.written().await? == before, "the heir wrote what was there");
    app.change(&case, "3").await?;
    downloads.more().await;
    // The first comes back with what it had, and is the heir of its heir.
    let mut first = again(first).await?;
    ensure!(serves(&first), "a standby that is ready does not serve");
    second.kill();
    downloads.more().await;
    app.change(&case, "4").await?;
    downloads.more().await;
    let broken = downloads.end().await?;
    ensure!(broken <= 2, "{broken} downloads broke off, at two kills");

    // What is deleted goes from the copies, too.
    let second = again(second).await?;
    ensure!(!files(&data)?.is_empty(), "the standby lacks the artifacts");
    app.generator.delete().await?;
    app.generator.gone().await?;
    let is_empty = || files(&data).is_ok_and(|files| files.is_empty());
    until("the copies are removed", is_empty).await?;
    drop((first.stop(), second));
    Ok(())
}

/// Nobody has them: the leader is gone, and so is its storage. What consumers have is still current.
async fn watcher_without_the_artifacts_makes_the_same_anew(case: Case) -> Result<()> {
    let mut first = start_replica(&case, PROGRAM, "first-watcher", &[]).await?;
    let app = Generated::start(&case).await?;
    let before = app.written().await?;
    first.kill();
    // The lease still has its holder when the next one comes.
    let setup = |world: &e2e::World| {
        let mut setup = world.setup(PROGRAM, &ELECTION);
        setup.dir = world.dir().join("second-watcher");
        let mut second = world.prepare_controller(setup)?;
        second.launch()?;
        Ok(second)
    };
    let mut second = case.blocking(setup).await?;
    let port = format!(":{}/", second.storage_port());
    for (output, before) in app.outputs.iter().zip(&before) {
        let moved = |it: &Value| text(it, "/status/artifact/url").contains(&port);
        let object = output.until("the second has the artifact", moved).await?;
        ensure!(download(&case, &object).await?, "the artifact is not served");
        for field in ["digest", "revision", "size"] {
            let [old, new] = [before, &object].map(|it| &it["status"]["artifact"][field]);
            ensure!(old == new, "{field} was {old} and is {new}");
        }
    }
    let ready = tokio::task::spawn_blocking(move || second.wait_ready().map(|()| second));
    let _second = ready.await??;
    settled(&app.generator).await
}
