//! Clusters of clouds whose services are on the loopback interface: where a cluster is is looked up, and it is asked over TLS, with a token
//! of the kind that it takes.

use super::tests::{Asked, broker, cluster_with_account, parse};
use super::*;
use ferro_testkit::http::{Response, Server};
use ferro_testkit::tls::{Authority, server_config};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

const EKS: &str = "arn:aws:eks:eu-west-1:123456789012:cluster/prod";
const AKS: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/prod";
const GKE: &str = "projects/p/locations/europe-west1/clusters/prod";

/// An API server that has a certificate of its own authority, and lets in who has a certain token.
struct ApiServer {
    server: Server,
    ca: String,
}

impl ApiServer {
    fn start(is_known: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        // Fails where another test has done it.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let authority = Authority::new("cluster");
        let server = Server::start_tls(server_config(&authority.server(&[]), None), move |request| {
            let token = request.header("authorization").strip_prefix("Bearer ");
            let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "there" } });
            match token.is_some_and(&is_known) {
                true => Response::new(200, map.to_string()),
                false => Response::new(401, ""),
            }
        });
        let ca = authority.pem();
        Self { server, ca }
    }

    fn encoded_ca(&self) -> Value {
        serde_json::to_value(ByteString(self.ca.clone().into_bytes())).unwrap()
    }

    fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: a\n  cluster: {{server: '{}', certificate-authority-data: {}}}\n",
            self.server.url(""),
            self.encoded_ca()
        )
    }
}

/// Connects as a ConfigMap says, and reads something there.
async fn ask(broker: &Broker, data: &[(&str, &str)]) -> Result<(), String> {
    let description = parse(data, broker)?;
    let client = broker.connect(description, "test", &Metrics::default()).await;
    let client = client.map_err(|error| error.to_string())?;
    let maps: kube::Api<ConfigMap> = kube::Api::namespaced(client, "x");
    let map = maps.get("there").await.map_err(|error| error.to_string())?;
    assert_eq!(map.metadata.name.as_deref(), Some("there"));
    Ok(())
}

fn answer(body: &Value) -> Response {
    Response::new(200, body.to_string()).header("content-type", "application/json")
}

