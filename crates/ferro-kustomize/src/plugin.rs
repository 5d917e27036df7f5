//! Built-in plugins configured by objects of their own, in `generators`, `transformers` and `validators`.

use std::collections::BTreeMap;

use ferro_yaml::Node;

use crate::error::{Context, Error, ErrorKind, Result, fail};
use crate::generate::{Generator, IamPolicyArgs};
use crate::helm::{ChartGenerator, Charts};
use crate::loader::Loader;
use crate::resource::Resource;
use crate::schema::Schema;
use crate::transform::Transformer;
use crate::transform::image::ImageTransformer;
use crate::transform::metadata::MetadataTransformer;
use crate::transform::name::{AffixTransformer, End};
use crate::transform::namespace::{NamespaceTransformer, Subjects};
use crate::transform::patch::{JsonPatch, PatchTransformer, StrategicPatches};
use crate::transform::replacement::ReplacementTransformer;
use crate::transform::replica::ReplicaTransformer;
use crate::transform::value_add::{ValueAddTarget, ValueAddTransformer};
use crate::types::decode::{At, Codec, record};
use crate::types::{
    ConfigMapArgs, FieldSpec, Image, ObjectMeta, Patch, PatchOptions, ReplacementField, Replica, SecretArgs,
    Selector,
};

record! {
    /// The fields of all built-in transformers together; each uses its own.
    pub(crate) struct TransformerArgs {
        /// Metadata of the configuration; the namespace is that of the namespace transformer.
        pub metadata: ObjectMeta = "metadata",
        /// The fields to change.
        pub field_specs: Option<Vec<FieldSpec>> = "fieldSpecs",
        /// Annotations to set.
        pub annotations: BTreeMap<String, String> = "annotations",
        /// Labels to set.
        pub labels: BTreeMap<String, String> = "labels",
        /// The image to change.
        pub image_tag: Image = "imageTag",
        /// The replicas to change.
        pub replica: Replica = "replica",
        /// The prefix.
        pub prefix: String = "prefix",
        /// The suffix.
        pub suffix: String = "suffix",
        /// Whether only missing namespaces are set.
        pub unset_only: bool = "unsetOnly",
        /// Which subjects get the namespace.
        pub set_role_binding_subjects: String = "setRoleBindingSubjects",
        /// The target of a patch.
        pub target: Option<Selector> = "target",
        /// The file of a patch.
        pub path: String = "path",
        /// The text of a patch.
        pub patch: String = "patch",
        /// The options of a patch.
        pub options: Option<PatchOptions> = "options",
        /// The text of a JSON patch.
        pub json_op: String = "jsonOp",
        /// Files or texts of strategic merge patches.
        pub paths: Vec<String> = "paths",
        /// The text of strategic merge patches.
        pub patches: String = "patches",
        /// Replacements.
        pub replacements: Vec<ReplacementField> = "replacements",
        /// A value to add.
        pub value: String = "value",
        /// Where it is added.
        pub targets: Vec<ValueAddTarget> = "targets",
        /// A file with more of those.
        pub target_file_path: String = "targetFilePath",
    }
}

fn decode<T: Codec + Default>(node: &Node) -> Result<T> {
    T::decode(node, &At::lenient()).map_err(|mismatch| Error::other(mismatch.while_unmarshaling()))
}

/// What a configuration turned into.
enum Plugin<'a> {
    Generator(Generator<'a>),
    Transformer(Transformer),
}

/// Configures a generator.
pub(crate) fn generator<'a>(
    config: &Resource,
    loader: &Loader<'_>,
    schema: &Schema,
    charts: Charts<'a>,
) -> Result<Generator<'a>> {
    match load(config, loader, schema, charts)? {
        Plugin::Generator(generator) => Ok(generator),
        Plugin::Transformer(_) => fail!("plugin {} not a generator", config.original_id(schema)),
    }
}

/// Configures a transformer.
pub(crate) fn transformer(
    config: &Resource,
    loader: &Loader<'_>,
    schema: &Schema,
    charts: Charts<'_>,
) -> Result<Transformer> {
    match load(config, loader, schema, charts)? {
        Plugin::Transformer(transformer) => Ok(transformer),
        Plugin::Generator(_) => fail!("plugin {} not a transformer", config.original_id(schema)),
    }
}

