//! Unpacking an archive that nobody vouches for yet: every entry is checked, and everything is bounded.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

use crate::digest::{Digest, Hasher};

/// The largest long name or PAX header that is read.
const MAX_EXTENSION: u64 = 64 * 1024;
/// The largest size that a header holds without help.
const MAX_OCTAL_SIZE: u64 = 0o77_777_777_777;

/// What an archive may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Bytes of the archive as sent.
    pub compressed: u64,
    /// Bytes of all files together.
    pub unpacked: u64,
    /// Files and folders.
    pub entries: u64,
}

impl Default for UnpackLimits {
    /// One gigabyte, four when unpacked, half a million entries.
    fn default() -> Self {
        Self {
            compressed: 1 << 30,
            unpacked: crate::archive::MAX_BYTES,
            entries: crate::archive::MAX_ENTRIES,
        }
    }
}

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// It is no gzip, no tar, or ends early.
    #[error("the archive is damaged")]
    Damaged(#[source] io::Error),
    /// An entry would be written outside of the folder.
    #[error("the archive has an entry '{name}' that leads out of its folder")]
    Outside {
        /// The entry's name.
        name: String,
    },
    /// An entry is neither a file nor a folder nor a symbolic link.
    #[error("the archive has an entry '{name}' that is neither a file nor a folder")]
    Kind {
        /// The entry's name.
        name: String,
    },
    /// The long name of an entry, or other facts about it, are larger than any sensible ones.
    #[error("the archive has an entry whose header is larger than {limit} bytes")]
    Header {
        /// The limit.
        limit: u64,
    },
    /// There are too many entries.
    #[error("the archive has more than {limit} entries")]
    TooMany {
        /// The limit.
        limit: u64,
    },
    /// It is too large, as sent or unpacked.
    #[error("the archive is larger than {limit} bytes {form}")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// `compressed` or `unpacked`.
        form: &'static str,
    },
    /// The disk does not take it.
    #[error("cannot write '{}'", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What becomes of symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Links {
    /// They are left out, as upstream leaves them out of artifacts.
    LeftOut,
    /// They are an error, as upstream has it where an archive is a file that somebody made.
    Refused,
}

/// Unpacks a tar.gz that lies within an artifact into `root`, which exists and is empty. Symbolic links are refused.
///
/// # Errors
/// When the archive is damaged, leads out of the folder, holds more than `limits` allow, or the disk does not take it.
pub fn extract_blocking(archive: impl Read, root: &Path, limits: UnpackLimits) -> Result<(), UnpackError> {
    let mut archive = archive.take(limits.compressed);
    entries(&mut archive, root, limits, Links::Refused).map(drop)
}

/// What was unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Digest of the bytes as sent.
    pub(crate) digest: Digest,
    /// Bytes of all files together.
    pub(crate) bytes: u64,
}

/// Unpacks a tar.gz into `root`, which exists and is empty. Symbolic links are left out, as upstream leaves them out. Reads to the
/// end, so that the digest is that of all bytes.
pub(crate) fn unpack_blocking(
    archive: impl Read,
    root: &Path,
    limits: UnpackLimits,
    hasher: Hasher,
) -> Result<Contents, UnpackError> {
    let mut counted = Counted {
        inner: archive,
        hasher,
        left: limits.compressed,
        exceeded: false,
    };
    let unpacked = entries(&mut counted, root, limits, Links::LeftOut);
    if counted.exceeded {
        return Err(UnpackError::TooLarge {
            limit: limits.compressed,
            form: "compressed",
        });
    }
    let bytes = unpacked?;
    let drained = io::copy(&mut counted, &mut io::sink());
    if counted.exceeded {
        return Err(UnpackError::TooLarge {
            limit: limits.compressed,
            form: "compressed",
        });
    }
    drained.map_err(UnpackError::Damaged)?;
    Ok(Contents {
        digest: counted.hasher.finish(),
        bytes,
    })
}

