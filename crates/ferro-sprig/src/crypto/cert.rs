//! X.509 certificates, laid out as Go's `x509.CreateCertificate` lays them out.

use std::net::IpAddr;

use ferro_gocompat::time::Time;
use ferro_template::Value;
use sha2::{Digest, Sha256};

use super::der::{
    BIT_STRING, GENERALIZED_TIME, INTEGER, OCTETS, OID, PRINTABLE_STRING, Reader, SEQUENCE, SET, UTC_TIME,
    UTF8_STRING, bit_string, integer, sequence, tagged,
};
use super::key::PrivateKey;
use crate::random::Dice;

const DAY: i64 = 24 * 3_600 * 1_000_000_000;

/// What a certificate is asked to say.
pub(super) struct Request<'a> {
    pub(super) common_name: &'a [u8],
    /// Addresses; `None` for a nil list.
    pub(super) ips: Option<&'a [Value]>,
    /// Names of hosts.
    pub(super) names: Option<&'a [Value]>,
    pub(super) days: i64,
    pub(super) is_authority: bool,
}

/// Who signs.
pub(super) struct Authority {
    pub(super) parsed: Parsed,
    pub(super) key: PrivateKey,
}

/// The parts of a certificate that matter for signing with it.
pub(super) struct Parsed {
    subject: Vec<u8>,
    public_key: Vec<u8>,
    key_id: Option<Vec<u8>>,
}

impl Parsed {
    pub(super) fn from_der(der: &[u8]) -> Result<Self, &'static str> {
        Self::read(der).ok_or("x509: malformed certificate")
    }

    fn read(der: &[u8]) -> Option<Self> {
        let mut outer = Reader(der);
        let mut certificate = Reader(outer.expect(SEQUENCE)?);
        let mut body = Reader(certificate.expect(SEQUENCE)?);
        certificate.expect(SEQUENCE)?;
        certificate.expect(BIT_STRING)?;
        body.optional(0xA0);
        body.expect(INTEGER)?;
        body.expect(SEQUENCE)?;
        body.expect(SEQUENCE)?;
        body.expect(SEQUENCE)?;
        let (SEQUENCE, _, subject) = body.any()? else {
            return None;
        };
        let (SEQUENCE, _, public_key) = body.any()? else {
            return None;
        };
        let mut key_id = None;
        while !body.is_empty() {
            if let (0xA3, extensions, _) = body.any()? {
                key_id = subject_key_id(extensions)?;
            }
        }
        outer.is_empty().then(|| Self {
            subject: subject.to_vec(),
            public_key: public_key.to_vec(),
            key_id,
        })
    }
}

const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1D, 0x0E];

/// Finds the key's id among extensions; the outer `None` is for what cannot be read.
fn subject_key_id(extensions: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut list = Reader(Reader(extensions).expect(SEQUENCE)?);
    let mut found = None;
    while !list.is_empty() {
        let mut extension = Reader(list.expect(SEQUENCE)?);
        let name = extension.expect(OID)?;
        extension.optional(0x01);
        let content = extension.expect(OCTETS)?;
        if name == SUBJECT_KEY_ID {
            found = Some(Reader(content).expect(OCTETS)?.to_vec());
        }
    }
    Some(found)
}

impl Request<'_> {
    /// Makes and signs the certificate. Without an authority it signs itself.
    pub(super) fn issue(
        &self,
        key: &PrivateKey,
        authority: Option<&Authority>,
        dice: &Dice,
    ) -> Result<Vec<u8>, String> {
        let ips = addresses(self.ips)?;
        let names = host_names(self.names)?;
        let mut serial = [0; 16];
        dice.fill(&mut serial);
        let signer = authority.map_or(key, |authority| &authority.key);
        self.sign(&ips, &names, &serial, key, authority, (signer, dice))
            .map_err(|problem| format!("error creating certificate: {problem}"))
    }

    fn sign(
        &self,
        ips: &[IpAddr],
        names: &[String],
        serial: &[u8],
        key: &PrivateKey,
        authority: Option<&Authority>,
        (signer, dice): (&PrivateKey, &Dice),
    ) -> Result<Vec<u8>, String> {
        let algorithm = signer.signature_algorithm()?;
        let public = key.public()?;
        let subject = distinguished_name(self.common_name)?;
        let issuer = authority.map_or(&subject, |authority| &authority.parsed.subject);
        if let Some(authority) = authority
            && authority.parsed.public_key != authority.key.public()?.info
        {
            return Err("x509: provided PrivateKey doesn't match parent's PublicKey".to_owned());
        }
        let issuer_key = authority
            .and_then(|authority| authority.parsed.key_id.as_deref())
            .filter(|_| *issuer != subject);
        let extensions = self.extensions(&public.bits, issuer_key, &subject, (ips, names))?;
        let now = dice.now();
        let body = sequence(&[
            // Version 3.
            &tagged(0xA0, &integer(&[2])),
            &integer(serial),
            &algorithm,
            issuer,
            &sequence(&[&time(&now), &time(&now.add(self.days.wrapping_mul(DAY)))]),
            &subject,
            &public.info,
            &tagged(0xA3, &extensions),
        ]);
        let signature = signer.sign(&body)?;
        Ok(sequence(&[&body, &algorithm, &bit_string(&signature)]))
    }

    fn extensions(
        &self,
        public_bits: &[u8],
        issuer_key: Option<&[u8]>,
        subject: &[u8],
        (ips, names): (&[IpAddr], &[String]),
    ) -> Result<Vec<u8>, String> {
        // digitalSignature and keyEncipherment; authorities may sign certificates too.
        let usage: &[u8] = if self.is_authority { &[2, 0xA4] } else { &[5, 0xA0] };
        let server = tagged(OID, &[0x2B, 6, 1, 5, 5, 7, 3, 1]);
        let client = tagged(OID, &[0x2B, 6, 1, 5, 5, 7, 3, 2]);
        let constraints: &[u8] = if self.is_authority { &[1, 1, 0xFF] } else { &[] };
        let mut all = vec![
            extension(0x0F, true, &tagged(BIT_STRING, usage)),
            extension(0x25, false, &sequence(&[&server, &client])),
            extension(0x13, true, &sequence(&[constraints])),
        ];
        if self.is_authority {
            // The first 160 bits of the hash of the key (RFC 7093, method 1).
            let digest = Sha256::digest(public_bits);
            let id = digest.get(..20).unwrap_or_default();
            all.push(extension(0x0E, false, &tagged(OCTETS, id)));
        }
        if let Some(id) = issuer_key {
            all.push(extension(0x23, false, &sequence(&[&tagged(0x80, id)])));
        }
        if !ips.is_empty() || !names.is_empty() {
            // With an empty subject the alternative names are all there is.
            let is_critical = subject == sequence(&[]);
            all.push(extension(0x11, is_critical, &alternative_names(ips, names)?));
        }
        Ok(tagged(SEQUENCE, &all.concat()))
    }
}

