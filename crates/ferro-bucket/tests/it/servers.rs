//! The storages that everybody tests against, as their makers pack them: `tests/servers/install.sh` installs them, `FERRO_STORAGE_SERVERS` names the
//! folder.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferro_bucket::azure::{Access, AccountKey, Azure};
use ferro_bucket::gcs::Gcs;
use ferro_bucket::s3::{Endpoint, S3};
use ferro_bucket::{AwsCredentials, Bucket};
use ferro_http::Request;
use http::{HeaderName, HeaderValue, Method};
use ring::hmac;

use super::*;

/// A server that ends with the test.
struct Running {
    child: Child,
    port: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("FERRO_STORAGE_SERVERS").map(PathBuf::from);
    let program = folder
        .map(|folder| folder.join(name))
        .filter(|path| path.exists());
    if program.is_none() {
        eprintln!("skipped: FERRO_STORAGE_SERVERS names no folder with {name}");
    }
    program
}

/// Starts a server and waits until it listens.
async fn start(program: &Path, arguments: impl Fn(u16) -> Vec<String>, env: &[(&str, &str)]) -> Running {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut command = Command::new(program);
    command.args(arguments(port)).envs(env.iter().copied());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut running = Running {
        child: command.spawn().unwrap(),
        port,
    };
    let listens = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(
                running.child.try_wait().unwrap().is_none(),
                "the server has ended"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), listens)
        .await
        .unwrap();
    running
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Sends a request that has to succeed, and gives the body.
async fn send(method: Method, url: &str, headers: &[(&'static str, &str)], body: &str) -> String {
    let client = Client::new(&ClientOptions::default()).unwrap();
    let request = Request::new(method, url).unwrap().body(body.to_owned());
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        )
    });
    let response = client.send(&request).await.unwrap();
    let status = response.status();
    let body = String::from_utf8(response.bytes(1 << 20).await.unwrap().to_vec()).unwrap();
    assert!(status.is_success(), "{url}: {status} {body}");
    body
}

const OBJECTS: [(&str, &str); 3] = [
    ("a b/ü.yaml", "one"),
    ("a b/x+&.yaml", "two"),
    ("c.yaml", "three"),
];

/// What every storage must do.
async fn check(bucket: &Bucket, missing: &Bucket) {
    assert!(bucket.exists().await.unwrap());
    assert!(!missing.exists().await.unwrap());
    let all = list(bucket, "").await.unwrap();
    let mut expected: Vec<_> = OBJECTS.iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();
    let mut found = keys(&all);
    found.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(list(bucket, "a b/").await.unwrap().len(), 2);
    for object in &all {
        let content = OBJECTS.iter().find(|(name, _)| *name == object.key).unwrap().1;
        assert_eq!(object.size, content.len() as u64);
        let found = get(bucket, object).await.unwrap();
        assert_eq!(found, Some((object.etag.clone(), content.to_owned())));
    }
    assert_eq!(get(bucket, &key("gone")).await.unwrap(), None);
}

#[tokio::test]
async fn moto_checks_the_signatures_of_s3() {
    let Some(program) = program("moto/bin/moto_server") else {
        return;
    };
    let at = |port: u16| words(&["-H", "127.0.0.1", "-p", &port.to_string()]);
    // Preparation takes seven requests; all that come later have to be signed by a user who may.
    let server = start(&program, at, &[("INITIAL_NO_AUTH_ACTION_COUNT", "7")]).await;
    let base = format!("http://127.0.0.1:{}", server.port);
    let scope = |service: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=x"
        )
    };
    let iam = scope("iam");
    let form = [
        ("authorization", iam.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    send(
        Method::POST,
        &base,
        &form,
        "Action=CreateUser&UserName=u&Version=2010-05-08",
    )
    .await;
    let policy = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22s3%3A*%22%2C%22Resource%22%3A%22*%22%7D%5D%7D";
    let put =
        format!("Action=PutUserPolicy&UserName=u&PolicyName=p&Version=2010-05-08&PolicyDocument={policy}");
    send(Method::POST, &base, &form, &put).await;
    let created = send(
        Method::POST,
        &base,
        &form,
        "Action=CreateAccessKey&UserName=u&Version=2010-05-08",
    )
    .await;
    let text = |name: &str| {
        let (_, rest) = created.split_once(&format!("<{name}>")).unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    };
    let (access_key, secret) = (text("AccessKeyId"), text("SecretAccessKey"));
    let s3 = scope("s3");
    let auth = [("authorization", s3.as_str())];
    send(Method::PUT, &format!("{base}/app"), &auth, "").await;
    for (name, content) in OBJECTS {
        let name: String =
            percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).collect();
        send(Method::PUT, &format!("{base}/app/{name}"), &auth, content).await;
    }
    let bucket = |name: &str, secret: &str| {
        let endpoint = Endpoint::parse(&format!("127.0.0.1:{}", server.port), false).unwrap();
        let credentials = AwsCredentials {
            access_key: access_key.clone(),
            secret_key: secret.into(),
            session_token: None,
        };
        Bucket::from(S3::new(transport(), endpoint, name, None, Some(credentials)))
    };
    let wrong = list(&bucket("app", "wrong"), "").await.unwrap_err();
    assert_eq!(wrong.code(), Some("SignatureDoesNotMatch"), "{wrong}");
    check(&bucket("app", &secret), &bucket("missing", &secret)).await;
}

