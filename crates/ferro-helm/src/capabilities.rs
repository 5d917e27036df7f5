//! What a cluster can do: `.Capabilities`.

use ferro_gocompat::quote::quote;

/// The API versions that Helm 4.2 takes for granted without a cluster.
const DEFAULT_API_VERSIONS: &str = "\
v1 admissionregistration.k8s.io/v1 admissionregistration.k8s.io/v1alpha1 admissionregistration.k8s.io/v1beta1 \
internal.apiserver.k8s.io/v1alpha1 apps/v1 apps/v1beta1 apps/v1beta2 authentication.k8s.io/v1 \
authentication.k8s.io/v1alpha1 authentication.k8s.io/v1beta1 authorization.k8s.io/v1 authorization.k8s.io/v1beta1 \
autoscaling/v1 autoscaling/v2 batch/v1 batch/v1beta1 certificates.k8s.io/v1 certificates.k8s.io/v1beta1 \
certificates.k8s.io/v1alpha1 coordination.k8s.io/v1alpha2 coordination.k8s.io/v1beta1 coordination.k8s.io/v1 \
discovery.k8s.io/v1 discovery.k8s.io/v1beta1 events.k8s.io/v1 events.k8s.io/v1beta1 extensions/v1beta1 \
flowcontrol.apiserver.k8s.io/v1 flowcontrol.apiserver.k8s.io/v1beta1 flowcontrol.apiserver.k8s.io/v1beta2 \
flowcontrol.apiserver.k8s.io/v1beta3 networking.k8s.io/v1 networking.k8s.io/v1beta1 node.k8s.io/v1 \
node.k8s.io/v1alpha1 node.k8s.io/v1beta1 policy/v1 policy/v1beta1 rbac.authorization.k8s.io/v1 \
rbac.authorization.k8s.io/v1beta1 rbac.authorization.k8s.io/v1alpha1 resource.k8s.io/v1 resource.k8s.io/v1beta2 \
resource.k8s.io/v1beta1 resource.k8s.io/v1alpha3 scheduling.k8s.io/v1alpha2 scheduling.k8s.io/v1beta1 \
scheduling.k8s.io/v1 storage.k8s.io/v1beta1 storage.k8s.io/v1 storage.k8s.io/v1alpha1 \
storagemigration.k8s.io/v1beta1 apiextensions.k8s.io/v1beta1 apiextensions.k8s.io/v1";

/// What a release is rendered for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The version of Kubernetes.
    pub kube_version: KubeVersion,
    /// The API versions: `apps/v1`, and from a cluster `apps/v1/Deployment` as well.
    pub api_versions: Vec<String>,
    /// The version of Helm that charts are told of.
    pub helm_version: HelmVersion,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            kube_version: KubeVersion {
                version: "v1.36.0".to_owned(),
                normalized: "v1.36.0".to_owned(),
                major: "1".to_owned(),
                minor: "36".to_owned(),
            },
            api_versions: DEFAULT_API_VERSIONS.split(' ').map(str::to_owned).collect(),
            helm_version: HelmVersion::default(),
        }
    }
}

/// A version of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeVersion {
    /// The version as the cluster tells it: `v1.33.4-gke.1245000`.
    pub version: String,
    /// The same without what a vendor adds, which is what charts' `kubeVersion` is compared with.
    pub normalized: String,
    /// The first number.
    pub major: String,
    /// The second number; vendors may add a `+`.
    pub minor: String,
}

/// The build of Helm that charts are told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelmVersion {
    /// Its version.
    pub version: String,
    /// The commit that it was built from.
    pub git_commit: String,
    /// Whether there were changes.
    pub git_tree_state: String,
    /// The Go version.
    pub go_version: String,
    /// The version of Kubernetes that its client library belongs to.
    pub kube_client_version: String,
}

impl Default for HelmVersion {
    fn default() -> Self {
        Self {
            version: "v4.2".to_owned(),
            git_commit: String::new(),
            git_tree_state: String::new(),
            go_version: "go1.26.8".to_owned(),
            kube_client_version: "v1.36".to_owned(),
        }
    }
}

