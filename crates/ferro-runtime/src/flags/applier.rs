//! Flags that the controllers have in common that apply objects. A process that runs several of them has each flag once.

use std::time::Duration;

use clap::Args;

use super::duration;

/// How much is done at once, and how patiently.
#[derive(Args, Clone, Copy, Debug)]
pub struct PaceFlags {
    /// Objects reconciled at once.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrent: u16,
    /// Time after which an object whose dependencies are not ready is looked at again.
    #[arg(long, value_parser = duration, default_value = "30s")]
    pub requeue_dependency: Duration,
}

impl Default for PaceFlags {
    fn default() -> Self {
        Self {
            concurrent: 4,
            requeue_dependency: Duration::from_secs(30),
        }
    }
}

/// The rights of those who name none.
#[derive(Args, Clone, Debug, Default)]
pub struct AccountFlags {
    /// Service account, in the namespace of each object, with whose rights is applied what names none.
    #[arg(long, default_value = "")]
    pub default_service_account: String,
}

/// What objects may refer to, and how it is fetched.
#[derive(Args, Clone, Debug)]
pub struct ApplierFlags {
    /// Refuse sources in other namespaces.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set)]
    pub no_cross_namespace_refs: bool,
    /// Attempts to fetch an artifact.
    #[arg(long, default_value_t = 9)]
    pub http_retry: u32,
    /// Field managers, besides kubectl's, whose fields are taken over; can be repeated.
    #[arg(long)]
    pub override_manager: Vec<String>,
    /// Service account, in the namespace of each object, that gets tokens for remote clusters where the ConfigMap of spec.kubeConfig names none.
    #[arg(long, default_value = "")]
    pub default_kubeconfig_service_account: String,
    /// Run the programs that kubeconfigs of remote clusters authenticate with.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set)]
    pub insecure_kubeconfig_exec: bool,
    /// Trust remote clusters without a look at their certificates where the kubeconfig says so.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set)]
    pub insecure_kubeconfig_tls: bool,
}
