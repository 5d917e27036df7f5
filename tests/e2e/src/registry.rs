//! Distribution, the program of `tests/conformance/registry`: one store of artifacts, read and written by everybody over HTTP,
//! and over TLS by those who have what it wants: a password, a token, a certificate.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferro_testkit::tls::{Authority, Pair};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use xtask::ports;
use xtask::process::{Process, until};

use crate::reference;
use crate::tokens::Tokens;
use crate::world::World;

const TIMEOUT: Duration = Duration::from_secs(60);
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Two servers of one store; they end when this is dropped.
#[derive(Debug)]
pub struct Registry {
    plain: SocketAddr,
    secured: SocketAddr,
    authority: Authority,
    tokens: Option<Tokens>,
    _processes: [Process; 2],
}

/// What the server with TLS wants of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    Password,
    Token,
    Certificate,
}

impl Registry {
    /// The name of the account.
    pub const USER: &str = "reader";
    /// Its password.
    pub const PASSWORD: &str = "correct-horse-battery";
    /// The account in a file of htpasswd, hashed by bcrypt with the least cost.
    const ACCOUNTS: &str = "reader:$2a$04$Spx5G.EfVHN4XpGmGclhXe2qtWSucnU4pv3ty6w.IYXvIyHKWokim\n";

    /// Starts the servers; nothing if the program is not there and cannot be built. Files are in `dir`.
    ///
    /// # Errors
    /// When it does not compile or start.
    pub fn start(world: &World, dir: &Path) -> Result<Option<Self>> {
        Self::guarded(world, dir, Guard::Password)
    }

    /// The same, with tokens of a service that asks for the password.
    ///
    /// # Errors
    /// When it does not compile or start.
    pub fn with_tokens(world: &World, dir: &Path) -> Result<Option<Self>> {
        Self::guarded(world, dir, Guard::Token)
    }

    /// The same, with certificates of clients that the authority signed.
    ///
    /// # Errors
    /// When it does not compile or start.
    pub fn with_client_certificates(world: &World, dir: &Path) -> Result<Option<Self>> {
        Self::guarded(world, dir, Guard::Certificate)
    }

    fn guarded(world: &World, dir: &Path, guard: Guard) -> Result<Option<Self>> {
        let Some(program) = reference::program("registry", "FERRO_REGISTRY", &["go"])? else {
            return Ok(None);
        };
        let authority = Authority::new("registry");
        let pair = authority.server(&[]);
        std::fs::write(dir.join("tls.crt"), &pair.certificate)?;
        std::fs::write(dir.join("tls.key"), &pair.key)?;
        std::fs::write(dir.join("ca.crt"), authority.pem())?;
        std::fs::write(dir.join("accounts"), Self::ACCOUNTS)?;
        let tokens = match guard {
            Guard::Token => Some(Tokens::start(&authority, Self::USER, Self::PASSWORD)?),
            _ => None,
        };
        if let Some(tokens) = &tokens {
            std::fs::write(dir.join("keys.json"), tokens.keys().to_string())?;
        }
        let [plain, secured] =
            [ports::free()?, ports::free()?].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let processes = [
            serve(world, &program, dir, "plain", plain, &json!({}))?,
            serve(
                world,
                &program,
                dir,
                "secured",
                secured,
                &guards(dir, guard, tokens.as_ref()),
            )?,
        ];
        Ok(Some(Self {
            plain,
            secured,
            authority,
            tokens,
            _processes: processes,
        }))
    }

    /// The address without TLS, for everybody.
    #[must_use]
    pub const fn plain(&self) -> SocketAddr {
        self.plain
    }

    /// The address with TLS, for the account.
    #[must_use]
    pub const fn secured(&self) -> SocketAddr {
        self.secured
    }

    /// The authority that signed the certificate, in PEM.
    #[must_use]
    pub fn authority(&self) -> String {
        self.authority.pem()
    }

    /// The service of tokens, where there is one.
    #[must_use]
    pub const fn tokens(&self) -> Option<&Tokens> {
        self.tokens.as_ref()
    }

    /// A certificate for a client, signed by the authority.
    #[must_use]
    pub fn client_certificate(&self) -> Pair {
        self.authority.client(Self::USER)
    }

