//! Images of containers.

use ferro_yaml::{Kind, Node};

use super::Cx;
use crate::Quirks;
use crate::error::Result;
use crate::fieldspec::{Create, Walker, wrong_node_kind};
use crate::resmap::ResMap;
use crate::types::{FieldSpec, Image};

/// Changes one image everywhere.
pub(crate) struct ImageTransformer {
    image: Image,
    pattern: crate::pattern::Regex,
    walkers: Vec<Walker>,
}

/// Takes an image apart into name, tag and digest.
fn split(image: &str) -> (&str, &str, &str) {
    // A port in the name of a registry is no tag.
    let start = image.find('/').unwrap_or(0);
    let tail = image.get(start..).unwrap_or_default();
    let at = |mark: char| tail.find(mark).map(|place| place + start);
    let cut = |place: usize| image.split_at_checked(place).unwrap_or((image, ""));
    match (at(':'), at('@')) {
        (None, None) => (image, "", ""),
        (Some(colon), None) => {
            let (name, tag) = cut(colon);
            (name, tag.strip_prefix(':').unwrap_or(tag), "")
        }
        (Some(colon), Some(digest)) if colon < digest => {
            let (front, digest) = cut(digest);
            let (name, tag) = front.split_at_checked(colon).unwrap_or((front, ""));
            (
                name,
                tag.get(1..).unwrap_or_default(),
                digest.get(1..).unwrap_or_default(),
            )
        }
        (_, Some(digest)) => {
            let (name, digest) = cut(digest);
            (name, "", digest.get(1..).unwrap_or_default())
        }
    }
}

impl ImageTransformer {
    pub(crate) fn new(image: Image, specs: &[FieldSpec]) -> Result<Self> {
        // The name is part of the pattern as it is, so that `.*nginx` works; and so does a dot for any.
        let pattern = format!(
            "^{}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$",
            image.name
        );
        let pattern = crate::pattern::compile(&pattern)?;
        Ok(Self {
            image,
            pattern,
            walkers: Walker::all(specs, Create::Nothing),
        })
    }

    pub(crate) fn transform(&self, resources: &mut ResMap, cx: Cx<'_>) -> Result<()> {
        // Upstream goes over pods twice and so appends a suffix twice.
        let only_once = cx.quirks == Quirks::Fixed && !self.image.tag_suffix.is_empty();
        for resource in resources.iter_mut() {
            if resource.kind() == "CustomResourceDefinition" {
                continue;
            }
            let (gvk, place) = (resource.gvk(), resource.location());
            let mut is_done = false;
            if has_containers(&resource.node) {
                self.in_containers(&mut resource.node, &mut is_done)
                    .map_err(|error| error.at(place.clone()))?;
            }
            for walker in self.walkers.iter().filter(|walker| walker.applies_to(&gvk)) {
                if only_once && is_done && !walker.path().contains("volumes") && self.is_of_containers(walker)
                {
                    continue;
                }
                let id = resource.id(cx.schema);
                walker
                    .walk(&mut resource.node, || id, &mut |node| {
                        self.update(node).map(|_| ())
                    })
                    .map_err(|error| error.at(place.clone()))?;
            }
        }
        Ok(())
    }

    /// Tells whether a spec leads to images that the search for containers found already.
    fn is_of_containers(&self, walker: &Walker) -> bool {
        let path = walker.path();
        path.ends_with("ontainers[]/image") || path.ends_with("ontainers/image")
    }

    /// Updates the images of all `containers` and `initContainers`, wherever they are.
    fn in_containers(&self, node: &mut Node, is_done: &mut bool) -> Result<()> {
        if let Some(items) = node.as_sequence_mut() {
            return items
                .as_mut_slice()
                .iter_mut()
                .try_for_each(|item| self.in_containers(item, is_done));
        }
        let Some(entries) = node.as_mapping_mut() else {
            return Ok(());
        };
        for entry in entries.as_mut_slice() {
            if !has_containers(&entry.value) && !is_containers(entry.name()) {
                continue;
            }
            self.in_containers(&mut entry.value, is_done)?;
            if !is_containers(entry.key.text()) {
                continue;
            }
            let Some(items) = entry.value.as_sequence_mut() else {
                continue;
            };
            for item in items.as_mut_slice() {
                if !item.is_mapping() && !item.is_null() {
                    return Err(wrong_node_kind(Kind::Mapping, item));
                }
                if let Some(image) = item.get_mut("image") {
                    *is_done |= self.update(image)?;
                }
            }
        }
        Ok(())
    }

    fn update(&self, node: &mut Node) -> Result<bool> {
        let Some(text) = node.text() else {
            return Err(wrong_node_kind(Kind::Scalar, node));
        };
        if !self.pattern.is_match(text) {
            return Ok(false);
        }
        let image = &self.image;
        let (name, tag, digest) = split(text);
        let name = if image.new_name.is_empty() {
            name
        } else {
            &image.new_name
        };
        let (tag, digest) = match (image.new_tag.as_str(), image.digest.as_str()) {
            ("", "") if image.tag_suffix.is_empty() => (tag.to_owned(), digest),
            ("", "") => (format!("{tag}{}", image.tag_suffix), ""),
            (new_tag, new_digest) => (new_tag.to_owned(), new_digest),
        };
        let mut new = name.to_owned();
        if !tag.is_empty() {
            new.push(':');
            new.push_str(&tag);
        }
        if !digest.is_empty() {
            new.push('@');
            new.push_str(digest);
        }
        crate::field::overwrite(node, new)?;
        Ok(true)
    }
}

fn is_containers(key: Option<&str>) -> bool {
    matches!(key, Some("containers" | "initContainers"))
}

/// Tells whether a list of containers is anywhere below.
fn has_containers(node: &Node) -> bool {
    node.entries()
        .iter()
        .any(|entry| is_containers(entry.name()) || has_containers(&entry.value))
        || node.items().iter().any(has_containers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_taken_apart() {
        for (image, expected) in [
            ("nginx", ("nginx", "", "")),
            ("nginx:1", ("nginx", "1", "")),
            ("host:5000/a/b", ("host:5000/a/b", "", "")),
            ("host:5000/a:2@sha256:ab", ("host:5000/a", "2", "sha256:ab")),
            ("a@sha256:ab", ("a", "", "sha256:ab")),
        ] {
            assert_eq!(split(image), expected, "{image}");
        }
    }
}
