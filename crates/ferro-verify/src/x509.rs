//! Certificates and chains of them.

use sha2::{Digest, Sha256};
use x509_parser::prelude::*;

use crate::der;
use crate::key::{Hash, PublicKey, pem};

/// How many certificates a chain may have.
const MAX_CHAIN: usize = 8;
/// How many signatures are checked while a chain is looked for.
const MAX_CHECKS: usize = 64;

/// `id-kp-codeSigning`.
pub(crate) const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
/// `id-kp-timeStamping`.
pub(crate) const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";
/// `id-kp-OCSPSigning`.
pub(crate) const OCSP_SIGNING: &str = "1.3.6.1.5.5.7.3.9";
const ANY_PURPOSE: &str = "2.5.29.37.0";

/// What certificates of servers, clients, mail, timestamps and OCSP are for.
const FOREIGN: [&str; 5] = [
    "1.3.6.1.5.5.7.3.1",
    "1.3.6.1.5.5.7.3.2",
    "1.3.6.1.5.5.7.3.4",
    TIME_STAMPING,
    OCSP_SIGNING,
];

const SCT_LIST: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x02];

/// A certificate that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateError {
    /// The encoding is malformed.
    #[error("the certificate is malformed")]
    Malformed,
    /// Its public key cannot be used.
    #[error("the certificate's public key: {0}")]
    Key(#[from] crate::key::KeyError),
    /// It does not lead to a trusted one.
    #[error("x509: certificate signed by unknown authority, or not valid at the time of signing")]
    Untrusted,
}

