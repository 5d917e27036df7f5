//! The name of the file in which a composed artifact is stored: a checksum over the names and bytes of its files, the one that upstream
//! takes, so that a store can be handed over.

use std::io::{self, Read};

use super::tree::Tree;

/// A running Adler-32 checksum (RFC 1950).
struct Adler32 {
    a: u32,
    b: u32,
}

impl Adler32 {
    const MODULUS: u32 = 65_521;
    /// As many bytes can be added before the sums must be reduced.
    const CHUNK: usize = 5552;

    const fn new() -> Self {
        Self { a: 1, b: 0 }
    }

    fn update(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(Self::CHUNK) {
            for byte in chunk {
                self.a += u32::from(*byte);
                self.b += self.a;
            }
            self.a %= Self::MODULUS;
            self.b %= Self::MODULUS;
        }
    }

    const fn finish(&self) -> u32 {
        (self.b << 16) | self.a
    }
}

/// Why a tree has no checksum.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChecksumError {
    /// A name would make the list of files ambiguous.
    #[error("dirhash: filenames with newlines are not supported")]
    Newline,
    /// A file cannot be read.
    #[error("failed to read '{path}'")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// The name of the file for the artifact `name` that holds `tree`.
pub(crate) fn file_name_blocking(name: &str, tree: &Tree) -> Result<String, ChecksumError> {
    let mut list = Adler32::new();
    for (path, file) in tree.files() {
        if path.contains('\n') {
            return Err(ChecksumError::Newline);
        }
        let sum = file
            .open()
            .and_then(|(_, mut bytes)| checksum(&mut bytes))
            .map_err(|source| ChecksumError::Read {
                path: path.clone(),
                source,
            })?;
        list.update(format!("{sum:08x}  {name}/{path}\n").as_bytes());
    }
    Ok(format!("{}.tar.gz", list.finish()))
}

fn checksum(bytes: &mut dyn Read) -> io::Result<u32> {
    let mut sum = Adler32::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match bytes.read(&mut buffer) {
            Ok(0) => return Ok(sum.finish()),
            Ok(count) => sum.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tree::{File, Stage};
    use super::*;

    fn sum(text: &[u8]) -> u32 {
        checksum(&mut &text[..]).unwrap()
    }

    #[test]
    fn adler32_known_vectors_match() {
        assert_eq!(sum(b""), 1);
        assert_eq!(sum(b"Wikipedia"), 0x11e6_0398);
        // One by one, for what is more than a chunk.
        let (mut a, mut b) = (1_u32, 0_u32);
        for _ in 0..1_000_000 {
            a = (a + 255) % 65_521;
            b = (b + a) % 65_521;
        }
        assert_eq!(sum(&vec![0xff; 1_000_000]), (b << 16) | a);
    }

    #[test]
    fn file_name_is_the_checksum_of_the_list_of_files() {
        let mut stage = Stage::default();
        for (path, text) in [("x.yaml", "a: 1\n"), ("d/y.yaml", "b: 2\n")] {
            let file = File::in_memory(text.as_bytes().to_vec(), false);
            stage.put(path, Arc::new(file)).unwrap();
        }
        stage.make_directory("empty").unwrap();
        let list = format!(
            "{:08x}  app/d/y.yaml\n{:08x}  app/x.yaml\n",
            sum(b"b: 2\n"),
            sum(b"a: 1\n")
        );
        let expected = format!("{}.tar.gz", sum(list.as_bytes()));
        assert_eq!(file_name_blocking("app", &stage.into_tree()).unwrap(), expected);
        assert_eq!(file_name_blocking("app", &Tree::default()).unwrap(), "1.tar.gz");
    }

    #[test]
    fn file_name_refuses_names_with_line_breaks() {
        let mut stage = Stage::default();
        stage
            .put("a\nb", Arc::new(File::in_memory(Vec::new(), false)))
            .unwrap();
        let outcome = file_name_blocking("app", &stage.into_tree());
        assert!(matches!(outcome, Err(ChecksumError::Newline)));
    }
}
