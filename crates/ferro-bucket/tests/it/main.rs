//! The clients against servers on the loopback interface: some of our own, that check each request, and those that everybody uses.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

mod azure;
mod gcs;
mod hostile;
mod s3;
mod servers;

use std::collections::BTreeMap;

use ferro_bucket::{Bucket, Error, Listed, Transport};
use ferro_http::{Client, ClientOptions, Retry};
use ferro_testkit::http::Request;

fn transport() -> Transport {
    Transport::new(Client::new(&ClientOptions::default()).unwrap()).with_retry(Retry::never())
}

/// All that a prefix lists.
async fn list(bucket: &Bucket, prefix: &str) -> Result<Vec<Listed>, Error> {
    let (mut listing, mut all) = (bucket.list(prefix), Vec::new());
    while let Some(page) = listing.next_page().await? {
        all.extend(page);
    }
    Ok(all)
}

fn keys(listed: &[Listed]) -> Vec<&str> {
    listed.iter().map(|object| object.key.as_str()).collect()
}

/// The ETag and the content of an object.
async fn get(bucket: &Bucket, listed: &Listed) -> Result<Option<(String, String)>, Error> {
    let Some(mut object) = bucket.get(listed).await? else {
        return Ok(None);
    };
    let mut content = Vec::new();
    while let Some(chunk) = object.chunk().await? {
        content.extend_from_slice(&chunk);
    }
    Ok(Some((object.etag, String::from_utf8(content).unwrap())))
}

fn key(name: &str) -> Listed {
    Listed {
        key: name.to_owned(),
        ..Listed::default()
    }
}

/// The query of a request, decoded.
fn query(request: &Request) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(request.query.as_bytes())
        .into_owned()
        .collect()
}

fn decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .unwrap()
        .into_owned()
}
