//! Every word that leaves the process and that other programs match on.

/// API groups.
pub mod group {
    /// Sources: repositories, charts, buckets.
    pub const SOURCE: &str = "source.toolkit.fluxcd.io";
    /// Artifacts composed of several sources.
    pub const SOURCE_EXTENSIONS: &str = "source.extensions.fluxcd.io";
    /// Kustomizations.
    pub const KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io";
    /// Helm releases.
    pub const HELM: &str = "helm.toolkit.fluxcd.io";
    /// Alerts, providers, receivers.
    pub const NOTIFICATION: &str = "notification.toolkit.fluxcd.io";
    /// Image scanning and updating.
    pub const IMAGE: &str = "image.toolkit.fluxcd.io";
    /// Events between controllers.
    pub const EVENT: &str = "event.toolkit.fluxcd.io";
}

/// Condition types.
pub mod condition {
    /// The summary of all others.
    pub const READY: &str = "Ready";
    /// Work is under way; absent otherwise.
    pub const RECONCILING: &str = "Reconciling";
    /// Only a change by the user can help; absent otherwise.
    pub const STALLED: &str = "Stalled";
    /// The objects that a Kustomization applied are healthy.
    pub const HEALTHY: &str = "Healthy";
    /// The upstream of a source could not be read.
    pub const FETCH_FAILED: &str = "FetchFailed";
    /// A source that is to be included has no artifact.
    pub const INCLUDE_UNAVAILABLE: &str = "IncludeUnavailable";
    /// The stored artifact is older than the upstream.
    pub const ARTIFACT_OUTDATED: &str = "ArtifactOutdated";
    /// The artifact of the current revision is stored and served.
    pub const ARTIFACT_IN_STORAGE: &str = "ArtifactInStorage";
    /// The signature of the source was checked.
    pub const SOURCE_VERIFIED: &str = "SourceVerified";
    /// The artifact could not be written to storage.
    pub const STORAGE_OPERATION_FAILED: &str = "StorageOperationFailed";
    /// A chart could not be built.
    pub const BUILD_FAILED: &str = "BuildFailed";
    /// A Helm release was installed or upgraded.
    pub const RELEASED: &str = "Released";
    /// The tests of a Helm release passed.
    pub const TEST_SUCCESS: &str = "TestSuccess";
    /// A failed Helm release was rolled back or uninstalled.
    pub const REMEDIATED: &str = "Remediated";
    /// The cluster differs from what a Helm release rendered.
    pub const DRIFTED: &str = "Drifted";
}

/// Reasons of conditions and events.
pub mod reason;

/// Annotations.
pub mod annotation {
    /// Asks for a reconcile now; any new value does.
    pub const RECONCILE_REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";
    /// With an equal [`RECONCILE_REQUESTED_AT`], asks for one Helm upgrade even if nothing changed.
    pub const FORCE_REQUESTED_AT: &str = "reconcile.fluxcd.io/forceAt";
    /// With an equal [`RECONCILE_REQUESTED_AT`], resets the failure counts of a Helm release.
    pub const RESET_REQUESTED_AT: &str = "reconcile.fluxcd.io/resetAt";
    /// `disabled` keeps post-build substitution away from an object.
    pub const SUBSTITUTE: &str = "kustomize.toolkit.fluxcd.io/substitute";
    /// `disabled` keeps decryption away from an object.
    pub const DECRYPT: &str = "kustomize.toolkit.fluxcd.io/decrypt";
    /// `disabled` freezes an object: it is neither applied nor pruned.
    pub const RECONCILE: &str = "kustomize.toolkit.fluxcd.io/reconcile";
    /// How an object is applied: `Override`, `Merge`, `IfNotPresent` or `Ignore`.
    pub const SSA: &str = "kustomize.toolkit.fluxcd.io/ssa";
    /// `disabled` keeps an object from being pruned.
    pub const PRUNE: &str = "kustomize.toolkit.fluxcd.io/prune";
    /// `enabled` lets an object be recreated when an immutable field changes.
    pub const FORCE: &str = "kustomize.toolkit.fluxcd.io/force";
    /// A checksum that early versions of Flux wrote; removed when seen.
    pub const LEGACY_CHECKSUM: &str = "kustomize.toolkit.fluxcd.io/checksum";
    /// A checksum that Flux 1 wrote; removed when seen.
    pub const LEGACY_SYNC_CHECKSUM: &str = "fluxcd.io/sync-checksum";
    /// What `kubectl apply` remembers of its last manifest.
    pub const KUBECTL_LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
    /// `disabled` keeps drift detection of a Helm release away from an object.
    pub const DRIFT_DETECTION: &str = "helm.toolkit.fluxcd.io/driftDetection";
    /// The times at which a Helm release may be changed. Beyond upstream.
    pub const WINDOWS: &str = "helm.toolkit.fluxcd.io/windows";
    /// The time zone of [`WINDOWS`].
    pub const WINDOWS_TIME_ZONE: &str = "helm.toolkit.fluxcd.io/windowsTimeZone";
    /// `ignored` lets drift be undone outside of [`WINDOWS`].
    pub const WINDOWS_DRIFT: &str = "helm.toolkit.fluxcd.io/windowsDrift";
    /// `enabled` has the objects of Git LFS fetched that a GitRepository points to. Beyond upstream.
    pub const LFS: &str = "source.toolkit.fluxcd.io/lfs";
    /// Files of sources that a Helm release takes values from. Beyond upstream.
    pub const VALUES_FILES: &str = "helm.toolkit.fluxcd.io/valuesFiles";
    /// `disabled` suspends an artifact generator.
    pub const ARTIFACT_GENERATOR_RECONCILE: &str = "source.extensions.fluxcd.io/reconcile";
    /// On a lease: where the replica that holds it serves its artifacts to the others.
    pub const REPLICA_ADDRESS: &str = "source.toolkit.fluxcd.io/replica-address";
    /// The value that switches something off.
    pub const DISABLED: &str = "disabled";
    /// The value that switches something on.
    pub const ENABLED: &str = "enabled";
}

