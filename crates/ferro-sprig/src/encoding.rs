//! Base64, base32 and digests.

use std::fmt::Write as _;

use ferro_template::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use crate::args::{STRING, Table, text};
use crate::text::base;

pub(crate) fn register(table: &mut Table<'_>) {
    table.add(&["b64enc"], &[STRING], STRING, |args| {
        text(base::encode64(args.text(0)))
    });
    table.add(&["b32enc"], &[STRING], STRING, |args| {
        text(base::encode32(args.text(0)))
    });
    // What cannot be decoded gives the text of the error.
    table.add(&["b64dec"], &[STRING], STRING, |args| {
        text(base::decode64(args.text(0)).unwrap_or_else(|error| error.to_string().into_bytes()))
    });
    table.add(&["b32dec"], &[STRING], STRING, |args| {
        text(base::decode32(args.text(0)).unwrap_or_else(|error| error.to_string().into_bytes()))
    });
    table.add(&["sha1sum"], &[STRING], STRING, |args| {
        text(hex(&Sha1::digest(args.text(0))))
    });
    table.add(&["sha256sum"], &[STRING], STRING, |args| {
        text(hex(&Sha256::digest(args.text(0))))
    });
    table.add(&["sha512sum"], &[STRING], STRING, |args| {
        text(hex(&Sha512::digest(args.text(0))))
    });
    table.add(&["adler32sum"], &[STRING], STRING, |args| {
        Ok(Value::from(adler32(args.text(0)).to_string()))
    });
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// The Adler-32 checksum, of which sprig prints the decimal digits.
fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (mut low, mut high) = (1_u32, 0_u32);
    // So many bytes fit before the sums overflow.
    for chunk in bytes.chunks(5_552) {
        for byte in chunk {
            low += u32::from(*byte);
            high += low;
        }
        low %= MODULUS;
        high %= MODULUS;
    }
    high << 16 | low
}
