//! Charts of `helmCharts`: what they are rendered with, by whoever can.
//!
//! The engine knows which chart is meant, where it lies and which values it gets; rendering is another engine's work,
//! behind [`ChartEngine`].

use std::error::Error as StdError;
use std::sync::Arc;

use ferro_gocompat::float::{Width, append};
use ferro_yaml::{Dialect, EmitOptions, Node, ParseOptions, Tag, Value, parse_first, to_string};

use crate::error::{Context, Error, Result, fail};
use crate::files::Files;
use crate::loader::Loader;
use crate::options::Quirks;
use crate::path;
use crate::remote::Checkout;
use crate::resmap::ResMap;
use crate::resource::Resource;
use crate::schema::Schema;
use crate::types::{HelmChart, HelmGlobals};

#[cfg(feature = "helm")]
mod native;

#[cfg(feature = "helm")]
pub use native::HelmEngine;

/// What is wrong when the output of a chart is YAML, but no list of objects.
const UNREADABLE: &str = "could not parse rnode slice into resource map";
/// Where charts are when nothing else is said.
const DEFAULT_HOME: &str = "charts";

/// What becomes of `helmCharts` and of the chart generator among the plugins.
#[derive(Clone, Copy, Default)]
pub enum Charts<'a> {
    /// They fail the build, as they do in kustomize without `--enable-helm`, and in Flux.
    #[default]
    Refused,
    /// They are rendered.
    RenderedBy(&'a dyn ChartEngine),
}

/// Why a chart could not be fetched or rendered. The text says all; the cause is for those who look at types.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub struct ChartError {
    text: String,
    #[source]
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

impl ChartError {
    /// Makes an error of a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            cause: None,
        }
    }

    /// Makes an error of a text and what it speaks of.
    pub fn caused_by(text: impl Into<String>, cause: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            text: text.into(),
            cause: Some(Arc::new(cause)),
        }
    }
}

/// A chart that is not in the chart home.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ChartSource<'a> {
    /// The chart's name.
    pub name: &'a str,
    /// The version, or a range of versions; blank for the latest.
    pub version: &'a str,
    /// The repository: a URL over HTTP, or `oci://…` without the chart's name.
    pub repo: &'a str,
    /// Whether development versions count.
    pub devel: bool,
}

/// A chart and what it is rendered with, as `helm template` takes it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct ChartRelease<'a> {
    /// The tree in which the chart lies.
    pub files: &'a dyn Files,
    /// The chart's directory.
    pub dir: &'a str,
    /// What the kustomization says about the chart.
    pub chart: &'a HelmChart,
    /// Where Helm keeps its configuration; blank for a place of its own.
    pub config_home: &'a str,
    /// The texts of the values files; what a later one says goes before what an earlier one says.
    pub values: &'a [Vec<u8>],
}

/// Fetches and renders charts.
///
/// ```
/// use ferro_kustomize::{ChartEngine, ChartError, ChartRelease, ChartSource, Charts, Checkout, MemoryFiles, Options, build};
///
/// struct Echo;
///
/// impl ChartEngine for Echo {
///     fn pull(&self, source: &ChartSource<'_>) -> Result<Checkout, ChartError> {
///         Err(ChartError::new(format!("{} is not to be had", source.name)))
///     }
///
///     fn template(&self, release: &ChartRelease<'_>) -> Result<String, ChartError> {
///         let name = &release.chart.release_name;
///         Ok(format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n"))
///     }
/// }
///
/// let files = MemoryFiles::from([
///     ("/app/kustomization.yaml", "helmCharts: [{name: web, releaseName: shop}]\nnamePrefix: dev-\n"),
///     ("/app/charts/web/values.yaml", "{}"),
/// ]);
/// let options = Options { charts: Charts::RenderedBy(&Echo), ..Options::default() };
/// assert!(build(&files, "/app", &options)?.to_yaml()?.contains("name: dev-shop"));
/// # Ok::<(), ferro_kustomize::Error>(())
/// ```
pub trait ChartEngine: Send + Sync {
    /// Fetches a chart; the root of what it returns is the chart's directory.
    fn pull(&self, source: &ChartSource<'_>) -> Result<Checkout, ChartError>;
    /// Renders a chart to the text of its manifests.
    fn template(&self, release: &ChartRelease<'_>) -> Result<String, ChartError>;
}

/// Says that charts are allowed and nobody is there to render them.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoChartEngine;

impl ChartEngine for NoChartEngine {
    fn pull(&self, source: &ChartSource<'_>) -> Result<Checkout, ChartError> {
        Err(ChartError::new(format!(
            "chart '{}' cannot be fetched from '{}': this program has no chart engine",
            source.name, source.repo
        )))
    }

    fn template(&self, release: &ChartRelease<'_>) -> Result<String, ChartError> {
        Err(ChartError::new(format!(
            "chart '{}' cannot be rendered: this program has no chart engine",
            release.chart.name
        )))
    }
}

/// How values that are written in the kustomization and those of a file go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValuesMerge {
    /// Those of the kustomization go first.
    Override,
    /// Those of the file go first.
    Merge,
    /// Those of the file are not looked at.
    Replace,
}

/// A configured chart.
pub(crate) struct ChartGenerator<'a> {
    engine: &'a dyn ChartEngine,
    chart: HelmChart,
    config_home: String,
    /// The chart's directory, if it is there already.
    dir: String,
    merge: ValuesMerge,
    additional: Vec<Vec<u8>>,
}