fn entries(
    archive: &mut impl Read,
    root: &Path,
    limits: UnpackLimits,
    links: Links,
) -> Result<u64, UnpackError> {
    // Headers and padding count too: an archive of nothing but headers is a bomb as well.
    let headers = limits.entries.saturating_mul(1024);
    let stream = MultiGzDecoder::new(archive).take(limits.unpacked.saturating_add(headers));
    let mut archive = tar::Archive::new(stream);
    let (mut count, mut bytes) = (0_u64, 0_u64);
    let mut long_name: Option<Vec<u8>> = None;
    // Raw: the reader would hold a long name in memory, however long it claims to be.
    for entry in archive.entries().map_err(UnpackError::Damaged)?.raw(true) {
        let mut entry = entry.map_err(UnpackError::Damaged)?;
        count += 1;
        if count > limits.entries {
            return Err(UnpackError::TooMany {
                limit: limits.entries,
            });
        }
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => {
                let mut name = extension(&mut entry)?;
                name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
                long_name = Some(name);
                continue;
            }
            EntryType::XHeader => {
                long_name = pax_path(&extension(&mut entry)?)?.or(long_name);
                continue;
            }
            EntryType::GNULongLink | EntryType::XGlobalHeader => continue,
            _ => {}
        }
        let name = long_name
            .take()
            .unwrap_or_else(|| entry.path_bytes().into_owned());
        if kind == EntryType::Symlink && links == Links::LeftOut {
            continue;
        }
        let path = root.join(relative(&name)?);
        match kind {
            EntryType::Directory => create_dir(&path)?,
            EntryType::Regular | EntryType::Continuous => {
                bytes = bytes.saturating_add(entry.size());
                if bytes > limits.unpacked {
                    return Err(UnpackError::TooLarge {
                        limit: limits.unpacked,
                        form: "unpacked",
                    });
                }
                let is_executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
                write(&mut entry, &path, is_executable)?;
            }
            _ => return Err(UnpackError::Kind { name: shown(&name) }),
        }
    }
    Ok(bytes)
}

/// The content of an entry that describes the next one.
fn extension<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, UnpackError> {
    if entry.size() > MAX_EXTENSION {
        return Err(UnpackError::Header { limit: MAX_EXTENSION });
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(UnpackError::Damaged)?;
    Ok(content)
}

/// The name in a PAX header: records of the form `<length> <key>=<value>\n`.
fn pax_path(records: &[u8]) -> Result<Option<Vec<u8>>, UnpackError> {
    let damaged = || UnpackError::Damaged(io::Error::new(io::ErrorKind::InvalidData, "malformed PAX header"));
    let (mut rest, mut path) = (records, None);
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let length = rest
            .get(..digits)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let length: usize = length
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(damaged)?;
        let record = rest.get(digits..length).ok_or_else(damaged)?;
        let record = record
            .strip_prefix(b" ")
            .and_then(|record| record.strip_suffix(b"\n"));
        let record = record.ok_or_else(damaged)?;
        if let Some(value) = record.strip_prefix(b"path=") {
            path = Some(value.to_vec());
        }
        // A size that the header itself cannot hold is beyond every limit.
        if record.starts_with(b"size=") {
            return Err(UnpackError::TooLarge {
                limit: MAX_OCTAL_SIZE,
                form: "unpacked",
            });
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(path)
}

fn shown(name: &[u8]) -> String {
    let mut text: String = String::from_utf8_lossy(name).chars().take(200).collect();
    text.retain(|c| !c.is_control());
    text
}

/// The path of an entry below the root.
fn relative(name: &[u8]) -> Result<PathBuf, UnpackError> {
    let outside = || UnpackError::Outside { name: shown(name) };
    let text = std::str::from_utf8(name).map_err(|_| outside())?;
    if text.contains('\\') || text.contains('\0') {
        return Err(outside());
    }
    let mut path = PathBuf::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(outside()),
        }
    }
    Ok(path)
}

