//! Managed clusters: where their API servers are, and tokens for them.
//!
//! Amazon's clusters take a signed question for a token, Azure's and Google's the tokens of their clouds.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ferro_http::{Auth, Request, SafeUrl, Secret};
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;

use crate::environment::read_file;
use crate::sigv4::{self, EMPTY_SHA256, Scope, Signable};
use crate::token::ask_json;
use crate::transport::{Transport, encode, encode_path, query};
use crate::{AwsCredentials, Environment, Error, Expiring, Result, aws};

/// The scope of tokens for the API servers of Azure's clusters.
pub const AZURE: &str = "6dae42f8-4368-4678-94ff-3960e28e3630/.default";
/// How long Amazon's clusters take a signed question for a token, in seconds.
const AWS_LIFETIME: u64 = 900;
/// The header that names the cluster in the signed question.
const AWS_CLUSTER: &str = "x-k8s-aws-id";
const AZURE_ARM: &str = "https://management.azure.com";
const AZURE_FILE: &str = "AZURE_ENVIRONMENT_FILEPATH";
const AZURE_VERSION: &str = "2025-05-01";
const GOOGLE_API: &str = "https://container.googleapis.com";
/// Where another address for Google's API is named, as `gcloud` has it.
const GOOGLE_ENV: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER";

/// Where an API server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its URL.
    pub address: String,
    /// The certificates that vouch for it, as PEM.
    pub ca: String,
}

fn invalid(cluster: &str, what: &str) -> Error {
    Error::Credential(format!("invalid {what}: '{cluster}'"))
}

/// A text that names something in a path: neither empty nor too long, without slashes.
fn is_segment(text: &str) -> bool {
    (1..=200).contains(&text.len()) && !text.contains(['/', '?', '#'])
}

fn certificates(data: &str, who: &str) -> Result<String> {
    let bytes = STANDARD
        .decode(data)
        .map_err(|_| Error::Credential(format!("{who}: the certificate of the cluster is not base64")))?;
    String::from_utf8(bytes)
        .map_err(|_| Error::Credential(format!("{who}: the certificate of the cluster is not PEM")))
}

/// A cluster of Amazon's EKS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eks {
    region: String,
    name: String,
}

impl Eks {
    /// Reads the ARN of a cluster: `arn:aws:eks:<region>:<account>:cluster/<name>`.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(arn: &str) -> Result<Self> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", partition, "eks", region, account, cluster] = parts.as_slice() else {
            return Err(invalid(arn, "EKS cluster ARN"));
        };
        let name = cluster.strip_prefix("cluster/").unwrap_or_default();
        let is_word = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let is_valid = partition.starts_with("aws")
            && is_word(partition)
            && is_word(region)
            && (1..=100).contains(&region.len())
            && (1..=30).contains(&account.len())
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && is_segment(name)
            && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_valid {
            return Err(invalid(arn, "EKS cluster ARN"));
        }
        Ok(Self {
            region: (*region).to_owned(),
            name: name.to_owned(),
        })
    }

    /// The region of the cluster.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// A token: the address of a question to Amazon's token service, signed by who asks, which the cluster asks in turn.
    ///
    /// # Errors
    /// When the address of the token service is faulty.
    pub fn token(
        &self,
        env: &Environment,
        credentials: &AwsCredentials,
        at: Timestamp,
    ) -> Result<Expiring<Secret<String>>> {
        let region = self.region.as_str();
        let endpoint = aws::endpoint(env, "STS", region, |domain| {
            format!("https://sts.{region}.{domain}")
        });
        let url =
            SafeUrl::parse(&endpoint).map_err(|_| invalid(&endpoint, "address of the token service"))?;
        let scope = Scope {
            region,
            service: "sts",
            at,
        };
        let (date, lifetime) = (scope.date(), AWS_LIFETIME.to_string());
        let credential = format!("{}/{}", credentials.access_key, scope.id());
        let signed = format!("host;{AWS_CLUSTER}");
        let mut pairs = vec![
            ("Action", "GetCallerIdentity"),
            ("Version", "2011-06-15"),
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", credential.as_str()),
            ("X-Amz-Date", date.as_str()),
            ("X-Amz-Expires", lifetime.as_str()),
            ("X-Amz-SignedHeaders", signed.as_str()),
        ];
        if let Some(token) = &credentials.session_token {
            pairs.push(("X-Amz-Security-Token", token.expose().as_str()));
        }
        let asked = query(&pairs);
        let host = sigv4::host_of(&url);
        let canonical = format!(
            "GET\n/\n{asked}\nhost:{host}\n{AWS_CLUSTER}:{}\n\n{signed}\n{EMPTY_SHA256}",
            self.name
        );
        let signature = sigv4::signature(&canonical, &date, credentials, &scope);
        let question = format!("{endpoint}/?{asked}&X-Amz-Signature={signature}");
        let token = format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(question));
        Ok(Expiring::for_seconds(Secret::new(token), AWS_LIFETIME))
    }

    /// Asks EKS where the cluster is.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn endpoint(
        &self,
        transport: &Transport,
        env: &Environment,
        credentials: &AwsCredentials,
    ) -> Result<Endpoint> {
        #[derive(Deserialize)]
        struct Answer {
            cluster: Described,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Described {
            endpoint: String,
            certificate_authority: Authority,
        }
        #[derive(Deserialize)]
        struct Authority {
            data: String,
        }
        const WHO: &str = "EKS: DescribeCluster";
        let region = self.region.as_str();
        let endpoint = aws::endpoint(env, "EKS", region, |domain| {
            format!("https://eks.{region}.{domain}")
        });
        let url = format!("{endpoint}/clusters/{}", encode(&self.name));
        let answer: Answer =
            ask_json(transport, WHO, || signed_get(&url, (region, "eks"), credentials)).await?;
        Ok(Endpoint {
            address: answer.cluster.endpoint,
            ca: certificates(&answer.cluster.certificate_authority.data, WHO)?,
        })
    }
}

