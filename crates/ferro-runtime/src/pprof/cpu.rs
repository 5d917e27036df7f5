//! Sampling of stacks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::{Mutex, MutexGuard, TryLockError};

use super::message::{Location, Mapping, Profile, Sample};

/// Samples for a second of CPU time, as in Go.
const FREQUENCY: i32 = 100;
/// Libraries in which nothing is sampled: unwinding from within them, or from what holds their locks, is not safe.
const BLOCKED: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];
/// So many frames at most are those of the signal handler: the trampoline that it was called by is among them.
const HANDLER_FRAMES: usize = 8;

/// What the sampler's tables take, in bytes: those of one profile, and those for the next. With what the allocator keeps.
const TABLES: u64 = 256 << 20;
/// Where a container with the second version of control groups sees its own.
const CONTROL_GROUP: &str = "/sys/fs/cgroup";

/// A profile could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProfileError {
    /// Another one is being made.
    #[error("another CPU profile is being made; try again when it is over")]
    Busy,
    /// The container may not have so much memory: the process would be killed.
    #[error(
        "a CPU profile takes up to {} MiB of memory, and the container has {} MiB left to its limit",
        TABLES >> 20,
        left >> 20
    )]
    Memory {
        /// What is left, in bytes.
        left: u64,
    },
    /// The sampler does not work.
    #[error("cannot sample stacks: {0}")]
    Sampler(#[from] pprof::Error),
    /// The result could not be packed.
    #[error("cannot pack the profile: {0}")]
    Pack(#[from] std::io::Error),
    /// The thread that packs it has ended.
    #[error("cannot pack the profile")]
    Lost,
}

/// There is one timer for the process.
static SAMPLER: Mutex<()> = Mutex::const_new(());

/// Samples the process for so long, and gives the profile as `go tool pprof` reads it: Protocol Buffers in gzip. Ends early, and with
/// it the sampling, when the future is dropped.
///
/// # Errors
/// When a profile is being made already, memory is short, or the timer cannot be set.
pub(super) async fn profile(duration: Duration) -> Result<Vec<u8>, ProfileError> {
    let busy = |_: TryLockError| ProfileError::Busy;
    let turn: MutexGuard<'static, ()> = SAMPLER.try_lock().map_err(busy)?;
    let read = |name: &str| std::fs::read_to_string(format!("{CONTROL_GROUP}/{name}")).ok();
    if let Some(left) = memory_left(read).filter(|left| *left < TABLES) {
        return Err(ProfileError::Memory { left });
    }
    let guard = pprof::ProfilerGuardBuilder::default()
        .frequency(FREQUENCY)
        .blocklist(&BLOCKED)
        .build()?;
    let start = SystemTime::now();
    tokio::time::sleep(duration).await;
    // Symbols are read from the program's file.
    let packed = tokio::task::spawn_blocking(move || {
        let stacks = stacks(&guard)?;
        drop(guard);
        drop(turn);
        packed(stacks, start, duration)
    });
    packed.await.map_err(|_| ProfileError::Lost)?
}

/// What a container has left of its memory, in bytes; nothing where it has no limit, or does not tell. `read` gives the files of its
/// control group. Only what cannot be given back counts as used: pages of files can.
fn memory_left(read: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let limit: u64 = read("memory.max")?.trim().parse().ok()?;
    let statistics = read("memory.stat")?;
    let used = statistics.lines().find_map(|it| it.strip_prefix("anon "));
    Some(limit.saturating_sub(used?.trim().parse().ok()?))
}

/// The addresses of each stack that was seen, its innermost first, and how often.
fn stacks(guard: &pprof::ProfilerGuard<'_>) -> Result<Vec<(Vec<u64>, i64)>, ProfileError> {
    let report = guard.report().build_unresolved()?;
    let stack = report.data.iter().map(|(stack, count)| {
        let frames = stack.frames.iter().map(|frame| frame.ip() as u64).collect();
        (frames, i64::try_from(*count).unwrap_or(i64::MAX))
    });
    Ok(stack.collect())
}

fn packed(
    stacks: Vec<(Vec<u64>, i64)>,
    start: SystemTime,
    duration: Duration,
) -> Result<Vec<u8>, ProfileError> {
    let mappings = mappings(&std::fs::read_to_string("/proc/self/maps")?);
    let period = i64::from(1_000_000_000 / FREQUENCY);
    let mut profile = Profile::new(start, duration, period);
    let mut locations = HashMap::new();
    for (frames, count) in stacks {
        let interrupted = interrupted(&frames, &mappings);
        let ids = interrupted.iter().map(|address| match locations.entry(*address) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => *new.insert(profile.add_location(&location(*address, &mappings))),
        });
        let sample = Sample {
            locations: ids.collect(),
            count,
            nanoseconds: count.saturating_mul(period),
        };
        profile.add_sample(&sample);
    }
    for mapping in &mappings {
        profile.add_mapping(mapping);
    }
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(&profile.finish())?;
    Ok(packer.finish()?)
}

