//! Runs the cases: in parallel in one world, or alone in a world of their own.

use std::any::Any;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, anyhow};
use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

use crate::case::Case;
use crate::world::{World, lock, missing};

/// Tests that run at the same time: they mostly wait, and the machine may have two cores.
const THREADS: usize = 4;
/// The longest a test may take that does not say otherwise.
const LIMIT: Duration = Duration::from_secs(180);

/// A test.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The name, `file::subject_condition_expectation`.
    pub name: &'static str,
    /// The function.
    pub run: fn(Case) -> BoxFuture<'static, Result<()>>,
    /// After how long it has failed.
    pub limit: Duration,
    /// Whether it gets a world for itself, without controllers.
    pub alone: bool,
}

impl Entry {
    /// A test in the shared world.
    #[must_use]
    pub const fn new(name: &'static str, run: fn(Case) -> BoxFuture<'static, Result<()>>) -> Self {
        Self {
            name,
            run,
            limit: LIMIT,
            alone: false,
        }
    }

    /// With a longer limit.
    #[must_use]
    pub const fn within(self, seconds: u64) -> Self {
        Self {
            limit: Duration::from_secs(seconds),
            ..self
        }
    }

    /// In a world of its own.
    #[must_use]
    pub const fn alone(self) -> Self {
        Self { alone: true, ..self }
    }
}

/// Lists tests of the module this is used in.
#[macro_export]
macro_rules! cases {
    ($module:literal: $($name:ident),+ $(,)?) => {
        vec![$($crate::Entry::new(concat!($module, "::", stringify!($name)), |case| Box::pin($name(case)))),+]
    };
}

/// The world that parallel tests share, made by the first of them.
#[derive(Default)]
struct Shared(Mutex<Option<Result<Arc<World>, String>>>);

impl Shared {
    fn world(&self, runtime: &Runtime) -> Result<Arc<World>> {
        let mut shared = lock(&self.0);
        let world =
            shared.get_or_insert_with(|| start(runtime, World::start).map_err(|it| format!("{it:#}")));
        world
            .clone()
            .map_err(|it| anyhow!("the world did not start: {it}"))
    }
}

/// Starts a world from a thread that may block.
fn start(runtime: &Runtime, world: fn() -> Result<World>) -> Result<Arc<World>> {
    let _entered = runtime.enter();
    world().map(Arc::new)
}

/// The main function of the tests: takes the arguments of `cargo test`.
pub fn main(entries: Vec<Entry>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(arguments.test_threads.unwrap_or(THREADS));
    if !arguments.list
        && let Some(reason) = missing()
    {
        xtask::term::note(format_args!("skipped: {reason}"));
        return if std::env::var_os("FERRO_E2E_REQUIRED").is_some() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        };
    }
    // Fails only if a provider is there already, which then serves.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = match (
        tokio::runtime::Builder::new_multi_thread().enable_all().build(),
        xtask::process::end_on_signals(),
    ) {
        (Ok(runtime), Ok(())) => Arc::new(runtime),
        (Err(error), _) => return fail(&error),
        (_, Err(error)) => return fail(&error),
    };
    let (alone, together): (Vec<_>, Vec<_>) = entries.into_iter().partition(|it| it.alone);

    let shared = Arc::new(Shared::default());
    let trials = together.into_iter().map(|entry| {
        let (runtime, shared) = (Arc::clone(&runtime), Arc::clone(&shared));
        Trial::test(entry.name, move || {
            run(&runtime, &entry, &shared.world(&runtime)?)
        })
    });
    let first = libtest_mimic::run(&arguments, trials.collect());
    drop(lock(&shared.0).take());

    arguments.test_threads = Some(1);
    let trials = alone.into_iter().map(|entry| {
        let runtime = Arc::clone(&runtime);
        Trial::test(entry.name, move || {
            run(
                &runtime,
                &entry,
                &start(&runtime, || World::start_bare("e2e-alone"))?,
            )
        })
    });
    let second = libtest_mimic::run(&arguments, trials.collect());
    if first.has_failed() || second.has_failed() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    xtask::term::note(error);
    ExitCode::FAILURE
}

/// Runs one test in a task of its own, so that its panic is caught, and shows the state when it fails.
fn run(runtime: &Runtime, entry: &Entry, world: &Arc<World>) -> Result<(), Failed> {
    let entry = *entry;
    runtime.block_on(async {
        let case = Case::new(world, entry.name).await?;
        let task = tokio::spawn((entry.run)(case.clone()));
        let stop = task.abort_handle();
        let failure = match tokio::time::timeout(entry.limit, task).await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(error))) => Some(format!("{error:#}")),
            Ok(Err(error)) => Some(reason(error)),
            Err(_) => {
                stop.abort();
                Some(format!("not over after {} s", entry.limit.as_secs()))
            }
        };
        let failure = match failure {
            None => None,
            Some(text) => Some(format!(
                "{text}\n{}",
                crate::dump::namespace(world, case.namespace()).await
            )),
        };
        case.end().await;
        failure.map_or(Ok(()), |text| Err(Failed::from(text)))
    })
}

fn reason(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else {
        return "the test was cancelled".to_owned();
    };
    let text = |it: &(dyn Any + Send)| {
        it.downcast_ref::<String>()
            .cloned()
            .or_else(|| it.downcast_ref::<&str>().map(|&it| it.to_owned()))
    };
    format!("panic: {}", text(panic.as_ref()).unwrap_or_default())
}
