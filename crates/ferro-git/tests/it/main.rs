//! Integration tests of ferro-git against real servers on the loopback interface.

mod http;
mod ssh;
mod submodules;
mod support;
