//! Authorities and logs of the public instance of Sigstore, which vouch for keyless signatures where no Secret names others.
//!
//! They are fetched from Sigstore's TUF repository, verified from a root that came with the program, and asked for again after a day. Where the
//! repository cannot be reached, those that came with the program count: what they vouch for is bounded by times of validity and by keys, but a
//! key that has been withdrawn since is not known to be. `TUF_MIRROR` and `TUF_ROOT_JSON` name another repository, as at cosign; of a repository
//! with another root nothing came with the program, so it must be reached.

use std::sync::Arc;
use std::time::Duration;

use ferro_cloud::Environment;
use ferro_http::{ClientOptions, Request, describe};
use ferro_verify::cosign::{TrustedRoot, public};
use ferro_verify::tuf::{File, MAX_ROOTS, Repository};
use http::StatusCode;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// The address of a mirror of the repository.
const MIRROR: &str = "TUF_MIRROR";
/// A file with the root of another repository.
const ROOT: &str = "TUF_ROOT_JSON";
/// How long what was fetched is taken for the newest, as upstream.
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// How long a repository that failed is left alone, as upstream.
const PAUSE: Duration = Duration::from_secs(60);
/// How long fetching may take; a verification waits for it.
const PATIENCE: Duration = Duration::from_secs(15);
const SILENT: &str = "the repository does not answer";

/// The public root, fetched when it is first asked for. Clones share it.
#[derive(Clone)]
pub(crate) struct PublicRoot(Arc<Mutex<State>>);

struct State {
    environment: Environment,
    known: Option<Known>,
    /// Until then nothing is asked for, and this is the fault of the last try.
    ask_again: Option<Instant>,
    fault: String,
}

/// What is known of the repository.
struct Known {
    repository: Repository,
    trusted: Option<Arc<TrustedRoot>>,
}

impl PublicRoot {
    /// One that the environment describes.
    pub(crate) fn new(environment: Environment) -> Self {
        Self(Arc::new(Mutex::new(State {
            environment,
            known: None,
            ask_again: None,
            fault: String::new(),
        })))
    }

    /// The newest that can be had.
    ///
    /// # Errors
    /// When nothing of it is known.
    pub(crate) async fn get(&self) -> Result<Arc<TrustedRoot>, String> {
        let mut state = self.0.lock().await;
        if state.ask_again.is_none_or(|moment| moment <= Instant::now()) {
            // Who waits may give up first; then this has failed, and the next one does not wait for it again.
            SILENT.clone_into(&mut state.fault);
            state.ask_again = Some(Instant::now() + PAUSE);
            let refreshed = timeout(PATIENCE, Box::pin(state.refresh())).await;
            let refreshed = refreshed.unwrap_or_else(|_| Err(SILENT.to_owned()));
            let rest = if refreshed.is_ok() { FRESH } else { PAUSE };
            state.ask_again = Some(Instant::now() + rest);
            state.fault = refreshed.err().unwrap_or_default();
            if !state.fault.is_empty() {
                let fault = &state.fault;
                tracing::warn!("failed to renew the trusted root of Sigstore: {fault}");
            }
        }
        let trusted = state.known.as_ref().and_then(|known| known.trusted.clone());
        trusted.ok_or_else(|| format!("unable to initialize trusted root: {}", state.fault))
    }
}

impl State {
    async fn refresh(&mut self) -> Result<(), String> {
        let mirror = self.environment.get(MIRROR);
        let mirror = mirror
            .as_deref()
            .unwrap_or(public::MIRROR)
            .trim_end_matches('/')
            .to_owned();
        let known = match &mut self.known {
            Some(known) => known,
            known @ None => known.insert(Known::first(self.environment.get(ROOT)).await?),
        };
        let client = ferro_http::Client::new(&ClientOptions::default()).map_err(|error| describe(&error))?;
        // What fails on the way leaves what is known as it is.
        let mut repository = known.repository.clone();
        let source = Source { client, mirror };
        let fetched = source.update(&mut repository).await;
        let trusted = fetched?;
        *known = Known {
            repository,
            trusted: Some(Arc::new(trusted)),
        };
        Ok(())
    }
}

