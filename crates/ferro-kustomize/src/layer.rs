//! What the fields of a kustomization file turn into, in the order in which it runs.

use std::collections::BTreeMap;

use ferro_yaml::Node;

use crate::accumulate::Layer;
use crate::config::{TransformerConfig, merge_spec, merge_specs};
use crate::error::{Context, Location, Result};
use crate::generate::Generator;
use crate::helm::{ChartGenerator, Charts};
use crate::origin::Origin;
use crate::place::Entry;
use crate::resource::Resource;
use crate::transform::Transformer;
use crate::transform::image::ImageTransformer;
use crate::transform::metadata::MetadataTransformer;
use crate::transform::name::{AffixTransformer, End};
use crate::transform::namespace::{NamespaceTransformer, Subjects};
use crate::transform::patch::{JsonPatch, PatchTransformer, StrategicPatches};
use crate::transform::replacement::ReplacementTransformer;
use crate::transform::replica::ReplicaTransformer;
use crate::types::decode::Codec;
use crate::types::{FieldSpec, GeneratorOptions, Label};

/// A generator or transformer, and where it is from.
pub(crate) struct Step<T> {
    pub(crate) run: T,
    /// Set when origins are tracked.
    pub(crate) origin: Option<Origin>,
    from: From,
}

enum From {
    /// An entry of the kustomization file.
    Field(Entry<'static>),
    /// An object that configures it.
    Plugin(Option<Location>),
}

impl<T> Step<T> {
    pub(crate) fn of_plugin(run: T, config: &Resource) -> Self {
        Self {
            run,
            origin: Origin::of_plugin(config),
            from: From::Plugin(config.location().filter(|place| !place.file.is_empty())),
        }
    }

