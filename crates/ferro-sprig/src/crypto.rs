//! Keys, certificates, passwords, encryption.

mod cert;
mod der;
mod dsa;
mod key;
mod password;
mod pem;

use ferro_template::{Error, IntKind, List, NamedType, Object, Type, Value};

use crate::args::{Args, INT, LIST, Outcome, STRING, Table, fail, text};
use crate::random::Dice;
use crate::text::base;
use cert::{Authority, Request};
use key::{PrivateKey, RSA_BITS_OF_CERTIFICATES};

const UINT32: &Type = &Type::Int(IntKind::Uint32);
const CERTIFICATE_TYPE: &Type = &Type::Named(&CERTIFICATE);

/// `sprig.certificate`
static CERTIFICATE: NamedType = NamedType::plain(
    "sprig.certificate",
    Type::Struct("struct { Cert string; Key string }"),
);

/// A certificate and its key, both as PEM.
struct Certificate {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Object for Certificate {
    fn go_type(&self) -> Type {
        *CERTIFICATE_TYPE
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("Cert", Value::str(self.cert.clone())),
            ("Key", Value::str(self.key.clone())),
        ]
    }

    fn equals(&self, other: &dyn Object) -> Option<bool> {
        let other: &dyn std::any::Any = other;
        let other = other.downcast_ref::<Self>();
        Some(other.is_some_and(|other| self.cert == other.cert && self.key == other.key))
    }
}

pub(crate) fn register(table: &mut Table<'_>) {
    register_passwords(table);
    let dice = Dice::new(table.environment());
    table.add(&["genPrivateKey"], &[STRING], STRING, move |args| {
        let kind = args.string(0);
        match PrivateKey::generate(&kind, &dice) {
            None => text(format!("Unknown type {kind}")),
            Some(Ok(key)) => text(key.to_pem()),
            Some(Err(problem)) => text(format!("failed to generate private key: {problem}")),
        }
    });
    table.add(
        &["buildCustomCert"],
        &[STRING, STRING],
        CERTIFICATE_TYPE,
        build_custom,
    );
    register_authorities(table);
    register_certificates(table);
}

fn register_passwords(table: &mut Table<'_>) {
    let dice = Dice::new(table.environment());
    table.add(&["bcrypt"], &[STRING], STRING, move |args| {
        text(password::bcrypt(args.text(0), &dice))
    });
    let dice = Dice::new(table.environment());
    table.add(&["htpasswd"], &[STRING, STRING], STRING, move |args| {
        if args.text(0).contains(&b':') {
            return text([b"invalid username: ", args.text(0)].concat());
        }
        let hash = password::bcrypt(args.text(1), &dice);
        text([args.text(0), b":", hash.as_bytes()].concat())
    });
    table.add(
        &["derivePassword"],
        &[UINT32, STRING, STRING, STRING, STRING],
        STRING,
        |args| {
            let counter = u32::try_from(args.int(0)).unwrap_or(0);
            let secret = password::Derivation {
                counter,
                password: args.text(2),
                user: args.text(3),
                site: args.text(4),
            };
            text(secret.derive(&args.string(1)))
        },
    );
    let dice = Dice::new(table.environment());
    table.add(&["encryptAES"], &[STRING, STRING], STRING, move |args| {
        text(password::encrypt(args.text(0), args.text(1), &dice))
    });
    table.add(
        &["decryptAES"],
        &[STRING, STRING],
        STRING,
        |args| match password::decrypt(args.text(0), args.text(1)) {
            Ok(plain) => text(plain),
            Err(problem) => fail(problem),
        },
    );
}

/// Certificates come in pairs of functions: with a new key, or with one that is given last.
fn register_authorities(table: &mut Table<'_>) {
    let make = |dice: &Dice, args: Args<'_>, key: &PrivateKey| {
        let request = Request {
            common_name: args.text(0),
            ips: None,
            names: None,
            days: args.int(1),
            is_authority: true,
        };
        issue(&request, key, None, dice)
    };
    let dice = Dice::new(table.environment());
    table.add(&["genCA"], &[STRING, INT], CERTIFICATE_TYPE, move |args| {
        make(&dice, args, &new_key(&dice)?)
    });
    let dice = Dice::new(table.environment());
    table.add(
        &["genCAWithKey"],
        &[STRING, INT, STRING],
        CERTIFICATE_TYPE,
        move |args| make(&dice, args, &given_key(args.text(2))?),
    );
}

