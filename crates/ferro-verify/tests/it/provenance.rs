//! Provenance of Helm packages, signed by GnuPG as the documentation of Helm has it.

use ferro_verify::openpgp::{self, Keyring};
use ferro_verify::provenance::{Error, MAX_PROVENANCE, Verified, verify};
use jiff::Timestamp;

use crate::tools::{Gpg, has};

const NAME: &str = "app-1.2.3.tgz";
const PACKAGE: &[u8] = b"a package";
/// With what signing in the clear must escape or leave out.
const METADATA: &str = "apiVersion: v2\ndescription: |\n  text\n- x\nname: app   \nversion: 1.2.3\n";

struct Signer {
    gpg: Gpg,
    keyring: Keyring,
    id: String,
}

impl Signer {
    fn new() -> Option<Self> {
        if !has("gpg", "--version") {
            return None;
        }
        let gpg = Gpg::new();
        let fingerprint = gpg.key("Dev <dev@example.com>", "ed25519", "sign", "0");
        let keyring = Keyring::from_armor(&gpg.export("dev@example.com")).unwrap();
        Some(Self {
            gpg,
            keyring,
            id: fingerprint[24..].to_owned(),
        })
    }

    fn sign(&self, text: &str) -> String {
        let file = self.gpg.file("message", text.as_bytes());
        let path = file.to_str().unwrap();
        self.gpg.run(&["--clearsign", "--output", "-", path])
    }

    fn verify(&self, provenance: &str, name: &str, package: &[u8]) -> Result<Verified, Error> {
        verify(&self.keyring, provenance, name, package, Timestamp::now())
    }
}

fn sum() -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(PACKAGE);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn message() -> String {
    format!("{METADATA}\n...\nfiles:\n  {NAME}: {}\n", sum())
}

#[test]
fn packages_are_verified_by_their_sums() {
    let Some(signer) = Signer::new() else { return };
    let provenance = signer.sign(&message());
    let verified = signer.verify(&provenance, NAME, PACKAGE).unwrap();
    assert_eq!(verified.key, signer.id);
    assert_eq!(verified.digest, sum());
    assert_eq!(
        verified.metadata,
        METADATA.replace("app   ", "app"),
        "blanks at the end of lines are not signed"
    );
    let windows = provenance.replace('\n', "\r\n");
    assert!(signer.verify(&windows, NAME, PACKAGE).is_ok());
    let within_mail = format!("Hello,\n{provenance}Bye\n");
    assert!(signer.verify(&within_mail, NAME, PACKAGE).is_ok());
}

#[test]
fn other_packages_are_refused() {
    let Some(signer) = Signer::new() else { return };
    let provenance = signer.sign(&message());
    let other = signer.verify(&provenance, NAME, b"another package").unwrap_err();
    assert!(
        matches!(&other, Error::Sum { signed, .. } if *signed == sum()),
        "{other}"
    );
    let text = other.to_string();
    assert!(
        text.starts_with(&format!("sha256 sum does not match for {NAME}: \"sha256:")),
        "{text}"
    );
    let renamed = signer.verify(&provenance, "app-1.2.4.tgz", PACKAGE).unwrap_err();
    assert_eq!(
        renamed.to_string(),
        "provenance does not contain a SHA for a file named \"app-1.2.4.tgz\""
    );
}

#[test]
fn texts_that_were_changed_or_signed_by_others_are_refused() {
    let Some(signer) = Signer::new() else { return };
    let provenance = signer.sign(&message());
    let invalid = Error::Signature(openpgp::Error::Invalid);
    for (from, to) in [
        ("1.2.3\n", "1.2.4\n"),
        ("name: app", "name: apq"),
        ("- - x", "- - y"),
    ] {
        let changed = provenance.replacen(from, to, 1);
        assert_ne!(changed, provenance, "{from}");
        assert_eq!(
            signer.verify(&changed, NAME, PACKAGE),
            Err(invalid.clone()),
            "{from}"
        );
    }
    let line = provenance.replacen("apiVersion", "\napiVersion", 1);
    assert_eq!(signer.verify(&line, NAME, PACKAGE), Err(invalid));
    let stranger = Signer::new().unwrap();
    let refused = stranger.verify(&provenance, NAME, PACKAGE);
    assert_eq!(refused, Err(Error::Signature(openpgp::Error::UnknownIssuer)));
}

#[test]
fn texts_of_other_forms_are_refused() {
    let Some(signer) = Signer::new() else { return };
    let verify = |text: &str| signer.verify(text, NAME, PACKAGE);
    assert_eq!(verify(""), Err(Error::NotSigned));
    assert_eq!(verify(&message()), Err(Error::NotSigned), "not signed at all");
    let detached = signer.gpg.sign("dev@example.com", message().as_bytes(), &[]);
    assert_eq!(verify(&detached), Err(Error::NotSigned));
    assert_eq!(verify(&signer.sign("files: {}\n")), Err(Error::Parts));
    let malformed = verify(&signer.sign("a\n...\n\"\n"));
    assert!(matches!(malformed, Err(Error::Checksums(_))), "{malformed:?}");
    for sums in [
        "{}",
        "files: []",
        "files: {other.tgz: x}",
        "[]",
        "files:\n  app-1.2.3.tgz: 1",
    ] {
        let refused = verify(&signer.sign(&format!("a\n...\n{sums}\n")));
        assert_eq!(refused, Err(Error::OtherFile(NAME.to_owned())), "{sums}");
    }
    assert_eq!(verify(&" ".repeat(MAX_PROVENANCE + 1)), Err(Error::TooLarge));
    let signed = signer.sign(&message());
    for at in (0..signed.trim_end().len()).step_by(5) {
        assert!(verify(&signed[..at]).is_err(), "cut at {at}");
    }
}
