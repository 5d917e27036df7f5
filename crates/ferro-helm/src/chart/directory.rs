//! A chart in a folder.

use std::io;

use super::File;
use super::archive::{MAX_CHART_SIZE, MAX_ENTRIES, MAX_FILE_SIZE};
use super::ignore::{self, Rules};
use super::load::{Error, Loaded, load_files};

/// What a folder holds under a name; links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Directory,
    /// A socket, a device.
    Other,
}

/// A name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
}

/// A folder with a chart in it. Paths are relative to it, with slashes; the empty one is the folder.
pub trait Directory {
    /// Lists a folder in the order of names.
    fn list(&self, path: &str) -> io::Result<Vec<Entry>>;
    /// Reads a file.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
    /// Reads a file into a buffer, which becomes larger where it must, and tells how long it is. Behind that the buffer has what it had.
    fn read_into(&self, path: &str, buffer: &mut Vec<u8>) -> io::Result<usize> {
        *buffer = self.read(path)?;
        Ok(buffer.len())
    }
}

/// Loads a chart from a folder, without what its `.helmignore` names.
pub fn load_directory(directory: &dyn Directory) -> Result<Loaded, Error> {
    load_files(read_directory(directory)?)
}

/// Reads the files of a folder that its `.helmignore` leaves.
pub fn read_directory(directory: &dyn Directory) -> Result<Vec<File>, Error> {
    read_directory_seeing(directory, &mut |_| {})
}

/// Reads the files of a folder like [`read_directory`], and shows each one as soon as it is read.
pub fn read_directory_seeing(
    directory: &dyn Directory,
    see: &mut dyn FnMut(&File),
) -> Result<Vec<File>, Error> {
    let top = list(directory, "")?;
    let has_rules = top.iter().any(|entry| entry.name == ignore::FILE_NAME);
    let rules = if has_rules {
        Rules::parse(&read(directory, ignore::FILE_NAME)?)?
    } else {
        Rules::default()
    };
    let mut walk = Walk {
        directory,
        see,
        rules,
        files: Vec::new(),
        size: 0,
        buffer: Vec::new(),
    };
    walk.entries("", top, 0)?;
    Ok(walk.files)
}

struct Walk<'d> {
    directory: &'d dyn Directory,
    see: &'d mut dyn FnMut(&File),
    rules: Rules,
    files: Vec<File>,
    size: u64,
    /// What was read last; a chart has many files, and all go through the same memory.
    buffer: Vec<u8>,
}

impl Walk<'_> {
    fn entries(&mut self, parent: &str, entries: Vec<Entry>, depth: usize) -> Result<(), Error> {
        // Links may lead in circles.
        if depth > 200 {
            return Err(Error::TooDeep);
        }
        for entry in entries {
            let path = if parent.is_empty() {
                entry.name.clone()
            } else {
                format!("{parent}/{}", entry.name)
            };
            if self.rules.ignores(&path, entry.kind == EntryKind::Directory) {
                continue;
            }
            match entry.kind {
                EntryKind::Directory => {
                    let inner = list(self.directory, &path)?;
                    self.entries(&path, inner, depth + 1)?;
                }
                EntryKind::File => self.file(path, &entry.name)?,
                EntryKind::Other => return Err(Error::Irregular(path)),
            }
        }
        Ok(())
    }

    fn file(&mut self, path: String, name: &str) -> Result<(), Error> {
        let size = self
            .directory
            .read_into(&path, &mut self.buffer)
            .map_err(cannot_read(&path))?;
        if size as u64 > MAX_FILE_SIZE {
            return Err(Error::FileTooLarge(name.to_owned()));
        }
        self.size += size as u64;
        if self.size > MAX_CHART_SIZE || self.files.len() >= MAX_ENTRIES {
            return Err(Error::DirectoryTooLarge);
        }
        let file = File::new(path, self.buffer.get(..size).unwrap_or_default());
        (self.see)(&file);
        self.files.push(file);
        Ok(())
    }
}

fn list(directory: &dyn Directory, path: &str) -> Result<Vec<Entry>, Error> {
    directory.list(path).map_err(cannot_read(path))
}

fn read(directory: &dyn Directory, path: &str) -> Result<Vec<u8>, Error> {
    directory.read(path).map_err(cannot_read(path))
}

fn cannot_read(path: &str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Read {
        path: path.to_owned(),
        source,
    }
}