fn register_certificates(table: &mut Table<'_>) {
    let dice = Dice::new(table.environment());
    table.add(
        &["genSelfSignedCert"],
        &[STRING, LIST, LIST, INT],
        CERTIFICATE_TYPE,
        move |args| {
            let key = new_key(&dice)?;
            with_request(args, |request| issue(request, &key, None, &dice))
        },
    );
    let dice = Dice::new(table.environment());
    table.add(
        &["genSelfSignedCertWithKey"],
        &[STRING, LIST, LIST, INT, STRING],
        CERTIFICATE_TYPE,
        move |args| {
            let key = given_key(args.text(4))?;
            with_request(args, |request| issue(request, &key, None, &dice))
        },
    );
    let dice = Dice::new(table.environment());
    table.add(
        &["genSignedCert"],
        &[STRING, LIST, LIST, INT, CERTIFICATE_TYPE],
        CERTIFICATE_TYPE,
        move |args| {
            let key = new_key(&dice)?;
            let authority = authority(args)?;
            with_request(args, |request| issue(request, &key, Some(&authority), &dice))
        },
    );
    let dice = Dice::new(table.environment());
    table.add(
        &["genSignedCertWithKey"],
        &[STRING, LIST, LIST, INT, CERTIFICATE_TYPE, STRING],
        CERTIFICATE_TYPE,
        move |args| {
            let key = given_key(args.text(5))?;
            let authority = authority(args)?;
            with_request(args, |request| issue(request, &key, Some(&authority), &dice))
        },
    );
}

fn new_key(dice: &Dice) -> Result<PrivateKey, Error> {
    PrivateKey::new_rsa(RSA_BITS_OF_CERTIFICATES, dice)
        .map_err(|problem| Error::new(format!("error generating rsa key: {problem}")))
}

fn given_key(text: &[u8]) -> Result<PrivateKey, Error> {
    PrivateKey::from_pem(text).map_err(|problem| Error::new(format!("parsing private key: {problem}")))
}

fn with_request(args: Args<'_>, make: impl FnOnce(&Request<'_>) -> Outcome) -> Outcome {
    let (ips, names) = (args.list(1), args.list(2));
    make(&Request {
        common_name: args.text(0),
        ips: given(&ips),
        names: given(&names),
        days: args.int(3),
        is_authority: false,
    })
}

fn given(list: &List) -> Option<&[Value]> {
    (!list.is_nil()).then(|| list.items())
}

fn authority(args: Args<'_>) -> Result<Authority, Error> {
    let Some(certificate) = args.any(4).downcast::<Certificate>() else {
        return crate::args::nil_dereference();
    };
    let Some(block) = pem::decode(&certificate.cert) else {
        return fail("unable to decode certificate");
    };
    let parsed = cert::Parsed::from_der(&block.bytes).map_err(|problem| {
        Error::new(format!(
            "error parsing certificate: decodedSignerCert.Bytes: {problem}"
        ))
    })?;
    let key = PrivateKey::from_pem(&certificate.key)
        .map_err(|problem| Error::new(format!("error parsing private key: {problem}")))?;
    Ok(Authority { parsed, key })
}

fn issue(request: &Request<'_>, key: &PrivateKey, authority: Option<&Authority>, dice: &Dice) -> Outcome {
    match request.issue(key, authority, dice) {
        Ok(der) => Ok(Value::object(Certificate {
            cert: pem::encode("CERTIFICATE", &der),
            key: key.to_pem(),
        })),
        Err(problem) => fail(problem),
    }
}

/// Checks a certificate and a key that are given as base64 of PEM, and gives them back.
fn build_custom(args: Args<'_>) -> Outcome {
    let Ok(cert) = base::decode64(args.text(0)) else {
        return fail("unable to decode base64 certificate");
    };
    let Ok(key) = base::decode64(args.text(1)) else {
        return fail("unable to decode base64 private key");
    };
    let Some(block) = pem::decode(&cert) else {
        return fail("unable to decode certificate");
    };
    if let Err(problem) = cert::Parsed::from_der(&block.bytes) {
        return fail(format!("error parsing certificate: decodedCert.Bytes: {problem}"));
    }
    if let Err(problem) = PrivateKey::from_pem(&key) {
        return fail(format!("error parsing private key: {problem}"));
    }
    Ok(Value::object(Certificate { cert, key }))
}
