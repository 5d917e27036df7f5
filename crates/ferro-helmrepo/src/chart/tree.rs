//! What is needed of a source's artifact, without unpacking the rest.
//!
//! Artifacts of sources hold files and folders only, so that paths are resolved by their text: none leads out of the source.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use tar::EntryType;

/// The most that is kept of one artifact; Helm takes no chart that is larger.
const MAX_KEPT: u64 = 100 << 20;
/// The most entries of an artifact that are looked at.
const MAX_ENTRIES: usize = 5_000_000;

/// Why an artifact could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// It is damaged, or cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It holds what no source puts there.
    #[error("'{0}' is neither a file nor a directory")]
    Irregular(String),
    /// A name leads elsewhere.
    #[error("'{0}' leads out of the source")]
    Outside(String),
    /// There is too much of what is wanted.
    #[error("the files of the chart are larger than {MAX_KEPT} bytes")]
    TooLarge,
    /// There is too much.
    #[error("more than {MAX_ENTRIES} entries")]
    TooManyEntries,
    /// Nobody waits for it any more.
    #[error("cancelled")]
    Cancelled,
}

/// A file of a source.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// All of it.
    Data(Arc<[u8]>),
    /// Its size, which is more than a file may have.
    TooLarge(u64),
}

/// Files of a source by their paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, Content>,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'t> {
    /// Nothing.
    Nothing,
    /// A file.
    File(&'t Content),
    /// A folder with files in it.
    Folder,
}

impl Tree {
    /// Reads from the tar.gz `archive` what is at `wanted` paths or below them. Of files larger than `max_file` the size is kept only.
    pub(crate) fn read(
        archive: impl Read,
        wanted: &[String],
        max_file: impl Fn(&str) -> u64,
        is_cancelled: impl Fn() -> bool,
    ) -> Result<Self, TreeError> {
        let mut tree = Self::default();
        let mut kept = 0;
        let mut archive = tar::Archive::new(MultiGzDecoder::new(io::BufReader::new(archive)));
        for (index, entry) in archive.entries()?.enumerate() {
            if is_cancelled() {
                return Err(TreeError::Cancelled);
            }
            if index >= MAX_ENTRIES {
                return Err(TreeError::TooManyEntries);
            }
            let mut entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            match entry.header().entry_type() {
                EntryType::Directory | EntryType::XGlobalHeader => continue,
                EntryType::Regular | EntryType::Continuous => {}
                _ => return Err(TreeError::Irregular(name)),
            }
            if name.starts_with('/') || name.contains('\\') || name.split('/').any(|part| part == "..") {
                return Err(TreeError::Outside(name));
            }
            let path = join("", &name);
            if !wanted.iter().any(|wanted| is_within(&path, wanted)) {
                continue;
            }
            let size = entry.size();
            if size > max_file(&path) {
                tree.files.insert(path, Content::TooLarge(size));
                continue;
            }
            kept += size;
            if kept > MAX_KEPT {
                return Err(TreeError::TooLarge);
            }
            let mut data = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            entry.read_to_end(&mut data)?;
            tree.files.insert(path, Content::Data(data.into()));
        }
        Ok(tree)
    }

    /// What stands at a path.
    pub(crate) fn find(&self, path: &str) -> Found<'_> {
        match self.files.get(path) {
            Some(content) => Found::File(content),
            None if self.below(path).next().is_some() => Found::Folder,
            None => Found::Nothing,
        }
    }

    /// The files in a folder, by their paths in it.
    pub(crate) fn below<'t>(&'t self, folder: &'t str) -> impl Iterator<Item = (&'t str, &'t Content)> {
        let prefix = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        };
        let length = prefix.len();
        let start = prefix.clone();
        self.files
            .range(start..)
            .take_while(move |(path, _)| path.starts_with(&prefix))
            .filter_map(move |(path, content)| Some((path.get(length..)?, content)))
    }
}

fn is_within(path: &str, wanted: &str) -> bool {
    wanted.is_empty()
        || path
            .strip_prefix(wanted)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path `relative` from `base`, both below the root of the source, which cannot be left.
pub(crate) fn join(base: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(relative.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut archive = tar::Builder::new(gzip);
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            // Past the checks of the library, as others would.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            archive.append(&header, *content).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    fn read(entries: &[(&str, EntryType, &[u8])], wanted: &str) -> Result<Tree, TreeError> {
        let archive = archive(entries);
        Tree::read(archive.as_slice(), &[wanted.to_owned()], |_| 4, || false)
    }

    #[test]
    fn join_never_leaves_the_root() {
        let cases = [
            ("a/b", "c", "a/b/c"),
            ("a", "../../../b", "b"),
            ("", "./a//b/.", "a/b"),
            ("a", "..", ""),
        ];
        for (base, relative, expected) in cases {
            assert_eq!(join(base, relative), expected);
        }
    }

    #[test]
    fn read_keeps_what_is_wanted() {
        let file = EntryType::Regular;
        let entries: [(&str, EntryType, &[u8]); 5] = [
            (".", EntryType::Directory, b""),
            ("a/x", file, b"1"),
            ("ab/x", file, b"2"),
            ("a/large", file, b"12345"),
            ("a/b/y", file, b"3"),
        ];
        let tree = read(&entries, "a").unwrap();
        let names: Vec<_> = tree.below("a").map(|(name, _)| name).collect();
        assert_eq!(names, ["b/y", "large", "x"]);
        assert!(matches!(tree.find("a/large"), Found::File(Content::TooLarge(5))));
        assert!(matches!(tree.find("a/b"), Found::Folder));
        assert!(matches!(tree.find("ab"), Found::Nothing));
        assert!(matches!(read(&entries, "").unwrap().find(""), Found::Folder));
    }

    #[test]
    fn read_refuses_links_and_names_that_lead_elsewhere() {
        let hostile: [(&str, EntryType); 4] = [
            ("a/../../x", EntryType::Regular),
            ("/x", EntryType::Regular),
            ("a\\..\\x", EntryType::Regular),
            ("link", EntryType::Symlink),
        ];
        for (name, kind) in hostile {
            assert!(read(&[(name, kind, b"")], "").is_err(), "{name}");
        }
        let cancelled = Tree::read(
            archive(&[("a", EntryType::Regular, b"")]).as_slice(),
            &[],
            |_| 4,
            || true,
        );
        assert!(matches!(cancelled, Err(TreeError::Cancelled)));
    }
}
