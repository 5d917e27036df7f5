//! Where objects come from and what changed them, as annotations tell it.

use ferro_yaml::{Entry, Node};

use crate::error::{Error, Result};
use crate::giturl::GitUrl;
use crate::path;
use crate::resmap::ResMap;
use crate::resource::{ORIGIN, Resource, TRANSFORMATIONS};
use crate::scalar::json_type;

/// The configuration that made or changed an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConfiguredBy {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

/// A place, relative to where the build began or to the root of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) path: String,
    pub(crate) repo: String,
    pub(crate) reference: String,
    pub(crate) configured_in: String,
    pub(crate) configured_by: ConfiguredBy,
}

impl Origin {
    /// The place that an entry of a layer leads to.
    pub(crate) fn append(&self, entry: &str) -> Self {
        let mut origin = self.clone();
        match GitUrl::parse(entry) {
            Some(url) => {
                origin.repo = url.clone_url;
                origin.reference = url.reference.unwrap_or_default();
                // Upstream makes this out of a path that has no clone yet.
                origin.path = if url.sub_path.is_empty() {
                    "notCloned".to_owned()
                } else {
                    url.sub_path
                };
            }
            None => origin.path = path::join(&self.path, entry),
        }
        origin
    }

    /// What is noted for a built-in plugin that a kustomization file configures.
    pub(crate) fn of_field(&self, file: &str, kind: &str) -> Self {
        Self {
            path: String::new(),
            repo: self.repo.clone(),
            reference: self.reference.clone(),
            configured_in: path::join(&self.path, file),
            configured_by: ConfiguredBy {
                api_version: "builtin".to_owned(),
                kind: kind.to_owned(),
                ..ConfiguredBy::default()
            },
        }
    }

    /// What is noted for a plugin that is configured by an object of its own.
    pub(crate) fn of_plugin(config: &Resource) -> Option<Self> {
        let text = config.annotation(ORIGIN)?;
        let node = crate::read::configuration(text.as_bytes()).ok()?;
        let field = |key: &str| node.get(key).and_then(Node::text).unwrap_or_default().to_owned();
        Some(Self {
            path: String::new(),
            repo: field("repo"),
            reference: field("ref"),
            configured_in: field("path"),
            configured_by: ConfiguredBy {
                api_version: config.api_version().to_owned(),
                kind: config.kind().to_owned(),
                name: config.name().to_owned(),
                namespace: config.namespace().to_owned(),
            },
        })
    }

    fn node(&self) -> Node {
        let pairs = |pairs: &[(&'static str, &String)]| {
            let stated = pairs.iter().filter(|(_, text)| !text.is_empty());
            stated
                .map(|(key, text)| Entry::from((*key, Node::string(*text))))
                .collect::<Vec<_>>()
        };
        let mut entries = pairs(&[
            ("path", &self.path),
            ("repo", &self.repo),
            ("ref", &self.reference),
            ("configuredIn", &self.configured_in),
        ]);
        let by = &self.configured_by;
        let by = pairs(&[
            ("apiVersion", &by.api_version),
            ("kind", &by.kind),
            ("name", &by.name),
            ("namespace", &by.namespace),
        ]);
        if !by.is_empty() {
            entries.push(("configuredBy", Node::mapping(by)).into());
        }
        Node::mapping(entries)
    }

    pub(crate) fn annotate(&self, resource: &mut Resource) {
        resource.set_annotation(ORIGIN, crate::emit::kyaml(&self.node()));
    }
}

/// Notes a transformer on every resource, touched or not; on one that has no origin it is that.
pub(crate) fn note_transformer(resources: &mut ResMap, origin: &Origin) -> Result<()> {
    let entry = crate::emit::kyaml(&Node::sequence([origin.node()]));
    for resource in resources.iter_mut() {
        if resource.annotation(ORIGIN).is_none() {
            origin.annotate(resource);
        } else {
            refuse_unreadable(resource)?;
            let known = resource.annotation(TRANSFORMATIONS).unwrap_or_default();
            let all = format!("{known}{entry}");
            resource.set_annotation(TRANSFORMATIONS, all);
        }
        resource.renew_annotations();
    }
    Ok(())
}

/// Refuses an annotation by the user in the place of the origin that is none.
pub(crate) fn refuse_unreadable(resource: &Resource) -> Result<()> {
    let Some(text) = resource.annotation(ORIGIN) else {
        return Ok(());
    };
    let place = || resource.location();
    let node = crate::read::configuration(text.as_bytes())
        .map_err(|error| Error::other(error.to_string()).at(place()))?;
    if node.is_mapping() || node.is_null() {
        return Ok(());
    }
    let problem = format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type resource.Origin",
        json_type(&node)
    );
    Err(Error::other(problem).at(place()))
}

/// Notes a generator on resources that have no origin yet.
pub(crate) fn note_generator(resource: &mut Resource, origin: &Origin) {
    if resource.annotation(ORIGIN).is_none() {
        origin.annotate(resource);
    }
}
