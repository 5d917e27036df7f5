//! Keys, host keys and failures over SSH, with OpenSSH on the other side.

use ferro_git::{Auth, Error, Remote, SshAuth};
use ferro_http::{ProxyOptions, SafeUrl};
use ferro_testkit::git::Repository;
use ferro_testkit::ssh::{self, KeyPair, SshServer};

use crate::support::{branch, pull};

/// A repository, a server that serves it, and the keys of both sides.
struct Fixture {
    repository: Repository,
    server: SshServer,
    host: KeyPair,
}

impl Fixture {
    fn start(host_kind: &str, user: &KeyPair, options: &[&str]) -> Self {
        let repository = Repository::new();
        repository.publish("a.yaml", "1");
        let host = KeyPair::generate(host_kind, "", &[]);
        let server = SshServer::start(&[&host], &[user], options);
        Self {
            repository,
            server,
            host,
        }
    }

    fn remote(&self, user: &KeyPair) -> Remote {
        let auth = SshAuth {
            identity: user.private.clone().into(),
            passphrase: None,
            known_hosts: self.server.known_hosts(&self.host),
        };
        Remote::new(&self.server.url(&self.repository.bare()))
            .unwrap()
            .with_auth(Auth::Ssh(auth))
    }
}

fn with(mut remote: Remote, change: impl FnOnce(&mut SshAuth)) -> Remote {
    if let Auth::Ssh(auth) = &mut remote.auth {
        change(auth);
    }
    remote
}

fn fails(remote: &Remote) -> Error {
    pull(remote, tempfile::tempdir().unwrap().path(), &branch("main")).unwrap_err()
}

fn works(remote: &Remote) {
    let cache = tempfile::tempdir().unwrap();
    let files = pull(remote, cache.path(), &branch("main")).unwrap().files();
    assert_eq!(files.paths(), [".", "a.yaml"]);
}

/// Tests that need a server print why they do nothing where there is none.
macro_rules! require_sshd {
    () => {
        if !ssh::is_available() {
            println!("skipped: OpenSSH is not installed");
            return;
        }
    };
}

#[test]
fn pull_with_every_kind_of_key() {
    require_sshd!();
    let kinds: [(&str, &str, &[&str]); 9] = [
        ("ed25519", "", &[]),
        ("ed25519", "pass phrase", &[]),
        ("rsa", "", &["-b", "2048"]),
        ("rsa", "", &["-b", "2048", "-m", "PEM"]),
        ("rsa", "secret", &["-b", "2048", "-m", "PKCS8"]),
        ("ecdsa", "", &["-b", "256"]),
        ("ecdsa", "", &["-b", "384"]),
        ("ecdsa", "", &["-b", "521"]),
        ("ecdsa", "", &["-b", "256", "-m", "PKCS8"]),
    ];
    let keys: Vec<_> = kinds
        .iter()
        .map(|(kind, pass, more)| KeyPair::generate(kind, pass, more))
        .collect();
    let repository = Repository::new();
    repository.publish("a.yaml", "1");
    let host = KeyPair::generate("ed25519", "", &[]);
    let server = SshServer::start(&[&host], &keys.iter().collect::<Vec<_>>(), &[]);
    let fixture = Fixture {
        repository,
        server,
        host,
    };
    for (key, (kind, passphrase, more)) in keys.iter().zip(kinds) {
        let remote = with(fixture.remote(key), |auth| {
            auth.passphrase = Some(passphrase.into());
        });
        let cache = tempfile::tempdir().unwrap();
        let pulled = pull(&remote, cache.path(), &branch("main"));
        assert!(pulled.is_ok(), "{kind} {more:?} '{passphrase}': {pulled:?}");
    }
}

#[test]
fn pull_with_every_kind_of_host_key() {
    require_sshd!();
    let user = KeyPair::generate("ed25519", "", &[]);
    for kind in ["ed25519", "ecdsa", "rsa"] {
        works(&Fixture::start(kind, &user, &[]).remote(&user));
    }
}

