# What people type. The work is done by `cargo xtask`, which `cargo xtask help` describes.

.PHONY: build test demo bench e2e cluster crds lint ci

# Programs in target/release: ferroflux, flux and each controller alone.
build:
	cargo xtask build

# Unit, conformance and end-to-end tests, and the demo.
test:
	cargo xtask test

# A commit on its way to a cluster. `make demo CI=1` ends by itself; `KUBECONFIG=… make demo` uses that cluster.
demo:
	cargo xtask demo $(if $(CI),--ci)

# Writes docs/benchmarks.md.
bench:
	cargo run --quiet --release --package xtask -- bench

e2e:
	cargo xtask e2e

# A Kubernetes control plane in target/cluster/bin.
cluster:
	cargo xtask cluster build

# Writes config/crd/ from the types of ferro-api.
crds:
	cargo run --quiet --package ferro-api --bin crdgen

# Formatting, clippy, layers, tidiness, licences.
lint:
	cargo xtask lint

ci: lint test
