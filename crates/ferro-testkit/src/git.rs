//! Git servers.