/// Why a text is no version of Kubernetes; the texts are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKubeVersion {
    /// There is no number at its start.
    #[error("could not parse {} as version", quote(.0))]
    NoVersion(String),
    /// There is only one number.
    #[error("illegal version string {}", quote(.0))]
    TooShort(String),
    /// The first number starts with a zero.
    #[error("illegal zero-prefixed version component {} in {}", quote(.0), quote(.1))]
    ZeroPrefixed(String, String),
    /// A number is too large.
    #[error(
        "illegal non-numeric version component {component} in {text}: strconv.ParseUint: parsing {component}: \
         value out of range",
        component = quote(.0),
        text = quote(.1)
    )]
    TooLarge(String, String),
}

impl KubeVersion {
    /// Reads a version: two or more numbers with dots between them, and anything behind them.
    ///
    /// ```
    /// let version = ferro_helm::KubeVersion::parse("1.33.4-gke.1")?;
    /// assert_eq!((version.version.as_str(), version.normalized.as_str()), ("v1.33.4-gke.1", "v1.33.4"));
    /// # Ok::<(), ferro_helm::InvalidKubeVersion>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, InvalidKubeVersion> {
        let owned = || text.to_owned();
        let numbers = leading_numbers(text).ok_or_else(|| InvalidKubeVersion::NoVersion(owned()))?;
        let mut parsed = Vec::new();
        let components: Vec<&str> = numbers.split('.').collect();
        if components.len() < 2 {
            return Err(InvalidKubeVersion::TooShort(owned()));
        }
        for (index, component) in components.into_iter().enumerate() {
            if index == 0 && component.starts_with('0') && component != "0" {
                return Err(InvalidKubeVersion::ZeroPrefixed(component.to_owned(), owned()));
            }
            let number: u64 = component
                .parse()
                .map_err(|_| InvalidKubeVersion::TooLarge(component.to_owned(), owned()))?;
            parsed.push(number.to_string());
        }
        let prefix = if text.starts_with('v') { "" } else { "v" };
        Ok(Self {
            version: format!("{prefix}{text}"),
            normalized: format!("v{}", parsed.join(".")),
            major: parsed.first().cloned().unwrap_or_default(),
            minor: parsed.get(1).cloned().unwrap_or_default(),
        })
    }
}

/// The numbers at the start of a version, or nothing when it has none.
fn leading_numbers(text: &str) -> Option<&str> {
    // What follows the numbers must be on one line, as a dot in Go's expressions has it.
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0C']);
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut end = 0;
    for (index, component) in text.split('.').enumerate() {
        let digits = component.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            break;
        }
        end += digits + usize::from(index > 0);
        if digits < component.len() {
            break;
        }
    }
    let rest = text.get(end..).unwrap_or_default();
    text.get(..end)
        .filter(|numbers| !numbers.is_empty() && !rest.contains('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_leniently() {
        let version = |text: &str| KubeVersion::parse(text).map_err(|error| error.to_string());
        let parsed = version("v1.08.3.4+x").unwrap();
        assert_eq!(parsed.version, "v1.08.3.4+x");
        assert_eq!(
            (parsed.normalized.as_str(), parsed.minor.as_str()),
            ("v1.8.3.4", "8")
        );
        assert_eq!(version("1").unwrap_err(), "illegal version string \"1\"");
        assert_eq!(
            version("x1.2").unwrap_err(),
            "could not parse \"x1.2\" as version"
        );
        assert_eq!(
            version("01.2").unwrap_err(),
            "illegal zero-prefixed version component \"01\" in \"01.2\""
        );
        assert_eq!(version("1.2.").unwrap().normalized, "v1.2");
    }

    #[test]
    fn there_are_as_many_versions_as_in_helm() {
        assert_eq!(Capabilities::default().api_versions.len(), 55);
    }
}