fn create_dir(path: &Path) -> Result<(), UnpackError> {
    fs::create_dir_all(path).map_err(|source| UnpackError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Writes a file that nobody may change.
fn write(entry: &mut impl Read, path: &Path, is_executable: bool) -> Result<(), UnpackError> {
    if let Some(parent) = path.parent() {
        create_dir(parent)?;
    }
    let failed = |source| UnpackError::Write {
        path: path.to_owned(),
        source,
    };
    let mut options = File::options();
    options
        .write(true)
        .create_new(true)
        .mode(if is_executable { 0o555 } else { 0o444 });
    let mut file = match options.open(path) {
        // The last of several entries of one name counts.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path).map_err(failed)?;
            options.open(path).map_err(failed)?
        }
        opened => opened.map_err(failed)?,
    };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = entry.read(&mut buffer).map_err(UnpackError::Damaged)?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
            return Ok(());
        };
        io::Write::write_all(&mut file, chunk).map_err(failed)?;
    }
}

/// Hashes and counts what is read, up to a limit.
struct Counted<R> {
    inner: R,
    hasher: Hasher,
    left: u64,
    exceeded: bool,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let Some(left) = self.left.checked_sub(read as u64) else {
            self.exceeded = true;
            return Err(io::Error::other("too large"));
        };
        self.left = left;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Algorithm;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    /// A tar.gz of entries given as (kind, name, content); names are written as they are.
    fn archive(entries: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
        let mut tar = Vec::new();
        for (kind, name, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            if *kind == EntryType::Symlink {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            tar.extend_from_slice(header.as_bytes());
            tar.extend_from_slice(content);
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
        tar.extend_from_slice(&[0; 1024]);
        gzip(&tar)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(bytes: &[u8], limits: UnpackLimits) -> (tempfile::TempDir, Result<Contents, UnpackError>) {
        let root = tempfile::tempdir().unwrap();
        let contents = unpack_blocking(bytes, root.path(), limits, Algorithm::Sha256.hasher());
        (root, contents)
    }

    #[test]
    fn files_and_folders_are_unpacked_and_links_left_out() {
        let bytes = archive(&[
            (EntryType::Directory, ".", b""),
            (EntryType::Directory, "apps", b""),
            (EntryType::Regular, "apps/a.yaml", b"a: 1\n"),
            (EntryType::Regular, "deep/er/b.yaml", b"b"),
            (EntryType::Symlink, "link", b""),
        ]);
        let (root, contents) = unpack(&bytes, UnpackLimits::default());
        let contents = contents.unwrap();
        assert_eq!(
            (contents.bytes, contents.digest),
            (6, Algorithm::Sha256.digest(&bytes))
        );
        assert_eq!(
            fs::read_to_string(root.path().join("apps/a.yaml")).unwrap(),
            "a: 1\n"
        );
        assert!(root.path().join("deep/er/b.yaml").exists() && !root.path().join("link").exists());
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["../evil", "a/../../evil", "/etc/evil", "a\\evil"] {
            let (root, contents) = unpack(
                &archive(&[(EntryType::Regular, name, b"x")]),
                UnpackLimits::default(),
            );
            assert!(matches!(contents, Err(UnpackError::Outside { .. })), "{name}");
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "{name}");
        }
        for kind in [EntryType::Link, EntryType::Char, EntryType::Fifo] {
            let (_root, contents) = unpack(&archive(&[(kind, "a", b"")]), UnpackLimits::default());
            assert!(matches!(contents, Err(UnpackError::Kind { .. })), "{kind:?}");
        }
    }

    #[test]
    fn extract_refuses_links_and_what_unpack_refuses() {
        let root = tempfile::tempdir().unwrap();
        let limits = UnpackLimits {
            unpacked: 10,
            ..UnpackLimits::default()
        };
        let extract = |entries: &[_]| extract_blocking(archive(entries).as_slice(), root.path(), limits);
        extract(&[(EntryType::Regular, "a/b", b"text")]).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("a/b")).unwrap(), "text");
        let link = extract(&[(EntryType::Symlink, "link", b"")]);
        assert!(matches!(link, Err(UnpackError::Kind { .. })), "{link:?}");
        let outside = extract(&[(EntryType::Regular, "../x", b"")]);
        assert!(matches!(outside, Err(UnpackError::Outside { .. })), "{outside:?}");
        let large = extract(&[(EntryType::Regular, "large", b"more than ten")]);
        assert!(
            matches!(large, Err(UnpackError::TooLarge { limit: 10, .. })),
            "{large:?}"
        );
    }