/// Labels.
pub mod label {
    /// Name of the Kustomization that applied an object.
    pub const KUSTOMIZE_NAME: &str = "kustomize.toolkit.fluxcd.io/name";
    /// Namespace of the Kustomization that applied an object.
    pub const KUSTOMIZE_NAMESPACE: &str = "kustomize.toolkit.fluxcd.io/namespace";
    /// Name of the HelmRelease that made an object.
    pub const HELM_NAME: &str = "helm.toolkit.fluxcd.io/name";
    /// Namespace of the HelmRelease that made an object.
    pub const HELM_NAMESPACE: &str = "helm.toolkit.fluxcd.io/namespace";
    /// UID of the ArtifactGenerator that made an ExternalArtifact.
    pub const ARTIFACT_GENERATOR: &str = "source.extensions.fluxcd.io/generator";
    /// Assigns an object to a shard of controllers.
    pub const SHARDING_KEY: &str = "sharding.fluxcd.io/key";
    /// `Enabled` makes a change of a ConfigMap or Secret trigger the objects that refer to it.
    pub const WATCH: &str = "reconcile.fluxcd.io/watch";
    /// The value of [`WATCH`] that switches watching on.
    pub const WATCH_ENABLED: &str = "Enabled";
    /// Name of the tenant that a namespace belongs to.
    pub const TENANT: &str = "toolkit.fluxcd.io/tenant";
    /// A mark that Flux 1 wrote; removed when seen.
    pub const LEGACY_GC_MARK: &str = "fluxcd.io/sync-gc-mark";
    /// Version of the distribution that a component belongs to.
    pub const VERSION: &str = "app.kubernetes.io/version";
    /// Name of the distribution that a component belongs to.
    pub const PART_OF: &str = "app.kubernetes.io/part-of";
    /// The value of [`PART_OF`]: what tools look for, whoever made the distribution.
    pub const PART_OF_FLUX: &str = "flux";
    /// What manages an object.
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    /// Name of the controller that a component is or belongs to.
    pub const COMPONENT: &str = "app.kubernetes.io/component";
    /// Name of the installation that a component belongs to.
    pub const INSTANCE: &str = "app.kubernetes.io/instance";
}

/// Finalizers.
pub mod finalizer {
    /// The finalizer of every kind but one.
    pub const NAME: &str = "finalizers.fluxcd.io";
    /// The finalizer of ArtifactGenerator.
    pub const ARTIFACT_GENERATOR: &str = "source.extensions.fluxcd.io/finalizer";
}

