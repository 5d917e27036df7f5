//! Reasons of conditions and events, grouped by the kinds that use them.

/// Declares reasons: the constants are the words themselves.
macro_rules! reasons {
    ($($name:ident = $text:literal,)+) => {
        $(
            #[doc = concat!("`", $text, "`")]
            pub const $name: &str = $text;
        )+

        /// Every reason of this vocabulary.
        pub const ALL: &[&str] = &[$($name),+];
    };
}

reasons! {
    // Shared by all kinds.
    SUCCEEDED = "Succeeded",
    FAILED = "Failed",
    PROGRESSING = "Progressing",
    PROGRESSING_WITH_RETRY = "ProgressingWithRetry",
    SUSPENDED = "Suspended",
    DEPENDENCY_NOT_READY = "DependencyNotReady",
    FEATURE_GATE_DISABLED = "FeatureGateDisabled",
    ACCESS_DENIED = "AccessDenied",
    UNKNOWN = "Unknown",
    INVALID_CEL_EXPRESSION = "InvalidCELExpression",
    VALIDATION_FAILED = "ValidationFailed",
    // Sources: addresses, credentials, providers.
    URL_INVALID = "URLInvalid",
    AUTHENTICATION_FAILED = "AuthenticationFailed",
    INVALID_STS_CONFIGURATION = "InvalidSTSConfiguration",
    INVALID_PROVIDER_CONFIGURATION = "InvalidProviderConfiguration",
    // Sources: signatures.
    VERIFICATION_ERROR = "VerificationError",
    INVALID_VERIFICATION_MODE = "InvalidVerificationMode",
    INVALID_GIT_OBJECT = "InvalidGitObject",
    INVALID_TAG_SIGNATURE = "InvalidTagSignature",
    INVALID_COMMIT_SIGNATURE = "InvalidCommitSignature",
    // Storage and archives.
    DIRECTORY_CREATION_FAILED = "DirectoryCreationFailed",
    STAT_OPERATION_FAILED = "StatOperationFailed",
    READ_OPERATION_FAILED = "ReadOperationFailed",
    ACQUIRE_LOCK_FAILED = "AcquireLockFailed",
    INVALID_PATH = "InvalidPath",
    ILLEGAL_PATH = "IllegalPath",
    COPY_FAILURE = "CopyFailure",
    ARCHIVE_OPERATION_FAILED = "ArchiveOperationFailed",
    SYMLINK_UPDATE_FAILED = "SymlinkUpdateFailed",
    CACHE_OPERATION_FAILED = "CacheOperationFailed",
    PATCH_OPERATION_FAILED = "PatchOperationFailed",
    SOURCE_IGNORE_ERROR = "SourceIgnoreError",
    ARTIFACT_UP_TO_DATE = "ArtifactUpToDate",
    ARTIFACT_VERIFICATION_FAILED = "ArtifactVerificationFailed",
    GARBAGE_COLLECTION_SUCCEEDED = "GarbageCollectionSucceeded",
    GARBAGE_COLLECTION_FAILED = "GarbageCollectionFailed",
    NEW_ARTIFACT = "NewArtifact",
    // Git repositories.
    GIT_OPERATION_SUCCEEDED = "GitOperationSucceeded",
    GIT_OPERATION_FAILED = "GitOperationFailed",
    EMPTY_GIT_REPOSITORY = "EmptyGitRepository",
    INCLUDE_CHANGE = "IncludeChange",
    NEW_REVISION = "NewRevision",
    NOT_FOUND = "NotFound",
    NO_ARTIFACT = "NoArtifact",
    // OCI repositories and buckets.
    OCI_ARTIFACT_PULL_FAILED = "OCIArtifactPullFailed",
    OCI_ARTIFACT_LAYER_OPERATION_FAILED = "OCIArtifactLayerOperationFailed",
    BUCKET_OPERATION_FAILED = "BucketOperationFailed",
    // Helm repositories and charts.
    INDEXATION_FAILED = "IndexationFailed",
    SOURCE_UNAVAILABLE = "SourceUnavailable",
    UNSUPPORTED_SOURCE_KIND = "UnsupportedSourceKind",
    NO_SOURCE_ARTIFACT = "NoSourceArtifact",
    NEW_CHART = "NewChart",
    CHART_PULL_SUCCEEDED = "ChartPullSucceeded",
    CHART_PACKAGE_SUCCEEDED = "ChartPackageSucceeded",
    INVALID_CHART_REFERENCE = "InvalidChartReference",
    CHART_PULL_ERROR = "ChartPullError",
    METADATA_PATCH_ERROR = "MetadataPatchError",
    VALUES_FILES_ERROR = "ValuesFilesError",
    DEPENDENCY_BUILD_ERROR = "DependencyBuildError",
    CHART_PACKAGE_ERROR = "ChartPackageError",
    CHART_VERIFICATION_ERROR = "ChartVerificationError",
    RESOLVED_DEPENDENCIES = "ResolvedDependencies",
    // Artifact generators.
    SOURCE_FETCH_FAILED = "SourceFetchFailed",
    RECONCILIATION_DISABLED = "ReconciliationDisabled",
    // Kustomizations.
    RECONCILIATION_SUCCEEDED = "ReconciliationSucceeded",
    RECONCILIATION_FAILED = "ReconciliationFailed",
    ARTIFACT_FAILED = "ArtifactFailed",
    BUILD_FAILED = "BuildFailed",
    PRUNE_FAILED = "PruneFailed",
    HEALTH_CHECK_FAILED = "HealthCheckFailed",
    HEALTH_CHECK_CANCELED = "HealthCheckCanceled",
    // Helm releases.
    INSTALL_SUCCEEDED = "InstallSucceeded",
    INSTALL_FAILED = "InstallFailed",
    UPGRADE_SUCCEEDED = "UpgradeSucceeded",
    UPGRADE_FAILED = "UpgradeFailed",
    TEST_SUCCEEDED = "TestSucceeded",
    TEST_FAILED = "TestFailed",
    ROLLBACK_SUCCEEDED = "RollbackSucceeded",
    ROLLBACK_FAILED = "RollbackFailed",
    UNINSTALL_SUCCEEDED = "UninstallSucceeded",
    UNINSTALL_FAILED = "UninstallFailed",
    DRIFT_DETECTED = "DriftDetected",
    NO_DRIFT_DETECTED = "NoDriftDetected",
    DRIFT_CORRECTED = "DriftCorrected",
    DRIFT_CORRECTION_FAILED = "DriftCorrectionFailed",
    SOURCE_NOT_READY = "SourceNotReady",
    VALUES_ERROR = "ValuesError",
    CHART_MUTATE_ERROR = "ChartMutateError",
    REST_CLIENT_ERROR = "RESTClientError",
    RESOURCE_MANAGER_ERROR = "ResourceManagerError",
    FACTORY_ERROR = "FactoryError",
    CONFIG_FACTORY_ERR = "ConfigFactoryErr",
    STATE_ERROR = "StateError",
    RECONCILE_ERROR = "ReconcileError",
    RETRIES_EXCEEDED = "RetriesExceeded",
    MISSING_ROLLBACK_TARGET = "MissingRollbackTarget",
    PENDING_RELEASE = "PendingRelease",
    AWAITING_TESTS = "AwaitingTests",
    INVENTORY_BUILD_FAILED = "InventoryBuildFailed",
    NAMESPACE_CHECK_SKIPPED = "NamespaceCheckSkipped",
    HELM_CHART_CREATED = "HelmChartCreated",
    HELM_CHART_CONFIGURED = "HelmChartConfigured",
    HELM_CHART_DELETED = "HelmChartDeleted",
    HELM_CHART_SYNC_ERR = "HelmChartSyncErr",
    // Image scanning and updating.
    IMAGE_URL_INVALID = "ImageURLInvalid",
    FAILURE = "Failure",
    INVALID_POLICY = "InvalidPolicy",
    INTERVAL_NOT_CONFIGURED = "IntervalNotConfigured",
    INVALID_POLICY_SELECTOR = "InvalidPolicySelector",
    INVALID_SOURCE_CONFIGURATION = "InvalidSourceConfiguration",
    SOURCE_MANAGER_FAILED = "SourceManagerFailed",
    INVALID_UPDATE_STRATEGY = "InvalidUpdateStrategy",
    UPDATE_FAILED = "UpdateFailed",
    REMOVED_TEMPLATE_FIELD = "RemovedTemplateField",
    // Notifications.
    TOKEN_NOT_FOUND = "TokenNotFound",
    MIGRATION = "Migration",
    INVALID_CONFIG = "InvalidConfig",
    NOTIFICATION_DISPATCH_FAILED = "NotificationDispatchFailed",
    METADATA_APPEND_FAILED = "MetadataAppendFailed",
}
