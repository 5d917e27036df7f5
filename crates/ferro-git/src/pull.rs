//! The whole way from a reference to a commit with its files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferro_artifact::digest::Algorithm;
use ferro_artifact::revision;
use gix_hash::ObjectId;
use gix_object::tree::EntryKind as Mode;

use crate::checkout::{self, Checkout, Module};
use crate::interrupt::{Context, Interrupt};
use crate::object::{Commit, Tag};
use crate::pack::{Kind, Objects};
use crate::refs::{self, Reference, RemoteRef, Resolved, Target};
use crate::repository::Repository;
use crate::session::{Depth, Session};
use crate::submodule;
use crate::transport::http::HttpClient;
use crate::transport::{Failure, listing};
use crate::{Auth, Error, Remote, Result, Scheme, semver};

/// How deep submodules may nest.
const MAX_SUBMODULE_DEPTH: usize = 10;
/// The directory of a cache with those of submodules.
const MODULES: &str = "modules";
/// How many submodules a checkout may have.
const MAX_SUBMODULES: usize = 256;
/// How many tags with equal versions are compared by date.
const MAX_TIED: usize = 16;
/// How many tags may stand before a commit, each pointing to the next.
const MAX_TAG_DEPTH: usize = 16;
/// The largest `.gitmodules` file that is read.
const MAX_GITMODULES: usize = 1 << 20;

/// What is wanted of a remote.
#[derive(Debug, Clone, Default)]
pub struct PullOptions {
    /// The reference.
    pub reference: Reference,
    /// The revision of the last artifact: if the reference still means it, nothing is fetched.
    pub last_revision: Option<String>,
    /// Whether submodules come along.
    pub recurse_submodules: bool,
    /// The directories that are wanted; empty for all.
    pub sparse: Vec<String>,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds on what a remote may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The size of a pack in bytes.
    pub max_pack: u64,
}

impl Default for Limits {
    /// 4 GiB.
    fn default() -> Self {
        Self { max_pack: 4 << 30 }
    }
}

/// What a pull brought.
#[derive(Debug)]
pub enum Pulled {
    /// The reference means the same as before.
    Unchanged(Resolved),
    /// The repository has no commits.
    Empty,
    /// A commit.
    Checkout(Box<Checkout>),
}

/// The refs of a remote that start with one of `prefixes`, or all when there are none.
///
/// Blocks the thread, which must belong to a runtime (`spawn_blocking`).
pub fn list_refs_blocking(remote: &Remote, prefixes: &[String], context: Context) -> Result<Vec<RemoteRef>> {
    let interrupt = Interrupt::new(context);
    interrupt.check()?;
    Session::open(remote, &interrupt)?.list_refs(prefixes)
}

/// Resolves the reference and, unless it is the last revision, fetches its commit into the cache at
/// `directory`.
///
/// Blocks the thread, which must belong to a runtime (`spawn_blocking`); at cancellation or deadline it
/// returns at once.
pub fn pull_blocking(
    remote: &Remote,
    directory: &Path,
    options: &PullOptions,
    context: Context,
) -> Result<Pulled> {
    let interrupt = Interrupt::new(context);
    interrupt.check()?;
    let target = options.reference.target()?;
    let run = || {
        let pull = Pull {
            remote,
            options,
            interrupt: &interrupt,
            directory,
            modules: Vec::new(),
            used: BTreeSet::new(),
        };
        pull.run(&target)
    };
    match run() {
        // A cache that lost something, for example with the machine's power, must not fail every pull from now on.
        Err(error @ (Error::Cache { .. } | Error::CommitNotFound { .. } | Error::Pack { .. }))
            if Repository::forget(directory) =>
        {
            tracing::debug!(%error, "the cache is not whole, fetching anew");
            run()
        }
        outcome => outcome,
    }
}

/// Makes the next pull into the cache at `directory` begin with nothing: for who finds that objects are missing there.
pub fn forget(directory: &Path) {
    Repository::forget(directory);
}

