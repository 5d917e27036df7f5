//! Certificates: the same bytes as Go's when serial, time and key are the same.

use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::environment::Fixed;
use crate::oracle::{Answer, Oracle};
use crate::render::{Functions, base64, bytes_of, reference, render};

fn ours(environment: Fixed, template: &str, values: &serde_json::Value) -> String {
    let out = render(
        Functions::Sprig,
        Arc::new(environment),
        template.as_bytes(),
        values,
    );
    String::from_utf8(out.unwrap()).unwrap()
}

fn key(kind: &str) -> String {
    ours(
        Fixed::default(),
        &format!("{{{{ genPrivateKey \"{kind}\" }}}}"),
        &json!({}),
    )
}

/// The DER of every certificate in a PEM text.
fn blocks(pem: &str) -> Vec<Vec<u8>> {
    pem.split("-----BEGIN CERTIFICATE")
        .skip(1)
        .map(|block| {
            let body = block.split("-----\n").nth(1).unwrap();
            let digits: String = body
                .split("-----END")
                .next()
                .unwrap()
                .split_whitespace()
                .collect();
            bytes_of(&json!(digits))
        })
        .collect()
}

/// A DER value: its content and what follows.
fn value(der: &[u8]) -> (&[u8], &[u8]) {
    let (len, header) = match der[1] {
        short @ ..=0x80 => (usize::from(short), 2),
        0x81 => (usize::from(der[2]), 3),
        _ => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
    };
    (&der[header..header + len], &der[header + len..])
}

/// The serial in 16 bytes, and when the certificate starts.
fn serial_and_start(certificate: &[u8]) -> (Vec<u8>, i64) {
    let (_, rest) = value(value(value(certificate).0).0);
    let (serial, rest) = value(rest);
    let digits: Vec<u8> = serial.iter().copied().skip_while(|byte| *byte == 0).collect();
    let padded = [vec![0; 16 - digits.len()], digits].concat();
    let (_, rest) = value(rest);
    let (_, rest) = value(rest);
    let start = String::from_utf8(value(value(rest).0).0.to_vec()).unwrap();
    let start = ferro_gocompat::time::Time::parse("060102150405Z", &start).unwrap();
    (padded, start.unix())
}

/// What is signed.
fn body(certificate: &[u8]) -> &[u8] {
    let inner = value(certificate).0;
    let after = value(inner).1.len();
    &inner[..inner.len() - after]
}

fn compare(template: &str, keys: &[&str], signatures_are_determined: bool) {
    let Some(mut oracle) = Oracle::start() else { return };
    let values: serde_json::Map<_, _> = keys
        .iter()
        .enumerate()
        .map(|(index, key)| (format!("k{index}"), json!({"string": key})))
        .collect();
    let values = serde_json::Value::Object(values);
    let Answer::Output(theirs) = reference(&mut oracle, Functions::Sprig, template.as_bytes(), &values)
    else {
        panic!("sprig refuses {template}");
    };
    let theirs = String::from_utf8(bytes_of(&theirs)).unwrap();
    let expected = blocks(&theirs);
    let (serials, starts): (Vec<_>, Vec<_>) = expected.iter().map(|der| serial_and_start(der)).unzip();
    let environment = Fixed {
        prefix: Mutex::new(serials.concat()),
        seconds: starts[0],
        ..Fixed::default()
    };
    let ours = ours(environment, template, &values);
    if signatures_are_determined {
        assert_eq!(ours, theirs);
        return;
    }
    for (ours, theirs) in blocks(&ours).iter().zip(&expected) {
        assert_eq!(base64(body(ours)), base64(body(theirs)));
    }
}

const SELF_SIGNED: &str = r#"{{ $c := genSelfSignedCertWithKey "host.example" (list "10.0.0.1" "fe80::1") (list "a.example" "*.b.example") 365 .Values.k0 }}{{ $c.Cert }}"#;
const AUTHORITY: &str =
    r#"{{ $c := genCAWithKey "an & authority" 3650 .Values.k0 }}{{ $c.Cert }}{{ $c.Key }}"#;
const SIGNED: &str = r#"{{ $ca := genCAWithKey "ca" 30 .Values.k0 }}{{ $c := genSignedCertWithKey "" nil (list "a.example") 30 $ca .Values.k1 }}{{ $ca.Cert }}{{ $c.Cert }}"#;

#[test]
fn ed25519_certificates_are_those_of_go() {
    let key = key("ed25519");
    compare(SELF_SIGNED, &[&key], true);
    compare(AUTHORITY, &[&key], true);
    compare(SIGNED, &[&key, &key], true);
}

#[test]
fn ecdsa_certificates_are_those_of_go_but_for_the_signature() {
    let key = key("ecdsa");
    compare(SELF_SIGNED, &[&key], false);
    compare(SIGNED, &[&key, &key], false);
}

#[test]
fn rsa_certificates_are_those_of_go() {
    let template = r#"{{ $c := genCA "ca" 1 }}{{ $c.Key }}"#;
    let key = ours(Fixed::default(), template, &json!({}));
    assert!(key.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"), "{key}");
    compare(SELF_SIGNED, &[&key], true);
    compare(AUTHORITY, &[&key], true);
}

#[test]
fn keys_that_do_not_belong_are_refused() {
    let (one, two) = (key("ed25519"), key("ecdsa"));
    let values = json!({"one": {"string": one}, "two": {"string": two}});
    let template = r#"{{ $a := genCAWithKey "a" 1 .Values.one }}{{ buildCustomCert (b64enc $a.Cert) (b64enc .Values.two) | len }}"#;
    let out = render(
        Functions::Sprig,
        Arc::new(Fixed::default()),
        template.as_bytes(),
        &values,
    );
    assert!(
        out.unwrap_err().contains("error calling len"),
        "a struct has no length"
    );
    for (call, message) in [
        (
            r#"genCAWithKey "a" 1 "junk""#,
            "parsing private key: no PEM data in input",
        ),
        (
            r#"genSelfSignedCertWithKey "a" (list 1) nil 1 .Values.one"#,
            "error parsing ip: 1 is not a string",
        ),
        (
            r#"genSelfSignedCertWithKey "a" (list "x") nil 1 .Values.one"#,
            "error parsing ip: x",
        ),
        (
            r#"buildCustomCert "!" "!""#,
            "unable to decode base64 certificate",
        ),
        (r#"buildCustomCert "YQ==" "YQ==""#, "unable to decode certificate"),
    ] {
        let template = format!("{{{{ {call} }}}}");
        let out = render(
            Functions::Sprig,
            Arc::new(Fixed::default()),
            template.as_bytes(),
            &values,
        );
        let error = out.unwrap_err();
        assert!(error.ends_with(&format!(": {message}")), "{error}");
    }
}
