//! Texts signed in the clear (RFC 9580 section 7), read as go-crypto reads them.

use super::armor::{self, Block};

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// A signed text. Nothing before or after it counts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cleartext {
    /// The lines without escapes and blanks at their ends.
    pub(crate) text: String,
    /// What is signed.
    pub(crate) canonical: Vec<u8>,
    pub(crate) signature: Block,
}

/// The first signed text; nothing if there is none, or it is malformed.
pub(crate) fn find(data: &str) -> Option<Cleartext> {
    let mut rest = if data.starts_with(BEGIN) {
        data
    } else {
        data.get(data.find(&format!("\n{BEGIN}"))? + 1..)?
    };
    if line(&mut rest)? != BEGIN {
        return None;
    }
    loop {
        let header = line(&mut rest)?;
        if header.trim().is_empty() {
            break;
        }
        // Other headers could pass for a part of what is signed.
        if header.split_once(':')?.0.trim() != "Hash" {
            return None;
        }
    }
    let mut lines = Vec::new();
    loop {
        let before = rest;
        let found = line(&mut rest)?;
        if found == SIGNATURE {
            rest = before;
            break;
        }
        let found = found.strip_prefix("- ").unwrap_or(found);
        lines.push(found.trim_end_matches([' ', '\t']));
    }
    if !rest.contains(END) {
        return None;
    }
    Some(Cleartext {
        text: lines.join("\n"),
        canonical: lines.join("\r\n").into_bytes(),
        signature: armor::first(rest).ok()?,
    })
}

/// Takes the first line, without its end, off `rest`; nothing where there is no more.
fn line<'a>(rest: &mut &'a str) -> Option<&'a str> {
    if rest.is_empty() {
        return None;
    }
    let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
    *rest = after;
    Some(line.strip_suffix('\r').unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARMOR: &str = "-----BEGIN PGP SIGNATURE-----\n\n/w==\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn lines_lose_escapes_and_blanks_at_their_ends() {
        let text = format!("before\n{BEGIN}\r\nHash: SHA256\r\n\r\n- -a \t\r\n\nb\n{ARMOR}after");
        let found = find(&text).unwrap();
        assert_eq!(found.text, "-a\n\nb");
        assert_eq!(found.canonical, b"-a\r\n\r\nb");
        assert_eq!(found.signature.data, [0xff]);
    }

    #[test]
    fn what_is_malformed_is_none() {
        for text in [
            String::new(),
            format!("{BEGIN} \n\na\n{ARMOR}"),
            format!("x{BEGIN}\n\na\n{ARMOR}"),
            format!("{BEGIN}\nComment: x\n\na\n{ARMOR}"),
            format!("{BEGIN}\nHash\n\na\n{ARMOR}"),
            format!("{BEGIN}\n\na\n"),
            format!("{BEGIN}\n"),
            format!("{BEGIN}\n\na\n{SIGNATURE}\n"),
        ] {
            assert!(find(&text).is_none(), "{text}");
        }
    }
}
