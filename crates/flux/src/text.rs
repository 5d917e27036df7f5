//! Small transformations of text for tables.

/// How many digits are left of a hash.
const SHORT: usize = 8;

/// Shortens every hash in a text: runs of 40 to 128 hexadecimal digits.
#[must_use]
pub fn shorten_hashes(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let (before, run) = rest.split_at(start);
        let (run, after) = run.split_at(run.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(run.len()));
        short.push_str(before);
        short.push_str(if (40..=128).contains(&run.len()) {
            run.get(..SHORT).unwrap_or(run)
        } else {
            run
        });
        rest = after;
    }
    short.push_str(rest);
    short
}

/// Puts a text on one line.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Writes an error and its causes on one line. Many errors repeat their cause in their own words; those
/// causes are left out.
#[must_use]
pub fn chain(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .fold(String::new(), |text, cause| {
            if text.is_empty() {
                cause
            } else if text.contains(&cause) {
                text
            } else {
                text + ": " + &cause
            }
        })
}

/// Writes a truth value as tables show it.
#[must_use]
pub const fn title_case(flag: bool) -> &'static str {
    if flag { "True" } else { "False" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_shortened_wherever_they_stand() {
        let sha1 = "696f056df216eea4f9401adbee0ff744d4df390f";
        let sha256 = "8f06e0c2b1a49e1d7b1d0a6a8f06e0c2b1a49e1d7b1d0a6a8f06e0c2b1a49e1d";
        for (long, short) in [
            (format!("main@sha1:{sha1}"), "main@sha1:696f056d"),
            (format!("latest@sha256:{sha256}"), "latest@sha256:8f06e0c2"),
            (format!("6.0.0/{sha1}"), "6.0.0/696f056d"),
            (format!("from {sha1} to {sha1}."), "from 696f056d to 696f056d."),
            (sha1[..39].to_owned(), &sha1[..39]),
            ("ünrelated".to_owned(), "ünrelated"),
            (String::new(), ""),
        ] {
            assert_eq!(shorten_hashes(&long), short);
        }
    }

    #[test]
    fn causes_are_named_once() {
        let cause = std::io::Error::other("refused");
        let error = anyhow::Error::new(cause)
            .context("connect: refused")
            .context("no cluster");
        assert_eq!(chain(&error), "no cluster: connect: refused");
    }

    #[test]
    fn lines_are_joined() {
        assert_eq!(one_line("one\ntwo \n\nthree\n"), "one two three");
    }
}
