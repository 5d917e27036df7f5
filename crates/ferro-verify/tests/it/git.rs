//! Signatures of commits and tags, made by GnuPG and OpenSSH.

use ferro_verify::git::{Error, Keys, Object, OpenPgpProblem, SshProblem, verify};
use ferro_verify::openpgp;
use ferro_verify::sshsig::Mismatch;
use jiff::{Timestamp, ToSpan};

use crate::tools::{Gpg, has, ssh_key, ssh_sign};

const PAYLOAD: &[u8] =
    b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@example.com> 1 +0000\n\nSubject\n";

fn keys(openpgp: &[String], ssh: &[String]) -> Keys {
    Keys {
        openpgp: openpgp.to_vec(),
        ssh: ssh.to_vec(),
    }
}

fn verify_now(signature: &str, payload: &[u8], keys: &Keys) -> Result<String, Error> {
    verify(
        Object::Commit,
        signature.as_bytes(),
        payload,
        keys,
        Timestamp::now(),
    )
}

/// Why the one keyring does not vouch for a signature.
fn refusal(signature: &str, keyring: &str) -> openpgp::Error {
    match verify_now(signature, PAYLOAD, &keys(&[keyring.to_owned()], &[])) {
        Err(Error::OpenPgp {
            problem: OpenPgpProblem::NoMatchingKey { mut reasons },
            ..
        }) => reasons.remove(0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn openpgp_keys_of_all_kinds_verify() {
    if !has("gpg", "--version") {
        return;
    }
    let gpg = Gpg::new();
    let mut rings = Vec::new();
    for algorithm in [
        "ed25519", "rsa2048", "nistp256", "nistp384", "nistp521", "dsa2048",
    ] {
        let user = format!("{algorithm}@example.com");
        let fingerprint = gpg.key(&user, algorithm, "sign", "0");
        let keyring = gpg.export(&user);
        let signature = gpg.sign(&user, PAYLOAD, &[]);
        let only = keys(std::slice::from_ref(&keyring), &[]);
        let id = fingerprint[24..].to_owned();
        assert_eq!(verify_now(&signature, PAYLOAD, &only), Ok(id), "{algorithm}");
        assert_eq!(
            verify_now(&signature, b"another payload", &only)
                .unwrap_err()
                .to_string(),
            "unable to verify Git commit: unable to verify payload with any of the given key rings: no matching key"
        );
        rings.push((user, keyring, signature));
    }
    // One Secret, several keyrings, one of them broken; several keys in one keyring; several blocks in one text.
    let (_, _, signature) = &rings[2];
    let all: Vec<String> = rings.iter().map(|(_, keyring, _)| keyring.clone()).collect();
    let with_broken = [&["broken".to_owned()], all.as_slice()].concat();
    for keyrings in [
        with_broken,
        vec![gpg.run(&["--armor", "--export"])],
        vec![all.concat()],
    ] {
        let found = verify_now(signature, PAYLOAD, &keys(&keyrings, &[])).unwrap();
        assert_eq!(found, gpg.fingerprint(&rings[2].0)[24..]);
    }
    assert_eq!(refusal(signature, &all[0]), openpgp::Error::UnknownIssuer);
}

#[test]
fn openpgp_private_keyrings_and_text_signatures_work() {
    if !has("gpg", "--version") {
        return;
    }
    let gpg = Gpg::new();
    let fingerprint = gpg.key("a@example.com", "ed25519", "sign", "0");
    let secret = gpg.run(&["--armor", "--export-secret-keys", "a@example.com"]);
    let signature = gpg.sign("a@example.com", b"one\ntwo\n", &["--textmode"]);
    let keys = keys(&[secret], &[]);
    for text in [&b"one\ntwo\n"[..], b"one\r\ntwo\r\n"] {
        assert_eq!(
            verify_now(&signature, text, &keys).as_deref(),
            Ok(&fingerprint[24..])
        );
    }
    assert!(verify_now(&signature, b"one\ntwo", &keys).is_err());
}

#[test]
fn openpgp_subkeys_sign_for_their_primary_key() {
    if !has("gpg", "--version") {
        return;
    }
    let gpg = Gpg::new();
    let fingerprint = gpg.key("a@example.com", "ed25519", "cert", "0");
    gpg.run(&["--quick-add-key", &fingerprint, "rsa2048", "sign", "0"]);
    gpg.run(&["--quick-add-key", &fingerprint, "cv25519", "encr", "0"]);
    let signature = gpg.sign("a@example.com", PAYLOAD, &[]);
    let keyring = gpg.export("a@example.com");
    let found = verify_now(&signature, PAYLOAD, &keys(&[keyring], &[]));
    assert_eq!(found.as_deref(), Ok(&fingerprint[24..]));
}

#[test]
fn openpgp_keys_that_may_not_sign_are_refused() {
    if !has("gpg", "--version") {
        return;
    }
    let gpg = Gpg::new();
    gpg.key("a@example.com", "ed25519", "sign,cert", "0");
    let signature = gpg.sign("a@example.com", PAYLOAD, &[]);
    let before = gpg.export("a@example.com");
    assert!(verify_now(&signature, PAYLOAD, &keys(&[before], &[])).is_ok());
    gpg.edit("a@example.com", "change-usage\nS\nQ\nsave\n");
    let after = gpg.export("a@example.com");
    assert_eq!(refusal(&signature, &after), openpgp::Error::UnknownIssuer);
}

#[test]
fn openpgp_statements_of_the_future_are_refused() {
    if !has("gpg", "--version") {
        return;
    }
    let gpg = Gpg::new();
    let fingerprint = gpg.key("a@example.com", "ed25519", "sign", "0");
    let signature = gpg.sign("a@example.com", PAYLOAD, &[]);
    let time = later(3600);
    gpg.run(&[
        "--faked-system-time",
        &time,
        "--quick-set-expire",
        &fingerprint,
        "0",
    ]);
    let keyring = gpg.export("a@example.com");
    assert_eq!(refusal(&signature, &keyring), openpgp::Error::SignatureExpired);
}

/// A time for `--faked-system-time`, in seconds from now.
fn later(seconds: i64) -> String {
    (Timestamp::now().as_second() + seconds).to_string()
}

#[test]
fn openpgp_expired_and_revoked_are_refused() {
    if !has("gpg", "--version") {
        return;
    }
    let gpg = Gpg::new();
    let year = 365 * 86_400;
    let past = ["--faked-system-time", &later(-2 * year), "--ignore-time-conflict"];
    let fingerprint = gpg.key_at("old@example.com", "ed25519", "sign", "1y", &past);
    let signature = gpg.sign("old@example.com", PAYLOAD, &past);
    let expired = gpg.export("old@example.com");
    assert_eq!(refusal(&signature, &expired), openpgp::Error::KeyExpired);
    // It was good while the key was.
    let then = Timestamp::now() - (20 * 31 * 24).hours();
    let at = verify(
        Object::Tag,
        signature.as_bytes(),
        PAYLOAD,
        &keys(&[expired], &[]),
        then,
    );
    assert_eq!(at.as_deref(), Ok(&fingerprint[24..]));

    gpg.key("new@example.com", "ed25519", "sign", "0");
    let mut short = vec!["--default-sig-expire", "1d"];
    short.extend(past);
    let key = gpg.key_at("short@example.com", "ed25519", "sign", "0", &past);
    let signature = gpg.sign("short@example.com", PAYLOAD, &short);
    let keyring = gpg.export("short@example.com");
    assert_eq!(refusal(&signature, &keyring), openpgp::Error::SignatureExpired);
    let signature = gpg.sign("short@example.com", PAYLOAD, &[]);
    let good = verify_now(&signature, PAYLOAD, &keys(&[keyring], &[]));
    assert_eq!(good.as_deref(), Ok(&key[24..]));

    let certificate = gpg.home().join("openpgp-revocs.d").join(format!("{key}.rev"));
    let certificate = std::fs::read_to_string(certificate)
        .unwrap()
        .replace(":---", "---");
    let file = gpg.file("revocation", certificate.as_bytes());
    gpg.run(&["--import", file.to_str().unwrap()]);
    let revoked = gpg.export("short@example.com");
    assert_eq!(refusal(&signature, &revoked), openpgp::Error::KeyRevoked);
}

#[test]
fn openpgp_digests_are_those_of_upstream() {
    if !has("gpg", "--version") {
        return;
    }
    let gpg = Gpg::new();
    gpg.key("a@example.com", "rsa2048", "sign", "0");
    let keyring = gpg.export("a@example.com");
    for digest in ["SHA1", "SHA224", "SHA256", "SHA384", "SHA512"] {
        let signature = gpg.sign("a@example.com", PAYLOAD, &["--digest-algo", digest]);
        let found = verify_now(&signature, PAYLOAD, &keys(std::slice::from_ref(&keyring), &[]));
        assert!(found.is_ok(), "{digest}: {found:?}");
    }
    let signature = gpg.sign("a@example.com", PAYLOAD, &["--digest-algo", "RIPEMD160"]);
    assert_eq!(refusal(&signature, &keyring), openpgp::Error::UnknownIssuer);
    let unknown = ["--sig-notation", "!who@example.com=me"];
    let signature = gpg.sign("a@example.com", PAYLOAD, &unknown);
    assert_eq!(refusal(&signature, &keyring), openpgp::Error::CriticalNotation);
    let known = ["--sig-notation", "who@example.com=me"];
    let signature = gpg.sign("a@example.com", PAYLOAD, &known);
    assert!(verify_now(&signature, PAYLOAD, &keys(&[keyring], &[])).is_ok());
}

#[test]
fn openpgp_unreadable_keys_are_named() {
    let signature = "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n";
    let cases = [
        ("", "openpgp: invalid argument: no armored data found"),
        (
            "-----BEGIN PGP MESSAGE-----\n\nAAAA\n-----END PGP MESSAGE-----\n",
            "openpgp: invalid argument: expected public or private key block, got: PGP MESSAGE",
        ),
    ];
    for (keyring, problem) in cases {
        let keys = keys(&[keyring.to_owned()], &[]);
        assert_eq!(
            verify_now(signature, PAYLOAD, &keys).unwrap_err().to_string(),
            format!("unable to verify Git commit: unable to read armored key ring: {problem}")
        );
    }
}

#[test]
fn ssh_keys_of_all_kinds_verify() {
    if !has("ssh-keygen", "-?") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let kinds: [(&str, &[&str]); 5] = [
        ("ed25519", &["-t", "ed25519"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
        ("p521", &["-t", "ecdsa", "-b", "521"]),
    ];
    let mut lines = Vec::new();
    for (name, arguments) in kinds {
        let line = ssh_key(path, name, arguments);
        let fingerprint = crate::tools::run(
            std::process::Command::new("ssh-keygen")
                .args(["-l", "-f"])
                .arg(path.join(name)),
        );
        let fingerprint = fingerprint.split(' ').nth(1).unwrap().to_owned();
        for hash in ["sha256", "sha512"] {
            let signature = ssh_sign(path, name, "git", PAYLOAD, &["-O", &format!("hashalg={hash}")]);
            let only = keys(&[], std::slice::from_ref(&line));
            assert_eq!(
                verify_now(&signature, PAYLOAD, &only),
                Ok(fingerprint.clone()),
                "{name} {hash}"
            );
            assert_eq!(
                verify_now(&signature, b"other", &only).unwrap_err().to_string(),
                "unable to verify Git commit SSH signature: unable to verify payload with any of the given authorized keys: \
                 no matching key\nssh: signature did not verify"
            );
        }
        lines.push((line, fingerprint));
    }
    // Many keys, in one list or in several, with comments, options and principals.
    let (_, fingerprint) = &lines[4];
    let list: Vec<String> = lines.iter().map(|(line, _)| line.clone()).collect();
    let options = format!("# people\n\n  restrict,command=\"a \\\" b\" {}\n", list[4]);
    let principals = format!("a@example.com {}", list[4]);
    let signature = ssh_sign(path, "p521", "git", PAYLOAD, &[]);
    for lists in [
        vec![list.concat()],
        list.clone(),
        vec![options],
        vec!["broken".to_owned(), principals],
    ] {
        let found = verify_now(&signature, PAYLOAD, &keys(&[], &lists));
        assert_eq!(found.as_ref(), Ok(fingerprint), "{lists:?}");
    }
}

#[test]
fn ssh_signatures_of_others_and_for_other_purposes_are_refused() {
    if !has("ssh-keygen", "-?") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let (own, other) = (
        ssh_key(path, "own", &["-t", "ed25519"]),
        ssh_key(path, "other", &["-t", "ed25519"]),
    );
    let reasons = |signature: &str, list: &[String]| match verify_now(signature, PAYLOAD, &keys(&[], list)) {
        Err(Error::Ssh {
            problem: SshProblem::NoMatchingKey { reasons },
            ..
        }) => reasons,
        unexpected => panic!("{unexpected:?}"),
    };
    let signature = ssh_sign(path, "own", "git", PAYLOAD, &[]);
    assert_eq!(
        reasons(&signature, &[other.clone(), other.clone()]),
        [Mismatch::Key]
    );
    let file = ssh_sign(path, "own", "file", PAYLOAD, &[]);
    assert_eq!(
        reasons(&file, &[other, own.clone()]),
        [Mismatch::Key, Mismatch::Namespace]
    );
    // The key inside the signature is not what is trusted, but must be the one that is.
    let kind_mismatch = own.replace("ssh-ed25519 ", "ssh-rsa ");
    let error = verify_now(&signature, PAYLOAD, &keys(&[], &[kind_mismatch])).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("unable to parse authorized keys: unable to parse authorized key: ssh: no key found"),
        "{error}"
    );
    for damaged in [
        signature.replace("-----END SSH SIGNATURE-----", ""),
        signature.replacen("U1NI", "AAAA", 1),
        "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----".to_owned(),
    ] {
        let error = verify_now(&damaged, PAYLOAD, &keys(&[], std::slice::from_ref(&own))).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("unable to verify Git commit SSH signature: unable to unarmor SSH signature: "),
            "{error}"
        );
    }
}

#[test]
fn signatures_without_keys_of_their_kind_are_named() {
    let openpgp = "-----BEGIN PGP SIGNATURE-----";
    let ssh = "-----BEGIN SSH SIGNATURE-----";
    let cases = [
        (
            openpgp,
            "PGP signature detected but no PGP public keys found in secret (keys with .asc suffix)",
        ),
        (
            ssh,
            "SSH signature detected but no SSH public keys found in secret (keys with .sshpub suffix)",
        ),
        ("", "unsupported signature type: empty"),
        (
            "-----BEGIN SIGNED MESSAGE-----",
            "unsupported signature type: x509",
        ),
        ("hello", "unsupported signature type: unknown"),
    ];
    for (signature, message) in cases {
        let error = verify_now(signature, PAYLOAD, &Keys::default()).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let entries = [("a.sshpub", &b"1"[..]), ("b.asc", b"2"), ("c", b"3")];
    let sorted = Keys::from_entries(entries);
    assert_eq!(
        (sorted.ssh, sorted.openpgp),
        (vec!["1".to_owned()], vec!["2".to_owned(), "3".to_owned()])
    );
}

#[test]
fn hostile_signatures_end_in_errors() {
    let armored = |kind: &str, data: &[u8]| {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(data);
        let lines: Vec<&str> = (0..text.len())
            .step_by(64)
            .map(|at| &text[at..text.len().min(at + 64)])
            .collect();
        format!(
            "-----BEGIN {kind}-----\n\n{}\n-----END {kind}-----\n",
            lines.join("\n")
        )
    };
    // A signature within a signature, over and over.
    let mut nested = vec![4, 0x19, 1, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    while nested.len() < 60_000 {
        let length = u32::try_from(nested.len() + 1).unwrap().to_be_bytes();
        let area = u16::try_from(nested.len() + 6).unwrap().to_be_bytes();
        nested = [
            &[4, 0x19, 1, 8][..],
            &area,
            &[255],
            &length,
            &[32],
            &nested,
            &[0, 0, 0, 0],
        ]
        .concat();
        if nested.len() > 65_000 {
            break;
        }
    }
    let length = u32::try_from(nested.len()).unwrap().to_be_bytes();
    let packet = [&[0xc2, 255][..], &length, &nested].concat();
    let many = b"\xc2\x01\x04".repeat(50_000);
    let ring = keys(&[armored("PGP PUBLIC KEY BLOCK", &packet)], &["x y".to_owned()]);
    for data in [packet, many, vec![0xff; 1000], vec![0xc2; 100_000]] {
        assert!(verify_now(&armored("PGP SIGNATURE", &data), PAYLOAD, &ring).is_err());
        assert!(verify_now(&armored("SSH SIGNATURE", &data), PAYLOAD, &ring).is_err());
    }
}
