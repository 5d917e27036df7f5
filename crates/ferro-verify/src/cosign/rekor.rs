//! Entries of a transparency log: that the log promised or proved to hold them, and that they are about this signature.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::root::{Log, TrustedRoot};
use super::{Refusal, Signed};
use crate::hex;
use crate::key::{Hash, pem};

/// The most levels that a tree of 2^63 entries has.
const MAX_HASHES: usize = 64;

/// An entry, with what the log says about it.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) log_id: Vec<u8>,
    pub(super) index: i64,
    pub(super) integrated: i64,
    /// The canonical body.
    pub(super) body: Vec<u8>,
    /// The log's signature over all the above.
    pub(super) promise: Option<Vec<u8>>,
    pub(super) proof: Option<Proof>,
}

/// That the tree which a signed checkpoint is about holds the entry.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) index: u64,
    pub(super) size: u64,
    pub(super) hashes: Vec<Vec<u8>>,
    pub(super) checkpoint: String,
}

impl Entry {
    /// Verifies the entry, and returns the time at which the log took it in, if the log vouches for that.
    pub(super) fn verify(&self, root: &TrustedRoot, signed: &Signed<'_>) -> Result<Option<i64>, Refusal> {
        let log = self.log(root)?;
        let mut time = None;
        if let Some(promise) = &self.promise {
            self.verify_promise(log, promise)?;
            time = Some(self.integrated);
        }
        match &self.proof {
            Some(proof) => self.verify_proof(log, proof)?,
            None if self.promise.is_none() => return Err(Refusal::Log("neither promise nor proof is there")),
            None => {}
        }
        if let Some(time) = time {
            self.check_log(root, time)?;
        }
        self.check_body(signed)
            .ok_or(Refusal::Log("the entry is about another signature"))?;
        Ok(time)
    }

    fn log<'a>(&self, root: &'a TrustedRoot) -> Result<&'a Log, Refusal> {
        let log = root.logs.iter().find(|log| log.id == self.log_id);
        log.ok_or(Refusal::Log("the log is not trusted"))
    }

    /// Whether the log was in use at `second`.
    pub(super) fn check_log(&self, root: &TrustedRoot, second: i64) -> Result<(), Refusal> {
        if self.log(root)?.is_valid_at(second) {
            return Ok(());
        }
        Err(Refusal::Log("the log was not trusted at that time"))
    }

    fn verify_promise(&self, log: &Log, promise: &[u8]) -> Result<(), Refusal> {
        let body = STANDARD.encode(&self.body);
        let id = hex(&self.log_id);
        // Canonical JSON: sorted keys, no blanks; neither text needs escapes.
        let text = format!(
            r#"{{"body":"{body}","integratedTime":{},"logID":"{id}","logIndex":{}}}"#,
            self.integrated, self.index
        );
        if log.key.verify(Hash::Sha256, text.as_bytes(), promise) {
            return Ok(());
        }
        Err(Refusal::Log("the signed entry timestamp is invalid"))
    }

    fn verify_proof(&self, log: &Log, proof: &Proof) -> Result<(), Refusal> {
        let (size, root) =
            checkpoint(log, &proof.checkpoint).ok_or(Refusal::Log("the checkpoint is invalid"))?;
        let leaf = Sha256::new().chain_update([0]).chain_update(&self.body);
        let computed = proof.root(leaf.finalize().into());
        if size != proof.size || computed.is_none_or(|computed| computed[..] != root[..]) {
            return Err(Refusal::Log("the inclusion proof is invalid"));
        }
        Ok(())
    }

    /// Whether the entry is about this signature, made with this key over this content.
    fn check_body(&self, signed: &Signed<'_>) -> Option<()> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        let text = |path: &str| body.pointer(path).and_then(Value::as_str);
        let bytes = |path: &str| STANDARD.decode(text(path)?).ok();
        let (signature, verifier) = match (text("/kind")?, text("/apiVersion")?) {
            ("hashedrekord", "0.0.1") => {
                let algorithm = text("/spec/data/hash/algorithm")?;
                let digest = unhex(text("/spec/data/hash/value")?)?;
                (algorithm == "sha256" && digest == signed.digest).then_some(())?;
                let key = bytes("/spec/signature/publicKey/content")?;
                (bytes("/spec/signature/content")?, unarmored(&key)?)
            }
            ("dsse", "0.0.1") => {
                let algorithm = text("/spec/payloadHash/algorithm")?;
                let digest = unhex(text("/spec/payloadHash/value")?)?;
                let payload = signed.dsse_payload?;
                (algorithm == "sha256" && digest == Sha256::digest(payload)[..]).then_some(())?;
                let key = bytes("/spec/signatures/0/verifier")?;
                (bytes("/spec/signatures/0/signature")?, unarmored(&key)?)
            }
            ("intoto", "0.0.2") => {
                let algorithm = text("/spec/content/payloadHash/algorithm")?;
                let digest = unhex(text("/spec/content/payloadHash/value")?)?;
                let payload = signed.dsse_payload?;
                (algorithm == "sha256" && digest == Sha256::digest(payload)[..]).then_some(())?;
                let at = "/spec/content/envelope/signatures/0";
                let key = bytes(&format!("{at}/publicKey"))?;
                // The text of the signature is encoded once more.
                let signature = STANDARD.decode(bytes(&format!("{at}/sig"))?).ok()?;
                (signature, unarmored(&key)?)
            }
            ("hashedrekord", "0.0.2") => {
                let spec = "/spec/hashedRekordV002";
                let digest = bytes(&format!("{spec}/data/digest"))?;
                (digest == signed.digest).then_some(())?;
                let key = tile_key(&body, &format!("{spec}/signature/verifier"))?;
                (bytes(&format!("{spec}/signature/content"))?, key)
            }
            ("dsse", "0.0.2") => {
                let spec = "/spec/dsseV002";
                let digest = bytes(&format!("{spec}/payloadHash/digest"))?;
                (digest == Sha256::digest(signed.dsse_payload?)[..]).then_some(())?;
                let key = tile_key(&body, &format!("{spec}/signatures/0/verifier"))?;
                (bytes(&format!("{spec}/signatures/0/content"))?, key)
            }
            _ => return None,
        };
        (signature == signed.signature && verifier == signed.verifier).then_some(())
    }
}

