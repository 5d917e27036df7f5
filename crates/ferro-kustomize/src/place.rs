//! Where in a kustomization file the cause of an error stands.
//!
//! Nothing of this is kept while all goes well: the file is read again when it is asked for.

use ferro_yaml::Node;

use crate::accumulate::Layer;
use crate::error::Location;

/// Fields that list files and directories.
const LISTS: [&str; 9] = [
    "resources",
    "bases",
    "components",
    "generators",
    "transformers",
    "validators",
    "configurations",
    "crds",
    "patchesStrategicMerge",
];

/// What is looked for in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry<'e> {
    /// The file as a whole.
    File,
    /// A field.
    Field(&'static str),
    /// An item of a field that is a list.
    Item(&'static str, usize),
    /// A file or directory that any list names.
    Path(&'e str),
}

impl Layer<'_> {
    /// Tells where an entry stands; without a line if that is not known.
    pub(crate) fn place(&self, entry: Entry<'_>) -> Option<Location> {
        Some(Location {
            file: self.loader.shown(&self.file).into(),
            document: 0,
            line: self.line(entry).unwrap_or_default(),
        })
    }

    fn line(&self, entry: Entry<'_>) -> Option<u32> {
        if self.is_given {
            return None;
        }
        let content = self.loader.load(&self.file).ok()?;
        let root = crate::read::configuration(&content).ok()?;
        match entry {
            Entry::File => None,
            Entry::Field(name) => line_of(&root, name),
            Entry::Item(name, index) => match field(&root, name)?.items().get(index) {
                Some(item) => Some(item.position().line),
                None => line_of(&root, name),
            },
            Entry::Path(path) => {
                let mut items = LISTS
                    .into_iter()
                    .filter_map(|list| field(&root, list))
                    .flat_map(Node::items);
                Some(items.find(|item| item.text() == Some(path))?.position().line)
            }
        }
    }
}

fn is_named(entry: &ferro_yaml::Entry, name: &str) -> bool {
    entry.name().is_some_and(|own| own.eq_ignore_ascii_case(name))
}

fn field<'n>(root: &'n Node, name: &str) -> Option<&'n Node> {
    let found = root.entries().iter().find(|entry| is_named(entry, name));
    found.map(|entry| &entry.value)
}

fn line_of(root: &Node, name: &str) -> Option<u32> {
    let found = root.entries().iter().find(|entry| is_named(entry, name));
    found.map(|entry| entry.key.position().line)
}
