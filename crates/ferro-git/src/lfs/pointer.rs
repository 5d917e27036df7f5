//! Pointer files (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).

/// What every pointer file begins with.
const VERSION: &str = "version https://git-lfs.github.com/spec/v1";
/// Pointer files are smaller than this; anything else is content.
pub(crate) const MAX_POINTER: u64 = 1024;

/// An object that stands for a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer {
    /// The SHA-256 of the content, in lower-case hex.
    pub(crate) oid: String,
    /// The size of the content in bytes.
    pub(crate) size: u64,
}

impl Pointer {
    /// Reads a pointer file; `None` for any other. What is nearly one is content, as Git LFS sees it.
    pub(crate) fn parse(content: &[u8]) -> Option<Self> {
        if content.len() as u64 >= MAX_POINTER {
            return None;
        }
        let mut lines = str::from_utf8(content).ok()?.lines();
        if lines.next() != Some(VERSION) {
            return None;
        }
        let (mut oid, mut size) = (None, None);
        for line in lines {
            match line.split_once(' ')? {
                ("oid", value) => oid = Some(value.strip_prefix("sha256:")?),
                // Not `parse` alone, which takes a sign.
                ("size", value) if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                    size = value.parse().ok();
                }
                // The content has gone through a program that is not here.
                (key, _) if key.starts_with("ext-") => return None,
                _ => {}
            }
        }
        let oid = oid.filter(|oid| is_oid(oid))?;
        Some(Self {
            oid: oid.to_owned(),
            size: size?,
        })
    }
}

/// Whether a text is a SHA-256 in lower-case hex: it names a file.
pub(crate) fn is_oid(text: &str) -> bool {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 64 && text.bytes().all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_takes_pointers_and_leaves_everything_else() {
        let oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
        let pointer = format!("{VERSION}\noid sha256:{oid}\nsize 12345\n");
        let expected = Pointer {
            oid: oid.to_owned(),
            size: 12345,
        };
        assert_eq!(Pointer::parse(pointer.as_bytes()), Some(expected.clone()));
        let without_end = pointer.trim_end();
        assert_eq!(Pointer::parse(without_end.as_bytes()), Some(expected));
        let upper = oid.to_uppercase();
        for other in [
            String::new(),
            "a: 1\n".to_owned(),
            pointer.replace("spec/v1", "spec/v2"),
            pointer.replace("size 12345", "size -1"),
            pointer.replace("size 12345", "size +1"),
            pointer.replace("size 12345", "size 99999999999999999999"),
            pointer.replace("size 12345\n", ""),
            pointer.replace("oid sha256:", "oid md5:"),
            pointer.replace(oid, "../../../etc/passwd"),
            pointer.replace(oid, &upper),
            pointer.replace(oid, &oid[1..]),
            pointer.replace("oid", &format!("ext-0-foo sha256:{oid}\noid")),
            format!("# comment\n{pointer}"),
            format!("{pointer}{}", " \n".repeat(500)),
        ] {
            assert_eq!(Pointer::parse(other.as_bytes()), None, "{other}");
        }
        assert_eq!(Pointer::parse(&[0xff; 200]), None);
    }
}
