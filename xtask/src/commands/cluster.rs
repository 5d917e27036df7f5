//! `cargo xtask cluster`.
//!
//! A cluster in the background has a keeper: this same program, which starts it, says so, and waits for signals. SIGUSR1
//! makes it restart the API server, SIGTERM makes it end the cluster. It is found through a file under
//! `target/cluster/run`, which is gone when the cluster is.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use xtask::cluster::{Cluster, Options, build};
use xtask::{paths, process, term};

use super::{Args, unexpected};

const READY: &str = "ready ";
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Flags {
    options: Options,
    count: Option<u32>,
    all: bool,
    command: Vec<String>,
}

impl Flags {
    fn parse(mut args: Args) -> Result<Self> {
        let mut flags = Self::default();
        "dev".clone_into(&mut flags.options.name);
        while let Some(arg) = args.word() {
            match arg.as_str() {
                "--name" => flags.options.name = args.value("--name")?,
                "--nodes" => flags.options.nodes = args.value("--nodes")?,
                "--dir" => flags.options.dir = Some(args.value("--dir")?),
                "--count" => flags.count = Some(args.value("--count")?),
                "--all" => flags.all = true,
                "--" => {
                    flags.command = args.rest();
                    break;
                }
                other => return unexpected(other),
            }
        }
        let is_plain = |it: char| it.is_ascii_alphanumeric() || it == '-';
        ensure!(
            flags.options.name.chars().all(is_plain),
            "--name: letters, digits and dashes only"
        );
        Ok(flags)
    }
}

pub(crate) fn run(mut args: Args) -> Result<ExitCode> {
    let verb = args.word().unwrap_or_default();
    let flags = Flags::parse(args)?;
    match verb.as_str() {
        "build" => term::line(build::build()?.display()),
        "up" => up(&flags)?,
        "keep" => keep(&flags.options)?,
        "down" => down(&flags)?,
        "restart-apiserver" => restart_api_server(&flags.options.name)?,
        "run" => return run_with(&flags),
        other => {
            bail!("unknown command `cluster {other}`; there are build, up, down, restart-apiserver and run")
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn up(flags: &Flags) -> Result<()> {
    // Built here, where a person sees it, rather than by several keepers that wait for each other.
    build::build()?;
    let mut starting = Vec::new();
    for index in 1..=flags.count.unwrap_or(1) {
        let mut options = flags.options.clone();
        if flags.count.is_some() {
            options.name = format!("{}-{index}", options.name);
            options.dir = options.dir.map(|it| it.join(&options.name));
        }
        ensure!(
            Record::read(&options.name).is_none(),
            "cluster {} is already running",
            options.name
        );
        starting.push((options.name.clone(), start_keeper(&options)?));
    }
    for (name, mut keeper) in starting {
        let output = keeper.stdout.take().context("no pipe to the keeper")?;
        let line = BufReader::new(output)
            .lines()
            .next()
            .transpose()?
            .unwrap_or_default();
        let Some(kubeconfig) = line.strip_prefix(READY) else {
            keeper.wait()?;
            bail!("cluster {name} did not start");
        };
        term::line(kubeconfig);
    }
    Ok(())
}

fn start_keeper(options: &Options) -> Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    command.args([
        "cluster",
        "keep",
        "--name",
        &options.name,
        "--nodes",
        &options.nodes.to_string(),
    ]);
    if let Some(dir) = &options.dir {
        command.arg("--dir").arg(dir);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .context("cannot start the keeper")
}

fn keep(options: &Options) -> Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGUSR1])?;
    let mut cluster = Cluster::start(options)?;
    let record = Record::new(&options.name);
    record.write(&cluster)?;
    term::line(format_args!("{READY}{}", cluster.kubeconfig().display()));
    for signal in signals.forever() {
        if signal != SIGUSR1 {
            break;
        }
        cluster.restart_api_server()?;
        record.write(&cluster)?;
    }
    drop(cluster);
    drop(fs::remove_file(&record.file));
    Ok(())
}

