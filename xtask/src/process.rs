//! Programs that end when the one who started them does, however it ends.
//!
//! Each program gets a process group of its own. A watchdog, a shell script of a few lines, knows the groups and reads a
//! pipe that only we hold the other end of: when we end, be it by SIGKILL, the pipe closes, and it ends the groups and
//! removes the directory. (The kernel's parent-death signal would not do: it follows the *thread* that started a program,
//! and a test's thread ends with the test.)

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

const WATCHDOG: &str = r#"
trap '' HUP INT TERM
groups=
while read -r verb id; do
  case $verb in
    add) groups="$groups $id" ;;
    forget) kept=; for it in $groups; do [ "$it" = "$id" ] || kept="$kept $it"; done; groups=$kept ;;
  esac
done
for it in $groups; do kill -s TERM -- "-$it"; done 2>/dev/null
tries=0
while [ $tries -lt 30 ]; do
  alive=
  for it in $groups; do kill -s 0 -- "-$it" && alive=yes; done 2>/dev/null
  [ -n "$alive" ] || break
  tries=$((tries + 1))
  sleep 0.1
done
for it in $groups; do kill -s KILL -- "-$it"; done 2>/dev/null
[ -z "$1" ] || rm -rf -- "$1"
"#;

/// How often a condition is looked at that nothing announces.
const POLL: Duration = Duration::from_millis(20);

static NURSERIES: Mutex<Vec<Weak<Watchdog>>> = Mutex::new(Vec::new());

/// Where programs are started, and what ends with them.
#[derive(Clone, Debug)]
pub struct Nursery(Arc<Watchdog>);

#[derive(Debug)]
struct Watchdog {
    pipe: Mutex<Option<ChildStdin>>,
    shell: Mutex<Child>,
}

impl Nursery {
    /// A nursery whose end also removes the directory `dir`, if one is given.
    ///
    /// # Errors
    /// When the watchdog cannot be started.
    pub fn new(dir: Option<&Path>) -> Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(dir.unwrap_or_else(|| Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start /bin/sh")?;
        let pipe = Mutex::new(shell.stdin.take());
        let watchdog = Arc::new(Watchdog {
            pipe,
            shell: Mutex::new(shell),
        });
        let mut all = lock(&NURSERIES);
        all.retain(|it| it.strong_count() > 0);
        all.push(Arc::downgrade(&watchdog));
        Ok(Self(watchdog))
    }

    /// Starts a program in a process group of its own, its output appended to `log`.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started.
    pub fn start(&self, name: &str, mut command: Command, log: &Path) -> Result<Process> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| {
                format!(
                    "cannot start {name} ({})",
                    Path::new(command.get_program()).display()
                )
            })?;
        self.0.tell("add", child.id());
        Ok(Process {
            name: name.to_owned(),
            child,
            log: log.to_path_buf(),
            nursery: self.clone(),
            status: None,
        })
    }
}

impl Watchdog {
    fn tell(&self, verb: &str, group: u32) {
        if let Some(pipe) = lock(&self.pipe).as_mut() {
            // A watchdog that was killed cannot be told; the orderly ways of ending remain.
            drop(writeln!(pipe, "{verb} {group}"));
        }
    }

    /// Ends all that is left, and waits for it.
    fn finish(&self) {
        drop(lock(&self.pipe).take());
        drop(lock(&self.shell).wait());
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    nursery: Nursery,
    status: Option<ExitStatus>,
}

impl Process {
    /// The name it was started under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, which is also that of its group.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The file that its output goes to.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, or nothing while it runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
            if self.status.is_some() {
                self.nursery.0.tell("forget", self.child.id());
            }
        }
        self.status
    }

    /// Sends a signal to the program and all that it started.
    pub fn signal(&self, signal: Signal) {
        if self.status.is_some() {
            return;
        }
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // The only failure is that it has ended already.
            kill_process_group(group, signal).unwrap_or_default();
        }
    }

    /// Waits for its end, at most this long.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            let status = self.exited();
            if status.is_some() || end <= Instant::now() {
                return status;
            }
            thread::sleep(POLL);
        }
    }

    /// Asks it to end, and ends it by force if it has not after `grace`.
    pub fn stop(&mut self, grace: Duration) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        if self.wait(grace).is_none() {
            self.kill();
        }
        self.status
    }

    /// Ends it by force.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait(Duration::from_secs(10));
    }

    /// The last lines of its output, indented, for an error message.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log, lines).unwrap_or_else(|err| format!("    (no output: {err})"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.exited().is_none() {
            self.kill();
        }
    }
}

