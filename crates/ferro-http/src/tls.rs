//! TLS: the crypto provider, trust roots and client identities.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::{Error, Result, Secret};

/// What a connection trusts and how it identifies itself.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// PEM certificates that are trusted besides the system's.
    pub ca: Option<Vec<u8>>,
    /// The client certificate.
    pub identity: Option<Identity>,
    /// Accepts any certificate. Only for what a user has declared insecure.
    pub insecure_skip_verify: bool,
}

/// A client certificate chain with its key, both PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The chain, leaf first.
    pub certificate: Vec<u8>,
    /// The private key.
    pub key: Secret<Vec<u8>>,
}

/// Why no certificate is trusted on a machine without roots.
const NO_ROOTS: &str = "no trusted root certificates found on this system: install them, or name a CA";

/// Installs ring as the process-wide crypto provider; later calls do nothing.
///
/// A program calls it first thing in `main`, so that no library picks another.
pub fn install_crypto_provider() {
    // Fails only when one is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| Arc::new(rustls::crypto::ring::default_provider()))
        .clone()
}

/// The system's roots, read once: parsing some 140 certificates for each client would be felt.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let load = || {
        let mut roots = RootCertStore::empty();
        // Single unreadable certificates are left out, as everywhere else.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    };
    ROOTS.get_or_init(load).clone()
}

/// The TLS configuration for `options`, for clients that do not speak HTTP.
pub fn client_config(options: &TlsOptions) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::InvalidIdentity {
            reason: error.to_string(),
        })?;
    let verifier: Arc<dyn ServerCertVerifier> = match (&options.ca, options.insecure_skip_verify) {
        (_, true) => Arc::new(SameForAll {
            provider: provider(),
            verdict: Ok(()),
        }),
        // Not an error here: most clients speak plain HTTP within the cluster, and need no roots.
        (None, false) if system_roots().is_empty() => Arc::new(SameForAll {
            provider: provider(),
            verdict: Err(NO_ROOTS),
        }),
        (None, false) => Arc::new(TrustedVerifier {
            inner: verifier(system_roots())?,
            pinned: Vec::new(),
        }),
        (Some(pem), false) => {
            let pinned = parse_certificates(pem).map_err(|reason| Error::InvalidCa { reason })?;
            let mut roots = RootCertStore::clone(&system_roots());
            for certificate in &pinned {
                let invalid = |error: rustls::Error| Error::InvalidCa {
                    reason: error.to_string(),
                };
                roots.add(certificate.clone()).map_err(invalid)?;
            }
            Arc::new(TrustedVerifier {
                inner: verifier(Arc::new(roots))?,
                pinned,
            })
        }
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let Some(identity) = &options.identity else {
        return Ok(builder.with_no_client_auth());
    };
    let invalid = |reason| Error::InvalidIdentity { reason };
    let chain = parse_certificates(&identity.certificate).map_err(invalid)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.expose())
        .map_err(|_| invalid("the key is not a PEM private key".to_owned()))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| invalid(error.to_string()))
}

fn verifier(roots: Arc<RootCertStore>) -> Result<Arc<WebPkiServerVerifier>> {
    WebPkiServerVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|error| Error::InvalidCa {
            reason: error.to_string(),
        })
}

fn parse_certificates(pem: &[u8]) -> std::result::Result<Vec<CertificateDer<'static>>, String> {
    let parsed: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match parsed {
        Ok(certificates) if certificates.is_empty() => Err("no PEM certificate found".to_owned()),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(error.to_string()),
    }
}

/// Verifies by the roots, and as Go does accepts a server whose own certificate is among the user's CAs.
///
/// `openssl req -x509` makes such certificates with the CA flag set, which webpki refuses for servers.
#[derive(Debug)]
struct TrustedVerifier {
    inner: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for TrustedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.inner
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let Err(error) = verified else { return verified };
        if !self.pinned.contains(end_entity) || !is_ca_as_end_entity(&error) {
            return Err(error);
        }
        let parsed = rustls::server::ParsedCertificate::try_from(end_entity)?;
        rustls::client::verify_server_name(&parsed, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Whether the only fault is the CA flag; webpki looks at the dates before it.
fn is_ca_as_end_entity(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) = error else {
        return false;
    };
    matches!(
        other.0.downcast_ref::<webpki::Error>(),
        Some(webpki::Error::CaUsedAsEndEntity)
    )
}

/// Says the same of every certificate; signatures are still checked, so that the peer holds its key.
#[derive(Debug)]
struct SameForAll {
    provider: Arc<CryptoProvider>,
    verdict: std::result::Result<(), &'static str>,
}

impl ServerCertVerifier for SameForAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        match self.verdict {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(reason) => Err(rustls::Error::General(reason.to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
