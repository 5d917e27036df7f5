//! Replicas of a controller that makes artifacts. One leads; the others keep what it advertises, serve it, and can take over at once.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use super::mirror::Mirror;
use super::{Servers, StorageFlags};
use crate::flags::listen_addr;
use crate::process::{Fatal, Leadership, Process};
use crate::sources::SourceKind;

/// Whose artifacts a controller makes.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// The kinds of objects.
    pub kinds: &'static [SourceKind],
    /// Their labels, as a selector.
    pub labels: String,
    /// Their namespace; all, if there is none.
    pub namespace: Option<String>,
}

/// The right to act of who serves artifacts.
#[derive(Debug)]
pub struct Lead {
    leadership: Leadership,
    /// The server that this replica opened while it stood by.
    port: Option<u16>,
}

impl Lead {
    /// Gives the lease up. To be called after the last write.
    pub async fn release(self, servers: &Servers) {
        if let Some(port) = self.port {
            servers.release(port).await;
        }
        self.leadership.release().await;
    }
}

impl Servers {
    /// Waits for the lease of `controller`. A replica that has to wait keeps copies of the artifacts that are advertised, and serves them as
    /// soon as it has all: only then it is ready. None if the process is stopping.
    ///
    /// # Errors
    /// When the store cannot be used, or its address is taken.
    pub async fn lead(
        &self,
        process: &Process,
        controller: &str,
        flags: &StorageFlags,
        artifacts: Artifacts,
    ) -> Result<Option<Lead>, Fatal> {
        let (told, mut leader) = watch::channel(None::<Option<String>>);
        let standby = |address: Option<&str>| {
            let address = Some(address.map(str::to_owned));
            told.send_if_modified(|known| std::mem::replace(known, address.clone()) != address);
        };
        let address = replica_address(process, flags).await;
        let leading = process.lead_from(controller, address, standby);
        tokio::pin!(leading);
        // Who need not wait does nothing that a single replica does not do.
        tokio::select! {
            biased;
            leadership = &mut leading => return Ok(leadership.map(|leadership| Lead { leadership, port: None })),
            _ = leader.wait_for(Option::is_some) => {}
        }
        let mut ready = process.register();
        let mirror = Arc::new(Mirror::new(flags.open(0)?, leader)?);
        let (serves, mut port) = watch::channel(None);
        let serving = async {
            mirror.is_complete().await;
            let port = self.start(flags).await?;
            self.ask(port, mirror.clone()).await;
            serves.send_replace(Some(port));
            ready.ready();
            tracing::info!("standing by with all artifacts");
            Ok::<_, Fatal>(())
        };
        let mirroring = async {
            mirror.run(&process.client, &artifacts).await;
            Ok(())
        };
        let leadership = tokio::select! {
            leadership = &mut leading => leadership,
            outcome = futures::future::try_join(mirroring, serving) => return outcome.map(|_| None),
        };
        // From now on it waits for its controllers.
        ready.ready();
        let port = *port.borrow_and_update();
        let Some(leadership) = leadership else {
            if let Some(port) = port {
                self.release(port).await;
            }
            return Ok(None);
        };
        mirror.take_over(&process.client, &artifacts).await;
        Ok(Some(Lead { leadership, port }))
    }
}

/// Where other replicas reach the artifacts of this one.
async fn replica_address(process: &Process, flags: &StorageFlags) -> Option<String> {
    if !flags.storage_replica_addr.is_empty() {
        return Some(flags.storage_replica_addr.clone());
    }
    let listen = listen_addr(&flags.storage_addr)
        .ok()
        .filter(|address| address.port() > 0)?;
    if !listen.ip().is_unspecified() {
        return Some(listen.to_string());
    }
    let server = tokio::net::lookup_host(process.server.as_str())
        .await
        .ok()?
        .next()?;
    let ip = source_of(server).ok()?.ip();
    Some(SocketAddr::new(ip, listen.port()).to_string())
}

/// The address of this host on the way to another; nothing is sent.
fn source_of(other: SocketAddr) -> std::io::Result<SocketAddr> {
    let any: SocketAddr = if other.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.connect(other)?;
    socket.local_addr()
}