/// Metadata of events: keys are written `<group>/<key>`.
pub mod event {
    /// Prefix of the annotations that travel with every event of their object.
    pub const PREFIX: &str = "event.toolkit.fluxcd.io/";
    /// Revision of the artifact that the event is about.
    pub const REVISION: &str = "revision";
    /// Revision that the artifact's producer started from.
    pub const ORIGIN_REVISION: &str = "originRevision";
    /// Digest of the artifact.
    pub const DIGEST: &str = "digest";
    /// What [`DIGEST`] was called before.
    pub const CHECKSUM: &str = "checksum";
    /// Distinguishes events that are otherwise equal.
    pub const TOKEN: &str = "token";
    /// Commit that the event is about.
    pub const COMMIT: &str = "commit";
    /// Marks an event that only refreshes a commit status.
    pub const COMMIT_STATUS: &str = "commit_status";
    /// The value of [`COMMIT_STATUS`].
    pub const COMMIT_STATUS_UPDATE: &str = "update";
    /// Change request that the event is about.
    pub const CHANGE_REQUEST: &str = "change_request";
    /// Summary line of an alert.
    pub const SUMMARY: &str = "summary";
    /// Application version of a Helm chart.
    pub const APP_VERSION: &str = "app-version";
    /// Digest of the OCI artifact that a Helm chart came from.
    pub const OCI_DIGEST: &str = "oci-digest";
    /// Severity of an ordinary event.
    pub const SEVERITY_INFO: &str = "info";
    /// Severity of a failure.
    pub const SEVERITY_ERROR: &str = "error";
    /// Severity of an event that is recorded in the cluster but never sent on.
    pub const SEVERITY_TRACE: &str = "trace";
    /// `metadata` of OCI artifacts: the revision of the source they were built from.
    pub const OCI_REVISION: &str = "org.opencontainers.image.revision";
    /// `metadata` of OCI artifacts: the address of the source they were built from.
    pub const OCI_SOURCE: &str = "org.opencontainers.image.source";
    /// `metadata` of OCI artifacts: when they were built.
    pub const OCI_CREATED: &str = "org.opencontainers.image.created";
}

/// Names of the controllers: their Deployments, leases, event sources and field managers.
pub mod controller {
    /// Reconciles sources.
    pub const SOURCE: &str = "source-controller";
    /// Reconciles Kustomizations.
    pub const KUSTOMIZE: &str = "kustomize-controller";
    /// Reconciles Helm releases.
    pub const HELM: &str = "helm-controller";
    /// Sends notifications and receives webhooks.
    pub const NOTIFICATION: &str = "notification-controller";
    /// Scans image repositories.
    pub const IMAGE_REFLECTOR: &str = "image-reflector-controller";
    /// Writes image updates to Git.
    pub const IMAGE_AUTOMATION: &str = "image-automation-controller";
    /// Composes artifacts.
    pub const SOURCE_WATCHER: &str = "source-watcher";
}

/// Field managers of server-side apply; a controller uses its own name ([`controller`]).
pub mod field_manager {
    /// Prefix of every manager that `kubectl` uses; taken over when an object is adopted.
    pub const KUBECTL_PREFIX: &str = "kubectl";
    /// Manager of fields that were written before server-side apply was first used.
    pub const BEFORE_FIRST_APPLY: &str = "before-first-apply";
    /// The command line, where it writes objects of its own.
    pub const FLUX_CLI: &str = "flux";
}

/// Keys of Secrets that objects refer to.
pub mod secret_key {
    /// User name of basic authentication.
    pub const USERNAME: &str = "username";
    /// Password of basic authentication, or of an encrypted SSH key.
    pub const PASSWORD: &str = "password";
    /// Bearer token.
    pub const BEARER_TOKEN: &str = "bearerToken";
    /// Private SSH key.
    pub const IDENTITY: &str = "identity";
    /// Public SSH key.
    pub const IDENTITY_PUB: &str = "identity.pub";
    /// Host keys of an SSH server.
    pub const KNOWN_HOSTS: &str = "known_hosts";
    /// Certificate authority.
    pub const CA_CERT: &str = "ca.crt";
    /// Client certificate.
    pub const TLS_CERT: &str = "tls.crt";
    /// Client key.
    pub const TLS_KEY: &str = "tls.key";
    /// What [`CA_CERT`] was called before.
    pub const LEGACY_CA_FILE: &str = "caFile";
    /// What [`TLS_CERT`] was called before.
    pub const LEGACY_CERT_FILE: &str = "certFile";
    /// What [`TLS_KEY`] was called before.
    pub const LEGACY_KEY_FILE: &str = "keyFile";
    /// Address of a proxy or a webhook.
    pub const ADDRESS: &str = "address";
    /// Token of a webhook or an API.
    pub const TOKEN: &str = "token";
    /// Application id of a GitHub App.
    pub const GITHUB_APP_ID: &str = "githubAppID";
    /// Installation id of a GitHub App.
    pub const GITHUB_APP_INSTALLATION_ID: &str = "githubAppInstallationID";
    /// Account that a GitHub App is installed in.
    pub const GITHUB_APP_INSTALLATION_OWNER: &str = "githubAppInstallationOwner";
    /// Private key of a GitHub App.
    pub const GITHUB_APP_PRIVATE_KEY: &str = "githubAppPrivateKey";
    /// API address of a GitHub App on an own server.
    pub const GITHUB_APP_BASE_URL: &str = "githubAppBaseURL";
    /// Kubeconfig, in order of preference.
    pub const KUBECONFIG: [&str; 2] = ["value", "value.yaml"];
}