/// A certificate, with what chains are made by.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) der: Vec<u8>,
    pub(crate) key: PublicKey,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    serial: Vec<u8>,
    /// First and last second of its validity.
    validity: (i64, i64),
    pub(crate) is_ca: bool,
    path_length: Option<usize>,
    may_sign_certificates: Option<bool>,
    may_sign_data: Option<bool>,
    may_sign_lists: Option<bool>,
    purposes: Option<Vec<String>>,
    are_purposes_critical: bool,
    /// Extensions by the content of their OIDs.
    extensions: Vec<(Vec<u8>, Vec<u8>)>,
    has_unknown_critical: bool,
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Certificate {
    pub(crate) fn from_der(data: &[u8]) -> Result<Self, CertificateError> {
        let (rest, parsed) = X509Certificate::from_der(data).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() || parsed.signature_algorithm != parsed.tbs_certificate.signature {
            return Err(CertificateError::Malformed);
        }
        let malformed = |_| CertificateError::Malformed;
        let constraints = parsed.basic_constraints().map_err(malformed)?;
        let usage = parsed.key_usage().map_err(malformed)?;
        let purposes = parsed.extended_key_usage().map_err(malformed)?;
        let known = |extension: &X509Extension<'_>| {
            matches!(
                extension.parsed_extension(),
                ParsedExtension::BasicConstraints(_)
                    | ParsedExtension::KeyUsage(_)
                    | ParsedExtension::ExtendedKeyUsage(_)
                    | ParsedExtension::SubjectAlternativeName(_)
                    | ParsedExtension::CertificatePolicies(_)
            )
        };
        let path_length = constraints.as_ref().and_then(|it| it.value.path_len_constraint);
        Ok(Self {
            der: data.to_vec(),
            key: PublicKey::from_der(parsed.public_key().raw)?,
            subject: parsed.subject().as_raw().to_vec(),
            issuer: parsed.issuer().as_raw().to_vec(),
            serial: parsed.raw_serial().to_vec(),
            validity: (
                parsed.validity().not_before.timestamp(),
                parsed.validity().not_after.timestamp(),
            ),
            is_ca: constraints.is_some_and(|it| it.value.ca),
            path_length: path_length.and_then(|length| usize::try_from(length).ok()),
            may_sign_certificates: usage.as_ref().map(|it| it.value.key_cert_sign()),
            may_sign_data: usage.as_ref().map(|it| it.value.digital_signature()),
            may_sign_lists: usage.as_ref().map(|it| it.value.crl_sign()),
            are_purposes_critical: parsed.extensions().iter().any(|it| {
                it.critical && matches!(it.parsed_extension(), ParsedExtension::ExtendedKeyUsage(_))
            }),
            purposes: purposes.map(|it| oids(it.value)),
            extensions: parsed
                .extensions()
                .iter()
                .map(|it| (it.oid.as_bytes().to_vec(), it.value.to_vec()))
                .collect(),
            has_unknown_critical: parsed.extensions().iter().any(|it| it.critical && !known(it)),
        })
    }

    /// The certificates of a PEM text, or the one that is not PEM.
    pub(crate) fn from_any(data: &[u8]) -> Result<Vec<Self>, CertificateError> {
        let blocks = std::str::from_utf8(data).map(pem).unwrap_or_default();
        if blocks.is_empty() {
            return Ok(vec![Self::from_der(data)?]);
        }
        blocks
            .iter()
            .filter(|(kind, _)| kind == "CERTIFICATE")
            .map(|(_, data)| Self::from_der(data))
            .collect()
    }

    pub(crate) fn is_valid_at(&self, second: i64) -> bool {
        (self.validity.0..=self.validity.1).contains(&second)
    }

    /// Whether its time is over.
    pub(crate) fn is_over_at(&self, second: i64) -> bool {
        second > self.validity.1
    }

    /// Whether its time has come at a time in nanoseconds.
    pub(crate) fn is_valid_from(&self, nanoseconds: i128) -> bool {
        nanoseconds >= i128::from(self.validity.0) * 1_000_000_000
    }

    /// Whether its time is not over at a time in nanoseconds.
    pub(crate) fn is_valid_until(&self, nanoseconds: i128) -> bool {
        nanoseconds <= i128::from(self.validity.1) * 1_000_000_000
    }

    fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    pub(crate) fn extension(&self, oid: &[u8]) -> Option<&[u8]> {
        let found = self.extensions.iter().find(|(found, _)| found == oid);
        found.map(|(_, value)| value.as_slice())
    }

    /// The names that a Fulcio certificate is made out for: mail addresses, URIs, and names of other kinds.
    pub(crate) fn alternative_names(&self) -> Vec<String> {
        let Ok((_, parsed)) = X509Certificate::from_der(&self.der) else {
            return Vec::new();
        };
        let Ok(Some(names)) = parsed.subject_alternative_name() else {
            return Vec::new();
        };
        let name = |name: &GeneralName<'_>| match name {
            GeneralName::RFC822Name(text) | GeneralName::URI(text) | GeneralName::DNSName(text) => {
                Some((*text).to_owned())
            }
            GeneralName::OtherName(_, value) => {
                let inner = der::whole(value, 0xa0).map_or(*value, |explicit| explicit.content);
                let text = der::whole(inner, der::UTF8_STRING)?.content;
                String::from_utf8(text.to_vec()).ok()
            }
            _ => None,
        };
        names.value.general_names.iter().filter_map(name).collect()
    }

    /// Whether this is the certificate that an authority gave this number to.
    pub(crate) fn is_numbered(&self, issuer: &[u8], serial: &[u8]) -> bool {
        self.issuer == issuer && self.serial == serial
    }

    /// Whether the certificate may be used for `purpose` and for nothing else, and says that this must be heeded.
    pub(crate) fn is_only_for(&self, purpose: &str) -> bool {
        self.are_purposes_critical && self.purposes.as_deref() == Some(&[purpose.to_owned()])
    }

    /// Whether it is made for signing code, and for nothing that servers or their clients do.
    pub(crate) fn is_code_signer(&self) -> bool {
        let is_foreign = |purpose: &String| FOREIGN.contains(&purpose.as_str());
        let purposes = self.purposes.as_deref().unwrap_or_default();
        self.may_sign_data == Some(true)
            && self.may_sign_certificates != Some(true)
            && !self.is_ca
            && !self.has_unknown_critical
            && self.allows(CODE_SIGNING)
            && !purposes.iter().any(is_foreign)
    }

    /// Whether `issuer` has the name of the issuer, and signed.
    pub(crate) fn is_issued_by(&self, issuer: &Self) -> bool {
        self.issuer == issuer.subject && self.is_signed_by(issuer)
    }

    /// The subject (DER).
    pub(crate) fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// The content of the serial number.
    pub(crate) fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The public key without what kind of key it is.
    pub(crate) fn key_bits(&self) -> Option<&[u8]> {
        let mut fields = der::whole(self.key.to_der(), der::SEQUENCE)?.content;
        der::take_tag(&mut fields, der::SEQUENCE)?;
        der::bit_string(der::whole(fields, der::BIT_STRING)?.content)
    }

    /// Whether it says that it is for `purpose`, and not only that it may be used for all.
    pub(crate) fn is_made_for(&self, purpose: &str) -> bool {
        let purposes = self.purposes.as_deref().unwrap_or_default();
        purposes.iter().any(|it| it == purpose)
    }

    /// Whether it may sign lists of what it has revoked.
    pub(crate) fn may_sign_lists(&self) -> bool {
        self.is_ca && self.may_sign_lists != Some(false)
    }

    /// The attributes of the subject, by the short names of RFC 4514.
    pub(crate) fn subject_attributes(&self) -> Option<Vec<(String, String)>> {
        let (_, parsed) = X509Certificate::from_der(&self.der).ok()?;
        let attributes = parsed.subject().iter_attributes().map(|attribute| {
            let oid = attribute.attr_type().to_id_string();
            let name = match oid.as_str() {
                "2.5.4.3" => "CN",
                "2.5.4.5" => "SERIALNUMBER",
                "2.5.4.6" => "C",
                "2.5.4.7" => "L",
                "2.5.4.8" => "ST",
                "2.5.4.9" => "STREET",
                "2.5.4.10" => "O",
                "2.5.4.11" => "OU",
                "2.5.4.17" => "POSTALCODE",
                other => other,
            };
            Some((name.to_owned(), attribute.as_str().ok()?.to_owned()))
        });
        attributes.collect()
    }

    /// Whether `issuer` signed this certificate.
    pub(crate) fn is_signed_by(&self, issuer: &Self) -> bool {
        let verify = || {
            let mut rest = der::whole(&self.der, der::SEQUENCE)?.content;
            let signed = der::take_tag(&mut rest, der::SEQUENCE)?.raw;
            let algorithm = der::take_tag(&mut rest, der::SEQUENCE)?;
            let signature = der::bit_string(der::whole(rest, der::BIT_STRING)?.content)?;
            verify_with(&issuer.key, algorithm.content, signed, signature)
        };
        verify().is_some()
    }

    /// The part that is signed, without the list of signed certificate timestamps: what a log of certificates saw.
    pub(crate) fn logged_part(&self) -> Option<Vec<u8>> {
        let mut rest = der::whole(&self.der, der::SEQUENCE)?.content;
        let fields = der::children(der::take_tag(&mut rest, der::SEQUENCE)?.content)?;
        let mut out = Vec::new();
        for field in fields {
            if field.tag != 0xa3 {
                out.extend_from_slice(field.raw);
                continue;
            }
            let extensions = der::children(der::whole(field.content, der::SEQUENCE)?.content)?;
            let kept: Vec<&[u8]> = extensions
                .iter()
                .filter(|extension| {
                    let oid = der::take_tag(&mut { extension.content }, der::OID);
                    oid.is_none_or(|oid| oid.content != SCT_LIST)
                })
                .map(|extension| extension.raw)
                .collect();
            let list = der::encode(der::SEQUENCE, &kept);
            out.extend_from_slice(&der::encode(0xa3, &[&list]));
        }
        Some(der::encode(der::SEQUENCE, &[&out]))
    }

    /// The list of signed certificate timestamps.
    pub(crate) fn timestamps(&self) -> Option<&[u8]> {
        Some(der::whole(self.extension(SCT_LIST)?, der::OCTET_STRING)?.content)
    }

    /// The hash by which logs of certificates name an issuer.
    pub(crate) fn key_hash(&self) -> [u8; 32] {
        Sha256::digest(self.key.to_der()).into()
    }

    pub(crate) fn may_issue(&self, below: usize) -> bool {
        self.is_ca
            && self.may_sign_certificates != Some(false)
            && self.path_length.is_none_or(|length| below <= length)
    }

    /// Whether the certificate may be used for `purpose`; one that names none may be used for all.
    fn allows(&self, purpose: &str) -> bool {
        self.purposes
            .as_ref()
            .is_none_or(|purposes| purposes.iter().any(|it| it == purpose || it == ANY_PURPOSE))
    }
}

