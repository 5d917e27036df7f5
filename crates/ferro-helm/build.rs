//! Links the example programs as Go links Helm: at a fixed address, and statically where the machine has the archives.
//!
//! They run for milliseconds. To find and bind shared libraries, and to move the program to a random address with each address in its
//! data, is a fifth of that.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The libraries that rustc names for Linux with glibc, all of them shared ones, and the archives that hold the same.
const LIBRARIES: [(&str, &str); 7] = [
    ("c", "libc.a"),
    ("dl", "libdl.a"),
    ("gcc_s", "libgcc_eh.a"),
    ("m", "libm.a"),
    ("pthread", "libpthread.a"),
    ("rt", "librt.a"),
    ("util", "libutil.a"),
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-examples=-no-pie");
    if !is_native_glibc() {
        return;
    }
    // rustc links statically by a flag for all programs and macros of a build only. A folder that comes before those of the system,
    // with archives under the names of the shared libraries, does it for these programs alone.
    let folder = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("archives");
    if link_archives(&folder).is_ok() {
        println!("cargo:rustc-link-arg-examples=-static");
        println!("cargo:rustc-link-arg-examples=-L{}", folder.display());
    }
}

/// Whether the program is for a machine like this one, so that the compiler at hand tells where its libraries are.
fn is_native_glibc() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    env::var("HOST") == env::var("TARGET")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
}

fn link_archives(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, archive) in LIBRARIES {
        let output = Command::new("cc")
            .arg(format!("-print-file-name={archive}"))
            .output()?;
        let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        // What the compiler does not find it names without a folder.
        if !path.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let link = folder.join(format!("lib{name}.a"));
        match fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => symlink(path, link)?,
        }
    }
    Ok(())
}
