//! Where a bucket of an S3 storage is asked for, as minio-go decides it.

use std::net::IpAddr;

use url::{Host, Url};

use crate::{Error, Result};

/// The address of a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    scheme: &'static str,
    /// Without the port.
    host: String,
    /// `:port`, or empty.
    port: String,
}

/// Addresses under which Amazon names a region.
const AMAZON: [&str; 2] = [".amazonaws.com", ".amazonaws.com.cn"];

impl Endpoint {
    /// Reads `host` or `host:port`.
    ///
    /// # Errors
    /// When it is something else, with the text of the reference's library.
    pub fn parse(text: &str, is_secure: bool) -> Result<Self> {
        let invalid = |message: String| Error::InvalidEndpoint(message);
        let scheme = if is_secure { "https" } else { "http" };
        if text.is_empty() {
            return Err(invalid("Endpoint url cannot be empty.".to_owned()));
        }
        let standards = || {
            invalid(format!(
                "Endpoint: {text} does not follow ip address or domain name standards."
            ))
        };
        let url = Url::parse(&format!("{scheme}://{text}")).map_err(|_| standards())?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            let message = "Endpoint url cannot have fully qualified paths.";
            return Err(invalid(message.to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid(
                "Endpoint does not follow ip address or domain name standards.".to_owned(),
            ));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) if is_domain(name) => name.to_owned(),
            Some(Host::Ipv4(address)) => IpAddr::V4(address).to_string(),
            Some(Host::Ipv6(address)) => format!("[{address}]"),
            _ => return Err(standards()),
        };
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let endpoint = Self { scheme, host, port };
        if endpoint.host.contains(".s3.amazonaws.com") && !endpoint.is_amazon() {
            let message = "Amazon S3 endpoint should be 's3.amazonaws.com'.";
            return Err(invalid(message.to_owned()));
        }
        if endpoint.host.contains(".googleapis.com") && !endpoint.is_google() {
            let message = "Google Cloud Storage endpoint should be 'storage.googleapis.com'.";
            return Err(invalid(message.to_owned()));
        }
        Ok(endpoint)
    }

    /// Whether listings are of the first version of the protocol.
    pub(super) fn is_google(&self) -> bool {
        self.host == "storage.googleapis.com"
    }

    fn is_amazon(&self) -> bool {
        matches!(
            self.host.as_str(),
            "s3.amazonaws.com" | "s3.cn-north-1.amazonaws.com.cn"
        ) || self.region().is_some()
    }

    /// The region that the address itself names.
    pub(super) fn region(&self) -> Option<&str> {
        let name = AMAZON
            .iter()
            .rev()
            .find_map(|suffix| self.host.strip_suffix(suffix))?;
        let name = name.strip_suffix(".vpce").unwrap_or(name);
        // A private link has a label of its own in front.
        let name = match name.find(".s3.") {
            Some(at) if name.contains("vpce-") => name.get(at + 1..)?,
            _ => name,
        };
        let region = ["s3.dualstack.", "s3-fips.dualstack.", "s3-fips.", "s3.", "s3-"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))?;
        let is_region = region.contains('-') && !region.contains('.');
        is_region.then_some(region)
    }

    /// Whether the address is one that all regions share, so that it is to be replaced by that of the region.
    fn is_exchangeable(&self) -> bool {
        self.is_amazon() && !self.host.contains("-fips") && !self.host.contains(".vpce.")
    }

    /// The URL of the bucket, without a slash at its end, in `region`.
    pub(super) fn bucket_url(&self, bucket: &str, region: &str) -> String {
        let host = if self.is_exchangeable() {
            let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("s3.dualstack.{region}.amazonaws.com{suffix}")
        } else {
            self.host.clone()
        };
        let (scheme, port) = (self.scheme, &self.port);
        if self.is_host_style(bucket) {
            format!("{scheme}://{bucket}.{host}{port}")
        } else {
            format!("{scheme}://{host}{port}/{bucket}")
        }
    }

    /// Whether the bucket's name goes into the host's. One with dots would not fit the certificate.
    fn is_host_style(&self, bucket: &str) -> bool {
        let is_known = self.is_amazon() || self.is_google() || self.host.ends_with("aliyuncs.com");
        is_known && !(self.scheme == "https" && bucket.contains('.'))
    }
}

fn is_domain(name: &str) -> bool {
    let is_label_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    (1..=255).contains(&name.len())
        && name.bytes().all(is_label_byte)
        && !name.starts_with(['-', '.'])
        && !name.ends_with('-')
        && !name.contains("..")
}

