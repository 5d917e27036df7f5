//! Tar headers: USTAR where the name fits, a PAX extended header before it otherwise.

/// The size of a tar block.
pub(crate) const BLOCK: usize = 512;
const NAME: usize = 100;
const PREFIX: usize = 155;
/// The largest size that eleven octal digits hold.
const MAX_OCTAL_SIZE: u64 = 0o77_777_777_777;

/// The type of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    File = b'0' as isize,
    Directory = b'5' as isize,
    Pax = b'x' as isize,
}

/// The header blocks of an entry; a PAX header and its records come first where they are needed.
pub(crate) fn encode(name: &[u8], kind: Type, mode: u32, size: u64) -> Vec<u8> {
    let split = split_name(name);
    let mut records = Vec::new();
    if split.is_none() {
        push_record(&mut records, "path", name);
    }
    if size > MAX_OCTAL_SIZE {
        push_record(&mut records, "size", size.to_string().as_bytes());
    }
    let mut out = Vec::with_capacity(BLOCK);
    if !records.is_empty() {
        let pax_name = ascii_prefix(&pax_name(name));
        out.extend_from_slice(&block(&pax_name, b"", Type::Pax, 0, records.len() as u64));
        out.extend_from_slice(&records);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    let fallback = ascii_prefix(name);
    let (prefix, suffix) = split.unwrap_or((b"", &fallback));
    let size = if size > MAX_OCTAL_SIZE { 0 } else { size };
    out.extend_from_slice(&block(suffix, prefix, kind, mode, size));
    out
}

/// Splits a name into USTAR's prefix and name, if that format can hold it.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if !name.is_ascii() {
        return None;
    }
    if name.len() <= NAME {
        return Some((b"", name));
    }
    let head = name.get(..name.len().min(PREFIX + 1))?;
    let slash = head.iter().rposition(|byte| *byte == b'/')?;
    let (prefix, suffix) = (name.get(..slash)?, name.get(slash + 1..)?);
    let fits = slash > 0 && !suffix.is_empty() && suffix.len() <= NAME;
    fits.then_some((prefix, suffix))
}

/// The customary name of the extended header of `name`.
fn pax_name(name: &[u8]) -> Vec<u8> {
    let (directory, file) = match name.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => name.split_at(slash + 1),
        None => (&b""[..], name),
    };
    [directory, b"PaxHeaders.0/", file].concat()
}

fn ascii_prefix(name: &[u8]) -> Vec<u8> {
    name.iter().copied().filter(u8::is_ascii).take(NAME).collect()
}

/// Appends `<length> <key>=<value>\n`, where the length counts itself.
fn push_record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let payload = key.len() + value.len() + 3;
    let mut length = payload + payload.to_string().len();
    if length.to_string().len() + payload != length {
        length = payload + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn block(name: &[u8], prefix: &[u8], kind: Type, mode: u32, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put(&mut block, 0, name);
    put(&mut block, 100, format!("{mode:07o}").as_bytes());
    put(&mut block, 108, b"0000000");
    put(&mut block, 116, b"0000000");
    put(&mut block, 124, format!("{size:011o}").as_bytes());
    put(&mut block, 136, b"00000000000");
    // The checksum counts its own field as spaces.
    put(&mut block, 148, b"        ");
    put(&mut block, 156, &[kind as u8]);
    put(&mut block, 257, b"ustar\x0000");
    put(&mut block, 329, b"0000000");
    put(&mut block, 337, b"0000000");
    put(&mut block, 345, prefix);
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    block
}

fn put(block: &mut [u8; BLOCK], offset: usize, bytes: &[u8]) {
    for (target, byte) in block.iter_mut().skip(offset).zip(bytes) {
        *target = *byte;
    }
}
