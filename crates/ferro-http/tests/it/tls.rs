//! Trust roots and client certificates.

use ferro_http::{
    Client, ClientOptions, Error, Identity, ProxyOptions, Request, Result, TlsOptions, describe,
};
use ferro_testkit::http::{Response, Server};
use ferro_testkit::tls::{Authority, Pair, self_signed_ca, server_config};

async fn get(server: &Server, tls: TlsOptions) -> Result<u16> {
    let options = ClientOptions {
        tls,
        proxy: ProxyOptions::Direct,
        ..ClientOptions::default()
    };
    let client = Client::new(&options)?;
    Ok(client
        .send(&Request::get(&server.url("/"))?)
        .await?
        .status()
        .as_u16())
}

fn trusting(pem: &str) -> TlsOptions {
    TlsOptions {
        ca: Some(pem.as_bytes().to_vec()),
        ..TlsOptions::default()
    }
}

fn identity(pair: &Pair) -> Option<Identity> {
    let key = pair.key.clone().into_bytes().into();
    Some(Identity {
        certificate: pair.certificate.clone().into_bytes(),
        key,
    })
}

fn serve(pair: &Pair, client_ca: Option<&str>) -> Server {
    Server::start_tls(server_config(pair, client_ca), |_| Response::new(204, ""))
}

#[tokio::test]
async fn tls_server_is_trusted_by_its_authority_only() {
    let (authority, stranger) = (Authority::new("ours"), Authority::new("theirs"));
    let server = serve(&authority.server(&[]), None);
    assert_eq!(get(&server, trusting(&authority.pem())).await.unwrap(), 204);
    let bundle = format!("{}\n# comment\n{}", stranger.pem(), authority.pem());
    assert_eq!(get(&server, trusting(&bundle)).await.unwrap(), 204);
    for tls in [TlsOptions::default(), trusting(&stranger.pem())] {
        let error = get(&server, tls).await.unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{error:?}");
        assert!(error.is_untrusted(), "{error:?}");
        assert!(describe(&error).contains("certificate"), "{}", describe(&error));
    }
    let insecure = TlsOptions {
        insecure_skip_verify: true,
        ..TlsOptions::default()
    };
    assert_eq!(get(&server, insecure).await.unwrap(), 204);
    drop(server);
    let closed = Client::new(&ClientOptions::default()).unwrap();
    let error = closed
        .send(&Request::get("https://127.0.0.1:1/").unwrap())
        .await
        .unwrap_err();
    assert!(!error.is_untrusted(), "{error:?}");
}

#[tokio::test]
async fn tls_self_signed_server_with_the_ca_flag_is_trusted_when_pinned() {
    let pair = self_signed_ca();
    let server = serve(&pair, None);
    assert_eq!(get(&server, trusting(&pair.certificate)).await.unwrap(), 204);
    // Another of the same names is not.
    assert!(
        get(&server, trusting(&self_signed_ca().certificate))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn tls_client_certificate_is_presented() {
    let authority = Authority::new("ours");
    let server = serve(&authority.server(&[]), Some(&authority.pem()));
    let tls = TlsOptions {
        identity: identity(&authority.client("me")),
        ..trusting(&authority.pem())
    };
    assert_eq!(get(&server, tls).await.unwrap(), 204);
    assert!(get(&server, trusting(&authority.pem())).await.is_err());
}

#[tokio::test]
async fn tls_client_certificate_is_not_shown_to_whom_a_redirect_leads() {
    let authority = Authority::new("ours");
    let guarded = || server_config(&authority.server(&[]), Some(&authority.pem()));
    // It asks for a certificate, and nobody without one gets as far as a request.
    let other = Server::start_tls(guarded(), |_| Response::new(204, ""));
    let elsewhere = other.url("/");
    let server = Server::start_tls(guarded(), move |request| match request.path.as_str() {
        "/" => Response::new(302, "").header("location", elsewhere.clone()),
        "/same" => Response::new(302, "").header("location", "/end"),
        _ => Response::new(204, ""),
    });
    let client = Client::new(&ClientOptions {
        tls: TlsOptions {
            identity: identity(&authority.client("me")),
            ..trusting(&authority.pem())
        },
        proxy: ProxyOptions::Direct,
        ..ClientOptions::default()
    });
    let client = client.unwrap();
    let get = async |url: &str| client.send(&Request::get(url).unwrap()).await;
    assert_eq!(get(&server.url("/same")).await.unwrap().status().as_u16(), 204);
    assert_eq!(get(&other.url("/")).await.unwrap().status().as_u16(), 204);
    let error = get(&server.url("/")).await.unwrap_err();
    assert!(describe(&error).contains(&other.url("/")), "{}", describe(&error));
    let hidden = Request::get(&server.url("/same")).unwrap().without_identity();
    assert!(client.send(&hidden).await.is_err());
}

#[tokio::test]
async fn tls_redirect_to_plain_http_takes_no_credentials_along() {
    let authority = Authority::new("ours");
    let plain = Server::start(|request| Response::new(200, request.header("authorization").to_owned()));
    let weaker = plain.url("/");
    let server = Server::start_tls(server_config(&authority.server(&[]), None), move |_| {
        Response::new(302, "").header("location", weaker.clone())
    });
    let client = Client::new(&ClientOptions {
        tls: trusting(&authority.pem()),
        proxy: ProxyOptions::Direct,
        ..ClientOptions::default()
    });
    let request = Request::get(&server.url("/")).unwrap();
    let request = request.auth(ferro_http::Auth::Bearer("hunter2".into()));
    let response = client.unwrap().send(&request).await.unwrap();
    assert_eq!(response.url().expose().as_str(), plain.url("/"));
    assert!(response.bytes(100).await.unwrap().is_empty());
}

#[test]
fn tls_faulty_material_is_named() {
    let make = |tls| {
        Client::new(&ClientOptions {
            tls,
            ..ClientOptions::default()
        })
        .map(drop)
    };
    let error = make(trusting("no pem")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid CA certificate: no PEM certificate found"
    );
    let authority = Authority::new("ours");
    let (one, two) = (authority.client("one"), authority.client("two"));
    let mixed = Pair {
        certificate: one.certificate,
        key: two.key,
    };
    let error = make(TlsOptions {
        identity: identity(&mixed),
        ..TlsOptions::default()
    })
    .unwrap_err();
    assert!(matches!(error, Error::InvalidIdentity { .. }), "{error}");
    let empty = Pair {
        key: String::new(),
        ..mixed
    };
    let error = make(TlsOptions {
        identity: identity(&empty),
        ..TlsOptions::default()
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid client certificate or key: the key is not a PEM private key"
    );
}
