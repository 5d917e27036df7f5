//! Packs made by hand.

use std::io::Write as _;
use std::sync::atomic::AtomicBool;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use gix_hash::{Kind as Hash, ObjectId};

use super::{Bounds, Kind, Objects, PackError, finish, hasher, index, receive_blocking};

/// The number of deltas whose base is a place.
pub(super) const DELTA_AT: u8 = 6;
/// The number of deltas whose base is a name.
pub(super) const DELTA_OF: u8 = 7;

pub(super) struct Pack {
    bytes: Vec<u8>,
    count: u32,
}

impl Pack {
    pub(super) fn new() -> Self {
        Self {
            bytes: b"PACK\0\0\0\x02\0\0\0\0".to_vec(),
            count: 0,
        }
    }

    /// Adds an entry of any kind: its header says `size`, then comes `base`, then `data`, compressed.
    pub(super) fn entry(&mut self, kind: u8, size: u64, base: &[u8], data: &[u8]) -> u64 {
        let at = self.bytes.len() as u64;
        let mut byte = (kind << 4) | (size & 15) as u8;
        let mut size = size >> 4;
        while size > 0 {
            self.bytes.push(byte | 0x80);
            byte = (size & 0x7f) as u8;
            size >>= 7;
        }
        self.bytes.push(byte);
        self.bytes.extend_from_slice(base);
        let mut out = ZlibEncoder::new(&mut self.bytes, Compression::fast());
        out.write_all(data).unwrap();
        out.finish().unwrap();
        self.count += 1;
        at
    }

    pub(super) fn whole(&mut self, kind: Kind, data: &[u8]) -> u64 {
        self.entry(kind as u8, data.len() as u64, &[], data)
    }

    pub(super) fn delta_at(&mut self, base: u64, delta: &[u8]) -> u64 {
        let distance = distance(self.bytes.len() as u64 - base);
        self.entry(DELTA_AT, delta.len() as u64, &distance, delta)
    }

    pub(super) fn delta_of(&mut self, base: &ObjectId, delta: &[u8]) -> u64 {
        self.entry(DELTA_OF, delta.len() as u64, base.as_bytes(), delta)
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let count = self.count;
        self.finish_saying(count)
    }

    /// Ends the pack with a lie about how many objects it has.
    pub(super) fn finish_saying(self, count: u32) -> Vec<u8> {
        let mut bytes = self.bytes;
        bytes[8..12].copy_from_slice(&count.to_be_bytes());
        sign(&mut bytes);
        bytes
    }
}

/// Appends the checksum.
pub(super) fn sign(bytes: &mut Vec<u8>) {
    let mut sum = index::sum(Hash::Sha1);
    sum.update(bytes);
    bytes.extend_from_slice(sum.finish().as_ref());
}

pub(super) fn distance(mut distance: u64) -> Vec<u8> {
    let mut bytes = vec![(distance & 0x7f) as u8];
    distance >>= 7;
    while distance > 0 {
        distance -= 1;
        bytes.insert(0, (distance & 0x7f) as u8 | 0x80);
        distance >>= 7;
    }
    bytes
}

pub(super) enum Op<'a> {
    Copy(u64, u64),
    Insert(&'a [u8]),
}

/// A delta that says what it says.
pub(super) fn delta(base: u64, result: u64, operations: &[Op<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for mut number in [base, result] {
        while number > 0x7f {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
    }
    for operation in operations {
        match operation {
            Op::Copy(from, count) => {
                bytes.push(0xff);
                bytes.extend_from_slice(&(*from as u32).to_le_bytes());
                bytes.extend_from_slice(&(*count as u32).to_le_bytes()[..3]);
            }
            Op::Insert(data) => {
                bytes.push(data.len() as u8);
                bytes.extend_from_slice(data);
            }
        }
    }
    bytes
}

/// A delta that appends to its base.
pub(super) fn append(base: &[u8], tail: &[u8]) -> Vec<u8> {
    let length = base.len() as u64;
    let mut operations = Vec::new();
    let mut from = 0;
    while from < length {
        let count = (length - from).min(0xff_ffff);
        operations.push(Op::Copy(from, count));
        from += count;
    }
    operations.push(Op::Insert(tail));
    delta(length, length + tail.len() as u64, &operations)
}

pub(super) fn id_of(kind: Kind, data: &[u8]) -> ObjectId {
    let mut hasher = hasher(Hash::Sha1, kind, data.len() as u64);
    hasher.update(data);
    finish(hasher).unwrap()
}

/// A directory with packs.
pub(super) struct Store(pub(super) tempfile::TempDir);

impl Store {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn receive(&self, bytes: &[u8]) -> Result<(), PackError> {
        self.receive_unless(bytes, &AtomicBool::new(false))
    }

    pub(super) fn receive_unless(&self, mut bytes: &[u8], interrupted: &AtomicBool) -> Result<(), PackError> {
        let hash = Hash::Sha1;
        receive_blocking(
            &mut bytes,
            self.0.path(),
            &self.objects(),
            Bounds { hash, interrupted },
        )
    }

    pub(super) fn objects(&self) -> Objects {
        Objects::open(self.0.path(), Hash::Sha1).unwrap()
    }

    pub(super) fn is_empty(&self) -> bool {
        std::fs::read_dir(self.0.path()).unwrap().next().is_none()
    }
}
