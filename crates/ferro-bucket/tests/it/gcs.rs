//! Google Cloud Storage.

use ferro_bucket::Bucket;
use ferro_bucket::gcs::Gcs;
use ferro_testkit::http::{Request, Response, Server};
use serde_json::json;

use super::*;

fn resource(name: &str, generation: u64) -> serde_json::Value {
    json!({ "name": name, "etag": format!("E{generation}="), "size": "2", "generation": generation.to_string() })
}

fn answer(request: &Request) -> Response {
    let query = query(request);
    let path = decoded(&request.path);
    // Slashes of names are encoded: they are no slashes of the path.
    let is_one_component = !request.path["/storage/v1/b/".len()..]
        .trim_start_matches("app/o/")
        .contains('/');
    let Some(rest) = path.strip_prefix("/storage/v1/b/app") else {
        let body = json!({ "error": { "code": 404, "message": "The specified bucket does not exist." } });
        return Response::new(404, body.to_string());
    };
    let body = match (rest, query.get("pageToken").map(String::as_str)) {
        ("", _) => json!({ "name": "app" }),
        ("/o", None) if query["prefix"] == "x/" => {
            json!({ "items": [resource("x/a b", 7)], "nextPageToken": "t=1/&" })
        }
        ("/o", Some("t=1/&")) => json!({ "items": [resource("x/ü", 8)] }),
        ("/o", _) => json!({}),
        ("/o/x/a b", _) if is_one_component => match query.get("generation").map(String::as_str) {
            // The version that was listed is gone since.
            Some("7") => return Response::new(404, ""),
            Some("9") => return Response::new(200, "v9"),
            _ => resource("x/a b", 9),
        },
        ("/o/x/ü", _) if query.get("alt").map(String::as_str) == Some("media") => {
            return Response::new(200, "v8");
        }
        _ => return Response::new(404, ""),
    };
    Response::new(200, body.to_string())
}

fn bucket(server: &Server, name: &str) -> Bucket {
    let host = server.address().to_string();
    Gcs::new(transport(), name, Some(&host), None).unwrap().into()
}

#[tokio::test]
async fn listing_goes_on_and_objects_are_asked_for_by_generation() {
    let server = Server::start(|request| answer(&request));
    let bucket = bucket(&server, "app");
    assert!(bucket.exists().await.unwrap());
    let all = list(&bucket, "x/").await.unwrap();
    assert_eq!(keys(&all), ["x/a b", "x/ü"]);
    assert_eq!((all[1].etag.as_str(), all[1].size), ("E8=", 2));
    // The newest one takes the place of a version that is gone, and says so by its ETag.
    let newest = Some(("E9=".to_owned(), "v9".to_owned()));
    assert_eq!(get(&bucket, &all[0]).await.unwrap(), newest);
    let listed = Some(("E8=".to_owned(), "v8".to_owned()));
    assert_eq!(get(&bucket, &all[1]).await.unwrap(), listed);
    assert_eq!(get(&bucket, &key("gone")).await.unwrap(), None);
}

#[tokio::test]
async fn missing_bucket_and_refusal_are_told_apart() {
    let server = Server::start(|request| match request.path.as_str() {
        "/storage/v1/b/secret" => {
            let body = json!({ "error": { "code": 403, "message": "no access" } });
            Response::new(403, body.to_string())
        }
        "/storage/v1/b/moved" => Response::new(302, "").header("location", "https://example.com/"),
        _ => answer(&request),
    });
    assert!(!bucket(&server, "missing").exists().await.unwrap());
    let error = bucket(&server, "secret").exists().await.unwrap_err();
    assert_eq!(error.to_string(), "googleapi: Error 403: no access");
    let error = bucket(&server, "moved").exists().await.unwrap_err();
    assert!(matches!(error, Error::Redirected { .. }), "{error}");
}

#[tokio::test]
async fn token_is_not_sent_to_an_emulator() {
    let server = Server::start(|request| {
        let status = if request.header("authorization").is_empty() {
            200
        } else {
            400
        };
        Response::new(status, "{}")
    });
    let host = server.address().to_string();
    let bucket = Gcs::new(transport(), "app", Some(&host), Some("hunter2".to_owned().into())).unwrap();
    assert!(Bucket::from(bucket).exists().await.unwrap());
}
