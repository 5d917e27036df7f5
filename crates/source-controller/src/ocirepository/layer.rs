//! The content of a layer: a tar.gz that nobody vouches for, as a tree from which the artifact is made.
//!
//! Names go into memory and content into one temporary file, so that nothing of what a layer says becomes a name on the disk. Symbolic links are
//! left out, as in the reference; a hard link is the file that it links to, where the reference makes an empty file of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use ferro_artifact::archive::{MAX_BYTES, MAX_ENTRIES};
use ferro_artifact::tree::{Content, Directory, Entry, EntryKind, MAX_DEPTH, TreeError};
use flate2::read::MultiGzDecoder;
use tar::{EntryType, PaxExtensions};

/// The largest long name or PAX header that is read.
const MAX_EXTENSION: u64 = 64 * 1024;
/// Content up to this size stays in memory.
const IN_MEMORY: usize = 512 * 1024;

/// What a layer may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Files and folders.
    pub entries: u64,
    /// Bytes of all files together.
    pub bytes: u64,
}

impl Default for Limits {
    /// What those who fetch the artifact accept.
    fn default() -> Self {
        Self {
            entries: MAX_ENTRIES,
            bytes: MAX_BYTES,
        }
    }
}

/// Why a layer cannot be used; where the reference has words for it, in these.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayerError {
    #[error("requires gzip-compressed body: {0}")]
    Gzip(#[source] io::Error),
    #[error("tar error: {0}")]
    Tar(#[source] io::Error),
    #[error("tar contained invalid name error {0:?}")]
    Name(String),
    #[error("tar file entry {name} contained unsupported file type {kind:?}")]
    Kind { name: String, kind: char },
    #[error("tar file entry {0} links to a file that is not there")]
    Link(String),
    #[error("tar file entry {0} is a file in one place and a folder in another")]
    Conflict(String),
    #[error("tar file entry {0} is nested more than {MAX_DEPTH} levels deep")]
    Depth(String),
    #[error("tar file entry has a header of more than {MAX_EXTENSION} bytes")]
    Header,
    #[error("tar has more than {0} entries")]
    Entries(u64),
    #[error("tar is bigger than max archive size of {0} bytes")]
    Bytes(u64),
    #[error("failed to write to the temporary folder: {0}")]
    Spool(#[source] io::Error),
}

/// A layer that was read.
#[derive(Debug)]
pub(super) struct Layer {
    root: Folder,
    content: Spool,
}

type Folder = BTreeMap<Vec<u8>, Node>;

#[derive(Debug)]
enum Node {
    Folder(Folder),
    File(Place),
}

/// Where the content of a file is.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    size: u64,
    is_executable: bool,
}

impl Layer {
    /// Reads a tar.gz to the end of the tar. Blocks the thread.
    ///
    /// # Errors
    /// When it is damaged, holds what it must not, or more than allowed.
    pub(super) fn read_blocking(archive: impl Read, limits: Limits) -> Result<Self, LayerError> {
        let mut decoder = MultiGzDecoder::new(archive);
        // So that what is no gzip at all is told from a damaged tar.
        let mut first = [0; 1];
        let start = decoder.read(&mut first).map_err(LayerError::Gzip)?;
        let whole = first.get(..start).unwrap_or_default().chain(decoder);
        // Headers and padding count too: an archive of nothing but headers is a bomb as well.
        let most = limits.bytes.saturating_add(limits.entries.saturating_mul(1024));
        let mut archive = tar::Archive::new(whole.take(most));
        let mut reading = Reading {
            limits,
            layer: Self {
                root: Folder::new(),
                content: Spool::default(),
            },
            long_name: None,
            entries: 0,
            bytes: 0,
        };
        // Raw: the reader would hold a long name in memory, however long it claims to be.
        for entry in archive.entries().map_err(LayerError::Tar)?.raw(true) {
            reading.entry(entry.map_err(LayerError::Tar)?)?;
        }
        Ok(reading.layer)
    }
}

struct Reading {
    limits: Limits,
    layer: Layer,
    long_name: Option<Vec<u8>>,
    entries: u64,
    bytes: u64,
}

impl Reading {
    fn entry<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> Result<(), LayerError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(LayerError::Entries(self.limits.entries));
        }
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => {
                let mut name = extension(&mut entry)?;
                name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
                self.long_name = Some(name);
                return Ok(());
            }
            EntryType::XHeader => {
                let records = extension(&mut entry)?;
                self.long_name = pax_name(&records)?.or_else(|| self.long_name.take());
                return Ok(());
            }
            EntryType::GNULongLink | EntryType::XGlobalHeader => return Ok(()),
            _ => {}
        }
        let name = self.long_name.take();
        let name = name.unwrap_or_else(|| entry.path_bytes().into_owned());
        if kind == EntryType::Symlink {
            return Ok(());
        }
        let path = components(&name)?;
        match kind {
            EntryType::Directory => folder(&mut self.layer.root, &path, &name).map(|_| ()),
            EntryType::Regular | EntryType::Continuous => {
                let place = self.content(&mut entry)?;
                self.put(&path, &name, place)
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default();
                let place = find(&self.layer.root, &components(&target)?)
                    .ok_or_else(|| LayerError::Link(shown(&name)))?;
                self.put(&path, &name, place)
            }
            other => Err(LayerError::Kind {
                name: shown(&name),
                kind: char::from(other.as_byte()),
            }),
        }
    }

    /// The last of several files of one name counts.
    fn put(&mut self, path: &[&[u8]], name: &[u8], place: Place) -> Result<(), LayerError> {
        let Some((file, parents)) = path.split_last() else {
            return Err(LayerError::Name(shown(name)));
        };
        let parent = folder(&mut self.layer.root, parents, name)?;
        match parent.insert((*file).to_vec(), Node::File(place)) {
            Some(Node::Folder(_)) => Err(LayerError::Conflict(shown(name))),
            Some(Node::File(_)) | None => Ok(()),
        }
    }

    fn content<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<Place, LayerError> {
        let size = entry.size();
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.bytes {
            return Err(LayerError::Bytes(self.limits.bytes));
        }
        let place = Place {
            offset: self.layer.content.size,
            size,
            is_executable: entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0),
        };
        let mut buffer = [0; 16 * 1024];
        let mut left = size;
        while left > 0 {
            let read = entry.read(&mut buffer).map_err(LayerError::Tar)?;
            let piece = buffer.get(..read).unwrap_or_default();
            if piece.is_empty() {
                return Err(LayerError::Tar(io::ErrorKind::UnexpectedEof.into()));
            }
            self.layer.content.write(piece).map_err(LayerError::Spool)?;
            left = left.saturating_sub(read as u64);
        }
        Ok(place)
    }
}

