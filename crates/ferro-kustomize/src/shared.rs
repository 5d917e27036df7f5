//! Labels and annotations that stand in several places and are one.
//!
//! Where a transformer adds a label to an object and to its template and selector, upstream puts the same
//! node into all of them, and whoever changes it in one place later changes it in all. Clusters hold what
//! came of that, so it is kept: such nodes carry a common anchor, which no output shows.

use ferro_yaml::{Node, Text};

use crate::resource::Resource;

/// What the nodes of one anchor hold.
pub(crate) type Shared = Vec<(Text, Node)>;

/// Makes the anchor of nodes that are added now.
pub(crate) fn anchor(resource: &Resource, key: &str) -> Text {
    format!("{}/{key}", resource.shared.len()).into()
}

/// Puts `new` in the place of `old`, with the anchor that is there.
pub(crate) fn overwrite(old: &mut Node, mut new: Node) {
    if !old.anchor().is_empty() {
        new.set_anchor(old.anchor().to_owned());
    }
    *old = new;
}

/// Brings a change of one node to all with the same anchor.
pub(crate) fn settle(resource: &mut Resource) {
    for (anchor, known) in &mut resource.shared {
        let mut changed = None;
        resource.node.visit(&mut |node| {
            if node.anchor() == anchor.as_str() && node != known {
                changed = Some(node.clone());
            }
        });
        if let Some(changed) = changed {
            set_all(&mut resource.node, anchor, &changed);
            *known = changed;
        }
    }
}

fn has_anchor(node: &Node, anchor: &str) -> bool {
    node.anchor() == anchor
        || node.items().iter().any(|item| has_anchor(item, anchor))
        || node
            .entries()
            .iter()
            .any(|entry| has_anchor(&entry.value, anchor))
}

fn set_all(node: &mut Node, anchor: &str, value: &Node) {
    if node.anchor() == anchor {
        *node = value.clone();
    } else if has_anchor(node, anchor) {
        if let Some(items) = node.as_sequence_mut() {
            items
                .as_mut_slice()
                .iter_mut()
                .for_each(|item| set_all(item, anchor, value));
        } else if let Some(entries) = node.as_mapping_mut() {
            entries
                .as_mut_slice()
                .iter_mut()
                .for_each(|entry| set_all(&mut entry.value, anchor, value));
        }
    }
}

/// Removes all anchors, for a form of the node that would show them.
pub(crate) fn without_anchors(node: &Node) -> Node {
    let mut node = node.clone();
    strip(&mut node);
    node
}

fn strip(node: &mut Node) {
    node.set_anchor("");
    if let Some(items) = node.as_sequence_mut() {
        items.as_mut_slice().iter_mut().for_each(strip);
    } else if let Some(entries) = node.as_mapping_mut() {
        entries
            .as_mut_slice()
            .iter_mut()
            .for_each(|entry| strip(&mut entry.value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_in_one_place_is_one_in_all() {
        let mut label = Node::string("old");
        label.set_anchor("0/app");
        let maps = || Node::mapping([("app", label.clone())]);
        let mut resource = Resource::new(Node::mapping([("a", maps()), ("b", maps())]));
        resource.shared.push(("0/app".into(), label.clone()));
        overwrite(
            resource.node.lookup_mut(["a", "app"]).unwrap(),
            Node::string("new"),
        );
        settle(&mut resource);
        assert_eq!(resource.node.lookup(["b", "app"]), Some(&Node::string("new")));
        assert_eq!(
            without_anchors(&resource.node)
                .lookup(["a", "app"])
                .unwrap()
                .anchor(),
            ""
        );
    }
}