fn tile_key(body: &Value, path: &str) -> Option<Vec<u8>> {
    let verifier = body.pointer(path)?;
    let of = |name: &str| verifier.get(name)?.get("rawBytes")?.as_str();
    STANDARD
        .decode(of("x509Certificate").or_else(|| of("publicKey"))?)
        .ok()
}

/// The bytes of the first PEM block.
fn unarmored(text: &[u8]) -> Option<Vec<u8>> {
    let blocks = pem(std::str::from_utf8(text).ok()?);
    blocks.into_iter().next().map(|(_, data)| data)
}

impl Proof {
    /// The root of the tree that these hashes and the leaf make (RFC 9162 section 2.1.3.2).
    fn root(&self, leaf: [u8; 32]) -> Option<[u8; 32]> {
        if self.index >= self.size || self.hashes.len() > MAX_HASHES {
            return None;
        }
        let join = |left: &[u8], right: &[u8]| -> [u8; 32] {
            let hasher = Sha256::new().chain_update([1]);
            hasher.chain_update(left).chain_update(right).finalize().into()
        };
        let (mut node, mut last, mut hash) = (self.index, self.size - 1, leaf);
        for sibling in &self.hashes {
            if last == 0 || sibling.len() != 32 {
                return None;
            }
            if node & 1 == 1 || node == last {
                hash = join(sibling, &hash);
                while node & 1 == 0 && node != 0 {
                    (node, last) = (node >> 1, last >> 1);
                }
            } else {
                hash = join(&hash, sibling);
            }
            (node, last) = (node >> 1, last >> 1);
        }
        (last == 0).then_some(hash)
    }
}

/// Size and root of the tree, from a note that the log has signed.
fn checkpoint(log: &Log, note: &str) -> Option<(u64, Vec<u8>)> {
    let (text, signatures) = note.split_once("\n\n")?;
    let text = format!("{text}\n");
    let is_signed = signatures.lines().any(|line| {
        let verify = || {
            let encoded = line.strip_prefix("\u{2014} ")?.split(' ').nth(1)?;
            let signature = STANDARD.decode(encoded).ok()?;
            // The first bytes are a hint at the key.
            let (_, signature) = signature.split_at_checked(4)?;
            log.key
                .verify(Hash::Sha256, text.as_bytes(), signature)
                .then_some(())
        };
        verify().is_some()
    });
    let mut lines = text.lines().skip(1);
    let size = lines.next()?.parse().ok()?;
    let root = STANDARD.decode(lines.next()?).ok()?;
    is_signed.then_some((size, root))
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The root of a tree and the proof for one leaf, computed from the definition.
    fn tree(leaves: &[[u8; 32]], index: usize) -> ([u8; 32], Vec<Vec<u8>>) {
        if leaves.len() == 1 {
            return (leaves[0], Vec::new());
        }
        let half = leaves.len().next_power_of_two() / 2;
        let (left, right) = leaves.split_at(half);
        let within = |at: usize, part: &[[u8; 32]]| tree(part, at.min(part.len() - 1));
        let ((l, mut lp), (r, mut rp)) = (within(index, left), within(index.saturating_sub(half), right));
        let root = Sha256::new().chain_update([1]).chain_update(l).chain_update(r);
        let proof = if index < half {
            lp.push(r.to_vec());
            lp
        } else {
            rp.push(l.to_vec());
            rp
        };
        (root.finalize().into(), proof)
    }

    #[test]
    fn root_of_every_leaf_in_trees_of_all_shapes() {
        for size in 1..=20_usize {
            let leaves: Vec<[u8; 32]> = (0..size).map(|n| [u8::try_from(n).unwrap(); 32]).collect();
            for index in 0..size {
                let (root, hashes) = tree(&leaves, index);
                let mut proof = Proof {
                    index: index as u64,
                    size: size as u64,
                    hashes,
                    checkpoint: String::new(),
                };
                assert_eq!(proof.root(leaves[index]), Some(root), "{index} of {size}");
                assert_ne!(proof.root([0xff; 32]), Some(root));
                proof.hashes.push(vec![0; 32]);
                assert_eq!(proof.root(leaves[index]), None, "a hash too many");
            }
        }
    }
}
