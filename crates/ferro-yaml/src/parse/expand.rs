//! Aliases and merge keys, resolved as kyaml does.

use std::collections::BTreeMap;

use super::Limits;
use crate::{Entry, Error, Mapping, Node, Result, Sequence, Tag};

/// go-yaml tolerates this share of nodes to come from aliases, falling from the first figure to the
/// second between these document sizes.
const RATIO_RANGE: (f64, f64) = (400_000.0, 4_000_000.0);
const RATIO: (f64, f64) = (0.99, 0.10);

struct Expander<'l> {
    limits: &'l Limits,
    /// `None` while the anchored node is still being expanded.
    anchors: BTreeMap<String, Option<(Node, usize)>>,
    total: usize,
    aliased: usize,
}

/// Returns a tree without aliases, merge keys and anchors.
pub(super) fn expand(root: &Node, limits: &Limits) -> Result<Node> {
    let mut expander = Expander {
        limits,
        anchors: BTreeMap::new(),
        total: 0,
        aliased: 0,
    };
    expander.node(root)
}

impl Expander<'_> {
    fn node(&mut self, node: &Node) -> Result<Node> {
        let before = self.total;
        self.count(1, 0)?;
        let anchor = node.anchor();
        if !anchor.is_empty() {
            self.anchors.insert(anchor.to_owned(), None);
        }
        let mut expanded = if let Some(name) = node.alias_name() {
            return self.alias(name, node);
        } else if let Some(items) = node.as_sequence() {
            let items = items
                .iter()
                .map(|item| self.node(item))
                .collect::<Result<Vec<_>>>()?;
            let mut copy = node.clone();
            if let Some(slot) = copy.as_sequence_mut() {
                *slot = Sequence::from(items);
            }
            copy
        } else if let Some(entries) = node.as_mapping() {
            let entries = self.mapping(entries)?;
            let mut copy = node.clone();
            if let Some(slot) = copy.as_mapping_mut() {
                *slot = entries;
            }
            copy
        } else {
            node.clone()
        };
        if !anchor.is_empty() {
            expanded.set_anchor("");
            let size = self.total - before;
            self.anchors
                .insert(anchor.to_owned(), Some((expanded.clone(), size)));
        }
        Ok(expanded)
    }

    fn alias(&mut self, name: &str, alias: &Node) -> Result<Node> {
        match self.anchors.get(name) {
            Some(Some((target, size))) => {
                let (target, size) = (target.clone(), *size);
                self.count(size, size)?;
                Ok(target)
            }
            Some(None) => Err(Error::RecursiveAlias {
                name: name.to_owned(),
            }),
            None => Err(Error::UnknownAnchor {
                name: name.to_owned(),
                line: alias.position().line,
            }),
        }
    }

    /// Counts nodes as if they were copied, though they are shared: whoever walks the tree meets them all.
    fn count(&mut self, total: usize, aliased: usize) -> Result<()> {
        self.total = self.total.saturating_add(total);
        self.aliased = self.aliased.saturating_add(aliased);
        if self.aliased > 100 && self.total > 1000 && exceeds_ratio(self.aliased, self.total) {
            return Err(Error::ExcessiveAliasing);
        }
        let limit = self.limits.nodes;
        if self.total > limit {
            Err(Error::TooManyNodes { limit })
        } else {
            Ok(())
        }
    }

    fn mapping(&mut self, entries: &Mapping) -> Result<Mapping> {
        let mut own = Vec::with_capacity(entries.len());
        let mut merge = None;
        for entry in entries {
            let key = self.node(&entry.key)?;
            let value = self.node(&entry.value)?;
            if key.tag() != Tag::Merge {
                own.push(Entry { key, value });
            } else if merge.replace(value).is_some() {
                return Err(merge_error(&entry.key, "duplicate merge key"));
            }
        }
        let mut merged = Mapping::from(own);
        if let Some(sources) = merge {
            merge_into(&mut merged, &sources)?;
        }
        Ok(merged)
    }
}

fn exceeds_ratio(aliased: usize, total: usize) -> bool {
    let (aliased, total) = (aliased as f64, total as f64);
    let progress = ((total - RATIO_RANGE.0) / (RATIO_RANGE.1 - RATIO_RANGE.0)).clamp(0.0, 1.0);
    aliased / total > RATIO.0 - (RATIO.0 - RATIO.1) * progress
}

/// Adds the fields of the sources behind the mapping's own. Of two sources the first wins, but kyaml adds
/// the fields of the last one first.
fn merge_into(target: &mut Mapping, sources: &Node) -> Result<()> {
    let single = std::slice::from_ref(sources);
    let sources = sources.as_sequence().map_or(single, |items| items);
    let own = target.len();
    for source in sources.iter().rev() {
        let Some(fields) = source.as_mapping() else {
            let problem = match source.kind() {
                crate::Kind::Sequence => "invalid map merge: received a nested sequence",
                _ => "map merge requires map or sequence of maps as the value",
            };
            return Err(merge_error(source, problem));
        };
        for field in fields {
            let known = target.iter().position(|entry| entry.key == field.key);
            match known {
                Some(index) if index < own => {}
                Some(index) => {
                    if let Some(slot) = target.as_mut_slice().get_mut(index) {
                        slot.value = field.value.clone();
                    }
                }
                None => target.push(field.clone()),
            }
        }
    }
    Ok(())
}

fn merge_error(node: &Node, problem: &'static str) -> Error {
    Error::Merge {
        line: node.position().line,
        problem,
    }
}
