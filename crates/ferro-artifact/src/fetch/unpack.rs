//! Unpacking an archive that nobody vouches for yet: every entry is checked, and everything is bounded.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

use crate::digest::{Digest, Hasher};

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
            unpacked: 4 << 30,
            entries: 500_000,
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
    let unpacked = entries(&mut counted, root, limits);
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

fn entries(archive: &mut impl Read, root: &Path, limits: UnpackLimits) -> Result<u64, UnpackError> {
    // Headers and padding count too: an archive of nothing but headers is a bomb as well.
    let stream = MultiGzDecoder::new(archive).take(
        limits
            .unpacked
            .saturating_add(limits.entries.saturating_mul(1024)),
    );
    let mut archive = tar::Archive::new(stream);
    let (mut count, mut bytes) = (0_u64, 0_u64);
    for entry in archive.entries().map_err(UnpackError::Damaged)? {
        let mut entry = entry.map_err(UnpackError::Damaged)?;
        count += 1;
        if count > limits.entries {
            return Err(UnpackError::TooMany {
                limit: limits.entries,
            });
        }
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader | EntryType::Symlink) {
            continue;
        }
        let name = entry.path_bytes().into_owned();
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
                write(&mut entry, &path)?;
            }
            _ => return Err(UnpackError::Kind { name: shown(&name) }),
        }
    }
    Ok(bytes)
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

fn write(entry: &mut impl Read, path: &Path) -> Result<(), UnpackError> {
    if let Some(parent) = path.parent() {
        create_dir(parent)?;
    }
    let failed = |source| UnpackError::Write {
        path: path.to_owned(),
        source,
    };
    let mut file = File::create(path).map_err(failed)?;
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
