//! The root that comes with the crate, against signatures of the public instance: those that sigstore's own modules are tested with.

use std::path::{Path, PathBuf};
use std::process::Command;

use ferro_verify::cosign::{Error, Identity, Policy, Signature, TrustedRoot, public, verify};

/// Where Go keeps modules, if there is Go.
fn modules() -> Option<PathBuf> {
    let output = Command::new("go").args(["env", "GOMODCACHE"]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    Some(Path::new(path.trim()).join("github.com/sigstore"))
}

fn policy(identities: &[(&str, &str)]) -> Policy {
    let identity = |(issuer, subject): &(&str, &str)| Identity::new(issuer, subject).unwrap();
    Policy::Keyless {
        root: Box::new(TrustedRoot::from_json(public::TRUSTED_ROOT).unwrap()),
        identities: identities.iter().map(identity).collect(),
    }
}

#[test]
fn signatures_of_the_public_instance_are_judged_by_the_root_that_comes_along() {
    const GITHUB: &str = "^https://github.com/login/oauth$";
    let cases = [
        (
            "cosign/v3@v3.0.6/pkg/cosign/testdata/oci-attestation.sigstore.json",
            "sha256:732112270d7e59418a8c080b134b24cabd67d250d0d0147a97ed95ba5c280aa4",
            r"@soyland\.com$",
        ),
        (
            "protobuf-specs@v0.5.1/gen/pb-rust/sigstore-protobuf-specs/assets/a.txt.sigstore",
            "sha256:632579b5183d418ff3dc443994fd35e0e1a2a6ce89a1ee22fdca577f8e8bc9c3",
            r"@tny\.town$",
        ),
    ];
    for (file, digest, signer) in cases {
        let bundle = modules().and_then(|modules| std::fs::read(modules.join(file)).ok());
        let Some(bundle) = bundle else {
            eprintln!("skipped: {file} is not among Go's modules; build tests/conformance/signer");
            continue;
        };
        let signature = [Signature::Bundle(bundle.clone())];
        for identities in [&[][..], &[(GITHUB, signer)]] {
            assert_eq!(verify(&policy(identities), digest, &signature), Ok(()), "{file}");
        }
        for (issuer, subject) in [
            (GITHUB, "^somebody@else$"),
            ("^https://accounts.google.com$", signer),
        ] {
            let refused = verify(&policy(&[(issuer, subject)]), digest, &signature);
            let Err(Error::NoMatch(refusals)) = refused else {
                panic!("{file}: {refused:?}");
            };
            let told = refusals.first().unwrap().to_string();
            assert!(
                told.starts_with("none of the expected identities matched"),
                "{told}"
            );
        }
        let other = format!("sha256:{}", "0".repeat(64));
        assert!(verify(&policy(&[]), &other, &signature).is_err(), "{file}");
        // One bit of it, anywhere, and nobody vouches for it any more.
        let text = String::from_utf8(bundle).unwrap();
        let at = text.find("signedEntryTimestamp").unwrap() + "signedEntryTimestamp\":\"".len() + 20;
        let mut forged = text.into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        assert!(
            verify(&policy(&[]), digest, &[Signature::Bundle(forged)]).is_err(),
            "{file}"
        );
    }
}
