//! Git over SSH with russh.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use gix_transport::Protocol;
use gix_transport::client::blocking_io::Transport;
use gix_transport::client::git::ConnectMode;
use gix_transport::client::git::blocking_io::Connection;
use russh::client::{self, AuthResult, Handle, Msg};
use russh::keys::{
    Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate, decode_secret_key,
};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};

use super::Failure;
use crate::interrupt::Interrupt;
use crate::known_hosts::{KnownHosts, Verdict, lookup_name};
use crate::remote::{RepositoryUrl, SshAuth, SshOptions};
use crate::{Auth, Error, Remote, Result};

const DEFAULT_PORT: u16 = 22;
const DEFAULT_USER: &str = "git";
/// The program that serves fetches.
const UPLOAD: &str = "git-upload-pack";
/// How names of algorithms of certificates end.
const CERTIFICATE_SUFFIX: &str = "-cert-v01@openssh.com";
/// How much of what a server complains about is kept.
const MAX_COMPLAINT: usize = 4096;

/// Connects, authenticates and starts the upload. Blocks the thread.
pub(crate) fn connect(
    remote: &Remote,
    interrupt: &Arc<Interrupt>,
    failure: &Failure,
) -> Result<Box<dyn Transport + Send>> {
    let endpoint = Endpoint::of(&remote.url)?;
    let command = format!("{UPLOAD} {}", quote(&endpoint.path));
    let (reader, writer) = run(remote, &endpoint, &command, interrupt, failure)?;
    let connection = Connection::new(
        reader,
        writer,
        Protocol::V2,
        endpoint.path,
        None::<(&str, _)>,
        ConnectMode::Process,
        false,
    );
    Ok(Box::new(connection))
}

/// What another program than Git's says about the repository: `<program> <path> <argument>`. Blocks the thread.
pub(crate) fn ask(
    remote: &Remote,
    program: &str,
    argument: &str,
    interrupt: &Arc<Interrupt>,
    failure: &Failure,
) -> Result<impl Read> {
    let endpoint = Endpoint::of(&remote.url)?;
    let command = format!("{program} {} {argument}", quote(&endpoint.path));
    run(remote, &endpoint, &command, interrupt, failure).map(|(reader, _)| reader)
}

/// Connects, authenticates and starts a command.
fn run(
    remote: &Remote,
    endpoint: &Endpoint,
    command: &str,
    interrupt: &Arc<Interrupt>,
    failure: &Failure,
) -> Result<(SshReader, SshWriter)> {
    let Auth::Ssh(auth) = &remote.auth else {
        let reason = "an SSH repository needs the keys 'identity' and 'known_hosts'".to_owned();
        return Err(Error::InvalidAuth { reason });
    };
    let key = decode_identity(auth)?;
    let known_hosts = KnownHosts::parse(&auth.known_hosts).map_err(|line| Error::InvalidAuth {
        reason: format!("malformed line {line} in known_hosts"),
    })?;
    let opening = start(remote, endpoint, key, known_hosts);
    let (handle, channel) = interrupt.block_on(opening)??;
    interrupt
        .block_on(channel.exec(true, command))?
        .map_err(unreachable)?;
    let (receiver, sender) = channel.split();
    let handle = Arc::new(handle);
    let reader = SshReader {
        receiver,
        program: command.split(' ').next().unwrap_or_default().to_owned(),
        pending: Bytes::new(),
        complaint: Vec::new(),
        has_data: false,
        interrupt: interrupt.clone(),
        failure: failure.clone(),
        _handle: handle.clone(),
    };
    let writer = SshWriter {
        sender,
        interrupt: interrupt.clone(),
        failure: failure.clone(),
        _handle: handle,
    };
    Ok((reader, writer))
}

/// The parts of an SSH URL.
#[derive(Debug)]
struct Endpoint {
    host: String,
    port: u16,
    user: String,
    path: String,
}

