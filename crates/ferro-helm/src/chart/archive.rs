//! Chart archives: gzipped tars, read in memory and never trusted.

use std::io::{self, Read};

use ferro_gocompat::path;
use ferro_gocompat::quote::quote_bytes;
use flate2::read::MultiGzDecoder;
use tar::{EntryType, Header};

use super::File;

/// The most that all files of an archive may weigh.
pub const MAX_CHART_SIZE: u64 = 100 << 20;
/// The most that one file may weigh.
pub const MAX_FILE_SIZE: u64 = 5 << 20;
/// The most entries in one archive. Upstream has no such limit, and an archive of empty files costs it
/// whatever the author likes.
pub const MAX_ENTRIES: usize = 100_000;
/// The most that the headers of an archive may weigh, for the same reason.
const MAX_HEADERS: u64 = 2 * 512 * MAX_ENTRIES as u64;
/// The size of what every gzip stream starts with.
const GZIP_HEADER: usize = 10;
/// The longest extended header, as in Go.
const MAX_EXTENSION: u64 = 1 << 20;

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is not a byte.
    #[error("EOF")]
    Nothing,
    /// It is not gzipped.
    #[error("gzip: invalid header")]
    NotGzip,
    /// It ends too early.
    #[error("unexpected EOF")]
    UnexpectedEof,
    /// The gzip stream is damaged.
    #[error("flate: corrupt input: {0}")]
    Corrupt(io::Error),
    /// The tar stream is damaged.
    #[error("archive/tar: invalid tar header")]
    InvalidHeader,
    /// An extended header is too long.
    #[error("archive/tar: header field too long")]
    FieldTooLong,
    /// A name is absolute.
    #[error("chart illegally contains absolute paths")]
    AbsolutePath,
    /// A file is not in the chart's folder.
    #[error("chart illegally contains content outside the base directory: {}", quote_bytes(.0.as_bytes()))]
    OutsideBase(String),
    /// A name leads out of the chart.
    #[error("chart illegally references parent directory")]
    ParentDirectory,
    /// A name has a drive letter.
    #[error("chart contains illegally named files")]
    IllegalName,
    /// `Chart.yaml` is at the top.
    #[error("chart yaml not in base directory")]
    ChartYamlAtTop,
    /// All files together are too large.
    #[error("decompressed chart is larger than the maximum size {MAX_CHART_SIZE}")]
    ChartTooLarge,
    /// One file is too large.
    #[error("decompressed chart file {} is larger than the maximum file size {MAX_FILE_SIZE}", quote_bytes(.0.as_bytes()))]
    FileTooLarge(String),
    /// There are too many entries.
    #[error("chart archive has more than {MAX_ENTRIES} entries")]
    TooManyEntries,
    /// There is nothing in it.
    #[error("no files in chart archive")]
    Empty,
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::UnexpectedEof,
            io::ErrorKind::InvalidInput if error.to_string().contains("gzip header") => Self::NotGzip,
            io::ErrorKind::FileTooLarge => Self::ChartTooLarge,
            io::ErrorKind::Other => Self::InvalidHeader,
            _ => Self::Corrupt(error),
        }
    }
}

/// Reads the files of an archive, without the folder that they are in.
pub fn read(archive: &[u8]) -> Result<Vec<File>, Error> {
    if archive.is_empty() {
        return Err(Error::Nothing);
    }
    if archive.len() < GZIP_HEADER {
        return Err(Error::UnexpectedEof);
    }
    if !archive.starts_with(&[0x1F, 0x8B, 8]) {
        return Err(Error::NotGzip);
    }
    let stream = Capped {
        inner: MultiGzDecoder::new(archive),
        left: MAX_CHART_SIZE + MAX_HEADERS,
    };
    let mut tar = tar::Archive::new(stream);
    let mut reader = Reader::default();
    let mut count = 0;
    for entry in tar.entries()?.raw(true) {
        count += 1;
        if count > MAX_ENTRIES {
            return Err(Error::TooManyEntries);
        }
        reader.entry(entry?)?;
    }
    check_end(tar.into_inner())?;
    if reader.files.is_empty() {
        return Err(Error::Empty);
    }
    Ok(reader.files)
}

/// Reads the second of the two empty blocks that end an archive, which may be missing but not be cut.
fn check_end(stream: impl Read) -> Result<(), Error> {
    let mut block = Vec::new();
    stream.take(512).read_to_end(&mut block)?;
    match block.len() {
        0 => Ok(()),
        512 if block.iter().all(|byte| *byte == 0) => Ok(()),
        512 => Err(Error::InvalidHeader),
        _ => Err(Error::UnexpectedEof),
    }
}

struct Reader {
    files: Vec<File>,
    remaining: u64,
    /// What an extended header said about the entry that follows it.
    next_name: Option<Vec<u8>>,
    /// The content of the last file; all go through the same memory.
    buffer: Vec<u8>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            remaining: MAX_CHART_SIZE,
            next_name: None,
            buffer: Vec::new(),
        }
    }
}