fn down(flags: &Flags) -> Result<()> {
    let records = if flags.all {
        Record::all()
    } else {
        Vec::from_iter(Record::read(&flags.options.name))
    };
    if records.is_empty() {
        term::note(if flags.all {
            "no cluster is running".to_owned()
        } else {
            format!("no cluster named {} is running", flags.options.name)
        });
    }
    for record in &records {
        kill_process(record.keeper, Signal::TERM)?;
    }
    for record in records {
        let ended = || test_kill_process(record.keeper).is_err().then_some(());
        process::until(
            &format!("the end of cluster {}", record.name),
            LIMIT,
            ended,
            || Ok(()),
        )?;
    }
    Ok(())
}

fn restart_api_server(name: &str) -> Result<()> {
    let record = Record::read(name).with_context(|| format!("no cluster named {name} is running"))?;
    let before = record.written();
    kill_process(record.keeper, Signal::USR1)?;
    let again = || (record.written() != before).then_some(());
    let alive = || test_kill_process(record.keeper).with_context(|| format!("cluster {name} has ended"));
    process::until("the restart of the API server", LIMIT, again, alive)
}

fn run_with(flags: &Flags) -> Result<ExitCode> {
    let Some((program, args)) = flags.command.split_first() else {
        bail!("cluster run: a command after `--`")
    };
    process::end_on_signals()?;
    let cluster = Cluster::start(&flags.options)?;
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(
        [cluster.bin().to_path_buf()]
            .into_iter()
            .chain(env::split_paths(&path)),
    )?;
    let status = Command::new(program)
        .args(args)
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("PATH", path)
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    let code = status
        .code()
        .or_else(|| status.signal().map(|it| 128 + it))
        .unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// The file that tells of a cluster in the background: its keeper's process id and its kubeconfig.
#[derive(Debug)]
struct Record {
    name: String,
    file: PathBuf,
    keeper: Pid,
}

impl Record {
    fn dir() -> PathBuf {
        paths::cluster().join("run")
    }

    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            file: Self::dir().join(name),
            keeper: rustix::process::getpid(),
        }
    }

    /// The record of a cluster that is alive.
    fn read(name: &str) -> Option<Self> {
        let file = Self::dir().join(name);
        let text = fs::read_to_string(&file).ok()?;
        let keeper = Pid::from_raw(text.lines().next()?.parse().ok()?)?;
        if is_keeper(keeper) {
            return Some(Self {
                name: name.to_owned(),
                file,
                keeper,
            });
        }
        // Its keeper was killed, and its watchdog has removed the rest.
        drop(fs::remove_file(&file));
        None
    }

    fn all() -> Vec<Self> {
        let entries = fs::read_dir(Self::dir()).into_iter().flatten().flatten();
        let names = entries
            .filter_map(|it| it.file_name().into_string().ok())
            .filter(|it| !it.contains('.'));
        names.filter_map(|it| Self::read(&it)).collect()
    }

    fn write(&self, cluster: &Cluster) -> Result<()> {
        fs::create_dir_all(Self::dir())?;
        let text = format!(
            "{}\n{}\n",
            self.keeper.as_raw_nonzero(),
            cluster.kubeconfig().display()
        );
        let partial = self.file.with_extension("partial");
        fs::write(&partial, text)?;
        fs::rename(&partial, &self.file).with_context(|| format!("cannot write {}", self.file.display()))
    }

    fn written(&self) -> Option<SystemTime> {
        fs::metadata(&self.file).and_then(|it| it.modified()).ok()
    }
}

/// Whether the process is a keeper and not another that has got its number since.
fn is_keeper(id: Pid) -> bool {
    let line = fs::read(
        Path::new("/proc")
            .join(id.as_raw_nonzero().to_string())
            .join("cmdline"),
    )
    .unwrap_or_default();
    line.split(|it| *it == 0).any(|it| it == b"keep")
}
