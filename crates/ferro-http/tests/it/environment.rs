//! What the environment of the process decides. Each test runs itself again in a process that has that environment.

use std::process::Command;

use ferro_http::{Client, ClientOptions, Request, describe};
use ferro_testkit::http::{Response, Server};
use ferro_testkit::tls::{Authority, server_config};

/// Set in the process that has the environment of the test.
const INNER: &str = "FERRO_HTTP_TEST_INNER";

/// Runs the test `name` again with `variables`; true in the process that has them.
fn is_inner(name: &str, variables: &[(&str, &str)]) -> bool {
    if std::env::var_os(INNER).is_some() {
        return true;
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INNER, "1")
        .envs(variables.iter().copied())
        .status()
        .unwrap();
    assert!(status.success());
    false
}

async fn get(url: &str) -> Result<u16, ferro_http::Error> {
    let client = Client::new(&ClientOptions::default())?;
    Ok(client.send(&Request::get(url)?).await?.status().as_u16())
}

#[tokio::test]
async fn proxy_of_the_environment_is_not_asked_for_this_machine() {
    // Nobody listens on port 1.
    let variables = [("HTTP_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "")];
    let name = "environment::proxy_of_the_environment_is_not_asked_for_this_machine";
    if is_inner(name, &variables) {
        let server = Server::start(|_| Response::new(204, ""));
        assert_eq!(get(&server.url("/")).await.unwrap(), 204);
        // Whereas others are reached through it: the name is not even looked up.
        let error = describe(&get("http://host.invalid/").await.unwrap_err());
        assert!(error.contains("onnection refused"), "{error}");
    }
}

#[tokio::test]
async fn machine_without_roots_speaks_plain_http_and_trusts_nobody() {
    let variables = [
        ("SSL_CERT_FILE", "/nonexistent"),
        ("SSL_CERT_DIR", "/nonexistent"),
    ];
    let name = "environment::machine_without_roots_speaks_plain_http_and_trusts_nobody";
    if is_inner(name, &variables) {
        let server = Server::start(|_| Response::new(204, ""));
        assert_eq!(get(&server.url("/")).await.unwrap(), 204);
        let authority = Authority::new("ours");
        let secure = Server::start_tls(server_config(&authority.server(&[]), None), |_| {
            Response::new(204, "")
        });
        let error = describe(&get(&secure.url("/")).await.unwrap_err());
        assert!(error.contains("no trusted root certificates"), "{error}");
    }
}