/// Reads the commit, and the annotated tag that leads to it.
fn load(objects: &Objects, resolved: &Resolved) -> Result<(Commit, Option<Tag>)> {
    let tag = match resolved.tag {
        None => None,
        Some(id) => {
            let tag = Tag::parse(id, &objects.read(&id, Kind::Tag)?);
            if let Some(tag) = &tag {
                check_target(objects, tag, &resolved.commit)?;
            }
            tag
        }
    };
    let data = objects.read(&resolved.commit, Kind::Commit)?;
    let malformed = || Error::CommitNotFound {
        commit: resolved.commit.to_string(),
    };
    Ok((Commit::parse(resolved.commit, &data).ok_or_else(malformed)?, tag))
}

/// Whether the tag leads to the commit that the server says it does. Who trusts the tag's signature trusts that commit and no other.
fn check_target(objects: &Objects, tag: &Tag, commit: &ObjectId) -> Result<()> {
    let (mut target, mut kind) = (tag.target, tag.target_kind.clone());
    for _ in 0..MAX_TAG_DEPTH {
        if kind != "tag" {
            break;
        }
        let Some(next) = Tag::parse(target, &objects.read(&target, Kind::Tag)?) else {
            break;
        };
        (target, kind) = (next.target, next.target_kind);
    }
    if kind == "commit" && target == *commit {
        return Ok(());
    }
    let (name, id) = (&tag.name, &tag.id);
    Err(Error::Protocol {
        reason: format!(
            "the server says that tag '{name}' ({id}) means commit {commit}, but it points to {kind} {target}"
        ),
    })
}

/// The state of one pull.
struct Pull<'a> {
    remote: &'a Remote,
    options: &'a PullOptions,
    interrupt: &'a Arc<Interrupt>,
    directory: &'a Path,
    modules: Vec<Module>,
    /// The caches of their submodules.
    used: BTreeSet<PathBuf>,
}

