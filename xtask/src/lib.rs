//! Everything around the code that makes it run, be tested and be measured.
//!
//! * [`cluster`]: a real control plane (etcd, kube-apiserver, kube-controller-manager, kube-scheduler, and kwok in the place
//!   of kubelets) on free ports in a temporary directory.
//! * [`gitserver`]: Git repositories over HTTP on the loopback interface, by `git http-backend`.
//! * [`api`]: what happens in a cluster, without a Kubernetes client.
//! * [`conformance`]: the Go programs that our code is compared with.
//! * [`process`]: starts programs so that nothing outlives the one who started them.
//!
//! The end-to-end tests, the demo and the benchmark use these in-process; `cargo xtask` offers them on the command line.
//! It uses threads and blocking calls only.

pub mod api;
pub mod cluster;
pub mod conformance;
pub mod gitserver;
pub mod http;
pub mod paths;
pub mod ports;
pub mod process;
pub mod term;
