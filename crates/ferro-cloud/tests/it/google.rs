//! Google: the metadata server, federated identities and accounts that they act as.

use ferro_cloud::Environment;
use ferro_cloud::gcp::{self, Federation, PLATFORM};
use ferro_testkit::http::Server;

use super::*;

const SCOPES: &str =
    "https://www.googleapis.com/auth/cloud-platform https://www.googleapis.com/auth/userinfo.email";

#[tokio::test]
async fn federated_tokens_are_exchanged_and_used_to_act_as_an_account() {
    let server = Server::start(|request| match request.path.as_str() {
        "/token" => {
            let form = form(&request);
            if form["subject_token"] != "jwt" {
                return json(400, r#"{"error":"invalid_grant","error_description":"no."}"#);
            }
            let direct = form["audience"] == "//direct";
            let scope = if direct {
                SCOPES
            } else {
                "https://www.googleapis.com/auth/cloud-platform"
            };
            assert_eq!(form["scope"], scope);
            json(200, r#"{"access_token":"federated","expires_in":3600}"#)
        }
        "/impersonate" => {
            assert_eq!(request.header("authorization"), "Bearer federated");
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(body["scope"], serde_json::json!(PLATFORM));
            json(
                200,
                r#"{"accessToken":"account","expireTime":"2999-01-01T00:00:00Z"}"#,
            )
        }
        other => panic!("{other}"),
    });
    let federation = |audience: &str, impersonation_url: String| Federation {
        audience: audience.to_owned(),
        token_url: server.url("/token"),
        impersonation_url,
    };
    let direct = federation("//direct", String::new());
    let token = direct
        .exchange(&transport(), PLATFORM, &"jwt".into())
        .await
        .unwrap();
    assert_eq!(token.value.expose(), "federated");
    let acting = federation("//acting", server.url("/impersonate"));
    let token = acting
        .exchange(&transport(), PLATFORM, &"jwt".into())
        .await
        .unwrap();
    assert_eq!(token.value.expose(), "account");
    let error = direct
        .exchange(&transport(), PLATFORM, &"hunter2".into())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Google token exchange: 400 Bad Request: invalid_grant: no."
    );
}

#[tokio::test]
async fn metadata_server_gives_tokens_and_names_the_cluster() {
    let server = Server::start(|request| {
        assert_eq!(request.header("metadata-flavor"), "Google");
        match request.path.strip_prefix("/computeMetadata/v1/").unwrap() {
            "instance/service-accounts/default/token" => {
                assert!(
                    request.query.starts_with("scopes=https%3A%2F%2F"),
                    "{}",
                    request.query
                );
                assert!(request.query.contains("%2C"), "{}", request.query);
                json(
                    200,
                    r#"{"access_token":"t","expires_in":3599,"token_type":"Bearer"}"#,
                )
            }
            "project/project-id" => Response::new(200, "acme\n"),
            "instance/attributes/cluster-location" => Response::new(200, "europe-west1"),
            "instance/attributes/cluster-name" => Response::new(200, "prod"),
            _ => Response::new(404, ""),
        }
    });
    let host = server.url("").trim_start_matches("http://").to_owned();
    let env = Environment::of(&[("GCE_METADATA_HOST", &host)]);
    let token = gcp::ambient(&transport(), &transport(), &env, PLATFORM)
        .await
        .unwrap();
    assert_eq!(token.value.expose(), "t");
    let cluster = gcp::cluster(&transport(), &env).await.unwrap();
    assert_eq!(cluster.pool, "acme.svc.id.goog");
    assert_eq!(
        cluster.audience,
        "identitynamespace:acme.svc.id.goog:https://container.googleapis.com/v1/projects/acme/locations/europe-west1/clusters/prod"
    );
}