impl<'a> ChartGenerator<'a> {
    pub(crate) fn configure(
        charts: Charts<'a>,
        chart: HelmChart,
        globals: HelmGlobals,
        loader: &Loader<'_>,
    ) -> Result<Self> {
        let Charts::RenderedBy(engine) = charts else {
            fail!("must specify --enable-helm");
        };
        if chart.name.is_empty() {
            fail!("chart name cannot be empty");
        }
        let mut additional = Vec::new();
        for file in &chart.additional_values_files {
            let content = loader
                .load(file)
                .during(|| "could not load additionalValuesFile".to_owned())?;
            additional.push(content.into_owned());
        }
        let merge = match chart.values_merge.as_str() {
            "" | "override" => ValuesMerge::Override,
            "merge" => ValuesMerge::Merge,
            "replace" => ValuesMerge::Replace,
            _ => fail!("valuesMerge must be one of [merge override replace]"),
        };
        let home = if globals.chart_home.is_empty() {
            DEFAULT_HOME
        } else {
            &globals.chart_home
        };
        let mut dir = if home.starts_with('/') {
            home.to_owned()
        } else {
            path::join(loader.root(), home)
        };
        if !chart.version.is_empty() && !chart.repo.is_empty() {
            dir = path::join(&dir, &format!("{}-{}", chart.name, chart.version));
        }
        Ok(Self {
            engine,
            dir: path::join(&dir, &chart.name),
            chart,
            config_home: globals.config_home,
            merge,
            additional,
        })
    }

    pub(crate) fn generate(&self, loader: &Loader<'_>, quirks: Quirks) -> Result<Vec<Resource>> {
        let is_local = loader.files().resolve(&self.dir).is_ok_and(|found| found.is_dir);
        let pulled = if is_local { None } else { Some(self.pull()?) };
        let (files, dir) = match &pulled {
            Some(pulled) => (&*pulled.files, pulled.root.as_str()),
            None => (loader.files(), self.dir.as_str()),
        };
        let mut values = vec![self.values(loader, pulled.as_ref(), quirks)?];
        values.extend(self.additional.iter().cloned());
        let release = ChartRelease {
            files,
            dir,
            chart: &self.chart,
            config_home: &self.config_home,
            values: &values,
        };
        let text = self
            .engine
            .template(&release)
            .during(|| format!("unable to render chart '{}'", self.chart.name))?;
        let resources = crate::read::resources(text.as_bytes(), None).map_err(|error| {
            // Upstream tries again in another way, which fails as well.
            let words = if error.is_malformed_yaml() {
                "error reading helm output"
            } else {
                UNREADABLE
            };
            error.during(words)
        })?;
        let mut distinct = ResMap::default();
        for mut resource in resources {
            resource.record.is_helm_generated = true;
            distinct
                .append(resource, &Schema::default())
                .during(|| UNREADABLE.to_owned())?;
        }
        Ok(distinct.into_list())
    }

