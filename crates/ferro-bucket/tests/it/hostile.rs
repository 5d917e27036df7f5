//! Storages that lie, do not end, or lead elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferro_testkit::http::{Response, Server};

use super::s3::{bucket, credentials};
use super::*;

#[tokio::test]
async fn redirect_is_not_followed_with_credentials_nor_without() {
    let hits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&hits);
    let elsewhere = Server::start(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Response::new(200, "<ListBucketResult/>")
    });
    let target = elsewhere.url("/app/");
    let server = Server::start(move |_| Response::new(307, "").header("location", &target));
    for access in [credentials("hunter2"), None] {
        let bucket = bucket(&server, "app", None, access);
        assert!(list(&bucket, "").await.is_err());
        assert!(get(&bucket, &key("a")).await.is_err());
        assert!(bucket.exists().await.is_err());
    }
    assert_eq!(hits.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn listing_that_does_not_lead_on_is_cut() {
    for next in ["<NextContinuationToken>same</NextContinuationToken>", ""] {
        let xml = format!("<ListBucketResult><IsTruncated>true</IsTruncated>{next}</ListBucketResult>");
        let server = Server::start(move |_| Response::new(200, xml.clone()));
        let error = list(&bucket(&server, "app", None, None), "").await.unwrap_err();
        assert!(matches!(error, Error::Endless { .. }), "{error}");
    }
}

#[tokio::test]
async fn listing_that_never_ends_is_read_no_further_than_allowed() {
    let server = Server::start(|_| {
        let (pieces, body) = tokio::sync::mpsc::channel(1);
        std::thread::spawn(move || while pieces.blocking_send(vec![b' '; 1 << 20].into()).is_ok() {});
        Response::stream(200, body)
    });
    let error = list(&bucket(&server, "app", None, None), "").await.unwrap_err();
    assert!(matches!(error, Error::Http(_)), "{error}");
}

#[tokio::test]
async fn answers_that_are_none_are_refused() {
    for body in [
        "",
        "<html/>",
        "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><ListBucketResult>&a;</ListBucketResult>",
        "<ListBucketResult><Contents>",
    ] {
        let server = Server::start(move |_| Response::new(200, body));
        let error = list(&bucket(&server, "app", None, None), "").await.unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{body}: {error}");
    }
}

#[tokio::test]
async fn names_that_lead_out_are_never_asked_for() {
    let hits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&hits);
    let server = Server::start(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Response::new(200, "x")
    });
    let bucket = bucket(&server, "app", None, None);
    for name in ["../x", "a/../../x", "a/./b", ""] {
        let error = get(&bucket, &key(name)).await.unwrap_err();
        assert!(matches!(error, Error::InvalidKey { .. }), "{name}");
    }
    assert_eq!(hits.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn content_that_breaks_off_is_no_object() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await.unwrap();
        let answer = b"HTTP/1.1 200 OK\r\netag: \"x\"\r\ncontent-length: 10\r\n\r\nshort";
        stream.write_all(answer).await.unwrap();
    });
    let endpoint = ferro_bucket::s3::Endpoint::parse(&address, false).unwrap();
    let bucket = Bucket::from(ferro_bucket::s3::S3::new(
        transport(),
        endpoint,
        "app",
        None,
        None,
    ));
    let error = get(&bucket, &key("a")).await.unwrap_err();
    assert!(
        matches!(error, Error::Http(_) | Error::Malformed { .. }),
        "{error}"
    );
}
