//! Against a server that allows few streams on a connection, and one that does not answer.

use std::convert::Infallible;
use std::net::SocketAddr;

use futures::future::{Either, join_all};
use futures::stream;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::service::service_fn;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::*;

/// Streams that the server allows on a connection.
const ALLOWED: u32 = 5;

/// Answers watches with a body that never ends, everything else with an empty one. Returns its address and how many connections it took.
async fn server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let taken = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            taken.fetch_add(1, Ordering::SeqCst);
            let service = service_fn(|request: Request<Incoming>| async move {
                let body = if request
                    .uri()
                    .query()
                    .is_some_and(|query| query.contains("watch=true"))
                {
                    Either::Left(StreamBody::new(
                        stream::pending::<Result<Frame<Bytes>, Infallible>>(),
                    ))
                } else {
                    Either::Right(Empty::<Bytes>::new())
                };
                let body = match body {
                    Either::Left(body) => body.boxed(),
                    Either::Right(body) => body.boxed(),
                };
                Ok::<_, Infallible>(Response::new(body))
            });
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .max_concurrent_streams(ALLOWED)
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    (address, connections)
}

fn client(patience: Duration) -> Spread<HttpConnector> {
    let connect = || {
        super::super::connections()
            .http2_only(true)
            .build(HttpConnector::new())
    };
    Spread::patient(connect, patience)
}

async fn get(client: &Spread<HttpConnector>, address: SocketAddr, query: &str) -> Response<Counted> {
    let request = Request::get(format!("http://{address}/api?{query}"));
    let answer = client.clone().call(request.body(Body::empty()).unwrap()).await;
    answer.unwrap()
}

#[tokio::test]
async fn watches_beyond_the_streams_of_a_connection_get_further_ones() {
    let (address, connections) = server().await;
    let client = client(Duration::from_millis(100));
    let watching = join_all((0..23).map(|_| get(&client, address, "watch=true")));
    let watching = tokio::time::timeout(Duration::from_secs(60), watching)
        .await
        .unwrap();
    assert_eq!(watching.len(), 23);
    let open = |client: &Spread<_>| -> usize {
        let lines = client.watches.lines();
        lines.iter().map(|line| line.open.load(Ordering::SeqCst)).sum()
    };
    assert_eq!(open(&client), 23);
    // Other requests have streams of their own.
    let others = join_all((0..5 * ALLOWED).map(|_| get(&client, address, "limit=1")));
    let others = tokio::time::timeout(Duration::from_secs(60), others)
        .await
        .unwrap();
    assert!(others.iter().all(|answer| answer.status().is_success()));
    let limit = client.watches.limit.load(Ordering::SeqCst);
    assert!((1..=ALLOWED as usize).contains(&limit), "{limit}");
    assert!(connections.load(Ordering::SeqCst) <= 26, "{connections:?}");
    drop(watching);
    assert_eq!(open(&client), 0);
    assert!(client.watches.lines().len() <= 1, "idle connections are given up");
}

#[tokio::test]
async fn one_connection_serves_while_there_is_room() {
    let (address, connections) = server().await;
    let client = client(Duration::from_secs(600));
    let mut watching = Vec::new();
    for _ in 0..ALLOWED {
        watching.push(get(&client, address, "resourceVersion=1&watch=true").await);
        get(&client, address, "limit=1").await;
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}
