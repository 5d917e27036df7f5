//! Measures reading and writing, of the files named or of a generated stream of 20 MB, and the memory of
//! the tree.

#![allow(clippy::print_stdout, reason = "a measurement is printed")]

use std::time::{Duration, Instant};

use ferro_yaml::{
    EmitOptions, Error, Node, ParseOptions, check, documents_to_string, parse_documents, sigs, to_string,
};

/// Resident memory in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn resource(index: usize) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web-{index}\n  namespace: shop-{}\n  labels:\n    \
         app.kubernetes.io/name: web\n    app.kubernetes.io/part-of: \"shop\"\n  annotations:\n    \
         example.com/description: 'Serves the front page, and what it links to'\nspec:\n  # as many as there are zones\n  \
         replicas: 3\n  selector:\n    matchLabels:\n      app.kubernetes.io/name: web\n  template:\n    metadata:\n      \
         labels:\n        app.kubernetes.io/name: web\n    spec:\n      containers:\n      - name: web\n        image: \
         registry.example.com/shop/web:1.{index}.0 # kept current\n        args: [--port, \"8080\"]\n        env:\n        \
         - name: LOG_LEVEL\n          value: info\n        resources:\n          limits:\n            cpu: 500m\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web-{index}\ndata:\n  app.conf: |\n    listen 0.0.0.0:8080\n    \
         log_format main '$remote_addr $request'\n    upstream {{ server 10.0.0.1; server 10.0.0.2; }}\n",
        index % 100
    )
}

fn rate(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64()
}

/// Runs three times and returns the shortest time.
fn best<T>(mut run: impl FnMut() -> Result<T, Error>) -> Result<(T, Duration), Error> {
    let mut shortest = Duration::MAX;
    let mut result = None;
    for _ in 0..3 {
        drop(result.take());
        let start = Instant::now();
        result = Some(run()?);
        shortest = shortest.min(start.elapsed());
    }
    let result = result.ok_or(Error::UnsupportedValue("no run"))?;
    Ok((result, shortest))
}

fn main() -> Result<(), Error> {
    let mut input = String::new();
    for path in std::env::args().skip(1) {
        input.push_str("---\n");
        input.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
    }
    if input.is_empty() {
        input = (0..16_500).map(|index| resource(index) + "---\n").collect();
    }
    let megabytes = input.len() as f64 / 1e6;
    let options = ParseOptions::default();
    let (documents, time) = best(|| check(&input, &options))?;
    println!("{megabytes:.1} MB, {documents} documents");
    println!("events          {:7.1} MB/s", rate(input.len(), time));
    let before = resident();
    let kept = parse_documents(&input, &options)?;
    let memory = resident().saturating_sub(before) * 1024;
    let mut nodes = 0_usize;
    kept.iter()
        .for_each(|document| document.root.visit(&mut |_: &Node| nodes += 1));
    println!(
        "tree            {nodes} nodes of {:.1} bytes in memory",
        memory as f64 / nodes as f64
    );
    drop(kept);
    let (documents, time) = best(|| parse_documents(&input, &options))?;
    println!("tree            {:7.1} MB/s", rate(input.len(), time));
    let commented = ParseOptions {
        comments: true,
        ..options
    };
    let (_, time) = best(|| parse_documents(&input, &commented))?;
    println!("tree, comments  {:7.1} MB/s", rate(input.len(), time));
    let (_, time) = best(|| {
        input
            .split("---\n")
            .try_for_each(|text| sigs::from_slice(text).map(drop))
    })?;
    println!("sigs to JSON    {:7.1} MB/s", rate(input.len(), time));
    let (text, time) = best(|| documents_to_string(&documents, &EmitOptions::kyaml()))?;
    println!("write kyaml     {:7.1} MB/s", rate(text.len(), time));
    let write_all = || {
        let roots = documents.iter().map(|document| &document.root);
        roots
            .map(|root| to_string(root, &EmitOptions::sigs()).map(|text| text.len()))
            .sum()
    };
    let (written, time): (usize, _) = best(write_all)?;
    println!("write sigs      {:7.1} MB/s", rate(written, time));
    Ok(())
}