/// Refuses names that no bucket has.
///
/// # Errors
/// When `name` is none, with the text of the reference's library.
pub fn check_bucket_name(name: &str) -> Result<()> {
    let invalid = |text| Err(Error::InvalidBucketName(text));
    if name.trim().is_empty() {
        return invalid("Bucket name cannot be empty");
    }
    if name.len() < 3 {
        return invalid("Bucket name cannot be shorter than 3 characters");
    }
    if name.len() > 63 {
        return invalid("Bucket name cannot be longer than 63 characters");
    }
    if name.parse::<std::net::Ipv4Addr>().is_ok() {
        return invalid("Bucket name cannot be an ip address");
    }
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    let is_outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let holds_pairs = ["..", ".-", "-."].iter().any(|pair| name.contains(pair));
    if holds_pairs
        || !bytes.iter().copied().all(is_inner)
        || !is_outer(bytes.first())
        || !is_outer(bytes.last())
    {
        return invalid("Bucket name contains invalid characters");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_url_is_that_of_the_reference() {
        let cases = [
            ("minio:9000", false, "app", "us-east-1", "http://minio:9000/app"),
            (
                "minio.example.com",
                true,
                "app",
                "us-east-1",
                "https://minio.example.com/app",
            ),
            ("127.0.0.1:9000", false, "app", "x", "http://127.0.0.1:9000/app"),
            ("[::1]:9000", false, "app", "x", "http://[::1]:9000/app"),
            (
                "s3.amazonaws.com",
                true,
                "app",
                "eu-west-1",
                "https://app.s3.dualstack.eu-west-1.amazonaws.com",
            ),
            (
                "s3.amazonaws.com",
                true,
                "my.app",
                "eu-west-1",
                "https://s3.dualstack.eu-west-1.amazonaws.com/my.app",
            ),
            (
                "s3.eu-west-1.amazonaws.com",
                true,
                "app",
                "eu-west-1",
                "https://app.s3.dualstack.eu-west-1.amazonaws.com",
            ),
            (
                "s3.cn-north-1.amazonaws.com.cn",
                true,
                "app",
                "cn-north-1",
                "https://app.s3.dualstack.cn-north-1.amazonaws.com.cn",
            ),
            (
                "s3-fips.us-east-2.amazonaws.com",
                true,
                "app",
                "us-east-2",
                "https://app.s3-fips.us-east-2.amazonaws.com",
            ),
            (
                "storage.googleapis.com",
                true,
                "app",
                "us-east-1",
                "https://app.storage.googleapis.com",
            ),
            (
                "oss-cn-hangzhou.aliyuncs.com",
                true,
                "app",
                "us-east-1",
                "https://app.oss-cn-hangzhou.aliyuncs.com",
            ),
        ];
        for (endpoint, is_secure, bucket, region, expected) in cases {
            let endpoint = Endpoint::parse(endpoint, is_secure).unwrap();
            assert_eq!(endpoint.bucket_url(bucket, region), expected);
        }
    }

    #[test]
    fn region_is_read_from_amazons_addresses() {
        let cases = [
            ("s3.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("s3-us-west-2.amazonaws.com", Some("us-west-2")),
            ("s3.dualstack.us-west-2.amazonaws.com", Some("us-west-2")),
            ("s3-fips.us-gov-east-1.amazonaws.com", Some("us-gov-east-1")),
            ("s3.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            (
                "bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com",
                Some("us-east-1"),
            ),
            ("s3.amazonaws.com", None),
            ("s3.example.com", None),
        ];
        for (endpoint, expected) in cases {
            assert_eq!(
                Endpoint::parse(endpoint, true).unwrap().region(),
                expected,
                "{endpoint}"
            );
        }
    }

    #[test]
    fn parse_refuses_with_the_words_of_the_reference() {
        let cases = [
            ("", "Endpoint url cannot be empty."),
            (
                "minio:9000/path",
                "Endpoint url cannot have fully qualified paths.",
            ),
            (
                "mi_nio:9000",
                "Endpoint: mi_nio:9000 does not follow ip address or domain name standards.",
            ),
            (
                "app.s3.amazonaws.com",
                "Amazon S3 endpoint should be 's3.amazonaws.com'.",
            ),
            (
                "app.storage.googleapis.com",
                "Google Cloud Storage endpoint should be 'storage.googleapis.com'.",
            ),
        ];
        for (endpoint, expected) in cases {
            assert_eq!(Endpoint::parse(endpoint, true).unwrap_err().to_string(), expected);
        }
        let error = Endpoint::parse("user:hunter2@minio", true)
            .unwrap_err()
            .to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn check_bucket_name_refuses_with_the_words_of_the_reference() {
        let long = "a".repeat(64);
        let cases = [
            ("", "Bucket name cannot be empty"),
            ("ab", "Bucket name cannot be shorter than 3 characters"),
            (long.as_str(), "Bucket name cannot be longer than 63 characters"),
            ("10.0.0.1", "Bucket name cannot be an ip address"),
            ("a/b/c", "Bucket name contains invalid characters"),
            ("a..b", "Bucket name contains invalid characters"),
            ("-abc", "Bucket name contains invalid characters"),
        ];
        for (name, expected) in cases {
            assert_eq!(check_bucket_name(name).unwrap_err().to_string(), expected);
        }
        for name in ["abc", "My_bucket", "a.b-c", "a:b"] {
            assert!(check_bucket_name(name).is_ok(), "{name}");
        }
    }
}
