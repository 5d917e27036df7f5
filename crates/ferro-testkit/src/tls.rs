//! A certificate authority for tests.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

/// A certificate and its key in PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

/// A certificate authority that exists only in this process.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority with a fresh key.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names to be wrong");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("ring generates keys");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("the key signs");
        Self { issuer }
    }

    /// The authority's certificate in PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for a server on the loopback address, `localhost` and `names`.
    pub fn server(&self, names: &[&str]) -> Pair {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a client.
    pub fn client(&self, name: &str) -> Pair {
        self.issue(&[name], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, names: &[&str], usage: ExtendedKeyUsagePurpose) -> Pair {
        let names = names.iter().copied().chain(["localhost", "127.0.0.1"]);
        let names: Vec<String> = names.map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).expect("names are valid");
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().expect("ring generates keys");
        let certificate: Certificate = params.signed_by(&key, &self.issuer).expect("the issuer signs");
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A self-signed certificate for the loopback address with the CA flag set, as `openssl req -x509` makes.
pub fn self_signed_ca() -> Pair {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).expect("names are valid");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("ring generates keys");
    let certificate = params.self_signed(&key).expect("the key signs");
    Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

/// A server's TLS configuration; clients must present a certificate of `client_ca` if it is given.
pub fn server_config(pair: &Pair, client_ca: Option<&str>) -> Arc<rustls::ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider has all versions");
    let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("own PEM")];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("own PEM");
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("own PEM"))
                .expect("a CA");
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
            builder.with_client_cert_verifier(verifier.expect("there is a root"))
        }
    };
    Arc::new(
        builder
            .with_single_cert(chain, key)
            .expect("the key belongs to the certificate"),
    )
}