impl Endpoint {
    fn of(url: &RepositoryUrl) -> Result<Self> {
        let parsed = url.url().expose();
        let decode = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        };
        let user = match parsed.username() {
            "" => DEFAULT_USER.to_owned(),
            user => decode(user),
        };
        let path = decode(parsed.path());
        // A home directory is relative to the account, not to the root.
        let path = if path.starts_with("/~") {
            path.trim_start_matches('/').to_owned()
        } else {
            path
        };
        if path.is_empty() || path == "/" || path.contains(['\0', '\n']) {
            return Err(Error::InvalidUrl {
                reason: "it has no repository path".to_owned(),
            });
        }
        let host = url
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        Ok(Self {
            host,
            port: parsed.port().unwrap_or(DEFAULT_PORT),
            user,
            path,
        })
    }
}

fn decode_identity(auth: &SshAuth) -> Result<PrivateKey> {
    let passphrase = auth.passphrase.as_ref().map(|secret| secret.expose().as_str());
    let passphrase = passphrase.filter(|text| !text.is_empty());
    // A missing last newline is a frequent accident of copying.
    let text = format!("{}\n", auth.identity.expose().trim());
    let is_encrypted = is_encrypted(&text);
    match (decode_secret_key(&text, passphrase), is_encrypted, passphrase) {
        (Ok(key), _, _) if !key.is_encrypted() => Ok(key),
        (Err(russh::keys::Error::KeyIsEncrypted), _, None) | (_, true, None) => Err(Error::EncryptedKey {
            reason: "there is no passphrase",
        }),
        (_, true, Some(_)) => Err(Error::EncryptedKey {
            reason: "the passphrase does not fit",
        }),
        // The parser's words could repeat parts of the key.
        _ => Err(Error::InvalidAuth {
            reason: "the SSH identity is not a private key".to_owned(),
        }),
    }
}

fn is_encrypted(pem: &str) -> bool {
    let says_so = pem.contains("ENCRYPTED PRIVATE KEY") || pem.contains("Proc-Type: 4,ENCRYPTED");
    says_so || PrivateKey::from_openssh(pem).is_ok_and(|key| key.is_encrypted())
}

fn configuration(
    options: &SshOptions,
    known_hosts: &KnownHosts,
    endpoint: &Endpoint,
) -> Result<client::Config> {
    let mut preferred = russh::Preferred::default();
    if !options.kex_algorithms.is_empty() {
        let mut names: Vec<russh::kex::Name> = Vec::new();
        for name in &options.kex_algorithms {
            let unknown = || Error::NoCommonAlgorithm {
                kind: format!("key exchange: '{name}' is not supported"),
            };
            names.push(russh::kex::Name::try_from(name.as_str()).map_err(|()| unknown())?);
        }
        // Not exchanges but signals; without the strict ones the handshake could be tampered with.
        names.extend([
            russh::kex::EXTENSION_SUPPORT_AS_CLIENT,
            russh::kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
        ]);
        preferred.kex = Cow::Owned(names);
    }
    let (algorithms, certified) = if options.host_key_algorithms.is_empty() {
        let (host, port) = (&endpoint.host, endpoint.port);
        let certified = known_hosts.certificate_algorithms(host, port);
        (known_hosts.algorithms(host, port), certified.to_vec())
    } else {
        parse_algorithms(&options.host_key_algorithms)?
    };
    preferred.host_key_certificates = Cow::Owned(certified);
    // A host that is not known gets to show a key, so that the error can name it.
    if !algorithms.is_empty() {
        preferred.key = Cow::Owned(algorithms);
    }
    Ok(client::Config {
        preferred,
        nodelay: true,
        ..client::Config::default()
    })
}

/// The algorithms of keys, and those of keys in certificates.
fn parse_algorithms(names: &[String]) -> Result<(Vec<Algorithm>, Vec<Algorithm>)> {
    let (mut plain, mut certified) = (Vec::new(), Vec::new());
    for name in names {
        let (parsed, list) = if name.ends_with(CERTIFICATE_SUFFIX) {
            (Algorithm::new_certificate(name).ok(), &mut certified)
        } else {
            (name.parse::<Algorithm>().ok(), &mut plain)
        };
        match parsed {
            Some(Algorithm::Other(_)) | None => {
                return Err(Error::NoCommonAlgorithm {
                    kind: format!("host key: '{name}' is not supported"),
                });
            }
            Some(algorithm) => list.push(algorithm),
        }
    }
    Ok((plain, certified))
}

