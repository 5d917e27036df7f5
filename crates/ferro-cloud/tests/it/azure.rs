//! Azure: tokens for the scope that is asked for.

use ferro_cloud::Environment;
use ferro_cloud::azure::{self, Application, DEVOPS};
use ferro_cloud::registry::Azure;
use ferro_testkit::http::Server;

use super::*;

#[tokio::test]
async fn tokens_are_asked_for_in_the_scope_of_their_use() {
    let server = Server::start(|request| {
        if request.path.starts_with("/metadata/") {
            assert_eq!(request.header("metadata"), "true");
            let resource = "resource=499b84ac-1321-427f-aa17-267ca6975798";
            assert!(request.query.contains(resource), "{}", request.query);
            return json(200, r#"{"access_token":"managed","expires_in":"3600"}"#);
        }
        assert_eq!(request.path, "/tenant/oauth2/v2.0/token");
        let form = form(&request);
        if form["client_assertion"] != "jwt" {
            return json(
                401,
                r#"{"error":"invalid_client","error_description":"AADSTS700: no."}"#,
            );
        }
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        assert_eq!(form["client_assertion_type"], kind);
        assert_eq!(
            (form["client_id"].as_str(), form["scope"].as_str()),
            ("client", DEVOPS)
        );
        json(200, r#"{"access_token":"federated","expires_in":3600}"#)
    });
    let application = Application {
        tenant: "tenant".to_owned(),
        client: "client".to_owned(),
        authority: server.url("/"),
    };
    let by = async |assertion: &str| {
        let token = application
            .by_assertion(&transport(), DEVOPS, &assertion.into())
            .await;
        token
            .map(|token| token.value.expose().clone())
            .map_err(|error| error.to_string())
    };
    assert_eq!(by("jwt").await.unwrap(), "federated");
    assert_eq!(
        by("hunter2").await.unwrap_err(),
        "Microsoft Entra ID: 401 Unauthorized: invalid_client: AADSTS700: no."
    );
    let env = Environment::of(&[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &server.url(""))]);
    let token = azure::ambient(&transport(), &transport(), &env, DEVOPS, None)
        .await
        .unwrap();
    assert_eq!(token.value.expose(), "managed");
}

#[tokio::test]
async fn registries_of_another_cloud_are_known_by_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cloud.json");
    let env = Environment::of(&[("AZURE_ENVIRONMENT_FILEPATH", file.to_str().unwrap())]);
    let parse = async |text: &str, host: &str| {
        std::fs::write(&file, text).unwrap();
        let registry = Azure::parse(host, &env).await;
        registry
            .map(|registry| registry.scope().to_owned())
            .map_err(|error| error.to_string())
    };
    let whole = r#"{"containerRegistryDNSSuffix":"azurecr.example","resourceManagerEndpoint":"https://rm.example","tokenAudience":"https://rm.example"}"#;
    assert_eq!(
        parse(whole, "app.azurecr.example").await.unwrap(),
        "https://rm.example/.default"
    );
    assert_eq!(
        parse(whole, "ghcr.io").await.unwrap_err(),
        "invalid Azure registry: 'ghcr.io'. must end with azurecr.example"
    );
    assert_eq!(
        parse(
            r#"{"containerRegistryDNSSuffix":"azurecr.example"}"#,
            "app.azurecr.example"
        )
        .await
        .unwrap_err(),
        "resourceManagerEndpoint and tokenAudience must be set in the environment file"
    );
    assert!(
        parse("{", "app.azurecr.io")
            .await
            .unwrap_err()
            .starts_with("failed to parse")
    );
}