    #[test]
    fn limits_are_kept() {
        let limits = UnpackLimits {
            compressed: 10_000,
            unpacked: 1000,
            entries: 3,
        };
        let zeros = vec![0; 2_000_000];
        let (_root, bomb) = unpack(&archive(&[(EntryType::Regular, "a", &zeros)]), limits);
        assert!(
            matches!(bomb, Err(UnpackError::TooLarge { form: "unpacked", .. })),
            "{bomb:?}"
        );
        let (_root, many) = unpack(&archive(&[(EntryType::Directory, "a", &b""[..]); 4]), limits);
        assert!(matches!(many, Err(UnpackError::TooMany { limit: 3 })), "{many:?}");
        let mut trailing = archive(&[(EntryType::Directory, "a", b"")]);
        trailing.resize(20_000, 7);
        let (_root, long) = unpack(&trailing, limits);
        assert!(
            matches!(
                long,
                Err(UnpackError::TooLarge {
                    form: "compressed",
                    ..
                } | UnpackError::Damaged(_))
            ),
            "{long:?}"
        );
    }

    /// A tar with an entry of any type, followed by a plain file `short`.
    fn described(kind: EntryType, content: &[u8], size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        let mut tar = header.as_bytes().to_vec();
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
        let file = {
            let mut header = tar::Header::new_ustar();
            header.set_path("short").unwrap();
            header.set_size(0);
            header.set_mode(0o755);
            header.set_cksum();
            header.as_bytes().to_vec()
        };
        tar.extend_from_slice(&file);
        tar.extend_from_slice(&[0; 1024]);
        gzip(&tar)
    }

    #[test]
    fn long_names_are_read_and_checked() {
        let pax = b"20 mtime=1700000000\n17 path=lo/ng.md\n";
        for (kind, content) in [
            (EntryType::XHeader, &pax[..]),
            (EntryType::GNULongName, b"lo/ng.md\0"),
        ] {
            let (root, contents) = unpack(
                &described(kind, content, content.len() as u64),
                UnpackLimits::default(),
            );
            contents.unwrap();
            assert!(root.path().join("lo/ng.md").exists(), "{kind:?}");
        }
        for (kind, content) in [
            (EntryType::XHeader, &b"16 path=../evil\n"[..]),
            (EntryType::GNULongName, b"../evil"),
        ] {
            let (_root, contents) = unpack(
                &described(kind, content, content.len() as u64),
                UnpackLimits::default(),
            );
            assert!(
                matches!(contents, Err(UnpackError::Outside { .. })),
                "{contents:?}"
            );
        }
        let malformed = b"99 path=x\n";
        let bytes = described(EntryType::XHeader, malformed, malformed.len() as u64);
        let (_root, contents) = unpack(&bytes, UnpackLimits::default());
        assert!(matches!(contents, Err(UnpackError::Damaged(_))), "{contents:?}");
    }

    #[test]
    fn headers_that_claim_to_be_huge_are_not_held_in_memory() {
        for kind in [EntryType::XHeader, EntryType::GNULongName] {
            let (_root, contents) = unpack(&described(kind, b"", 4 << 30), UnpackLimits::default());
            assert!(
                matches!(contents, Err(UnpackError::Header { .. })),
                "{contents:?}"
            );
        }
    }

    #[test]
    fn files_are_read_only_and_the_last_of_a_name_counts() {
        use std::os::unix::fs::PermissionsExt as _;
        let bytes = archive(&[
            (EntryType::Regular, "a", b"first"),
            (EntryType::Regular, "a", b"last"),
        ]);
        let (root, contents) = unpack(&bytes, UnpackLimits::default());
        contents.unwrap();
        let path = root.path().join("a");
        assert_eq!(fs::read_to_string(&path).unwrap(), "last");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o222, 0);
    }

    #[test]
    fn damaged_archives_are_refused() {
        let whole = archive(&[(EntryType::Regular, "a", &[7; 5000])]);
        for bytes in [
            &whole[..whole.len() / 2],
            b"no gzip at all",
            b"",
            &gzip(b"no tar at all, but long enough"),
        ] {
            let (_root, contents) = unpack(bytes, UnpackLimits::default());
            assert!(matches!(contents, Err(UnpackError::Damaged(_))), "{contents:?}");
        }
    }
}
