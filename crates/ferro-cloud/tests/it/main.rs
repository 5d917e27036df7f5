//! Token services on the loopback interface, which check what they are sent.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

mod amazon;
mod azure;
mod github;
mod google;

use std::collections::BTreeMap;

use ferro_cloud::Transport;
use ferro_http::{Client, ClientOptions, Retry};
use ferro_testkit::http::{Request, Response};

fn transport() -> Transport {
    Transport::new(Client::new(&ClientOptions::default()).unwrap()).with_retry(Retry::never())
}

/// The form that a request carries.
fn form(request: &Request) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(&request.body).into_owned().collect()
}

fn json(status: u16, text: &str) -> Response {
    Response::new(status, text.to_owned()).header("content-type", "application/json")
}
