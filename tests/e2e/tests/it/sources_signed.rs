//! Sources that are signed by the programs that people sign with: cosign of two generations, notation, GnuPG, OpenSSH.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::{Case, Entry, Signer, Target, archive, cases, config_map, text};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["sources_signed":
        artifacts_signed_by_cosign_with_a_key,
        what_is_not_signed_by_the_key_is_not_taken,
        charts_signed_by_cosign_with_a_key,
        artifacts_signed_by_cosign_without_keys,
        artifacts_signed_by_notation,
        commits_signed_with_ssh_keygen,
        commits_signed_with_gpg,
    ]
}

const SOURCE: &str = "source.toolkit.fluxcd.io/v1";
const ISSUER: &str = "https://token.example.com";
const SUBJECT: &str = "https://git.example.com/org/app/release.yml@refs/heads/main";

/// Signs artifacts of a case.
pub(crate) struct Signing {
    case: Case,
    signer: Arc<Signer>,
}

impl Signing {
    pub(crate) async fn of(case: &Case) -> Result<Option<Self>> {
        let dir = case.dir()?;
        let signer = case.blocking(move |_| Signer::start(&dir)).await?;
        let Some(signer) = signer else {
            case.skip("no go to build the signer with");
            return Ok(None);
        };
        Ok(Some(Self {
            case: case.clone(),
            signer: Arc::new(signer),
        }))
    }

    pub(crate) async fn run(&self, line: &str, reference: &str) -> Result<String> {
        let (signer, line, reference) = (Arc::clone(&self.signer), line.to_owned(), reference.to_owned());
        let run = move |_: &_| {
            let args = line.split_whitespace().chain([reference.as_str()]);
            signer.run(&args.collect::<Vec<_>>())
        };
        self.case.blocking(run).await
    }

    /// Makes the keys `one` and `two`, of which a Secret trusts the first.
    async fn keys(&self) -> Result<()> {
        for (name, program) in [("one", "cosign2"), ("two", "cosign3")] {
            self.run(&format!("{program} generate-key-pair --output-key-prefix"), name)
                .await?;
        }
        self.secret("keys", &[("one.pub", &self.signer.file("one.pub")?)])
            .await
    }

    pub(crate) async fn secret(&self, name: &str, entries: &[(&str, &str)]) -> Result<()> {
        let data: serde_json::Map<String, Value> = entries
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.into()))
            .collect();
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        self.case.apply_object(&secret).await
    }

    /// Pushes an artifact, and gives its place without the tag, and its digest.
    pub(crate) async fn push(&self, registry: &str, name: &str, value: &str) -> Result<(String, String)> {
        let place = format!("{}/{name}", self.signer.told(registry));
        let content = archive(&[("app.yaml", &config_map("app", &[("key", value)]))])?;
        let (signer, reference) = (Arc::clone(&self.signer), format!("{place}:latest"));
        let push = move |_: &_| signer.push(&reference, &content, &[]);
        let digest = self.case.blocking(push).await?;
        Ok((place, digest))
    }

    /// Applies an OCIRepository that is to be verified.
    pub(crate) async fn source(&self, name: &str, place: &str, verify: &Value) -> Result<Target> {
        let spec = json!({
            "interval": "1h", "url": format!("oci://{place}"), "insecure": true, "ref": {"tag": "latest"},
            "verify": verify,
        });
        apply(&self.case, "OCIRepository", name, spec).await
    }

    /// Waits until the artifact of a source is verified.
    pub(crate) async fn verified(&self, source: &Target, digest: &str) -> Result<Value> {
        let message = format!("verified signature of revision latest@{digest}");
        source
            .expect("SourceVerified", "True", "Succeeded", &message)
            .await?;
        let object = source.ready().await?;
        ensure!(
            object["status"]["artifact"]["revision"] == format!("latest@{digest}"),
            "{}",
            object["status"]
        );
        Ok(object)
    }

    /// Waits until a source says that its artifact is not signed as it should be, for this cause.
    async fn refused(&self, source: &Target, provider: &str, cause: &str) -> Result<Value> {
        let message = format!("failed to verify the signature using provider '{provider}': {cause}");
        let reason = "VerificationError";
        source.expect("SourceVerified", "False", reason, &message).await?;
        source.expect("Ready", "False", reason, &message).await
    }
}

async fn apply(case: &Case, kind: &str, name: &str, spec: Value) -> Result<Target> {
    let target = case.object(SOURCE, kind, name)?;
    let object = json!({"apiVersion": SOURCE, "kind": kind, "metadata": {"name": name}, "spec": spec});
    target.apply(&object).await?;
    Ok(target)
}

