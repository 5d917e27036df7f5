//! A build as lists of parts, so that parts can be left out.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A directory with a kustomization.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) is_component: bool,
    /// The documents of its one resource file.
    pub(super) documents: Vec<String>,
    /// Fields of the kustomization: the name, and an entry of its list or the whole value.
    pub(super) fields: Vec<(String, String)>,
    /// Other files.
    pub(super) files: Vec<(String, String)>,
}

/// Layers; the last one is built.
#[derive(Clone, Debug, Default)]
pub(super) struct Case {
    pub(super) layers: Vec<Layer>,
    /// Whether the output is in the legacy order.
    pub(super) is_sorted: bool,
}

/// Something that may be left out of a layer.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Document(String),
    Field(String, String),
}

fn indent(text: &str, width: usize) -> String {
    let pad = " ".repeat(width);
    let lines: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(index, line)| {
            if index == 0 || line.is_empty() {
                line.to_owned()
            } else {
                format!("{pad}{line}")
            }
        })
        .collect();
    lines.join("\n")
}

fn is_binary(name: &str) -> bool {
    name.ends_with(".bin")
}

/// A character of a binary file stands for a byte.
fn one_byte_each(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

/// Fields whose value is not a list.
fn is_single(field: &str) -> bool {
    matches!(
        field,
        "namePrefix"
            | "nameSuffix"
            | "namespace"
            | "commonLabels"
            | "commonAnnotations"
            | "generatorOptions"
            | "openapi"
            | "sortOptions"
            | "buildMetadata"
            | "metadata"
    )
}

impl Layer {
    fn kustomization(&self) -> String {
        let mut text = if self.is_component {
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n".to_owned()
        } else {
            "kind: Kustomization\n".to_owned()
        };
        let mut lists: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        if !self.documents.is_empty() {
            lists.entry("resources").or_default().push("objects.yaml");
        }
        for (field, value) in &self.fields {
            if is_single(field) {
                text.push_str(&format!("{field}: {}\n", indent(value, 2)));
            } else {
                lists.entry(field).or_default().push(value);
            }
        }
        for (field, values) in lists {
            text.push_str(&format!("{field}:\n"));
            for value in values {
                text.push_str(&format!("- {}\n", indent(value, 2)));
            }
        }
        text
    }
}

impl Case {
    pub(super) fn target(&self) -> String {
        format!("/{}", self.layers.last().unwrap().name)
    }

    pub(super) fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for layer in &self.layers {
            files.insert(
                format!("/{}/kustomization.yaml", layer.name),
                layer.kustomization(),
            );
            if !layer.documents.is_empty() {
                files.insert(
                    format!("/{}/objects.yaml", layer.name),
                    layer.documents.join("---\n"),
                );
            }
            for (name, text) in &layer.files {
                files.insert(format!("/{}/{name}", layer.name), text.clone());
            }
        }
        files
    }

    /// The files that are text, as they are.
    pub(super) fn texts(&self) -> BTreeMap<String, String> {
        let mut files = self.files();
        files.retain(|name, _| !is_binary(name));
        files
    }

    /// The files that are not text, in base64.
    pub(super) fn binaries(&self) -> BTreeMap<String, String> {
        let files = self.files().into_iter();
        let binaries = files.filter(|(name, _)| is_binary(name));
        binaries
            .map(|(name, text)| (name, STANDARD.encode(one_byte_each(&text))))
            .collect()
    }

    /// All files.
    pub(super) fn bytes(&self) -> Vec<(String, Vec<u8>)> {
        let bytes = |name: &str, text: String| {
            if is_binary(name) {
                one_byte_each(&text)
            } else {
                text.into_bytes()
            }
        };
        let files = self.files().into_iter();
        files
            .map(|(name, text)| {
                let bytes = bytes(&name, text);
                (name, bytes)
            })
            .collect()
    }

    /// The layers with nothing in them but what they build upon.
    pub(super) fn bare(&self) -> Self {
        let mut bare = self.clone();
        for layer in &mut bare.layers {
            layer.documents.clear();
            layer.fields.retain(|(_, value)| value.starts_with("../"));
            // A kustomization that says nothing at all is refused.
            layer
                .fields
                .push(("metadata".to_owned(), "{name: kept}".to_owned()));
        }
        bare
    }

    /// What [`Self::bare`] leaves out: documents, then fields, of one layer after the other.
    pub(super) fn parts(&self) -> impl Iterator<Item = (usize, Part)> {
        self.layers.iter().enumerate().flat_map(|(at, layer)| {
            let documents = layer.documents.iter().cloned().map(Part::Document);
            let fields = layer.fields.iter().filter(|(_, value)| !value.starts_with("../"));
            let fields = fields.cloned().map(|(name, value)| Part::Field(name, value));
            documents.chain(fields).map(move |part| (at, part))
        })
    }

    /// Adds a part to a layer.
    pub(super) fn add(&mut self, (layer, part): (usize, Part)) {
        let layer = &mut self.layers[layer];
        match part {
            Part::Document(text) => layer.documents.push(text),
            Part::Field(name, value) => layer.fields.push((name, value)),
        }
    }

    /// The cases with one part less.
    pub(super) fn smaller(&self) -> Vec<Self> {
        let mut cases = Vec::new();
        for index in 0..self.layers.len() - 1 {
            let mut smaller = self.clone();
            let gone = format!("../{}", smaller.layers.remove(index).name);
            for layer in &mut smaller.layers {
                layer.fields.retain(|(_, value)| *value != gone);
            }
            cases.push(smaller);
        }
        if self.layers.len() > 1 {
            let mut smaller = self.clone();
            smaller.layers.pop();
            cases.push(smaller);
        }
        for (at, layer) in self.layers.iter().enumerate() {
            for index in 0..layer.documents.len() {
                let mut smaller = self.clone();
                smaller.layers[at].documents.remove(index);
                cases.push(smaller);
            }
            for index in 0..layer.fields.len() {
                let mut smaller = self.clone();
                smaller.layers[at].fields.remove(index);
                cases.push(smaller);
            }
            for (index, document) in layer.documents.iter().enumerate() {
                for shorter in without_blocks(document) {
                    let mut smaller = self.clone();
                    smaller.layers[at].documents[index] = shorter;
                    cases.push(smaller);
                }
            }
            for (index, (_, value)) in layer.fields.iter().enumerate() {
                for shorter in without_blocks(value) {
                    let mut smaller = self.clone();
                    smaller.layers[at].fields[index].1 = shorter;
                    cases.push(smaller);
                }
            }
        }
        cases
    }
}

/// The texts without one line and what is indented below it.
fn without_blocks(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let width = |line: &str| line.len() - line.trim_start().len();
    let mut texts = Vec::new();
    for start in 1..lines.len() {
        let end = (start + 1..lines.len())
            .find(|index| width(lines[*index]) <= width(lines[start]))
            .unwrap_or(lines.len());
        let kept: Vec<&str> = lines[..start].iter().chain(&lines[end..]).copied().collect();
        texts.push(format!("{}\n", kept.join("\n")));
    }
    texts
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, text) in self.files() {
            writeln!(f, "# {path}\n{}", text.trim_end())?;
        }
        Ok(())
    }
}
