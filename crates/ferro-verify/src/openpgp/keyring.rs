//! Keyrings: keys, their identities and subkeys, and what the keys themselves say about those.

use jiff::Timestamp;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{
    Packet, PublicKey, PublicSubkey, RevocationCode, Signature, SignatureType, SubpacketData, UserId,
};
use pgp::types::{KeyDetails, KeyVersion, PublicParams, Tag, VerifyingKey};

use super::Error;
use super::armor::{ArmorError, Blocks};
use super::packet::{Read, packets};

/// The smallest RSA keys that are used, as in Go's standard library.
const MIN_RSA_BITS: usize = 1024;

/// Public keys that are trusted.
#[derive(Debug, Default)]
pub struct Keyring {
    entities: Vec<Entity>,
}

impl Keyring {
    /// Reads armored public keys, or private ones, of which the public part is taken. Keys that cannot be used are passed over.
    ///
    /// go-crypto reads the first armored block of a text only; here keys that were exported one by one and put into one file are all found.
    ///
    /// # Errors
    /// When the text does not begin with readable keys.
    pub fn from_armor(text: &str) -> Result<Self, Error> {
        let mut keyring = Self::default();
        let mut blocks = Blocks::new(text);
        keyring.add(blocks.next().unwrap_or(Err(ArmorError::Missing)))?;
        for block in blocks {
            // Text after the first block is as good as none.
            let _unreadable = keyring.add(block);
        }
        Ok(keyring)
    }

    fn add(&mut self, block: Result<super::armor::Block, ArmorError>) -> Result<(), Error> {
        let block = block?;
        if !matches!(
            block.kind.as_str(),
            "PGP PUBLIC KEY BLOCK" | "PGP PRIVATE KEY BLOCK"
        ) {
            return Err(Error::NotKeys { found: block.kind });
        }
        self.add_binary(&block.data)
    }

    /// Reads public keys that are not armored.
    ///
    /// # Errors
    /// When there is no readable key.
    pub fn from_binary(data: &[u8]) -> Result<Self, Error> {
        let mut keyring = Self::default();
        keyring.add_binary(data)?;
        Ok(keyring)
    }

    fn add_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        let mut error = None;
        for packets in keys(data)? {
            match Entity::read(packets) {
                Ok(entity) => self.entities.push(entity),
                Err(problem) => error = Some(Error::Key { problem }),
            }
        }
        match error {
            Some(error) if self.entities.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// The keys that may sign data and that a signature says it is made with.
    pub(crate) fn signers<'a>(&'a self, signature: &'a Signature) -> impl Iterator<Item = Signer<'a>> {
        self.entities
            .iter()
            .flat_map(Entity::signers)
            .filter(|signer| signer.key.is_issuer_of(signature))
    }
}

/// The packets of each key. A malformed tail costs all keys, as it does upstream: half a keyring is not what the user meant.
fn keys(data: &[u8]) -> Result<Vec<Vec<Read>>, Error> {
    let mut keys: Vec<Vec<Read>> = Vec::new();
    for read in packets(data) {
        let is_primary = matches!(read, Read::Packet(Packet::PublicKey(_) | Packet::SecretKey(_)));
        match (is_primary, keys.last_mut()) {
            (_, _) if matches!(read, Read::Malformed) => return Err(Error::Malformed),
            (false, Some(key)) => key.push(read),
            (false, None) if matches!(read, Read::Unusable) => {}
            (false, None) => {
                return Err(Error::Key {
                    problem: "first packet was not a public/private key",
                });
            }
            (true, _) => keys.push(vec![read]),
        }
    }
    Ok(keys)
}

/// A key with all that belongs to it and is signed by it.
#[derive(Debug)]
pub(crate) struct Entity {
    pub(crate) primary: PublicKey,
    identities: Vec<Identity>,
    subkeys: Vec<Subkey>,
    revocations: Vec<Signature>,
    /// The self-signature of a key of version 6.
    direct: Option<Signature>,
}

#[derive(Debug)]
struct Identity {
    self_signature: Option<Signature>,
    revocations: Vec<Signature>,
}

#[derive(Debug)]
struct Subkey {
    key: PublicSubkey,
    binding: Signature,
    revocations: Vec<Signature>,
}

type Problem = &'static str;

impl Entity {
    fn read(packets: Vec<Read>) -> Result<Self, Problem> {
        let mut packets = packets.into_iter().peekable();
        let primary = match packets.next() {
            Some(Read::Packet(Packet::PublicKey(key))) => key,
            Some(Read::Packet(Packet::SecretKey(key))) => key.public_key().clone(),
            _ => return Err("first packet was not a public/private key"),
        };
        if !can_sign(primary.algorithm()) {
            return Err("primary key cannot be used for signatures");
        }
        let mut entity = Self {
            primary,
            identities: Vec::new(),
            subkeys: Vec::new(),
            revocations: Vec::new(),
            direct: None,
        };
        while let Some(read) = packets.next() {
            let Read::Packet(packet) = read else { continue };
            let mut signatures = || {
                let mut found = Vec::new();
                while let Some(Read::Packet(Packet::Signature(_))) = packets.peek() {
                    if let Some(Read::Packet(Packet::Signature(signature))) = packets.next() {
                        found.push(signature);
                    }
                }
                found
            };
            match packet {
                Packet::UserId(id) => entity.add_identity(&id, signatures())?,
                Packet::PublicSubkey(key) => entity.add_subkey(key, signatures())?,
                Packet::SecretSubkey(key) => entity.add_subkey(key.public_key().clone(), signatures())?,
                Packet::Signature(signature) => entity.add_direct(signature)?,
                _ => {}
            }
        }
        entity.check_complete()?;
        Ok(entity)
    }

