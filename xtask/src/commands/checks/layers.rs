//! Who may depend on whom: engines ← clients ← kubernetes ← controllers ← programs, and tools for tests beside them.

use super::metadata::{Kind, Metadata, Package};

/// The layers, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Engine,
    Client,
    Kubernetes,
    Controller,
    Program,
    Tool,
}

/// Every package of the workspace; one that is missing here has not found its place yet.
const LAYERS: &[(Layer, &[&str])] = &[
    (
        Layer::Engine,
        &[
            "ferro-gocompat",
            "ferro-yaml",
            "ferro-template",
            "ferro-sprig",
            "ferro-kustomize",
            "ferro-helm",
            "ferro-postbuild",
            "ferro-sops",
            "ferro-kstatus",
            "ferro-imagepolicy",
            "ferro-verify",
        ],
    ),
    (
        Layer::Client,
        &[
            "ferro-http",
            "ferro-git",
            "ferro-oci",
            "ferro-bucket",
            "ferro-helmrepo",
            "ferro-cloud",
            "ferro-keys",
            "ferro-artifact",
        ],
    ),
    (
        Layer::Kubernetes,
        &["ferro-api", "ferro-runtime", "ferro-apply", "ferro-release"],
    ),
    (
        Layer::Controller,
        &[
            "source-controller",
            "kustomize-controller",
            "helm-controller",
            "notification-controller",
            "image-reflector-controller",
            "image-automation-controller",
            "source-watcher",
        ],
    ),
    (Layer::Program, &["flux", "ferroflux", "console"]),
    (Layer::Tool, &["ferro-testkit", "xtask", "e2e"]),
];

/// What engines may not be linked with: a runtime, the network, a cluster.
const IMPURE: [&str; 9] = [
    "tokio",
    "async-std",
    "futures-executor",
    "socket2",
    "hyper",
    "reqwest",
    "rustls",
    "kube-core",
    "k8s-openapi",
];
/// What clients may not be linked with.
const CLUSTER: [&str; 3] = ["kube-core", "kube-client", "k8s-openapi"];

pub(super) fn faults(metadata: &Metadata) -> Vec<String> {
    let mut faults = Vec::new();
    for (id, package) in metadata.members() {
        let Some(layer) = layer(&package.name) else {
            faults.push(format!(
                "{} is in no layer; add it to xtask/src/commands/checks/layers.rs",
                package.name
            ));
            continue;
        };
        for (name, kind) in &package.declared {
            faults.extend(fault(package, layer, name, *kind));
        }
        let banned: &[&str] = match layer {
            Layer::Engine => &IMPURE,
            Layer::Client => &CLUSTER,
            _ => &[],
        };
        let linked = metadata.closure(id);
        let banned = banned.iter().filter(|it| linked.contains(**it));
        faults.extend(banned.map(|it| {
            format!(
                "{} is linked with {it}, which its layer must not know",
                package.name
            )
        }));
    }
    faults
}

/// Why this dependency is not allowed, if it is not.
fn fault(package: &Package, layer: Layer, dependency: &str, kind: Kind) -> Option<String> {
    let lower = self::layer(dependency)?;
    let name = &package.name;
    // Tests may use whatever helps, but a library must not reach up to a program even there.
    let allowed = match (kind, lower) {
        (Kind::Dev, Layer::Tool) => true,
        (_, Layer::Tool) => layer == Layer::Tool,
        _ => lower <= layer,
    };
    if !allowed {
        return Some(format!("{name} ({layer:?}) depends on {dependency} ({lower:?})"));
    }
    if kind == Kind::Dev || name == dependency {
        return None;
    }
    let is_peer = layer == lower && matches!(layer, Layer::Controller | Layer::Program);
    let breaks_rule = match (name.as_str(), lower) {
        ("flux", Layer::Controller) | ("ferro-api", _) => true,
        _ => is_peer,
    };
    breaks_rule
        .then(|| format!("{name} depends on {dependency}; what they share belongs in a layer below both"))
}

fn layer(name: &str) -> Option<Layer> {
    LAYERS
        .iter()
        .find(|(_, names)| names.contains(&name))
        .map(|(layer, _)| *layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, dependency: &str, kind: Kind) -> bool {
        let package = Package {
            name: name.to_owned(),
            ..Package::default()
        };
        fault(&package, layer(name).unwrap(), dependency, kind).is_none()
    }

    #[test]
    fn dependencies_go_down_only() {
        assert!(check("ferro-apply", "ferro-yaml", Kind::Normal));
        assert!(check("ferroflux", "source-controller", Kind::Normal));
        assert!(check("ferro-git", "ferro-testkit", Kind::Dev));
        assert!(check("ferro-git", "tokio", Kind::Normal));
        assert!(!check("ferro-yaml", "ferro-http", Kind::Normal));
        assert!(!check("ferro-api", "ferro-gocompat", Kind::Normal));
        assert!(!check("source-controller", "kustomize-controller", Kind::Normal));
        assert!(!check("flux", "source-controller", Kind::Normal));
        assert!(!check("ferro-git", "ferro-testkit", Kind::Normal));
        assert!(!check("ferro-apply", "kustomize-controller", Kind::Dev));
    }
}
