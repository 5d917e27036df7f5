//! A layer's way to its files: relative paths, restrictions, cycles, remote sources.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use ferro_gocompat::quote::quote;

use crate::error::{Context, Error, ErrorKind, Result, fail};
use crate::files::{FileError, Files, Resolved};
use crate::giturl::GitUrl;
use crate::path;
use crate::remote::{Checkout, RemoteError, RemoteSource, is_http, without_host};

/// What a layer may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadRestrictions {
    /// Files in the layer's own directory or below.
    #[default]
    RootOnly,
    /// Everything that [`Files`] reaches.
    None,
}

/// Clone URL, reference, and whether submodules are wanted.
type CheckoutKey = (String, Option<String>, bool);

/// What all loaders of a build share.
pub(crate) struct Sources<'a> {
    files: &'a dyn Files,
    remote: Option<&'a dyn RemoteSource>,
    checkouts: RefCell<HashMap<CheckoutKey, Checkout>>,
    downloads: RefCell<HashMap<String, Rc<[u8]>>>,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(files: &'a dyn Files, remote: Option<&'a dyn RemoteSource>) -> Self {
        Self {
            files,
            remote,
            checkouts: RefCell::default(),
            downloads: RefCell::default(),
        }
    }

    fn remote(&self, url: &str) -> Result<&'a dyn RemoteSource> {
        self.remote
            .ok_or_else(|| Error::other(format!("remote sources are disabled; unable to load '{url}'")))
    }

    fn checkout(&self, url: &GitUrl) -> Result<Checkout> {
        let key = (url.clone_url.clone(), url.reference.clone(), url.submodules);
        if let Some(known) = self.checkouts.borrow().get(&key) {
            return Ok(known.clone());
        }
        let checkout = self.remote(&url.raw)?.checkout(url).map_err(remote_error)?;
        self.checkouts.borrow_mut().insert(key, checkout.clone());
        Ok(checkout)
    }

    fn download(&self, url: &str) -> Result<Rc<[u8]>> {
        if let Some(known) = self.downloads.borrow().get(url) {
            return Ok(Rc::clone(known));
        }
        if let Some(shown) = without_host(url) {
            fail!("Get {}: http: no Host in request URL", quote(&shown));
        }
        let content: Rc<[u8]> = match self.remote(url)?.get(url) {
            Ok(content) => content.into(),
            Err(RemoteError::Status { .. }) if GitUrl::parse(url).is_some() => {
                fail!("URL is a git repository")
            }
            Err(error @ RemoteError::Status { .. }) => return Err(ErrorKind::Http(error.to_string()).into()),
            Err(error) => return Err(remote_error(error)),
        };
        self.downloads
            .borrow_mut()
            .insert(url.to_owned(), Rc::clone(&content));
        Ok(content)
    }
}

fn remote_error(error: RemoteError) -> Error {
    match error {
        RemoteError::Timeout(text) => ErrorKind::Timeout(text).into(),
        error => Error::other(error.to_string()),
    }
}

/// The repository that a layer came from.
#[derive(Clone)]
struct Repository {
    url: GitUrl,
    checkout: Checkout,
}

/// The loader of one layer.
pub(crate) struct Loader<'a> {
    sources: Rc<Sources<'a>>,
    /// The files of the checkout that the layer lies in; the build's own without one.
    checkout: Option<Arc<dyn Files>>,
    root: String,
    /// The way from the first layer to this one, as messages name it.
    shown: String,
    restrictions: LoadRestrictions,
    /// Set only for the layer at which a repository was entered.
    repository: Option<Repository>,
    referrer: Option<Rc<Self>>,
}

impl<'a> Loader<'a> {
    /// Makes the loader of the layer that a build starts with.
    pub(crate) fn new(sources: Sources<'a>, restrictions: LoadRestrictions, dir: &str) -> Result<Rc<Self>> {
        let sources = Rc::new(sources);
        if let Some(url) = GitUrl::parse(dir) {
            let root = Rc::new(Self {
                sources,
                checkout: None,
                root: "/".to_owned(),
                shown: String::new(),
                restrictions,
                repository: None,
                referrer: None,
            });
            return root.enter_repository(url);
        }
        let root = confirm_dir(sources.files, dir).during(|| "must build at directory".to_owned())?;
        Ok(Rc::new(Self {
            sources,
            checkout: None,
            root,
            shown: String::new(),
            restrictions,
            repository: None,
            referrer: None,
        }))
    }

    /// The layer's directory.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// What messages call a file that the layer names.
    pub(crate) fn shown(&self, entry: &str) -> String {
        if self.shown.is_empty() || is_http(entry) || entry.starts_with('/') {
            return entry.to_owned();
        }
        // A URL is no path to be cleaned.
        match self.shown.contains("://") {
            true => format!("{}/{entry}", self.shown),
            false => path::join(&self.shown, entry),
        }
    }

    /// The tree that the layer lies in.
    pub(crate) fn files(&self) -> &dyn Files {
        self.checkout.as_deref().unwrap_or(self.sources.files)
    }

