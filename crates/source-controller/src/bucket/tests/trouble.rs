//! What fails: access, the storage, the content.

use ferro_api::meta::LocalObjectReference;
use ferro_api::source::{BucketSts, StsProvider};

use super::storage::error;
use super::*;
use crate::auth::testing::Accounts;

fn reference(name: &str) -> Option<LocalObjectReference> {
    Some(LocalObjectReference {
        name: name.to_owned(),
    })
}

fn failed(message: &str) -> Outcome {
    Outcome::Backoff {
        error: message.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_secret_sign_and_are_never_told() {
    let keys: &[(&str, &str)] = &[("accesskey", "AKIDEXAMPLE"), ("secretkey", "hunter2")];
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[("keys", keys)]));
    s3.put("a.yaml", "a: 1\n");
    s3.instead(|request| {
        let authorization = request.header("authorization");
        let is_signed = authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
            && authorization.contains("/eu-west-1/s3/");
        (!is_signed).then(|| error(403, "AccessDenied", "Access Denied."))
    });
    let mut object = bucket(&s3.endpoint());
    let denied = "failed to confirm existence of 'podinfo' bucket: Access Denied.";
    assert_eq!(bench.pass(&mut object).await, failed(denied));
    assert_eq!(conditions_of(&object), FETCH_FAILED);
    assert_eq!(bench.events(), [format!("error BucketOperationFailed {denied}")]);
    object.spec.secret_ref = reference("keys");
    object.spec.region = Some("eu-west-1".to_owned());
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    let text = format!("{:?} {object:?}", bench.events());
    assert!(!text.contains("hunter"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn role_of_the_service_account_signs_for_the_bucket() {
    let (accounts, exchanges) = (Accounts::default(), Arc::new(Mutex::new(Vec::new())));
    let log = Arc::clone(&exchanges);
    let sts = Server::start(move |request| {
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(&request.body).into_owned().collect();
        assert_eq!(form["RoleSessionName"], "app.default.eu-west-1.fluxcd.io");
        let role = form["RoleArn"].rsplit('/').next().unwrap().to_owned();
        let credentials = format!(
            "<Credentials><AccessKeyId>{role}</AccessKeyId><SecretAccessKey>hunter2</SecretAccessKey>\
             <SessionToken>session</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>"
        );
        log.lock().unwrap().push(role);
        let root = "AssumeRoleWithWebIdentityResponse";
        Response::new(200, format!("<{root}>{credentials}</{root}>"))
    });
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[]));
    let address = sts.url("");
    let gate = "ObjectLevelWorkloadIdentity=true";
    bench.reconciler.options.cloud =
        Cloud::for_test(accounts.client(), &[("AWS_ENDPOINT_URL_STS", &address)], gate);
    s3.put("a.yaml", "a: 1\n");
    let signers = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&signers);
    s3.instead(move |request| {
        assert_eq!(request.header("x-amz-security-token"), "session");
        let authorization = request.header("authorization").to_owned();
        let signer = authorization
            .split(['=', '/'])
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        seen.lock().unwrap().push(signer);
        None
    });
    let mut object = bucket(&s3.endpoint());
    object.spec.provider = Some(BucketProvider::Aws);
    object.spec.region = Some("eu-west-1".to_owned());
    object.spec.service_account_name = Some("app".to_owned());
    // Another role counts at once, whatever was got for the first.
    for role in ["one", "one", "two"] {
        let arn = format!("arn:aws:iam::123456789012:role/{role}");
        accounts.annotate(json!({ "eks.amazonaws.com/role-arn": arn }));
        assert_eq!(bench.pass(&mut object).await, Outcome::Done);
        assert_eq!(conditions_of(&object), READY);
    }
    assert_eq!(*exchanges.lock().unwrap(), ["one", "two"]);
    let mut signers = signers.lock().unwrap().clone();
    signers.dedup();
    assert_eq!(signers, ["one", "two"]);
    assert!(!format!("{:?} {object:?}", bench.events()).contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_secrets_and_of_the_spec_are_named() {
    let half: &[(&str, &str)] = &[("accesskey", "x")];
    let s3 = FakeS3::new();
    let mut bench = Bench::new(&[("half", half)]);
    let sts = |provider, endpoint: &str| {
        Some(BucketSts {
            provider,
            endpoint: endpoint.to_owned(),
            ..BucketSts::default()
        })
    };
    let mut cases = Vec::new();
    let mut case = |change: &dyn Fn(&mut BucketSpec), reason: &'static str, start: &'static str| {
        let mut object = bucket(&s3.endpoint());
        change(&mut object.spec);
        cases.push((object, reason, start));
    };
    let denied = "AuthenticationFailed";
    case(
        &|spec| spec.secret_ref = reference("gone"),
        denied,
        "failed to get secret 'default/gone': ",
    );
    case(
        &|spec| spec.secret_ref = reference("half"),
        denied,
        "invalid 'half' secret data: required fields 'accesskey' and 'secretkey'",
    );
    case(
        &|spec| spec.proxy_secret_ref = reference("gone"),
        denied,
        "failed to get proxy URL: ",
    );
    case(
        &|spec| spec.endpoint = "not an address".to_owned(),
        denied,
        "Endpoint: not an address does not follow",
    );
    case(
        &|spec| spec.sts = sts(StsProvider::Aws, "https://sts.amazonaws.com"),
        "InvalidSTSConfiguration",
        "STS provider 'aws' is not supported for 'generic' bucket provider",
    );
    case(
        &|spec| spec.sts = sts(StsProvider::Ldap, "no address"),
        "URLInvalid",
        "failed to parse STS endpoint 'no address': ",
    );
    for (mut object, reason, start) in cases {
        let outcome = bench.pass(&mut object).await;
        let message = message_of(&object, "FetchFailed").to_owned();
        assert!(message.starts_with(start), "{message}");
        assert!(
            matches!(outcome, Outcome::Backoff { .. }) == (reason == denied),
            "{outcome:?}"
        );
        let ready = format!("Ready=False/{reason}");
        assert!(conditions_of(&object).contains(&ready), "{object:?}");
        assert_eq!(bench.events().pop(), Some(format!("error {reason} {message}")));
    }
    assert_eq!(s3.seen(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_bucket_and_failing_download_keep_the_artifact() {
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[]));
    s3.put("a.yaml", "a: 1\n");
    let mut object = bucket(&s3.endpoint());
    bench.pass(&mut object).await;
    bench.events();
    let artifact = object.artifact().unwrap().clone();

    object.spec.bucket_name = "missing".to_owned();
    assert_eq!(
        bench.pass(&mut object).await,
        failed("bucket 'missing' not found")
    );
    assert_eq!(object.artifact(), Some(&artifact));

    object.spec.bucket_name = "podinfo".to_owned();
    s3.put("b.yaml", "b: 1\n");
    s3.instead(|request| {
        request
            .path
            .ends_with("/b.yaml")
            .then(|| error(500, "InternalError", "no"))
    });
    let outcome = bench.pass(&mut object).await;
    let message = message_of(&object, "FetchFailed").to_owned();
    assert_eq!(outcome, failed(&message));
    assert!(
        message.starts_with("fetch from bucket 'podinfo' failed: "),
        "{message}"
    );
    assert_eq!(object.artifact(), Some(&artifact));
    assert!(bench.stored(&object).exists());
    bench.events();

    s3.instead(|_| None);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    let stored = files(&bench.stored(&object));
    assert_eq!(stored.keys().collect::<Vec<_>>(), ["a.yaml", "b.yaml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_lead_out_of_the_bucket_are_refused() {
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[]));
    s3.put("a.yaml", "a: 1\n");
    let mut object = bucket(&s3.endpoint());
    bench.pass(&mut object).await;
    let artifact = object.artifact().unwrap().clone();
    s3.put("x/../../../evil", "evil\n");
    assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
    assert_eq!(object.artifact(), Some(&artifact));
    assert!(!bench.data.join("evil").exists() && !bench.data.parent().unwrap().join("evil").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_that_never_answers_is_given_up() {
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[]));
    s3.instead(|_| {
        let (pieces, body) = mpsc::channel(1);
        // Held for ever: the body neither goes on nor ends.
        std::mem::forget(pieces);
        Some(Response::stream(200, body))
    });
    let mut object = bucket(&s3.endpoint());
    object.spec.timeout = Some(ferro_api::meta::Duration::from_nanos(100_000_000));
    assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
    assert_eq!(conditions_of(&object), FETCH_FAILED);
}

#[tokio::test(flavor = "multi_thread")]
async fn object_that_drips_or_is_refused_midway_keeps_the_artifact() {
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[]));
    s3.put("a.yaml", "a: 1\n");
    let mut object = bucket(&s3.endpoint());
    bench.pass(&mut object).await;
    let artifact = object.artifact().unwrap().clone();
    s3.put("b.yaml", "b: 1\n");
    object.spec.timeout = Some(ferro_api::meta::Duration::from_nanos(500_000_000));
    let of_b = |request: &Request| request.path.ends_with("/b.yaml");
    type Answer = fn() -> Response;
    let cases: [(Answer, &str); 2] = [
        (
            || Response::stream(200, ferro_testkit::http::drip(b" ")),
            "context deadline exceeded",
        ),
        (
            || error(400, "ExpiredToken", "The provided token has expired."),
            "expired",
        ),
    ];
    for (answer, expected) in cases {
        s3.instead(move |request| of_b(request).then(answer));
        assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
        let message = message_of(&object, "FetchFailed");
        assert!(message.contains(expected), "{message}");
        assert_eq!(conditions_of(&object)[..2], FETCH_FAILED[..2]);
        assert_eq!(object.artifact(), Some(&artifact));
    }
}
