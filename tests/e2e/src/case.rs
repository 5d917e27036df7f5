//! What one test has to work with.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::object::Target;
use crate::repository::Repository;
use crate::world::World;

/// A namespace of the test's own in a world.
#[derive(Clone)]
pub struct Case {
    world: Arc<World>,
    namespace: String,
}

/// A text that no other call in any run gives.
pub(crate) fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    format!(
        "{:x}-{}",
        now & 0xffff_ffff_ffff,
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

impl Case {
    /// Makes a namespace for a test.
    ///
    /// # Errors
    /// When the API server does not make it.
    pub async fn new(world: &Arc<World>, test: &str) -> Result<Self> {
        let name: String = test
            .rsplit("::")
            .next()
            .unwrap_or(test)
            .chars()
            .take(30)
            .collect();
        let namespace = format!("{}-{}", name.replace('_', "-").trim_end_matches('-'), unique());
        let it = Self {
            world: Arc::clone(world),
            namespace,
        };
        let namespace = it.object("v1", "Namespace", &it.namespace)?;
        let labels = json!({"e2e-test": name.trim_end_matches('_')});
        namespace.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": it.namespace, "labels": labels}})).await?;
        Ok(it)
    }

    /// The world that the test is in.
    #[must_use]
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// The test's namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Says that the test cannot run here; the test then returns.
    pub fn skip(&self, reason: &str) {
        xtask::term::note(format_args!("skipped: {reason}"));
    }

    /// Removes the namespace and does not wait for its end.
    pub(crate) async fn end(&self) {
        if let Ok(namespace) = self.object("v1", "Namespace", &self.namespace) {
            // The cluster ends soon anyway; this only keeps failing objects from being tried again until then.
            drop(namespace.delete().await);
        }
    }

    /// An object, in the test's namespace if its kind has one.
    ///
    /// # Errors
    /// When the API version is malformed.
    pub fn object(&self, api_version: &str, kind: &str, name: &str) -> Result<Target> {
        Target::new(self.world.client(), &self.namespace, api_version, kind, name)
    }

    /// A GitRepository of the test's namespace.
    ///
    /// # Errors
    /// Never.
    pub fn source(&self, name: &str) -> Result<Target> {
        self.object("source.toolkit.fluxcd.io/v1", "GitRepository", name)
    }

    /// A Kustomization of the test's namespace.
    ///
    /// # Errors
    /// Never.
    pub fn kustomization(&self, name: &str) -> Result<Target> {
        self.object("kustomize.toolkit.fluxcd.io/v1", "Kustomization", name)
    }

    /// A ConfigMap of the test's namespace.
    ///
    /// # Errors
    /// Never.
    pub fn config_map(&self, name: &str) -> Result<Target> {
        self.object("v1", "ConfigMap", name)
    }

    /// A new repository on the world's Git server.
    ///
    /// # Errors
    /// When Git cannot make it.
    pub fn repository(&self, name: &str) -> Result<Repository> {
        let repository = self.world.git().create(&format!("{}-{name}", self.namespace))?;
        Ok(Repository::new(repository))
    }

    /// Applies the objects of a YAML text as they are, in the test's namespace where they name none.
    ///
    /// # Errors
    /// When the text is no YAML or the API server refuses an object.
    pub async fn apply(&self, yaml: &str) -> Result<()> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).context("the manifest of a test")?;
        for document in documents.iter().filter(|it| !it.is_null()) {
            self.apply_object(document).await?;
        }
        Ok(())
    }

    /// Applies an object, in the test's namespace where it names none.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn apply_object(&self, object: &Value) -> Result<()> {
        let word = |pointer| crate::object::text(object, pointer);
        let namespace = Some(word("/metadata/namespace")).filter(|it| !it.is_empty());
        let namespace = namespace.unwrap_or_else(|| self.namespace.clone());
        let client = self.world.client();
        let target = Target::new(
            client,
            &namespace,
            &word("/apiVersion"),
            &word("/kind"),
            &word("/metadata/name"),
        )?;
        target.apply(object).await
    }

    /// Applies a GitRepository for a URL; `more` is merged into its spec.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn git_repository(&self, name: &str, url: &str, more: Value) -> Result<Target> {
        let spec = merged(
            json!({"interval": "1h", "url": url, "ref": {"branch": "main"}}),
            more,
        );
        let target = self.source(name)?;
        let object = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": name}, "spec": spec});
        target.apply(&object).await?;
        Ok(target)
    }

    /// Applies a Kustomization of the GitRepository of that name; `more` is merged into its spec.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn kustomize(&self, name: &str, source: &str, more: Value) -> Result<Target> {
        let base = json!({
            "interval": "1h",
            "retryInterval": "2s",
            "prune": true,
            "targetNamespace": self.namespace,
            "sourceRef": {"kind": "GitRepository", "name": source},
        });
        let target = self.kustomization(name)?;
        let spec = merged(base, more);
        let object = json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": {"name": name}, "spec": spec});
        target.apply(&object).await?;
        Ok(target)
    }

    /// A repository with these files, a GitRepository and a Kustomization for it, all called `app`.
    ///
    /// # Errors
    /// When one of them cannot be made.
    pub async fn app(&self, files: &[(&str, &str)], more: Value) -> Result<(Repository, Target)> {
        let repository = self.repository("app")?;
        repository.commit(files)?;
        self.git_repository("app", repository.url(), json!({})).await?;
        let kustomization = self.kustomize("app", "app", more).await?;
        Ok((repository, kustomization))
    }

    /// Makes the GitRepository look at its remote now, and waits for the revision.
    ///
    /// # Errors
    /// When the source does not have the revision in time.
    pub async fn fetch(&self, source: &str, commit: &str) -> Result<()> {
        let source = self.source(source)?;
        source.request().await?;
        source
            .until("the commit is stored", |it| {
                crate::object::text(it, "/status/artifact/revision").ends_with(commit)
            })
            .await?;
        Ok(())
    }

    /// Runs blocking work beside the async tests.
    ///
    /// # Errors
    /// When the work fails or panics.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&World) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let world = Arc::clone(&self.world);
        tokio::task::spawn_blocking(move || work(&world))
            .await
            .context("blocking work panicked")?
    }

    /// Runs the `flux` command line against the test's cluster and namespace.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn flux(&self, args: &[&str]) -> Result<crate::process::Output> {
        let program = crate::controller::programs().join("flux");
        let args: Vec<String> = args.iter().map(|&it| it.to_owned()).collect();
        let namespace = self.namespace.clone();
        self.blocking(move |world| {
            let kubeconfig = world.kubeconfig().to_string_lossy();
            let common = [
                "--kubeconfig",
                &kubeconfig,
                "--namespace",
                &namespace,
                "--timeout",
                "60s",
            ];
            // First, so that a test can give them another value: the last one counts.
            let args: Vec<&str> = common
                .into_iter()
                .chain(args.iter().map(String::as_str))
                .collect();
            crate::process::run(&program, &args, &[("NO_COLOR", "1")], "")
        })
        .await
    }

    /// The artifact of a source as its server gives it: the status and the bytes.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn download(&self, url: &str) -> Result<(u16, Vec<u8>)> {
        let (address, path) = url
            .strip_prefix("http://")
            .and_then(|it| it.split_once('/'))
            .context("an artifact's URL")?;
        let (address, path) = (address.parse()?, format!("/{path}"));
        let get = move |_: &World| {
            let mut response = xtask::http::send(address, "GET", &path, None, Duration::from_secs(30))?;
            let mut body = Vec::new();
            std::io::Read::read_to_end(&mut response.body, &mut body)?;
            Ok((response.status, body))
        };
        self.blocking(get).await
    }

    /// Whether a program of the project was built.
    #[must_use]
    pub fn has_program(&self, name: &str) -> bool {
        crate::controller::programs().join(name).exists()
    }

    /// A directory of the test's own.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn dir(&self) -> Result<std::path::PathBuf> {
        let dir = Path::new(self.world.dir()).join("cases").join(&self.namespace);
        std::fs::create_dir_all(&dir)?;
        Ok(dir)
    }
}

/// The first object with the keys of the second, which may replace or, by null, remove those of the first.
fn merged(mut base: Value, more: Value) -> Value {
    if let (Value::Object(base), Value::Object(more)) = (&mut base, more) {
        for (key, value) in more {
            if value.is_null() {
                base.remove(&key);
            } else {
                base.insert(key, value);
            }
        }
    }
    base
}