#[test]
fn pull_change_over_ssh() {
    require_sshd!();
    let user = KeyPair::generate("ed25519", "", &[]);
    let fixture = Fixture::start("ed25519", &user, &[]);
    let (remote, cache) = (fixture.remote(&user), tempfile::tempdir().unwrap());
    pull(&remote, cache.path(), &branch("main")).unwrap();
    let hash = fixture.repository.publish("b.yaml", "2");
    let files = pull(&remote, cache.path(), &branch("main")).unwrap().files();
    assert_eq!(
        (files.revision, files.entries.len()),
        (format!("main@sha1:{hash}"), 3)
    );
}

#[test]
fn pull_host_key_must_be_known() {
    require_sshd!();
    let user = KeyPair::generate("ed25519", "", &[]);
    let fixture = Fixture::start("ed25519", &user, &[]);
    let other = KeyPair::generate("ed25519", "", &[]);
    let url = fixture.remote(&user).url;
    let text = |error: &Error| error.upstream_message(url.url(), false);

    let mismatch = fails(&with(fixture.remote(&user), |auth| {
        auth.known_hosts = fixture.server.known_hosts(&other);
    }));
    assert!(matches!(mismatch, Error::HostKeyMismatch { .. }), "{mismatch:?}");
    assert_eq!(
        text(&mismatch),
        format!(
            "unable to clone '{}': ssh: handshake failed: knownhosts: key mismatch",
            url.url()
        )
    );
    let unknown = fails(&with(fixture.remote(&user), |auth| {
        auth.known_hosts = format!("example.com {}", other.public);
    }));
    assert!(matches!(unknown, Error::HostKeyUnknown { .. }), "{unknown:?}");
    let revoked = fails(&with(fixture.remote(&user), |auth| {
        auth.known_hosts = format!("@revoked * {}\n{}", fixture.host.public, auth.known_hosts);
    }));
    assert!(matches!(revoked, Error::HostKeyRevoked { .. }), "{revoked:?}");
    let malformed = fails(&with(fixture.remote(&user), |auth| {
        auth.known_hosts = "junk".to_owned();
    }));
    assert_eq!(malformed.to_string(), "malformed line 1 in known_hosts");
}

#[test]
fn pull_host_certificate_of_a_known_authority() {
    require_sshd!();
    let user = KeyPair::generate("ed25519", "", &[]);
    let kinds = [
        ("ed25519", "ed25519"),
        ("rsa", "ecdsa"),
        ("ecdsa", "rsa"),
        ("ed25519", "rsa"),
    ];
    for (host_kind, authority_kind) in kinds {
        let authority = KeyPair::generate(authority_kind, "", &[]);
        let fixture = certified(
            host_kind,
            &user,
            &authority,
            &["-h", "-n", "127.0.0.1,git.example.com"],
        );
        let known = |lines: &str| with(fixture.remote(&user), |auth| auth.known_hosts = lines.to_owned());
        let public = &authority.public;
        works(&known(&format!("@cert-authority [127.0.0.1]:* {public}")));
        works(&known(&format!("@cert-authority *,!other.example.com {public}")));
        // The key itself may be known as well, or alone: then that is what it shows.
        let key = fixture.server.known_hosts(&fixture.host);
        works(&known(&format!("@cert-authority * {public}\n{key}")));
        works(&known(&key));
    }
}

