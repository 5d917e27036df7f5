//! Arguments of generators.

use std::collections::BTreeMap;

use ferro_yaml::Node;

use super::decode::record;

record! {
    /// What generated objects have in common.
    pub struct GeneratorOptions {
        /// Labels.
        pub labels: BTreeMap<String, String> = "labels",
        /// Annotations.
        pub annotations: BTreeMap<String, String> = "annotations",
        /// Whether the name gets no hash.
        pub disable_name_suffix_hash: bool = "disableNameSuffixHash",
        /// Whether the object is immutable.
        pub immutable: bool = "immutable",
    }
}

impl GeneratorOptions {
    /// Adds what `global` says and these options do not.
    pub(crate) fn merged(local: Option<&Self>, global: Option<&Self>) -> Option<Self> {
        let (Some(local), Some(global)) = (local, global) else {
            return local.or(global).cloned();
        };
        let mut merged = local.clone();
        merged.disable_name_suffix_hash |= global.disable_name_suffix_hash;
        merged.immutable |= global.immutable;
        for (key, value) in &global.labels {
            merged.labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
        for (key, value) in &global.annotations {
            merged
                .annotations
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
        Some(merged)
    }
}

record! {
    /// A ConfigMap to generate.
    pub struct ConfigMapArgs {
        /// The namespace.
        pub namespace: String = "namespace" in "GeneratorArgs",
        /// The name, before any hash.
        pub name: String = "name" in "GeneratorArgs",
        /// `create`, `merge` or `replace`.
        pub behavior: String = "behavior" in "GeneratorArgs",
        /// `key=value` pairs.
        pub literals: Vec<String> = "literals" in "GeneratorArgs.KvPairSources",
        /// Files, as `path` or `key=path`.
        pub files: Vec<String> = "files" in "GeneratorArgs.KvPairSources",
        /// Files of `key=value` lines.
        pub envs: Vec<String> = "envs" in "GeneratorArgs.KvPairSources",
        /// One more of those.
        pub env: String = "env" in "GeneratorArgs.KvPairSources",
        /// What differs from the common options.
        pub options: Option<GeneratorOptions> = "options" in "GeneratorArgs",
    }
}

record! {
    /// A Secret to generate.
    pub struct SecretArgs {
        /// The namespace.
        pub namespace: String = "namespace" in "GeneratorArgs",
        /// The name, before any hash.
        pub name: String = "name" in "GeneratorArgs",
        /// `create`, `merge` or `replace`.
        pub behavior: String = "behavior" in "GeneratorArgs",
        /// `key=value` pairs.
        pub literals: Vec<String> = "literals" in "GeneratorArgs.KvPairSources",
        /// Files, as `path` or `key=path`.
        pub files: Vec<String> = "files" in "GeneratorArgs.KvPairSources",
        /// Files of `key=value` lines.
        pub envs: Vec<String> = "envs" in "GeneratorArgs.KvPairSources",
        /// One more of those.
        pub env: String = "env" in "GeneratorArgs.KvPairSources",
        /// What differs from the common options.
        pub options: Option<GeneratorOptions> = "options" in "GeneratorArgs",
        /// The Secret's type, `Opaque` without one.
        pub secret_type: String = "type",
    }
}

record! {
    /// What all charts have in common.
    pub struct HelmGlobals {
        /// Where charts are kept.
        pub chart_home: String = "chartHome",
        /// Where Helm keeps its configuration.
        pub config_home: String = "configHome",
    }
}

record! {
    /// A chart to render.
    pub struct HelmChart {
        /// The chart's name.
        pub name: String = "name",
        /// Its version.
        pub version: String = "version",
        /// The repository it is pulled from.
        pub repo: String = "repo",
        /// The release's name.
        pub release_name: String = "releaseName",
        /// The release's namespace.
        pub namespace: String = "namespace",
        /// Further values files.
        pub additional_values_files: Vec<String> = "additionalValuesFiles",
        /// The values file used instead of the chart's own.
        pub values_file: String = "valuesFile",
        /// Values written here.
        pub values_inline: Option<Node> = "valuesInline",
        /// How those are merged.
        pub values_merge: String = "valuesMerge",
        /// Whether CRDs are rendered.
        pub include_crds: bool = "includeCRDs",
        /// Whether hooks are left out.
        pub skip_hooks: bool = "skipHooks",
        /// API versions that the chart is to see.
        pub api_versions: Vec<String> = "apiVersions",
        /// The Kubernetes version that the chart is to see.
        pub kube_version: String = "kubeVersion",
        /// A template for the release's name.
        pub name_template: String = "nameTemplate",
        /// Whether tests are left out.
        pub skip_tests: bool = "skipTests",
        /// Whether Helm explains what it does.
        pub debug: bool = "debug",
        /// Whether development versions count.
        pub devel: bool = "devel",
    }
}

record! {
    /// A chart in the form of old kustomization files.
    pub struct HelmChartArgs {
        /// The chart's name.
        pub chart_name: String = "chartName",
        /// Its version.
        pub chart_version: String = "chartVersion",
        /// The repository's URL.
        pub chart_repo_url: String = "chartRepoUrl",
        /// Where charts are kept.
        pub chart_home: String = "chartHome",
        /// The repository's name.
        pub chart_repo_name: String = "chartRepoName",
        /// Unused.
        pub helm_bin: String = "helmBin",
        /// Where Helm keeps its configuration.
        pub helm_home: String = "helmHome",
        /// The values file.
        pub values: String = "values",
        /// Values written here.
        pub values_local: Option<Node> = "valuesLocal",
        /// How those are merged.
        pub values_merge: String = "valuesMerge",
        /// The release's name.
        pub release_name: String = "releaseName",
        /// The release's namespace.
        pub release_namespace: String = "releaseNamespace",
        /// Unused.
        pub extra_args: Vec<String> = "extraArgs",
    }
}

impl HelmChartArgs {
    /// Converts to the current form; upstream forgets the namespace.
    pub(crate) fn into_chart(self) -> HelmChart {
        HelmChart {
            name: self.chart_name,
            version: self.chart_version,
            repo: self.chart_repo_url,
            release_name: self.release_name,
            values_file: self.values,
            values_inline: self.values_local,
            values_merge: self.values_merge,
            ..HelmChart::default()
        }
    }
}
