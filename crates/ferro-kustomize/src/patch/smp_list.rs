//! Lists that merge by keys or by value.

use ferro_yaml::{Kind, Node, Sequence, Text};

use super::smp::{Directive, Patch, Walk};
use crate::Quirks;
use crate::error::{Error, ErrorKind, Result, fail};
use crate::schema::NodeSchema;

const DIRECTIVE: &str = "$patch";

/// The values of the merge keys of one element; blank where the element has none.
type Tuple = Vec<Text>;

/// The keys and values that elements are compared by.
struct Match<'k> {
    keys: &'k [&'k str],
    values: &'k [Text],
}

fn key_text(element: &Node, key: &str) -> Text {
    let value = element
        .get(key)
        .filter(|value| !crate::scalar::is_nil_or_empty(value));
    value.and_then(Node::shared_text).cloned().unwrap_or_default()
}

impl Match<'_> {
    fn is_primitive(&self) -> bool {
        self.keys.first().is_none_or(|key| key.is_empty())
    }

    /// Finds the first element with exactly these values.
    fn find(&self, elements: &[Node]) -> Option<usize> {
        if self.is_primitive() {
            let wanted = self.values.first().map(Text::as_str).unwrap_or_default();
            return elements
                .iter()
                .position(|element| element.text().unwrap_or_default() == wanted);
        }
        elements.iter().position(|element| {
            self.keys.iter().zip(self.values).all(|(key, value)| {
                element
                    .get(key)
                    .is_some_and(|own| own.text().unwrap_or_default() == value.as_str())
            })
        })
    }

    /// Tells whether an element matches when a blank value of a key stands for any; a value without a key
    /// stands for itself. Keys beyond the values count as the comparison before them did.
    fn matches(&self, element: &Node) -> Result<bool> {
        if self.is_primitive() {
            if !element.is_scalar() {
                return Err(crate::fieldspec::wrong_node_kind(Kind::Scalar, element));
            }
            let wanted = self.values.first().map(Text::as_str).unwrap_or_default();
            return Ok(!self.values.is_empty() && element.text() == Some(wanted));
        }
        if !element.is_mapping() {
            return Err(crate::fieldspec::wrong_node_kind(Kind::Mapping, element));
        }
        Ok(!self.values.is_empty()
            && self.keys.iter().zip(self.values).all(|(key, value)| {
                element
                    .get(key)
                    .is_some_and(|own| value.is_empty() || own.text() == Some(value.as_str()))
            }))
    }

    fn wants_mappings(&self) -> bool {
        !self.is_primitive() && self.values.first().is_some_and(|value| !value.is_empty())
    }

    /// Puts an element in the place of all that match, else at the end; without one, those that match
    /// are removed. Elements that are empty go, and with no values at all everything goes.
    fn set(&self, elements: &mut Vec<Node>, element: Option<&Node>) -> Result<()> {
        let mut kept = Vec::with_capacity(elements.len() + 1);
        let mut is_placed = false;
        for own in elements.drain(..) {
            if own.is_null() || own.as_mapping().is_some_and(|entries| entries.is_empty()) {
                continue;
            }
            if !own.is_mapping() && self.wants_mappings() {
                kept.push(own);
            } else if self.matches(&own)? {
                is_placed = true;
                kept.extend(element.cloned());
            } else if !self.values.is_empty() {
                kept.push(own);
            }
        }
        *elements = kept;
        if let (false, Some(element)) = (is_placed, element.filter(|element| !element.is_null())) {
            elements.push(element.clone());
        }
        Ok(())
    }
}

/// The directive of a list: that of its first element with one, if that element has nothing else.
fn list_directive(patch: &[Node]) -> Result<(Directive, &str)> {
    let Some(element) = patch.iter().find(|element| element.get(DIRECTIVE).is_some()) else {
        return Ok((Directive::None, ""));
    };
    if element.entries().len() > 1 {
        return Ok((Directive::None, ""));
    }
    let word = element.get(DIRECTIVE).and_then(Node::text).unwrap_or_default();
    match word {
        "delete" => Ok((Directive::Delete, word)),
        "replace" => Ok((Directive::Replace, word)),
        "merge" => Ok((Directive::Merge, word)),
        word => fail!("unknown patch strategy '{word}'"),
    }
}

