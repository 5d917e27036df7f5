//! Registries of clouds by their real names, which a proxy of the tests leads to a registry on the loopback interface.

use std::io::{Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ferro_api::source::RegistryProvider;
use ferro_testkit::http::Server;
use ferro_testkit::tls::{Authority, server_config};

use super::*;

/// A proxy that leads every tunnel to one address, and forwards what is in clear to where it is meant for.
struct Tunnel {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    fn to(registry: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, target) = (listener.local_addr().unwrap(), registry.to_owned());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        // Ends with the process of the tests; nobody connects once the test is over.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (target, log) = (target.clone(), Arc::clone(&log));
                std::thread::spawn(move || serve(client, &target, &log));
            }
        });
        Self { address, asked }
    }

    /// The hosts that tunnels were asked to, each once.
    fn hosts(&self) -> Vec<String> {
        let mut hosts = self.asked.lock().unwrap().clone();
        hosts.sort();
        hosts.dedup();
        hosts
    }
}

fn serve(mut client: TcpStream, target: &str, log: &Mutex<Vec<String>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let text = String::from_utf8(head.clone()).unwrap();
    let mut words = text.split(' ');
    let upstream = match (words.next()?, words.next()?) {
        ("CONNECT", host) => {
            log.lock().unwrap().push(host.to_owned());
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
            TcpStream::connect(target).ok()?
        }
        (_, url) => {
            let host = url.strip_prefix("http://")?.split('/').next()?;
            let mut upstream = TcpStream::connect(host).ok()?;
            upstream.write_all(&head).ok()?;
            upstream
        }
    };
    let (mut from, mut to) = (client.try_clone().ok()?, upstream.try_clone().ok()?);
    std::thread::spawn(move || {
        let _broken = std::io::copy(&mut from, &mut to);
        let _closed = to.shutdown(Shutdown::Write);
    });
    let _broken = std::io::copy(&mut &upstream, &mut client);
    let _closed = client.shutdown(Shutdown::Write);
    Some(())
}

/// A registry that is called `name` and lets in who has this login; Azure's exchange of tokens included.
fn guarded(name: &str, login: &str) -> (Registry, String) {
    let authority = Authority::new("the tests");
    let config = server_config(&authority.server(&[name]), None);
    let authorization = format!("Basic {}", STANDARD.encode(login));
    let registry = Registry::with_tls(config, move |request: &Request| {
        if request.path == "/oauth2/exchange" {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let expected = "grant_type=access_token&service=app.azurecr.io&access_token=aad";
            assert_eq!(form, expected);
            let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":4102444800}"#);
            return Some(Response::new(
                200,
                format!(r#"{{"refresh_token":"e30.{claims}.x"}}"#),
            ));
        }
        let is_known = request.header("authorization") == authorization;
        let challenge = || Response::new(401, "").header("www-authenticate", "Basic realm=\"r\"");
        (!is_known).then(challenge)
    });
    (registry, authority.pem())
}

async fn fetched(
    provider: RegistryProvider,
    name: &str,
    login: &str,
    environment: &[(&str, &str)],
) -> (Vec<String>, Vec<String>) {
    let (registry, ca) = guarded(name, login);
    push(&registry, "latest", &[("a", "a")]);
    let tunnel = Tunnel::to(&registry.host());
    let mut bench = Bench::with(environment, "");
    bench.secret("ca", &[("ca.crt", &ca)]);
    bench.secret("proxy", &[("address", &format!("http://{}", tunnel.address))]);
    let mut object = object(&registry);
    object.spec.url = format!("oci://{name}/{APP}");
    object.spec.insecure = false;
    object.spec.provider = Some(provider);
    object.spec.cert_secret_ref = reference("ca");
    object.spec.proxy_secret_ref = reference("proxy");
    let outcome = bench.pass(&mut object).await;
    let shown = bench.events().join("\n");
    assert_eq!(outcome, Outcome::Done, "{shown}");
    assert_eq!(names(&bench.stored(&object)), [".", "a"]);
    (conditions_of(&object), tunnel.hosts())
}

#[tokio::test(flavor = "multi_thread")]
async fn token_of_the_metadata_server_is_a_login_for_google() {
    let metadata = Server::start(|request| {
        assert_eq!(request.header("metadata-flavor"), "Google");
        Response::new(200, r#"{"access_token":"hunter2","expires_in":3599}"#)
    });
    let host = metadata.url("").trim_start_matches("http://").to_owned();
    let name = "europe-docker.pkg.dev";
    let login = "oauth2accesstoken:hunter2";
    let found = fetched(
        RegistryProvider::Gcp,
        name,
        login,
        &[("GCE_METADATA_HOST", &host)],
    )
    .await;
    assert_eq!(found.0, READY);
    // The metadata server is near: no proxy leads there.
    assert_eq!(found.1, [format!("{name}:443")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_environment_get_a_login_for_ecr() {
    let ecr = Server::start(|request| {
        let target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
        assert_eq!(request.header("x-amz-target"), target);
        let scope = "/eu-west-1/ecr/aws4_request, SignedHeaders=";
        let authorization = request.header("authorization");
        assert!(authorization.contains(scope), "{authorization}");
        let token = STANDARD.encode("AWS:hunter2");
        let data = format!(r#"{{"authorizationToken":"{token}","expiresAt":4102444800}}"#);
        Response::new(200, format!(r#"{{"authorizationData":[{data}]}}"#))
    });
    let name = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_ENDPOINT_URL_ECR", &ecr.url("")),
    ];
    let found = fetched(RegistryProvider::Aws, name, "AWS:hunter2", &environment).await;
    assert_eq!(found.0, READY);
}

#[tokio::test(flavor = "multi_thread")]
async fn registry_at_azure_exchanges_the_token_of_the_machine() {
    let metadata = Server::start(|request| {
        let resource = "resource=https%3A%2F%2Fcontainerregistry.azure.net";
        assert!(request.query.contains(resource), "{}", request.query);
        Response::new(200, r#"{"access_token":"aad","expires_in":"3600"}"#)
    });
    let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":4102444800}"#);
    let login = format!("00000000-0000-0000-0000-000000000000:e30.{claims}.x");
    let environment = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", metadata.url(""))];
    let environment = environment
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let found = fetched(RegistryProvider::Azure, "app.azurecr.io", &login, &environment).await;
    assert_eq!(found.0, READY);
    assert_eq!(found.1, ["app.azurecr.io:443"]);
}
