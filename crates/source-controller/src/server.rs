//! The server of the artifacts. It runs in every replica, whoever holds the lease: what is stored is served.
use ferro_artifact::storage::Storage;
use ferro_runtime::process::Fatal;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
pub(crate) async fn start(
    _address: &str,
    _storage: &Storage,
    _stop: CancellationToken,
    _tasks: &mut JoinSet<()>,
) -> Result<(), Fatal> {
    Ok(())
}