/// The last lines of a file, read from its last 64 KiB, indented by four.
fn tail(path: &Path, lines: usize) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(64 * 1024)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    let last = all.get(all.len().saturating_sub(lines)..).unwrap_or_default();
    Ok(last.iter().map(|line| format!("    {line}\n")).collect())
}

/// Makes SIGINT, SIGTERM and SIGHUP end every nursery of this process before they end the process itself.
///
/// # Errors
/// When the signals cannot be caught.
pub fn end_on_signals() -> Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::spawn(move || {
        let Some(signal) = signals.forever().next() else {
            return;
        };
        end_all();
        drop(signal_hook::low_level::emulate_default_handler(signal));
    });
    Ok(())
}

/// Ctrl-C and its kin as a wish to end soon: the first is only noted, the second ends all at once.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches the signals from now on.
    ///
    /// # Errors
    /// When the signals cannot be caught.
    pub fn catch() -> Result<Self> {
        let noted = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&noted);
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        thread::spawn(move || {
            for signal in signals.forever() {
                if flag.swap(true, Ordering::AcqRel) {
                    end_all();
                    drop(signal_hook::low_level::emulate_default_handler(signal));
                }
            }
        });
        Ok(Self(noted))
    }

    /// Fails once the wish was heard.
    ///
    /// # Errors
    /// When a signal has come.
    pub fn check(&self) -> Result<()> {
        anyhow::ensure!(!self.is_set(), "interrupted");
        Ok(())
    }

    /// Whether a signal has come.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

fn end_all() {
    let all: Vec<_> = lock(&NURSERIES).iter().filter_map(Weak::upgrade).collect();
    for watchdog in all {
        watchdog.finish();
    }
}

/// Waits until `ready` gives a value, at most `limit`; `alive` may end the wait early by an error.
///
/// # Errors
/// When the time is over or `alive` fails.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut ready: impl FnMut() -> Option<T>,
    mut alive: impl FnMut() -> Result<()>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = ready() {
            return Ok(value);
        }
        alive()?;
        anyhow::ensure!(
            Instant::now() < end,
            "{what}: not after {} seconds",
            limit.as_secs()
        );
        thread::sleep(POLL);
    }
}

/// Removes a directory with all that is in it; what is still being written there may need a second try.
pub fn remove_dir(dir: &Path) {
    for _ in 0..3 {
        if fs::remove_dir_all(dir).is_ok() || !dir.exists() {
            return;
        }
        thread::sleep(POLL);
    }
}

/// Locks, even after a panic of another holder: what these locks guard is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn stop_ends_a_program_that_ignores_sigterm_and_its_children() {
        let dir = crate::paths::temporary("process").unwrap();
        let nursery = Nursery::new(Some(&dir)).unwrap();
        let log = dir.join("log");
        let mut process = nursery
            .start(
                "stubborn",
                shell("trap '' TERM; sleep 600 & echo $!; wait; wait"),
                &log,
            )
            .unwrap();
        let child = until(
            "its child",
            Duration::from_secs(10),
            || fs::read_to_string(&log).ok().filter(|it| it.ends_with('\n')),
            || Ok(()),
        )
        .unwrap();
        assert!(process.stop(Duration::from_millis(50)).is_some());
        let gone = || !is_running(child.trim());
        until(
            "the end of its child",
            Duration::from_secs(10),
            || gone().then_some(()),
            || Ok(()),
        )
        .unwrap();
    }

    #[test]
    fn the_end_of_a_nursery_ends_what_it_holds_and_removes_its_directory() {
        let dir = crate::paths::temporary("process").unwrap();
        let nursery = Nursery::new(Some(&dir)).unwrap();
        let process = nursery
            .start("sleeper", shell("sleep 600"), &dir.join("log"))
            .unwrap();
        let id = process.id().to_string();
        // As when we are killed: nobody runs `Process::drop`, only the pipe closes.
        nursery.0.finish();
        std::mem::forget(process);
        assert!(!dir.exists());
        assert!(!is_running(&id));
    }

    #[test]
    fn log_tail_gives_the_last_lines() {
        let dir = crate::paths::temporary("process").unwrap();
        let nursery = Nursery::new(Some(&dir)).unwrap();
        let mut process = nursery
            .start(
                "talker",
                shell("for i in 1 2 3 4; do echo line $i; done"),
                &dir.join("log"),
            )
            .unwrap();
        assert!(
            process
                .wait(Duration::from_secs(10))
                .is_some_and(|it| it.success())
        );
        assert_eq!(process.log_tail(2), "    line 3\n    line 4\n");
    }

    /// Neither absent nor a zombie that waits for its parent.
    fn is_running(id: &str) -> bool {
        fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|it| !it.contains(") Z "))
    }
}
