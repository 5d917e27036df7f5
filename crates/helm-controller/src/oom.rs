//! Ends the process in good order before it runs out of memory (gate `OOMWatch`): one that is killed leaves releases pending.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::args::HelmFlags;

/// Where a container finds what is known of its memory.
const CGROUP: &str = "/sys/fs/cgroup";
/// How much there may be, by the second and the first version of control groups.
const MAX: [&str; 2] = ["memory.max", "memory/memory.limit_in_bytes"];
/// How much there is, likewise.
const CURRENT: [&str; 2] = ["memory.current", "memory/memory.usage_in_bytes"];
/// It is looked no more often than that.
const MIN_INTERVAL: Duration = Duration::from_millis(50);

/// Memory cannot be watched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unwatchable {
    #[error("--oom-watch-memory-threshold must be between 1 and 100, got {0}")]
    Threshold(u8),
    #[error("--oom-watch-interval must be at least {MIN_INTERVAL:?}, got {0:?}")]
    Interval(Duration),
    #[error("no control group tells about memory in {CGROUP}: name a file by {flag}")]
    Nowhere { flag: &'static str },
    #[error("failed to read {path}, where {flag} or the control group has it", path = path.display())]
    File {
        path: PathBuf,
        flag: &'static str,
        #[source]
        source: io::Error,
    },
}

/// Watches how much memory is in use.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Bytes that there may be.
    max: u64,
    current: PathBuf,
    threshold: u8,
    interval: Duration,
}

impl Watch {
    /// As the flags say.
    ///
    /// # Errors
    /// When they make no sense, or there is nothing to be read, such as where memory has no limit.
    pub(crate) fn new(flags: &HelmFlags) -> Result<Self, Unwatchable> {
        Self::within(Path::new(CGROUP), flags)
    }

    fn within(cgroup: &Path, flags: &HelmFlags) -> Result<Self, Unwatchable> {
        let (threshold, interval) = (flags.oom_watch_memory_threshold, flags.oom_watch_interval);
        if !(1..=100).contains(&threshold) {
            return Err(Unwatchable::Threshold(threshold));
        }
        if interval < MIN_INTERVAL {
            return Err(Unwatchable::Interval(interval));
        }
        let read = |path: &PathBuf, flag| {
            bytes(path).map_err(|source| Unwatchable::File {
                path: path.clone(),
                flag,
                source,
            })
        };
        let flag = "--oom-watch-max-memory-path";
        let max =
            found(cgroup, &flags.oom_watch_max_memory_path, MAX).ok_or(Unwatchable::Nowhere { flag })?;
        let max = read(&max, flag)?;
        let flag = "--oom-watch-current-memory-path";
        let current = found(cgroup, &flags.oom_watch_current_memory_path, CURRENT);
        let current = current.ok_or(Unwatchable::Nowhere { flag })?;
        read(&current, flag)?;
        Ok(Self {
            max,
            current,
            threshold,
            interval,
        })
    }

    /// Stops the process when memory runs short, unless it is stopped before.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.interval);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            match bytes(&self.current) {
                Ok(current) if self.is_short(current) => {
                    let max = self.max;
                    tracing::warn!(current, max, "memory usage is near the limit, shutting down");
                    stop.cancel();
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, path = %self.current.display(), "failed to read the memory usage");
                }
            }
        }
    }

    fn is_short(&self, current: u64) -> bool {
        u128::from(current) * 100 >= u128::from(self.max) * u128::from(self.threshold)
    }
}

/// The file that is named, or else the first of those that is there.
fn found(cgroup: &Path, named: &str, candidates: [&str; 2]) -> Option<PathBuf> {
    if !named.is_empty() {
        return Some(PathBuf::from(named));
    }
    let mut candidates = candidates.iter().map(|name| cgroup.join(name));
    candidates.find(|path| path.symlink_metadata().is_ok())
}

/// Small, and in memory: reading it blocks for no time.
fn bytes(path: &Path) -> io::Result<u64> {
    let text = std::fs::read_to_string(path)?;
    let text = text.trim();
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(32).collect();
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("'{shown}' is no number of bytes"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::test_settings;

    fn flags(arguments: &[&str]) -> HelmFlags {
        test_settings(arguments).helm
    }

    fn group(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    #[tokio::test(start_paused = true)]
    async fn process_is_stopped_when_memory_reaches_the_threshold() {
        let dir = group(&[("memory.max", "1000\n"), ("memory.current", "899\n")]);
        let flags = flags(&["--oom-watch-memory-threshold=90", "--oom-watch-interval=100ms"]);
        let watch = Watch::within(dir.path(), &flags).unwrap();
        let stop = CancellationToken::new();
        let mut running = tokio::spawn(watch.run(stop.clone()));
        let seconds = Duration::from_secs(5);
        assert!(tokio::time::timeout(seconds, &mut running).await.is_err());
        assert!(!stop.is_cancelled());
        // What cannot be read for once is no reason to stop.
        std::fs::write(dir.path().join("memory.current"), "much").unwrap();
        assert!(tokio::time::timeout(seconds, &mut running).await.is_err());
        std::fs::write(dir.path().join("memory.current"), "900").unwrap();
        tokio::time::timeout(Duration::from_millis(101), running)
            .await
            .unwrap()
            .unwrap();
        assert!(stop.is_cancelled());
    }

    #[test]
    fn files_are_those_of_the_flags_or_of_either_version_of_control_groups() {
        let first = [
            ("memory/memory.limit_in_bytes", "7"),
            ("memory/memory.usage_in_bytes", "1"),
        ];
        let second = [("memory.max", "8"), ("memory.current", "1")];
        let both = [first, second].concat();
        let max = |dir: &tempfile::TempDir, arguments: &[&str]| {
            Watch::within(dir.path(), &flags(arguments)).map(|watch| watch.max)
        };
        assert_eq!(max(&group(&first), &[]).unwrap(), 7);
        assert_eq!(max(&group(&both), &[]).unwrap(), 8);
        let own = group(&[("max", "9"), ("current", "1")]);
        let named = |flag: &str, name: &str| format!("{flag}={}", own.path().join(name).display());
        let named = [
            named("--oom-watch-max-memory-path", "max"),
            named("--oom-watch-current-memory-path", "current"),
        ];
        assert_eq!(max(&group(&[]), &[&named[0], &named[1]]).unwrap(), 9);
        let error = |dir: &tempfile::TempDir, arguments: &[&str]| max(dir, arguments).unwrap_err();
        let nothing = group(&[]);
        assert!(matches!(error(&nothing, &[]), Unwatchable::Nowhere { .. }));
        assert!(matches!(
            error(&nothing, &[&named[0]]),
            Unwatchable::Nowhere { .. }
        ));
        let limitless = group(&[("memory.max", "max"), ("memory.current", "1")]);
        assert!(matches!(error(&limitless, &[]), Unwatchable::File { .. }));
    }

    #[test]
    fn flags_that_make_no_sense_are_refused() {
        let dir = group(&[("memory.max", "8"), ("memory.current", "1")]);
        for (flag, told) in [
            ("--oom-watch-memory-threshold=0", "between 1 and 100, got 0"),
            ("--oom-watch-memory-threshold=101", "between 1 and 100, got 101"),
            ("--oom-watch-interval=49ms", "at least 50ms, got 49ms"),
        ] {
            let error = Watch::within(dir.path(), &flags(&[flag]))
                .unwrap_err()
                .to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