impl Pull<'_> {
    fn run(self, target: &Target) -> Result<Pulled> {
        if let Some(resolved) = self.unchanged(target)? {
            return Ok(Pulled::Unchanged(resolved));
        }
        let mut session = Session::open(self.remote, self.interrupt)?;
        let Some(resolved) = self.resolve(&mut session, target)? else {
            return Ok(Pulled::Empty);
        };
        if self.is_last(&resolved) {
            self.open(&session)?
                .set_allows_listing(session.allows_listing(self.remote))?;
            return Ok(Pulled::Unchanged(resolved));
        }
        let repository = self.fetch(&mut session, target, &resolved)?;
        drop(session);
        self.check_out(repository, resolved).map(Pulled::Checkout)
    }

    /// The cache of the main repository.
    fn open(&self, session: &Session) -> Result<Repository> {
        let url = self.remote.url.url().without_credentials();
        Repository::open(self.directory, url.as_str(), session.object_hash()?, || {
            self.interrupt.pause()
        })
    }

    fn is_last(&self, resolved: &Resolved) -> bool {
        let is_equal = |last: &String| revision::equal(last, &resolved.revision);
        self.options.last_revision.as_ref().is_some_and(is_equal)
    }

    /// What the target means, if one round trip is enough to see that it is the last revision.
    fn unchanged(&self, target: &Target) -> Result<Option<Resolved>> {
        if self.options.last_revision.is_none() || self.remote.url.scheme() != Scheme::Http {
            return Ok(None);
        }
        let url = self.remote.url.url().without_credentials();
        let Some(kind) = Repository::listing_kind(self.directory, url.as_str()) else {
            return Ok(None);
        };
        let client = HttpClient::new(self.remote, self.interrupt.clone(), Failure::default())?;
        let Some(found) = listing::list(&client, url.as_str(), kind, &target.prefixes())? else {
            return Ok(None);
        };
        let resolved = match target {
            Target::Semver(range) => match semver::highest(range, &found) {
                Ok(tags) => tags
                    .first()
                    .filter(|_| tags.len() == 1)
                    .map(|only| refs::by_tag(only)),
                // The long way says what is wrong.
                Err(_) => None,
            },
            _ => refs::resolve(target, &found),
        };
        Ok(resolved.filter(|resolved| self.is_last(resolved)))
    }

    /// Finds what the target means; `None` for an empty repository.
    fn resolve(&self, session: &mut Session, target: &Target) -> Result<Option<Resolved>> {
        let found = session.list_refs(&target.prefixes())?;
        let resolved = match target {
            Target::Semver(_) if found.is_empty() => None,
            Target::Semver(range) => match semver::highest(range, &found)?.as_slice() {
                [only] => Some(refs::by_tag(only)),
                tied => Some(refs::by_tag(self.newest(session, tied)?)),
            },
            _ => refs::resolve(target, &found),
        };
        if resolved.is_some() {
            return Ok(resolved);
        }
        // Not there, or nothing there at all?
        let is_empty = found.is_empty() && session.list_refs(&[])?.is_empty();
        match target {
            Target::Branch(_) if is_empty => Ok(None),
            Target::Tag(_) | Target::Semver(_) | Target::Commit { .. } if is_empty => Err(Error::EmptyRemote),
            _ => Err(refs::not_found(target)),
        }
    }

    /// Of tags with equal versions, the one whose commit was made last.
    fn newest<'a>(&self, session: &mut Session, tied: &[&'a RemoteRef]) -> Result<&'a RemoteRef> {
        let repository = self.open(session)?;
        let tied = tied.get(..tied.len().min(MAX_TIED)).unwrap_or(tied);
        let time = |objects: &Objects, found: &RemoteRef| -> Result<i64> {
            let data = objects.read(&found.target, Kind::Commit)?;
            Ok(Commit::parse(found.target, &data).map_or(0, |commit| commit.committer.seconds))
        };
        let objects = repository.objects()?;
        let is_missing = |found: &&&RemoteRef| time(&objects, found).is_err();
        let missing: Vec<ObjectId> = tied.iter().filter(is_missing).map(|found| found.target).collect();
        if !missing.is_empty() {
            session.fetch(&repository, &missing, Depth::One, self.options.limits.max_pack)?;
        }
        let objects = repository.objects()?;
        let mut newest: Option<(i64, &RemoteRef)> = None;
        for found in tied {
            let seconds = time(&objects, found)?;
            // Of equal times the later name, so that the choice does not change by itself.
            if newest.is_none_or(|(best, other)| (best, &other.name) < (seconds, &found.name)) {
                newest = Some((seconds, found));
            }
        }
        newest.map(|(_, found)| found).ok_or(Error::EmptyRemote)
    }

    /// Makes a checkout of the commit in the cache, with its submodules if they are wanted.
    fn check_out(mut self, repository: Repository, resolved: Resolved) -> Result<Box<Checkout>> {
        let objects = repository.objects()?;
        let (commit, tag) = load(&objects, &resolved)?;
        for path in &self.options.sparse {
            if checkout::lookup(&objects, &commit.tree, path)?.is_none() {
                return Err(Error::SparseDirectoryNotFound { path: path.clone() });
            }
        }
        let children = BTreeMap::new();
        self.add_module(Module {
            remote: self.remote.clone(),
            objects,
            tree: commit.tree,
            children,
            _repository: repository,
        });
        if self.options.recurse_submodules {
            self.submodules(0, self.remote, b"", &[], 1)?;
            keep_only(&self.directory.join(MODULES), &self.used, 2);
        }
        let sparse = self.options.sparse.clone();
        Ok(Box::new(Checkout::new(
            resolved,
            commit,
            tag,
            self.modules,
            sparse,
            self.directory.to_owned(),
        )))
    }

    fn add_module(&mut self, module: Module) -> usize {
        self.modules.push(module);
        self.modules.len() - 1
    }

    /// Brings the commit into the cache, alone where the server allows that.
    fn fetch(&self, session: &mut Session, target: &Target, resolved: &Resolved) -> Result<Repository> {
        let repository = self.open(session)?;
        let branch = match target {
            Target::Commit {
                branch: Some(branch), ..
            } => Some(branch.as_str()),
            _ => None,
        };
        let is_advertised = !matches!(target, Target::Commit { .. });
        let mut repository =
            self.fetch_commit(session, self.remote, repository, resolved, is_advertised, branch)?;
        repository.set_allows_listing(session.allows_listing(self.remote))?;
        Ok(repository)
    }

    fn fetch_commit(
        &self,
        session: &mut Session,
        remote: &Remote,
        mut repository: Repository,
        resolved: &Resolved,
        is_advertised: bool,
        branch: Option<&str>,
    ) -> Result<Repository> {
        let want = resolved.tag.unwrap_or(resolved.commit);
        if repository.has(&want) {
            return Ok(repository);
        }
        // What the server leaves out because we claim to have it must be there.
        if !repository.tips().iter().all(|tip| repository.has(tip)) {
            repository.clear()?;
        }
        let limit = self.options.limits.max_pack;
        match session.fetch(&repository, &[want], Depth::One, limit) {
            Ok(()) => {}
            // Not every server hands out commits that no ref points to, or single commits.
            Err(Error::Protocol { reason }) => {
                tracing::debug!(reason, "fetching a single commit failed, trying with its history");
                repository.clear()?;
                // A server that said no has hung up.
                *session = Session::open(remote, self.interrupt)?;
                let wants = if is_advertised {
                    vec![want]
                } else {
                    tips(session, branch)?
                };
                session.fetch(&repository, &wants, Depth::Full, limit)?;
            }
            Err(error) => return Err(error),
        }
        let objects = repository.objects()?;
        objects.read(&resolved.commit, Kind::Commit)?;
        repository.add_tip(want)?;
        Ok(repository)
    }

    /// Fetches the submodules that the module at `prefix` declares and that lie in the checkout.
    fn submodules(
        &mut self,
        parent: usize,
        remote: &Remote,
        prefix: &[u8],
        ancestors: &[(String, ObjectId)],
        depth: usize,
    ) -> Result<()> {
        for (path, url, commit) in self.declared(parent)? {
            let full = checkout::join(prefix, path.as_bytes());
            if !Checkout::has_directory(&self.options.sparse, &full) {
                continue;
            }
            let failed = |reason: String| Error::Submodule {
                path: path.clone(),
                reason,
            };
            if depth > MAX_SUBMODULE_DEPTH {
                return Err(failed(format!(
                    "submodules nest more than {MAX_SUBMODULE_DEPTH} levels deep"
                )));
            }
            if self.modules.len() > MAX_SUBMODULES {
                return Err(failed(format!("there are more than {MAX_SUBMODULES} submodules")));
            }
            let url = remote.url.join(&url).map_err(|error| failed(error.to_string()))?;
            let mut ancestors = ancestors.to_vec();
            let key = (url.url().to_string(), commit);
            if ancestors.contains(&key) {
                return Err(failed("it contains itself".to_owned()));
            }
            ancestors.push(key);
            let remote = submodule_remote(remote, url);
            let module = self
                .fetch_submodule(&remote, commit)
                .map_err(|source| match source {
                    ended @ (Error::Timeout | Error::Cancelled) => ended,
                    source => Error::SubmoduleFetch {
                        path: path.clone(),
                        url: remote.url.url().to_string(),
                        source: Box::new(source),
                    },
                })?;
            let index = self.add_module(module);
            if let Some(parent) = self.modules.get_mut(parent) {
                parent.children.insert(path.clone().into_bytes(), index);
            }
            self.submodules(index, &remote, &full, &ancestors, depth + 1)?;
        }
        Ok(())
    }

    /// The submodules that both `.gitmodules` and the tree name: path, URL and commit.
    fn declared(&self, module: usize) -> Result<Vec<(String, String, ObjectId)>> {
        let Some(module) = self.modules.get(module) else {
            return Ok(Vec::new());
        };
        let found = checkout::lookup(&module.objects, &module.tree, ".gitmodules")?;
        let Some((id, Mode::Blob | Mode::BlobExecutable)) = found else {
            return Ok(Vec::new());
        };
        let text = module.objects.read(&id, Kind::Blob)?;
        if text.len() > MAX_GITMODULES {
            let reason = format!("the file is larger than {MAX_GITMODULES} bytes");
            return Err(Error::Submodule {
                path: ".gitmodules".to_owned(),
                reason,
            });
        }
        let mut declared = Vec::new();
        for declaration in submodule::parse(&String::from_utf8_lossy(&text)) {
            let found = checkout::lookup(&module.objects, &module.tree, &declaration.path)?;
            if let Some((commit, Mode::Commit)) = found {
                declared.push((declaration.path, declaration.url, commit));
            }
        }
        Ok(declared)
    }

    fn fetch_submodule(&mut self, remote: &Remote, commit: ObjectId) -> Result<Module> {
        self.interrupt.check()?;
        let name = format!("{}@{commit}", remote.url.url().without_credentials());
        let name = Algorithm::Sha256.digest(name.as_bytes());
        // One directory a commit: the same submodule may occur twice in a checkout.
        let directory = self
            .directory
            .join(MODULES)
            .join(name.hex())
            .join(self.modules.len().to_string());
        self.used.insert(directory.clone());
        let url = remote.url.url().without_credentials();
        let resolved = Resolved {
            commit,
            tag: None,
            ref_name: None,
            revision: String::new(),
        };
        let repository =
            Repository::open(&directory, url.as_str(), commit.kind(), || self.interrupt.pause())?;
        let repository = if repository.has(&commit) {
            repository
        } else {
            let mut session = Session::open(remote, self.interrupt)?;
            self.fetch_commit(&mut session, remote, repository, &resolved, false, None)?
        };
        let objects = repository.objects()?;
        let (commit, _) = load(&objects, &resolved)?;
        Ok(Module {
            remote: remote.clone(),
            objects,
            tree: commit.tree,
            children: BTreeMap::new(),
            _repository: repository,
        })
    }
}

