//! Files of sources that a release takes values from (`docs/values-files.md`).

use std::collections::HashMap;

use anyhow::{Context as _, Result, anyhow};
use ferro_api::helm::HelmRelease;
use ferro_artifact::fetch::{UnpackLimits, extract_blocking};
use ferro_release::files::{FileError, ValuesFile, files_of, read_blocking, shown};
use ferro_release::source::unready;
use ferro_runtime::sources::{Source, SourceId};
use kube::{Api, Client};
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::artifact;
use crate::cluster::explain;

/// An artifact as it was unpacked, and its revision.
type Unpacked = (TempDir, String);

/// The values in the files that a release names, in their order.
///
/// # Errors
///
/// Returns an error if one of them cannot be had, or if there is no cluster to have it from.
pub async fn read(release: &HelmRelease, client: Option<&Client>) -> Result<Vec<Map<String, Value>>> {
    let files = files_of(release)?;
    let (mut sources, mut all): (HashMap<SourceId, Option<Unpacked>>, _) = (HashMap::new(), Vec::new());
    for file in files {
        let Some(client) = client else {
            return Err(error(
                &file,
                None,
                "it comes from the cluster, which is not asked".to_owned(),
            ));
        };
        if !sources.contains_key(&file.source) {
            let unpacked = unpack(client, &file).await?;
            sources.insert(file.source.clone(), unpacked);
        }
        let found = match sources.get(&file.source).and_then(Option::as_ref) {
            None => Err((None, "there is no such source".to_owned())),
            Some((dir, revision)) => match read_blocking(dir.path(), &file.path) {
                Ok(Some(values)) => Ok(values),
                Ok(None) => Err((Some(revision), "file not found".to_owned())),
                Err(problem) => return Err(error(&file, Some(revision), problem)),
            },
        };
        match found {
            Ok(values) => all.push(values),
            Err(_) if file.is_optional => {}
            Err((revision, problem)) => return Err(error(&file, revision, problem)),
        }
    }
    Ok(all)
}

fn error(file: &ValuesFile, revision: Option<&String>, problem: String) -> anyhow::Error {
    anyhow!(FileError {
        file: file.clone(),
        revision: revision.cloned(),
        problem,
    })
}

/// Unpacks what the source of a file has; nothing if there is no such source.
async fn unpack(client: &Client, file: &ValuesFile) -> Result<Option<Unpacked>> {
    let (kind, id) = (file.kind, &file.source);
    let api: Api<Source> = Api::namespaced_with(client.clone(), &id.namespace, &kind.resource());
    let Some(source) = api.get_opt(&id.name).await.map_err(explain)? else {
        return Ok(None);
    };
    let refused = |problem: String| error(file, None, format!("the source is not ready: {problem}"));
    if let Some(problem) = unready(id.kind, &source) {
        return Err(refused(problem));
    }
    let Some(found) = source.status.artifact else {
        return Err(refused("does not have an artifact".to_owned()));
    };
    let bytes = artifact::get(client, &found).await?;
    let dir = TempDir::new().context("no folder for an artifact")?;
    extract_blocking(bytes.as_slice(), dir.path(), UnpackLimits::default())
        .with_context(|| format!("artifact of {}", shown(id)))?;
    Ok(Some((dir, found.revision)))
}