/// Takes out all elements with this directive.
fn without_directives(patch: &[Node], word: &str) -> Result<Vec<Node>> {
    let mut elements = patch.to_vec();
    let values = [Text::from(word)];
    Match {
        keys: &[DIRECTIVE],
        values: &values,
    }
    .set(&mut elements, None)?;
    Ok(elements)
}

impl<'s> Walk<'s> {
    pub(super) fn list(
        &mut self,
        dest: Option<Node>,
        patch: Patch<'_>,
        schema: NodeSchema<'s>,
        keys: &[&str],
    ) -> Result<Option<Node>> {
        let is_new = dest.as_ref().is_none_or(Node::is_null);
        let (mut list, patch): (Node, Option<Vec<Node>>) = match (dest, patch) {
            (_, Patch::Node(node)) if node.is_null() => return Ok(None),
            // New content is merged with itself, and only then is a directive on the list not looked for.
            (_, Patch::Node(node)) if is_new => (node.clone(), None),
            (Some(dest), Patch::Absent) => return self.elements(dest, Some(&[]), schema, keys).map(Some),
            (Some(dest), Patch::Same) => match list_directive(dest.items())? {
                (Directive::Delete, _) => return Ok(None),
                (Directive::None, _) => (dest, None),
                (_, word) => (with_items(&dest, without_directives(dest.items(), word)?), None),
            },
            (Some(dest), Patch::Node(node)) => match list_directive(node.items())? {
                (Directive::Delete, _) => return Ok(None),
                (Directive::None, _) => (dest, Some(node.items().to_vec())),
                (Directive::Replace, word) => {
                    (with_items(node, without_directives(node.items(), word)?), None)
                }
                (Directive::Merge, word) => (dest, Some(without_directives(node.items(), word)?)),
            },
            (None, _) => return Ok(None),
        };
        list = self.elements(list, patch.as_deref(), schema, keys)?;
        Ok(Some(list))
    }

    /// Merges element by element; without a patch the list is merged with itself.
    fn elements(
        &mut self,
        dest: Node,
        patch: Option<&[Node]>,
        schema: NodeSchema<'s>,
        keys: &[&str],
    ) -> Result<Node> {
        let mut own = dest.items().to_vec();
        let is_primitive = keys.is_empty();
        let keys = if is_primitive { &[""][..] } else { keys };
        let mut tuples = tuples(&own, patch, keys, is_primitive);
        if keys.len() > 1 {
            unify(&mut tuples);
        }
        if tuples.is_empty() {
            return Ok(dest);
        }
        let before = if self.quirks == Quirks::Fixed && !is_primitive {
            own.clone()
        } else {
            Vec::new()
        };
        let usable: Vec<&str> = usable_keys(&tuples, keys);
        let mut merged: Vec<Node> = Vec::with_capacity(tuples.len());
        for tuple in &tuples {
            let values: Vec<Text> = tuple
                .iter()
                .zip(keys)
                .filter(|(value, key)| !value.is_empty() || usable.contains(key))
                .map(|(value, _)| value.clone())
                .collect();
            let place = Match {
                keys: &usable,
                values: &values,
            };
            self.element(&mut own, patch, &mut merged, &place, schema)?;
        }
        append_rest(&mut merged, &own, &usable, is_primitive)?;
        if !before.is_empty() || (self.quirks == Quirks::Fixed && patch.is_some() && !is_primitive) {
            self.refuse_data_loss(&before, patch.unwrap_or_default(), &merged, keys)?;
        }
        Ok(with_items(&dest, merged))
    }

