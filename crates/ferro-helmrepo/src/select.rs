//! Which of many versions is wanted.

use ferro_gocompat::semver::{Constraints, Error as SemverError, Version};
use ferro_gocompat::time::{RFC3339, Time};

use crate::index::ChartVersion;

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// There is no chart of this name.
    #[error("no chart name found")]
    NoChartName,
    /// The chart has no versions.
    #[error("no chart version found")]
    NoChartVersion,
    /// The range is malformed.
    #[error(transparent)]
    Range(#[from] SemverError),
    /// No version is in the range.
    #[error("no '{chart}' chart with version matching '{version}' found")]
    NoMatch {
        /// The chart.
        chart: String,
        /// The range.
        version: String,
    },
}

/// A version, or a range of versions, that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    exact: String,
    range: Result<Constraints, SemverError>,
}

impl Wanted {
    /// What `text` asks for; nothing, and `*`, ask for the newest that is stable.
    pub(crate) fn new(text: &str) -> Self {
        let range = if text.is_empty() { "*" } else { text };
        Self {
            exact: text.to_owned(),
            range: Constraints::parse(range),
        }
    }

    fn accepts(&self, text: &str) -> Option<Version> {
        let version = full_version(text)?;
        let range = self.range.as_ref().ok()?;
        range.check(&version).then_some(version)
    }
}

/// A version with all of its three numbers; what has fewer is left out wherever a range is asked for.
pub fn full_version(text: &str) -> Option<Version> {
    (text.splitn(3, '.').count() == 3).then(|| Version::parse(text).ok())?
}

/// What has a version.
pub(crate) trait Versioned {
    /// The version, as it is written.
    fn version(&self) -> &str;
    /// Decides between equal versions: the later one is taken.
    fn time(&self) -> Option<Time>;
}

impl Versioned for ChartVersion {
    fn version(&self) -> &str {
        &self.version
    }

    fn time(&self) -> Option<Time> {
        Time::parse(RFC3339, &self.created).ok()
    }
}

/// Keeps the best of what it is offered.
#[derive(Debug)]
pub(crate) struct Selection<T> {
    wanted: Wanted,
    exact: Option<T>,
    best: Option<(Version, Option<Time>, T)>,
    is_empty: bool,
}

impl<T: Versioned> Selection<T> {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            exact: None,
            best: None,
            is_empty: true,
        }
    }

    pub(crate) fn offer(&mut self, item: T) {
        self.is_empty = false;
        if self.exact.is_some() {
            return;
        }
        if !self.wanted.exact.is_empty() && item.version() == self.wanted.exact {
            self.exact = Some(item);
            return;
        }
        let Some(version) = self.wanted.accepts(item.version()) else {
            return;
        };
        let time = item.time();
        let is_better = self.best.as_ref().is_none_or(|(best, best_time, _)| {
            let newer = || match (&time, best_time) {
                (Some(time), Some(best)) => time.compare(best).is_ge(),
                (_, None) => true,
                (None, Some(_)) => false,
            };
            version > *best || (version == *best && newer())
        });
        if is_better {
            self.best = Some((version, time, item));
        }
    }

    pub(crate) fn finish(self, chart: &str, version: &str) -> Result<T, SelectionError> {
        if self.is_empty {
            return Err(SelectionError::NoChartVersion);
        }
        if let Some(exact) = self.exact {
            return Ok(exact);
        }
        self.wanted.range?;
        let best = self.best.map(|(_, _, item)| item);
        best.ok_or_else(|| SelectionError::NoMatch {
            chart: chart.to_owned(),
            version: version.to_owned(),
        })
    }
}

/// Which of the tags of a repository in a registry is wanted; `+` is `_` there.
///
/// # Errors
/// When there is none, in upstream's words.
pub(crate) fn select_tag(tags: impl IntoIterator<Item = String>, version: &str) -> Result<String, TagError> {
    let wanted = Wanted::new(version);
    let mut best: Option<(Version, String)> = None;
    for tag in tags {
        let text = tag.replace('_', "+");
        if !version.is_empty() && text == version {
            return Ok(text);
        }
        if let Some(found) = wanted.accepts(&text)
            && best.as_ref().is_none_or(|(best, _)| found > *best)
        {
            best = Some((found, text));
        }
    }
    wanted.range?;
    best.map(|(_, tag)| tag).ok_or_else(|| TagError::NoMatch {
        version: version.to_owned(),
    })
}

/// Why no tag was chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// The range is malformed.
    #[error(transparent)]
    Range(#[from] SemverError),
    /// No tag is in the range.
    #[error("could not locate a version matching provided version string {version}")]
    NoMatch {
        /// The range.
        version: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSIONS: [(&str, &str); 9] = [
        ("1.1.0-rc.1", ""),
        ("1.0.0", ""),
        ("0.2.0", ""),
        ("0.1.5+b.min.minute", "2026-01-01T00:59:00Z"),
        ("0.1.5+a.min.hour", "2026-01-01T00:00:00Z"),
        ("0.1.5+c.now", "2026-01-01T01:00:00Z"),
        ("0.1.1", ""),
        ("0.1.0", ""),
        ("1", ""),
    ];

    fn select(version: &str) -> Result<String, SelectionError> {
        let mut selection = Selection::new(Wanted::new(version));
        for (text, created) in VERSIONS {
            selection.offer(ChartVersion {
                version: text.to_owned(),
                created: created.to_owned(),
                ..ChartVersion::default()
            });
        }
        selection.finish("chart", version).map(|found| found.version)
    }

    #[test]
    fn selection_takes_the_exact_version_then_the_highest_then_the_newest() {
        let cases = [
            ("0.1.0", "0.1.0"),
            ("", "1.0.0"),
            ("*", "1.0.0"),
            ("<1.0.0", "0.2.0"),
            (">=1.0.0-0", "1.1.0-rc.1"),
            ("0.1.5", "0.1.5+c.now"),
            ("0.1.5+a.min.hour", "0.1.5+a.min.hour"),
            ("1", "1"),
        ];
        for (version, expected) in cases {
            assert_eq!(select(version).as_deref(), Ok(expected), "{version}");
        }
        let error = |version| select(version).unwrap_err().to_string();
        assert_eq!(
            error(">2.0.0"),
            "no 'chart' chart with version matching '>2.0.0' found"
        );
        assert_eq!(error("not a range"), "improper constraint: \"not a range\"");
    }

    #[test]
    fn select_tag_reads_underscores_as_plus() {
        let tags = || ["1.0.0_b.1", "0.9.0", "latest", "1.1.0-rc.1", "v1.0.0"].map(str::to_owned);
        assert_eq!(select_tag(tags(), "1.0.0+b.1").as_deref(), Ok("1.0.0+b.1"));
        assert_eq!(select_tag(tags(), "*").as_deref(), Ok("1.0.0+b.1"));
        assert_eq!(select_tag(tags(), "<1").as_deref(), Ok("0.9.0"));
        assert_eq!(
            select_tag(tags(), ">2").unwrap_err().to_string(),
            "could not locate a version matching provided version string >2"
        );
    }
}