/// Removes what lies so many levels below `directory` and is not `used`: submodules of other commits, which are not fetched again. What cannot be
/// removed goes with the cache.
fn keep_only(directory: &Path, used: &BTreeSet<PathBuf>, levels: usize) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if levels > 1 {
            keep_only(&path, used, levels - 1);
            // Goes if nothing is left in it.
            drop(fs::remove_dir(&path));
        } else if !used.contains(&path)
            && let Err(error) = fs::remove_dir_all(&path)
        {
            tracing::debug!(%error, path = %path.display(), "a submodule stays in the cache");
        }
    }
}

/// What a full fetch asks for: the branch, or all branches and tags.
fn tips(session: &mut Session, branch: Option<&str>) -> Result<Vec<ObjectId>> {
    let prefixes = match branch {
        Some(branch) => vec![refs::heads(branch)],
        None => vec!["refs/heads/".to_owned(), "refs/tags/".to_owned()],
    };
    let is_wanted = |name: &str| match branch {
        Some(branch) => name == refs::heads(branch),
        None => prefixes.iter().any(|prefix| name.starts_with(prefix)),
    };
    let found = session.list_refs(&prefixes)?;
    let mut tips: Vec<ObjectId> = found
        .into_iter()
        .filter(|found| is_wanted(&found.name))
        .map(|found| found.target)
        .collect();
    tips.sort_unstable();
    tips.dedup();
    Ok(tips)
}

