//! Artifacts that notation has signed, by certificates that an authority of OpenSSL's may have revoked.

use anyhow::{Context as _, Result, ensure};
use e2e::{Case, CertificateAuthority, Entry, Target, Witness, cases, condition, text};
use serde_json::{Value, json};

use crate::sources_signed::Signing;

pub(crate) fn cases() -> Vec<Entry> {
    cases!["sources_revoked":
        responder_says_whether_a_signer_is_revoked,
        list_says_whether_a_signer_is_revoked,
        list_says_it_where_no_responder_answers,
    ]
}

/// What policies make of revocation: their names, and how they verify. Who is not to ask comes first, so that it shows that it does not.
const POLICIES: [(&str, &str); 4] = [
    (
        "unasked",
        r#"{"level": "strict", "override": {"revocation": "skip"}}"#,
    ),
    ("audit", r#"{"level": "audit"}"#),
    ("permissive", r#"{"level": "permissive"}"#),
    ("strict", r#"{"level": "strict"}"#),
];

/// What is said of a certificate about which nobody answers.
const UNKNOWN: &str = "revocation status is unknown";
/// What is said of a certificate that is revoked.
const REVOKED: &str = "is revoked";

async fn responder_says_whether_a_signer_is_revoked(case: Case) -> Result<()> {
    revocation_is_heeded(case, Witness::Responder).await
}

async fn list_says_whether_a_signer_is_revoked(case: Case) -> Result<()> {
    revocation_is_heeded(case, Witness::List).await
}

async fn list_says_it_where_no_responder_answers(case: Case) -> Result<()> {
    revocation_is_heeded(case, Witness::ListWithoutResponder).await
}

/// An artifact, and a source of it for each policy.
struct Sources {
    case: Case,
    signing: Signing,
    place: String,
    strict: Target,
    /// Those that use the artifact whatever is said of its signer.
    lax: Vec<Target>,
}

impl Sources {
    /// Pushes the artifact with another content, signed by the one of this name, and gives its digest.
    async fn push(&self, content: &str, signer: &str) -> Result<String> {
        let (_, digest) = self.signing.push("registry", "app", content).await?;
        self.sign(&digest, signer).await?;
        Ok(digest)
    }

    async fn sign(&self, digest: &str, signer: &str) -> Result<()> {
        let artifact = format!("{}@{digest}", self.place);
        self.signing
            .run(&format!("notation sign {signer}"), &artifact)
            .await?;
        Ok(())
    }

    /// Waits until the strict source has the artifact, verified; gives what is served of it.
    async fn taken(&self, digest: &str) -> Result<(Value, Vec<u8>)> {
        self.strict.request().await?;
        let object = self.signing.verified(&self.strict, digest).await?;
        let stored = object["status"]["artifact"].clone();
        let served = self.served(&stored).await?;
        Ok((stored, served))
    }

    /// Waits until the strict source says that the artifact is not to be used for this cause, and looks whether it keeps what it had.
    async fn refused(&self, cause: &str, (stored, content): &(Value, Vec<u8>)) -> Result<()> {
        self.strict.request().await?;
        let reason = "VerificationError";
        let told = "failed to verify the signature using provider 'notation': signature verification failed\nfailed to verify \
                    signature with digest sha256:";
        for kind in ["SourceVerified", "Ready"] {
            let object = self.strict.expect(kind, "False", reason, cause).await?;
            let message =
                condition(&object, kind).map_or("", |it| it["message"].as_str().unwrap_or_default());
            ensure!(message.starts_with(told) && message.ends_with(cause), "{message}");
            ensure!(object["status"]["artifact"] == *stored, "{}", object["status"]);
        }
        self.strict.expect_event("Warning", reason, cause).await?;
        ensure!(
            self.served(stored).await? == *content,
            "another content is served"
        );
        Ok(())
    }

    /// Waits until the other sources have the artifact, verified; those that ask log what they found.
    async fn taken_by_the_lax(&self, digest: &str, found: &str) -> Result<()> {
        let place = &self.place;
        let told = format!("verification check for type 'revocation' failed for '{place}' with message: ");
        let logged = || -> Result<usize> {
            let log = self.case.world().log("source-controller")?;
            Ok(log
                .lines()
                .filter(|it| it.contains(&told) && it.contains(found))
                .count())
        };
        for source in &self.lax {
            let before = logged()?;
            source.request().await?;
            self.signing.verified(source, digest).await?;
            let is_logged = logged()? > before;
            let name = source.name();
            ensure!(is_logged != (name == "unasked"), "{name}: logged: {is_logged}");
        }
        Ok(())
    }

    async fn served(&self, artifact: &Value) -> Result<Vec<u8>> {
        let (status, content) = self.case.download(&text(artifact, "/url")).await?;
        ensure!(
            status == 200 && !content.is_empty(),
            "{artifact}: status {status}"
        );
        Ok(content)
    }
}

/// Starts with an artifact that everybody takes, signed by the one called `first`, and gives its digest.
async fn sources(
    signing: Signing,
    case: &Case,
    authority: &CertificateAuthority,
) -> Result<(Sources, String)> {
    let (place, digest) = signing.push("registry", "app", "one").await?;
    signing
        .run("notation sign first", &format!("{place}@{digest}"))
        .await?;
    let root = authority.certificate()?;
    let mut targets = Vec::new();
    for (name, verification) in POLICIES {
        let verification: Value = serde_json::from_str(verification)?;
        let policy = json!({"version": "1.0", "trustPolicies": [{
            "name": "p", "registryScopes": ["*"], "signatureVerification": verification,
            "trustStores": ["ca:x"], "trustedIdentities": ["x509.subject: C=US, ST=WA, O=Example"],
        }]});
        let entries = [("trustpolicy.json", &*policy.to_string()), ("ca.crt", &root)];
        signing.secret(name, &entries).await?;
        let verify = json!({"provider": "notation", "secretRef": {"name": name}});
        let source = signing.source(name, &place, &verify).await?;
        signing.verified(&source, &digest).await?;
        let is_asked = authority.asked() > 0;
        ensure!(is_asked != (name == "unasked"), "{name}: asked: {is_asked}");
        targets.push(source);
    }
    let strict = targets.pop().context("the last policy")?;
    let (case, lax) = (case.clone(), targets);
    Ok((
        Sources {
            case,
            signing,
            place,
            strict,
            lax,
        },
        digest,
    ))
}

async fn revocation_is_heeded(case: Case, witness: Witness) -> Result<()> {
    let Some(signing) = Signing::of(&case).await? else {
        return Ok(());
    };
    let dir = case.dir()?;
    let Some(mut authority) = CertificateAuthority::start(&dir.join("authority"))? else {
        case.skip("no openssl, install it");
        return Ok(());
    };
    for name in ["first", "second"] {
        authority.issue(name, witness, &dir.join(name))?;
    }
    let (sources, digest) = sources(signing, &case, &authority).await?;
    let one = sources.taken(&digest).await?;
    let told =
        |what: &str| format!("signing certificate with subject \"CN=first,O=Example,ST=WA,C=US\" {what}");

    // Nobody tells.
    authority.close();
    let digest = sources.push("two", "first").await?;
    sources.taken_by_the_lax(&digest, UNKNOWN).await?;
    sources.refused(&told(UNKNOWN), &one).await?;
    authority.open()?;
    let two = sources.taken(&digest).await?;

    authority.revoke("first")?;
    let digest = sources.push("three", "first").await?;
    sources.taken_by_the_lax(&digest, REVOKED).await?;
    sources.refused(&told(REVOKED), &two).await?;

    // One signature that counts is enough.
    sources.sign(&digest, "second").await?;
    let three = sources.taken(&digest).await?;
    ensure!(three.1 != two.1, "the content is still the one before");
    Ok(())
}