/// Opens a channel to the server.
async fn start(
    remote: &Remote,
    endpoint: &Endpoint,
    key: PrivateKey,
    known_hosts: KnownHosts,
) -> Result<(Handle<HostKeyCheck>, Channel<Msg>)> {
    let config = Arc::new(configuration(&remote.ssh, &known_hosts, endpoint)?);
    let stream = super::dial::dial(&endpoint.host, endpoint.port, &remote.http).await?;
    let check = HostKeyCheck {
        host: endpoint.host.clone(),
        port: endpoint.port,
        known_hosts,
    };
    let mut handle = client::connect_stream(config, stream, check)
        .await
        .map_err(|Refusal(error)| error)?;
    authenticate(&mut handle, &endpoint.user, Arc::new(key)).await?;
    let channel = handle.channel_open_session().await.map_err(unreachable)?;
    // Servers that do not allow it speak an older version of the protocol, which is fine.
    channel
        .set_env(false, "GIT_PROTOCOL", "version=2")
        .await
        .map_err(unreachable)?;
    Ok((handle, channel))
}

/// Quotes for a POSIX shell.
fn quote(path: &str) -> String {
    format!("'{}'", path.replace('\'', "'\\''"))
}

fn unreachable(error: russh::Error) -> Error {
    match error {
        russh::Error::NoCommonAlgo { kind, ours, theirs } => {
            let (ours, theirs) = (ours.join(","), theirs.join(","));
            Error::NoCommonAlgorithm {
                kind: format!("{kind:?}; client offered: {ours}, server offered: {theirs}"),
            }
        }
        other => Error::Unreachable { source: other.into() },
    }
}

async fn authenticate(handle: &mut Handle<HostKeyCheck>, user: &str, key: Arc<PrivateKey>) -> Result<()> {
    let hashes = if key.algorithm().is_rsa() {
        match handle.best_supported_rsa_hash().await.map_err(unreachable)? {
            Some(hash) => vec![hash],
            // The server does not say; the strongest goes first.
            None => vec![Some(HashAlg::Sha512), Some(HashAlg::Sha256), None],
        }
    } else {
        vec![None]
    };
    for hash in hashes {
        let key = PrivateKeyWithHashAlg::new(key.clone(), hash);
        match handle.authenticate_publickey(user, key).await {
            Ok(AuthResult::Success) => return Ok(()),
            Ok(AuthResult::Failure { .. }) => {}
            // Servers hang up after too many tries.
            Err(russh::Error::Disconnect | russh::Error::HUP | russh::Error::RecvError) => {
                return Err(Error::SshAuthenticationFailed);
            }
            Err(error) => return Err(unreachable(error)),
        }
    }
    Err(Error::SshAuthenticationFailed)
}

/// Compares the server's key or certificate with `known_hosts`.
struct HostKeyCheck {
    host: String,
    port: u16,
    known_hosts: KnownHosts,
}

/// An error in the form that russh's handlers need.
#[derive(Debug)]
struct Refusal(Error);

impl From<russh::Error> for Refusal {
    fn from(error: russh::Error) -> Self {
        Self(unreachable(error))
    }
}

impl client::Handler for HostKeyCheck {
    type Error = Refusal;

    async fn check_server_key(&mut self, server: &PublicKeyOrCertificate) -> Result<bool, Refusal> {
        let host = lookup_name(&self.host, self.port);
        let key = match server {
            PublicKeyOrCertificate::PublicKey { key, .. } => key,
            PublicKeyOrCertificate::Certificate(certificate) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let (known_hosts, now) = (&self.known_hosts, now.as_secs());
                let judged = known_hosts.judge_certificate(&self.host, self.port, certificate, now);
                let refused = |problem| Refusal(Error::HostCertificate { host, problem });
                return judged.map(|()| true).map_err(refused);
            }
        };
        let offered = format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256));
        match self.known_hosts.judge(&self.host, self.port, key) {
            Verdict::Known => Ok(true),
            Verdict::Mismatch => Err(Refusal(Error::HostKeyMismatch { host, offered })),
            Verdict::Unknown => Err(Refusal(Error::HostKeyUnknown { host, offered })),
            Verdict::Revoked => Err(Refusal(Error::HostKeyRevoked { host })),
        }
    }
}