    fn pull(&self) -> Result<Checkout> {
        if self.chart.repo.is_empty() {
            // What upstream names here is blank, for the chart is not there.
            fail!("no repo specified for pull, no chart found at ''");
        }
        let source = ChartSource {
            name: &self.chart.name,
            version: &self.chart.version,
            repo: &self.chart.repo,
            devel: self.chart.devel,
        };
        Ok(self.engine.pull(&source)?)
    }

    /// The values file, with what the kustomization adds to it.
    fn values(&self, loader: &Loader<'_>, pulled: Option<&Checkout>, quirks: Quirks) -> Result<Vec<u8>> {
        let inline = self
            .chart
            .values_inline
            .as_ref()
            .filter(|inline| !inline.entries().is_empty())
            .map(settled);
        if let (Some(inline), ValuesMerge::Replace) = (&inline, self.merge) {
            return written(inline);
        }
        let file = match (self.chart.values_file.as_str(), pulled) {
            ("", Some(Checkout { files, root })) => read(files, &path::join(root, "values.yaml"))?,
            ("", None) => loader.load(&path::join(&self.dir, "values.yaml"))?.into_owned(),
            (file, _) => loader.load(file)?.into_owned(),
        };
        let Some(inline) = inline else { return Ok(file) };
        let file =
            parse_values(&file, quirks).during(|| "could not parse values file into rnode".to_owned())?;
        let (dest, patch) = match self.merge {
            ValuesMerge::Merge => (inline, &file),
            _ => (file, &inline),
        };
        let merged = crate::patch::smp::merge(dest, patch, &Schema::default(), quirks)
            .during(|| "could not merge values".to_owned())?;
        written(&merged.unwrap_or_else(crate::scalar::empty_mapping))
    }
}

fn parse_values(file: &[u8], quirks: Quirks) -> Result<Node> {
    let text = String::from_utf8_lossy(file);
    let found = parse_first(text.as_ref(), &ParseOptions::default())
        .map_err(|error| Error::other(error.to_string()))?;
    let root = found.map(|document| document.root);
    match (root, quirks) {
        (Some(root), _) => Ok(root),
        // Charts without values have such files.
        (None, Quirks::Fixed) => Ok(crate::scalar::empty_mapping()),
        (None, Quirks::Upstream) => fail!("EOF"),
    }
}

fn written(values: &Node) -> Result<Vec<u8>> {
    let text = to_string(values, &EmitOptions::sigs()).map_err(|error| Error::other(error.to_string()))?;
    Ok(text.into_bytes())
}

/// Values as they are once they were JSON: keys are texts, and what YAML 1.1 calls numbers and truths is in its common
/// form.
fn settled(node: &Node) -> Node {
    if let Some(sequence) = node.as_sequence() {
        return Node::sequence(sequence.iter().map(settled).collect::<Vec<_>>());
    }
    if node.is_mapping() {
        let mut mapping = crate::scalar::empty_mapping();
        for entry in node.entries() {
            let key = settled(&entry.key);
            mapping.set(key.text().unwrap_or_default().to_owned(), settled(&entry.value));
        }
        return mapping;
    }
    let text = node.text().unwrap_or_default();
    match (node.tag(), Dialect::V2.resolve(text)) {
        (Tag::Null, _) => Node::null(),
        (Tag::Bool, Value::Bool(value)) => Node::bool(value),
        (Tag::Int | Tag::Float, Value::Int(value)) => Node::int(value),
        (Tag::Int | Tag::Float, Value::Uint(value)) => Node::scalar(value.to_string(), Tag::Int),
        (Tag::Int | Tag::Float, Value::Float(value)) => {
            let mut shortest = String::new();
            append(&mut shortest, value, b'g', None, Width::Double);
            Node::scalar(shortest, Tag::Float)
        }
        _ => Node::string(text),
    }
}