fn by_key() -> Value {
    json!({"provider": "cosign", "secretRef": {"name": "keys"}})
}

async fn artifacts_signed_by_cosign_with_a_key(case: Case) -> Result<()> {
    let Some(signing) = Signing::of(&case).await? else {
        return Ok(());
    };
    signing.keys().await?;
    let log = format!("--rekor-url={}", signing.signer.told("sigstore"));
    let ways = [
        // Of the older form, without and with an entry of a log.
        "cosign2 sign --yes --key=one.key --tlog-upload=false".to_owned(),
        format!("cosign2 sign --yes --key=one.key {log}"),
        "cosign3 sign --yes --key=one.key --tlog-upload=false --new-bundle-format=false --use-signing-config=false"
            .to_owned(),
        // Bundles, which are what cosign 3 makes if it is not told otherwise.
        "cosign3 sign --yes --key=one.key --tlog-upload=false --use-signing-config=false".to_owned(),
        "cosign3 sign --yes --key=one.key --signing-config=config.json --trusted-root=root.json".to_owned(),
        "cosign3 sign --yes --key=one.key --signing-config=tiles.json --trusted-root=root.json".to_owned(),
    ];
    for (at, way) in ways.iter().enumerate() {
        // One of the registries knows what refers to an artifact, the other has to be told by a tag.
        for registry in ["registry", "plain"] {
            let name = format!("{registry}-{at}");
            let (place, digest) = signing.push(registry, &name, &name).await?;
            signing.run(way, &format!("{place}@{digest}")).await?;
            let source = signing.source(&name, &place, &by_key()).await?;
            signing.verified(&source, &digest).await?;
        }
    }
    Ok(())
}

async fn what_is_not_signed_by_the_key_is_not_taken(case: Case) -> Result<()> {
    let Some(signing) = Signing::of(&case).await? else {
        return Ok(());
    };
    signing.keys().await?;
    for (name, sign) in [
        ("two", "cosign2 sign --yes --tlog-upload=false"),
        (
            "three",
            "cosign3 sign --yes --tlog-upload=false --use-signing-config=false",
        ),
    ] {
        let (place, first) = signing.push("registry", name, "first").await?;
        let first = format!("{place}@{first}");
        signing.run(&format!("{sign} --key=one.key"), &first).await?;
        let source = signing.source(name, &place, &by_key()).await?;
        let (_, digest) = first.split_once('@').unwrap_or_default();
        let good = signing.verified(&source, digest).await?;
        let stays = |object: &Value| {
            let (kept, good) = (&object["status"]["artifact"], &good["status"]["artifact"]);
            ensure!(kept == good, "{kept}");
            anyhow::Ok(())
        };

        let (_, second) = signing.push("registry", name, "second").await?;
        let second = format!("{place}@{second}");
        let none = format!("no matching signatures were found for '{second}'");
        for signed in ["", "move", "key"] {
            match signed {
                // The signature of the first is attached to the second, too.
                "move" => signing.run(&format!("move {first}"), &second).await?,
                "key" => signing.run(&format!("{sign} --key=two.key"), &second).await?,
                _ => String::new(),
            };
            let object = source.reconcile().await?;
            ensure!(
                text(&object, "/status/artifact/revision").ends_with(digest),
                "{object}"
            );
            stays(&signing.refused(&source, "cosign", &none).await?)?;
        }
        signing.run(&format!("{sign} --key=one.key"), &second).await?;
        source.request().await?;
        let (_, digest) = second.split_once('@').unwrap_or_default();
        signing.verified(&source, digest).await?;
    }
    Ok(())
}