fn oids(usage: &ExtendedKeyUsage<'_>) -> Vec<String> {
    let known = [
        (usage.any, ANY_PURPOSE),
        (usage.code_signing, CODE_SIGNING),
        (usage.time_stamping, TIME_STAMPING),
        (usage.server_auth, "1.3.6.1.5.5.7.3.1"),
        (usage.client_auth, "1.3.6.1.5.5.7.3.2"),
        (usage.email_protection, "1.3.6.1.5.5.7.3.4"),
        (usage.ocsp_signing, OCSP_SIGNING),
    ];
    let known = known.iter().filter(|(is_set, _)| *is_set);
    let others = usage.other.iter().map(|oid| oid.to_id_string());
    known.map(|(_, oid)| (*oid).to_owned()).chain(others).collect()
}

/// Verifies a signature by an `AlgorithmIdentifier`.
pub(crate) fn verify_with(key: &PublicKey, algorithm: &[u8], data: &[u8], signature: &[u8]) -> Option<()> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    let mut rest = algorithm;
    let oid = der::take_tag(&mut rest, der::OID)?.content;
    let (&last, family) = oid.split_last()?;
    let hash = match (family, last) {
        (RSA, 0x0b) | (ECDSA, 2) => Hash::Sha256,
        (RSA, 0x0c) | (ECDSA, 3) => Hash::Sha384,
        (RSA, 0x0a) => return key.verify_pss(pss_hash(rest)?, data, signature),
        (RSA, 0x0d) | (ECDSA, 4) | ([0x2b, 0x65], 0x70) => Hash::Sha512,
        _ => return None,
    };
    let is_family = match family {
        RSA => key.rsa_bits().is_some(),
        ECDSA => key.curve_bits().is_some(),
        _ => key.rsa_bits().is_none() && key.curve_bits().is_none(),
    };
    (is_family && key.verify(hash, data, signature)).then_some(())
}

