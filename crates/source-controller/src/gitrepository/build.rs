//! From a reference to a stored artifact, on one thread: list, fetch, lay the includes over the tree, archive, publish.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ferro_api::meta::{Artifact, Time};
use ferro_api::reason;
use ferro_api::source::GitRepositoryInclude;
use ferro_artifact::archive::{ArchiveError, ArchiveLimits, archive_blocking};
use ferro_artifact::ignore::Matcher;
use ferro_artifact::revision;
use ferro_artifact::storage::{ArtifactPath, Integrity, PublishError, Storage, StorageError, Stored};
use ferro_artifact::tree::{
    Content, Directory, DiskDirectory, Mount, MountSource, Overlay, TreeError, components,
};
use ferro_git::{Checkout, Context, LfsObjects, PullOptions, Pulled, Remote, pull_blocking};
use ferro_http::describe;
use k8s_openapi::jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::cache::{Entry, GitCache};
use super::content;
use super::unpack::unpack_blocking;
use super::verify::{Verification, Verified};
use crate::reconcile::Failure;

/// All that is needed to build an artifact.
pub(super) struct Job {
    /// How the repository is reached.
    pub remote: Remote,
    /// What is wanted of it.
    pub pull: PullOptions,
    /// The revision of the artifact that is stored, if it was made with this configuration.
    pub stored: Option<String>,
    /// Which signatures are required.
    pub verification: Option<Verification>,
    /// Whether the reference looks at the refs first, which is seen in the text of errors.
    pub is_listing: bool,
    /// How long listing and fetching may take together.
    pub timeout: Duration,
    /// Bytes that LFS objects may have, if they are to take the place of their pointers.
    pub lfs: Option<u64>,
    /// Patterns of `spec.ignore`.
    pub ignore: Option<String>,
    /// What is placed inside, and the artifacts that it is taken from.
    pub includes: Vec<(GitRepositoryInclude, Artifact)>,
    /// Where artifacts are stored.
    pub storage: Storage,
    /// A path in the object's directory there.
    pub directory: ArtifactPath,
    /// Where repositories are kept.
    pub cache: GitCache,
    /// The place of this one.
    pub entry: Entry,
}

/// How a job ended.
pub(super) enum Done {
    /// The reference still means the last revision.
    Unchanged {
        /// The revision.
        revision: String,
        /// What was found of its signatures, if they were looked at.
        verified: Option<Verified>,
    },
    /// A new artifact is stored.
    Built {
        /// The artifact.
        artifact: Artifact,
        /// The first line of the commit's message.
        subject: String,
        /// What was found of its signatures, if they are required.
        verified: Option<Verified>,
    },
}

impl Job {
    /// Does the work. The revision is sent to `found` when it is known to be new, or to be built anew.
    ///
    /// # Errors
    /// With the condition and the text that the reference gives to each fault.
    pub(super) fn run_blocking(
        self,
        cancel: &CancellationToken,
        found: oneshot::Sender<String>,
    ) -> Result<Done, Failure> {
        let context = Context {
            cancel: cancel.clone(),
            ..Context::with_timeout(self.timeout)
        };
        let pulled = self.pull_blocking(context.clone());
        let checkout = match pulled? {
            Pulled::Unchanged(resolved) => {
                return Ok(Done::Unchanged {
                    revision: resolved.revision,
                    verified: None,
                });
            }
            Pulled::Empty => {
                let message = "git repository is empty".to_owned();
                return Err(Failure::fetch(reason::EMPTY_GIT_REPOSITORY, message));
            }
            Pulled::Checkout(checkout) => checkout,
        };
        let done = self.use_blocking(&checkout, context, found);
        drop(checkout);
        let Self { cache, entry, .. } = self;
        drop(entry);
        cache.trim_blocking();
        done
    }

    /// Verifies what was fetched, and makes an artifact of it unless there is one.
    fn use_blocking(
        &self,
        checkout: &Checkout,
        context: Context,
        found: oneshot::Sender<String>,
    ) -> Result<Done, Failure> {
        let verification = self.verification.as_ref();
        let verified = verification
            .map(|verification| verification.verify_blocking(checkout, &context.cancel))
            .transpose()?;
        let revision = checkout.resolved().revision.clone();
        let is_stored = |stored: &String| revision::equal(stored, &revision);
        if self.stored.as_ref().is_some_and(is_stored) {
            return Ok(Done::Unchanged { revision, verified });
        }
        // Nobody listens when the pass was cut short.
        let _cut_short = found.send(revision);
        self.build_blocking(checkout, verified, context)
    }

    fn pull_blocking(&self, context: Context) -> Result<Pulled, Failure> {
        pull_blocking(&self.remote, self.entry.path(), &self.pull, context).map_err(|error| {
            if matches!(error, ferro_git::Error::SparseDirectoryNotFound { .. }) {
                let text = error.upstream_message(self.remote.url.url(), self.is_listing);
                // The space before the colon is the reference's.
                let message = format!("failed to sparse checkout directories : {text}");
                return Failure::fetch(reason::GIT_OPERATION_FAILED, message);
            }
            self.not_checked_out(&error)
        })
    }