/// The content of an entry that describes the next one.
fn extension<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, LayerError> {
    if entry.size() > MAX_EXTENSION {
        return Err(LayerError::Header);
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(LayerError::Tar)?;
    Ok(content)
}

/// The name in a PAX header. A size that the header itself cannot hold is beyond every limit, and a sparse file is not read.
fn pax_name(records: &[u8]) -> Result<Option<Vec<u8>>, LayerError> {
    let mut name = None;
    for record in PaxExtensions::new(records) {
        let record = record.map_err(LayerError::Tar)?;
        match record.key_bytes() {
            b"path" => name = Some(record.value_bytes().to_vec()),
            b"size" => return Err(LayerError::Bytes(MAX_BYTES)),
            key if key.starts_with(b"GNU.sparse.") => {
                return Err(LayerError::Kind {
                    name: name.as_deref().map(shown).unwrap_or_default(),
                    kind: 'S',
                });
            }
            _ => {}
        }
    }
    Ok(name)
}

/// The components of a name that stays below the root.
fn components(name: &[u8]) -> Result<Vec<&[u8]>, LayerError> {
    let is_unsafe = name.is_empty()
        || name.starts_with(b"/")
        || name.iter().any(|byte| matches!(byte, b'\\' | 0))
        || name.split(|byte| *byte == b'/').any(|part| part == b"..");
    if is_unsafe {
        return Err(LayerError::Name(shown(name)));
    }
    let parts = name.split(|byte| *byte == b'/');
    let parts: Vec<&[u8]> = parts.filter(|part| !matches!(*part, b"" | b".")).collect();
    if parts.len() > MAX_DEPTH {
        return Err(LayerError::Depth(shown(name)));
    }
    Ok(parts)
}

/// The folder at a path, made if it is not there.
fn folder<'f>(root: &'f mut Folder, path: &[&[u8]], name: &[u8]) -> Result<&'f mut Folder, LayerError> {
    let mut folder = root;
    for part in path {
        let node = folder
            .entry((*part).to_vec())
            .or_insert_with(|| Node::Folder(Folder::new()));
        match node {
            Node::Folder(below) => folder = below,
            Node::File(_) => return Err(LayerError::Conflict(shown(name))),
        }
    }
    Ok(folder)
}

