//! The command-line flags that all controllers have in common, with upstream's names and defaults
//! (`spec/sources-and-images.md` section 20, `spec/kustomize-and-notification.md` I.4).
//!
//! Flags follow pflag's habits, see [`parse`].

use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clap::builder::ValueParser;
use clap::{ArgAction, Args, Command, Parser, ValueEnum};
use ferro_api::meta::Duration as GoDuration;

mod applier;

pub use self::applier::{AccountFlags, ApplierFlags, PaceFlags};

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogEncoding {
    /// One JSON object a line, with the keys `flux logs` reads.
    Json,
    /// Text for people.
    Console,
}

/// The least severe line that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Everything, step by step.
    Trace,
    /// What helps to follow one reconcile.
    Debug,
    /// What changed.
    Info,
    /// What failed.
    Error,
}

/// Parses a Go duration such as `750ms` or `1h30m` into a standard one.
///
/// # Errors
/// When the text is no Go duration, or is negative.
pub fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<GoDuration>()
        .map(Duration::from)
        .map_err(|error| error.to_string())
}

/// Parses a truth value in any of Go's spellings.
fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

/// Parses the command line as pflag does: `--flag=value` or `--flag value`, a boolean may stand bare, and of a flag that is given twice the last
/// one counts (patches of the usual manifests append flags). Booleans have all of Go's spellings. An environment variable that is empty counts as
/// not set.
#[must_use]
pub fn parse<P: Parser>() -> P {
    let mut matches = like_pflag(P::command()).get_matches();
    P::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.exit())
}

/// Gives a command the habits of [`parse`].
#[must_use]
pub fn like_pflag(command: Command) -> Command {
    let is_empty = |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command.args_override_self(true).mut_args(move |mut flag| {
        if flag.get_env().is_some_and(is_empty) {
            flag = flag.env(None::<&'static str>);
        }
        let is_boolean = flag.get_value_parser().type_id() == ValueParser::bool().type_id();
        if is_boolean && matches!(flag.get_action(), ArgAction::Set) {
            flag = flag.value_parser(boolean);
        }
        flag
    })
}

fn percentage(text: &str) -> Result<u8, String> {
    match text.parse::<u8>() {
        Ok(value) if value < 100 => Ok(value),
        _ => Err(format!("`{text}` is not a whole number from 0 to 99")),
    }
}

/// Flags of the process: what exists once however many controllers it runs.
#[derive(Args, Clone, Debug)]
pub struct ProcessFlags {
    /// Address on which metrics are served at `/metrics`.
    #[arg(long, env = "METRICS_ADDR", default_value = ":8080")]
    pub metrics_addr: String,
    /// Address on which `/healthz` and `/readyz` are served.
    #[arg(long, default_value = ":9440")]
    pub health_addr: String,
    /// URL to which events are posted; empty for none.
    #[arg(long, env = "EVENTS_ADDR", default_value = "")]
    pub events_addr: String,
    /// Accepted for compatibility: requests are not limited on the client's side.
    #[arg(long, default_value_t = 50.0)]
    pub kube_api_qps: f32,
    /// Accepted for compatibility: requests are not limited on the client's side.
    #[arg(long, default_value_t = 300)]
    pub kube_api_burst: u32,
    /// Form of the log lines.
    #[arg(long, value_enum, default_value_t = LogEncoding::Json)]
    pub log_encoding: LogEncoding,
    /// Least severe log line that is written.
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,
    /// Act only while holding the lease of this controller.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set)]
    pub enable_leader_election: bool,
    /// Give the lease up on a clean stop, so that another replica takes over at once.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_election_release_on_cancel: bool,
    /// Time after which a lease that is not renewed may be taken by another replica.
    #[arg(long, value_parser = duration, default_value = "35s")]
    pub leader_election_lease_duration: Duration,
    /// Time after which a leader that could not renew its lease stops acting.
    #[arg(long, value_parser = duration, default_value = "30s")]
    pub leader_election_renew_deadline: Duration,
    /// Time between attempts to get or renew the lease.
    #[arg(long, value_parser = duration, default_value = "5s")]
    pub leader_election_retry_period: Duration,
    /// Watch all namespaces; otherwise only the one named by the environment variable RUNTIME_NAMESPACE.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = clap::ArgAction::Set)]
    pub watch_all_namespaces: bool,
    /// Reconcile only objects with these labels (sharding), for instance `sharding.fluxcd.io/key=shard1`.
    #[arg(long, default_value = "")]
    pub watch_label_selector: String,
    /// Labels of the ConfigMaps and Secrets whose changes trigger a reconcile of the objects that refer to them.
    #[arg(long, default_value = "reconcile.fluxcd.io/watch=Enabled")]
    pub watch_configs_label_selector: String,
    /// Shortest wait before a failed reconcile is tried again; doubles with each failure.
    #[arg(long, value_parser = duration, default_value = "750ms")]
    pub min_retry_delay: Duration,
    /// Longest wait before a failed reconcile is tried again.
    #[arg(long, value_parser = duration, default_value = "15m")]
    pub max_retry_delay: Duration,
    /// Share of an interval, in percent, by which each wait is shortened or lengthened at random.
    #[arg(long, value_parser = percentage, default_value_t = 5)]
    pub interval_jitter_percentage: u8,
    /// Features to switch on or off: `Name=true,Other=false`.
    #[arg(long, default_value = "")]
    pub feature_gates: String,
    /// Entries that the cache of access tokens holds; 0 switches it off.
    #[arg(long, default_value_t = 100)]
    pub token_cache_max_size: usize,
    /// Longest time for which a cached access token is used.
    #[arg(long, value_parser = duration, default_value = "1h")]
    pub token_cache_max_duration: Duration,
    /// Kubeconfig file; by default that of the environment or of the pod.
    #[arg(long, default_value = "")]
    pub kubeconfig: String,
}

impl ProcessFlags {
    /// The namespace to watch, or none for all of them.
    ///
    /// # Errors
    /// When a single namespace is asked for and RUNTIME_NAMESPACE does not say which.
    pub fn watch_namespace(&self) -> Result<Option<String>, FlagError> {
        if self.watch_all_namespaces {
            return Ok(None);
        }
        runtime_namespace().map(Some).ok_or(FlagError::NoRuntimeNamespace)
    }
}

/// The namespace in which the controllers run, from the environment variable RUNTIME_NAMESPACE.
#[must_use]
pub fn runtime_namespace() -> Option<String> {
    std::env::var("RUNTIME_NAMESPACE")
        .ok()
        .filter(|ns| !ns.is_empty())
}

/// A combination of flags that cannot be honoured.
#[derive(Debug, thiserror::Error)]
pub enum FlagError {
    /// `--watch-all-namespaces=false` without RUNTIME_NAMESPACE.
    #[error("--watch-all-namespaces=false needs the environment variable RUNTIME_NAMESPACE")]
    NoRuntimeNamespace,
    /// An address that is no `host:port`.
    #[error("`{0}` is not a listen address; expected `host:port` or `:port`")]
    BadAddress(String),
    /// `--feature-gates` names a gate that this controller does not have.
    #[error("unknown feature gate `{name}`; known: {known}")]
    UnknownGate {
        /// The name as given.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// An entry of `--feature-gates` that is not `Name=true` or `Name=false`.
    #[error("feature gate `{0}` is not of the form Name=true or Name=false")]
    BadGate(String),
    /// A flag that names a ServiceAccount for those who name none, while nobody may name one.
    #[error(
        "cannot set default service accounts when the feature gate {OBJECT_LEVEL_WORKLOAD_IDENTITY} is not enabled: {flag}"
    )]
    DefaultAccount {
        /// The flag, with its dashes.
        flag: &'static str,
    },
}