    fn add_identity(&mut self, id: &UserId, signatures: Vec<Signature>) -> Result<(), Problem> {
        let mut identity = Identity {
            self_signature: None,
            revocations: Vec::new(),
        };
        let mut is_own = false;
        for signature in signatures {
            if !signature.is_certification() {
                return Err("user ID signature with wrong type");
            }
            if !is_issuer(&signature, &self.primary) {
                continue;
            }
            check_strength(&self.primary)?;
            signature
                .verify_certification(&self.primary, Tag::UserId, id)
                .map_err(|_| "user ID self-signature invalid")?;
            is_own = true;
            if signature.typ() == Some(SignatureType::CertRevocation) {
                identity.revocations.push(signature);
            } else if is_newer(&signature, identity.self_signature.as_ref()) {
                identity.self_signature = Some(signature);
            }
        }
        if is_own {
            self.identities.push(identity);
        }
        Ok(())
    }

    fn add_subkey(&mut self, key: PublicSubkey, signatures: Vec<Signature>) -> Result<(), Problem> {
        let mut binding: Option<Signature> = None;
        let mut revocations = Vec::new();
        for signature in signatures {
            self.verify_subkey(&key, &signature)?;
            match signature.typ() {
                Some(SignatureType::SubkeyRevocation) => revocations.push(signature),
                _ if is_newer(&signature, binding.as_ref()) => binding = Some(signature),
                _ => {}
            }
        }
        let binding = binding.ok_or("subkey packet not followed by signature")?;
        self.subkeys.push(Subkey {
            key,
            binding,
            revocations,
        });
        Ok(())
    }

    /// Whether the primary key signed the subkey, and a subkey that signs also signed the primary key: or else one could adopt the subkey of
    /// somebody else.
    fn verify_subkey(&self, key: &PublicSubkey, signature: &Signature) -> Result<(), Problem> {
        check_strength(&self.primary)?;
        signature
            .verify_subkey_binding(&self.primary, key)
            .map_err(|_| "subkey signature invalid")?;
        if !signature.key_flags().sign() {
            return Ok(());
        }
        let back = signature
            .embedded_signature()
            .ok_or("signing subkey is missing cross-signature")?;
        check_strength(key)?;
        back.verify_primary_key_binding(key, &self.primary)
            .map_err(|_| "error while verifying cross-signature")
    }

