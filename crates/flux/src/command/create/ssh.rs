//! SSH keys: made or read, and the key of the server that they are for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use russh::client;
use russh::keys::ssh_key::private::{KeypairData, RsaKeypair};
use russh::keys::{Algorithm, EcdsaCurve, PrivateKey, PublicKey, PublicKeyOrCertificate, decode_secret_key};
use url::Url;

use super::credentials::text;
use crate::args::create::secret::SshKeyArgs;
use crate::local::read_file;

const DEFAULT_PORT: u16 = 22;
/// How long a server may take to show its key.
const SCAN_TIMEOUT: Duration = Duration::from_secs(30);

/// What is needed to read a repository by SSH.
pub(super) struct Keys {
    /// The private key.
    pub(super) private: String,
    /// The public key, which the server must know.
    pub(super) public: String,
    /// The key of the server.
    pub(super) known_hosts: String,
}

/// Reads the private key of a file, or makes one, and asks the server for its own.
pub(super) async fn keys(
    args: &SshKeyArgs,
    (path, password): (Option<&str>, Option<&str>),
    url: &Url,
) -> Result<Keys> {
    let (private, key) = match path.filter(|path| !path.is_empty()) {
        Some(path) => read(path, password)?,
        None => make(args)?,
    };
    let public = key.public_key();
    let public = public.to_openssh().context("the public key cannot be written")?;
    // Without what people may have written beside it.
    let public = public.split(' ').take(2).collect::<Vec<_>>().join(" ") + "\n";
    Ok(Keys {
        private,
        public,
        known_hosts: scan(url).await?,
    })
}

fn read(path: &str, password: Option<&str>) -> Result<(String, PrivateKey)> {
    let private = text(&read_file(path).context("failed to open private key file")?)?;
    let password = password.filter(|password| !password.is_empty());
    let key = decode_secret_key(&private, password)
        // The parser's words could repeat parts of the key.
        .map_err(|error| match error {
            russh::keys::Error::KeyIsEncrypted => anyhow!("{path}: this private key is passphrase protected"),
            _ => anyhow!("{path} is not a private key, or the password does not fit"),
        })?;
    if key.is_encrypted() {
        bail!("{path}: this private key is passphrase protected");
    }
    Ok((private, key))
}

fn make(args: &SshKeyArgs) -> Result<(String, PrivateKey)> {
    let mut random = rand::rng();
    let failed = "key pair generation failed";
    let key = match args.ssh_key_algorithm.as_str() {
        "rsa" => {
            let pair = RsaKeypair::random(&mut random, args.ssh_rsa_bits).context(failed)?;
            PrivateKey::new(KeypairData::from(pair), "").context(failed)?
        }
        "ed25519" => PrivateKey::random(&mut random, Algorithm::Ed25519).context(failed)?,
        _ => {
            let curve = match args.ssh_ecdsa_curve.as_str() {
                "p256" => EcdsaCurve::NistP256,
                "p521" => EcdsaCurve::NistP521,
                _ => EcdsaCurve::NistP384,
            };
            PrivateKey::random(&mut random, Algorithm::Ecdsa { curve }).context(failed)?
        }
    };
    let private = key
        .to_openssh(russh::keys::ssh_key::LineEnding::LF)
        .context(failed)?;
    Ok((private.to_string(), key))
}

/// Notes the key that a server shows, and goes no further.
struct Scan(Arc<Mutex<Option<PublicKey>>>);

impl client::Handler for Scan {
    type Error = russh::Error;

    async fn check_server_key(&mut self, server: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        if let PublicKeyOrCertificate::PublicKey { key, .. } = server {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
        }
        Ok(false)
    }
}

/// Asks a server for its key, and writes it as a line of `known_hosts`.
async fn scan(url: &Url) -> Result<String> {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port().unwrap_or(DEFAULT_PORT);
    let shown = Arc::new(Mutex::new(None));
    let connected = client::connect(
        Arc::new(client::Config::default()),
        (host, port),
        Scan(Arc::clone(&shown)),
    );
    let outcome = tokio::time::timeout(SCAN_TIMEOUT, connected).await;
    let key = shown.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(key) = key else {
        let problem = match outcome {
            Err(_) => "timed out".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Ok(Ok(_)) => "the server shows no key".to_owned(),
        };
        bail!("SSH key scan for host {host}:{port} failed, error: {problem}");
    };
    let key = key
        .to_openssh()
        .context("the key of the server cannot be written")?;
    let key = key.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let host = match port {
        DEFAULT_PORT => host.to_owned(),
        port => format!("[{host}]:{port}"),
    };
    Ok(format!("{host} {key}"))
}
