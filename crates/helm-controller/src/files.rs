//! Values from files of sources (`docs/values-files.md`). Artifacts are unpacked once for all releases that take values from them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use ferro_api::helm::HelmRelease;
use ferro_api::meta::Artifact;
use ferro_api::{condition, controller, group, reason};
use ferro_artifact::fetch::{Cache, CacheOptions, FetchError, Unpacked};
use ferro_release::files::{FileError, ValuesFile, files_of, read_blocking};
use ferro_runtime::backoff::jittered;
use ferro_runtime::conditions;
use ferro_runtime::process::chain;
use ferro_runtime::reconcile::{Outcome, Pass};
use ferro_runtime::sources::{SourceId, Standing};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use crate::conditions::overcome;
use crate::prepare::{NOT_FOUND_RETRY, failed, terminal, unless_interrupted};
use crate::reconciler::{HelmReconciler, Stop};

/// Bytes of unpacked artifacts that are kept for releases to come.
const KEPT: u64 = 256 << 20;

/// The unpacked artifacts. Their folder is made when the first one is asked for: most controllers never need it.
pub(crate) struct Artifacts {
    options: CacheOptions,
    cache: OnceCell<Cache>,
}

/// A file could not be had.
enum Missed {
    /// The source has nothing to use: its watch tells when it has.
    Unready(String),
    /// There is no such source or file.
    Absent(String),
    /// The server does not have the artifact (any more).
    Gone,
    /// Anything else.
    Broken(String),
}

impl Artifacts {
    /// In a folder, or where none is named in the system's for temporary files.
    pub(crate) fn new(path: &str, retries: u32) -> Self {
        let path = match path {
            "" => std::env::temp_dir().join(format!("{}-artifacts", controller::HELM)),
            path => PathBuf::from(path),
        };
        Self {
            options: CacheOptions {
                path,
                retries,
                max_bytes: KEPT,
                ..CacheOptions::default()
            },
            cache: OnceCell::new(),
        }
    }

    async fn get(&self, artifact: &Artifact) -> Result<Arc<Unpacked>, Missed> {
        let open = || async {
            let options = self.options.clone();
            let opened = tokio::task::spawn_blocking(move || Cache::new(options)).await;
            let opened = opened.map_err(|panic| panic.to_string())?;
            opened.map_err(|error| chain(&error))
        };
        let cache = self.cache.get_or_try_init(open).await.map_err(Missed::Broken)?;
        match cache.get(&artifact.url, &artifact.digest).await {
            Ok(unpacked) => Ok(unpacked),
            Err(FetchError::NotFound { .. }) => Err(Missed::Gone),
            Err(error) => Err(Missed::Broken(chain(&error))),
        }
    }

    /// The values in a file of a source as it stands.
    async fn read(
        &self,
        file: &ValuesFile,
        standing: Option<&Standing>,
    ) -> Result<Map<String, Value>, Missed> {
        let Some(standing) = standing else {
            let (plural, name) = (file.kind.plural, &file.source.name);
            return Err(Missed::Absent(format!(
                "{plural}.{} \"{name}\" not found",
                group::SOURCE
            )));
        };
        let artifact = match (&standing.unready, &standing.artifact) {
            (None, Some(artifact)) => artifact,
            (Some(why), _) => return Err(Missed::Unready(why.clone())),
            (None, None) => return Err(Missed::Unready("does not have an artifact".to_owned())),
        };
        let unpacked = self.get(artifact).await?;
        let path = file.path.clone();
        let read = tokio::task::spawn_blocking(move || read_blocking(unpacked.path(), &path)).await;
        match read.map_err(|panic| panic.to_string()).flatten() {
            Ok(Some(values)) => Ok(values),
            Ok(None) => Err(Missed::Absent("file not found".to_owned())),
            Err(problem) => Err(Missed::Broken(problem)),
        }
    }
}

impl HelmReconciler {
    /// The files that the release takes values from, if it may use their sources.
    pub(crate) fn named_files(&self, pass: &mut Pass<HelmRelease>) -> Result<Vec<ValuesFile>, Stop> {
        let files = files_of(&pass.object);
        let files = files.map_err(|error| terminal(pass, reason::INVALID_VALUES_FILES, error.to_string()))?;
        overcome(&mut pass.object, reason::INVALID_VALUES_FILES);
        for file in &files {
            self.may_use(pass, &file.source)?;
        }
        Ok(files)
    }

    /// The values in these files, in their order. All files of a source are of one revision.
    pub(crate) async fn read_files(
        &self,
        pass: &mut Pass<HelmRelease>,
        files: &[ValuesFile],
    ) -> Result<Vec<Map<String, Value>>, Stop> {
        let mut standings: HashMap<&SourceId, Option<Standing>> = HashMap::new();
        let mut read = Vec::new();
        for file in files {
            if !standings.contains_key(&file.source) {
                let standing = self.standing(pass, Some(file.kind), &file.source).await;
                standings.insert(&file.source, standing);
            }
            let standing = standings.get(&file.source).and_then(Option::as_ref);
            match unless_interrupted(pass, self.artifacts.read(file, standing)).await? {
                Ok(values) => read.push(values),
                Err(Missed::Absent(problem)) if file.is_optional => {
                    tracing::info!("{}", told(file, standing, problem));
                }
                Err(missed) => return Err(self.missed(pass, file, standing, missed)),
            }
        }
        Ok(read)
    }

    /// What becomes of a pass that cannot have a file. Its source is watched: when there is another revision, the next pass follows.
    fn missed(
        &self,
        pass: &mut Pass<HelmRelease>,
        file: &ValuesFile,
        standing: Option<&Standing>,
        missed: Missed,
    ) -> Stop {
        let mut waits = |problem: String, after| {
            let message = told(file, standing, problem).to_string();
            tracing::info!("{message}");
            conditions::mark_false(&mut pass.object, condition::READY, reason::VALUES_ERROR, &message);
            Stop(Outcome::Wait(after))
        };
        match missed {
            Missed::Unready(why) => waits(
                format!("the source is not ready: {why}"),
                jittered(self.pace.requeue_dependency, self.jitter),
            ),
            Missed::Gone => waits("artifact not found. Retrying in 30s".to_owned(), NOT_FOUND_RETRY),
            Missed::Absent(problem) | Missed::Broken(problem) => {
                // There is nothing to tell of a source that may be about to come.
                let is_known = standing.is_some();
                failed(
                    pass,
                    reason::VALUES_ERROR,
                    told(file, standing, problem).to_string(),
                    is_known,
                )
            }
        }
    }
}

fn told(file: &ValuesFile, standing: Option<&Standing>, problem: String) -> FileError {
    let artifact = standing.and_then(|standing| standing.artifact.as_deref());
    FileError {
        file: file.clone(),
        revision: artifact.map(|artifact| artifact.revision.clone()),
        problem,
    }
}
