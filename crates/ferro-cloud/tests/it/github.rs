//! GitHub Apps: what is signed and asked for, and what is told when it is refused.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ferro_cloud::github::{App, AppData};
use ferro_http::Secret;
use ferro_testkit::http::Server;
use ferro_testkit::ssh::{self, KeyPair};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs1KeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::*;

fn key() -> Option<KeyPair> {
    if !ssh::is_available() {
        eprintln!("skipped: ssh-keygen is missing; install openssh-client");
        return None;
    }
    Some(KeyPair::generate("rsa", "", &["-b", "2048", "-m", "PEM"]))
}

fn data(key: &str, base_url: &str) -> AppData {
    AppData {
        id: "42".to_owned(),
        base_url: base_url.to_owned(),
        private_key: Secret::new(key.as_bytes().to_vec()),
        ..AppData::default()
    }
}

/// The claims of a bearer token that the key signed.
fn claims(key: &str, request: &Request) -> serde_json::Value {
    let token = request.header("authorization").strip_prefix("Bearer ").unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&decode(header)).unwrap();
    assert_eq!(header, serde_json::json!({ "alg": "RS256", "typ": "JWT" }));
    let pair = PrivatePkcs1KeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let pair = RsaKeyPair::from_der(pair.secret_pkcs1_der()).unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())
        .verify(signed.as_bytes(), &decode(signature))
        .unwrap();
    serde_json::from_slice(&decode(claims)).unwrap()
}

const TOKEN: &str = r#"{"token":"ghs_hunter2","expires_at":"2999-01-01T00:00:00Z"}"#;

#[tokio::test]
async fn token_of_an_installation_is_got_with_a_signed_statement() {
    let Some(key) = key() else { return };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, private) = (Arc::clone(&seen), key.private.clone());
    let server = Server::start(move |request| {
        let claims = claims(&private, &request);
        assert_eq!(claims["iss"], "42");
        assert_eq!(
            claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
            120
        );
        assert_eq!(request.header("accept"), "application/vnd.github+json");
        log.lock()
            .unwrap()
            .push(format!("{} {}", request.method, request.path));
        json(201, TOKEN)
    });
    // The address of an enterprise's API is taken as it is given.
    for (base, prefix) in [("", ""), ("/api/v3", "/api/v3"), ("/api/v3/", "/api/v3")] {
        let mut data = data(&key.private, &server.url(base));
        data.installation_id = "7".to_owned();
        let login = App::new(&data).unwrap().login(&transport()).await.unwrap();
        assert_eq!(login.value.username, "x-access-token");
        assert_eq!(login.value.password.expose(), "ghs_hunter2");
        // A service that is wrong about the time does not make us keep a token for ever.
        assert!(login.until <= SystemTime::now() + Duration::from_secs(24 * 3600));
        assert!(!format!("{login:?} {data:?}").contains("hunter2"));
        let expected = format!("POST {prefix}/app/installations/7/access_tokens");
        assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), [expected]);
    }
}

#[tokio::test]
async fn installation_is_looked_up_as_that_of_an_organisation_and_then_of_a_user() {
    let Some(key) = key() else { return };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let server = Server::start(move |request| {
        log.lock()
            .unwrap()
            .push(format!("{} {}", request.method, request.path));
        match request.path.as_str() {
            "/users/a%2Fb/installation" => json(200, r#"{"id":9}"#),
            "/app/installations/9/access_tokens" => json(201, TOKEN),
            _ => json(404, r#"{"message":"Not Found"}"#),
        }
    });
    let mut data = data(&key.private, &server.url(""));
    data.installation_owner = "a/b".to_owned();
    App::new(&data).unwrap().login(&transport()).await.unwrap();
    let expected = [
        "GET /orgs/a%2Fb/installation",
        "GET /users/a%2Fb/installation",
        "POST /app/installations/9/access_tokens",
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
    data.installation_owner = "nobody".to_owned();
    let error = App::new(&data).unwrap().login(&transport()).await.unwrap_err();
    let base = server.url("/");
    assert_eq!(
        error.to_string(),
        format!(
            "failed to find organization installation: GET {base}orgs/nobody/installation: 404 Not Found []\n\
             failed to find user installation: GET {base}users/nobody/installation: 404 Not Found []"
        )
    );
}

#[tokio::test]
async fn refusals_are_told_without_secrets_and_redirects_are_not_followed() {
    let Some(key) = key() else { return };
    let other = Server::start(|_| panic!("nobody may be sent here"));
    let elsewhere = other.url("/");
    let server = Server::start(move |request| match request.path.as_str() {
        "/app/installations/1/access_tokens" => {
            json(401, r#"{"message":"A JSON web token could not be decoded"}"#)
        }
        "/app/installations/2/access_tokens" => json(201, r#"{"token":"hunter2""#),
        _ => Response::new(307, "").header("location", elsewhere.clone()),
    });
    for (id, expected) in [
        ("1", "401 A JSON web token could not be decoded []"),
        ("2", "the answer is not the JSON that it should be"),
        ("3", "307  []"),
    ] {
        let mut data = data(&key.private, &server.url(""));
        data.installation_id = id.to_owned();
        let error = App::new(&data).unwrap().login(&transport()).await.unwrap_err();
        let base = server.url("/");
        assert_eq!(
            error.to_string(),
            format!("POST {base}app/installations/{id}/access_tokens: {expected}")
        );
    }
}

#[test]
fn faults_of_the_secret_have_the_words_of_the_reference() {
    let Some(key) = key() else { return };
    let good = || AppData {
        installation_id: "7".to_owned(),
        ..data(&key.private, "")
    };
    let with = |change: fn(&mut AppData)| {
        let mut data = good();
        change(&mut data);
        App::new(&data).map(drop).unwrap_err().to_string()
    };
    assert!(App::new(&good()).is_ok());
    let suffix = "must be provided to use github app authentication";
    assert_eq!(with(|data| data.id = "0".to_owned()), format!("app ID {suffix}"));
    assert_eq!(with(|data| data.id = "x".to_owned()), format!("app ID {suffix}"));
    assert_eq!(
        with(|data| data.installation_id.clear()),
        format!("app installation owner or ID {suffix}")
    );
    assert_eq!(
        with(|data| data.installation_owner = "o".to_owned()),
        format!("only one of app installation owner or ID {suffix}")
    );
    assert_eq!(
        with(|data| data.private_key = Secret::new(Vec::new())),
        format!("private key {suffix}")
    );
    assert_eq!(
        with(|data| data.private_key = Secret::new(b"hunter2".to_vec())),
        "could not parse private key: the private key is not an RSA key in PEM"
    );
    for url in ["ftp://h/", "https://", "://"] {
        let data = AppData {
            base_url: url.to_owned(),
            ..good()
        };
        let error = App::new(&data).unwrap_err().to_string();
        assert!(error.starts_with("invalid API URL: "), "{url}: {error}");
    }
}
