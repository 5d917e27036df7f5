//! From files to a chart.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::metadata::{InvalidMetadata, Lock, read_api_version};
use super::{Chart, File, archive, ignore};
use crate::Notice;
use crate::values;

/// How deeply charts may be nested; upstream follows them as far as memory lasts.
const MAX_DEPTH: usize = 100;

/// Why a chart cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive is refused.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// The archive is none.
    #[error("stream does not appear to be a valid chart file (details: {0})")]
    NotAnArchive(#[source] archive::Error),
    /// The archive is damaged or dangerous.
    #[error("unable to load chart archive: {0}")]
    Unpack(#[source] archive::Error),
    /// There is no `Chart.yaml` to tell the format.
    #[error("unable to detect chart version, no Chart.yaml found")]
    UnknownVersion,
    /// The chart is of a format that nobody knows.
    #[error("unsupported chart version")]
    UnsupportedVersion,
    /// The chart is of a format that is not finished yet.
    #[error("invalid chart apiVersion")]
    ApiVersion3,
    /// There is no `Chart.yaml`.
    #[error("Chart.yaml file is missing")]
    MissingChartYaml,
    /// A file of the chart cannot be read.
    #[error("cannot load {file}: {problem}")]
    File {
        /// Its name.
        file: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The metadata are not valid.
    #[error(transparent)]
    Invalid(#[from] InvalidMetadata),
    /// A subchart cannot be loaded.
    #[error("error unpacking subchart {name} in {parent}: {source}")]
    Subchart {
        /// The folder or archive.
        name: String,
        /// The chart that it is in.
        parent: String,
        /// What is wrong with it.
        source: Box<Self>,
    },
    /// An archive of a subchart is not directly in `charts/`.
    #[error("error unpacking subchart tar in {parent}: expected {expected}, got {found}")]
    MisplacedSubchart {
        /// The chart that it is in.
        parent: String,
        /// Where it should be.
        expected: String,
        /// Where it is.
        found: String,
    },
    /// Charts in charts in charts.
    #[error("subcharts are nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// `.helmignore` cannot be read.
    #[error(transparent)]
    Ignore(#[from] ignore::Error),
    /// A folder holds something that is not a file.
    #[error("cannot load irregular file {0} as it has file mode type bits set")]
    Irregular(String),
    /// A file in a folder is too large.
    #[error("chart file {} is larger than the maximum file size {}", ferro_gocompat::quote::quote(.0), archive::MAX_FILE_SIZE)]
    FileTooLarge(String),
    /// All files of a folder together are too large.
    #[error(
        "chart directory holds more than {} files or {} bytes",
        archive::MAX_ENTRIES,
        archive::MAX_CHART_SIZE
    )]
    DirectoryTooLarge,
    /// A folder or file cannot be read.
    #[error("error reading {path}: {source}")]
    Read {
        /// Which one.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// A chart, and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The chart.
    pub chart: Arc<Chart>,
    /// Warnings.
    pub notices: Vec<Notice>,
}

/// Loads a chart from a `.tgz` archive.
pub fn load_archive(archive: &[u8]) -> Result<Loaded, Error> {
    let files = archive::read(archive).map_err(|error| match error {
        archive::Error::NotGzip => Error::NotAnArchive(error),
        error => Error::Unpack(error),
    })?;
    load_versioned(files)
}

/// Loads a chart from its files, of a format that its `Chart.yaml` names and that is supported.
pub fn load_versioned(files: Vec<File>) -> Result<Loaded, Error> {
    let chart_yaml = files.iter().find(|file| file.name == "Chart.yaml");
    let chart_yaml = chart_yaml.ok_or(Error::UnknownVersion)?;
    let version = read_api_version(&chart_yaml.data).map_err(cannot_load("Chart.yaml"))?;
    match version.as_str() {
        "" | "v1" | "v2" => load_files(files),
        // Upstream can read its next format, and then refuses to install it.
        "v3" => Err(Error::ApiVersion3),
        _ => Err(Error::UnsupportedVersion),
    }
}

/// Loads a chart from its files; their names are relative to the chart.
///
/// ```
/// use ferro_helm::chart::{File, load_files};
///
/// let files = vec![
///     File::new("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n"),
///     File::new("values.yaml", "replicas: 2\n"),
/// ];
/// assert_eq!(load_files(files)?.chart.name(), "app");
/// # Ok::<(), ferro_helm::chart::Error>(())
/// ```
pub fn load_files(files: Vec<File>) -> Result<Loaded, Error> {
    let mut notices = Vec::new();
    let chart = load(files, 0, &mut notices)?;
    Ok(Loaded {
        chart: Arc::new(chart),
        notices,
    })
}

fn load(files: Vec<File>, depth: usize, notices: &mut Vec<Notice>) -> Result<Chart, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep);
    }
    let mut loader = Loader::default();
    loader.chart_yaml(&files)?;
    for file in &files {
        loader.file(file, notices)?;
    }
    let mut chart = loader.chart;
    if !loader.has_metadata {
        return Err(Error::MissingChartYaml);
    }
    chart.metadata.validate()?;
    chart.raw = files;
    for (name, files) in loader.subcharts {
        if let Some(subchart) = load_subchart(&chart, &name, files, depth, notices)? {
            chart.dependencies.push(Arc::new(subchart));
        }
    }
    Ok(chart)
}

