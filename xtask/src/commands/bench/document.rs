//! docs/benchmarks.md: parts that are written by different benchmarks, each without touching the others.

use std::fs;

use anyhow::{Context as _, Result};
use xtask::term;

const HEAD: &str = "# Benchmarks\n\nWritten by `make bench`; do not edit.\n";

/// Puts the text in the place of the part, or at the end if it is new.
pub(super) fn replace(part: &str, text: &str) -> Result<()> {
    let file = xtask::paths::root().join("docs/benchmarks.md");
    let old = fs::read_to_string(&file).unwrap_or_default();
    fs::create_dir_all(file.parent().unwrap_or(&file))?;
    fs::write(&file, replaced(&old, part, text)).with_context(|| file.display().to_string())?;
    term::line(format_args!("\nwritten to {}", file.display()));
    Ok(())
}

fn replaced(old: &str, part: &str, text: &str) -> String {
    let (begin, end) = (
        format!("<!-- begin {part} -->\n"),
        format!("<!-- end {part} -->\n"),
    );
    let part = format!("{begin}\n{}\n\n{end}", text.trim());
    let old = if old.is_empty() { HEAD } else { old };
    let place = old
        .find(&begin)
        .and_then(|from| Some((from, from + old.get(from..)?.find(&end)? + end.len())));
    match place.and_then(|(from, to)| Some((old.get(..from)?, old.get(to..)?))) {
        Some((before, after)) => format!("{before}{part}{after}"),
        None => format!("{}\n\n{part}", old.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_replaces_itself_and_nothing_else() {
        let one = replaced("", "one", "## One\n");
        let both = replaced(&one, "two", "## Two\n");
        let changed = replaced(&both, "one", "## Uno\n");
        assert_eq!(changed, both.replace("One", "Uno"));
        assert!(
            changed.starts_with(HEAD) && changed.ends_with("## Two\n\n<!-- end two -->\n"),
            "{changed}"
        );
    }
}
