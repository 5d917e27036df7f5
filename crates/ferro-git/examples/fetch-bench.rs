//! Compares this crate's fetch with libgit2's: one commit without history, and every file of it read.
//!
//! `cargo run --release -p ferro-git --features bench-git2 --example fetch-bench -- [megabytes] [runs]`
//!
//! The repository is made up of text that hardly compresses and served by `git http-backend` in a process of
//! its own; each run is a fresh process with an empty directory, so that its peak memory is its own.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ferro_artifact::tree::{Directory, EntryKind};
use ferro_git::{Context, PullOptions, Pulled, Reference, Remote};
use ferro_testkit::git::{Access, GitServer, Repository};

/// The size of a file of the made-up repository.
const FILE: usize = 100_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["serve", megabytes] => serve(megabytes.parse().unwrap()),
        ["ferro", url] => run(|directory| with_ferro(url, directory)),
        ["git2", url] => run(|directory| with_git2(url, directory)),
        rest => {
            let number =
                |index: usize, default: usize| rest.get(index).map_or(default, |text| text.parse().unwrap());
            compare(number(0, 200), number(1, 5));
        }
    }
}

/// Runs both in turn and prints a table.
fn compare(megabytes: usize, runs: usize) {
    let program = std::env::current_exe().unwrap();
    let mut server = Command::new(&program)
        .args(["serve", &megabytes.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(server.stdout.take().unwrap())
        .read_line(&mut url)
        .unwrap();
    println!("{megabytes} MB, {runs} runs each: median (minimum to maximum)");
    for name in ["ferro", "git2"] {
        let mut results: Vec<[f64; 3]> = (0..runs)
            .map(|_| {
                let output = Command::new(&program).args([name, url.trim()]).output().unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap());
                std::array::from_fn(|_| numbers.next().unwrap())
            })
            .collect();
        let mut column = |pick: fn(&[f64; 3]) -> f64| {
            results.sort_by(|a, b| pick(a).total_cmp(&pick(b)));
            let at = |index: usize| results.get(index).map_or(0.0, pick);
            (at(runs / 2), at(0), at(runs.saturating_sub(1)))
        };
        let (time, cpu, memory) = (column(|it| it[0]), column(|it| it[1]), column(|it| it[2]));
        println!(
            "{name:>6}: {:.2} s ({:.2} to {:.2}), {:.2} CPU s ({:.2} to {:.2}), peak {:.0} MB ({:.0} to {:.0})",
            time.0, time.1, time.2, cpu.0, cpu.1, cpu.2, memory.0, memory.1, memory.2
        );
    }
    drop(server.stdin.take());
    server.wait().unwrap();
}

/// Makes a repository, prints its URL and serves it until standard input ends.
fn serve(megabytes: usize) {
    let repository = Repository::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for index in 0..megabytes * 1_000_000 / FILE {
        let mut text = String::with_capacity(FILE);
        while text.len() < FILE {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(&format!("key-{:x}: {:016x}\n", index % 7, state));
        }
        repository.write(&format!("dir-{}/file-{index}.yaml", index % 100), &text);
    }
    repository.commit("Files");
    repository.push();
    let server = GitServer::start(&[("repo", &repository)], Access::default());
    println!("{}", server.url("repo"));
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Times one fetch and prints seconds, seconds of this process's CPU, and the peak of resident memory in megabytes.
fn run(fetch: impl FnOnce(&Path) -> u64) {
    let directory = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let bytes = fetch(directory.path());
    let elapsed = started.elapsed();
    assert!(bytes > 0, "nothing was read");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kilobytes: f64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    println!(
        "{} {} {}",
        elapsed.as_secs_f64(),
        cpu_seconds(),
        kilobytes / 1024.0
    );
}

/// User and system time so far; Linux counts it in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name of the program, in parentheses, may hold spaces.
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks: f64 = fields
        .skip(11)
        .take(2)
        .map(|field| field.parse::<f64>().unwrap())
        .sum();
    ticks / 100.0
}

fn with_ferro(url: &str, directory: &Path) -> u64 {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    let reference = Reference {
        branch: Some("main".to_owned()),
        ..Reference::default()
    };
    let options = PullOptions {
        reference,
        ..PullOptions::default()
    };
    let context = Context::with_timeout(Duration::from_secs(600));
    let pulled = ferro_git::pull_blocking(&Remote::new(url).unwrap(), directory, &options, context).unwrap();
    match pulled {
        Pulled::Checkout(checkout) => read_all(&checkout.root()),
        Pulled::Unchanged(_) | Pulled::Empty => 0,
    }
}

fn read_all(directory: &dyn Directory) -> u64 {
    let mut bytes = 0;
    for entry in directory.entries().unwrap() {
        bytes += match entry.kind {
            EntryKind::Directory(below) => read_all(below.as_ref()),
            EntryKind::File(file) => {
                let (_, mut reader) = file.open().unwrap();
                std::io::copy(&mut reader, &mut std::io::sink()).unwrap()
            }
            EntryKind::Other => 0,
        };
    }
    bytes
}

fn with_git2(url: &str, directory: &Path) -> u64 {
    let repository = git2::Repository::init_bare(directory).unwrap();
    let mut options = git2::FetchOptions::new();
    options.depth(1).download_tags(git2::AutotagOption::None);
    let mut remote = repository.remote_anonymous(url).unwrap();
    remote
        .fetch(&["+refs/heads/main:refs/heads/main"], Some(&mut options), None)
        .unwrap();
    let commit = repository
        .find_reference("refs/heads/main")
        .unwrap()
        .peel_to_commit()
        .unwrap();
    let mut bytes = 0;
    commit
        .tree()
        .unwrap()
        .walk(git2::TreeWalkMode::PreOrder, |_, entry| {
            if entry.kind() == Some(git2::ObjectType::Blob) {
                bytes += repository.find_blob(entry.id()).unwrap().size() as u64;
            }
            git2::TreeWalkResult::Ok
        })
        .unwrap();
    bytes
}
