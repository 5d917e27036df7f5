//! AWS: the token service, metadata servers, and logins for registries.

use ferro_cloud::aws::{self, Ambient};
use ferro_cloud::registry::Amazon;
use ferro_cloud::sigv4::{Scope, Signable, authorization};
use ferro_cloud::{AwsCredentials, Environment};
use ferro_testkit::http::Server;
use ring::digest::{SHA256, digest};

use super::*;

fn credentials(secret: &str, token: Option<&str>) -> AwsCredentials {
    AwsCredentials {
        access_key: "AKIDEXAMPLE".to_owned(),
        secret_key: secret.into(),
        session_token: token.map(Into::into),
    }
}

/// The signature that a request ought to have, made from what came over the wire.
fn expected(request: &Request, service: &str, region: &str) -> String {
    let date = request.header("x-amz-date");
    let moment = format!(
        "{}-{}-{}T{}:{}:{}Z",
        &date[..4],
        &date[4..6],
        &date[6..8],
        &date[9..11],
        &date[11..13],
        &date[13..15]
    );
    let signed = request
        .header("authorization")
        .split("SignedHeaders=")
        .nth(1)
        .unwrap();
    let names: Vec<&str> = signed.split(',').next().unwrap().split(';').collect();
    let headers: Vec<(&str, &str)> = names.iter().map(|name| (*name, request.header(name))).collect();
    let payload: String = digest(&SHA256, &request.body)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let signable = Signable {
        method: request.method.as_str(),
        path: &request.path,
        query: &request.query,
        headers: &headers,
        payload: &payload,
    };
    let scope = Scope {
        region,
        service,
        at: moment.parse().unwrap(),
    };
    assert!(
        names.contains(&"host") && names.contains(&"x-amz-target"),
        "{names:?}"
    );
    authorization(&signable, &credentials("secret", None), &scope)
}

#[tokio::test]
async fn logins_for_registries_are_asked_for_with_right_signatures() {
    let server = Server::start(|request| {
        let target = request.header("x-amz-target").to_owned();
        let (service, region) = match target.as_str() {
            "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken" => ("ecr", "eu-west-1"),
            "SpencerFrontendService.GetAuthorizationToken" => ("ecr-public", "us-east-1"),
            other => panic!("{other}"),
        };
        assert_eq!(
            (&request.body[..], request.header("content-type")),
            (&b"{}"[..], "application/x-amz-json-1.1")
        );
        if request.header("authorization") != expected(&request, service, region) {
            return json(
                400,
                r#"{"__type":"com.amazon#InvalidSignatureException","message":"The request signature does not match."}"#,
            );
        }
        assert_eq!(request.header("x-amz-security-token"), "session");
        // QVdTOmh1bnRlcjI= is AWS:hunter2
        let data = r#"{"authorizationToken":"QVdTOmh1bnRlcjI=","expiresAt":4102444800.25}"#;
        match service {
            "ecr" => json(200, &format!(r#"{{"authorizationData":[{data}]}}"#)),
            _ => json(200, &format!(r#"{{"authorizationData":{data}}}"#)),
        }
    });
    let env = Environment::of(&[("AWS_ENDPOINT_URL", &server.url(""))]);
    for host in ["123456789012.dkr.ecr.eu-west-1.amazonaws.com", "public.ecr.aws"] {
        let registry = Amazon::parse(host).unwrap();
        let known = credentials("secret", Some("session"));
        let login = registry.login(&transport(), &env, &known).await.unwrap();
        assert_eq!(
            (
                login.value.username.as_str(),
                login.value.password.expose().as_str()
            ),
            ("AWS", "hunter2")
        );
        let error = registry
            .login(&transport(), &env, &credentials("wrong", Some("session")))
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "ECR: GetAuthorizationToken: 400 Bad Request: InvalidSignatureException: The request signature does not match."
        );
    }
}

#[tokio::test]
async fn web_identity_of_the_environment_is_exchanged() {
    let server = Server::start(|request| {
        let form = form(&request);
        let expected = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("RoleArn", "arn:aws:iam::1:role/flux"),
            ("RoleSessionName", "source-controller"),
            ("Version", "2011-06-15"),
            ("WebIdentityToken", "jwt"),
        ];
        assert!(
            form.iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .eq(expected),
            "{form:?}"
        );
        let credentials = "<Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>hunter2</SecretAccessKey>\
             <SessionToken>T</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>";
        let root = "AssumeRoleWithWebIdentityResponse";
        Response::new(200, format!("<{root}>{credentials}</{root}>"))
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "jwt\n").unwrap();
    let env = Environment::of(&[
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/flux"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_STS", &server.url("/")),
    ]);
    let transport = transport();
    let ambient = Ambient {
        transport: &transport,
        metadata: &transport,
        environment: &env,
        region: Some("eu-west-1"),
        sts_endpoint: None,
    };
    let found = aws::ambient(&ambient).await.unwrap();
    assert_eq!(found.value.access_key, "A");
    assert_eq!(found.value.session_token.as_ref().unwrap().expose(), "T");
    assert!(!format!("{found:?}").contains("hunter2"));
}
