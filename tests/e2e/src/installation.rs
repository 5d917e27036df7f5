//! What `config/default` installs: its objects, built by the project's own engine, and its controllers with the rights of their
//! accounts.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use ferro_kustomize::{DirFiles, Options};
use serde_json::Value;
use xtask::cluster::User;

use crate::controller::{Setup, programs};
use crate::object::text;
use crate::process;
use crate::world::World;

/// The objects of `config/default`.
#[derive(Clone, Debug)]
pub struct Installation {
    objects: Vec<Value>,
}

/// One Deployment of an [`Installation`].
#[derive(Clone, Copy, Debug)]
pub struct Workload<'a> {
    deployment: &'a Value,
}

impl Installation {
    /// The namespace that everything is in.
    pub const NAMESPACE: &str = "flux-system";

    /// Builds it.
    ///
    /// # Errors
    /// When the files do not build.
    pub fn build() -> Result<Self> {
        let (dir, options) = (Self::dir(), Options::default());
        let built = ferro_kustomize::build(&DirFiles::unconfined(), &dir.to_string_lossy(), &options)
            .with_context(|| format!("cannot build {}", dir.display()))?;
        Ok(Self {
            objects: serde_saphyr::from_multiple(&built.to_yaml()?)?,
        })
    }

    /// Where its files are.
    #[must_use]
    pub fn dir() -> PathBuf {
        xtask::paths::root().join("config/default")
    }

    /// All objects, in the order in which they were built.
    #[must_use]
    pub fn objects(&self) -> &[Value] {
        &self.objects
    }

    /// The objects of a kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |it| it["kind"] == kind)
    }

    /// The Deployments, each of which is one controller.
    pub fn workloads(&self) -> impl Iterator<Item = Workload<'_>> {
        self.of_kind("Deployment")
            .map(|deployment| Workload { deployment })
    }
}

impl Workload<'_> {
    /// Its name, which is also that of the program and of its account.
    #[must_use]
    pub fn name(&self) -> String {
        text(self.deployment, "/metadata/name")
    }

    /// The Deployment itself.
    #[must_use]
    pub const fn deployment(&self) -> &Value {
        self.deployment
    }

    /// The container of the controller.
    #[must_use]
    pub fn container(&self) -> &Value {
        &self.deployment["spec"]["template"]["spec"]["containers"][0]
    }

    /// The arguments as the kubelet would give them.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let arguments = self.container()["args"].as_array().into_iter().flatten();
        let text = arguments.filter_map(Value::as_str);
        text.map(|it| it.replace("$(RUNTIME_NAMESPACE)", Installation::NAMESPACE))
            .collect()
    }

    /// The number of a port of the container that is called so.
    ///
    /// # Errors
    /// When there is none.
    pub fn port(&self, name: &str) -> Result<u64> {
        let mut ports = self.container()["ports"].as_array().into_iter().flatten();
        let port = ports.find(|it| it["name"] == name);
        port.and_then(|it| it["containerPort"].as_u64())
            .with_context(|| format!("{} has no port `{name}`", self.name()))
    }

    /// What its program prints when it is run with these flags behind the arguments, and the code with which it ends.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub fn run(&self, flags: &[&str]) -> Result<process::Output> {
        let arguments = self.arguments();
        let arguments: Vec<&str> = arguments
            .iter()
            .map(String::as_str)
            .chain(flags.iter().copied())
            .collect();
        let namespace = [("RUNTIME_NAMESPACE", Installation::NAMESPACE)];
        process::run(&programs().join(self.name()), &arguments, &namespace, "")
    }

    /// How to start its program in a world: with its arguments and the rights of its account, which must be there. The ports, the
    /// directories and the address for events are the tests' own.
    ///
    /// # Errors
    /// When there is no token for the account.
    pub fn setup(&self, world: &World) -> Result<Setup> {
        let mut setup = world.setup(&self.name(), &["--events-addr="]);
        std::fs::create_dir_all(&setup.dir)?;
        setup.kubeconfig = kubeconfig(world, &self.name(), &setup.dir)?;
        setup.arguments = self.arguments();
        Installation::NAMESPACE.clone_into(&mut setup.namespace);
        Ok(setup)
    }
}

/// Writes a kubeconfig with a token of a ServiceAccount, as a Pod of it has one.
fn kubeconfig(world: &World, account: &str, dir: &Path) -> Result<PathBuf> {
    let namespace = Installation::NAMESPACE;
    let token = world.kubectl(&[
        "create",
        "token",
        account,
        "--namespace",
        namespace,
        "--duration=1h",
    ])?;
    ensure!(!token.trim().is_empty(), "no token for {account}");
    let user = User {
        name: account,
        token: token.trim(),
        namespace: Some(namespace),
    };
    let path = dir.join("kubeconfig");
    world.cluster().write_kubeconfig(&user, &path)?;
    Ok(path)
}