#[test]
fn pull_host_certificates_that_do_not_count_are_refused() {
    require_sshd!();
    use ferro_git::CertificateProblem as Problem;
    let user = KeyPair::generate("ed25519", "", &[]);
    let (authority, other) = (
        KeyPair::generate("ed25519", "", &[]),
        KeyPair::generate("ed25519", "", &[]),
    );
    let here = "127.0.0.1";
    let cases: [(&[&str], Problem); 5] = [
        (&["-n", here], Problem::Kind),
        (&["-h", "-n", "git.example.com"], Problem::Principal),
        (&["-h", "-n", here, "-V", "20200101:20210101"], Problem::Time),
        (&["-h", "-n", here, "-V", "20900101:20910101"], Problem::Time),
        (
            &["-h", "-n", here, "-O", "critical:x@example.com=y"],
            Problem::CriticalOption,
        ),
    ];
    for (arguments, expected) in cases {
        let fixture = certified("ed25519", &user, &authority, arguments);
        let error = fails(&with(fixture.remote(&user), |auth| {
            auth.known_hosts = format!("@cert-authority * {}", authority.public);
        }));
        let is_it = matches!(error, Error::HostCertificate { problem, .. } if problem == expected);
        // Servers may keep to themselves what is no certificate of a host.
        let is_unseen = expected == Problem::Kind && matches!(error, Error::HostKeyUnknown { .. });
        assert!(is_it || is_unseen, "{arguments:?}: {error:?}");
    }
    let fixture = certified("ed25519", &user, &authority, &["-h"]);
    let fails_with = |lines: &str| {
        fails(&with(fixture.remote(&user), |auth| {
            lines.clone_into(&mut auth.known_hosts);
        }))
    };
    let (ours, theirs, key) = (&authority.public, &other.public, &fixture.host.public);
    for (lines, expected) in [
        (format!("@cert-authority * {theirs}"), Problem::Authority),
        (
            format!("@cert-authority * {theirs}\n@cert-authority git.example.com {ours}"),
            Problem::Authority,
        ),
        (
            format!("@cert-authority * {theirs}\n* {ours}"),
            Problem::Authority,
        ),
        (
            format!("@cert-authority * {ours}\n@revoked * {ours}"),
            Problem::Revoked,
        ),
        (
            format!("@revoked * {key}\n@cert-authority * {ours}"),
            Problem::Revoked,
        ),
    ] {
        let error = fails_with(&lines);
        assert!(
            matches!(error, Error::HostCertificate { problem, .. } if problem == expected),
            "{lines}: {error:?}"
        );
    }
    // An authority for other hosts has this one show its key.
    let error = fails_with(&format!("@cert-authority git.example.com {ours}"));
    assert!(matches!(error, Error::HostKeyUnknown { .. }), "{error:?}");
}

#[test]
fn pull_host_certificate_by_configured_algorithms() {
    require_sshd!();
    let user = KeyPair::generate("ed25519", "", &[]);
    let authority = KeyPair::generate("ed25519", "", &[]);
    let fixture = certified("ed25519", &user, &authority, &["-h"]);
    let with_algorithms = |names: &[&str]| {
        let mut remote = with(fixture.remote(&user), |auth| {
            auth.known_hosts = format!("@cert-authority * {}", authority.public);
        });
        remote.ssh.host_key_algorithms = names.iter().map(|name| (*name).to_owned()).collect();
        remote
    };
    works(&with_algorithms(&["ssh-ed25519-cert-v01@openssh.com"]));
    let error = fails(&with_algorithms(&["ssh-ed25519"]));
    assert!(matches!(error, Error::HostKeyUnknown { .. }), "{error:?}");
    let error = fails(&with_algorithms(&["ssh-nothing-cert-v01@openssh.com"]));
    assert!(matches!(error, Error::NoCommonAlgorithm { .. }), "{error:?}");
}

/// A server whose key has a certificate.
fn certified(kind: &str, user: &KeyPair, authority: &KeyPair, arguments: &[&str]) -> Fixture {
    let repository = Repository::new();
    repository.publish("a.yaml", "1");
    let host = KeyPair::generate(kind, "", &[]);
    // The server reads it again for each connection.
    let path = repository.work().join("host-cert.pub");
    std::fs::write(&path, authority.certify(&host, arguments)).unwrap();
    let option = format!("HostCertificate {}", path.display());
    let server = SshServer::start(&[&host], &[user], &[&option]);
    Fixture {
        repository,
        server,
        host,
    }
}

#[test]
fn pull_host_key_of_another_kind_is_asked_for_by_known_hosts() {
    require_sshd!();
    // The server has two keys; known_hosts lists the one that it would not show first.
    let user = KeyPair::generate("ed25519", "", &[]);
    let (first, second) = (
        KeyPair::generate("ed25519", "", &[]),
        KeyPair::generate("rsa", "", &[]),
    );
    let repository = Repository::new();
    repository.publish("a.yaml", "1");
    let server = SshServer::start(&[&first, &second], &[&user], &[]);
    works(
        &Fixture {
            repository,
            server,
            host: second,
        }
        .remote(&user),
    );
}