fn load<'a>(
    config: &Resource,
    loader: &Loader<'_>,
    schema: &Schema,
    charts: Charts<'a>,
) -> Result<Plugin<'a>> {
    let gvk = config.gvk();
    if !gvk.group.is_empty() || gvk.version != "builtin" {
        let kind = config.original_id(schema).gvk.kind;
        return Err(Error::from(ErrorKind::ExternalPlugin { kind }).at(config.location()));
    }
    // Upstream hands configurations over as text, so they must have one.
    crate::emit::resource(config)
        .during(|| format!("marshalling yaml from res {}", config.original_id(schema)))?;
    let plugin = match gvk.kind.as_str() {
        "ConfigMapGenerator" | "SecretGenerator" | "IAMPolicyGenerator" => {
            generator_of(&gvk.kind, config).map(|generator| Some(Plugin::Generator(generator)))
        }
        "HelmChartInflationGenerator" => {
            let (chart, globals) = (decode(&config.node)?, decode(&config.node)?);
            let generator = ChartGenerator::configure(charts, chart, globals, loader);
            generator.map(|generator| Some(Plugin::Generator(Generator::Chart(generator))))
        }
        kind => transformer_of(kind, config, loader).map(|transformer| transformer.map(Plugin::Transformer)),
    };
    let plugin = plugin
        .during(|| format!("plugin {} fails configuration", config.original_id(schema)))
        .map_err(|error| error.at(config.location()))?;
    plugin.ok_or_else(|| Error::other(format!("unable to load builtin {gvk}")).at(config.location()))
}

fn generator_of(kind: &str, config: &Resource) -> Result<Generator<'static>> {
    let (name, namespace) = (config.name(), config.namespace());
    let or = |stated: &mut String, fallback: &str| {
        if stated.is_empty() {
            fallback.clone_into(stated);
        }
    };
    Ok(match kind {
        "ConfigMapGenerator" => {
            let mut args: ConfigMapArgs = decode(&config.node)?;
            or(&mut args.name, name);
            or(&mut args.namespace, namespace);
            Generator::ConfigMap(args)
        }
        "SecretGenerator" => {
            let mut args: SecretArgs = decode(&config.node)?;
            or(&mut args.name, name);
            or(&mut args.namespace, namespace);
            Generator::Secret(args)
        }
        _ => Generator::IamPolicy(decode::<IamPolicyArgs>(&config.node)?),
    })
}

fn transformer_of(kind: &str, config: &Resource, loader: &Loader<'_>) -> Result<Option<Transformer>> {
    let args: TransformerArgs = decode(&config.node)?;
    let specs = args.field_specs.clone().unwrap_or_default();
    let affix = |text: &str, end: End| {
        if args.field_specs.is_none() {
            fail!("fieldSpecs is not expected to be nil");
        }
        Ok(AffixTransformer::new(text.to_owned(), end, &specs))
    };
    Ok(Some(match kind {
        "AnnotationsTransformer" => {
            Transformer::Annotations(MetadataTransformer::new(args.annotations, &specs))
        }
        "LabelTransformer" => Transformer::Labels(MetadataTransformer::new(args.labels, &specs)),
        "HashTransformer" => Transformer::Hash,
        "ImageTagTransformer" => Transformer::Image(ImageTransformer::new(args.image_tag, &specs)?),
        "NamespaceTransformer" => {
            let subjects = Subjects::from_word(&args.set_role_binding_subjects)?;
            let namespace = args.metadata.namespace;
            Transformer::Namespace(NamespaceTransformer::new(
                namespace,
                &specs,
                subjects,
                args.unset_only,
            ))
        }
        "PrefixTransformer" => Transformer::Names(vec![affix(&args.prefix, End::Front)?]),
        "SuffixTransformer" => Transformer::Names(vec![affix(&args.suffix, End::Back)?]),
        "PrefixSuffixTransformer" => Transformer::Names(vec![
            affix(&args.prefix, End::Front)?,
            affix(&args.suffix, End::Back)?,
        ]),
        "PatchJson6902Transformer" => Transformer::PatchJson6902(JsonPatch::load(
            loader,
            args.target.as_ref(),
            &args.path,
            &args.json_op,
        )?),
        "PatchStrategicMergeTransformer" => {
            Transformer::PatchStrategicMerge(StrategicPatches::load(loader, &args.paths, &args.patches)?)
        }
        "PatchTransformer" => {
            let patch = Patch {
                path: args.path,
                patch: args.patch,
                target: args.target,
                options: args.options,
            };
            Transformer::Patch(PatchTransformer::load(
                loader,
                &patch,
                &crate::emit::config(&config.node),
            )?)
        }
        "ReplacementTransformer" => {
            Transformer::Replacement(ReplacementTransformer::load(loader, &args.replacements)?)
        }
        "ReplicaCountTransformer" => Transformer::Replica(ReplicaTransformer::new(args.replica, specs)),
        "ValueAddTransformer" => Transformer::ValueAdd(ValueAddTransformer::load(
            loader,
            &args.value,
            args.targets,
            &args.target_file_path,
        )?),
        _ => return Ok(None),
    }))
}
