//! Integration tests of ferro-artifact, against the disk and loopback servers.

mod archive;
mod server;
mod storage;
