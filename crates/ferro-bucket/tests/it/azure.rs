//! Azure Blob Storage.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferro_bucket::Bucket;
use ferro_bucket::azure::{Access, AccountKey, Azure};
use ferro_testkit::http::{Request, Response, Server};
use ring::hmac;

use super::*;

const KEY: &[u8] = b"a key of thirty-two bytes, of an account";

fn error(status: u16, code: &str) -> Response {
    Response::new(
        status,
        format!("<Error><Code>{code}</Code><Message>{code}.\nRequestId:1</Message></Error>"),
    )
    .header("x-ms-error-code", code)
}

/// The signature that the request ought to have, made from what came over the wire.
fn expected(request: &Request) -> String {
    let mut resource = format!("/account{}", request.path);
    for (name, value) in query(request) {
        resource.push_str(&format!("\n{name}:{value}"));
    }
    let text = format!(
        "GET{}x-ms-date:{}\nx-ms-version:{}\n{resource}",
        "\n".repeat(12),
        request.header("x-ms-date"),
        request.header("x-ms-version")
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY);
    let signature = hmac::sign(&key, text.as_bytes());
    format!("SharedKey account:{}", STANDARD.encode(signature))
}

fn answer(request: &Request) -> Response {
    let path = decoded(&request.path);
    let Some(key) = path.strip_prefix("/base/app") else {
        return error(404, "ContainerNotFound");
    };
    let query = query(request);
    match key {
        "" if query.get("comp").map(String::as_str) == Some("list") => {
            let blob = |name: &str, etag: &str| {
                format!(
                    "<Blob><Name>{name}</Name><Properties><Etag>{etag}</Etag><Content-Length>2</Content-Length></Properties></Blob>"
                )
            };
            let (blobs, next) = match query.get("marker").map(String::as_str) {
                None => (blob("a b/x", "0x8D1"), "2!m/+"),
                Some("2!m/+") => (blob("ü", "0x8D2"), ""),
                Some(_) => return error(400, "InvalidQueryParameterValue"),
            };
            let xml = format!(
                "\u{feff}<?xml version=\"1.0\"?><EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>"
            );
            Response::new(200, xml)
        }
        "/a b/x" => Response::new(200, "v1").header("etag", "\"0x8D1\""),
        "/ü" => Response::new(200, "v2").header("etag", "0x8D2"),
        _ => error(404, "BlobNotFound"),
    }
}

fn bucket(server: &Server, name: &str, access: Access) -> Bucket {
    Azure::new(transport(), &server.url("/base/"), name, access)
        .unwrap()
        .into()
}

fn account_key(key: &[u8]) -> Access {
    Access::AccountKey(AccountKey::new("account".to_owned(), &STANDARD.encode(key)).unwrap())
}

#[tokio::test]
async fn listing_and_blobs_are_asked_for_with_right_signatures() {
    let server = Server::start(|request| {
        if request.header("authorization") == expected(&request) {
            answer(&request)
        } else {
            error(403, "AuthenticationFailed")
        }
    });
    let bucket = bucket(&server, "app", account_key(KEY));
    assert!(bucket.exists().await.unwrap());
    let all = list(&bucket, "").await.unwrap();
    assert_eq!(keys(&all), ["a b/x", "ü"]);
    for (blob, content) in all.iter().zip(["v1", "v2"]) {
        // Listings and answers write ETags in two ways; they are one here.
        let found = get(&bucket, blob).await.unwrap();
        assert_eq!(found, Some((blob.etag.clone(), content.to_owned())));
    }
    assert_eq!(get(&bucket, &key("gone")).await.unwrap(), None);
    let missing = self::bucket(&server, "missing", account_key(KEY));
    assert!(!missing.exists().await.unwrap());
    let wrong = self::bucket(&server, "app", account_key(b"hunter2"));
    let error = list(&wrong, "").await.unwrap_err();
    assert_eq!(error.code(), Some("AuthenticationFailed"));
    assert!(!format!("{error} {wrong:?}").contains("hunter2"));
    let told = wrong.exists().await.unwrap_err().to_string();
    assert!(
        told.starts_with("the specified bucket name may be incorrect"),
        "{told}"
    );
}

#[tokio::test]
async fn shared_access_signature_goes_into_the_query_and_not_into_errors() {
    let server = Server::start(|request| {
        let query = query(&request);
        if query.get("sig").map(String::as_str) == Some("hunter2+/=")
            && request.header("authorization").is_empty()
        {
            answer(&request)
        } else {
            error(403, "AuthenticationFailed")
        }
    });
    let right = Access::Sas("sv=2021&sig=hunter2%2B%2F%3D".to_owned().into());
    let bucket = bucket(&server, "app", right);
    assert_eq!(list(&bucket, "").await.unwrap().len(), 2);
    assert!(get(&bucket, &key("a b/x")).await.unwrap().is_some());
    let gone = self::bucket(&server, "app", Access::Sas("sig=hunter3".to_owned().into()));
    let error = list(&gone, "").await.unwrap_err();
    assert!(
        !format!("{error} {error:?} {gone:?}").contains("hunter"),
        "{error:?}"
    );
}
