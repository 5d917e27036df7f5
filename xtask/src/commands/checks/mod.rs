//! Rules of the house that no compiler checks. Each check gives the list of what breaks it.

mod layers;
mod licenses;
mod metadata;
mod tidy;

use anyhow::{Result, bail};
use xtask::term;

/// The checks, by the names of their commands.
pub(crate) const ALL: [&str; 3] = ["layers", "tidy", "licenses"];

/// Runs one check and fails when anything breaks it.
pub(crate) fn run(name: &str) -> Result<()> {
    let faults = match name {
        "layers" => layers::faults(&metadata::Metadata::load()?),
        "licenses" => licenses::faults(&metadata::Metadata::load()?),
        "tidy" => tidy::faults()?,
        other => bail!("unknown check `{other}`"),
    };
    for fault in &faults {
        term::line(format_args!("{name}: {fault}"));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        bail!("{name}: {} faults", faults.len())
    }
}
