//! Prints how fast a stream is read and written and how large its tree is:
//! `cargo run --release -p ferro-yaml --example measure -- FILE...` (without files: 50,000 made-up resources).

#![expect(clippy::print_stdout, reason = "it prints its findings")]

use std::time::{Duration, Instant};

use ferro_yaml::{EmitOptions, Error, Node, ParseOptions, documents_to_string, parse_documents, to_string};

/// Resident memory in KiB, where the system tells.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

fn resource(index: usize) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web-{index}\n  namespace: team-{}\n  labels:\n    \
         app.kubernetes.io/name: web\n    app.kubernetes.io/part-of: shop\nspec:\n  replicas: 3\n  selector:\n    \
         matchLabels:\n      app.kubernetes.io/name: web\n  template:\n    metadata:\n      labels:\n        \
         app.kubernetes.io/name: web\n    spec:\n      containers:\n      - name: web\n        image: \
         registry.example.com/shop/web:1.{index}.0\n        args: [--port, \"8080\"]\n        env:\n        \
         - name: LOG_LEVEL\n          value: info\n        resources:\n          limits:\n            cpu: 500m\n",
        index % 100
    )
}

fn rate(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64()
}

fn main() -> Result<(), Error> {
    let mut input = String::new();
    for path in std::env::args().skip(1) {
        input.push_str("---\n");
        input.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
    }
    if input.is_empty() {
        input = (0..50_000).map(|index| resource(index) + "---\n").collect();
    }
    let options = ParseOptions::default();
    let before = resident();
    let start = Instant::now();
    let documents = parse_documents(&input, &options)?;
    let read = start.elapsed();
    let memory = resident().saturating_sub(before) * 1024;
    let mut nodes = 0_usize;
    documents
        .iter()
        .for_each(|document| document.root.visit(&mut |_: &Node| nodes += 1));
    println!(
        "{:.1} MB, {} documents, {nodes} nodes",
        input.len() as f64 / 1e6,
        documents.len()
    );
    println!(
        "read        {:7.1} MB/s, {:.1} bytes of memory per node",
        rate(input.len(), read),
        memory as f64 / nodes as f64
    );

    let start = Instant::now();
    let kyaml = documents_to_string(&documents, &EmitOptions::kyaml())?;
    println!("write kyaml {:7.1} MB/s", rate(kyaml.len(), start.elapsed()));

    let start = Instant::now();
    let mut written = 0;
    for document in &documents {
        written += to_string(&document.root, &EmitOptions::sigs())?.len();
    }
    println!("write sigs  {:7.1} MB/s", rate(written, start.elapsed()));
    Ok(())
}
