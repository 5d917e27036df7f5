//! Archives as `flux push artifact` and `helm package` make them.

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;

/// A tar.gz of these files.
///
/// # Errors
/// When a name is too long for one.
pub fn archive(files: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes())?;
    }
    Ok(tar.into_inner()?.finish()?)
}