    /// A file of Docker's with this password of the account at the address with TLS.
    #[must_use]
    pub fn docker_config(&self, password: &str) -> String {
        let auth = STANDARD.encode(format!("{}:{password}", Self::USER));
        json!({"auths": {self.secured.to_string(): {"auth": auth}}}).to_string()
    }

    /// Stores an artifact of one layer, and gives the digest of its manifest.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub fn push(
        &self,
        repository: &str,
        tag: &str,
        config: (&str, &[u8]),
        layer: (&str, &[u8]),
    ) -> Result<String> {
        let config = self.blob(repository, config)?;
        let layer = self.blob(repository, layer)?;
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]})
                .to_string();
        let path = format!("/v2/{repository}/manifests/{tag}");
        self.send("PUT", &path, MANIFEST, manifest.as_bytes())?;
        Ok(digest(manifest.as_bytes()))
    }

    /// Uploads a blob, and gives its descriptor.
    fn blob(&self, repository: &str, (kind, content): (&str, &[u8])) -> Result<Value> {
        let head = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), kind, &[])?;
        let location = head.lines().find_map(|it| it.strip_prefix("Location: "));
        let location = location.with_context(|| format!("no place for the upload: {head}"))?;
        let digest = digest(content);
        let path = format!("{location}&digest={digest}");
        self.send("PUT", &path, "application/octet-stream", content)?;
        Ok(json!({"mediaType": kind, "digest": digest, "size": content.len()}))
    }

    /// Sends a request and gives the head of the answer.
    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.plain, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let (host, length) = (self.plain, body.len());
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        )?;
        stream.write_all(body)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, _) = answer.split_once("\r\n\r\n").context("not an answer of HTTP")?;
        let is_success = head.split(' ').nth(1).is_some_and(|it| it.starts_with('2'));
        ensure!(is_success, "{method} {path}: {answer}");
        Ok(head.to_owned())
    }
}

fn digest(content: &[u8]) -> String {
    let start = "sha256:".to_owned();
    Sha256::digest(content).iter().fold(start, |mut digest, byte| {
        let _infallible = write!(digest, "{byte:02x}");
        digest
    })
}

/// What the configuration of the server with TLS has and the other's has not.
fn guards(dir: &Path, guard: Guard, tokens: Option<&Tokens>) -> Value {
    let mut tls = json!({"certificate": dir.join("tls.crt"), "key": dir.join("tls.key")});
    if guard == Guard::Certificate {
        tls["clientcas"] = json!([dir.join("ca.crt")]);
    }
    let auth = match (guard, tokens) {
        (Guard::Password, _) => json!({"htpasswd": {"realm": "e2e", "path": dir.join("accounts")}}),
        (Guard::Token, Some(tokens)) => json!({"token": {
            "realm": tokens.realm(), "service": Tokens::SERVICE, "issuer": Tokens::ISSUER, "jwks": dir.join("keys.json"),
        }}),
        _ => Value::Null,
    };
    json!({"tls": tls, "auth": auth})
}

/// Starts a server on the store in `dir`, and waits until it listens.
fn serve(
    world: &World,
    program: &Path,
    dir: &Path,
    name: &str,
    address: SocketAddr,
    guards: &Value,
) -> Result<Process> {
    let configuration = json!({
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": dir.join("store")}},
        "http": {"addr": address, "secret": "e2e", "relativeurls": true, "tls": guards["tls"]},
        "auth": guards["auth"],
    });
    // JSON is YAML, too.
    let file = dir.join(format!("{name}.yml"));
    std::fs::write(&file, configuration.to_string())?;
    let mut command = Command::new(program);
    command
        .arg("serve")
        .arg(file)
        // It would look for a collector of traces otherwise.
        .env("OTEL_TRACES_EXPORTER", "none");
    let nursery = world.cluster().nursery().clone();
    let mut process = nursery.start("registry", command, &dir.join(format!("{name}.log")))?;
    until(
        "the registry",
        TIMEOUT,
        || TcpStream::connect_timeout(&address, TIMEOUT).ok(),
        || {
            let ended = process.exited();
            ensure!(ended.is_none(), "it ended: {}", process.log_tail(15));
            Ok(())
        },
    )?;
    Ok(process)
}
