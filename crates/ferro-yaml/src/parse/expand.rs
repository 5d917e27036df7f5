//! Aliases and merge keys, resolved as kyaml does.

use std::collections::{BTreeMap, BTreeSet};

use super::Limits;
use crate::{Entry, Error, Kind, Mapping, Node, Result, Sequence, Tag, Text};

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

/// What an anchor stands for.
#[derive(Clone)]
struct Anchored {
    node: Node,
    /// How many nodes there are in it.
    size: usize,
    /// How many levels of collections there are below it.
    levels: usize,
}

struct Expander<'l> {
    limits: &'l Limits,
    /// `None` while the anchored node is still being expanded.
    anchors: BTreeMap<String, Option<Anchored>>,
    budget: AliasBudget,
    depth: usize,
    /// The deepest level that was seen since the current anchor.
    deepest: usize,
}

/// Returns a tree without aliases, merge keys and anchors.
pub(super) fn expand(root: &Node, limits: &Limits) -> Result<Node> {
    let mut expander = Expander {
        limits,
        anchors: BTreeMap::new(),
        budget: AliasBudget::default(),
        depth: 0,
        deepest: 0,
    };
    expander.node(root)
}

impl Expander<'_> {
    fn node(&mut self, node: &Node) -> Result<Node> {
        self.count(1, 0)?;
        if let Some(name) = node.alias_name() {
            return self.alias(name, node);
        }
        let anchor = node.anchor();
        if anchor.is_empty() {
            return self.content(node);
        }
        let (before, deepest) = (self.budget.total, self.deepest);
        self.deepest = self.depth;
        self.anchors.insert(anchor.to_owned(), None);
        let mut expanded = self.content(node)?;
        expanded.set_anchor("");
        let anchored = Anchored {
            node: expanded.clone(),
            size: self.budget.total - before,
            levels: self.deepest - self.depth,
        };
        self.anchors.insert(anchor.to_owned(), Some(anchored));
        self.deepest = self.deepest.max(deepest);
        Ok(expanded)
    }

    fn content(&mut self, node: &Node) -> Result<Node> {
        let mut copy = node.clone();
        if let Some(slot) = copy.as_sequence_mut() {
            self.descend(1, node)?;
            let items = node.items().iter().map(|item| self.node(item));
            *slot = Sequence::from(items.collect::<Result<Vec<_>>>()?);
            self.depth -= 1;
        } else if let Some(slot) = copy.as_mapping_mut() {
            self.descend(1, node)?;
            *slot = self.mapping(node.entries())?;
            self.depth -= 1;
        }
        Ok(copy)
    }

    /// Notes that there are so many more levels here; aliases make trees deeper than their text.
    fn descend(&mut self, levels: usize, node: &Node) -> Result<()> {
        let limit = self.limits.depth;
        let deepest = self.depth + levels;
        if deepest > limit {
            let line = node.position().line;
            return Err(Error::TooDeep { line, limit });
        }
        self.deepest = self.deepest.max(deepest);
        self.depth += 1;
        Ok(())
    }

    fn alias(&mut self, name: &str, alias: &Node) -> Result<Node> {
        let Anchored { node, size, levels } = self.anchored(name, alias)?;
        self.count(size, size)?;
        self.descend(levels, alias)?;
        self.depth -= 1;
        Ok(node)
    }

    fn anchored(&self, name: &str, alias: &Node) -> Result<Anchored> {
        match self.anchors.get(name) {
            Some(Some(anchored)) => Ok(anchored.clone()),
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

    fn mapping(&mut self, entries: &[Entry]) -> Result<Mapping> {
        let merge = merge_value(entries)?;
        if let Some(value) = merge {
            check_sources(value)?;
        }
        let mut sources = Vec::new();
        let mut own = Mapping::with_capacity(entries.len());
        let mut is_cleared = false;
        for entry in entries {
            // What is merged may be anchored further up in the same mapping.
            if entry.key.tag() == Tag::Merge {
                self.merge_sources(&entry.value, &mut sources)?;
            }
            // kyaml removes the first key with that name, whatever its tag, and whether there is something to merge or not.
            if !is_cleared && key_text(&entry.key).as_str() == "<<" {
                is_cleared = true;
                continue;
            }
            own.push(self.entry(entry)?);
        }
        merge_into(&mut own, &sources);
        Ok(own)
    }

    fn entry(&mut self, entry: &Entry) -> Result<Entry> {
        let key = self.node(&entry.key)?;
        let value = self.node(&entry.value)?;
        Ok(Entry { key, value })
    }

    /// Adds the fields to merge, in the order in which kyaml applies them: the last of a list first.
    fn merge_sources(&mut self, node: &Node, sources: &mut Vec<Mapping>) -> Result<()> {
        if !node.anchor().is_empty() {
            // Aliases of it come later.
            self.node(node)?;
        }
        if let Some(name) = node.alias_name() {
            let Anchored {
                node: target, size, ..
            } = self.anchored(name, node)?;
            let Some(fields) = target.as_mapping() else {
                let problem = "invalid map merge: received alias for a non-map value";
                return Err(merge_error(node, problem));
            };
            self.count(size, size)?;
            sources.push(fields.clone());
            return Ok(());
        }
        match node.kind() {
            Kind::Mapping => {
                // A merge key in here is a field like any other to kyaml.
                let fields = node.entries().iter().map(|entry| self.entry(entry));
                sources.push(fields.collect::<Result<Vec<_>>>()?.into());
                Ok(())
            }
            Kind::Sequence => {
                let start = sources.len();
                for item in node.items() {
                    self.merge_sources(item, sources)?;
                }
                if let Some(added) = sources.get_mut(start..) {
                    added.reverse();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Refuses what cannot be merged, before anything in the mapping is looked at.
fn check_sources(node: &Node) -> Result<()> {
    match node.kind() {
        Kind::Mapping | Kind::Alias => Ok(()),
        Kind::Sequence => node.items().iter().try_for_each(|item| {
            if item.is_sequence() {
                return Err(merge_error(item, "invalid map merge: received a nested sequence"));
            }
            check_sources(item)
        }),
        Kind::Scalar => {
            let problem = "map merge requires map or sequence of maps as the value";
            Err(merge_error(node, problem))
        }
    }
}

/// Finds what is to be merged into a mapping.
fn merge_value(entries: &[Entry]) -> Result<Option<&Node>> {
    let mut values = entries.iter().filter(|entry| entry.key.tag() == Tag::Merge);
    let first = values.next();
    match values.next() {
        Some(second) => Err(merge_error(&second.key, "duplicate merge key")),
        None => Ok(first.map(|entry| &entry.value)),
    }
}

/// Returns what kyaml compares of a key, whatever kind of node that is.
fn key_text(key: &Node) -> Text {
    match key.shared_text() {
        Some(text) => text.clone(),
        None => key.alias_name().unwrap_or_default().into(),
    }
}

/// Sets the fields of the sources in a mapping, and then its own again, so that these win.
fn merge_into(target: &mut Mapping, sources: &[Mapping]) {
    // Its own fields change nothing, unless kyaml does not find them again.
    let is_lost = |entry: &Entry| entry.key.is_null() && entry.key.text() != Some("");
    if sources.is_empty() && !target.iter().any(is_lost) {
        return;
    }
    let own = target.clone();
    let mut places = Places::new();
    for (index, entry) in target.iter().enumerate() {
        places.entry(key_text(&entry.key)).or_default().insert(index);
    }
    for source in sources.iter().chain([&own]) {
        set_fields(target, &mut places, source);
    }
}

/// Where in a mapping the keys are that have some text.
type Places = BTreeMap<Text, BTreeSet<usize>>;

/// Sets fields, each in the place of the first one of its name. Of equal keys in a source the first counts.
fn set_fields(target: &mut Mapping, places: &mut Places, source: &[Entry]) {
    let mut first_of = BTreeMap::new();
    for entry in source {
        let field = *first_of.entry(key_text(&entry.key)).or_insert(entry);
        // kyaml takes the name of a null for empty, and so adds one anew each time.
        let text = key_text(&field.key);
        let name = if field.key.is_null() {
            Text::new()
        } else {
            text.clone()
        };
        let place = places.get(&name).and_then(|indices| indices.first().copied());
        let Some(index) = place else {
            places.entry(text).or_default().insert(target.len());
            target.push(field.clone());
            continue;
        };
        if let Some(slot) = target.as_mut_slice().get_mut(index) {
            *slot = field.clone();
        }
        if name != text {
            places.entry(name).or_default().remove(&index);
            places.entry(text).or_default().insert(index);
        }
    }
}

fn exceeds_ratio(aliased: usize, total: usize) -> bool {
    let (aliased, total) = (aliased as f64, total as f64);
    let progress = ((total - RATIO_RANGE.0) / (RATIO_RANGE.1 - RATIO_RANGE.0)).clamp(0.0, 1.0);
    aliased / total > RATIO.0 - (RATIO.0 - RATIO.1) * progress
}

fn merge_error(node: &Node, problem: &'static str) -> Error {
    Error::Merge {
        line: node.position().line,
        problem,
    }
}
