//! How long a chart that is loaded and parsed takes to render once more: `render-again ROUNDS NAME CHART …`, with the
//! flags of `helm-template`.
//!
//! Prints medians in nanoseconds: of the templates alone, over values that are ready, and with the values.
#![allow(
    dead_code,
    clippy::print_stdout,
    reason = "a program talks to people, and shares modules with another one"
)]

#[path = "helm-template/arguments.rs"]
mod arguments;
#[path = "helm-template/input.rs"]
mod input;

use std::sync::Arc;
use std::time::Instant;

use arguments::Arguments;
use ferro_helm::render::{Engine, Environment, Mode, Release, Renderer};
use ferro_helm::values::{coalesce_values, resolve, to_map};
use ferro_helm::{Capabilities, KubeVersion};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let rounds: usize = words.next().ok_or("ROUNDS is missing")?.parse()?;
    let arguments = Arguments::parse(words)?;
    let mut capabilities = Capabilities::default();
    if let Some(version) = &arguments.kube_version {
        capabilities.kube_version = KubeVersion::parse(version)?;
    }
    let environment = Environment {
        release: Release {
            name: arguments.name.clone(),
            namespace: arguments.namespace.clone(),
            revision: 1,
            is_upgrade: false,
        },
        capabilities,
        lookup: None,
        mode: Mode::Normal,
    };
    let user = input::values(&arguments)?;
    let mut notices = Vec::new();
    let chart = input::load(&input::locate(&arguments.chart)?, &mut |_| {}, &mut notices)?;
    let renderer = Renderer::new(Engine::new(Arc::new(ferro_sprig::System)), chart);
    let root = resolve(renderer.chart(), &user, &mut notices)?;
    let program = renderer.program(&root)?;
    let ready = coalesce_values(&root, to_map(&user), &mut notices)?;
    let templates = median(rounds, || {
        Ok(program.render(&root, &ready, &environment, &mut Vec::new())?)
    })?;
    let render = median(rounds, || {
        Ok(renderer.render(&root, &user, &environment, &mut Vec::new())?)
    })?;
    println!("{}", json!({"templates": templates, "render": render}));
    Ok(())
}

/// Runs something a few times to warm up, and then to measure.
fn median<T>(
    rounds: usize,
    mut run: impl FnMut() -> Result<T, Box<dyn std::error::Error>>,
) -> Result<u64, Box<dyn std::error::Error>> {
    let mut times = Vec::with_capacity(rounds);
    for round in 0..rounds + rounds / 4 + 1 {
        let start = Instant::now();
        drop(run()?);
        if round > rounds / 4 {
            times.push(u64::try_from(start.elapsed().as_nanos())?);
        }
    }
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}