/// The hash function that the parameters of RSASSA-PSS name.
fn pss_hash(parameters: &[u8]) -> Option<Hash> {
    let mut fields = der::whole(parameters, der::SEQUENCE)?.content;
    let mut algorithm = der::take_tag(&mut fields, 0xa0)?.content;
    let mut algorithm = der::take_tag(&mut algorithm, der::SEQUENCE)?.content;
    let oid = der::take_tag(&mut algorithm, der::OID)?.content;
    Hash::from_oid(oid)
}

/// Finds a chain from `leaf` to one of `roots`, all of it valid at `second` and for `purpose`. The chain begins with the leaf.
///
/// Critical extensions that are not understood, among them constraints of names, make a certificate useless.
pub(crate) fn chain<'a>(
    leaf: &'a Certificate,
    intermediates: &'a [Certificate],
    roots: &'a [Certificate],
    second: i64,
    purpose: &str,
) -> Result<Vec<&'a Certificate>, CertificateError> {
    let mut search = Search {
        intermediates,
        roots,
        second,
        purpose,
        checks: 0,
    };
    let mut found = vec![leaf];
    if search.is_usable(leaf) && search.extend(&mut found) {
        return Ok(found);
    }
    Err(CertificateError::Untrusted)
}

struct Search<'a, 'p> {
    intermediates: &'a [Certificate],
    roots: &'a [Certificate],
    second: i64,
    purpose: &'p str,
    checks: usize,
}

impl<'a> Search<'a, '_> {
    fn is_usable(&self, certificate: &Certificate) -> bool {
        certificate.is_valid_at(self.second)
            && certificate.allows(self.purpose)
            && !certificate.has_unknown_critical
    }

    /// Makes the chain longer until it ends at a root; false when it cannot be.
    fn extend(&mut self, chain: &mut Vec<&'a Certificate>) -> bool {
        let Some(last) = chain.last().copied() else {
            return false;
        };
        if self.roots.contains(last) {
            return true;
        }
        if chain.len() >= MAX_CHAIN {
            return false;
        }
        let candidates = self.roots.iter().chain(self.intermediates);
        for issuer in candidates.filter(|issuer| issuer.subject == last.issuer) {
            let below = chain.iter().skip(1).filter(|it| !it.is_self_issued()).count();
            if chain.contains(&issuer) || !issuer.may_issue(below) || !self.is_usable(issuer) {
                continue;
            }
            self.checks += 1;
            if self.checks > MAX_CHECKS {
                return false;
            }
            if !last.is_signed_by(issuer) {
                continue;
            }
            chain.push(issuer);
            if self.extend(chain) {
                return true;
            }
            chain.pop();
        }
        false
    }
}
