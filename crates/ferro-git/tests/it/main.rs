//! Integration tests of ferro-git against real servers on the loopback interface.

mod http;
mod support;