#[test]
fn pull_wrong_keys_are_refused() {
    require_sshd!();
    let user = KeyPair::generate("ed25519", "", &[]);
    let fixture = Fixture::start("ed25519", &user, &[]);
    let stranger = KeyPair::generate("ed25519", "", &[]);
    let error = fails(&fixture.remote(&stranger));
    assert!(matches!(error, Error::SshAuthenticationFailed), "{error:?}");
    let encrypted = KeyPair::generate("ed25519", "right", &[]);
    let error = fails(&fixture.remote(&encrypted));
    assert_eq!(
        error.to_string(),
        "the SSH identity is encrypted and there is no passphrase"
    );
    let error = fails(&with(fixture.remote(&encrypted), |auth| {
        auth.passphrase = Some("wrong".into());
    }));
    assert_eq!(
        error.to_string(),
        "the SSH identity is encrypted and the passphrase does not fit"
    );
    let error = fails(&with(fixture.remote(&user), |auth| auth.identity = "junk".into()));
    assert_eq!(error.to_string(), "the SSH identity is not a private key");
    let none = Remote {
        auth: Auth::None,
        ..fixture.remote(&user)
    };
    assert!(fails(&none).is_auth());
}

#[test]
fn pull_missing_repository_over_ssh() {
    require_sshd!();
    let user = KeyPair::generate("ed25519", "", &[]);
    let fixture = Fixture::start("ed25519", &user, &[]);
    let url = fixture.server.url(&fixture.repository.work().join("gone"));
    let remote = Remote {
        url: ferro_git::RepositoryUrl::parse(&url).unwrap(),
        ..fixture.remote(&user)
    };
    let error = fails(&remote);
    assert!(matches!(error, Error::RepositoryNotFound), "{error:?}");
}

#[test]
fn pull_algorithms_are_configurable() {
    require_sshd!();
    let user = KeyPair::generate("ed25519", "", &[]);
    let fixture = Fixture::start("rsa", &user, &["KexAlgorithms ecdh-sha2-nistp256"]);
    let set = |kex: &[&str], host_key: &[&str]| {
        let mut remote = fixture.remote(&user);
        remote.ssh.kex_algorithms = kex.iter().map(|name| (*name).to_owned()).collect();
        remote.ssh.host_key_algorithms = host_key.iter().map(|name| (*name).to_owned()).collect();
        remote
    };
    works(&set(&["ecdh-sha2-nistp256"], &["rsa-sha2-256"]));
    let error = fails(&set(&["curve25519-sha256"], &[]));
    assert!(matches!(error, Error::NoCommonAlgorithm { .. }), "{error:?}");
    let error = fails(&set(&[], &["ssh-ed25519"]));
    assert!(matches!(error, Error::NoCommonAlgorithm { .. }), "{error:?}");
    let error = fails(&set(&["no-such-exchange"], &[]));
    assert!(
        error.to_string().contains("'no-such-exchange' is not supported"),
        "{error}"
    );
}

#[test]
fn pull_through_an_http_proxy() {
    require_sshd!();
    let user = KeyPair::generate("ed25519", "", &[]);
    let fixture = Fixture::start("ed25519", &user, &[]);
    let (proxy, log) = crate::support::connect_proxy();
    let mut remote = fixture.remote(&user);
    remote.http.proxy = ProxyOptions::Proxy {
        address: SafeUrl::parse(&format!("http://user:pw@{proxy}")).unwrap(),
        credentials: None,
    };
    works(&remote);
    let request = log.recv().unwrap();
    assert!(
        request.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", fixture.server.address())),
        "{request}"
    );
    assert!(
        request.contains("Proxy-Authorization: Basic dXNlcjpwdw==\r\n"),
        "{request}"
    );
}