/// The text of unpadded base64 for URLs.
fn unpacked(text: &str) -> Option<String> {
    let mut text = text.replace('-', "+").replace('_', "/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    decode(&text)
}

#[tokio::test]
async fn eks_cluster_is_asked_with_a_signed_question() {
    let question = |token: &str| unpacked(token.strip_prefix("k8s-aws-v1.")?);
    let prod = ApiServer::start(move |token| {
        let asked = question(token).unwrap_or_default();
        let is_signed = asked.contains("X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature=");
        let who = "&X-Amz-Credential=AKID%2F";
        let session = "&X-Amz-Security-Token=session&";
        asked.starts_with("http://127.0.0.1:")
            && asked.contains("/?Action=GetCallerIdentity&Version=2011-06-15&")
            && asked.contains("%2Feu-west-1%2Fsts%2Faws4_request&")
            && asked.contains("&X-Amz-Expires=900&")
            && asked.contains(who)
            && asked.contains(session)
            && is_signed
    });
    let described = json!({ "cluster": { "endpoint": prod.server.url(""), "certificateAuthority": { "data": prod.encoded_ca() } } });
    let aws = Server::start(move |request| match request.path.as_str() {
        "/" => {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            for part in [
                "Action=AssumeRoleWithWebIdentity",
                "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fflux",
                "RoleSessionName=deployer.apps.eu-west-1.fluxcd.io",
                "WebIdentityToken=hunter2",
            ] {
                assert!(form.contains(part), "{form}");
            }
            let credentials = "<Credentials><AccessKeyId>AKID</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
                 <SessionToken>session</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>";
            let root = "AssumeRoleWithWebIdentityResponse";
            Response::new(200, format!("<{root}>{credentials}</{root}>"))
        }
        "/clusters/prod" => {
            let authorization = request.header("authorization");
            assert!(
                authorization.contains("/eu-west-1/eks/aws4_request, "),
                "{authorization}"
            );
            assert_eq!(request.header("x-amz-security-token"), "session");
            answer(&described)
        }
        other => panic!("{other}"),
    });
    let role = json!({ "eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/flux" });
    let (accounts, asked) = cluster_with_account(&role);
    let mut broker = broker(accounts);
    broker.environment = Environment::of(&[("AWS_ENDPOINT_URL", &aws.url(""))]);
    let data = [
        ("provider", "aws"),
        ("cluster", EKS),
        ("serviceAccountName", "deployer"),
    ];
    ask(&broker, &data).await.unwrap();
    assert!(
        asked
            .lock()
            .unwrap()
            .iter()
            .all(|it| *it == json!(["sts.amazonaws.com"]))
    );

    let elsewhere = [data[0], data[1], data[2], ("address", "https://evil.example.com")];
    let expected = format!(
        "cluster {EKS} does not match specified address 'https://evil.example.com'. cluster addresses: ['{}']",
        prod.server.url("")
    );
    assert_eq!(ask(&broker, &elsewhere).await, Err(expected));
}

/// Azure's token service and API for resources, with two kubeconfigs; `profile` says which identities the cluster knows.
fn azure(kubeconfigs: Vec<String>, profile: Value) -> Server {
    Server::start(move |request| {
        if request.path == "/tenant/oauth2/v2.0/token" {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            assert!(
                form.contains("client_assertion=hunter2") && form.contains("client_id=client"),
                "{form}"
            );
            let token = match form.contains("scope=6dae42f8-4368-4678-94ff-3960e28e3630%2F.default") {
                true => "for-aks",
                false => "for-arm",
            };
            return answer(&json!({ "access_token": token, "expires_in": 3600 }));
        }
        assert_eq!(request.header("authorization"), "Bearer for-arm");
        assert_eq!(request.query, "api-version=2025-05-01");
        match (request.method.as_str(), request.path.strip_prefix(AKS)) {
            ("GET", Some("")) => answer(&json!({ "properties": { "aadProfile": profile } })),
            ("POST", Some("/listClusterUserCredential")) => {
                let texts = kubeconfigs
                    .iter()
                    .map(|text| ByteString(text.clone().into_bytes()));
                let texts: Vec<Value> = texts
                    .map(|text| json!({ "name": "clusterUser", "value": text }))
                    .collect();
                answer(&json!({ "kubeconfigs": texts }))
            }
            other => panic!("{other:?}"),
        }
    })
}

/// A broker for whom Azure is this server, by a file in the folder.
fn in_azure(azure: &Server, folder: &tempfile::TempDir) -> Broker {
    let file = folder.path().join("cloud.json");
    let cloud =
        json!({ "resourceManagerEndpoint": azure.url("/"), "tokenAudience": "https://management.example" });
    std::fs::write(&file, cloud.to_string()).unwrap();
    let annotations = json!({ "azure.workload.identity/client-id": "client", "azure.workload.identity/tenant-id": "tenant" });
    let mut broker = broker(cluster_with_account(&annotations).0);
    broker.environment = Environment::of(&[
        ("AZURE_AUTHORITY_HOST", &azure.url("/")),
        ("AZURE_ENVIRONMENT_FILEPATH", file.to_str().unwrap()),
    ]);
    broker
}

#[tokio::test]
async fn aks_cluster_is_found_among_its_addresses() {
    let first = ApiServer::start(|token| token == "for-aks");
    let second = ApiServer::start(|token| token == "for-aks");
    let folder = tempfile::tempdir().unwrap();
    let azure = azure(
        vec![first.kubeconfig(), second.kubeconfig()],
        json!({ "managed": true }),
    );
    let broker = in_azure(&azure, &folder);
    let data = [
        ("provider", "azure"),
        ("cluster", AKS),
        ("serviceAccountName", "deployer"),
    ];
    ask(&broker, &data).await.unwrap();
    // Each has an authority of its own: this one is known only from the second kubeconfig.
    let address = second.server.url("").replace("https://", "");
    ask(&broker, &[data[0], data[1], data[2], ("address", &address)])
        .await
        .unwrap();
    let error = ask(&broker, &[data[0], data[1], data[2], ("address", "10.0.0.1")]).await;
    let error = error.unwrap_err();
    let expected = format!("cluster {AKS} does not match specified address 'https://10.0.0.1'. ");
    assert!(error.starts_with(&expected), "{error}");
    // An authority that is given stands for that of the cloud.
    let other = Authority::new("other").pem();
    let error = ask(&broker, &[data[0], data[1], data[2], ("ca.crt", &other)]).await;
    assert!(error.is_err());
}

#[tokio::test]
async fn aks_cluster_without_azures_identities_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let azure = azure(Vec::new(), Value::Null);
    let broker = in_azure(&azure, &folder);
    let data = [
        ("provider", "azure"),
        ("cluster", AKS),
        ("serviceAccountName", "deployer"),
    ];
    let expected = format!("AKS cluster {AKS} does not have Microsoft Entra ID integration enabled");
    assert_eq!(ask(&broker, &data).await, Err(expected));
}