    fn not_checked_out(&self, error: &ferro_git::Error) -> Failure {
        let text = error.upstream_message(self.remote.url.url(), self.is_listing);
        let message = format!("failed to checkout and determine revision: {text}");
        Failure::fetch(reason::GIT_OPERATION_FAILED, message)
    }

    /// Fetches the LFS objects of files that go into the artifact.
    fn fetch_lfs_blocking(
        &self,
        checkout: &Checkout,
        matcher: &Matcher,
        max_bytes: u64,
        context: Context,
    ) -> Result<LfsObjects, Failure> {
        let is_wanted = |path: &[&[u8]]| !matcher.is_excluded(path, false);
        let fetched = checkout.fetch_lfs_blocking(is_wanted, max_bytes, context);
        fetched.map_err(|error| self.not_checked_out(&error))
    }

    fn build_blocking(
        &self,
        checkout: &Checkout,
        verified: Option<Verified>,
        context: Context,
    ) -> Result<Done, Failure> {
        let cancel = &context.cancel.clone();
        let resolved = checkout.resolved();
        let path = self
            .directory
            .sibling(&format!("{}.tar.gz", resolved.commit))
            .map_err(|error| Failure::storage(reason::INVALID_PATH, describe(&error)))?;
        let _lock = self
            .storage
            .lock_blocking(&path)
            .map_err(|error| not_locked(&error))?;
        let included = self
            .includes
            .iter()
            .map(|(include, artifact)| self.unpack_blocking(include, artifact, cancel))
            .collect::<Result<Vec<_>, _>>()?;
        let mounts: Vec<Mount<'_>> = included.iter().map(Included::mount).collect();
        let tree = Overlay::new(Box::new(checkout.root()), mounts.clone());
        let matcher = Matcher::load_blocking(&tree, self.ignore.as_deref(), cancel).map_err(|error| {
            let cause = describe(&error);
            let message = format!("failed to load source ignore patterns from repository: {cause}");
            Failure::unmarked(reason::SOURCE_IGNORE_ERROR, message)
        })?;
        let fetch = |max_bytes| self.fetch_lfs_blocking(checkout, &matcher, max_bytes, context);
        let objects = self.lfs.map(fetch).transpose()?;
        let tree = match &objects {
            Some(objects) => Overlay::new(Box::new(checkout.root_with(objects)), mounts),
            None => tree,
        };
        let stored = self.publish_blocking(&path, &tree, &matcher, cancel)?;
        self.remove_legacy_link_blocking(&path);
        Ok(Done::Built {
            artifact: Artifact {
                digest: stored.digest.to_string(),
                last_update_time: time(stored.updated),
                path: stored.path.to_string(),
                revision: resolved.revision.clone(),
                size: i64::try_from(stored.size).ok(),
                url: self.storage.url(&stored.path),
                metadata: self.lfs.map(|_| content::lfs_metadata()).unwrap_or_default(),
            },
            subject: checkout.commit().short_message(),
            verified,
        })
    }

    fn publish_blocking(
        &self,
        path: &ArtifactPath,
        tree: &dyn Directory,
        matcher: &Matcher,
        cancel: &CancellationToken,
    ) -> Result<Stored, Failure> {
        let published = self.storage.publish_blocking(path, |out| {
            archive_blocking(tree, matcher, ArchiveLimits::default(), cancel, out)?;
            // Past this point the file is put in place, which is too late for a pass that was cut short.
            if cancel.is_cancelled() {
                return Err(ArchiveError::from(TreeError::Cancelled));
            }
            Ok(())
        });
        published.map(|(stored, ())| stored).map_err(|error| {
            if let PublishError::Content(error) = &error
                && is_of_the_cache(error)
            {
                // Or every pass would fail from now on.
                ferro_git::forget(self.entry.path());
            }
            let cause = match &error {
                PublishError::Storage(error) => describe(error),
                PublishError::Content(error) => describe(error),
            };
            let message = format!("unable to archive artifact to storage: {cause}");
            Failure::storage(reason::ARCHIVE_OPERATION_FAILED, message)
        })
    }

    /// Unpacks an artifact and finds in it what is to be included.
    fn unpack_blocking(
        &self,
        include: &GitRepositoryInclude,
        artifact: &Artifact,
        cancel: &CancellationToken,
    ) -> Result<Included, Failure> {
        let failed = |cause: String| {
            let name = &include.repository.name;
            let (from, to) = (include.from_path_or_default(), include.to_path_or_default());
            let message = format!("failed to copy '{name}' include from {from} to {to}: {cause}");
            Failure::storage(reason::COPY_FAILURE, message)
        };
        let path = self.check_included_blocking(include, artifact).map_err(failed)?;
        let file = self
            .storage
            .open_blocking(&path)
            .map_err(|error| failed(describe(&error)))?;
        let folder = TempDir::with_prefix("include-").map_err(|error| failed(error.to_string()))?;
        unpack_blocking(file, folder.path(), cancel).map_err(|error| failed(error.to_string()))?;
        Included::find(folder, include).map_err(|error| failed(error.to_string()))
    }