    fn add_direct(&mut self, signature: Signature) -> Result<(), Problem> {
        match signature.typ() {
            Some(SignatureType::KeyRevocation) => {
                check_strength(&self.primary)?;
                signature
                    .verify_key(&self.primary)
                    .map_err(|_| "revocation signature signed by alternate key")?;
                self.revocations.push(signature);
            }
            Some(SignatureType::Key)
                if self.primary.version() == KeyVersion::V6
                    && is_issuer(&signature, &self.primary)
                    && is_newer(&signature, self.direct.as_ref()) =>
            {
                signature
                    .verify_key(&self.primary)
                    .map_err(|_| "invalid direct-key self-signature for v6 primary key")?;
                self.direct = Some(signature);
            }
            _ => {}
        }
        Ok(())
    }

    fn check_complete(&self) -> Result<(), Problem> {
        match self.primary.version() {
            KeyVersion::V6 if self.direct.is_none() => Err("v6 entity without a valid direct-key signature"),
            KeyVersion::V4 if self.identities.is_empty() => Err("v4 entity without any identities"),
            KeyVersion::V4 | KeyVersion::V6 => Ok(()),
            _ => Err("unsupported key version"),
        }
    }

    /// The identity that speaks for the key: not revoked, marked as primary, newest, in this order.
    fn primary_identity(&self) -> Option<&Identity> {
        self.identities.iter().max_by_key(|identity| {
            let signature = identity.self_signature.as_ref();
            (
                std::cmp::Reverse(identity.revocations.len()),
                signature.is_some(),
                signature.is_some_and(Signature::is_primary),
                signature.map(created),
            )
        })
    }

    /// The signature that says what the primary key is for and how long it is valid.
    fn self_signature(&self) -> Option<&Signature> {
        match &self.direct {
            Some(direct) => Some(direct),
            None => self.primary_identity()?.self_signature.as_ref(),
        }
    }

    fn signers(&self) -> impl Iterator<Item = Signer<'_>> {
        let primary = self.self_signature().map(|binding| Signer {
            entity: self,
            key: SigningKey::Primary(&self.primary),
            binding,
            revocations: &self.revocations,
        });
        let subkeys = self.subkeys.iter().map(|subkey| Signer {
            entity: self,
            key: SigningKey::Sub(&subkey.key),
            binding: &subkey.binding,
            revocations: &subkey.revocations,
        });
        primary
            .into_iter()
            .chain(subkeys)
            .filter(|signer| signer.binding.key_flags().sign())
    }
}

/// A key that may sign data.
pub(crate) struct Signer<'a> {
    pub(crate) entity: &'a Entity,
    key: SigningKey<'a>,
    /// What says that it may.
    binding: &'a Signature,
    revocations: &'a [Signature],
}

enum SigningKey<'a> {
    Primary(&'a PublicKey),
    Sub(&'a PublicSubkey),
}

impl SigningKey<'_> {
    fn is_issuer_of(&self, signature: &Signature) -> bool {
        match self {
            Self::Primary(key) => is_issuer(signature, key),
            Self::Sub(key) => is_issuer(signature, key),
        }
    }
}

