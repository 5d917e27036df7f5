//! How the storage is reached: token services, certificates, proxies.

use ferro_api::meta::LocalObjectReference;
use ferro_api::source::{BucketSts, StsProvider};
use ferro_testkit::tls::{Authority, server_config};

use super::storage::error;
use super::*;

fn reference(name: &str) -> Option<LocalObjectReference> {
    Some(LocalObjectReference {
        name: name.to_owned(),
    })
}

/// A token service of MinIO, over TLS with a certificate that nobody knows.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_an_ldap_token_service_sign() {
    let authority = Authority::new("ours");
    let config = server_config(&authority.server(&["127.0.0.1"]), None);
    let service = Server::start_tls(config, |request| {
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(&request.body).into_owned().collect();
        assert_eq!(form["Action"], "AssumeRoleWithLDAPIdentity");
        if (form["LDAPUsername"].as_str(), form["LDAPPassword"].as_str()) != ("me", "hunter2") {
            return Response::new(403, "");
        }
        let root = "AssumeRoleWithLDAPIdentityResponse";
        Response::new(
            200,
            format!(
                "<{root}><Credentials><AccessKeyId>LDAPKEY</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
                 <SessionToken>session</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>\
                 </Credentials></{root}>"
            ),
        )
    });
    let pem = authority.pem();
    let secrets: [(&str, &[(&str, &str)]); 3] = [
        ("ldap", &[("username", "me"), ("password", "hunter2")]),
        ("wrong", &[("username", "me"), ("password", "hunter3")]),
        ("authority", &[("ca.crt", &pem)]),
    ];
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&secrets));
    s3.put("a.yaml", "a: 1\n");
    s3.instead(|request| {
        let is_signed = request.header("authorization").contains("Credential=LDAPKEY/")
            && request.header("x-amz-security-token") == "session";
        (!is_signed).then(|| error(403, "AccessDenied", "Access Denied."))
    });
    let mut object = bucket(&s3.endpoint());
    let sts = |secret: &str, certificates: Option<LocalObjectReference>| BucketSts {
        cert_secret_ref: certificates,
        endpoint: service.url(""),
        provider: StsProvider::Ldap,
        secret_ref: reference(secret),
    };
    for refused in [sts("ldap", None), sts("wrong", reference("authority"))] {
        object.spec.sts = Some(refused);
        assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
    }
    object.spec.sts = Some(sts("ldap", reference("authority")));
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let told = format!("{:?} {object:?}", bench.events());
    assert!(!told.contains("hunter"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_the_secret_are_trusted_and_presented() {
    let authority = Authority::new("ours");
    let client = authority.client("source-controller");
    let config = server_config(&authority.server(&["127.0.0.1"]), Some(&authority.pem()));
    let pem = authority.pem();
    let own = [
        ("tls.crt", client.certificate.as_str()),
        ("tls.key", client.key.as_str()),
    ];
    let all = [("ca.crt", pem.as_str()), own[0], own[1]];
    let (s3, mut bench) = (
        FakeS3::start_tls(config),
        Bench::new(&[("authority", &all[..1]), ("certificates", &all), ("own", &own)]),
    );
    s3.put("a.yaml", "a: 1\n");
    let mut object = bucket(&s3.endpoint());
    object.spec.insecure = false;
    // Not trusted, not presented, and each with the other half only.
    for name in [None, reference("authority"), reference("own")] {
        object.spec.cert_secret_ref = name;
        assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
    }
    assert!(s3.seen().is_empty(), "the storage was asked without them");
    object.spec.cert_secret_ref = reference("certificates");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert!(object.artifact().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_of_the_secret_is_asked_in_place_of_the_storage() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&asked);
    let proxy = Server::start(move |request| {
        log.lock()
            .unwrap()
            .push(request.header("proxy-authorization").to_owned());
        Response::new(502, "")
    });
    let (address, empty) = (proxy.url(""), [("username", "me")]);
    let entries = [
        ("address", address.as_str()),
        ("username", "me"),
        ("password", "hunter2"),
    ];
    let (s3, mut bench) = (
        FakeS3::new(),
        Bench::new(&[("proxy", &entries), ("empty", &empty)]),
    );
    s3.put("a.yaml", "a: 1\n");
    let mut object = bucket(&s3.endpoint());
    object.spec.proxy_secret_ref = reference("proxy");
    assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
    // `me:hunter2`
    assert_eq!(asked.lock().unwrap()[0], "Basic bWU6aHVudGVyMg==");
    object.spec.proxy_secret_ref = reference("empty");
    assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
    assert!(s3.seen().is_empty(), "the storage was asked past the proxy");
    let told = format!("{:?} {object:?}", bench.events());
    assert!(
        told.contains("failed to get proxy URL") && !told.contains("hunter"),
        "{told}"
    );
    object.spec.proxy_secret_ref = None;
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
}