impl Reader {
    fn entry(&mut self, mut entry: tar::Entry<'_, impl Read>) -> Result<(), Error> {
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => {
                let name = extension(&mut entry)?;
                let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
                self.next_name = name.get(..end).map(<[u8]>::to_vec);
                return Ok(());
            }
            EntryType::XHeader => {
                let records = extension(&mut entry)?;
                self.next_name = pax_path(&records)?.or_else(|| self.next_name.take());
                return Ok(());
            }
            // The targets of links do not matter, and nothing in a chart depends on what is set for all entries.
            EntryType::GNULongLink | EntryType::XGlobalHeader => return extension(&mut entry).map(drop),
            _ => {}
        }
        let name = self
            .next_name
            .take()
            .unwrap_or_else(|| header_name(entry.header()));
        let name = String::from_utf8_lossy(&name).into_owned();
        if is_directory(entry.header(), &name) {
            return Ok(());
        }
        let path = inner_path(&name)?;
        let size = content_size(&entry)?;
        if size > self.remaining {
            return Err(Error::ChartTooLarge);
        }
        if size > MAX_FILE_SIZE {
            return Err(Error::FileTooLarge(name));
        }
        self.buffer.clear();
        if is_regular(kind) {
            entry.take(size).read_to_end(&mut self.buffer)?;
            if (self.buffer.len() as u64) < size {
                return Err(Error::UnexpectedEof);
            }
        }
        self.remaining -= self.buffer.len() as u64;
        if self.remaining == 0 {
            return Err(Error::ChartTooLarge);
        }
        self.files.push(File::new(path, &self.buffer));
        Ok(())
    }
}

/// Tells by the type, by the mode, or by the name where there is no type.
fn is_directory(header: &Header, name: &str) -> bool {
    // Tars from before there were types for directories.
    let has_no_type = header.as_old().linkflag == [0];
    let has_directory_mode = header.mode().is_ok_and(|mode| mode & !0o7777 == 0o40000);
    header.entry_type() == EntryType::Directory || has_directory_mode || (has_no_type && name.ends_with('/'))
}

/// Links and devices have no content, whatever their header claims; upstream takes them for empty files.
fn is_regular(kind: EntryType) -> bool {
    !matches!(
        kind,
        EntryType::Symlink | EntryType::Link | EntryType::Char | EntryType::Block | EntryType::Fifo
    )
}

fn content_size(entry: &tar::Entry<'_, impl Read>) -> Result<u64, Error> {
    let kind = entry.header().entry_type();
    let size = entry.header().entry_size().map_err(|_| Error::InvalidHeader)?;
    Ok(if is_regular(kind) { size } else { 0 })
}

fn extension(entry: &mut tar::Entry<'_, impl Read>) -> Result<Vec<u8>, Error> {
    if entry.size() > MAX_EXTENSION {
        return Err(Error::FieldTooLong);
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content)?;
    Ok(content)
}

/// The name in a header, with the prefix that a ustar header has.
fn header_name(header: &Header) -> Vec<u8> {
    header.path_bytes().into_owned()
}

/// The `path` record among the records of an extended header, each of which is `length key=value\n`.
fn pax_path(mut records: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut path = None;
    while !records.is_empty() {
        let (record, rest) = pax_record(records).ok_or(Error::InvalidHeader)?;
        if let Some(value) = record.strip_prefix(b"path=") {
            path = Some(value.to_vec());
        }
        records = rest;
    }
    Ok(path.filter(|path| !path.is_empty()))
}

fn pax_record(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = records.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(records.get(..blank)?).ok()?.parse().ok()?;
    let record = records.get(blank + 1..length)?.strip_suffix(b"\n")?;
    Some((record, records.get(length..)?))
}

/// The path of an entry inside the chart's folder.
fn inner_path(name: &str) -> Result<String, Error> {
    // An archive that was made on Windows may separate by backslashes.
    let delimiter = if name.contains('\\') { '\\' } else { '/' };
    let (top, rest) = name.split_once(delimiter).unwrap_or((name, ""));
    let rest = rest.replace(delimiter, "/");
    if rest.starts_with('/') {
        return Err(Error::AbsolutePath);
    }
    let rest = path::clean(&rest);
    if rest == "." {
        return Err(Error::OutsideBase(name.to_owned()));
    }
    if rest.starts_with("..") {
        return Err(Error::ParentDirectory);
    }
    if matches!(rest.as_bytes(), [drive, b':', b'/', ..] if drive.is_ascii_alphabetic()) {
        return Err(Error::IllegalName);
    }
    if top == "Chart.yaml" {
        return Err(Error::ChartYamlAtTop);
    }
    Ok(rest)
}

/// A stream that fails once it has given more than it may.
struct Capped<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let error = |name: &str| inner_path(name).unwrap_err().to_string();
        assert_eq!(
            error("chart//etc/passwd"),
            "chart illegally contains absolute paths"
        );
        assert_eq!(
            error("chart/../../x"),
            "chart illegally references parent directory"
        );
        assert_eq!(error("chart\\c:\\x"), "chart contains illegally named files");
        assert_eq!(error("Chart.yaml/x"), "chart yaml not in base directory");
        assert_eq!(
            error("README"),
            "chart illegally contains content outside the base directory: \"README\""
        );
        assert_eq!(inner_path("chart/a/./b//c").unwrap(), "a/b/c");
        assert_eq!(
            inner_path("chart\\templates\\a.yaml").unwrap(),
            "templates/a.yaml"
        );
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        assert_eq!(read(b"").unwrap_err().to_string(), "EOF");
        assert_eq!(read(b"short").unwrap_err().to_string(), "unexpected EOF");
        assert_eq!(
            read(b"apiVersion: v2\nname: x").unwrap_err().to_string(),
            "gzip: invalid header"
        );
    }
}
