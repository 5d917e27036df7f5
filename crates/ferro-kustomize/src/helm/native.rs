//! Charts rendered by `ferro-helm`.

use std::io;
use std::sync::Arc;

use ferro_helm::chart::{self, Chart, Directory, Entry, EntryKind};
use ferro_helm::release::{self, ReleaseOptions};
use ferro_helm::render::{Engine, Release, Renderer};
use ferro_helm::{Capabilities, KubeVersion, values};
use ferro_sprig::Environment;
use ferro_template::{Templates, Value};

use super::{ChartEngine, ChartError, ChartRelease, ChartSource};
use crate::files::Files;
use crate::path;
use crate::remote::Checkout;
use crate::types::HelmChart;

/// The release's name when a chart states none.
const DEFAULT_NAME: &str = "release-name";
/// The release's namespace when neither the chart nor its layers state one.
const DEFAULT_NAMESPACE: &str = "default";

type Fetch = dyn Fn(&ChartSource<'_>) -> Result<Checkout, ChartError> + Send + Sync;

/// Renders charts in this process, as `helm template` of Helm 4.2 does; no `helm` needs to be installed.
///
/// Charts are read from the tree that the build reads. One that is not in its chart home is asked of the
/// function given to [`Self::fetching_with`]; without one the build fails and says which chart is missing.
///
/// ```
/// use std::sync::Arc;
/// use ferro_kustomize::{Charts, HelmEngine, MemoryFiles, Options, build};
///
/// # struct Still;
/// # impl ferro_sprig::Environment for Still {
/// #     fn now(&self) -> ferro_gocompat::time::Time {
/// #         ferro_gocompat::time::Time::from_unix(0, 0)
/// #     }
/// #     fn fill_random(&self, bytes: &mut [u8]) {
/// #         bytes.fill(0);
/// #     }
/// # }
/// let files = MemoryFiles::from([
///     ("/app/kustomization.yaml", "helmCharts: [{name: web, releaseName: shop}]\nnamePrefix: dev-\n"),
///     ("/app/charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"),
///     ("/app/charts/web/values.yaml", "port: 80\n"),
///     ("/app/charts/web/templates/cm.yaml", concat!(
///         "apiVersion: v1\nkind: ConfigMap\n",
///         "metadata:\n  name: {{ .Release.Name }}\ndata:\n  port: {{ .Values.port | quote }}\n",
///     )),
/// ]);
/// // `Still` is an environment of ours: the time and the randomness that charts may ask for.
/// let engine = HelmEngine::new(Arc::new(Still));
/// let options = Options { charts: Charts::RenderedBy(&engine), ..Options::default() };
/// assert_eq!(
///     build(&files, "/app", &options)?.to_yaml()?,
///     "apiVersion: v1\ndata:\n  port: \"80\"\nkind: ConfigMap\nmetadata:\n  name: dev-shop\n",
/// );
/// # Ok::<(), ferro_kustomize::Error>(())
/// ```
pub struct HelmEngine {
    functions: Engine,
    environment: Arc<dyn Environment>,
    kube_version: String,
    api_versions: Vec<String>,
    fetch: Option<Box<Fetch>>,
}

impl HelmEngine {
    /// Takes the clock and the randomness that templates may ask for.
    pub fn new(environment: Arc<dyn Environment>) -> Self {
        Self {
            functions: Engine::new(Arc::clone(&environment)),
            environment,
            kube_version: String::new(),
            api_versions: Vec::new(),
            fetch: None,
        }
    }

    /// Says which version of Kubernetes charts see that state none, as `--helm-kube-version` does.
    #[must_use]
    pub fn with_kube_version(mut self, version: impl Into<String>) -> Self {
        self.kube_version = version.into();
        self
    }

    /// Says which further API versions charts see that state none, as `--helm-api-versions` does.
    #[must_use]
    pub fn with_api_versions(mut self, versions: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.api_versions = versions.into_iter().map(Into::into).collect();
        self
    }

    /// Says how charts are fetched that are not in the tree.
    #[must_use]
    pub fn fetching_with(
        mut self,
        fetch: impl Fn(&ChartSource<'_>) -> Result<Checkout, ChartError> + Send + Sync + 'static,
    ) -> Self {
        self.fetch = Some(Box::new(fetch));
        self
    }

    fn capabilities(&self, chart: &HelmChart) -> Result<Capabilities, ChartError> {
        let mut capabilities = Capabilities::default();
        let version = stated(&chart.kube_version, &self.kube_version);
        if !version.is_empty() {
            capabilities.kube_version = KubeVersion::parse(version)
                .map_err(|error| failure(format!("invalid kube version '{version}': {error}"), error))?;
        }
        let api_versions = if chart.api_versions.is_empty() {
            &self.api_versions
        } else {
            &chart.api_versions
        };
        // The flag of the helm program takes several at once.
        let api_versions = api_versions.iter().flat_map(|list| list.split(','));
        capabilities.api_versions.extend(api_versions.map(str::to_owned));
        Ok(capabilities)
    }

    fn release_name(&self, chart: &HelmChart) -> Result<String, ChartError> {
        match (chart.release_name.as_str(), chart.name_template.as_str()) {
            ("", "") => Ok(DEFAULT_NAME.to_owned()),
            (name, "") => Ok(name.to_owned()),
            ("", template) => self.execute(template),
            _ => Err(ChartError::new(
                "Error: cannot set --name-template and also specify a name",
            )),
        }
    }

    /// Executes the template of a release's name, which sees nothing but functions.
    fn execute(&self, template: &str) -> Result<String, ChartError> {
        const NAME: &str = "name-template";
        let functions = ferro_sprig::functions(Arc::clone(&self.environment));
        let mut templates = Templates::new(NAME, Arc::new(functions));
        let name = templates
            .parse(NAME, template)
            .and_then(|()| templates.execute(NAME, &Value::Nil, &()));
        let name = name.map_err(failure_of)?;
        Ok(name.to_str().into_owned())
    }
}

impl ChartEngine for HelmEngine {
    fn pull(&self, source: &ChartSource<'_>) -> Result<Checkout, ChartError> {
        let Some(fetch) = &self.fetch else {
            let version = if source.version.is_empty() {
                String::new()
            } else {
                format!(" {}", source.version)
            };
            return Err(ChartError::new(format!(
                "chart '{}{version}' is not in the chart home, and this program does not fetch charts; pull it from '{}' \
                 into the chart home first",
                source.name, source.repo
            )));
        };
        fetch(source)
    }

    fn template(&self, release: &ChartRelease<'_>) -> Result<String, ChartError> {
        let chart = release.chart;
        let capabilities = self.capabilities(chart)?;
        let name = self.release_name(chart)?;
        let values = merged_values(release.values)?;
        let loaded = load(release.files, release.dir)?;
        refuse_uninstallable(&loaded)?;
        let options = ReleaseOptions {
            release: Release {
                name,
                namespace: stated(&chart.namespace, DEFAULT_NAMESPACE).to_owned(),
                revision: 1,
                is_upgrade: false,
            },
            capabilities,
            lookup: None,
            skip_schema_validation: false,
            sub_notes: false,
        };
        let renderer = Renderer::new(self.functions.clone(), loaded);
        // Upstream keeps what helm says on standard error to itself unless helm fails.
        let mut rendered =
            release::render(&renderer, &values, &options, &mut Vec::new()).map_err(|error| {
                if error.has_release() {
                    let hint = "\n\nUse --debug flag to render out invalid YAML";
                    return failure(format!("{error}{hint}"), error);
                }
                failure_of(error)
            })?;
        if chart.skip_hooks {
            rendered.hooks.clear();
        }
        Ok(rendered.template_output(chart.include_crds, chart.skip_tests))
    }
}

fn stated<'t>(text: &'t str, otherwise: &'t str) -> &'t str {
    if text.is_empty() { otherwise } else { text }
}

/// The helm program prints its errors behind this word.
fn failure(
    text: impl std::fmt::Display,
    cause: impl std::error::Error + Send + Sync + 'static,
) -> ChartError {
    ChartError::caused_by(format!("Error: {text}"), cause)
}

fn failure_of(cause: impl std::error::Error + Send + Sync + 'static) -> ChartError {
    failure(cause.to_string(), cause)
}

fn merged_values(files: &[Vec<u8>]) -> Result<serde_json::Map<String, serde_json::Value>, ChartError> {
    let mut merged = serde_json::Map::new();
    for file in files {
        let read =
            values::read(file).map_err(|error| failure(format!("failed to parse values: {error}"), error))?;
        values::merge(&mut merged, read);
    }
    Ok(merged)
}

fn load(files: &dyn Files, dir: &str) -> Result<Arc<Chart>, ChartError> {
    let tree = Tree { files, root: dir };
    let chart_yaml = path::join(dir, "Chart.yaml");
    if let Err(error) = files.resolve(&chart_yaml) {
        let text =
            format!("unable to detect chart at {chart_yaml}: open {chart_yaml}: no such file or directory");
        return Err(failure(text, error));
    }
    let files = chart::read_directory(&tree).map_err(failure_of)?;
    Ok(chart::load_versioned(files).map_err(failure_of)?.chart)
}

/// Refuses libraries, and charts whose dependencies are not there.
fn refuse_uninstallable(chart: &Chart) -> Result<(), ChartError> {
    let kind = &chart.metadata.kind;
    if !kind.is_empty() && kind != "application" {
        return Err(ChartError::new(format!(
            "Error: {kind} charts are not installable"
        )));
    }
    let missing = chart.missing_dependencies();
    if missing.is_empty() {
        return Ok(());
    }
    Err(ChartError::new(format!(
        "Error: an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' to \
         fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: {}",
        missing.join(", ")
    )))
}

/// A folder of the build's tree as a chart's.
struct Tree<'f> {
    files: &'f dyn Files,
    root: &'f str,
}

impl Directory for Tree<'_> {
    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        let entries = self
            .files
            .list(&path::join(self.root, dir))
            .map_err(io::Error::other)?;
        let entry = |name: String| {
            let path = path::join(dir, &name);
            let found = self
                .files
                .resolve(&path::join(self.root, &path))
                .map_err(io::Error::other)?;
            let kind = if found.is_dir {
                EntryKind::Directory
            } else {
                EntryKind::File
            };
            Ok(Entry { name, kind })
        };
        entries.into_iter().map(|found| entry(found.name)).collect()
    }

    fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        let found = self
            .files
            .resolve(&path::join(self.root, file))
            .map_err(io::Error::other)?;
        let content = self.files.read(&found.path).map_err(io::Error::other)?;
        Ok(content.into_owned())
    }
}
