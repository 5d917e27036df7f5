//! Writes the CustomResourceDefinitions: `crdgen [directory]`, where the directory is `config/crd` below
//! the working directory if none is given.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .ok_or("usage: crdgen <directory>")?;
    fs::create_dir_all(directory.join("bases"))?;
    for manifest in ferro_api::crd::manifests() {
        let path = directory.join(manifest.path);
        fs::write(&path, manifest.yaml).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