async fn charts_signed_by_cosign_with_a_key(case: Case) -> Result<()> {
    let Some(signing) = Signing::of(&case).await? else {
        return Ok(());
    };
    signing.keys().await?;
    let host = signing.signer.told("registry");
    let url = format!("oci://{host}/charts");
    apply(
        &case,
        "HelmRepository",
        "charts",
        json!({"type": "oci", "url": url, "insecure": true}),
    )
    .await?;
    for (name, sign) in [
        ("two", "cosign2 sign --yes --tlog-upload=false"),
        (
            "three",
            "cosign3 sign --yes --tlog-upload=false --use-signing-config=false",
        ),
    ] {
        let metadata = format!("apiVersion: v2\nname: {name}\nversion: 1.0.0\n");
        let content = archive(&[(&format!("{name}/Chart.yaml"), &metadata)])?;
        let (signer, reference) = (Arc::clone(&signing.signer), format!("{host}/charts/{name}:1.0.0"));
        let flags = [
            "--type=application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            "--config-type=application/vnd.cncf.helm.config.v1+json",
        ];
        let push = move |_: &_| signer.push(&reference, &content, &flags);
        let digest = case.blocking(push).await?;
        let spec = json!({
            "interval": "1h", "chart": name, "version": "1.0.0", "verify": by_key(),
            "sourceRef": {"kind": "HelmRepository", "name": "charts"},
        });
        let chart = apply(&case, "HelmChart", name, spec).await?;
        let place = format!("{host}/charts/{name}@{digest}");
        let refused = format!("chart verification error: no matching signatures were found for '{place}'");
        for (kind, status, reason) in [
            ("SourceVerified", "False", "VerificationError"),
            ("BuildFailed", "True", "ChartVerificationError"),
        ] {
            chart.expect(kind, status, reason, &refused).await?;
        }
        signing.run(&format!("{sign} --key=one.key"), &place).await?;
        chart.request().await?;
        chart
            .expect(
                "SourceVerified",
                "True",
                "Succeeded",
                "verified signature of version 1.0.0",
            )
            .await?;
        chart
            .expect(
                "Ready",
                "True",
                "ChartPullSucceeded",
                &format!("pulled '{name}' chart"),
            )
            .await?;
    }
    Ok(())
}

/// What is to be verified of keyless signatures.
fn keyless(issuer: &str, subject: &str) -> Value {
    json!({
        "provider": "cosign", "trustedRootSecretRef": {"name": "root"},
        "matchOIDCIdentity": [{"issuer": issuer, "subject": subject}],
    })
}

async fn artifacts_signed_by_cosign_without_keys(case: Case) -> Result<()> {
    let Some(signing) = Signing::of(&case).await? else {
        return Ok(());
    };
    let root = signing.signer.told("trustedRoot");
    signing.secret("root", &[("trusted_root.json", &root)]).await?;
    let token = signing.run(&format!("token {ISSUER}"), SUBJECT).await?;
    let (host, late) = (signing.signer.told("sigstore"), signing.signer.told("late"));
    let old =
        format!("cosign2 sign --yes --identity-token={token} --trusted-root=root.json --fulcio-url={host}");
    let new = format!("cosign3 sign --yes --identity-token={token} --trusted-root=root.json");
    let right = keyless(
        "^https://token\\.example\\.com$",
        "^https://git\\.example\\.com/org/",
    );
    let named = format!("got subjects [\"{SUBJECT}\"] with issuer {ISSUER}");
    for (name, way) in [
        ("two", format!("{old} --rekor-url={host}")),
        ("three", format!("{new} --signing-config=config.json")),
        ("tiles", format!("{new} --signing-config=tiles.json")),
    ] {
        let (place, digest) = signing.push("registry", name, name).await?;
        let artifact = format!("{place}@{digest}");
        signing.run(&way, &artifact).await?;
        let source = signing.source(name, &place, &right).await?;
        signing.verified(&source, &digest).await?;
        for wrong in [
            keyless(
                "^https://token\\.example\\.com$",
                "^https://git\\.example\\.com/other/",
            ),
            keyless(
                "^https://other\\.example\\.com$",
                "^https://git\\.example\\.com/org/",
            ),
        ] {
            let source = signing.source(name, &place, &wrong).await?;
            let cause = "no matching signatures: none of the expected identities matched what was in the certificate, ";
            let cause = format!("{cause}{named}");
            signing.refused(&source, "cosign keyless", &cause).await?;
        }
        if name != "tiles" {
            signing.run("postpone", &artifact).await?;
            let source = signing.source(name, &place, &right).await?;
            let cause =
                "no matching signatures: error verifying bundle: the signed entry timestamp is invalid";
            signing.refused(&source, "cosign keyless", cause).await?;
        }
    }
    let (place, digest) = signing.push("registry", "late", "late").await?;
    let way = format!("{old} --rekor-url={late}");
    signing.run(&way, &format!("{place}@{digest}")).await?;
    let source = signing.source("late", &place, &right).await?;
    let cause = "no matching signatures: the certificate was not issued by a trusted authority at the time of signing";
    signing.refused(&source, "cosign keyless", cause).await?;
    Ok(())
}