    /// Merges the elements of one tuple.
    fn element(
        &mut self,
        own: &mut Vec<Node>,
        patch: Option<&[Node]>,
        merged: &mut Vec<Node>,
        place: &Match<'_>,
        schema: NodeSchema<'s>,
    ) -> Result<()> {
        // Blank values take no part in the search, unless all are blank.
        let stated: Vec<(&str, Text)> = place
            .keys
            .iter()
            .zip(place.values)
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (*key, value.clone()))
            .collect();
        let (keys, values): (Vec<&str>, Vec<Text>) = if stated.is_empty() {
            (place.keys.to_vec(), place.values.to_vec())
        } else {
            stated.into_iter().unzip()
        };
        let search = Match {
            keys: &keys,
            values: &values,
        };
        let index = search.find(own);
        let old = index.and_then(|index| own.get(index)).cloned();
        let new = match patch {
            None if index.is_some() => Patch::Same,
            None => Patch::Absent,
            Some(patch) => Patch::of(search.find(patch).and_then(|index| patch.get(index))),
        };
        let replaces = matches!(new, Patch::Node(node) if has_directive(node, "replace"));
        let had_own = old.is_some();
        let name: Vec<&str> = place.values.iter().map(Text::as_str).collect();
        self.path.push(format!("[{}]", name.join(",")).into());
        let result = self.node(old, new, schema.item())?;
        self.path.pop();
        let result = result
            .filter(|node| !node.is_null() && !node.as_mapping().is_some_and(|entries| entries.is_empty()));
        let Some(mut result) = result else {
            return place.set(own, None);
        };
        if let (true, Some(value)) = (place.is_primitive() && result.is_scalar(), place.values.first())
            && !value.is_empty()
        {
            // Upstream sets the value anew, which loses its tag.
            crate::field::overwrite(&mut result, value.clone())?;
        }
        for (key, value) in place.keys.iter().zip(place.values) {
            if result.is_mapping() && result.get(key).is_none() && !value.is_empty() {
                crate::field::put_text(&mut result, *key, value.clone());
            }
        }
        // What was merged in place is seen again when the rest of the list is appended.
        if had_own
            && !replaces
            && let Some(slot) = index.and_then(|index| own.get_mut(index))
        {
            *slot = result.clone();
        }
        place.set(merged, Some(&result))
    }

    /// Refuses lists from which upstream drops elements without a word.
    fn refuse_data_loss(&self, own: &[Node], patch: &[Node], merged: &[Node], keys: &[&str]) -> Result<()> {
        let lost = |index: usize, side: &str| {
            let text = format!(
                "element {index} of '{}' in {side} would be lost: its {} is missing or not unique",
                self.path_text(),
                keys.join(" and "),
            );
            Err(Error::from(ErrorKind::DataLoss(text)))
        };
        for (index, element) in patch
            .iter()
            .enumerate()
            .filter(|(_, element)| element.is_mapping())
        {
            let is_kept =
                element.get(DIRECTIVE).is_some() || merged.iter().any(|found| has_values(found, element));
            if !is_kept {
                return lost(index, "the patch");
            }
        }
        let deleted: Vec<&Node> = patch
            .iter()
            .filter(|element| has_directive(element, "delete"))
            .collect();
        for (index, element) in own.iter().enumerate().filter(|(_, element)| element.is_mapping()) {
            let agrees = |other: &&Node| {
                keys.iter().all(|key| {
                    let (own, other) = (key_text(element, key), key_text(other, key));
                    own.is_empty() || other.is_empty() || own == other
                })
            };
            let has_key = keys.iter().any(|key| !key_text(element, key).is_empty());
            let is_kept = if has_key {
                merged.iter().any(|found| agrees(&found)) || deleted.iter().any(agrees)
            } else {
                merged.contains(element)
            };
            if !is_kept && !element.entries().is_empty() {
                return lost(index, "the object");
            }
        }
        Ok(())
    }
}

