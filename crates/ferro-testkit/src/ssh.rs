//! SSH servers.
