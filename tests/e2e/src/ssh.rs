//! An SSH server for Git: what `git-upload-pack` says, to who has the key.
//!
//! It runs inside the test program because OpenSSH's server is not on every machine and wants an account of the system.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;

/// A key pair, the same for the same number in every run.
#[derive(Clone, Debug)]
pub struct SshKey(PrivateKey);

impl SshKey {
    /// The key of that number.
    #[must_use]
    pub fn numbered(number: u8) -> Self {
        Self(PrivateKey::from(Ed25519Keypair::from_seed(&[number; 32])))
    }

    /// The private key in OpenSSH's format.
    ///
    /// # Errors
    /// When it cannot be written, which does not happen.
    pub fn private(&self) -> Result<String> {
        Ok(self.0.to_openssh(LineEnding::LF)?.to_string())
    }

    /// The public key as a line of `authorized_keys`.
    ///
    /// # Errors
    /// When it cannot be written, which does not happen.
    pub fn public(&self) -> Result<String> {
        Ok(self.0.public_key().to_openssh()?)
    }
}

/// A server of the repositories below a directory; it ends when it is dropped.
#[derive(Debug)]
pub struct SshServer {
    address: SocketAddr,
    host: SshKey,
    task: JoinHandle<()>,
}

impl SshServer {
    /// Serves the repositories below `root` to the owner of the key `client`.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(root: &Path, host: SshKey, client: &SshKey) -> Result<Self> {
        let config = russh::server::Config {
            keys: vec![host.0.clone()],
            auth_rejection_time: Duration::from_millis(10),
            inactivity_timeout: Some(Duration::from_secs(60)),
            ..russh::server::Config::default()
        };
        let (config, root) = (Arc::new(config), root.to_path_buf());
        let allowed = client.0.public_key().clone();
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("cannot open a port")?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = Connection {
                    root: root.clone(),
                    allowed: allowed.clone(),
                    channels: HashMap::new(),
                };
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    // A client that breaks off is the controller's to report.
                    if let Ok(session) = russh::server::run_stream(config, stream, connection).await {
                        drop(session.await);
                    }
                });
            }
        });
        Ok(Self { address, host, task })
    }

    /// The URL of a repository at a path such as `/app.git`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("ssh://git@{}{path}", self.address)
    }

    /// The line of `known_hosts` for this server if it had that key.
    ///
    /// # Errors
    /// When the key cannot be written, which does not happen.
    pub fn known_hosts(&self, key: &SshKey) -> Result<String> {
        Ok(format!(
            "[{}]:{} {}\n",
            self.address.ip(),
            self.address.port(),
            key.public()?
        ))
    }

    /// The server's own key.
    #[must_use]
    pub const fn host(&self) -> &SshKey {
        &self.host
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Connection {
    root: PathBuf,
    allowed: PublicKey,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let is_allowed = key.public_key.key_data() == self.allowed.key_data();
        Ok(if is_allowed { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    fn exec_request(
        &mut self,
        id: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let repository = repository(&self.root, data);
        let accepted = repository.and_then(|repository| Some((repository, self.channels.remove(&id)?)));
        let answered = match accepted {
            Some((repository, channel)) => {
                let handle = session.handle();
                tokio::spawn(async move {
                    let code = upload_pack(&repository, channel).await.unwrap_or(128);
                    _ = handle.exit_status_request(id, code).await;
                    _ = handle.eof(id).await;
                    _ = handle.close(id).await;
                });
                session.channel_success(id)
            }
            None => session.channel_failure(id),
        };
        std::future::ready(answered)
    }
}

/// The directory that `git-upload-pack '/app.git'` asks for.
fn repository(root: &Path, command: &[u8]) -> Option<PathBuf> {
    let path = std::str::from_utf8(command)
        .ok()?
        .strip_prefix("git-upload-pack ")?;
    let path = path.trim().trim_matches('\'').trim_start_matches('/');
    (!path.contains("..")).then(|| root.join(path))
}

async fn upload_pack(repository: &Path, channel: Channel<Msg>) -> Result<u32> {
    let mut command = Command::new("git");
    command.arg("upload-pack").arg(repository).kill_on_drop(true);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (mut stdin, mut stdout) = (
        stdin.context("no standard input")?,
        stdout.context("no standard output")?,
    );
    let (mut from_client, mut to_client) = tokio::io::split(channel.into_stream());
    let asked = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut stdin).await });
    tokio::io::copy(&mut stdout, &mut to_client).await?;
    to_client.flush().await?;
    asked.abort();
    let status = child.wait().await?;
    Ok(status.code().and_then(|it| u32::try_from(it).ok()).unwrap_or(128))
}