#[derive(Default)]
struct Loader {
    chart: Chart,
    has_metadata: bool,
    /// The files below `charts/` by their first component.
    subcharts: BTreeMap<String, Vec<File>>,
}

impl Loader {
    fn chart_yaml(&mut self, files: &[File]) -> Result<(), Error> {
        for file in files.iter().filter(|file| file.name == "Chart.yaml") {
            self.has_metadata = true;
            let metadata = &mut self.chart.metadata;
            metadata.read(&file.data).map_err(cannot_load("Chart.yaml"))?;
            if metadata.api_version.is_empty() {
                "v1".clone_into(&mut metadata.api_version);
            }
        }
        Ok(())
    }

    fn file(&mut self, file: &File, notices: &mut Vec<Notice>) -> Result<(), Error> {
        match file.name.as_str() {
            "Chart.yaml" => {}
            "Chart.lock" => {
                self.chart.lock = Lock::read(&file.data).map_err(cannot_load("Chart.lock"))?;
            }
            "values.yaml" => {
                let values = values::read(&file.data).map_err(|error| error.to_string());
                self.chart.values = values.map_err(cannot_load("values.yaml"))?;
            }
            "values.schema.json" => self.chart.schema = Some(Arc::clone(&file.data)),
            "requirements.yaml" => self.requirements(file, notices)?,
            "requirements.lock" => self.requirements_lock(file, notices)?,
            name if name.starts_with("templates/") => self.chart.templates.push(file.clone()),
            name => match name.strip_prefix("charts/") {
                Some(_) if extension(name) == ".prov" => self.chart.files.push(file.clone()),
                Some(inner) => self.subchart_file(inner, file),
                None => self.chart.files.push(file.clone()),
            },
        }
        Ok(())
    }

    fn requirements(&mut self, file: &File, notices: &mut Vec<Notice>) -> Result<(), Error> {
        self.has_metadata = true;
        if !self.is_v1() {
            notices.push(Notice::info(
                "Warning: Dependencies are handled in Chart.yaml since apiVersion \"v2\". We recommend \
                 migrating dependencies to Chart.yaml.",
            ));
        }
        let metadata = &mut self.chart.metadata;
        metadata
            .read(&file.data)
            .map_err(cannot_load("requirements.yaml"))?;
        if self.is_v1() {
            self.chart.files.push(file.clone());
        }
        Ok(())
    }

    fn requirements_lock(&mut self, file: &File, notices: &mut Vec<Notice>) -> Result<(), Error> {
        self.has_metadata = true;
        self.chart.lock = Lock::read(&file.data).map_err(cannot_load("requirements.lock"))?;
        if self.is_v1() {
            self.chart.files.push(file.clone());
        } else {
            notices.push(Notice::info(
                "Warning: Dependency locking is handled in Chart.lock since apiVersion \"v2\". We recommend \
                 migrating to Chart.lock.",
            ));
        }
        Ok(())
    }

    fn is_v1(&self) -> bool {
        self.chart.metadata.api_version == "v1"
    }

    fn subchart_file(&mut self, inner: &str, file: &File) {
        let top = inner.split('/').next().unwrap_or(inner);
        let file = File {
            name: inner.to_owned(),
            data: Arc::clone(&file.data),
        };
        self.subcharts.entry(top.to_owned()).or_default().push(file);
    }
}

fn load_subchart(
    parent: &Chart,
    name: &str,
    files: Vec<File>,
    depth: usize,
    notices: &mut Vec<Notice>,
) -> Result<Option<Chart>, Error> {
    if name.starts_with(['_', '.']) {
        return Ok(None);
    }
    let loaded = if extension(name) == ".tgz" {
        let Some(file) = files.first() else {
            return Ok(None);
        };
        if file.name != name {
            return Err(Error::MisplacedSubchart {
                parent: parent.name().to_owned(),
                expected: name.to_owned(),
                found: file.name.clone(),
            });
        }
        archive::read(&file.data)
            .map_err(Error::Archive)
            .and_then(|files| load(files, depth + 1, notices))
    } else {
        let inner = files.into_iter().filter_map(without_first_component).collect();
        load(inner, depth + 1, notices)
    };
    loaded.map(Some).map_err(|source| Error::Subchart {
        name: name.to_owned(),
        parent: parent.name().to_owned(),
        source: Box::new(source),
    })
}

fn without_first_component(file: File) -> Option<File> {
    let (_, name) = file.name.split_once('/')?;
    Some(File {
        name: name.to_owned(),
        data: file.data,
    })
}

fn cannot_load(file: &'static str) -> impl Fn(String) -> Error {
    move |problem| Error::File { file, problem }
}

/// The last dot of the last component and what follows it, as Go's `filepath.Ext`.
fn extension(name: &str) -> &str {
    let base = name.rsplit('/').next().unwrap_or(name);
    base.rfind('.')
        .and_then(|dot| base.get(dot..))
        .unwrap_or_default()
}