/// What the server sends, read piece by piece under the operation's deadline.
struct SshReader {
    receiver: ChannelReadHalf,
    /// What was started, for errors.
    program: String,
    pending: Bytes,
    complaint: Vec<u8>,
    has_data: bool,
    interrupt: Arc<Interrupt>,
    failure: Failure,
    _handle: Arc<Handle<HostKeyCheck>>,
}

impl SshReader {
    fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.interrupt.block_on(self.receiver.wait())? {
                Some(ChannelMsg::Data { data }) if data.is_empty() => {}
                Some(ChannelMsg::Data { data }) => {
                    self.has_data = true;
                    self.interrupt.received(data.len())?;
                    return Ok(Some(data));
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    let room = MAX_COMPLAINT.saturating_sub(self.complaint.len());
                    self.complaint.extend(data.iter().take(room));
                }
                Some(ChannelMsg::Failure) => {
                    let reason = format!("the server refuses to run {}", self.program);
                    return Err(Error::UnexpectedAnswer { reason });
                }
                // What went wrong comes after the end of the data.
                Some(ChannelMsg::Close) | None if !self.has_data => return Err(self.complain()),
                Some(ChannelMsg::Close) | None => return Ok(None),
                Some(ChannelMsg::Eof) if self.has_data => return Ok(None),
                Some(_) => {}
            }
        }
    }

    /// The error of a server that closed the channel without a word of Git.
    fn complain(&self) -> Error {
        let text = String::from_utf8_lossy(&self.complaint);
        let lower = text.to_lowercase();
        let missing = [
            "not found",
            "does not exist",
            "does not appear to be a git repository",
            "no such file",
        ];
        if missing.iter().any(|phrase| lower.contains(phrase)) {
            return Error::RepositoryNotFound;
        }
        if lower.contains("access denied") || lower.contains("permission denied") {
            return Error::AuthorizationFailed;
        }
        let reason = match text.trim() {
            "" => "the server closed the connection".to_owned(),
            text => text.to_owned(),
        };
        Error::UnexpectedAnswer { reason }
    }
}

impl Read for SshReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.pending.is_empty() {
            match self.next().map_err(|error| self.failure.record(error))? {
                Some(data) => self.pending = data,
                None => return Ok(0),
            }
        }
        let count = self.pending.as_ref().read(buffer)?;
        bytes::Buf::advance(&mut self.pending, count);
        Ok(count)
    }
}

/// What we send.
struct SshWriter {
    sender: ChannelWriteHalf<Msg>,
    interrupt: Arc<Interrupt>,
    failure: Failure,
    _handle: Arc<Handle<HostKeyCheck>>,
}

impl Write for SshWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.interrupt.block_on(self.sender.data_bytes(bytes.to_vec()));
        sent.and_then(|sent| sent.map_err(unreachable))
            .map_err(|error| self.failure.record(error))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_parts_of_a_url() {
        let of = |url| Endpoint::of(&RepositoryUrl::parse(url).unwrap());
        let endpoint = of("ssh://me%40x@h:2222/a%20b.git").unwrap();
        assert_eq!(
            (endpoint.user.as_str(), endpoint.port, endpoint.path.as_str()),
            ("me@x", 2222, "/a b.git")
        );
        let endpoint = of("ssh://h/~me/x").unwrap();
        assert_eq!(
            (endpoint.user.as_str(), endpoint.port, endpoint.path.as_str()),
            ("git", 22, "~me/x")
        );
        assert_eq!(of("ssh://git@[::1]:22/x").unwrap().host, "::1");
        assert!(of("ssh://h").is_err());
        assert!(of("ssh://h/a%0Ab").is_err());
    }

    #[test]
    fn quote_protects_from_the_shell() {
        assert_eq!(quote("/a'; rm -rf /'"), r"'/a'\''; rm -rf /'\'''");
    }
}