    /// Makes the loader of a directory or repository that this layer names.
    pub(crate) fn enter(self: &Rc<Self>, entry: &str) -> Result<Rc<Self>> {
        if entry.is_empty() {
            fail!("new root cannot be empty");
        }
        if let Some(url) = GitUrl::parse(entry) {
            self.refuse_repository_cycle(&url)?;
            return self.enter_repository(url);
        }
        if entry.starts_with('/') {
            fail!("new root '{entry}' cannot be absolute");
        }
        let root = confirm_dir(self.files(), &path::join(&self.root, entry))
            .during(|| "must build at directory".to_owned())?;
        self.refuse_leaving_repository(&root)?;
        self.refuse_cycle(&root)?;
        Ok(Rc::new(Self {
            sources: Rc::clone(&self.sources),
            checkout: self.checkout.clone(),
            root,
            shown: path::join(&self.shown, entry),
            restrictions: self.restrictions,
            repository: None,
            referrer: Some(Rc::clone(self)),
        }))
    }

    fn enter_repository(self: &Rc<Self>, url: GitUrl) -> Result<Rc<Self>> {
        let checkout = self.sources.checkout(&url)?;
        let wanted = path::join(&checkout.root, &url.sub_path);
        let found = checkout
            .files
            .resolve(&wanted)
            .map_err(|error| evalsymlink_failure(&wanted, &error))?;
        if !found.is_dir {
            fail!(
                "'{wanted}' refers to file '{}'; expecting directory",
                path::base_name(&found.path)
            );
        }
        if !path::is_within(&found.path, &checkout.root) {
            fail!(
                "{wanted:?} refers to directory outside of repo {:?}",
                checkout.root
            );
        }
        Ok(Rc::new(Self {
            sources: Rc::clone(&self.sources),
            checkout: Some(Arc::clone(&checkout.files)),
            root: found.path,
            shown: url.raw.clone(),
            restrictions: LoadRestrictions::RootOnly,
            repository: Some(Repository { url, checkout }),
            referrer: Some(Rc::clone(self)),
        }))
    }

    fn layers(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |layer| layer.referrer.as_deref())
    }

    fn refuse_repository_cycle(&self, url: &GitUrl) -> Result<()> {
        let visited = self.layers().filter_map(|layer| layer.repository.as_ref());
        for visited in visited.map(|repository| &repository.url.raw) {
            if visited.starts_with(&url.raw) {
                fail!(
                    "cycle detected: URI '{}' referenced by previous URI '{visited}'",
                    url.raw
                );
            }
        }
        Ok(())
    }

    fn refuse_leaving_repository(&self, base: &str) -> Result<()> {
        let Some(repository) = self.layers().find_map(|layer| layer.repository.as_ref()) else {
            return Ok(());
        };
        let root = &repository.checkout.root;
        if !path::is_within(base, root) {
            fail!(
                "security; bases in kustomizations found in cloned git repos must be within the repo, but base \
                 '{base}' is outside '{root}'"
            );
        }
        Ok(())
    }

    fn refuse_cycle(&self, candidate: &str) -> Result<()> {
        // Layers of another checkout have nothing to do with this path.
        let same_tree = |layer: &&Self| match (&layer.checkout, &self.checkout) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        for visited in self.layers().filter(same_tree) {
            if path::is_within(&visited.root, candidate) {
                fail!(
                    "cycle detected: candidate root '{candidate}' contains visited root '{}'",
                    visited.root
                );
            }
        }
        Ok(())
    }

    /// Reads a file or URL that the layer names.
    pub(crate) fn load(&self, entry: &str) -> Result<Cow<'_, [u8]>> {
        if is_http(entry) {
            return Ok(Cow::Owned(self.sources.download(entry)?.to_vec()));
        }
        let path = if entry.starts_with('/') {
            entry.to_owned()
        } else {
            path::join(&self.root, entry)
        };
        let path = match self.restrictions {
            LoadRestrictions::RootOnly => self.restrict_to_root(&path)?,
            LoadRestrictions::None => self.resolve_or_keep(&path)?,
        };
        Ok(self.files().read(&path)?)
    }

    fn restrict_to_root(&self, path: &str) -> Result<String> {
        let found = self
            .files()
            .resolve(path)
            .map_err(|error| evalsymlink_failure(path, &error))?;
        if found.is_dir {
            fail!("'{path}' must resolve to a file");
        }
        if !path::is_within(path::parent(&found.path), &self.root) {
            return Err(ErrorKind::Restricted {
                file: path.to_owned(),
                root: self.root.clone(),
            }
            .into());
        }
        Ok(found.path)
    }

    fn resolve_or_keep(&self, path: &str) -> Result<String> {
        match self.files().resolve(path) {
            Ok(Resolved { path, .. }) => Ok(path),
            // Without restrictions the file is opened straight away, and that is what then fails.
            Err(FileError::NotFound { .. }) => Err(FileError::NotFound {
                operation: "open",
                path: path.to_owned(),
            }
            .into()),
            Err(error) => Err(error.into()),
        }
    }
}

fn evalsymlink_failure(path: &str, error: &FileError) -> Error {
    match error {
        FileError::Confined { .. } => error.clone().into(),
        error => Error::from(error.clone()).during(format!("evalsymlink failure on '{path}' ")),
    }
}

fn confirm_dir(files: &dyn Files, dir: &str) -> Result<String> {
    if dir.is_empty() {
        fail!("directory path cannot be empty");
    }
    let found = files
        .resolve(dir)
        .map_err(|error| evalsymlink_failure(dir, &error).during("not a valid directory"))?;
    if !found.is_dir {
        fail!("'{dir}': file is not directory");
    }
    Ok(found.path)
}