    /// Tells where it is configured.
    pub(crate) fn place(&self, layer: &Layer<'_>) -> Option<Location> {
        match &self.from {
            From::Field(entry) => layer.place(*entry),
            From::Plugin(place) => place.clone(),
        }
    }
}

fn encoded(value: &impl Codec) -> String {
    let value = value.encode().unwrap_or_else(crate::scalar::empty_mapping);
    crate::emit::config(&value)
}

/// Says which configuration an error is about, as upstream does.
fn trouble<T>(result: Result<T>, kind: &str, config: impl FnOnce() -> String) -> Result<T> {
    result.map_err(|error| {
        error.during(format!(
            "trouble configuring builtin {kind} with config: `\n{}`",
            config()
        ))
    })
}

/// Configures the generators of the file's own fields.
pub(crate) fn generators<'o>(layer: &Layer<'_>, charts: Charts<'o>) -> Result<Vec<Step<Generator<'o>>>> {
    let kustomization = &layer.kustomization;
    let global = kustomization.generator_options.as_ref();
    let origin = |kind: &str| {
        layer
            .origin
            .as_ref()
            .map(|origin| origin.of_field(&layer.file, kind))
    };
    let mut generators = Vec::new();
    let step = |run, kind: &str, entry| Step {
        run,
        origin: origin(kind),
        from: From::Field(entry),
    };
    for (index, args) in kustomization.config_map_generator.iter().enumerate() {
        let mut args = args.clone();
        args.options = GeneratorOptions::merged(args.options.as_ref(), global);
        let entry = Entry::Item("configMapGenerator", index);
        generators.push(step(Generator::ConfigMap(args), "ConfigMapGenerator", entry));
    }
    for (index, args) in kustomization.secret_generator.iter().enumerate() {
        let mut args = args.clone();
        args.options = GeneratorOptions::merged(args.options.as_ref(), global);
        let entry = Entry::Item("secretGenerator", index);
        generators.push(step(Generator::Secret(args), "SecretGenerator", entry));
    }
    for (index, chart) in kustomization.helm_charts.iter().enumerate() {
        let mut chart = chart.clone();
        if chart.namespace.is_empty() {
            let own = &kustomization.namespace;
            chart.namespace.clone_from(if own.is_empty() {
                &layer.chart_namespace
            } else {
                own
            });
        }
        let mut config = chart.encode().unwrap_or_else(crate::scalar::empty_mapping);
        let globals = kustomization.helm_globals.clone().unwrap_or_default();
        for entry in globals.encode().iter().flat_map(Node::entries) {
            config.set(entry.name().unwrap_or_default(), entry.value.clone());
        }
        let kind = "HelmChartInflationGenerator";
        let generator = ChartGenerator::configure(charts, chart, globals, &layer.loader);
        let entry = Entry::Item("helmCharts", index);
        let generator = trouble(generator, kind, || crate::emit::config(&config))
            .map_err(|error| error.at(layer.place(entry)))?;
        generators.push(step(Generator::Chart(generator), kind, entry));
    }
    Ok(generators)
}

/// Configures the transformers of the file's own fields; all are configured before any runs.
pub(crate) fn transformers(layer: &Layer<'_>, config: &TransformerConfig) -> Result<Vec<Step<Transformer>>> {
    let kustomization = &layer.kustomization;
    let mut list: Vec<(Transformer, &'static str)> = Vec::new();
    patches(layer, &mut list)?;
    if !kustomization.namespace.is_empty() {
        let namespace = kustomization.namespace.clone();
        let transformer =
            NamespaceTransformer::new(namespace, &config.namespace, Subjects::DefaultOnly, false);
        list.push((Transformer::Namespace(transformer), "NamespaceTransformer"));
    }
    for (text, end, specs, kind) in [
        (
            &kustomization.name_prefix,
            End::Front,
            &config.name_prefix,
            "PrefixTransformer",
        ),
        (
            &kustomization.name_suffix,
            End::Back,
            &config.name_suffix,
            "SuffixTransformer",
        ),
    ] {
        if !text.is_empty() {
            list.push((
                Transformer::Names(vec![AffixTransformer::new(text.clone(), end, specs)]),
                kind,
            ));
        }
    }
    metadata(layer, config, &mut list)?;
    json_patches(layer, &mut list)?;
    for replica in &kustomization.replicas {
        let transformer = ReplicaTransformer::new(replica.clone(), config.replicas.clone());
        list.push((Transformer::Replica(transformer), "ReplicaCountTransformer"));
    }
    for (index, image) in kustomization.images.iter().enumerate() {
        let transformer = trouble(
            ImageTransformer::new(image.clone(), &config.images),
            "ImageTagTransformer",
            || encoded(image),
        )
        .map_err(|error| error.at(layer.place(Entry::Item("images", index))))?;
        list.push((Transformer::Image(transformer), "ImageTagTransformer"));
    }
    if !kustomization.replacements.is_empty() {
        let transformer = ReplacementTransformer::load(&layer.loader, &kustomization.replacements);
        let transformer = trouble(transformer, "ReplacementTransformer", || {
            let replacements = kustomization.replacements.encode().unwrap_or_default();
            crate::emit::config(&Node::mapping([("Replacements", replacements)]))
        })
        .map_err(|error| error.at(layer.place(Entry::Field("replacements"))))?;
        list.push((Transformer::Replacement(transformer), "ReplacementTransformer"));
    }
    Ok(with_places(layer, list))
}

/// Adds which entry of the file each is: those of one kind are in the order of the entries.
fn with_places(layer: &Layer<'_>, list: Vec<(Transformer, &'static str)>) -> Vec<Step<Transformer>> {
    let origin = layer.origin.as_ref();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let steps = list.into_iter().map(|(run, kind)| {
        let count = counts.entry(kind).or_default();
        let index = *count;
        *count += 1;
        let entry = match kind {
            "PatchTransformer" => Entry::Item("patches", index),
            "PatchJson6902Transformer" => Entry::Item("patchesJson6902", index),
            "PatchStrategicMergeTransformer" => Entry::Field("patchesStrategicMerge"),
            "NamespaceTransformer" => Entry::Field("namespace"),
            "PrefixTransformer" => Entry::Field("namePrefix"),
            "SuffixTransformer" => Entry::Field("nameSuffix"),
            "LabelTransformer" if index < layer.kustomization.labels.len() => Entry::Item("labels", index),
            "LabelTransformer" => Entry::Field("commonLabels"),
            "AnnotationsTransformer" => Entry::Field("commonAnnotations"),
            "ReplicaCountTransformer" => Entry::Item("replicas", index),
            "ImageTagTransformer" => Entry::Item("images", index),
            _ => Entry::Field("replacements"),
        };
        Step {
            run,
            origin: origin.map(|origin| origin.of_field(&layer.file, kind)),
            from: From::Field(entry),
        }
    });
    steps.collect()
}

fn patches(layer: &Layer<'_>, list: &mut Vec<(Transformer, &'static str)>) -> Result<()> {
    let paths = &layer.kustomization.patches_strategic_merge;
    if !paths.is_empty() {
        let patches = trouble(
            StrategicPatches::load(&layer.loader, paths, ""),
            "PatchStrategicMergeTransformer",
            || crate::emit::config(&Node::mapping([("paths", paths.encode().unwrap_or_default())])),
        )
        .map_err(|error| error.at(layer.place(Entry::Field("patchesStrategicMerge"))))?;
        list.push((
            Transformer::PatchStrategicMerge(patches),
            "PatchStrategicMergeTransformer",
        ));
    }
    for (index, patch) in layer.kustomization.patches.iter().enumerate() {
        let config = encoded(patch);
        let transformer = PatchTransformer::load(&layer.loader, patch, &config);
        let transformer = trouble(transformer, "PatchTransformer", || config.clone())
            .map_err(|error| error.at(layer.place(Entry::Item("patches", index))))?;
        list.push((Transformer::Patch(transformer), "PatchTransformer"));
    }
    Ok(())
}