async fn artifacts_signed_by_notation(case: Case) -> Result<()> {
    let Some(signing) = Signing::of(&case).await? else {
        return Ok(());
    };
    for name in ["good", "other"] {
        std::fs::create_dir(case.dir()?.join(name))?;
        signing.run("notation certificates", name).await?;
    }
    let policy = json!({"version": "1.0", "trustPolicies": [{
        "name": "p", "registryScopes": ["*"], "signatureVerification": {"level": "strict"},
        "trustStores": ["ca:x"], "trustedIdentities": ["x509.subject: C=US, ST=WA, O=Example\\, Inc."],
    }]});
    let root = signing.signer.file("good/root.crt")?;
    let entries = [("trustpolicy.json", policy.to_string()), ("ca.crt", root)];
    let entries = entries.each_ref().map(|(key, value)| (*key, value.as_str()));
    signing.secret("notation", &entries).await?;
    let verify = json!({"provider": "notation", "secretRef": {"name": "notation"}});
    for format in ["jws", "cose"] {
        for registry in ["registry", "plain"] {
            let name = format!("{registry}-{format}");
            let (place, digest) = signing.push(registry, &name, &name).await?;
            let artifact = format!("{place}@{digest}");
            let source = signing.source(&name, &place, &verify).await?;
            let none = format!("no signature is associated with \"{artifact}\"");
            signing.refused(&source, "notation", &none).await?;
            let sign = format!("notation sign --signature-format={format}");
            signing.run(&format!("{sign} other"), &artifact).await?;
            source.request().await?;
            let refused = "signature verification failed\nfailed to verify signature with digest sha256:";
            signing.refused(&source, "notation", refused).await?;
            signing.run(&format!("{sign} good"), &artifact).await?;
            source.request().await?;
            signing.verified(&source, &digest).await?;
        }
    }
    Ok(())
}

/// Commits that are signed, and then one that is not; the first stays.
async fn commits_are_verified(case: &Case, public: (&str, &str), settings: &[(&str, &str)]) -> Result<()> {
    let repository = case.repository("app")?;
    for &(key, value) in settings {
        repository.git(&["config", key, value])?;
    }
    repository.git(&["config", "commit.gpgsign", "true"])?;
    let commit = repository.commit(&[("app.yaml", &config_map("app", &[]))])?;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {public.0: public.1}});
    case.apply_object(&secret).await?;
    let verify = json!({"verify": {"mode": "HEAD", "secretRef": {"name": "keys"}}});
    let source = case.git_repository("app", repository.url(), verify).await?;
    let message = format!("commit '{commit}' with key '");
    source
        .expect("SourceVerified", "True", "Succeeded", &message)
        .await?;
    let good = source.ready().await?;

    repository.git(&["config", "commit.gpgsign", "false"])?;
    let commit = repository.commit(&[("app.yaml", &config_map("app", &[("key", "x")]))])?;
    source.request().await?;
    let message = format!("signature verification of commit '{commit}' failed: ");
    let object = source
        .expect("SourceVerified", "False", "InvalidCommitSignature", &message)
        .await?;
    ensure!(
        object["status"]["artifact"] == good["status"]["artifact"],
        "{}",
        object["status"]
    );
    Ok(())
}

async fn commits_signed_with_ssh_keygen(case: Case) -> Result<()> {
    let dir = case.dir()?;
    let key = dir.join("key");
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", "dev@example.com", "-f"];
    let made = Command::new("ssh-keygen").args(arguments).arg(&key).status()?;
    ensure!(made.success(), "ssh-keygen makes no key");
    let public = std::fs::read_to_string(dir.join("key.pub"))?;
    let settings = [("gpg.format", "ssh"), ("user.signingkey", &key.to_string_lossy())];
    commits_are_verified(&case, ("dev.sshpub", &public), &settings).await
}

async fn commits_signed_with_gpg(case: Case) -> Result<()> {
    // The sockets of the agent are in the home directory, and their names must be short.
    let folder = tempfile::Builder::new().prefix("gpg-").tempdir()?;
    let home = folder.path();
    let gpg = |arguments: &[&str]| -> Result<String> {
        let options = ["--batch", "--quiet", "--no-tty", "--homedir"];
        let output = Command::new("gpg")
            .args(options)
            .arg(home)
            .args(arguments)
            .output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "gpg {arguments:?}: {told}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let key = ["--quick-generate-key", "dev@example.com", "ed25519", "sign", "0"];
    gpg(&[&["--passphrase", ""][..], &key].concat())?;
    let public = gpg(&["--armor", "--export"])?;
    // Git starts the program without a shell, so that the home directory needs a program of its own.
    let program = home.join("gpg");
    let script = format!("#!/bin/sh\nexec gpg --homedir {} \"$@\"\n", home.display());
    std::fs::write(&program, script)?;
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&program, permissions)?;
    let settings = [
        ("gpg.format", "openpgp"),
        ("gpg.program", &*program.to_string_lossy()),
        ("user.signingkey", "dev@example.com"),
    ];
    let outcome = commits_are_verified(&case, ("dev.asc", &public), &settings).await;
    drop(
        Command::new("gpgconf")
            .env("GNUPGHOME", home)
            .args(["--kill", "all"])
            .status(),
    );
    outcome
}
