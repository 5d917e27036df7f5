//! Signatures of commits and tags, made by GnuPG and OpenSSH as users make them.

use std::path::Path;
use std::process::Command;

use ferro_api::source::GitVerificationMode as Mode;

use super::*;

fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// An SSH key of a person who commits.
struct SshKey {
    directory: TempDir,
    public: String,
    fingerprint: String,
}

impl SshKey {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", "dev@example.com", "-f"];
        run(Command::new("ssh-keygen").args(arguments).arg(&path));
        let listed = run(Command::new("ssh-keygen").arg("-lf").arg(&path));
        Self {
            public: std::fs::read_to_string(path.with_extension("pub")).unwrap(),
            fingerprint: listed.split(' ').nth(1).unwrap().to_owned(),
            directory,
        }
    }

    /// Makes commits and tags of the repository signed by the key, where signing is asked for.
    fn configure(&self, git: &Git) {
        let path = self.directory.path().join("key");
        git.repository.git(&["config", "gpg.format", "ssh"]);
        git.repository
            .git(&["config", "user.signingkey", path.to_str().unwrap()]);
    }
}

/// GnuPG with one key.
struct Gpg {
    home: TempDir,
    public: String,
    id: String,
}

impl Gpg {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let generate = [
            "--passphrase",
            "",
            "--quick-generate-key",
            "dev@example.com",
            "ed25519",
            "sign",
            "0",
        ];
        Self::run(home.path(), &generate);
        let public = Self::run(home.path(), &["--armor", "--export"]);
        let keys = Self::run(home.path(), &["--with-colons", "--list-keys"]);
        let line = keys.lines().find(|line| line.starts_with("pub:")).unwrap();
        let id = line.split(':').nth(4).unwrap().to_owned();
        Self { home, public, id }
    }

    fn run(home: &Path, arguments: &[&str]) -> String {
        let options = ["--batch", "--quiet", "--no-tty", "--homedir"];
        run(Command::new("gpg").args(options).arg(home).args(arguments))
    }

    fn configure(&self, git: &Git) {
        let home = self.home.path();
        // git runs `gpg.program` without a shell, so the home directory needs a program of its own.
        let program = home.join("gpg");
        let script = format!("#!/bin/sh\nexec gpg --homedir {} \"$@\"\n", home.display());
        std::fs::write(&program, script).unwrap();
        run(Command::new("chmod").arg("+x").arg(&program));
        git.repository.git(&["config", "gpg.format", "openpgp"]);
        git.repository
            .git(&["config", "gpg.program", program.to_str().unwrap()]);
        git.repository.git(&["config", "user.signingkey", &self.id]);
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ended = Command::new("gpgconf")
            .env("GNUPGHOME", self.home.path())
            .args(["--kill", "all"])
            .status();
    }
}

impl Git {
    fn commit_signed(&self, message: &str) -> String {
        self.repository.write("a.yaml", message);
        self.repository.git(&["add", "-A"]);
        self.repository.git(&["commit", "-q", "-S", "-m", message]);
        self.repository.push();
        self.repository.git(&["rev-parse", "HEAD"])
    }

    fn tag(&self, arguments: &[&str]) -> String {
        self.repository.git(&[&["tag", "-f"], arguments].concat());
        self.repository.push();
        self.repository
            .git(&["rev-parse", arguments[arguments.len() - 1]])
    }
}

fn verified(url: &str, mode: Mode) -> GitRepository {
    let mut object = repository(url);
    object.spec.verify = Some(GitRepositoryVerification {
        mode: Some(mode),
        secret_ref: LocalObjectReference {
            name: "keys".to_owned(),
        },
    });
    object
}

fn at_tag(url: &str, mode: Mode, tag: &str) -> GitRepository {
    let mut object = verified(url, mode);
    object.spec.reference = Some(GitRepositoryRef {
        tag: Some(tag.to_owned()),
        ..GitRepositoryRef::default()
    });
    object
}

fn edit(object: &mut GitRepository, change: impl FnOnce(&mut GitRepositorySpec)) {
    change(&mut object.spec);
    *object.metadata.generation.get_or_insert_default() += 1;
}

fn mode_of(object: &GitRepository) -> Option<&str> {
    object.status.as_ref()?.source_verification_mode.as_deref()
}

const VERIFIED: [&str; 3] = [
    "Ready=True/Succeeded",
    "ArtifactInStorage=True/Succeeded",
    "SourceVerified=True/Succeeded",
];

