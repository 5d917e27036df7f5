//! Repairs references after resources were renamed.
//!
//! A reference holds a name that its target had at some time. Targets are looked up by former names and
//! namespaces; nothing is scanned per reference.

use std::collections::{BTreeSet, HashMap};

use ferro_yaml::{Kind, Node, Text};

use crate::config::NameReference;
use crate::error::{Error, Result, fail};
use crate::fieldspec::{Create, Walker};
use crate::id::{Gvk, NOT_NAMESPACEABLE, ResourceId};
use crate::resmap::{FixedState, ResMap};
use crate::resource::{Record, Resource};
use crate::schema::Schema;

type Map<K, V> = HashMap<K, V, FixedState>;

/// What is known of a resource that may be referred to.
struct Candidate {
    current: ResourceId,
    /// Former identities, oldest first.
    previous: Vec<ResourceId>,
    record: Record,
}

/// All candidates and the ways to find them.
struct Index {
    candidates: Vec<Candidate>,
    /// By a former name.
    by_name: Map<Text, Vec<usize>>,
    /// By a former name and the namespace of now.
    by_place: Map<(Text, Text), Vec<usize>>,
    /// The namespaces that those who are in a namespace now were in first.
    origins: Map<Text, BTreeSet<Text>>,
}

impl Index {
    fn new(resources: &ResMap, schema: &Schema) -> Self {
        let mut index = Self {
            candidates: Vec::with_capacity(resources.len()),
            by_name: Map::default(),
            by_place: Map::default(),
            origins: Map::default(),
        };
        for (at, resource) in resources.iter().enumerate() {
            let current = resource.id(schema);
            let previous: Vec<ResourceId> = resource.previous_ids().collect();
            let namespace = Text::from(current.effective_namespace());
            let original = previous.first().unwrap_or(&current);
            if original.effective_namespace() != NOT_NAMESPACEABLE {
                let origins = index.origins.entry(namespace.clone()).or_default();
                origins.insert(original.effective_namespace().into());
            }
            for id in &previous {
                let known = index.by_name.entry(id.name.clone()).or_default();
                if known.last() != Some(&at) {
                    known.push(at);
                }
                let known = index
                    .by_place
                    .entry((id.name.clone(), namespace.clone()))
                    .or_default();
                if known.last() != Some(&at) {
                    known.push(at);
                }
            }
            index.candidates.push(Candidate {
                current,
                previous,
                record: resource.record.clone(),
            });
        }
        index
    }

    fn named(&self, name: &str) -> &[usize] {
        self.by_name.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The specs that concern one type of referrers, with the type that each refers to.
type Specs = Vec<(Walker, Gvk)>;

/// Fixes all references.
pub(crate) fn fix(resources: &mut ResMap, config: &[NameReference], schema: &Schema) -> Result<()> {
    let mut index = Index::new(resources, schema);
    let mut specs: Map<Gvk, Specs> = Map::default();
    for at in 0..resources.len() {
        let Some(resource) = resources.get_mut(at) else {
            continue;
        };
        let gvk = resource.original_id(schema).gvk;
        let known = specs
            .entry(gvk.clone())
            .or_insert_with(|| specs_for(&gvk, config));
        if known.is_empty() {
            continue;
        }
        fix_one(resource, at, known, &index, schema)?;
        let current = resource.id(schema);
        if let Some(candidate) = index.candidates.get_mut(at) {
            candidate.current = current;
        }
    }
    Ok(())
}

fn specs_for(referrer: &Gvk, config: &[NameReference]) -> Specs {
    let mut specs = Specs::new();
    for target in config {
        for spec in target
            .field_specs
            .iter()
            .filter(|spec| referrer.is_selected_by(&spec.gvk()))
        {
            specs.push((Walker::new(spec, Create::Nothing), target.gvk()));
        }
    }
    specs
}

fn fix_one(resource: &mut Resource, at: usize, specs: &Specs, index: &Index, schema: &Schema) -> Result<()> {
    let Some(own) = index.candidates.get(at) else {
        return Ok(());
    };
    let mut referrer: Option<Referrer<'_>> = None;
    for (walker, target) in specs {
        if !walker.reaches(&resource.node) {
            continue;
        }
        if referrer.is_none() {
            referrer = Some(Referrer::new(resource, own, index)?);
        }
        let Some(referrer) = &referrer else { continue };
        let is_role_reference = walker.path().ends_with("roleRef/name");
        let search = Search {
            referrer,
            target,
            is_role_reference,
        };
        let (id, place) = (resource.id(schema), resource.location());
        let shown = id.clone();
        walker
            .walk(&mut resource.node, || id, &mut |node| search.update(node))
            .map_err(|error| {
                error
                    .during(format!(
                        "updating name reference in '{}' field of '{shown}'",
                        walker.path()
                    ))
                    .at(place)
            })?;
    }
    Ok(())
}

/// One resource whose references are repaired.
struct Referrer<'i> {
    index: &'i Index,
    own: &'i Candidate,
    snapshot: Resource,
    role: Option<Gvk>,
    /// The namespaces named by the subjects of a role binding.
    subject_namespaces: BTreeSet<Text>,
}

impl<'i> Referrer<'i> {
    fn new(resource: &Resource, own: &'i Candidate, index: &'i Index) -> Result<Self> {
        let role = resource.node.get("roleRef").and_then(|role| {
            let text = |key: &str| {
                role.get(key)
                    .filter(|node| !node.is_null())?
                    .text()
                    .map(Text::from)
            };
            Some(Gvk {
                group: text("apiGroup")?,
                version: Text::new(),
                kind: text("kind")?,
            })
        });
        let subject_namespaces = subject_namespaces(resource, &own.current)?;
        Ok(Self {
            index,
            own,
            snapshot: resource.clone(),
            role,
            subject_namespaces,
        })
    }