/// The account that every Azurite has.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Puts something into Azurite.
async fn put(server: &Running, path: &str, query: &str, content: &str) {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let length = if content.is_empty() {
        String::new()
    } else {
        content.len().to_string()
    };
    let resource: String = query.replace('=', ":");
    let resource = if resource.is_empty() {
        resource
    } else {
        format!("\n{resource}")
    };
    let text = format!(
        "PUT\n\n\n{length}\n\n\n\n\n\n\n\n\nx-ms-blob-type:BlockBlob\nx-ms-date:{date}\nx-ms-version:2021-12-02\n/{ACCOUNT}/{ACCOUNT}{path}{resource}"
    );
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(KEY).unwrap());
    let signature = STANDARD.encode(hmac::sign(&secret, text.as_bytes()));
    let authorization = format!("SharedKey {ACCOUNT}:{signature}");
    let headers = [
        ("x-ms-blob-type", "BlockBlob"),
        ("x-ms-date", date.as_str()),
        ("x-ms-version", "2021-12-02"),
        ("authorization", authorization.as_str()),
    ];
    let url = format!("http://127.0.0.1:{}/{ACCOUNT}{path}?{query}", server.port);
    send(Method::PUT, url.trim_end_matches('?'), &headers, content).await;
}

#[tokio::test]
async fn azurite_checks_the_signatures_of_accounts() {
    let Some(program) = program("azurite/node_modules/.bin/azurite-blob") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().display().to_string();
    let at = |port: u16| {
        words(&[
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            &port.to_string(),
            "--location",
            &location,
            "--silent",
        ])
    };
    let server = start(&program, at, &[]).await;
    put(&server, "/app", "restype=container", "").await;
    for (name, content) in OBJECTS {
        let name: String =
            percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).collect();
        put(&server, &format!("/app/{name}"), "", content).await;
    }
    let bucket = |name: &str, key: &str| {
        let endpoint = format!("http://127.0.0.1:{}/{ACCOUNT}", server.port);
        let access = Access::AccountKey(AccountKey::new(ACCOUNT.to_owned(), key).unwrap());
        Bucket::from(Azure::new(transport(), &endpoint, name, access).unwrap())
    };
    let wrong = list(&bucket("app", "d3Jvbmc="), "").await.unwrap_err();
    assert!(
        matches!(wrong, Error::Refused { status, .. } if status.as_u16() == 403),
        "{wrong}"
    );
    check(&bucket("app", KEY), &bucket("missing", KEY)).await;
}

#[tokio::test]
async fn fake_gcs_server_serves_as_google_does() {
    let Some(program) = program("gobin/fake-gcs-server") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in OBJECTS {
        let path = folder.path().join("app").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let data = folder.path().display().to_string();
    let at = |port: u16| {
        let port = port.to_string();
        words(&[
            "-scheme",
            "http",
            "-host",
            "127.0.0.1",
            "-port",
            &port,
            "-backend",
            "memory",
            "-data",
            &data,
        ])
    };
    let server = start(&program, at, &[]).await;
    let bucket = |name: &str| {
        let host = format!("127.0.0.1:{}", server.port);
        Bucket::from(Gcs::new(transport(), name, Some(&host), None).unwrap())
    };
    check(&bucket("app"), &bucket("missing")).await;
}
