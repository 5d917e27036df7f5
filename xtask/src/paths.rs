//! Where things are in the checkout.

use std::path::{Path, PathBuf};

/// The root of the checkout that this program was compiled from.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Cargo's target directory.
#[must_use]
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) if !dir.is_empty() => root().join(dir),
        _ => root().join("target"),
    }
}

/// Where the control plane's programs are built, whatever Cargo's target directory is: they are the same for all.
#[must_use]
pub fn cluster() -> PathBuf {
    root().join("target/cluster")
}

/// A directory of our own among the temporary ones, named after its purpose.
///
/// # Errors
/// When the directory cannot be made.
pub fn temporary(purpose: &str) -> std::io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    use std::sync::atomic::{AtomicU32, Ordering};

    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("ferroflux-{purpose}-{}-{count}", std::process::id()));
        match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
            // A process with the same id left it behind.
            Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(err) => return Err(err),
            Ok(()) => return Ok(dir),
        }
    }
}
