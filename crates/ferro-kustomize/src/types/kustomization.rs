//! The kustomization file itself.

use std::collections::BTreeMap;

use ferro_yaml::Node;

use super::decode::{At, Codec, record};
use super::{
    ConfigMapArgs, GeneratorOptions, HelmChart, HelmChartArgs, HelmGlobals, Image, Label, ObjectMeta, Patch,
    ReplacementField, Replica, SecretArgs, SortOptions, Var,
};
use crate::error::{Error, ErrorKind, Location, Result, fail};

pub(crate) const KUSTOMIZATION: &str = "Kustomization";
pub(crate) const COMPONENT: &str = "Component";
const KUSTOMIZATION_VERSION: &str = "kustomize.config.k8s.io/v1beta1";
const COMPONENT_VERSION: &str = "kustomize.config.k8s.io/v1alpha1";

record! {
    /// A `Kustomization` or `Component`.
    pub struct Kustomization {
        /// `kustomize.config.k8s.io/v1beta1`, or `v1alpha1` of a component.
        pub api_version: String = "apiVersion" in "TypeMeta",
        /// `Kustomization` or `Component`.
        pub kind: String = "kind" in "TypeMeta",
        /// Accepted, not used.
        pub metadata: Option<ObjectMeta> = "metadata",
        /// `path` of a schema file or `version` of the built-in one.
        pub openapi: BTreeMap<String, String> = "openapi",
        /// Put before every name.
        pub name_prefix: String = "namePrefix",
        /// Put behind every name.
        pub name_suffix: String = "nameSuffix",
        /// Put on every namespaced object.
        pub namespace: String = "namespace",
        /// Deprecated: labels for objects, templates and selectors.
        pub common_labels: BTreeMap<String, String> = "commonLabels",
        /// Labels.
        pub labels: Vec<Label> = "labels",
        /// Annotations for objects and templates.
        pub common_annotations: BTreeMap<String, String> = "commonAnnotations",
        /// Deprecated: files or texts of strategic merge patches.
        pub patches_strategic_merge: Vec<String> = "patchesStrategicMerge",
        /// Deprecated: JSON 6902 patches.
        pub patches_json6902: Vec<Patch> = "patchesJson6902",
        /// Patches of either kind.
        pub patches: Vec<Patch> = "patches",
        /// Changes of images.
        pub images: Vec<Image> = "images",
        /// Deprecated: further changes of images.
        pub image_tags: Vec<Image> = "imageTags",
        /// Values copied between objects.
        pub replacements: Vec<ReplacementField> = "replacements",
        /// Changes of replicas.
        pub replicas: Vec<Replica> = "replicas",
        /// Deprecated: variables.
        pub vars: Vec<Var> = "vars",
        /// The order of the output.
        pub sort_options: Option<SortOptions> = "sortOptions",
        /// Files, directories and URLs with objects.
        pub resources: Vec<String> = "resources",
        /// Directories and URLs with components.
        pub components: Vec<String> = "components",
        /// Files that say which fields of custom resources are names or labels.
        pub crds: Vec<String> = "crds",
        /// Deprecated: further resources.
        pub bases: Vec<String> = "bases",
        /// ConfigMaps to generate.
        pub config_map_generator: Vec<ConfigMapArgs> = "configMapGenerator",
        /// Secrets to generate.
        pub secret_generator: Vec<SecretArgs> = "secretGenerator",
        /// What all charts have in common.
        pub helm_globals: Option<HelmGlobals> = "helmGlobals",
        /// Charts to render.
        pub helm_charts: Vec<HelmChart> = "helmCharts",
        /// Deprecated: further charts.
        pub helm_chart_inflation_generator: Vec<HelmChartArgs> = "helmChartInflationGenerator",
        /// What all generated objects have in common.
        pub generator_options: Option<GeneratorOptions> = "generatorOptions",
        /// Files with fields for the transformers.
        pub configurations: Vec<String> = "configurations",
        /// Plugins that generate.
        pub generators: Vec<String> = "generators",
        /// Plugins that transform.
        pub transformers: Vec<String> = "transformers",
        /// Plugins that look on.
        pub validators: Vec<String> = "validators",
        /// What is noted on the objects about the build.
        pub build_metadata: Vec<String> = "buildMetadata",
    }
}

/// A kustomization file as it was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) kustomization: Kustomization,
    /// Notes on deprecated fields.
    pub(crate) warnings: Vec<String>,
}

/// Decodes a file, fills in defaults and checks.
pub(crate) fn load(content: &[u8], file: &str, dir: &str) -> Result<Loaded> {
    let place = || Location {
        file: file.into(),
        ..Location::default()
    };
    let node = read(content).map_err(|error| error.at(Some(place())))?;
    let mut kustomization = decode(&node, file, &At::strict())?;
    let warnings = kustomization.deprecations(Some(&node));
    kustomization.modernize();
    if kustomization.is_empty() && !states_an_empty_field(&node) {
        return Err(Error::from(ErrorKind::EmptyKustomization).at(Some(place())));
    }
    kustomization
        .check_type(dir)
        .map_err(|error| error.at(Some(place())))?;
    Ok(Loaded {
        kustomization,
        warnings,
    })
}

fn read(content: &[u8]) -> Result<Node> {
    crate::read::configuration(content)
        .map_err(|error| ErrorKind::InvalidKustomization(error.to_string()).into())
}

