//! `flux create secret`.

use std::fs;
use std::path::Path;

use ferro_testkit::ssh;
use serde_json::json;

use crate::script::{Step, flux};

const SECRETS: &str = "/api/v1/namespaces/flux-system/secrets";

#[tokio::test(start_paused = true)]
async fn secrets_are_printed() {
    for (args, text) in [
        (
            "create secret git auth --url=https://example.com/repo --username=me --password=pw -n apps --label team=a",
            "---\napiVersion: v1\nkind: Secret\nmetadata:\n  labels:\n    team: a\n  name: auth\n  namespace: apps\n\
             stringData:\n  password: pw\n  username: me\n\n",
        ),
        (
            "create secret git auth --url=https://example.com/repo --bearer-token=t -n apps",
            "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: auth\n  namespace: apps\nstringData:\n  bearerToken: t\n\n",
        ),
        (
            "create secret oci ghcr --url=ghcr.io -u me -p pw -n apps",
            "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: ghcr\n  namespace: apps\nstringData:\n  .dockerconfigjson: |-\n    \
             {\n      \"auths\": {\n        \"ghcr.io\": {\n          \"username\": \"me\",\n          \"password\": \"pw\",\n          \
             \"auth\": \"bWU6cHc=\"\n        }\n      }\n    }\ntype: kubernetes.io/dockerconfigjson\n\n",
        ),
        (
            "create secret proxy px --address=https://proxy.example.com -u me -p pw -n apps",
            "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: px\n  namespace: apps\n\
             stringData:\n  address: https://proxy.example.com\n  password: pw\n  username: me\ntype: Opaque\n\n",
        ),
        (
            "create secret helm hs -u me -p pw -n apps",
            "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: hs\n  namespace: apps\n\
             stringData:\n  password: pw\n  username: me\ntype: kubernetes.io/basic-auth\n\n",
        ),
    ] {
        flux(&format!("{args} --export"), vec![]).await.expect(text, "");
    }
}

#[tokio::test(start_paused = true)]
async fn files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (ca, crt, key) = (
        file("ca.crt", "CA\n"),
        file("tls.crt", "CRT\n"),
        file("tls.key", "KEY\n"),
    );
    let args = format!(
        "create secret tls certs --tls-crt-file={crt} --tls-key-file={key} --ca-crt-file={ca} --export"
    );
    flux(&args, vec![]).await.expect(
        "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: certs\n  namespace: flux-system\nstringData:\n  \
         ca.crt: |\n    CA\n  tls.crt: |\n    CRT\n  tls.key: |\n    KEY\ntype: kubernetes.io/tls\n\n",
        "",
    );
    let args = format!(
        "create secret githubapp app --app-id 1 --app-installation-id 2 --app-private-key {key} --export"
    );
    flux(&args, vec![]).await.expect(
        "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: app\n  namespace: flux-system\nstringData:\n  \
         githubAppID: \"1\"\n  githubAppInstallationID: \"2\"\n  githubAppPrivateKey: |\n    KEY\ntype: Opaque\n\n",
        "",
    );
    let policy = file("policy.json", r#"{"version":"1.0","trustPolicies":[{}]}"#);
    let args = format!("create secret notation nt --trust-policy-file={policy} --ca-cert-file={ca} --export");
    let outcome = flux(&args, vec![]).await;
    assert!(
        outcome
            .out
            .contains("stringData:\n  ca.crt: |\n    CA\n  trustpolicy.json: '{\"version\""),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn secrets_are_created_and_updated() {
    let wanted = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "auth", "namespace": "flux-system"},
        "stringData": {"username": "me", "password": "pw"},
    });
    let path = format!("{SECRETS}/auth");
    let args = "create secret git auth --url=https://example.com -u me -p pw";
    let said = "► git secret 'auth' created in 'flux-system' namespace\n";
    flux(args, vec![Step::missing(&path), Step::post(SECRETS, &wanted)])
        .await
        .expect("", said);
    let existing = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "auth", "namespace": "flux-system", "resourceVersion": "7"},
        "data": {"other": "eA=="},
    });
    let mut changed = existing.clone();
    changed["stringData"] = wanted["stringData"].clone();
    flux(
        args,
        vec![Step::get(&path, &existing), Step::put(&path, &changed)],
    )
    .await
    .expect("", said);
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_said() {
    for (args, message) in [
        ("git", "name is required"),
        ("git auth", "url is required"),
        (
            "git auth --url=ftp://x",
            "git URL scheme 'ftp' not supported, can be: ssh, http and https",
        ),
        (
            "git auth --url=https://x",
            "for Git over HTTP/S the username and password, or a bearer token is required",
        ),
        (
            "git auth --url=https://x -u a -p b --bearer-token c",
            "user credentials and bearer token cannot be used together",
        ),
        ("oci xx --url=ghcr.io -u a", "--password is required"),
        (
            "oci xx --url=oci://ghcr.io -u a -p b",
            "error parsing url: 'could not parse reference: oci://ghcr.io'",
        ),
        ("proxy xx", "address is required"),
        ("githubapp xx", "--app-id is required"),
        (
            "githubapp xx --app-id 1 --app-installation-id 2",
            "--app-private-key is required",
        ),
        (
            "githubapp xx --app-id 1 --app-installation-id 2 --app-private-key pk.pem",
            "unable to read private key file: open pk.pem: no such file or directory",
        ),
        ("notation xx", "--ca-cert-file is required"),
        ("helm xx -u me", "password is required"),
        ("tls -x", "unknown shorthand flag: 'x' in -x"),
    ] {
        flux(&format!("create secret {args}"), vec![])
            .await
            .expect_failure("", &format!("✗ {message}\n"));
    }
}

