//! Redirects, credentials, limits, retries and cancellation.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferro_http::{Auth, Client, ClientOptions, Error, ProxyOptions, Request, Retry, SafeUrl, describe};
use ferro_testkit::http::{Response, Server};

fn client() -> Client {
    Client::new(&ClientOptions {
        proxy: ProxyOptions::Direct,
        ..ClientOptions::default()
    })
    .unwrap()
}

/// A server that answers with the credentials it was sent.
fn echo() -> Server {
    Server::start(|request| {
        let auth = request.header("authorization").to_owned();
        Response::new(200, auth)
    })
}

fn redirect_to(target: String) -> Server {
    Server::start(move |_| Response::new(302, "").header("location", target.clone()))
}

async fn text(client: &Client, request: &Request) -> String {
    let body = client
        .send(request)
        .await
        .unwrap()
        .error_for_status()
        .unwrap()
        .bytes(1 << 20)
        .await
        .unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn send_without_redirects_returns_them() {
    let server = redirect_to("http://other.example.com/".to_owned());
    let request = Request::get(&server.url("/")).unwrap().without_redirects();
    let response = client().send(&request).await.unwrap();
    assert_eq!(response.status().as_u16(), 302);
    assert_eq!(response.headers()["location"], "http://other.example.com/");
}

#[tokio::test]
async fn send_credentials_reach_their_host_only() {
    let echo = echo();
    let basic = Auth::Basic {
        username: "user".into(),
        password: "pw".into(),
    };
    let direct = Request::get(&echo.url("/")).unwrap().auth(basic.clone());
    assert_eq!(text(&client(), &direct).await, "Basic dXNlcjpwdw==");
    let bearer = Request::get(&echo.url("/"))
        .unwrap()
        .auth(Auth::Bearer("tok".into()));
    assert_eq!(text(&client(), &bearer).await, "Bearer tok");
    // Another port is another server.
    let other = redirect_to(echo.url("/"));
    let redirected = Request::get(&other.url("/")).unwrap().auth(basic);
    assert_eq!(text(&client(), &redirected).await, "");
    // A server cannot choose what we authenticate with.
    let planted = redirect_to(echo.url("/").replace("http://", "http://evil:seed@"));
    assert_eq!(
        text(&client(), &Request::get(&planted.url("/")).unwrap()).await,
        ""
    );
}

#[tokio::test]
async fn send_redirect_to_another_host_takes_no_secret_header_along() {
    let names = ["authorization", "cookie", "x-secret", "x-plain"];
    let seen = move |request: &ferro_testkit::http::Request| {
        let present = names.iter().filter(|name| !request.header(name).is_empty());
        present.copied().collect::<Vec<_>>().join(" ")
    };
    let end = Server::start(move |request| Response::new(200, seen(&request)));
    let away = redirect_to(end.url("/"));
    let mut request = Request::get(&away.url("/")).unwrap();
    for name in names {
        let mut value = http::HeaderValue::from_static("v");
        value.set_sensitive(name == "x-secret");
        request = request.header(http::HeaderName::from_static(name), value);
    }
    assert_eq!(text(&client(), &request).await, "x-plain");
}

#[tokio::test]
async fn send_redirect_on_the_same_host_keeps_credentials_and_reports_the_final_url() {
    let server = Server::start(|request| match request.path.as_str() {
        "/old" => Response::new(301, "").header("location", "/new"),
        _ => Response::new(200, request.header("authorization").to_owned()),
    });
    let request = Request::get(&server.url("/old"))
        .unwrap()
        .auth(Auth::Bearer("tok".into()));
    let response = client().send(&request).await.unwrap();
    assert_eq!(response.url().expose().path(), "/new");
    assert_eq!(&response.bytes(100).await.unwrap()[..], b"Bearer tok");
}

#[tokio::test]
async fn send_endless_redirect_is_an_error() {
    let server = Server::start(|_| Response::new(302, "").header("location", "/again"));
    let error = client()
        .send(&Request::get(&server.url("/")).unwrap())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("more than 10 redirects at http://127.0.0.1"),
        "{error}"
    );
}