fn signed_get(url: &str, (region, service): (&str, &str), credentials: &AwsCredentials) -> Result<Request> {
    let scope = Scope {
        region,
        service,
        at: Timestamp::now(),
    };
    let request = Request::new(Method::GET, url)?;
    let (host, date) = (sigv4::host_of(request.url()), scope.date());
    let mut headers = vec![("host", host.as_str()), ("x-amz-date", date.as_str())];
    if let Some(token) = &credentials.session_token {
        headers.push(("x-amz-security-token", token.expose().as_str()));
    }
    let path = request.url().expose().path().to_owned();
    let authorization = {
        // All services but S3 encode the path once more for the signature.
        let signable = Signable {
            method: "GET",
            path: &encode_path(&path),
            query: "",
            headers: &headers,
            payload: EMPTY_SHA256,
        };
        sigv4::authorization(&signable, credentials, &scope)
    };
    sigv4::sign(request, &headers, &authorization)
}

/// A cluster of Azure's AKS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aks {
    id: String,
}

/// Azure's API for resources.
struct Arm {
    endpoint: String,
    scope: String,
}

impl Aks {
    /// Reads the id of a cluster:
    /// `/subscriptions/<id>/resourceGroups/<group>/providers/Microsoft.ContainerService/managedClusters/<name>`.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(id: &str) -> Result<Self> {
        let lower = id.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        match parts.as_slice() {
            [
                "",
                "subscriptions",
                subscription,
                "resourcegroups",
                group,
                "providers",
                "microsoft.containerservice",
                "managedclusters",
                name,
            ] if subscription.len() == 36
                && is_segment(subscription)
                && is_segment(group)
                && is_segment(name) =>
            {
                Ok(Self { id: id.to_owned() })
            }
            _ => Err(invalid(id, "AKS cluster ID")),
        }
    }

    /// The scope of the token with which [`Self::kubeconfigs`] are asked for.
    ///
    /// # Errors
    /// When the file that describes the cloud cannot be read.
    pub async fn scope(env: &Environment) -> Result<String> {
        Ok(arm(env).await?.scope)
    }

    /// Asks Azure where the cluster is: kubeconfigs for its users, at least one.
    ///
    /// # Errors
    /// When it does not say, or the cluster takes no tokens of Azure's.
    pub async fn kubeconfigs(
        &self,
        transport: &Transport,
        env: &Environment,
        token: &Secret<String>,
    ) -> Result<Vec<Secret<String>>> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            kubeconfigs: Vec<Kubeconfig>,
        }
        #[derive(Deserialize)]
        struct Kubeconfig {
            value: String,
        }
        const WHO: &str = "AKS: listClusterUserCredential";
        let endpoint = arm(env).await?.endpoint;
        self.check_identities(transport, &endpoint, token).await?;
        let url = self.url(&endpoint, "/listClusterUserCredential");
        let make = || {
            Ok(Request::new(Method::POST, &url)?
                .auth(Auth::Bearer(token.clone()))
                .body(""))
        };
        let answer: Answer = ask_json(transport, WHO, make).await?;
        if answer.kubeconfigs.is_empty() {
            return Err(Error::Credential(format!("{WHO}: there is no kubeconfig")));
        }
        let texts = answer
            .kubeconfigs
            .iter()
            .map(|it| certificates(&it.value, WHO).map(Secret::new));
        texts.collect()
    }

    /// A cluster that knows no identities of Azure's would refuse the token, and not say why.
    async fn check_identities(
        &self,
        transport: &Transport,
        endpoint: &str,
        token: &Secret<String>,
    ) -> Result<()> {
        #[derive(Deserialize)]
        struct Answer {
            properties: Properties,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Properties {
            aad_profile: Option<serde::de::IgnoredAny>,
        }
        let url = self.url(endpoint, "");
        let make = || Ok(Request::new(Method::GET, &url)?.auth(Auth::Bearer(token.clone())));
        let answer: Answer = ask_json(transport, "AKS: get", make).await?;
        match answer.properties.aad_profile {
            Some(_) => Ok(()),
            None => Err(Error::Credential(format!(
                "AKS cluster {} does not have Microsoft Entra ID integration enabled",
                self.id
            ))),
        }
    }

    fn url(&self, endpoint: &str, action: &str) -> String {
        let version = query(&[("api-version", AZURE_VERSION)]);
        format!("{endpoint}{}{action}?{version}", encode_path(&self.id))
    }
}

