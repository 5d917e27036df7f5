//! S3: each request is checked as the storage would check it, by a signature of the tests' own making.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use ferro_bucket::s3::{Endpoint, S3};
use ferro_bucket::{AwsCredentials, Bucket};
use ferro_testkit::http::{Request, Response, Server};
use ring::{digest, hmac};

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

pub(crate) fn error(status: u16, code: &str, message: &str) -> Response {
    let xml =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
    Response::new(status, xml)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
        .as_ref()
        .to_vec()
}

/// The signature that the request ought to have, made from what came over the wire; `None` if it has no such header.
fn expected_signature(request: &Request, secret: &str) -> Option<(String, String)> {
    let rest = request
        .header("authorization")
        .strip_prefix("AWS4-HMAC-SHA256 Credential=")?;
    let (scope, rest) = rest.split_once(", SignedHeaders=")?;
    let (names, signature) = rest.split_once(", Signature=")?;
    let (_, scope) = scope.split_once('/')?;
    let mut query: Vec<&str> = request.query.split('&').filter(|pair| !pair.is_empty()).collect();
    query.sort_unstable();
    let headers: String = names
        .split(';')
        .map(|name| format!("{name}:{}\n", request.header(name)))
        .collect();
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{names}\n{}",
        request.method,
        request.path,
        query.join("&"),
        hex(digest::digest(&digest::SHA256, &request.body).as_ref())
    );
    let text = format!(
        "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
        request.header("x-amz-date"),
        hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
    );
    let key = scope
        .split('/')
        .fold(format!("AWS4{secret}").into_bytes(), |key, part| mac(&key, part));
    Some((signature.to_owned(), hex(&mac(&key, &text))))
}

/// A storage with the bucket `app`, in pages of two objects.
fn storage(region: &'static str) -> (Server, Arc<Mutex<Vec<String>>>) {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let server = Server::start(move |request| {
        log.lock()
            .unwrap()
            .push(format!("{} {}?{}", request.method, request.path, request.query));
        let Some((found, expected)) = expected_signature(&request, SECRET) else {
            return error(403, "AccessDenied", "Access Denied");
        };
        if found != expected {
            return error(
                403,
                "SignatureDoesNotMatch",
                "The signature we calculated does not match",
            );
        }
        if !request
            .header("authorization")
            .contains(&format!("/{region}/s3/aws4_request"))
        {
            return error(400, "AuthorizationHeaderMalformed", "the region is wrong")
                .header("x-amz-bucket-region", region);
        }
        answer(&request)
    });
    (server, seen)
}

fn answer(request: &Request) -> Response {
    let objects = [
        ("a/one.yaml", "1"),
        ("a/two words+.yaml", "22"),
        ("a/ü&<x>.yaml", "333"),
        ("b/other.yaml", "4444"),
    ];
    let path = decoded(&request.path);
    let Some(key) = path.strip_prefix("/app/") else {
        return error(404, "NoSuchBucket", "The specified bucket does not exist");
    };
    let query = query(request);
    if !key.is_empty() {
        let found = objects.iter().find(|(name, _)| *name == key);
        return found.map_or_else(
            || error(404, "NoSuchKey", "The specified key does not exist."),
            |(_, content)| Response::new(200, *content).header("etag", format!("\"e{content}\"")),
        );
    }
    if query.get("list-type").map(String::as_str) != Some("2") {
        return Response::new(200, "");
    }
    let after: usize = query
        .get("continuation-token")
        .map_or(0, |token| token.parse().unwrap());
    let matching: Vec<_> = objects
        .iter()
        .filter(|(name, _)| name.starts_with(&query["prefix"]))
        .collect();
    let mut xml = "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><EncodingType>url</EncodingType>".to_owned();
    for (name, content) in matching.iter().skip(after).take(2) {
        let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        let size = content.len();
        write!(
            xml,
            "<Contents><Key>{name}</Key><ETag>\"e{content}\"</ETag><Size>{size}</Size></Contents>"
        )
        .unwrap();
    }
    let is_truncated = matching.len() > after + 2;
    write!(
        xml,
        "<IsTruncated>{is_truncated}</IsTruncated><NextContinuationToken>{}</NextContinuationToken></ListBucketResult>",
        after + 2
    )
    .unwrap();
    Response::new(200, xml)
}