impl Known {
    /// What is known before anything was fetched.
    async fn first(file: Option<String>) -> Result<Self, String> {
        let Some(file) = file else {
            let repository = Repository::new(public::TUF_ROOT).map_err(|error| error.to_string())?;
            let trusted = TrustedRoot::from_json(public::TRUSTED_ROOT).map_err(|error| error.to_string())?;
            return Ok(Self {
                repository,
                trusted: Some(Arc::new(trusted)),
            });
        };
        let text = tokio::fs::read(&file).await;
        let text = text.map_err(|error| format!("failed to read '{file}': {error}"))?;
        let repository = Repository::new(&text).map_err(|error| format!("'{file}': {error}"))?;
        Ok(Self {
            repository,
            trusted: None,
        })
    }
}

/// Where the repository is.
struct Source {
    client: ferro_http::Client,
    mirror: String,
}

impl Source {
    /// Brings `repository` up to date, and reads the target that all is about.
    async fn update(&self, repository: &mut Repository) -> Result<TrustedRoot, String> {
        let failed = |error: ferro_verify::tuf::Error| error.to_string();
        for _ in 0..MAX_ROOTS {
            let Some(root) = self.fetch_if_there(&repository.next_root()).await? else {
                break;
            };
            repository.take_root(&root).map_err(failed)?;
        }
        let now = Timestamp::now();
        let text = self.fetch(&repository.timestamp()).await?;
        repository.take_timestamp(&text, now).map_err(failed)?;
        let text = self.fetch(&repository.snapshot().map_err(failed)?).await?;
        repository.take_snapshot(&text, now).map_err(failed)?;
        let text = self.fetch(&repository.targets().map_err(failed)?).await?;
        repository.take_targets(&text, now).map_err(failed)?;
        let text = self
            .fetch(&repository.target(public::TARGET).map_err(failed)?)
            .await?;
        repository.check_target(public::TARGET, &text).map_err(failed)?;
        TrustedRoot::from_json(&text).map_err(|error| error.to_string())
    }

    async fn fetch(&self, file: &File) -> Result<Vec<u8>, String> {
        let found = self.fetch_if_there(file).await?;
        found.ok_or_else(|| format!("{}/{} is not there", self.mirror, file.path))
    }

    /// The file; none if there is none. Some stores say of what is not there that it is forbidden.
    async fn fetch_if_there(&self, file: &File) -> Result<Option<Vec<u8>>, String> {
        let url = format!("{}/{}", self.mirror, file.path);
        let fetched = async {
            let response = self.client.send(&Request::get(&url)?).await?;
            if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::FORBIDDEN) {
                return Ok(None);
            }
            let body = response.error_for_status()?.bytes(file.limit).await?;
            Ok(Some(body.to_vec()))
        };
        let fetched: ferro_http::Result<_> = fetched.await;
        fetched.map_err(|error| describe(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn repository_that_is_silent_is_waited_for_once() {
        // Connections are accepted by the system, and nobody ever answers.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mirror = format!("http://{}", listener.local_addr().unwrap());
        let root = PublicRoot::new(Environment::of(&[(MIRROR, &mirror)]));
        assert!(timeout(Duration::from_millis(100), root.get()).await.is_err());
        // The next one has what came with the program, at once.
        let trusted = timeout(PATIENCE / 2, root.get()).await.unwrap().unwrap();
        assert_eq!(trusted.rekor_url(), Some("https://rekor.sigstore.dev"));
    }

    #[tokio::test]
    async fn root_of_another_repository_must_be_there() {
        let variables = [(MIRROR, "http://127.0.0.1:1"), (ROOT, "/does/not/exist.json")];
        let error = PublicRoot::new(Environment::of(&variables))
            .get()
            .await
            .unwrap_err();
        let start = "unable to initialize trusted root: failed to read '/does/not/exist.json': ";
        assert!(error.starts_with(start), "{error}");
    }
}