#[tokio::test]
async fn bytes_beyond_the_limit_are_refused() {
    let server = Server::start(|request| {
        if request.path == "/announced" {
            return Response::new(200, vec![0; 5000]);
        }
        let (sender, pieces) = tokio::sync::mpsc::channel(1);
        std::thread::spawn(move || while sender.blocking_send(vec![0; 1000].into()).is_ok() {});
        Response::stream(200, pieces)
    });
    for path in ["/announced", "/endless"] {
        let response = client()
            .send(&Request::get(&server.url(path)).unwrap())
            .await
            .unwrap();
        let error = response.bytes(4000).await.unwrap_err();
        assert!(
            matches!(error, Error::BodyTooLarge { limit: 4000, .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn send_retrying_repeats_what_may_pass() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let server =
        Server::start(
            move |request| match (request.path.as_str(), seen.fetch_add(1, Ordering::SeqCst)) {
                ("/flaky", 0) => Response::new(503, ""),
                ("/flaky", 1) => Response::new(429, "").header("retry-after", "3600"),
                ("/flaky", _) => Response::new(200, "ok"),
                ("/down", _) => Response::new(500, ""),
                _ => Response::new(404, ""),
            },
        );
    let wait = Duration::from_millis(1);
    let retry = Retry {
        retries: 3,
        min_wait: wait,
        max_wait: wait,
    };
    let get = |path: &str| Request::get(&server.url(path)).unwrap();
    let response = client().send_retrying(&get("/flaky"), &retry).await.unwrap();
    assert_eq!(&response.bytes(10).await.unwrap()[..], b"ok");
    assert_eq!(count.swap(0, Ordering::SeqCst), 3);
    let response = client().send_retrying(&get("/missing"), &retry).await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(count.swap(0, Ordering::SeqCst), 1);
    let error = client().send_retrying(&get("/down"), &retry).await.unwrap_err();
    assert_eq!(error.status().unwrap(), 500);
    assert!(
        describe(&error).contains("after 4 attempts"),
        "{}",
        describe(&error)
    );
}

#[tokio::test]
async fn send_unreachable_host_is_a_connect_error_without_secrets() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let request = Request::get(&format!("http://user:hunter2@127.0.0.1:{port}/x?sig=hunter2")).unwrap();
    let error = client().send(&request).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    let text = format!("{} {error:?}", describe(&error));
    assert!(text.contains("refused") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn send_silent_server_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let options = ClientOptions {
        proxy: ProxyOptions::Direct,
        idle_timeout: Duration::from_millis(50),
        ..ClientOptions::default()
    };
    let client = Client::new(&options).unwrap();
    let error = client.send(&Request::get(&url).unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn send_dropped_request_closes_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        // Ends when the client closes.
        stream.read_to_end(&mut request).unwrap();
        request
    });
    let (client, request) = (client(), Request::get(&url).unwrap());
    let sent = tokio::time::timeout(Duration::from_millis(100), client.send(&request)).await;
    assert!(sent.is_err());
    drop(client);
    let request = tokio::task::spawn_blocking(|| server.join().unwrap())
        .await
        .unwrap();
    assert!(request.starts_with(b"GET / HTTP/1.1"));
}

#[tokio::test]
async fn send_through_a_proxy_with_credentials() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let proxy = Server::start(move |request| {
        log.lock()
            .unwrap()
            .push(request.header("proxy-authorization").to_owned());
        Response::new(200, "from the proxy")
    });
    let options = ClientOptions {
        proxy: ProxyOptions::Proxy {
            address: SafeUrl::parse(&proxy.url("/")).unwrap(),
            credentials: Some(("user".to_owned(), "pw".into())),
        },
        ..ClientOptions::default()
    };
    let client = Client::new(&options).unwrap();
    let request = Request::get("http://does-not-exist.invalid/x").unwrap();
    assert_eq!(text(&client, &request).await, "from the proxy");
    assert_eq!(*seen.lock().unwrap(), ["Basic dXNlcjpwdw=="]);
}

/// A SOCKS5 server for one connection that asks for a password; returns the name it was asked for.
fn socks_server(listener: &TcpListener) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut take = |count: usize| {
        let mut buffer = vec![0; count];
        stream.read_exact(&mut buffer).unwrap();
        (buffer, stream.try_clone().unwrap())
    };
    let (hello, mut out) = take(2);
    take(usize::from(hello[1]));
    out.write_all(&[5, 2]).unwrap();
    let user = usize::from(take(2).0[1]);
    assert_eq!(take(user).0, b"user");
    let password = usize::from(take(1).0[0]);
    assert_eq!(take(password).0, b"pw");
    out.write_all(&[1, 0]).unwrap();
    let (head, _) = take(5);
    assert_eq!(head[..4], [5, 1, 0, 3], "the proxy resolves the name");
    let name = take(usize::from(head[4])).0;
    take(2);
    out.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    take(4);
    out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nsocks")
        .unwrap();
    String::from_utf8(name).unwrap()
}

#[tokio::test]
async fn send_through_socks5_lets_the_proxy_resolve() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("socks5://user:pw@{}", listener.local_addr().unwrap());
    let server = tokio::task::spawn_blocking(move || socks_server(&listener));
    let options = ClientOptions {
        proxy: ProxyOptions::Proxy {
            address: SafeUrl::parse(&address).unwrap(),
            credentials: None,
        },
        ..ClientOptions::default()
    };
    let client = Client::new(&options).unwrap();
    assert_eq!(
        text(&client, &Request::get("http://git.invalid/x").unwrap()).await,
        "socks"
    );
    assert_eq!(server.await.unwrap(), "git.invalid");
}

#[test]
fn new_unknown_proxy_scheme_is_refused() {
    let address = SafeUrl::parse("ftp://user:hunter2@proxy").unwrap();
    let proxy = ProxyOptions::Proxy {
        address,
        credentials: None,
    };
    let error = Client::new(&ClientOptions {
        proxy,
        ..ClientOptions::default()
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid proxy address: scheme 'ftp' is not http, https or socks5"
    );
}