pub(crate) fn bucket(
    server: &Server,
    name: &str,
    region: Option<&str>,
    credentials: Option<AwsCredentials>,
) -> Bucket {
    let endpoint = Endpoint::parse(&server.address().to_string(), false).unwrap();
    S3::new(
        transport(),
        endpoint,
        name,
        region.map(str::to_owned),
        credentials,
    )
    .into()
}

pub(crate) fn credentials(secret: &str) -> Option<AwsCredentials> {
    Some(AwsCredentials {
        access_key: "AKIDEXAMPLE".to_owned(),
        secret_key: secret.into(),
        session_token: None,
    })
}

#[tokio::test]
async fn listing_and_objects_are_asked_for_with_right_signatures() {
    let (server, seen) = storage("us-east-1");
    let bucket = bucket(&server, "app", None, credentials(SECRET));
    assert!(bucket.exists().await.unwrap());
    let all = list(&bucket, "").await.unwrap();
    assert_eq!(
        keys(&all),
        ["a/one.yaml", "a/two words+.yaml", "a/ü&<x>.yaml", "b/other.yaml"]
    );
    assert_eq!((all[2].etag.as_str(), all[2].size), ("e333", 3));
    assert_eq!(
        seen.lock().unwrap().len(),
        3,
        "one request to look, two for the pages"
    );
    let some = list(&bucket, "b/").await.unwrap();
    assert_eq!(keys(&some), ["b/other.yaml"]);
    for (object, content) in all.iter().zip(["1", "22", "333", "4444"]) {
        let found = get(&bucket, object).await.unwrap();
        assert_eq!(found, Some((format!("e{content}"), content.to_owned())));
    }
    assert_eq!(get(&bucket, &key("gone")).await.unwrap(), None);
}

#[tokio::test]
async fn wrong_secret_missing_credentials_and_missing_bucket_are_told_apart() {
    let (server, _) = storage("us-east-1");
    let wrong = bucket(&server, "app", None, credentials("hunter2"));
    let error = list(&wrong, "").await.unwrap_err();
    assert_eq!(error.code(), Some("SignatureDoesNotMatch"));
    let text = format!("{error} {error:?} {wrong:?}");
    assert!(
        text.contains("The signature we calculated") && !text.contains("hunter2"),
        "{text}"
    );
    let anonymous = bucket(&server, "app", None, None);
    let error = get(&anonymous, &key("a/one.yaml")).await.unwrap_err();
    assert_eq!(error.code(), Some("AccessDenied"));
    // The look at a bucket has no body to say why.
    let denied = anonymous.exists().await.unwrap_err();
    assert_eq!(denied.to_string(), "Access Denied.");
    let missing = bucket(&server, "missing", None, credentials(SECRET));
    assert!(!missing.exists().await.unwrap());
    assert_eq!(list(&missing, "").await.unwrap_err().code(), Some("NoSuchBucket"));
}

#[tokio::test]
async fn region_that_the_storage_names_is_learned_unless_one_was_given() {
    let (server, seen) = storage("eu-west-1");
    let learning = bucket(&server, "app", None, credentials(SECRET));
    assert_eq!(list(&learning, "b").await.unwrap().len(), 1);
    assert_eq!(seen.lock().unwrap().len(), 2, "once more for the region");
    assert_eq!(list(&learning, "b").await.unwrap().len(), 1);
    assert_eq!(seen.lock().unwrap().len(), 3, "it is known now");
    let given = bucket(&server, "app", Some("us-west-2"), credentials(SECRET));
    let error = list(&given, "").await.unwrap_err();
    assert_eq!(error.code(), Some("AuthorizationHeaderMalformed"));
}

#[tokio::test]
async fn session_token_is_sent_and_signed() {
    let server = Server::start(|request| {
        let (found, expected) = expected_signature(&request, SECRET).unwrap();
        let is_signed = request.header("authorization").contains("x-amz-security-token");
        let is_right = found == expected && is_signed && request.header("x-amz-security-token") == "token";
        if is_right {
            answer(&request)
        } else {
            error(403, "AccessDenied", "")
        }
    });
    let mut temporary = credentials(SECRET).unwrap();
    temporary.session_token = Some("token".into());
    let bucket = bucket(&server, "app", None, Some(temporary));
    assert_eq!(list(&bucket, "b").await.unwrap().len(), 1);
}