fn find(root: &Folder, path: &[&[u8]]) -> Option<Place> {
    let (file, parents) = path.split_last()?;
    let mut folder = root;
    for part in parents {
        match folder.get(*part)? {
            Node::Folder(below) => folder = below,
            Node::File(_) => return None,
        }
    }
    match folder.get(*file)? {
        Node::File(place) => Some(*place),
        Node::Folder(_) => None,
    }
}

fn shown(name: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(name).chars().take(200).collect();
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Content one after the other: in memory while it is small, as a layer of manifests is, then in a file without a name.
#[derive(Debug, Default)]
struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    size: u64,
}

impl Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() + bytes.len() > IN_MEMORY {
            let mut file = tempfile::tempfile()?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => {
                file.seek(SeekFrom::Start(self.size))?;
                file.write_all(bytes)?;
            }
            None => self.memory.extend_from_slice(bytes),
        }
        self.size += bytes.len() as u64;
        Ok(())
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if let Some(file) = &self.file {
            return file.read_at(buffer, offset);
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut rest = self.memory.get(start..).unwrap_or_default();
        rest.read(buffer)
    }
}

impl Directory for Layer {
    fn entries(&self) -> Result<Vec<Entry<'_>>, TreeError> {
        Ok(entries(self, &self.root))
    }
}

fn entries<'l>(layer: &'l Layer, folder: &'l Folder) -> Vec<Entry<'l>> {
    let entry = |(name, node): (&'l Vec<u8>, &'l Node)| Entry {
        name: name.clone(),
        kind: match node {
            Node::Folder(folder) => EntryKind::Directory(Box::new(FolderView { layer, folder })),
            Node::File(place) => EntryKind::File(Box::new(FileView {
                content: &layer.content,
                place: *place,
            })),
        },
    };
    folder.iter().map(entry).collect()
}

struct FolderView<'l> {
    layer: &'l Layer,
    folder: &'l Folder,
}

impl Directory for FolderView<'_> {
    fn entries(&self) -> Result<Vec<Entry<'_>>, TreeError> {
        Ok(entries(self.layer, self.folder))
    }
}

struct FileView<'l> {
    content: &'l Spool,
    place: Place,
}

impl Content for FileView<'_> {
    fn is_executable(&self) -> bool {
        self.place.is_executable
    }

    fn open(&self) -> Result<(u64, Box<dyn Read + '_>), TreeError> {
        let reader = PlaceReader {
            content: self.content,
            offset: self.place.offset,
            left: self.place.size,
        };
        Ok((self.place.size, Box::new(reader)))
    }
}

struct PlaceReader<'l> {
    content: &'l Spool,
    offset: u64,
    left: u64,
}

impl Read for PlaceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self
            .content
            .read(buffer.get_mut(..most).unwrap_or_default(), self.offset)?;
        self.offset += read as u64;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}