/// The frames without those of the handler: they end with the trampoline, which is the C library's.
fn interrupted<'a>(frames: &'a [u64], mappings: &[Mapping]) -> &'a [u64] {
    let place = |address: &u64| {
        mappings
            .iter()
            .find(|it| it.contains(*address))
            .map(|it| &it.file)
    };
    let own = frames.first().and_then(place);
    let trampoline = frames.iter().take(HANDLER_FRAMES).position(|it| place(it) != own);
    trampoline
        .and_then(|index| frames.get(index + 1..))
        .unwrap_or(frames)
}

/// What is known of an address: its functions, the innermost first where some were inlined.
fn location(address: u64, mappings: &[Mapping]) -> Location {
    let mut location = Location {
        address,
        mapping: mappings.iter().position(|it| it.contains(address)),
        functions: Vec::new(),
    };
    let Ok(place) = usize::try_from(address) else {
        return location;
    };
    backtrace::resolve(std::ptr::without_provenance_mut(place), |symbol| {
        let Some(name) = symbol.name() else { return };
        let file = symbol.filename().map(|it| it.to_string_lossy().into_owned());
        let line = symbol.lineno().map_or(0, i64::from);
        location
            .functions
            .push((format!("{name:#}"), file.unwrap_or_default(), line));
    });
    location
}

/// The executable parts of the address space that are of files, those of the program first, as readers of profiles expect it.
fn mappings(maps: &str) -> Vec<Mapping> {
    let program = std::env::current_exe().unwrap_or_default();
    let mut mappings: Vec<_> = maps.lines().filter_map(mapping).collect();
    mappings.sort_by_key(|it| *it.file != *program.to_string_lossy());
    mappings
}

/// `start-end permissions offset device inode path`.
fn mapping(line: &str) -> Option<Mapping> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    let offset = fields.next()?;
    let file = fields.nth(2)?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    permissions.contains('x').then_some(Mapping {
        start: number(start)?,
        end: number(end)?,
        offset: number(offset)?,
        file: file.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_read_as_the_kernel_writes_them() {
        let maps = "55d0c0000000-55d0c0100000 r--p 00000000 fd:00 1 /bin/program\n\
                    55d0c0100000-55d0c0200000 r-xp 00100000 fd:00 1 /bin/program\n\
                    7f0000000000-7f0000100000 r-xp 00002000 fd:00 2 /lib/libc.so.6\n\
                    7f0000200000-7f0000300000 rwxp 00000000 00:00 0 \n";
        let found = mappings(maps);
        let files: Vec<_> = found.iter().map(|it| (it.file.as_str(), it.offset)).collect();
        assert_eq!(files, [("/bin/program", 0x10_0000), ("/lib/libc.so.6", 0x2000)]);
        assert!(found[1].contains(0x7f00_0000_0000) && !found[1].contains(0x7f00_0010_0000));
    }

    #[test]
    fn memory_that_is_left_is_that_of_the_container() {
        let left = |limit: &'static str| {
            memory_left(move |name| match name {
                "memory.max" => Some(limit.to_owned()),
                "memory.stat" => Some("file 900\nanon 300\nanon_thp 7\n".to_owned()),
                _ => None,
            })
        };
        assert_eq!(left("1000\n"), Some(700));
        assert_eq!(left("200\n"), Some(0));
        assert_eq!(left("max\n"), None);
        assert_eq!(memory_left(|_| None), None);
        let told = ProfileError::Memory { left: 100 << 20 }.to_string();
        assert_eq!(
            told,
            "a CPU profile takes up to 256 MiB of memory, and the container has 100 MiB left to its limit"
        );
    }

    #[test]
    fn frames_of_the_handler_are_left_out() {
        let place = |start: u64, file: &str| Mapping {
            start,
            end: start + 0x100,
            offset: 0,
            file: file.to_owned(),
        };
        let mappings = [place(0x1000, "program"), place(0x2000, "libc")];
        let frames = [0x1001, 0x1002, 0x2001, 0x1003, 0x1004, 0x2002];
        assert_eq!(interrupted(&frames, &mappings), [0x1003, 0x1004, 0x2002]);
        // A program that has the C library in it.
        assert_eq!(interrupted(&[0x1001, 0x1002], &mappings), [0x1001, 0x1002]);
        assert_eq!(interrupted(&[], &mappings), [] as [u64; 0]);
    }
}