fn decode(node: &Node, file: &str, at: &At<'_>) -> Result<Kustomization> {
    if node.is_null() {
        return Ok(Kustomization::default());
    }
    Kustomization::decode(node, at).map_err(|mismatch| {
        let place = Location {
            file: file.into(),
            document: 0,
            line: mismatch.line,
        };
        Error::from(ErrorKind::InvalidKustomization(mismatch.text)).at(Some(place))
    })
}

/// An empty list or map is enough for a file not to count as empty, except in fields that are moved.
fn states_an_empty_field(node: &Node) -> bool {
    let moved = [
        "bases",
        "imagetags",
        "helmchartinflationgenerator",
        "kind",
        "apiversion",
    ];
    node.entries().iter().any(|entry| {
        let key = entry.name().unwrap_or_default().to_ascii_lowercase();
        !entry.value.is_scalar() && !moved.contains(&key.as_str())
    })
}

impl Kustomization {
    /// Reads one from the text of a file, without defaults and checks.
    ///
    /// ```
    /// let file = ferro_kustomize::Kustomization::from_yaml("namePrefix: dev-\nresources: [app.yaml]\n")?;
    /// assert_eq!(file.name_prefix, "dev-");
    /// # Ok::<(), ferro_kustomize::Error>(())
    /// ```
    pub fn from_yaml(text: &str) -> Result<Self> {
        decode(&read(text.as_bytes())?, "kustomization.yaml", &At::strict())
    }

    /// Reads the text of a file and passes over fields that are not known.
    pub(crate) fn decode_leniently(text: &[u8], file: &str) -> Result<Self> {
        decode(&read(text)?, file, &At::lenient())
    }

    pub(crate) fn is_component(&self) -> bool {
        self.kind == COMPONENT
    }

    /// Names the deprecated fields in use. An empty list or map in the file is one too.
    pub(crate) fn deprecations(&self, source: Option<&Node>) -> Vec<String> {
        let stated = |key: &str| {
            source
                .and_then(|node| node.get(key))
                .is_some_and(|value| !value.is_null())
        };
        [
            ("bases", "resources", "", !self.bases.is_empty()),
            ("commonLabels", "labels", "", !self.common_labels.is_empty()),
            ("imageTags", "images", "", !self.image_tags.is_empty()),
            ("patchesJson6902", "patches", "", !self.patches_json6902.is_empty()),
            ("patchesStrategicMerge", "patches", "", !self.patches_strategic_merge.is_empty()),
            ("vars", "replacements", "[EXPERIMENTAL] ", !self.vars.is_empty()),
        ]
        .into_iter()
        .filter(|(field, .., is_used)| *is_used || stated(field))
        .map(|(field, new, note, _)| {
            format!(
                "# Warning: '{field}' is deprecated. Please use '{new}' instead. {note}Run 'kustomize edit fix' to \
                 update your Kustomization automatically."
            )
        })
        .collect()
    }

    /// Fills in the type and moves what deprecated fields hold to where it belongs.
    pub(crate) fn modernize(&mut self) {
        if self.kind.is_empty() {
            self.kind = KUSTOMIZATION.to_owned();
        }
        if self.api_version.is_empty() {
            self.api_version = self.required_version().to_owned();
        }
        self.resources.append(&mut self.bases);
        self.images.append(&mut self.image_tags);
        let config_maps = self
            .config_map_generator
            .iter_mut()
            .map(|args| (&mut args.env, &mut args.envs));
        let secrets = self
            .secret_generator
            .iter_mut()
            .map(|args| (&mut args.env, &mut args.envs));
        for (env, envs) in config_maps.chain(secrets).filter(|(env, _)| !env.is_empty()) {
            envs.push(std::mem::take(env));
        }
        let old_charts = std::mem::take(&mut self.helm_chart_inflation_generator);
        let mut globals = HelmGlobals::default();
        for chart in old_charts {
            if !chart.chart_home.is_empty() {
                globals.chart_home.clone_from(&chart.chart_home);
            }
            if !chart.helm_home.is_empty() {
                globals.config_home.clone_from(&chart.helm_home);
            }
            self.helm_charts.push(chart.into_chart());
        }
        if self.helm_globals.is_none() && globals != HelmGlobals::default() {
            self.helm_globals = Some(globals);
        }
    }

    fn required_version(&self) -> &'static str {
        if self.kind == COMPONENT {
            COMPONENT_VERSION
        } else {
            KUSTOMIZATION_VERSION
        }
    }

    /// Tells whether nothing but the type is set.
    pub(crate) fn is_empty(&self) -> bool {
        let nothing = Self {
            kind: self.kind.clone(),
            api_version: self.api_version.clone(),
            ..Self::default()
        };
        *self == nothing
    }

    pub(crate) fn check_type(&self, dir: &str) -> Result<()> {
        let mut problems = Vec::new();
        if self.kind != KUSTOMIZATION && self.kind != COMPONENT {
            problems.push("kind should be Kustomization or Component".to_owned());
        }
        let version = self.required_version();
        if self.api_version != version {
            problems.push(format!("apiVersion for {} should be {version}", self.kind));
        }
        if problems.is_empty() {
            return Ok(());
        }
        fail!(
            "Failed to read kustomization file under {dir}:\n{}",
            problems.join("\n")
        );
    }
}