    /// Tells whether a candidate can be referred to at all.
    fn can_reach(&self, candidate: &Candidate) -> bool {
        let (own, other) = (&self.own.current, &candidate.current);
        own.is_cluster_scoped
            || other.is_cluster_scoped
            || own.effective_namespace() == other.effective_namespace()
            || self.subject_namespaces.contains(&other.namespace)
    }

    /// The namespaces of all who can be referred to.
    fn namespaces(&self) -> Vec<&str> {
        let mut namespaces = vec![self.own.current.effective_namespace(), NOT_NAMESPACEABLE];
        let of_subjects = self.subject_namespaces.iter().map(Text::as_str);
        namespaces
            .extend(of_subjects.filter(|namespace| *namespace != self.own.current.effective_namespace()));
        namespaces
    }

    /// Finds those who can be referred to and had a name, in the order of the resources.
    fn find(&self, name: &str) -> Vec<&'i Candidate> {
        let mut found: Vec<usize> = if self.own.current.is_cluster_scoped {
            self.index.named(name).to_vec()
        } else {
            let key = |namespace: &str| (Text::from(name), Text::from(namespace));
            let by_place = self
                .namespaces()
                .into_iter()
                .filter_map(|namespace| self.index.by_place.get(&key(namespace)));
            by_place.flatten().copied().collect()
        };
        found.sort_unstable();
        let candidates = found.into_iter().filter_map(|at| self.index.candidates.get(at));
        candidates.filter(|candidate| self.can_reach(candidate)).collect()
    }

    /// Tells whether any who can be referred to was first in a namespace.
    fn knows_origin(&self, namespace: &str) -> bool {
        if self.own.current.is_cluster_scoped {
            return self
                .index
                .origins
                .values()
                .any(|origins| origins.contains(namespace));
        }
        let origins = self
            .namespaces()
            .into_iter()
            .filter_map(|own| self.index.origins.get(own));
        origins.into_iter().any(|origins| origins.contains(namespace))
    }
}

fn subject_namespaces(resource: &Resource, id: &ResourceId) -> Result<BTreeSet<Text>> {
    let mut namespaces = BTreeSet::new();
    if id.gvk.kind != "RoleBinding" || id.is_cluster_scoped {
        return Ok(namespaces);
    }
    for subject in resource.node.get("subjects").map(Node::items).unwrap_or_default() {
        let Some(namespace) = subject.get("namespace") else {
            continue;
        };
        if subject.get("kind").and_then(Node::text) != Some("ServiceAccount") {
            continue;
        }
        match namespace.as_str() {
            Some(namespace) => namespaces.insert(namespace.into()),
            None => fail!(
                "Invalid Input: namespace is blank for resource {}\n",
                ferro_gocompat::quote::quote(&id.to_string())
            ),
        };
    }
    Ok(namespaces)
}

/// One field spec at work.
struct Search<'r, 'i> {
    referrer: &'r Referrer<'i>,
    target: &'r Gvk,
    is_role_reference: bool,
}