/// The remote of a submodule: the parent's settings, and its credentials where they may go.
///
/// HTTP credentials, a client certificate included, stay with their host. An SSH key may be shown to any host that `known_hosts` lists,
/// as showing it gives nothing away.
fn submodule_remote(parent: &Remote, url: crate::RepositoryUrl) -> Remote {
    let is_at_home = ferro_http::may_keep_auth(parent.url.url(), url.url());
    let auth = match &parent.auth {
        Auth::Http(auth) if is_at_home => Auth::Http(auth.clone()),
        Auth::Ssh(auth) if url.scheme() == Scheme::Ssh => Auth::Ssh(auth.clone()),
        _ => Auth::None,
    };
    let mut http = parent.http.clone();
    if !is_at_home {
        http.tls.identity = None;
    }
    Remote {
        url,
        auth,
        http,
        ssh: parent.ssh.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submodule_remote_keeps_credentials_with_their_host() {
        let mut parent = Remote::new("https://h/org/app").unwrap();
        parent.auth = Auth::Http(ferro_http::Auth::Bearer("hunter2".into()));
        parent.http.tls.identity = Some(ferro_http::Identity {
            certificate: b"certificate".to_vec(),
            key: b"key".to_vec().into(),
        });
        for (url, is_at_home) in [
            ("https://h/org/lib", true),
            ("https://other/org/lib", false),
            ("https://h:8443/org/lib", false),
            ("http://h/org/lib", false),
            ("ssh://git@h/org/lib", false),
        ] {
            let remote = submodule_remote(&parent, crate::RepositoryUrl::parse(url).unwrap());
            assert_eq!(matches!(remote.auth, Auth::Http(_)), is_at_home, "{url}");
            assert_eq!(remote.http.tls.identity.is_some(), is_at_home, "{url}");
        }
    }
}