const POOL: &str = "projects/1/locations/global/workloadIdentityPools/p/providers/q";
const ROBOT: &str = "flux@acme.iam.gserviceaccount.com";
/// As Google's API for tokens of service accounts has the robot's.
const ROBOT_TOKEN: &str =
    "/v1/projects/-/serviceAccounts/flux%40acme.iam.gserviceaccount.com:generateAccessToken";

/// Google with the cluster `prod` at `endpoint`: tokens for `audience` alone are exchanged, for `scope` alone, and the robot is acted as by
/// those who come with what they were exchanged for. Who gets in is who has the token `opens`.
fn google(prod: &ApiServer, audience: &'static str, scope: &'static str, opens: &'static str) -> Server {
    let endpoint = prod.server.address().to_string();
    let described =
        json!({ "endpoint": endpoint, "masterAuth": { "clusterCaCertificate": prod.encoded_ca() } });
    Server::start(move |request| match request.path.as_str() {
        "/computeMetadata/v1/project/project-id" => Response::new(200, "acme"),
        "/computeMetadata/v1/instance/attributes/cluster-location" => Response::new(200, "europe-west1"),
        "/computeMetadata/v1/instance/attributes/cluster-name" => Response::new(200, "here"),
        "/v1/token" => {
            let form: BTreeMap<String, String> =
                url::form_urlencoded::parse(&request.body).into_owned().collect();
            let expected = [
                ("audience", audience),
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                (
                    "requested_token_type",
                    "urn:ietf:params:oauth:token-type:access_token",
                ),
                ("scope", scope),
                ("subject_token", "hunter2"),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ];
            let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
            assert_eq!(form, expected.into());
            answer(&json!({ "access_token": "federated", "expires_in": 3600, "token_type": "Bearer" }))
        }
        ROBOT_TOKEN => {
            assert_eq!(request.header("authorization"), "Bearer federated");
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(
                body,
                json!({ "lifetime": "3600s", "scope": PLATFORM.split(' ').collect::<Vec<_>>() })
            );
            answer(&json!({ "accessToken": "robot", "expireTime": "2999-01-01T00:00:00Z" }))
        }
        "/v1/projects/p/locations/europe-west1/clusters/prod" => {
            assert_eq!(request.header("authorization"), format!("Bearer {opens}"));
            answer(&described)
        }
        other => panic!("{other}"),
    })
}

const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
const PLATFORM: &str =
    "https://www.googleapis.com/auth/cloud-platform https://www.googleapis.com/auth/userinfo.email";

/// A broker for whom Google is this server, and who asks as the ServiceAccount with these annotations.
fn in_google(google: &Server, annotations: &Value) -> (Broker, Asked) {
    let (accounts, asked) = cluster_with_account(annotations);
    let mut broker = broker(accounts);
    broker.environment = Environment::of(&[
        ("GCE_METADATA_HOST", &google.address().to_string()),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER", &google.url("/")),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_STS", &google.url("/")),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", &google.url("/")),
    ]);
    (broker, asked)
}

const AS_DEPLOYER: [(&str, &str); 3] = [
    ("provider", "gcp"),
    ("cluster", GKE),
    ("serviceAccountName", "deployer"),
];

#[tokio::test]
async fn gke_cluster_is_asked_as_the_robot_that_an_account_stands_for() {
    const AUDIENCE: &str =
        "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q";
    let prod = ApiServer::start(|token| token == "robot");
    let google = google(&prod, AUDIENCE, CLOUD_PLATFORM, "robot");
    let annotations = json!({ "gcp.auth.fluxcd.io/workload-identity-provider": POOL,
        "iam.gke.io/gcp-service-account": ROBOT });
    let (broker, asked) = in_google(&google, &annotations);
    ask(&broker, &AS_DEPLOYER).await.unwrap();
    // Where the cluster is, and the token for it.
    assert_eq!(*asked.lock().unwrap(), [json!([AUDIENCE]), json!([AUDIENCE])]);
}