impl Signer<'_> {
    /// Whether the signature over `data` was made with the key.
    pub(crate) fn verify(&self, signature: &Signature, data: &[u8]) -> bool {
        match self.key {
            SigningKey::Primary(key) => check_strength(key).is_ok() && signature.verify(key, data).is_ok(),
            SigningKey::Sub(key) => check_strength(key).is_ok() && signature.verify(key, data).is_ok(),
        }
    }

    /// Whether key and signature are to be believed at `now`. Like upstream this asks about the present: what was signed by a key that has
    /// expired since is not accepted.
    pub(crate) fn check(&self, signature: &Signature, now: Timestamp) -> Result<(), Error> {
        let primary = self.entity.self_signature().ok_or(Error::Key {
            problem: "the primary key has no self-signature",
        })?;
        let mut signatures = vec![signature, primary];
        if let SigningKey::Sub(_) = self.key {
            signatures.push(self.binding);
            signatures.extend(self.binding.embedded_signature());
        }
        if signatures
            .iter()
            .any(|signature| has_critical_notation(signature))
        {
            return Err(Error::CriticalNotation);
        }
        let identity = self.entity.primary_identity();
        let identity = identity.map_or(&[][..], |identity| &identity.revocations);
        let is_revoked = [&self.entity.revocations, self.revocations, identity]
            .into_iter()
            .flatten()
            .any(|revocation| revokes(revocation, now));
        if is_revoked {
            return Err(Error::KeyRevoked);
        }
        let is_expired = is_key_expired(&self.entity.primary, primary, now)
            || match self.key {
                SigningKey::Primary(_) => false,
                SigningKey::Sub(key) => is_key_expired(key, self.binding, now),
            };
        if is_expired {
            return Err(Error::KeyExpired);
        }
        if signatures
            .iter()
            .any(|signature| is_signature_expired(signature, now))
        {
            return Err(Error::SignatureExpired);
        }
        Ok(())
    }
}

fn can_sign(algorithm: PublicKeyAlgorithm) -> bool {
    use PublicKeyAlgorithm as Algorithm;
    matches!(
        algorithm,
        Algorithm::RSA
            | Algorithm::RSASign
            | Algorithm::DSA
            | Algorithm::ECDSA
            | Algorithm::EdDSALegacy
            | Algorithm::Ed25519
            | Algorithm::Ed448
    )
}

fn check_strength(key: &impl VerifyingKey) -> Result<(), Problem> {
    match key.public_params() {
        PublicParams::RSA(params) if rsa_bits(params) < MIN_RSA_BITS => Err("the RSA key is too short"),
        _ => Ok(()),
    }
}

fn rsa_bits(params: &pgp::types::RsaPublicParams) -> usize {
    use pgp::ser::Serialize;
    // Two length-prefixed numbers, modulus and exponent; the prefix of the first is its length in bits.
    let mut bytes = Vec::with_capacity(params.write_len());
    if params.to_writer(&mut bytes).is_err() {
        return 0;
    }
    match bytes.as_slice() {
        [high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    }
}

/// Whether a signature names `key` as its issuer.
fn is_issuer(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if !fingerprints.is_empty() {
        return fingerprints.contains(&&key.fingerprint());
    }
    signature.issuer_key_id().contains(&&key.legacy_key_id())
}

fn created(signature: &Signature) -> i64 {
    signature.created().map_or(0, |time| i64::from(time.as_secs()))
}

fn is_newer(signature: &Signature, than: Option<&Signature>) -> bool {
    than.is_none_or(|than| created(signature) > created(than))
}

fn has_critical_notation(signature: &Signature) -> bool {
    signature.config().is_some_and(|config| {
        config
            .hashed_subpackets()
            .any(|subpacket| subpacket.is_critical && matches!(subpacket.data, SubpacketData::Notation(_)))
    })
}

/// A compromised key was never good; other revocations count while they are valid.
fn revokes(revocation: &Signature, now: Timestamp) -> bool {
    revocation.revocation_reason_code() == Some(&RevocationCode::KeyCompromised)
        || !is_signature_expired(revocation, now)
}

fn is_signature_expired(signature: &Signature, now: Timestamp) -> bool {
    let lifetime = signature
        .signature_expiration_time()
        .map_or(0, |time| time.as_secs());
    is_outside(created(signature), lifetime, now)
}

fn is_key_expired(key: &impl KeyDetails, binding: &Signature, now: Timestamp) -> bool {
    let lifetime = binding.key_expiration_time().map_or(0, |time| time.as_secs());
    is_outside(i64::from(key.created_at().as_secs()), lifetime, now)
}

/// Whether `now` is before `from`, or more than `lifetime` seconds after it; a lifetime of zero has no end.
fn is_outside(from: i64, lifetime: u32, now: Timestamp) -> bool {
    let now = now.as_second();
    from > now || (lifetime != 0 && now > from + i64::from(lifetime))
}