impl<'i> Search<'_, 'i> {
    fn update(&self, node: &mut Node) -> Result<()> {
        if node.is_null() {
            return Ok(());
        }
        match node.kind() {
            Kind::Scalar | Kind::Alias => self.update_scalar(node),
            Kind::Mapping => self.update_mapping(node),
            Kind::Sequence => {
                let Some(items) = node.as_sequence_mut() else {
                    return Ok(());
                };
                for item in items.as_mut_slice() {
                    match item.kind() {
                        _ if item.is_null() => {}
                        Kind::Mapping => self.update_mapping(item)?,
                        Kind::Scalar | Kind::Alias => self.update_scalar(item)?,
                        Kind::Sequence => fail!(
                            "&yaml.RNode{{fieldPath:[]string(nil), value:(*yaml.Node)(0x0), ShouldKeep:false, \
                             Match:[]string(nil)}} is expected to be either a string or a map of string"
                        ),
                    }
                }
                Ok(())
            }
        }
    }

    fn update_scalar(&self, node: &mut Node) -> Result<()> {
        let old = node.text().unwrap_or_default();
        let same = |left: &Candidate, right: &Candidate| left.current.name == right.current.name;
        if let Some(found) = self.choose(old, self.referrer.find(old), same)?
            && found.current.name != old
        {
            crate::field::overwrite(node, found.current.name.clone())?;
        }
        Ok(())
    }

    fn update_mapping(&self, node: &mut Node) -> Result<()> {
        let Some(name) = node.get("name") else {
            fail!("path config error; no 'name' field in node")
        };
        let old = name.text().unwrap_or_default().to_owned();
        let mut candidates = self.referrer.find(&old);
        if let Some(namespace) = node.get("namespace") {
            let namespace = namespace.text().unwrap_or_default();
            let by_origin = self.referrer.knows_origin(namespace);
            candidates.retain(|candidate| {
                let id = if by_origin {
                    candidate.previous.first().unwrap_or(&candidate.current)
                } else {
                    &candidate.current
                };
                !id.is_cluster_scoped && id.effective_namespace() == namespace
            });
        }
        let same = |left: &Candidate, right: &Candidate| {
            left.current.name == right.current.name && left.current.namespace == right.current.namespace
        };
        let Some(found) = self.choose(&old, candidates, same)? else {
            return Ok(());
        };
        let (name, namespace) = (&found.current.name, &found.current.namespace);
        for (key, value) in [("name", name), ("namespace", namespace)] {
            if !value.is_empty() {
                crate::field::put_text(node, key, value.clone());
            }
        }
        Ok(())
    }

    /// Narrows the candidates down to one.
    fn choose(
        &self,
        old: &str,
        mut candidates: Vec<&'i Candidate>,
        same: impl Fn(&Candidate, &Candidate) -> bool,
    ) -> Result<Option<&'i Candidate>> {
        let own = self.referrer.own;
        let was =
            |candidate: &Candidate, gvk: &Gvk| candidate.previous.iter().any(|id| id.gvk.is_selected_by(gvk));
        candidates.retain(|candidate| {
            candidate.previous.iter().any(|id| id.name == old)
                && was(candidate, self.target)
                && (!self.is_role_reference
                    || self
                        .referrer
                        .role
                        .as_ref()
                        .is_none_or(|role| was(candidate, role)))
                && (own.current.is_cluster_scoped
                    || candidate.current.is_cluster_scoped
                    || candidate.current.gvk.kind == "ServiceAccount"
                    || candidate.current.effective_namespace() == own.current.effective_namespace())
        });
        if let [only] = candidates.as_slice() {
            return Ok(Some(only));
        }
        candidates.retain(|candidate| candidate.record.has_same_affixes(&own.record, true));
        if candidates.len() > 1 {
            candidates.retain(|candidate| candidate.record.has_same_affixes(&own.record, false));
        }
        let Some((first, others)) = candidates.split_first() else {
            return Ok(None);
        };
        if others.iter().all(|other| same(first, other)) {
            return Ok(Some(first));
        }
        Err(self.ambiguity(&candidates))
    }

    fn ambiguity(&self, candidates: &[&Candidate]) -> Error {
        let ids: Vec<String> = candidates
            .iter()
            .map(|candidate| candidate.current.to_string())
            .collect();
        Error::other(format!(
            "found multiple possible referrals: {}\n\n**** Too many possible referral targets to referrer:\n{}\n{}",
            ids.join(", "),
            shown(&self.referrer.snapshot),
            candidates
                .iter()
                .enumerate()
                .map(|(number, candidate)| {
                    format!(
                        "--- possible referral {number}:\n{}\n",
                        shown_candidate(candidate)
                    )
                })
                .collect::<String>(),
        ))
    }
}

/// A resource with its bookkeeping, as upstream dumps it.
fn shown(resource: &Resource) -> String {
    let mut resource = resource.clone();
    resource.expose_record();
    crate::emit::config(&resource.node)
}

/// Its identity alone: upstream dumps the whole object, and what may be a Secret is nothing for a message.
fn shown_candidate(candidate: &Candidate) -> String {
    let id = &candidate.current;
    let mut resource = Resource::new(Node::mapping([
        ("apiVersion", Node::string(id.gvk.api_version())),
        ("kind", Node::string(id.gvk.kind.clone())),
    ]));
    resource.set_name(id.name.clone());
    resource.set_namespace(id.namespace.clone());
    resource.record = candidate.record.clone();
    shown(&resource)
}
