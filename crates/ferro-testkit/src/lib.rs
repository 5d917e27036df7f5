//! Loopback servers and fixtures for tests.
//!
//! A dev-dependency only: nothing here is made for production. Every server listens on a port of the
//! system's choice on the loopback address and ends when it is dropped. Real programs (`git`, `sshd`) are
//! used where they are what users have; [`git::is_available`] and its like say whether they are there.

#[cfg(feature = "api")]
pub mod api;
pub mod git;
pub mod http;
#[cfg(feature = "lfs")]
pub mod lfs;
pub mod registry;
pub mod ssh;
pub mod tls;