/// An extension of the arc 2.5.29.
fn extension(id: u8, is_critical: bool, content: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if is_critical { &[1, 1, 0xFF] } else { &[] };
    sequence(&[
        &tagged(OID, &[0x55, 0x1D, id]),
        critical,
        &tagged(OCTETS, content),
    ])
}

fn alternative_names(ips: &[IpAddr], names: &[String]) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    for name in names {
        if !name.is_ascii() {
            let quoted = ferro_gocompat::quote::quote(name);
            return Err(format!("x509: {quoted} cannot be encoded as an IA5String"));
        }
        all.extend(tagged(0x82, name.as_bytes()));
    }
    for ip in ips {
        match ip {
            IpAddr::V4(ip) => all.extend(tagged(0x87, &ip.octets())),
            IpAddr::V6(ip) => all.extend(tagged(0x87, &ip.octets())),
        }
    }
    Ok(sequence(&[&all]))
}

/// A name that is a common name only, or empty.
fn distinguished_name(common_name: &[u8]) -> Result<Vec<u8>, String> {
    if common_name.is_empty() {
        return Ok(sequence(&[]));
    }
    if std::str::from_utf8(common_name).is_err() {
        return Err("asn1: string not valid UTF-8".to_owned());
    }
    let is_printable = |byte: &u8| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(byte);
    let tag = if common_name.iter().all(is_printable) {
        PRINTABLE_STRING
    } else {
        UTF8_STRING
    };
    let attribute = sequence(&[&tagged(OID, &[0x55, 0x04, 0x03]), &tagged(tag, common_name)]);
    Ok(sequence(&[&tagged(SET, &attribute)]))
}

/// Years from 1950 to 2049 have two digits.
fn time(time: &Time) -> Vec<u8> {
    if (1950..2050).contains(&time.civil().year) {
        tagged(UTC_TIME, time.format("060102150405Z").as_bytes())
    } else {
        tagged(GENERALIZED_TIME, time.format("20060102150405Z").as_bytes())
    }
}

fn texts<'v>(
    values: Option<&'v [Value]>,
    refused: impl Fn(&Value) -> String,
) -> Result<Vec<std::borrow::Cow<'v, str>>, String> {
    let text = |value: &'v Value| match value {
        Value::Str(text) => Ok(text.to_str()),
        other => Err(refused(other)),
    };
    values.unwrap_or_default().iter().map(text).collect()
}

fn printed(value: &Value) -> String {
    ferro_template::sprint(std::slice::from_ref(value)).to_string()
}

fn addresses(ips: Option<&[Value]>) -> Result<Vec<IpAddr>, String> {
    let refused = |value: &Value| format!("error parsing ip: {} is not a string", printed(value));
    let parse = |text: std::borrow::Cow<'_, str>| {
        let address = text
            .parse::<IpAddr>()
            .map_err(|_| format!("error parsing ip: {text}"))?;
        Ok(match address {
            IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(address, IpAddr::V4),
            IpAddr::V4(_) => address,
        })
    };
    texts(ips, refused)?.into_iter().map(parse).collect()
}

fn host_names(names: Option<&[Value]>) -> Result<Vec<String>, String> {
    let refused = |value: &Value| {
        format!(
            "error processing alternate dns name: {} is not a string",
            printed(value)
        )
    };
    Ok(texts(names, refused)?
        .into_iter()
        .map(std::borrow::Cow::into_owned)
        .collect())
}
