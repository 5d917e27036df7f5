//! Generated builds, compared with the reference implementation where its program is at hand.
//!
//! `FERRO_ORACLE` names the program (built from `tests/conformance/oracle`), `FERRO_ORACLE_CASES` how many
//! builds are compared, `FERRO_ORACLE_SEED` where to begin.

mod case;
mod deep;
mod errors;
mod generate;
mod large;
mod objects;
pub(super) mod random;
mod styled;
mod wide;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use ferro_kustomize::{MemoryFiles, Options, Quirks, Reorder, SchemaMode, build};
use serde_json::{Value, json};

use case::Case;

/// The reference implementation as a process that answers a line with a line.
struct Oracle {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Oracle {
    fn start() -> Option<Self> {
        let program = env::var("FERRO_ORACLE").ok()?;
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    /// Asks for a build. The reference implementation ends itself at some inputs; then it is started anew.
    fn build(&mut self, case: &Case) -> Result<String, String> {
        self.ask(&json!({
            "op": "kustomize.build", "target": case.target(),
            "files": case.texts(), "filesBase64": case.binaries(),
            "options": {"reorder": if case.is_sorted { "legacy" } else { "none" }},
        }))
    }

    fn ask(&mut self, request: &Value) -> Result<String, String> {
        let mut line = String::new();
        let asked = writeln!(self.input, "{request}").and_then(|()| self.output.read_line(&mut line));
        if !matches!(asked, Ok(1..)) {
            *self = Self::start().unwrap();
            return Err("it ended".to_owned());
        }
        let answer: Value = serde_json::from_str(&line).unwrap();
        match answer["error"].as_str() {
            Some(error) if answer["panic"] == true => Err(format!("{}: {error}", errors::PANIC)),
            Some(error) => Err(released(error)),
            None => Ok(released(answer["output"].as_str().unwrap_or_default())),
        }
    }
}

/// A library does not know the version that the program has.
fn released(text: &str) -> String {
    text.replace("kustomize-(devel)", "kustomize-v5.8.1")
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn ours(case: &Case) -> Result<String, String> {
    let files: MemoryFiles = case.bytes().into_iter().collect();
    let options = Options {
        schema_mode: SchemaMode::Replace,
        quirks: Quirks::Upstream,
        reorder: if case.is_sorted {
            Reorder::Legacy
        } else {
            Reorder::None
        },
        ..Options::default()
    };
    build(&files, &case.target(), &options)
        .and_then(|resources| resources.to_yaml())
        .map_err(|error| format!("{error:#}"))
}

/// Says how the two differ, if they do.
fn difference(oracle: &mut Oracle, case: &Case) -> Option<String> {
    match (oracle.build(case), ours(case)) {
        (Ok(theirs), Ok(ours)) if theirs == ours => None,
        (Err(theirs), Err(ours)) if errors::contains(&ours, &theirs) => None,
        (Err(theirs), Err(_)) if errors::is_crash(&theirs) || errors::is_of_the_network(&theirs) => None,
        (theirs, ours) => {
            let show = |result: Result<String, String>| match result {
                Ok(text) => text,
                Err(error) => format!("ERROR {error}\n"),
            };
            Some(format!("=== theirs\n{}=== ours\n{}", show(theirs), show(ours)))
        }
    }
}

/// Puts the case together anew, part by part, without those that fail it; a build that fails early compares little.
fn mended(case: &Case) -> Option<Case> {
    let mut mended = case.bare();
    for part in case.parts() {
        let mut larger = mended.clone();
        larger.add(part);
        if ours(&larger).is_ok() {
            mended = larger;
        }
    }
    ours(&mended).is_ok().then_some(mended)
}

/// Leaves out whatever the difference does not need; a difference of another sort is not the one that is looked for.
fn minimize(oracle: &mut Oracle, mut case: Case) -> Case {
    let sort = errors::sort(&oracle.build(&case), &ours(&case));
    loop {
        let smaller = case.smaller().into_iter().find(|smaller| {
            difference(oracle, smaller).is_some()
                && errors::sort(&oracle.build(smaller), &ours(smaller)) == sort
        });
        match smaller {
            Some(smaller) => case = smaller,
            None => return case,
        }
    }
}

pub(super) fn number(variable: &str, default: u64) -> u64 {
    env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[test]
fn generated_builds_are_those_of_the_oracle() {
    let Some(mut oracle) = Oracle::start() else {
        println!("skipped: FERRO_ORACLE does not name the reference implementation");
        return;
    };
    let (seed, count) = (number("FERRO_ORACLE_SEED", 1), number("FERRO_ORACLE_CASES", 500));
    let limit = usize::try_from(number("FERRO_ORACLE_FAILURES", 1)).unwrap();
    let (mut failed, mut built, mut mended_cases) = (BTreeSet::new(), 0, 0);
    for seed in seed..seed + count {
        let case = generate::case(seed);
        if ours(&case).is_ok() {
            built += 1;
        }
        let case = match difference(&mut oracle, &case) {
            Some(_) => case,
            None if ours(&case).is_ok() => continue,
            None => match mended(&case) {
                Some(case) => case,
                None => continue,
            },
        };
        if ours(&case).is_ok() {
            mended_cases += 1;
        }
        if difference(&mut oracle, &case).is_some()
            && failed.insert(errors::sort(&oracle.build(&case), &ours(&case)))
        {
            let case = minimize(&mut oracle, case);
            let difference = difference(&mut oracle, &case).unwrap();
            println!("--- seed {seed}\n{case}{difference}");
            if failed.len() >= limit {
                break;
            }
        }
    }
    println!(
        "oracle: {count} builds from seed {seed}, {built} without an error, {mended_cases} more when mended; {} sorts of differences",
        failed.len()
    );
    assert!(failed.is_empty());
}

/// Differences that were found once, with what the reference implementation says.
#[test]
fn former_differences_stay_settled() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut paths: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let fixture: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let texts = fixture["files"].as_object().unwrap();
        let files: MemoryFiles = texts
            .iter()
            .map(|(path, text)| (path, text.as_str().unwrap()))
            .collect();
        let options = Options {
            schema_mode: SchemaMode::Replace,
            quirks: Quirks::Upstream,
            ..Options::default()
        };
        let built = build(&files, fixture["target"].as_str().unwrap(), &options)
            .and_then(|resources| resources.to_yaml());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match (fixture["yaml"].as_str(), fixture["error"].as_str(), built) {
            (Some(expected), None, Ok(text)) => assert_eq!(text, expected, "{name}"),
            (None, Some(expected), Err(error)) => {
                let text = error.to_string();
                assert!(errors::contains(&text, expected), "{name}: {text}");
            }
            (_, _, other) => panic!("{name}: {other:?}"),
        }
    }
}
