//! Aliases and merge keys, resolved as kyaml does.

use std::collections::BTreeMap;

use super::Limits;
use crate::{Entry, Error, Mapping, Node, Result, Sequence, Tag};

/// go-yaml tolerates this share of nodes to come from aliases, falling from the first figure to the
/// second between these document sizes.
const RATIO_RANGE: (f64, f64) = (400_000.0, 4_000_000.0);
const RATIO: (f64, f64) = (0.99, 0.10);

/// Counts decoded nodes, as a guard against aliases that blow a document up.
#[derive(Default)]
pub(crate) struct AliasBudget {
    total: usize,
    aliased: usize,
}

impl AliasBudget {
    /// Counts a node, which may be seen through an alias.
    pub(crate) fn count(&mut self, is_aliased: bool) -> Result<()> {
        self.add(1, usize::from(is_aliased))
    }

    fn add(&mut self, total: usize, aliased: usize) -> Result<()> {
        self.total = self.total.saturating_add(total);
        self.aliased = self.aliased.saturating_add(aliased);
        if self.aliased > 100 && self.total > 1000 && exceeds_ratio(self.aliased, self.total) {
            return Err(Error::ExcessiveAliasing);
        }
        Ok(())
    }
}

/// Finds what each alias, known by its address, refers to: the last anchor of its name before it.
pub(crate) fn alias_targets(root: &Node) -> BTreeMap<usize, &Node> {
    let (mut anchors, mut targets) = (BTreeMap::new(), BTreeMap::new());
    collect_targets(root, &mut anchors, &mut targets);
    targets
}

fn collect_targets<'d>(
    node: &'d Node,
    anchors: &mut BTreeMap<&'d str, &'d Node>,
    targets: &mut BTreeMap<usize, &'d Node>,
) {
    if !node.anchor().is_empty() {
        anchors.insert(node.anchor(), node);
    }
    if let Some(target) = node.alias_name().and_then(|name| anchors.get(name)) {
        targets.insert(std::ptr::from_ref(node).addr(), target);
    }
    for item in node.items() {
        collect_targets(item, anchors, targets);
    }
    for entry in node.entries() {
        collect_targets(&entry.key, anchors, targets);
        collect_targets(&entry.value, anchors, targets);
    }
}

struct Expander<'l> {
    limits: &'l Limits,
    /// `None` while the anchored node is still being expanded.
    anchors: BTreeMap<String, Option<(Node, usize)>>,
    budget: AliasBudget,
}

/// Returns a tree without aliases, merge keys and anchors.
pub(super) fn expand(root: &Node, limits: &Limits) -> Result<Node> {
    let mut expander = Expander {
        limits,
        anchors: BTreeMap::new(),
        budget: AliasBudget::default(),
    };
    expander.node(root)
}

impl Expander<'_> {
    fn node(&mut self, node: &Node) -> Result<Node> {
        let before = self.budget.total;
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
            let size = self.budget.total - before;
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
        self.budget.add(total, aliased)?;
        let limit = self.limits.nodes;
        if self.budget.total > limit {
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