fn read(files: &Arc<dyn Files>, file: &str) -> Result<Vec<u8>> {
    let found = files.resolve(file)?;
    Ok(files.read(&found.path)?.into_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use crate::{Charts, MemoryFiles, Options, build};

    use super::*;

    /// Notes what it is asked for.
    #[derive(Default)]
    struct Recorder(Mutex<Vec<String>>);

    impl ChartEngine for Recorder {
        fn pull(&self, source: &ChartSource<'_>) -> Result<Checkout, ChartError> {
            self.0
                .lock()
                .unwrap()
                .push(format!("pull {} {} {}", source.repo, source.name, source.version));
            Ok(Checkout {
                files: Arc::new(MemoryFiles::from([("/x/values.yaml", "a: 1\nb: {c: 2}\n")])),
                root: "/x".to_owned(),
            })
        }

        fn template(&self, release: &ChartRelease<'_>) -> Result<String, ChartError> {
            let values: Vec<_> = release
                .values
                .iter()
                .map(|text| String::from_utf8_lossy(text).into_owned())
                .collect();
            let line = format!(
                "template {} {} {}",
                release.dir,
                release.chart.namespace,
                values.join("|")
            );
            self.0.lock().unwrap().push(line);
            Ok("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: own}\n".to_owned())
        }
    }

    fn built(kustomization: &str) -> (Result<String>, Vec<String>) {
        let files = MemoryFiles::from([
            ("/app/kustomization.yaml", kustomization),
            ("/app/charts/web/values.yaml", "a: 1\nb: {c: 2}\n"),
            ("/app/more.yaml", "d: 4\n"),
        ]);
        let recorder = Recorder::default();
        let options = Options {
            charts: Charts::RenderedBy(&recorder),
            ..Options::default()
        };
        let text = build(&files, "/app", &options).and_then(|resources| resources.to_yaml());
        (text, recorder.0.into_inner().unwrap())
    }

    #[test]
    fn charts_keep_their_namespaces_and_get_that_of_the_layer() {
        let (text, calls) =
            built("namespace: shop\nhelmCharts: [{name: web, additionalValuesFiles: [more.yaml]}]\n");
        let text = text.unwrap();
        assert!(
            !text.contains("shop") && text.contains("namespace: own"),
            "{text}"
        );
        assert_eq!(calls, ["template /app/charts/web shop a: 1\nb: {c: 2}\n|d: 4\n"]);
    }

    #[test]
    fn values_are_merged_as_asked() {
        for (merge, expected) in [
            ("override", "a: 9\nb:\n  c: 2\n  e: 5\n"),
            ("merge", "a: 1\nb:\n  c: 2\n  e: 5\n"),
            ("replace", "a: 9\nb:\n  e: 5\n"),
        ] {
            let chart = format!(
                "helmCharts: [{{name: web, valuesMerge: {merge}, valuesInline: {{a: 9, b: {{e: 5}}}}}}]\n"
            );
            assert_eq!(
                built(&chart).1,
                [format!("template /app/charts/web  {expected}")],
                "{merge}"
            );
        }
    }

    #[test]
    fn what_is_not_there_is_pulled() {
        let (text, calls) =
            built("helmCharts: [{name: web, repo: https://charts.example, version: 1.2.3}]\n");
        text.unwrap();
        assert_eq!(calls.first().unwrap(), "pull https://charts.example web 1.2.3");
        assert_eq!(calls.last().unwrap(), "template /x  a: 1\nb: {c: 2}\n");
    }

    #[test]
    fn problems_are_named() {
        let problem = |chart: &str| built(chart).0.unwrap_err().to_string();
        assert!(
            problem("helmCharts: [{name: none}]\n")
                .ends_with("no repo specified for pull, no chart found at ''")
        );
        assert!(problem("helmCharts: [{repo: x}]\n").ends_with("chart name cannot be empty"));
        assert!(
            problem("helmCharts: [{name: web, valuesMerge: x}]\n")
                .ends_with("valuesMerge must be one of [merge override replace]")
        );
        let files = MemoryFiles::from([
            ("/app/kustomization.yaml", "helmCharts: [{name: web}]\n"),
            ("/app/charts/web/values.yaml", ""),
        ]);
        let options = Options {
            charts: Charts::RenderedBy(&NoChartEngine),
            ..Options::default()
        };
        assert!(
            build(&files, "/app", &options)
                .unwrap_err()
                .to_string()
                .contains("no chart engine")
        );
        assert!(
            build(&files, "/app", &Options::default())
                .unwrap_err()
                .to_string()
                .ends_with("must specify --enable-helm")
        );
    }
}