/// Tells whether all plain values of `wanted` are there.
fn has_values(found: &Node, wanted: &Node) -> bool {
    wanted
        .entries()
        .iter()
        .filter(|entry| entry.value.is_scalar() && !entry.value.is_null())
        .all(|entry| {
            let own = entry.name().and_then(|name| found.get(name));
            own.is_some_and(|own| own.text() == entry.value.text())
        })
}

fn has_directive(element: &Node, word: &str) -> bool {
    element.get(DIRECTIVE).and_then(Node::text) == Some(word)
}

fn with_items(list: &Node, items: Vec<Node>) -> Node {
    let mut list = list.clone();
    if let Some(slot) = list.as_sequence_mut() {
        *slot = Sequence::from(items);
    }
    list
}

/// The distinct tuples of both sides, those of the patch first.
fn tuples(own: &[Node], patch: Option<&[Node]>, keys: &[&str], is_primitive: bool) -> Vec<Tuple> {
    let mut tuples: Vec<Tuple> = Vec::new();
    for element in patch.unwrap_or_default().iter().chain(own) {
        let tuple: Tuple = if is_primitive {
            vec![element.shared_text().cloned().unwrap_or_default()]
        } else {
            keys.iter().map(|key| key_text(element, key)).collect()
        };
        if !tuples.contains(&tuple) {
            tuples.push(tuple);
        }
    }
    tuples
}

/// Fills blanks of tuples from others that agree with them in some key and contradict them in none.
fn unify(tuples: &mut [Tuple]) {
    for left in 0..tuples.len() {
        // The left side is the one that the loop started with, however it changes on the way.
        let Some(first) = tuples.get(left).cloned() else {
            continue;
        };
        for right in 0..tuples.len() {
            let Some(second) = tuples.get(right) else { continue };
            let Some(both) = unified(&first, second) else {
                continue;
            };
            for index in [left, right] {
                if let Some(slot) = tuples.get_mut(index) {
                    slot.clone_from(&both);
                }
            }
        }
    }
}

fn unified(left: &Tuple, right: &Tuple) -> Option<Tuple> {
    let mut agrees = false;
    let mut both = Tuple::with_capacity(left.len());
    for (left, right) in left.iter().zip(right) {
        if left == right {
            agrees = true;
        } else if !left.is_empty() && !right.is_empty() {
            return None;
        }
        both.push(if left.is_empty() {
            right.clone()
        } else {
            left.clone()
        });
    }
    agrees.then_some(both)
}

/// The keys that any tuple has a value for; all of them if none has.
fn usable_keys<'k>(tuples: &[Tuple], keys: &[&'k str]) -> Vec<&'k str> {
    let is_used = |place: usize| {
        tuples
            .iter()
            .any(|tuple| tuple.get(place).is_some_and(|value| !value.is_empty()))
    };
    let used: Vec<&str> = keys
        .iter()
        .enumerate()
        .filter(|(place, _)| is_used(*place))
        .map(|(_, key)| *key)
        .collect();
    if used.is_empty() { keys.to_vec() } else { used }
}

/// Appends what the object had: an element that was merged takes its own place again.
fn append_rest(merged: &mut Vec<Node>, own: &[Node], keys: &[&str], is_primitive: bool) -> Result<()> {
    for element in own {
        if !is_primitive && !element.is_mapping() && !element.is_null() {
            return Err(crate::fieldspec::wrong_node_kind(Kind::Mapping, element));
        }
        if is_primitive {
            let values = [element.shared_text().cloned().unwrap_or_default()];
            Match {
                keys: &[""],
                values: &values,
            }
            .set(merged, Some(element))?;
            continue;
        }
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            match element.get(key) {
                Some(value) => values.push(value.shared_text().cloned().unwrap_or_default()),
                None => merged.push(element.clone()),
            }
        }
        let place = Match {
            keys,
            values: &values,
        };
        if keys.len() > 1 {
            place.set(merged, None)?;
        }
        place.set(merged, Some(element))?;
    }
    Ok(())
}
