//! Integration tests of ferro-http against loopback servers.

mod client;
mod tls;