/// Reads Go's `host:port` notation. Without a host it means all addresses of both families, see [`crate::server::bind`].
///
/// # Errors
/// When there is no port, or the host is not known.
pub fn listen_addr(text: &str) -> Result<SocketAddr, FlagError> {
    let bad = || FlagError::BadAddress(text.to_owned());
    let Some(port) = text.strip_prefix(':') else {
        return text
            .to_socket_addrs()
            .ok()
            .and_then(|mut found| found.next())
            .ok_or_else(bad);
    };
    let port = port.parse().map_err(|_| bad())?;
    Ok(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port))
}

/// The same for a server that can be left out, which `0` asks for.
///
/// # Errors
/// As [`listen_addr`].
pub fn optional_listen_addr(text: &str) -> Result<Option<SocketAddr>, FlagError> {
    if text == "0" {
        Ok(None)
    } else {
        listen_addr(text).map(Some)
    }
}

/// Gate that lets objects name ServiceAccounts whose tokens stand for them at clouds and clusters.
pub const OBJECT_LEVEL_WORKLOAD_IDENTITY: &str = "ObjectLevelWorkloadIdentity";

/// Feature gates of one controller: each known name with its value.
#[derive(Clone, Debug)]
pub struct FeatureGates(Vec<(&'static str, bool)>);

impl FeatureGates {
    /// Applies the flag's text to the defaults.
    ///
    /// # Errors
    /// When an entry is malformed or names an unknown gate.
    pub fn parse(defaults: &[(&'static str, bool)], text: &str) -> Result<Self, FlagError> {
        let mut gates = defaults.to_vec();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let Some((name, value)) = entry.split_once('=') else {
                return Err(FlagError::BadGate(entry.to_owned()));
            };
            let value = boolean(value).map_err(|_| FlagError::BadGate(entry.to_owned()))?;
            let Some(gate) = gates.iter_mut().find(|gate| gate.0 == name) else {
                let known = defaults.iter().map(|gate| gate.0).collect::<Vec<_>>().join(", ");
                return Err(FlagError::UnknownGate {
                    name: name.to_owned(),
                    known,
                });
            };
            gate.1 = value;
        }
        Ok(Self(gates))
    }

    /// Refuses flags, each with its value, that give ServiceAccounts to objects which may have none.
    ///
    /// # Errors
    /// When one of them is set and [`OBJECT_LEVEL_WORKLOAD_IDENTITY`] is off.
    pub fn allow_default_accounts(&self, flags: &[(&'static str, &str)]) -> Result<(), FlagError> {
        if self.enabled(OBJECT_LEVEL_WORKLOAD_IDENTITY) {
            return Ok(());
        }
        match flags.iter().find(|(_, account)| !account.is_empty()) {
            Some((flag, _)) => Err(FlagError::DefaultAccount { flag }),
            None => Ok(()),
        }
    }

    /// Whether the gate is on; an unknown one is off.
    #[must_use]
    pub fn enabled(&self, name: &str) -> bool {
        self.0.iter().any(|gate| gate.0 == name && gate.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        process: ProcessFlags,
        #[arg(long, env = "FERRO_TEST_EMPTY", default_value = "default")]
        other: String,
    }

    fn parsed(flags: &[&str]) -> Result<Cli, clap::Error> {
        use clap::{CommandFactory, FromArgMatches};
        let words = std::iter::once(&"program").chain(flags);
        let mut matches = like_pflag(Cli::command()).try_get_matches_from(words)?;
        Cli::from_arg_matches_mut(&mut matches)
    }

    #[test]
    fn flag_given_twice_has_its_last_value() {
        let flags = [
            "--log-level=info",
            "--log-level=debug",
            "--enable-leader-election",
            "--enable-leader-election=false",
            "--kube-api-burst=1",
            "--kube-api-burst=2",
            "--min-retry-delay=1s",
            "--min-retry-delay=2s",
            "--events-addr=a",
            "--events-addr=",
        ];
        let flags = parsed(&flags).unwrap().process;
        assert_eq!(flags.log_level, LogLevel::Debug);
        assert!(!flags.enable_leader_election);
        assert_eq!(flags.kube_api_burst, 2);
        assert_eq!(flags.min_retry_delay, Duration::from_secs(2));
        assert_eq!(flags.events_addr, "");
    }

    #[test]
    fn empty_environment_variable_counts_as_not_set() {
        const VARIABLE: &str = "FERRO_TEST_EMPTY";
        if std::env::var_os(VARIABLE).is_some() {
            assert_eq!(parsed(&[]).unwrap().other, "default");
            return;
        }
        // Variables cannot be set in a process with threads: the test runs itself in another one.
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .env(VARIABLE, "")
            .args([
                "--exact",
                "flags::tests::empty_environment_variable_counts_as_not_set",
            ])
            .output();
        let output = String::from_utf8(child.unwrap().stdout).unwrap();
        assert!(output.contains("1 passed"), "{output}");
    }

    #[test]
    fn booleans_have_gos_spellings() {
        let set = |value: &str| {
            parsed(&[&format!("--enable-leader-election={value}")])
                .map(|cli| cli.process.enable_leader_election)
        };
        for value in ["1", "t", "T", "true", "TRUE", "True"] {
            assert!(set(value).unwrap(), "{value}");
        }
        for value in ["0", "f", "F", "false", "FALSE", "False"] {
            assert!(!set(value).unwrap(), "{value}");
        }
        assert!(set("yes").is_err() && set("tRUE").is_err() && set("").is_err());
        assert!(
            parsed(&["--enable-leader-election"])
                .unwrap()
                .process
                .enable_leader_election
        );
        assert!(
            !parsed(&["--watch-all-namespaces=F"])
                .unwrap()
                .process
                .watch_all_namespaces
        );
    }

    #[test]
    fn listen_addr_go_notation_parses() {
        // All addresses, of both families.
        assert_eq!(listen_addr(":8080").unwrap().to_string(), "[::]:8080");
        assert_eq!(listen_addr("127.0.0.1:0").unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(listen_addr("0.0.0.0:1").unwrap().to_string(), "0.0.0.0:1");
        assert_eq!(listen_addr("[::1]:1").unwrap().to_string(), "[::1]:1");
        assert_eq!(listen_addr("localhost:1").unwrap().port(), 1);
        for bad in ["8080", "", "0", ":", ":http", ":-1", "::1", "127.0.0.1"] {
            assert!(listen_addr(bad).is_err(), "{bad}");
        }
        assert_eq!(optional_listen_addr("0").unwrap(), None);
        assert!(optional_listen_addr(":1").unwrap().is_some() && optional_listen_addr("1").is_err());
    }

    #[test]
    fn feature_gates_override_defaults_and_reject_the_unknown() {
        let defaults = [("A", false), ("B", true)];
        let gates = FeatureGates::parse(&defaults, "A=true, B=false").unwrap();
        assert!(gates.enabled("A") && !gates.enabled("B"));
        assert!(FeatureGates::parse(&defaults, "").unwrap().enabled("B"));
        assert!(matches!(
            FeatureGates::parse(&defaults, "C=true"),
            Err(FlagError::UnknownGate { .. })
        ));
        assert!(matches!(
            FeatureGates::parse(&defaults, "A"),
            Err(FlagError::BadGate(_))
        ));
    }
}