async fn arm(env: &Environment) -> Result<Arm> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct File {
        resource_manager_endpoint: String,
        token_audience: String,
    }
    let Some(path) = env.get(AZURE_FILE) else {
        return Ok(Arm {
            endpoint: AZURE_ARM.to_owned(),
            scope: format!("{AZURE_ARM}/.default"),
        });
    };
    let file: File = serde_json::from_slice(&read_file(&path).await?)
        .map_err(|error| Error::Credential(format!("failed to parse '{path}': {error}")))?;
    Ok(Arm {
        endpoint: file.resource_manager_endpoint.trim_end_matches('/').to_owned(),
        scope: format!("{}/.default", file.token_audience.trim_end_matches('/')),
    })
}

/// A cluster of Google's GKE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gke {
    name: String,
}

impl Gke {
    /// Reads the name of a cluster: `projects/<project>/locations/<location>/clusters/<name>`.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(name: &str) -> Result<Self> {
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            ["projects", project, "locations", location, "clusters", cluster]
                if is_segment(project) && is_segment(location) && is_segment(cluster) =>
            {
                Ok(Self {
                    name: name.to_owned(),
                })
            }
            _ => Err(invalid(name, "GKE cluster name")),
        }
    }

    /// Asks Google where the cluster is.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn endpoint(
        &self,
        transport: &Transport,
        env: &Environment,
        token: &Secret<String>,
    ) -> Result<Endpoint> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            endpoint: String,
            master_auth: Authority,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Authority {
            cluster_ca_certificate: String,
        }
        const WHO: &str = "GKE: GetCluster";
        let base = env.get(GOOGLE_ENV).unwrap_or_else(|| GOOGLE_API.to_owned());
        let url = format!("{}/v1/{}", base.trim_end_matches('/'), encode_path(&self.name));
        let make = || Ok(Request::new(Method::GET, &url)?.auth(Auth::Bearer(token.clone())));
        let answer: Answer = ask_json(transport, WHO, make).await?;
        Ok(Endpoint {
            address: format!("https://{}", answer.endpoint),
            ca: certificates(&answer.master_auth.cluster_ca_certificate, WHO)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_named_as_their_clouds_do() {
        let eks = Eks::parse("arn:aws-us-gov:eks:us-gov-west-1:123456789012:cluster/prod").unwrap();
        assert_eq!((eks.region(), eks.name.as_str()), ("us-gov-west-1", "prod"));
        for arn in [
            "",
            "arn:aws:eks:eu-west-1:123:cluster/",
            "arn:aws:iam:eu-west-1:123:cluster/a",
            "arn:aws:eks:evil.com/:123:cluster/a",
            "arn:aws:eks:eu-west-1:x:cluster/a",
            "arn:aws:eks:eu-west-1:1:cluster/a/../b",
        ] {
            assert!(Eks::parse(arn).is_err(), "{arn}");
        }
        let subscription = "/subscriptions/00000000-0000-0000-0000-000000000000";
        let group = format!("{subscription}/resourceGroups/g/providers/Microsoft.ContainerService");
        assert!(Aks::parse(&format!("{group}/managedClusters/prod")).is_ok());
        assert!(Aks::parse(&format!("{group}/managedClusters/")).is_err());
        assert!(Aks::parse(&format!("{group}/managedClusters/a/b")).is_err());
        assert!(Gke::parse("projects/p/locations/l/clusters/c").is_ok());
        assert!(Gke::parse("projects/p/locations/l/clusters/c?x").is_err());
        assert!(Gke::parse("projects/p/zones/l/clusters/c").is_err());
    }

    #[test]
    fn eks_token_is_a_signed_question() {
        let eks = Eks::parse("arn:aws:eks:eu-west-1:123456789012:cluster/prod").unwrap();
        let credentials = AwsCredentials {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "hunter2".into(),
            session_token: Some("a/b".into()),
        };
        let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let token = eks.token(&Environment::of(&[]), &credentials, at).unwrap();
        let encoded = token.value.expose().strip_prefix("k8s-aws-v1.").unwrap();
        let question = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap();
        let (asked, signature) = question.rsplit_once("&X-Amz-Signature=").unwrap();
        assert_eq!(
            asked,
            "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Feu-west-1%2Fsts%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=900\
             &X-Amz-Security-Token=a%2Fb&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id"
        );
        // Worked out by another program from Amazon's description of presigned requests.
        let expected = "da1160d6a263b85bb1ab1094d31ea964268487adcbafa372e2f8cfbe239e99c5";
        assert_eq!(signature, expected);
        let other = Eks::parse("arn:aws:eks:eu-west-1:123456789012:cluster/other").unwrap();
        let other = other.token(&Environment::of(&[]), &credentials, at).unwrap();
        assert_ne!(other.value.expose(), token.value.expose());
    }
}
