//! Generators: ConfigMaps, Secrets, and a service account for GKE.

pub(crate) mod absorb;
mod sources;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ferro_yaml::{Entry, Mapping, Node, ScalarStyle};

use crate::Quirks;
use crate::error::{Result, fail};
use crate::field;
use crate::helm::ChartGenerator;
use crate::loader::Loader;
use crate::resource::{Behavior, Resource};
use crate::scalar::empty_mapping;
use crate::types::decode::record;
use crate::types::{ConfigMapArgs, GeneratorOptions, SecretArgs};
use sources::Sources;

/// Base64 text is broken after as many characters.
const LINE: usize = 70;

/// A configured generator.
pub(crate) enum Generator<'a> {
    ConfigMap(ConfigMapArgs),
    Secret(SecretArgs),
    IamPolicy(IamPolicyArgs),
    Chart(ChartGenerator<'a>),
}

record! {
    /// Arguments for a GKE service account that acts as one of the cloud.
    pub(crate) struct IamPolicyArgs {
        /// The cloud; only `gke`.
        pub cloud: String = "cloud",
        /// The Kubernetes side.
        pub kubernetes_service: KubernetesService = "kubernetesService",
        /// The cloud's side.
        pub service_account: ServiceAccount = "serviceAccount",
    }
}

record! {
    /// A Kubernetes service account.
    pub(crate) struct KubernetesService {
        /// Its name.
        pub name: String = "name",
        /// Its namespace.
        pub namespace: String = "namespace",
    }
}

record! {
    /// An account of the cloud.
    pub(crate) struct ServiceAccount {
        /// Its name.
        pub name: String = "name",
        /// Its project.
        pub project_id: String = "projectId",
    }
}

impl Generator<'_> {
    pub(crate) fn generate(&self, loader: &Loader<'_>, quirks: Quirks) -> Result<Vec<Resource>> {
        let one = match self {
            Self::Chart(chart) => return chart.generate(loader, quirks),
            Self::ConfigMap(args) => {
                let sources = Sources {
                    literals: &args.literals,
                    files: &args.files,
                    envs: &args.envs,
                    quirks,
                };
                config_map(args, &sources, loader)
            }
            Self::Secret(args) => {
                let sources = Sources {
                    literals: &args.literals,
                    files: &args.files,
                    envs: &args.envs,
                    quirks,
                };
                secret(args, &sources, loader)
            }
            Self::IamPolicy(args) => iam_policy(args),
        };
        Ok(vec![one?])
    }
}

fn base(kind: &str, name: &str, namespace: &str) -> Result<Node> {
    if name.is_empty() {
        fail!("a configmap must have a name");
    }
    let mut metadata = empty_mapping();
    field::put(&mut metadata, "name", field::string(name));
    if !namespace.is_empty() {
        field::put(&mut metadata, "namespace", field::string(namespace));
    }
    Ok(Node::mapping([
        ("apiVersion", Node::string("v1")),
        ("kind", Node::string(kind)),
        ("metadata", metadata),
    ]))
}

fn config_map(args: &ConfigMapArgs, sources: &Sources<'_>, loader: &Loader<'_>) -> Result<Resource> {
    let mut node = base("ConfigMap", &args.name, &args.namespace)?;
    let (mut data, mut binary) = (empty_mapping(), empty_mapping());
    for (key, value) in sources.load(&args.name, loader)? {
        match String::from_utf8(value) {
            Ok(text) => field::put(&mut data, key, field::string(text)),
            Err(error) => field::put(&mut binary, key, field::string(broken_base64(error.as_bytes()))),
        }
    }
    for (field, map) in [("data", data), ("binaryData", binary)] {
        if !map.entries().is_empty() {
            node.set(field, map);
        }
    }
    Ok(finish(node, args.options.as_ref(), &args.behavior))
}

fn secret(args: &SecretArgs, sources: &Sources<'_>, loader: &Loader<'_>) -> Result<Resource> {
    let mut node = base("Secret", &args.name, &args.namespace)?;
    let secret_type = if args.secret_type.is_empty() {
        "Opaque"
    } else {
        &args.secret_type
    };
    field::put(&mut node, "type", Node::string(secret_type));
    let mut data = empty_mapping();
    for (key, value) in sources.load(&args.name, loader)? {
        field::put(&mut data, key, field::string(broken_base64(&value)));
    }
    node.set("data", data);
    Ok(finish(node, args.options.as_ref(), &args.behavior))
}

/// Encodes, and breaks what is long into lines.
pub(crate) fn broken_base64(bytes: &[u8]) -> String {
    let encoded = STANDARD.encode(bytes);
    if encoded.len() < LINE {
        return encoded;
    }
    let mut broken = String::with_capacity(encoded.len() + encoded.len() / LINE + 1);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at_checked(LINE).unwrap_or((rest, ""));
        broken.push_str(line);
        broken.push('\n');
        rest = tail;
    }
    broken
}

fn finish(node: Node, options: Option<&GeneratorOptions>, behavior: &str) -> Resource {
    let mut resource = Resource::new(node);
    if let Some(options) = options {
        let pairs = |map: &std::collections::BTreeMap<String, String>| {
            map.iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect::<Vec<_>>()
        };
        if !options.labels.is_empty() {
            resource.set_metadata_map("labels", pairs(&options.labels));
            let labels = resource.node.lookup_mut(["metadata", "labels"]);
            let labels = labels.and_then(Node::as_mapping_mut);
            for label in labels.into_iter().flat_map(Mapping::as_mut_slice) {
                label.value.set_style(ScalarStyle::SingleQuoted);
            }
        }
        if !options.annotations.is_empty() {
            resource.set_metadata_map("annotations", pairs(&options.annotations));
        }
        if options.immutable {
            resource.node.set("immutable", Node::bool(true));
        }
    }
    resource.record.needs_hash = options.is_none_or(|options| !options.disable_name_suffix_hash);
    resource.record.behavior = Some(Behavior::from_word(behavior));
    resource
}

fn iam_policy(args: &IamPolicyArgs) -> Result<Resource> {
    if args.cloud != "gke" {
        fail!("cloud provider {} not supported yet", args.cloud);
    }
    let account = format!(
        "{}@{}.iam.gserviceaccount.com",
        args.service_account.name, args.service_account.project_id
    );
    let mut metadata = vec![
        Entry::from((
            "annotations",
            Node::mapping([("iam.gke.io/gcp-service-account", Node::string(account))]),
        )),
        ("name", Node::string(&args.kubernetes_service.name)).into(),
    ];
    if !args.kubernetes_service.namespace.is_empty() {
        metadata.push(("namespace", Node::string(&args.kubernetes_service.namespace)).into());
    }
    Ok(Resource::new(Node::mapping([
        ("apiVersion", Node::string("v1")),
        ("kind", Node::string("ServiceAccount")),
        ("metadata", Node::mapping(metadata)),
    ])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_base64_is_broken_with_a_final_line_break() {
        assert_eq!(broken_base64(b"abc"), "YWJj");
        let long = broken_base64(&[0; 52]);
        assert_eq!(long.lines().map(str::len).collect::<Vec<_>>(), [70, 2]);
        assert!(long.ends_with('\n'));
        assert!(!broken_base64(&[0; 51]).contains('\n'));
    }
}