/// The entries of the Secret that was printed.
fn entries(text: &str) -> serde_json::Value {
    let secret: serde_json::Value =
        ferro_yaml::sigs::from_slice(text.trim_start_matches("---\n").as_bytes()).unwrap();
    secret["stringData"].clone()
}

/// What OpenSSH takes for the public key of a private one.
fn public_key(private: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identity");
    fs::write(&path, private).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let output = std::process::Command::new("ssh-keygen")
        .args(["-y", "-f"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let public = String::from_utf8(output.stdout).unwrap();
    public.split_whitespace().take(2).collect::<Vec<_>>().join(" ") + "\n"
}

#[tokio::test]
async fn keys_are_made_and_that_of_the_server_is_collected() {
    if !ssh::is_available() {
        eprintln!("skipped: sshd and ssh-keygen are not installed");
        return;
    }
    let host = ssh::KeyPair::generate("ed25519", "", &[]);
    let server = ssh::SshServer::start(&[&host], &[], &[]);
    let url = server.url(Path::new("/repository"));
    let create = format!("create secret git auth --url={url} --export");
    for (flags, kind) in [
        ("", "ecdsa-sha2-nistp384 "),
        (" --ssh-ecdsa-curve=p521", "ecdsa-sha2-nistp521 "),
        (" --ssh-key-algorithm=ed25519", "ssh-ed25519 "),
        (" --ssh-key-algorithm=rsa --ssh-rsa-bits=2048", "ssh-rsa "),
    ] {
        let outcome = flux(&format!("{create}{flags}"), vec![]).await;
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{outcome:?}");
        let entries = entries(&outcome.out);
        assert_eq!(
            entries["known_hosts"].as_str().unwrap(),
            server.known_hosts(&host).trim()
        );
        let public = entries["identity.pub"].as_str().unwrap();
        assert!(public.starts_with(kind), "{public}");
        assert_eq!(public_key(entries["identity"].as_str().unwrap()), public);
    }
    // A key that is there already, with a password.
    let own = ssh::KeyPair::generate("rsa", "secret", &["-b", "2048", "-m", "PEM"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, &own.private).unwrap();
    let create = format!("{create} --private-key-file={}", path.display());
    let outcome = flux(&format!("{create} --password=secret"), vec![]).await;
    let entries = entries(&outcome.out);
    assert_eq!(entries["identity"].as_str().unwrap(), own.private);
    assert_eq!(entries["identity.pub"].as_str().unwrap().trim(), own.public);
    assert_eq!(entries["password"], "secret");
    let outcome = flux(&create, vec![]).await;
    assert_eq!((outcome.code, outcome.out.as_str()), (1, ""), "{outcome:?}");
    assert!(!outcome.err.contains("BEGIN"), "{outcome:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let outcome = flux(
        &format!("create secret git auth --url=ssh://git@127.0.0.1:{port}/x --export"),
        vec![],
    )
    .await;
    let message = format!("✗ SSH key scan for host 127.0.0.1:{port} failed, error: ");
    assert!(
        outcome.code == 1 && outcome.err.starts_with(&message),
        "{outcome:?}"
    );
}
