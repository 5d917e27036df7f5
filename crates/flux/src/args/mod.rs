//! What can be typed: commands, words and flags, and nothing of what they do.

pub mod build;
pub mod check;
pub mod completion;
pub mod create;
pub mod debug;
pub mod delete;
pub mod error;
pub mod export;
mod flag;
pub mod get;
pub mod reconcile;
pub mod suspend;
pub mod target;
pub mod version;

use clap::{Args as _, Command};
use ferro_api::Duration;

/// Flags of every command.
#[derive(Clone, Debug, clap::Args)]
pub struct GlobalArgs {
    /// How long the operation may take
    #[arg(long, global = true, default_value = "5m", value_name = "duration", display_order = LAST)]
    pub timeout: Duration,

    /// Print generated objects
    #[arg(long, global = true, display_order = LAST)]
    pub verbose: bool,

    /// Namespace of the objects [default: flux-system, or what $FLUX_SYSTEM_NAMESPACE says]
    #[arg(short, long, global = true, display_order = LAST)]
    pub namespace: Option<String>,

    /// Use the namespace of the kubeconfig's context where none is given
    #[arg(long, global = true, display_order = LAST, env = "FLUX_NS_FOLLOWS_KUBE_CONTEXT", value_parser = clap::builder::FalseyValueParser::new())]
    pub ns_follows_kube_context: bool,

    /// Path of the kubeconfig
    #[arg(long, global = true, value_name = "file", help_heading = "Cluster")]
    pub kubeconfig: Option<String>,

    /// Name of the kubeconfig's context to use
    #[arg(long, global = true, value_name = "name", help_heading = "Cluster")]
    pub context: Option<String>,

    /// Name of the kubeconfig's cluster to use
    #[arg(long, global = true, value_name = "name", help_heading = "Cluster")]
    pub cluster: Option<String>,

    /// Name of the kubeconfig's user to use
    #[arg(long, global = true, value_name = "name", help_heading = "Cluster")]
    pub user: Option<String>,

    /// Bearer token for the API server
    #[arg(long, global = true, hide_env_values = true, help_heading = "Cluster")]
    pub token: Option<String>,

    /// Address of the API server
    #[arg(long, global = true, value_name = "url", help_heading = "Cluster")]
    pub server: Option<String>,

    /// Name that the API server's certificate must have
    #[arg(long, global = true, value_name = "name", help_heading = "Cluster")]
    pub tls_server_name: Option<String>,

    /// Do not check the API server's certificate, which makes the connection insecure
    #[arg(long, global = true, help_heading = "Cluster")]
    pub insecure_skip_tls_verify: bool,

    /// Path of the certificate authority for the API server
    #[arg(long, global = true, value_name = "file", help_heading = "Cluster")]
    pub certificate_authority: Option<String>,

    /// Path of a client certificate for the API server
    #[arg(long, global = true, value_name = "file", help_heading = "Cluster")]
    pub client_certificate: Option<String>,

    /// Path of a client key for the API server
    #[arg(long, global = true, value_name = "file", help_heading = "Cluster")]
    pub client_key: Option<String>,

    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "user", help_heading = "Cluster")]
    pub impersonate: Option<String>,

    /// Group to impersonate; may be repeated
    #[arg(
        long = "as-group",
        global = true,
        value_name = "group",
        help_heading = "Cluster"
    )]
    pub impersonate_groups: Vec<String>,

    /// UID to impersonate
    #[arg(long = "as-uid", global = true, value_name = "uid", help_heading = "Cluster")]
    pub impersonate_uid: Option<String>,

    /// Do not ask the API server for compressed responses
    #[arg(long, global = true, help_heading = "Cluster")]
    pub disable_compression: bool,

    /// Accepted for compatibility: nothing is cached
    #[arg(long, global = true, hide = true)]
    pub cache_dir: Option<String>,

    /// Accepted for compatibility: requests are not held back
    #[arg(long, global = true, hide = true, default_value_t = 50.0)]
    pub kube_api_qps: f32,

    /// Accepted for compatibility: requests are not held back
    #[arg(long, global = true, hide = true, default_value_t = 300)]
    pub kube_api_burst: u32,
}

/// Where flags of every command stand in help texts: after its own.
const LAST: usize = 900;

/// Writes examples as they stand at the end of a help text.
fn examples(lines: &str) -> String {
    let lines = lines.lines().map(|line| format!("  {line}\n"));
    format!("Examples:\n{}", lines.collect::<String>().trim_end())
}

/// Returns the whole command line.
#[must_use]
pub fn command() -> Command {
    let command = GlobalArgs::augment_args(Command::new("flux"))
        .version(crate::VERSION)
        .about("Command line utility for assembling Kubernetes CD pipelines the GitOps way")
        .subcommand_required(true)
        .arg_required_else_help(true)
        // As in pflag, the last one counts: wrappers and aliases append flags.
        .args_override_self(true)
        .subcommand(build::build_command())
        .subcommand(check::command())
        .subcommand(completion::command())
        .subcommand(create::command())
        .subcommand(debug::command())
        .subcommand(delete::command())
        .subcommand(build::diff_command())
        .subcommand(export::command())
        .subcommand(get::command())
        .subcommand(reconcile::command())
        .subcommand(suspend::resume_command())
        .subcommand(suspend::suspend_command())
        .subcommand(version::command());
    flag::with_values(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_given_twice_has_its_last_value() {
        for words in [
            ["flux", "-n", "a", "-n", "b", "get", "kustomizations"],
            ["flux", "get", "kustomizations", "-n", "a", "-n", "b"],
        ] {
            let matches = command().try_get_matches_from(words).unwrap();
            let namespace = matches.subcommand().unwrap().1.subcommand().unwrap().1;
            assert_eq!(namespace.get_one::<String>("namespace").unwrap(), "b");
        }
    }

    #[test]
    fn the_definitions_are_consistent() {
        command().debug_assert();
    }
}
