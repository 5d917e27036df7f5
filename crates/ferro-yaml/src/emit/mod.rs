//! From trees to text.

mod analysis;
mod machine;
mod order;
mod sigs;
mod tree;
mod write;

pub(crate) use sigs::{write_json, write_json_by_bytes};

use crate::{Document, Node, Result};
use machine::Machine;

/// Which of the two Go libraries writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavor {
    V2,
    V3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Settings {
    flavor: Flavor,
    indent: usize,
    width: usize,
    compact_sequences: bool,
}

const UNLIMITED: usize = usize::MAX;

/// In which form to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmitOptions {
    settings: Settings,
    sorted: bool,
}

impl EmitOptions {
    const fn v3(indent: usize, compact_sequences: bool) -> Self {
        let settings = Settings {
            flavor: Flavor::V3,
            indent,
            width: UNLIMITED,
            compact_sequences,
        };
        Self {
            settings,
            sorted: false,
        }
    }

    /// As kyaml writes: go-yaml v3, two blanks, `- ` at the column of its key, styles and comments kept.
    pub const fn kyaml() -> Self {
        Self::v3(2, true)
    }

    /// As kyaml writes with wide sequences: `- ` two columns to the right of its key.
    pub const fn kyaml_wide() -> Self {
        Self::v3(2, false)
    }

    /// As go-yaml v3 writes by itself, with the given step from 2 to 9.
    pub const fn go_v3(indent: usize) -> Self {
        Self::v3(if indent < 2 || indent > 9 { 2 } else { indent }, false)
    }

    /// As Helm's `toYamlPretty`: go-yaml v3 on plain data, with sorted keys, wide sequences and no styles
    /// kept.
    pub const fn pretty() -> Self {
        Self {
            settings: Self::v3(2, false).settings,
            sorted: true,
        }
    }

    /// As `sigs.k8s.io/yaml` and therefore `kustomize build` and Helm's `toYaml`: go-yaml v2 on JSON data,
    /// with sorted keys, folded at column 80, no styles or comments kept.
    pub const fn sigs() -> Self {
        Self {
            settings: Settings {
                flavor: Flavor::V2,
                indent: 2,
                width: 80,
                compact_sequences: true,
            },
            sorted: true,
        }
    }
}

/// Writes one node as a document.
pub fn to_string(node: &Node, options: &EmitOptions) -> Result<String> {
    if options.sorted {
        return sigs::write_node(node, options);
    }
    let mut machine = Machine::new(options.settings);
    tree::write(&mut machine, node)?;
    machine.end_document("");
    Ok(machine.out)
}

/// Writes documents with `---` between them, with the comments before and after their content.
pub fn documents_to_string<'d>(
    documents: impl IntoIterator<Item = &'d Document>,
    options: &EmitOptions,
) -> Result<String> {
    let mut documents = documents.into_iter().enumerate();
    if options.sorted {
        return documents.try_fold(String::new(), |mut out, (index, document)| {
            if index > 0 {
                out.push_str("---\n");
            }
            out.push_str(&to_string(&document.root, options)?);
            Ok(out)
        });
    }
    let mut machine = Machine::new(options.settings);
    for (index, document) in documents {
        if index > 0 {
            machine.next_document();
        }
        machine.document_head(&document.comments.head);
        tree::write(&mut machine, &document.root)?;
        machine.end_document(&document.comments.foot);
    }
    Ok(machine.out)
}

/// Sorts the keys of all mappings of a tree as go-yaml v3 sorts those of a map.
pub fn sort_keys(node: &mut Node) {
    if let Some(items) = node.as_sequence_mut() {
        items.as_mut_slice().iter_mut().for_each(sort_keys);
    } else if let Some(entries) = node.as_mapping_mut() {
        let entries = entries.as_mut_slice();
        entries.iter_mut().for_each(|entry| sort_keys(&mut entry.value));
        entries.sort_by(|left, right| {
            let (left, right) = (left.name().unwrap_or_default(), right.name().unwrap_or_default());
            order::compare_keys(left, right, Flavor::V3)
        });
    }
}