fn json_patches(layer: &Layer<'_>, list: &mut Vec<(Transformer, &'static str)>) -> Result<()> {
    for (index, patch) in layer.kustomization.patches_json6902.iter().enumerate() {
        let loaded = JsonPatch::load(&layer.loader, patch.target.as_ref(), &patch.path, &patch.patch);
        let transformer = trouble(loaded, "PatchJson6902Transformer", || {
            let fields = [
                ("jsonOp", patch.patch.encode()),
                ("path", patch.path.encode()),
                ("target", patch.target.encode()),
            ];
            let stated = fields
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?).into()));
            crate::emit::config(&Node::mapping(stated.collect::<Vec<ferro_yaml::Entry>>()))
        })
        .map_err(|error| error.at(layer.place(Entry::Item("patchesJson6902", index))))?;
        list.push((
            Transformer::PatchJson6902(transformer),
            "PatchJson6902Transformer",
        ));
    }
    Ok(())
}

/// Labels and annotations.
fn metadata(
    layer: &Layer<'_>,
    config: &TransformerConfig,
    list: &mut Vec<(Transformer, &'static str)>,
) -> Result<()> {
    let kustomization = &layer.kustomization;
    for label in &kustomization.labels {
        let specs = label_specs(label, config)?;
        let transformer = MetadataTransformer::new(label.pairs.clone(), &specs);
        list.push((Transformer::Labels(transformer), "LabelTransformer"));
    }
    if !kustomization.labels.is_empty() || !kustomization.common_labels.is_empty() {
        let transformer =
            MetadataTransformer::new(kustomization.common_labels.clone(), &config.common_labels);
        list.push((Transformer::Labels(transformer), "LabelTransformer"));
    }
    if !kustomization.common_annotations.is_empty() {
        let pairs = kustomization.common_annotations.clone();
        let transformer = MetadataTransformer::new(pairs, &config.common_annotations);
        list.push((Transformer::Annotations(transformer), "AnnotationsTransformer"));
    }
    Ok(())
}

/// The fields that an entry of `labels` is for.
fn label_specs(label: &Label, config: &TransformerConfig) -> Result<Vec<FieldSpec>> {
    let words = || "failed to merge labels".to_owned();
    let mut specs = label.field_specs.clone();
    merge_specs(&mut specs, &config.labels).during(words)?;
    if label.include_selectors {
        merge_specs(&mut specs, &config.common_labels).during(words)?;
        return Ok(specs);
    }
    if label.include_templates {
        merge_specs(&mut specs, &config.template_labels)
            .during(|| "failed to merge template fieldSpec".to_owned())?;
    }
    let own = FieldSpec {
        path: "metadata/labels".to_owned(),
        create: true,
        ..FieldSpec::default()
    };
    merge_spec(&mut specs, &own).during(words)?;
    Ok(specs)
}