#[tokio::test(flavor = "multi_thread")]
async fn commit_signed_with_openpgp_is_verified_once() {
    if !is_installed("gpg") {
        return;
    }
    let gpg = Gpg::new();
    let (git, mut bench) = (Git::new(), Bench::new(&[]));
    gpg.configure(&git);
    bench.set_secret("keys", "dev.asc", &gpg.public);
    let hash = git.commit_signed("One");
    let mut object = verified(&git.url(), Mode::HeadLegacy);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let mut expected = conditions_of(&object);
    expected.sort();
    let mut all = VERIFIED.map(str::to_owned);
    all.sort();
    assert_eq!(expected, all);
    let told = format!("verified signature of\n\t- commit '{hash}' with key '{}'", gpg.id);
    assert_eq!(message_of(&object, "SourceVerified"), told);
    let events = [
        format!("trace Succeeded {told}"),
        "info NewArtifact stored artifact for commit 'One'".to_owned(),
    ];
    assert_eq!(bench.events(), events);
    assert_eq!(mode_of(&object), Some("HEAD"));

    // Nothing new costs one listing, and the keys are not read.
    git.requests();
    bench.api.lock().unwrap().clear();
    let before = object.clone();
    bench.pass(&mut object).await;
    assert_eq!(object, before);
    assert_eq!((git.requests(), bench.api.lock().unwrap().len()), (1, 0));
    assert_eq!(bench.events(), Vec::<String>::new());

    // An unsigned commit does not get in, and the artifact stays.
    let unsigned = git.commit("Two", &[("a.yaml", "2")]);
    let outcome = bench.pass(&mut object).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    assert_eq!(object.artifact(), before.artifact());
    let refusal =
        format!("signature verification of commit '{unsigned}' failed: unsupported signature type: empty");
    assert_eq!(message_of(&object, "SourceVerified"), refusal);
    assert_eq!(message_of(&object, "Ready"), refusal);
    let reasons = conditions_of(&object);
    assert!(
        reasons.contains(&"SourceVerified=False/InvalidCommitSignature".to_owned()),
        "{reasons:?}"
    );

    let third = git.commit_signed("Three");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert!(object.artifact().unwrap().revision.ends_with(&third));

    // What is no longer asked for is forgotten.
    edit(&mut object, |spec| spec.verify = None);
    bench.pass(&mut object).await;
    assert_eq!(
        (mode_of(&object), message_of(&object, "SourceVerified")),
        (None, "")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_revision_is_verified_when_the_spec_asks_for_it() {
    if !is_installed("ssh-keygen") {
        return;
    }
    let (key, other) = (SshKey::new(), SshKey::new());
    let (git, mut bench) = (Git::new(), Bench::new(&[]));
    key.configure(&git);
    bench.set_secret("keys", "dev.sshpub", &key.public);
    bench.set_secret("others", "dev.sshpub", &other.public);
    git.commit_signed("One");
    let mut object = repository(&git.url());
    bench.pass(&mut object).await;
    let artifact = object.artifact().cloned();
    bench.events();

    let wanted = verified(&git.url(), Mode::Head).spec.verify;
    edit(&mut object, |spec| spec.verify = wanted);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert!(message_of(&object, "SourceVerified").ends_with(&format!("with key '{}'", key.fingerprint)));
    assert_eq!(object.artifact(), artifact.as_ref(), "the artifact is the same");

    // Other keys: what the old ones vouched for is not good any more.
    edit(&mut object, |spec| {
        spec.verify.as_mut().unwrap().secret_ref.name = "others".to_owned();
    });
    bench.pass(&mut object).await;
    assert!(
        message_of(&object, "SourceVerified").ends_with(
            "unable to verify Git commit SSH signature: unable to verify payload with any of the given authorized keys: \
             no matching key\npublic key does not match"
        ),
        "{}",
        message_of(&object, "SourceVerified")
    );
    edit(&mut object, |spec| {
        spec.verify.as_mut().unwrap().secret_ref.name = "none".to_owned();
    });
    bench.pass(&mut object).await;
    assert_eq!(
        message_of(&object, "Ready"),
        "public keys secret error: secrets \"none\" not found"
    );
    assert!(conditions_of(&object).contains(&"SourceVerified=False/VerificationError".to_owned()));
    bench.set_secret("none", "dev.asc", "");
    bench.pass(&mut object).await;
    assert!(message_of(&object, "Ready").ends_with(
        "SSH signature detected but no SSH public keys found in secret (keys with .sshpub suffix)"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_verified_with_their_commits() {
    if !is_installed("ssh-keygen") {
        return;
    }
    let key = SshKey::new();
    let (git, mut bench) = (Git::new(), Bench::new(&[]));
    key.configure(&git);
    bench.set_secret("keys", "dev.sshpub", &key.public);
    let unsigned = git.commit("Unsigned", &[("a.yaml", "0")]);
    let tag = git.tag(&["-s", "-m", "Release", "v1.0.0"]);
    let fingerprint = &key.fingerprint;

    let mut object = at_tag(&git.url(), Mode::Tag, "v1.0.0");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let tag_line = format!("verified signature of\n\t- tag 'v1.0.0@{tag}' with key '{fingerprint}'");
    assert_eq!(message_of(&object, "SourceVerified"), tag_line);
    assert_eq!(mode_of(&object), Some("Tag"));

    // The commit too: it is the stored one, and is looked at nevertheless.
    edit(&mut object, |spec| {
        spec.verify.as_mut().unwrap().mode = Some(Mode::TagAndHead);
    });
    bench.pass(&mut object).await;
    assert_eq!(
        message_of(&object, "Ready"),
        format!("signature verification of commit '{unsigned}' failed: unsupported signature type: empty")
    );
    let signed = git.commit_signed("Signed");
    let tag = git.tag(&["-s", "-m", "Release", "v1.0.0"]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(
        message_of(&object, "SourceVerified"),
        format!(
            "verified signature of\n\t- tag 'v1.0.0@{tag}' with key '{fingerprint}'\n\t- commit '{signed}' with key '{fingerprint}'"
        )
    );
    assert_eq!(mode_of(&object), Some("TagAndHEAD"));

    // A range leads to a tag as well.
    let mut range = at_tag(&git.url(), Mode::Tag, "");
    range.metadata.name = Some("range".to_owned());
    range.spec.reference.as_mut().unwrap().semver = Some(">=1.0.0".to_owned());
    assert_eq!(bench.pass(&mut range).await, Outcome::Done);
    assert_eq!(mode_of(&range), Some("Tag"));
    // Its commit is verified again at each pass, as upstream does.
    bench.events();
    assert_eq!(bench.pass(&mut range).await, Outcome::Done);
    assert_eq!(bench.events(), Vec::<String>::new(), "known is not told again");
    bench.set_secret("keys", "dev.sshpub", &SshKey::new().public);
    bench.pass(&mut range).await;
    let refusal = format!(
        "signature verification of tag 'v1.0.0@{tag}' failed: unable to verify Git tag SSH signature: unable to verify payload \
         with any of the given authorized keys: no matching key\npublic key does not match"
    );
    assert_eq!(message_of(&range, "Ready"), refusal);
    assert_eq!(bench.events(), [format!("error InvalidTagSignature {refusal}")]);
    assert!(conditions_of(&range).contains(&"SourceVerified=False/InvalidTagSignature".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_are_not_signed_or_not_tags_are_refused() {
    if !is_installed("ssh-keygen") {
        return;
    }
    let key = SshKey::new();
    let (git, mut bench) = (Git::new(), Bench::new(&[]));
    key.configure(&git);
    bench.set_secret("keys", "dev.sshpub", &key.public);
    git.commit_signed("One");
    let annotated = git.tag(&["-m", "Release", "annotated"]);
    git.tag(&["light"]);
    for (tag, name) in [
        ("annotated", format!("annotated@{annotated}")),
        ("light", "light".to_owned()),
    ] {
        let mut object = at_tag(&git.url(), Mode::TagAndHead, tag);
        let outcome = bench.pass(&mut object).await;
        assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
        assert_eq!(
            message_of(&object, "SourceVerified"),
            format!("cannot verify signature of tag '{name}' since it is not signed")
        );
        assert!(conditions_of(&object).contains(&"SourceVerified=False/InvalidGitObject".to_owned()));
    }
    let mut branch = verified(&git.url(), Mode::Tag);
    let outcome = bench.pass(&mut branch).await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    assert_eq!(
        message_of(&branch, "SourceVerified"),
        "cannot verify tag object's signature if a tag reference is not specified"
    );
    assert!(conditions_of(&branch).contains(&"SourceVerified=False/InvalidVerificationMode".to_owned()));
    assert!(branch.artifact().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_cover_the_whole_object_in_both_formats() {
    if !is_installed("ssh-keygen") {
        return;
    }
    let key = SshKey::new();
    for format in ["sha1", "sha256"] {
        let git = Git::with_format(format);
        let mut bench = Bench::new(&[]);
        key.configure(&git);
        bench.set_secret("keys", "dev.sshpub", &key.public);
        git.commit_signed("One");
        git.tag(&["-s", "-m", "Release", "v1.0.0"]);
        let mut object = at_tag(&git.url(), Mode::TagAndHead, "v1.0.0");
        assert_eq!(bench.pass(&mut object).await, Outcome::Done, "{format}");
        assert!(
            object
                .artifact()
                .unwrap()
                .revision
                .starts_with(&format!("v1.0.0@{format}:"))
        );

        // The same signatures over a commit and a tag that say something else.
        let rewritten = |kind: &str, name: &str, from: &str, to: &str| {
            let text = git.repository.git(&["cat-file", kind, name]);
            let file = git.repository.work().join("object");
            std::fs::write(&file, format!("{}\n", text.replace(from, to))).unwrap();
            git.repository.git(&["hash-object", "-w", "-t", kind, "object"])
        };
        let commit = rewritten("commit", "HEAD", "One", "Two");
        let tag = rewritten("tag", "v1.0.0", "Release", "Relapse");
        git.repository.git(&["update-ref", "refs/heads/main", &commit]);
        git.repository.git(&["update-ref", "refs/tags/v1.0.0", &tag]);
        git.repository.push();
        let mut head = verified(&git.url(), Mode::Head);
        bench.pass(&mut head).await;
        bench.pass(&mut object).await;
        let mut tagged = at_tag(&git.url(), Mode::Tag, "v1.0.0");
        tagged.metadata.name = Some("tagged".to_owned());
        bench.pass(&mut tagged).await;
        for object in [&head, &tagged] {
            assert!(
                message_of(object, "SourceVerified")
                    .ends_with("no matching key\nssh: signature did not verify"),
                "{format}: {}",
                message_of(object, "SourceVerified")
            );
            assert!(object.artifact().is_none());
        }
    }
}