    /// The place of an artifact that is included. What a status says is not believed: whoever may write one must not read what is stored for
    /// others, nor have something else included than what was made of the repository.
    fn check_included_blocking(
        &self,
        include: &GitRepositoryInclude,
        artifact: &Artifact,
    ) -> Result<ArtifactPath, String> {
        let path = ArtifactPath::parse(&artifact.path).map_err(|error| describe(&error))?;
        let own = self.directory.directory();
        let siblings = own.rsplit_once('/').map_or("", |(siblings, _)| siblings);
        let name = &include.repository.name;
        if path.directory() != format!("{siblings}/{name}") {
            return Err(format!("the artifact '{path}' is none of GitRepository '{name}'"));
        }
        match self.storage.verify_blocking(&path, &artifact.digest) {
            Ok(Integrity::Intact) => Ok(path),
            Ok(Integrity::Missing) => Err(format!("the artifact '{path}' is not there")),
            Ok(Integrity::Mismatch { reason }) => Err(format!("the artifact '{path}' is damaged: {reason}")),
            Err(error) => Err(describe(&error)),
        }
    }

    /// Early versions of the reference kept a link to the newest artifact, which it means to remove but does not.
    fn remove_legacy_link_blocking(&self, path: &ArtifactPath) {
        let removed = path
            .sibling("latest.tar.gz")
            .map_err(StorageError::from)
            .and_then(|link| self.storage.remove_blocking(&link));
        if let Err(error) = removed {
            tracing::debug!(error = describe(&error), "deprecated link not removed");
        }
    }
}

/// Whether objects that should be in the cache of the repository could not be read.
fn is_of_the_cache(error: &ArchiveError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .map(|inner| inner as &(dyn std::error::Error + 'static));
        let git = [Some(error), inner]
            .into_iter()
            .flatten()
            .find_map(|error| error.downcast_ref::<ferro_git::Error>());
        if matches!(
            git,
            Some(ferro_git::Error::Cache { .. } | ferro_git::Error::CommitNotFound { .. })
        ) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn not_locked(error: &StorageError) -> Failure {
    let cause = describe(error);
    match error {
        StorageError::Lock { .. } => Failure::unmarked(
            reason::FAILED,
            format!("failed to acquire lock for artifact: {cause}"),
        ),
        _ => Failure::storage(
            reason::DIRECTORY_CREATION_FAILED,
            format!("failed to create artifact directory: {cause}"),
        ),
    }
}

/// Whole seconds, as the API has them.
fn time(at: SystemTime) -> Time {
    Timestamp::try_from(at).map(Time::from).unwrap_or_default()
}

/// What is placed inside an artifact.
struct Included {
    /// Where.
    to: String,
    source: IncludedSource,
    /// Holds the source.
    _folder: TempDir,
}

enum IncludedSource {
    Directory(DiskDirectory),
    File(DiskFile),
}

impl Included {
    fn find(folder: TempDir, include: &GitRepositoryInclude) -> std::io::Result<Self> {
        let mut path = folder.path().to_owned();
        for component in components(include.from_path_or_default()) {
            path.push(std::ffi::OsString::from(
                String::from_utf8_lossy(&component).into_owned(),
            ));
        }
        let metadata = fs::symlink_metadata(&path)?;
        let to = include.to_path_or_default().to_owned();
        let source = if metadata.is_dir() {
            IncludedSource::Directory(DiskDirectory::new(path))
        } else if components(&to).is_empty() {
            return Err(std::io::Error::other("a file cannot take the place of the root"));
        } else {
            IncludedSource::File(DiskFile {
                path,
                is_executable: metadata.permissions().mode() & 0o111 != 0,
            })
        };
        Ok(Self {
            to,
            source,
            _folder: folder,
        })
    }

    fn mount(&self) -> Mount<'_> {
        let source = match &self.source {
            IncludedSource::Directory(directory) => MountSource::Directory(directory),
            IncludedSource::File(file) => MountSource::File(file),
        };
        Mount::new(&self.to, source)
    }
}

/// A single file that is included.
struct DiskFile {
    path: PathBuf,
    is_executable: bool,
}

impl Content for DiskFile {
    fn is_executable(&self) -> bool {
        self.is_executable
    }

    fn open(&self) -> Result<(u64, Box<dyn Read + '_>), TreeError> {
        let (file, size) = open(&self.path).map_err(|source| TreeError::Io {
            path: self.path.display().to_string(),
            source,
        })?;
        Ok((size, Box::new(file)))
    }
}

fn open(path: &Path) -> std::io::Result<(fs::File, u64)> {
    let file = fs::File::open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}