#[tokio::test]
async fn gke_cluster_is_asked_by_an_account_that_stands_for_itself() {
    const AUDIENCE: &str = "identitynamespace:acme.svc.id.goog:https://container.googleapis.com/v1/projects/acme/locations/europe-west1/clusters/here";
    let prod = ApiServer::start(|token| token == "federated");
    let google = google(&prod, AUDIENCE, PLATFORM, "federated");
    let (broker, asked) = in_google(&google, &json!({}));
    ask(&broker, &AS_DEPLOYER).await.unwrap();
    // Within Google's clusters a token is for the pool, and exchanged for one of the cluster.
    let pool = json!(["acme.svc.id.goog"]);
    assert!(asked.lock().unwrap().iter().all(|it| *it == pool));
}

#[tokio::test]
async fn annotations_for_google_are_checked_before_a_token_is_made() {
    let prod = ApiServer::start(|_| false);
    let google = google(&prod, "", "", "");
    let refused = async |annotations: Value| {
        let (broker, asked) = in_google(&google, &annotations);
        let error = ask(&broker, &AS_DEPLOYER).await.unwrap_err();
        assert!(asked.lock().unwrap().is_empty());
        error
    };
    assert_eq!(
        refused(json!({ "gcp.auth.fluxcd.io/workload-identity-provider": "q" })).await,
        r"failed to get provider audience: invalid gcp.auth.fluxcd.io/workload-identity-provider annotation: 'q'. must match ^projects/\d{1,30}/locations/global/workloadIdentityPools/[^/]{1,100}/providers/[^/]{1,100}$"
    );
    let error = refused(json!({ "gcp.auth.fluxcd.io/workload-identity-provider": POOL,
        "iam.gke.io/gcp-service-account": "flux@evil.example.com" }))
    .await;
    let expected = "failed to get provider identity from service account 'apps/deployer' annotations: invalid iam.gke.io/gcp-service-account annotation: 'flux@evil.example.com'. ";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn refusal_of_googles_token_service_names_the_account() {
    let google = Server::start(|request| match request.path.as_str() {
        "/v1/token" => answer(&json!({ "access_token": "federated", "expires_in": 3600 })),
        ROBOT_TOKEN => Response::new(
            403,
            r#"{"error":{"code":403,"message":"Permission 'iam.serviceAccounts.getAccessToken' denied","status":"PERMISSION_DENIED"}}"#,
        ),
        other => panic!("{other}"),
    });
    let annotations = json!({ "gcp.auth.fluxcd.io/workload-identity-provider": POOL,
        "iam.gke.io/gcp-service-account": ROBOT });
    let (broker, _) = in_google(&google, &annotations);
    assert_eq!(
        ask(&broker, &AS_DEPLOYER).await.unwrap_err(),
        "failed to create provider access token for service account 'apps/deployer': Google service account impersonation: 403 Forbidden: Permission 'iam.serviceAccounts.getAccessToken' denied"
    );
}

#[tokio::test]
async fn gke_cluster_is_asked_with_the_token_of_the_controller() {
    let prod = ApiServer::start(|token| token == "for-google");
    let endpoint = prod.server.address().to_string();
    let described =
        json!({ "endpoint": endpoint, "masterAuth": { "clusterCaCertificate": prod.encoded_ca() } });
    let google = Server::start(move |request| match request.path.as_str() {
        "/computeMetadata/v1/instance/service-accounts/default/token" => {
            answer(&json!({ "access_token": "for-google", "expires_in": 3599, "token_type": "Bearer" }))
        }
        "/v1/projects/p/locations/europe-west1/clusters/prod" => {
            assert_eq!(request.header("authorization"), "Bearer for-google");
            answer(&described)
        }
        other => panic!("{other}"),
    });
    let (accounts, asked) = cluster_with_account(&json!({}));
    let mut broker = broker(accounts);
    broker.environment = Environment::of(&[
        ("GCE_METADATA_HOST", &google.address().to_string()),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER", &google.url("/")),
    ]);
    let data = [("provider", "gcp"), ("cluster", GKE)];
    ask(&broker, &data).await.unwrap();
    assert!(asked.lock().unwrap().is_empty());
    // What is known already is not looked up.
    let address = prod.server.url("");
    drop(google);
    let error = ask(
        &broker,
        &[data[0], data[1], ("address", &address), ("ca.crt", &prod.ca)],
    )
    .await;
    assert!(error.unwrap_err().contains("token"), "only the token is missing");
}
