//! Logins of clouds for ServiceAccounts, against token services on the loopback interface.

use std::sync::{Arc, Mutex};

use ferro_api::source::{GitProvider, RegistryProvider};
use ferro_http::{Auth, ClientOptions, SafeUrl};
use ferro_testkit::http::{Request, Response, Server};
use serde_json::json;

use super::cloud::{Asker, Cloud};
use super::testing::Accounts;

const GATE: &str = "ObjectLevelWorkloadIdentity=true";
const ROLE: &str = "arn:aws:iam::123456789012:role/flux";
const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const CODE_COMMIT: &str = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/app";

/// A server, and the forms and targets that it was sent.
struct Services {
    server: Server,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Services {
    fn start(answer: impl Fn(&Request, &str) -> Response + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let server = Server::start(move |request| {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            let text = format!("{} {body}{}", request.path, request.header("x-amz-target"));
            log.lock().unwrap().push(text);
            answer(&request, &body)
        });
        Self { server, seen }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn asker<'a>(account: &'a str, http: &'a ClientOptions) -> Asker<'a> {
    Asker {
        namespace: "default",
        account: Some(account),
        may_be_object: true,
        http,
    }
}

fn amazon(_: &Request, body: &str) -> Response {
    if body.starts_with("Action=") {
        let credentials = "<Credentials><AccessKeyId>AKID</AccessKeyId><SecretAccessKey>hunter2</SecretAccessKey>\
             <SessionToken>session</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>";
        let root = "AssumeRoleWithWebIdentityResponse";
        return Response::new(200, format!("<{root}>{credentials}</{root}>"));
    }
    // QVdTOmh1bnRlcjI= is AWS:hunter2
    let data = r#"{"authorizationData":[{"authorizationToken":"QVdTOmh1bnRlcjI=","expiresAt":4102444800}]}"#;
    Response::new(200, data)
}

#[tokio::test]
async fn role_of_the_service_account_logs_in_to_ecr_once_and_signs_for_codecommit() {
    let (services, accounts) = (Services::start(amazon), Accounts::default());
    let env = services.server.url("");
    let cloud = Cloud::for_test(accounts.client(), &[("AWS_ENDPOINT_URL", &env)], GATE);
    let http = ClientOptions::default();
    accounts.annotate(json!({ "eks.amazonaws.com/role-arn": ROLE }));
    for _ in 0..2 {
        let login = cloud
            .registry(RegistryProvider::Aws, ECR, &asker("app", &http))
            .await;
        assert_eq!(login.unwrap(), ferro_oci::Credentials::basic("AWS", "hunter2"));
    }
    let account = "/api/v1/namespaces/default/serviceaccounts/app";
    let read = format!("GET {account}");
    let token = format!("POST {account}/token sts.amazonaws.com");
    assert_eq!(accounts.take_log(), [read.clone(), token.clone(), read.clone()]);
    let seen = services.take();
    let [exchange, login] = seen.as_slice() else {
        panic!("{seen:?}");
    };
    for part in [
        "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fflux",
        "RoleSessionName=app.default.eu-west-1.fluxcd.io",
        "WebIdentityToken=jwt+for+sts.amazonaws.com",
    ] {
        assert!(exchange.contains(part), "{exchange}");
    }
    assert!(
        login.ends_with("AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"),
        "{login}"
    );

    // The credentials of the role are there already; a signature needs no request.
    let url = SafeUrl::parse(CODE_COMMIT).unwrap();
    let auth = cloud
        .git(GitProvider::Aws, &url, &asker("app", &http))
        .await
        .unwrap();
    let Some(Auth::Basic { username, password }) = auth else {
        panic!("no login");
    };
    assert_eq!(username, "AKID%session");
    assert_eq!(password.expose().len(), "20150830T123600Z".len() + 64);
    assert_eq!(services.take(), Vec::<String>::new());

    // Another role is another identity: what was got for the first does not count.
    accounts.annotate(json!({ "eks.amazonaws.com/role-arn": format!("{ROLE}-2") }));
    cloud
        .git(GitProvider::Aws, &url, &asker("app", &http))
        .await
        .unwrap();
    assert_eq!(services.take().len(), 1);
}

#[tokio::test]
async fn federated_application_of_the_service_account_is_a_bearer_at_azure_devops() {
    let services = Services::start(|request, body| {
        assert_eq!(request.path, "/tenant/oauth2/v2.0/token");
        let refused = r#"{"error":"invalid_client","error_description":"AADSTS700: no."}"#;
        if body.contains("client_id=other") {
            return Response::new(401, refused);
        }
        Response::new(200, r#"{"access_token":"hunter2","expires_in":3600}"#)
    });
    let accounts = Accounts::default();
    let env = services.server.url("/");
    let cloud = Cloud::for_test(accounts.client(), &[("AZURE_AUTHORITY_HOST", &env)], GATE);
    let http = ClientOptions::default();
    let url = SafeUrl::parse("https://dev.azure.com/org/project/_git/app").unwrap();
    let login = async |url: &SafeUrl| cloud.git(GitProvider::Azure, url, &asker("app", &http)).await;
    let annotations = |client: &str| json!({ "azure.workload.identity/client-id": client, "azure.workload.identity/tenant-id": "tenant" });
    accounts.annotate(annotations("client"));
    let Ok(Some(Auth::Bearer(token))) = login(&url).await else {
        panic!("no token");
    };
    assert_eq!(token.expose(), "hunter2");
    let seen = services.take();
    let scope = "scope=499b84ac-1321-427f-aa17-267ca6975798%2F.default";
    assert!(seen.len() == 1 && seen[0].contains(scope), "{seen:?}");
    assert!(
        seen[0].contains("client_assertion=jwt+for+api%3A%2F%2FAzureADTokenExchange"),
        "{seen:?}"
    );

    let what = "failed to get access token for Git repository";
    let id = "service account 'default/app'";
    accounts.annotate(annotations("other"));
    assert_eq!(
        login(&url).await.unwrap_err(),
        format!(
            "{what}: failed to create provider access token for {id}: Microsoft Entra ID: 401 Unauthorized: invalid_client: AADSTS700: no."
        )
    );
    accounts.annotate(json!({}));
    assert_eq!(
        login(&url).await.unwrap_err(),
        format!(
            "{what}: failed to get provider identity from {id} annotations: azure tenant ID is not set in the service account annotation \
             azure.workload.identity/tenant-id"
        )
    );
    let plain = SafeUrl::parse("http://dev.azure.com/org/project/_git/app").unwrap();
    accounts.annotate(annotations("client"));
    assert_eq!(
        login(&plain).await.unwrap_err(),
        "Azure DevOps authentication requires an HTTPS Git URL"
    );
}

#[tokio::test]
async fn registries_of_others_and_missing_accounts_are_refused_before_anything_is_asked() {
    let (services, accounts) = (Services::start(amazon), Accounts::default());
    let env = services.server.url("");
    let cloud = Cloud::for_test(accounts.client(), &[("AWS_ENDPOINT_URL", &env)], GATE);
    let http = ClientOptions::default();
    for (provider, start) in [
        (
            RegistryProvider::Aws,
            "invalid AWS registry: 'ghcr.io'. must match ",
        ),
        (
            RegistryProvider::Azure,
            "invalid Azure registry: 'ghcr.io'. must match ",
        ),
        (
            RegistryProvider::Gcp,
            "invalid GCP registry: 'ghcr.io'. must match ",
        ),
    ] {
        let error = cloud
            .registry(provider, "ghcr.io", &asker("app", &http))
            .await
            .unwrap_err();
        assert!(error.starts_with(start), "{error}");
    }
    let url = SafeUrl::parse("https://github.com/org/app").unwrap();
    let error = cloud
        .git(GitProvider::Aws, &url, &asker("app", &http))
        .await
        .unwrap_err();
    assert_eq!(error, "invalid AWS CodeCommit Git URL: github.com");
    let error = cloud
        .registry(RegistryProvider::Aws, ECR, &asker("gone", &http))
        .await
        .unwrap_err();
    assert_eq!(
        error,
        "failed to get access token for artifact registry: failed to get service account 'default/gone': not found"
    );
    let error = cloud
        .registry(RegistryProvider::Aws, ECR, &asker("app", &http))
        .await
        .unwrap_err();
    assert_eq!(
        error,
        "failed to get access token for artifact registry: failed to get provider identity from service account 'default/app' \
         annotations: invalid eks.amazonaws.com/role-arn annotation: ''. must match ^arn:aws[\\w-]*:iam::[0-9]{1,30}:role/.{1,200}$"
    );
    assert_eq!(services.take(), Vec::<String>::new());
}

#[tokio::test]
async fn default_account_stands_for_objects_that_name_none_where_they_may_have_one() {
    let (services, accounts) = (Services::start(amazon), Accounts::default());
    let env = [
        ("AWS_ENDPOINT_URL", services.server.url("")),
        ("AWS_ACCESS_KEY_ID", "OWN".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "hunter2".to_owned()),
    ];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut cloud = Cloud::for_test(accounts.client(), &env, GATE);
    accounts.annotate(json!({ "eks.amazonaws.com/role-arn": ROLE }));
    let (http, url) = (ClientOptions::default(), SafeUrl::parse(CODE_COMMIT).unwrap());
    let user = async |cloud: &Cloud, may_be_object: bool| {
        let asker = Asker {
            account: None,
            may_be_object,
            ..asker("", &http)
        };
        match cloud.git(GitProvider::Aws, &url, &asker).await.unwrap() {
            Some(Auth::Basic { username, .. }) => username,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(user(&cloud, true).await, "OWN");
    cloud.default_account = "app".to_owned();
    assert_eq!(user(&cloud, true).await, "AKID%session");
    assert_eq!(user(&cloud, false).await, "OWN");
}
