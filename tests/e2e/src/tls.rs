//! HTTPS in front of an HTTP server.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use ferro_testkit::tls::{Authority, server_config};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A proxy that ends TLS; it ends when it is dropped.
#[derive(Debug)]
pub struct TlsProxy {
    address: SocketAddr,
    authority: String,
    task: JoinHandle<()>,
}

impl TlsProxy {
    /// Serves HTTPS for the HTTP server at `upstream`, with a certificate of an authority that nobody else knows.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(upstream: SocketAddr) -> Result<Self> {
        let authority = Authority::new("e2e");
        let acceptor = TlsAcceptor::from(server_config(&authority.server(&[]), None));
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("cannot open a port")?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that does not trust us goes away, which is what some tests are about.
                    let Ok(mut client) = acceptor.accept(stream).await else {
                        return;
                    };
                    let Ok(mut server) = TcpStream::connect(upstream).await else {
                        return;
                    };
                    drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
                });
            }
        });
        Ok(Self {
            address,
            authority: authority.pem(),
            task,
        })
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// The authority that signed the server's certificate, in PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
