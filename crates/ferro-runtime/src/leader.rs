//! Leader election on a `coordination.k8s.io/v1` Lease, compatible with client-go's: the same lease names and fields, so
//! that a replica of upstream's controller and one of ours never act at the same time.
//!
//! As in client-go, a lease held by another is judged by how long *we* have seen it unchanged, never by its own
//! timestamps, so that clocks may differ.

use std::collections::BTreeMap;
use std::time::Duration;

use ferro_api::annotation;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// The pause before the next attempt when another writer was first.
const CONFLICT_PAUSE: Duration = Duration::from_millis(100);

/// When to take, renew and give up a lease.
#[derive(Clone, Debug)]
pub struct LeaseTimes {
    /// A lease not renewed for so long may be taken.
    pub duration: Duration,
    /// A leader that could not renew for so long stops.
    pub renew_deadline: Duration,
    /// Time between attempts.
    pub retry_period: Duration,
    /// Whether a clean stop gives the lease up.
    pub release_on_cancel: bool,
}

/// Name of the lease of `controller`: with a label selector, a part of the selector's digest is added, so that each
/// shard has its own leader.
#[must_use]
pub fn lease_name(controller: &str, label_selector: &str) -> String {
    if label_selector.is_empty() {
        return format!("{controller}-leader-election");
    }
    let digest = Sha256::digest(label_selector.as_bytes());
    let prefix: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{controller}-leader-election-{prefix}")
}

/// One contender for a lease.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
    times: LeaseTimes,
    metrics: Metrics,
    /// Where other replicas reach this one once it leads.
    address: Option<String>,
}

/// What was last seen of a lease, and when by our own clock.
struct Observed {
    version: Option<String>,
    at: Instant,
}

impl Elector {
    /// Contends for the lease `name` in `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: String, times: LeaseTimes, metrics: Metrics) -> Self {
        let suffix: u64 = rand::random();
        let identity = format!("{}_{suffix:016x}", crate::hostname());
        Self {
            api: Api::namespaced(client, namespace),
            name,
            identity,
            times,
            metrics,
            address: None,
        }
    }

    /// Notes in the lease, while it is held, where other replicas reach this one.
    #[must_use]
    pub fn at_address(mut self, address: Option<String>) -> Self {
        self.address = address;
        self
    }

    /// Returns once the lease is held, or `false` if `stop` came first. Calls `standby` when somebody else holds it, with
    /// the address that is noted there.
    pub async fn acquire(&self, stop: &CancellationToken, standby: impl Fn(Option<&str>)) -> bool {
        self.metrics.leading(&self.name, false);
        let mut observed = Observed {
            version: None,
            at: Instant::now(),
        };
        loop {
            match self.try_hold(&mut observed).await {
                Ok(Attempt::Held) => {
                    self.metrics.leading(&self.name, true);
                    tracing::info!(lease = self.name, identity = self.identity, "became leader");
                    return true;
                }
                Ok(Attempt::HeldByOther(address)) => standby(address.as_deref()),
                Ok(Attempt::Conflict) => {}
                Err(error) => tracing::error!(lease = self.name, %error, "cannot take the lease"),
            }
            let pause = self.times.retry_period.mul_f64(1.0 + rand::random::<f64>() * 0.2);
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Renews the lease until `stop`, then gives it up if so configured. Returns early, without being asked, when the lease was lost:
    /// the caller must stop acting at once.
    pub async fn hold(&self, stop: &CancellationToken) -> Lost {
        let mut renewed = Instant::now();
        let mut observed = Observed {
            version: None,
            at: renewed,
        };
        let mut pause = self.times.retry_period;
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    self.release().await;
                    return Lost::Released;
                }
                () = tokio::time::sleep(pause) => {}
            }
            pause = self.times.retry_period;
            let deadline = renewed + self.times.renew_deadline;
            match tokio::time::timeout_at(deadline, self.try_hold(&mut observed)).await {
                Ok(Ok(Attempt::Held)) => renewed = Instant::now(),
                Ok(Ok(Attempt::HeldByOther(_))) => return self.lost(Lost::TakenOver),
                // Whoever wrote to it need not have taken it: look again.
                Ok(Ok(Attempt::Conflict)) => pause = pause.min(CONFLICT_PAUSE),
                Ok(Err(error)) => tracing::error!(lease = self.name, %error, "cannot renew the lease"),
                Err(_) => return self.lost(Lost::NotRenewed),
            }
            if Instant::now() >= deadline {
                return self.lost(Lost::NotRenewed);
            }
        }
    }

    fn lost(&self, how: Lost) -> Lost {
        self.metrics.leading(&self.name, false);
        how
    }

    /// One attempt: creates, takes or renews the lease.
    async fn try_hold(&self, observed: &mut Observed) -> kube::Result<Attempt> {
        let now = jiff::Timestamp::now();
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    annotations: self.noted(None),
                    ..ObjectMeta::default()
                },
                spec: Some(self.spec(now, now, 0)),
            };
            return settled(self.api.create(&PostParams::default(), &lease).await);
        };
        if lease.metadata.resource_version != observed.version {
            *observed = Observed {
                version: lease.metadata.resource_version.clone(),
                at: Instant::now(),
            };
        }
        let spec = lease.spec.take().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        let ours = holder == self.identity;
        if !ours && !holder.is_empty() && observed.at.elapsed() < self.lease_duration(&spec) {
            let annotations = lease.metadata.annotations.unwrap_or_default();
            return Ok(Attempt::HeldByOther(
                annotations.get(annotation::REPLICA_ADDRESS).cloned(),
            ));
        }
        lease.metadata.annotations = self.noted(lease.metadata.annotations.take());
        let transitions = spec.lease_transitions.unwrap_or(0);
        lease.spec = Some(if ours {
            self.spec(spec.acquire_time.map_or(now, |time| time.0), now, transitions)
        } else {
            self.spec(now, now, transitions.saturating_add(1))
        });
        let taken = self.api.replace(&self.name, &PostParams::default(), &lease).await;
        if let Ok(lease) = &taken {
            *observed = Observed {
                version: lease.metadata.resource_version.clone(),
                at: Instant::now(),
            };
        }
        settled(taken)
    }

    /// The annotations of a lease that is ours: the address of another replica must not stay.
    fn noted(&self, annotations: Option<BTreeMap<String, String>>) -> Option<BTreeMap<String, String>> {
        let mut annotations = annotations.unwrap_or_default();
        match &self.address {
            Some(address) => annotations.insert(annotation::REPLICA_ADDRESS.to_owned(), address.clone()),
            None => annotations.remove(annotation::REPLICA_ADDRESS),
        };
        (!annotations.is_empty()).then_some(annotations)
    }

    fn lease_duration(&self, spec: &LeaseSpec) -> Duration {
        let seconds = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        seconds.map_or(self.times.duration, Duration::from_secs)
    }

    fn spec(&self, acquired: jiff::Timestamp, renewed: jiff::Timestamp, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(
                i32::try_from(self.times.duration.as_secs().max(1)).unwrap_or(i32::MAX),
            ),
            acquire_time: Some(MicroTime(acquired)),
            renew_time: Some(MicroTime(renewed)),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    /// Empties the holder, so that another replica need not wait for the lease to run out.
    async fn release(&self) {
        self.metrics.leading(&self.name, false);
        if !self.times.release_on_cancel {
            return;
        }
        let released = async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else {
                return Ok(());
            };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(self.identity.as_str()) {
                return Ok(());
            }
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            self.api
                .replace(&self.name, &PostParams::default(), &lease)
                .await
                .map(|_| ())
        };
        match tokio::time::timeout(Duration::from_secs(5), released).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(lease = self.name, %error, "cannot release the lease"),
            Err(_) => tracing::error!(lease = self.name, "cannot release the lease in time"),
        }
    }
}

/// Why a lease is no longer held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Given up on request.
    Released,
    /// Another replica holds it.
    TakenOver,
    /// It could not be renewed in time.
    NotRenewed,
}

/// What came of an attempt to hold the lease.
enum Attempt {
    Held,
    /// By one that may have noted its address.
    HeldByOther(Option<String>),
    /// Somebody else wrote to it first.
    Conflict,
}

/// Another writer being first is not an error: the next attempt sees what it wrote.
fn settled(result: kube::Result<Lease>) -> kube::Result<Attempt> {
    match result {
        Ok(_) => Ok(Attempt::Held),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Attempt::Conflict),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_testkit::api::FakeApi;

    #[test]
    fn lease_name_of_a_shard_has_the_selectors_digest() {
        assert_eq!(
            lease_name("kustomize-controller", ""),
            "kustomize-controller-leader-election"
        );
        // printf 'sharding.fluxcd.io/key=shard1' | sha256sum
        assert_eq!(
            lease_name("kustomize-controller", "sharding.fluxcd.io/key=shard1"),
            "kustomize-controller-leader-election-73fdc1be"
        );
    }

    const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/l";

    fn elector(api: &FakeApi) -> Elector {
        let times = LeaseTimes {
            duration: Duration::from_secs(35),
            renew_deadline: Duration::from_secs(30),
            retry_period: Duration::from_secs(5),
            release_on_cancel: true,
        };
        Elector::new(api.client(), "ns", "l".to_owned(), times, Metrics::default())
    }

    fn holder(api: &FakeApi) -> String {
        let lease = api.get(PATH).unwrap();
        lease["spec"]["holderIdentity"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn conflict_is_no_loss_but_another_holder_is() {
        let (api, stop) = (FakeApi::default(), CancellationToken::new());
        let elector = elector(&api);
        assert!(elector.acquire(&stop, |_| {}).await);
        api.fail_next("PUT", "/l", 409);
        // Longer than it takes to give up for lack of renewal.
        let held = tokio::time::timeout(Duration::from_secs(60), elector.hold(&stop)).await;
        assert!(held.is_err(), "{held:?}");
        assert_eq!(holder(&api), elector.identity);
        let mut taken = api.get(PATH).unwrap();
        taken["spec"]["holderIdentity"] = "another".into();
        api.put(PATH, taken);
        assert_eq!(elector.hold(&stop).await, Lost::TakenOver);
    }

    #[tokio::test(start_paused = true)]
    async fn lease_that_cannot_be_renewed_is_lost_at_the_deadline() {
        let (api, stop) = (FakeApi::default(), CancellationToken::new());
        let elector = elector(&api);
        assert!(elector.acquire(&stop, |_| {}).await);
        (0..100).for_each(|_| api.fail_next("GET", "/l", 500));
        let start = Instant::now();
        assert_eq!(elector.hold(&stop).await, Lost::NotRenewed);
        assert_eq!(start.elapsed(), Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn standby_is_told_and_release_hands_over() {
        let (api, stop, done) = (
            FakeApi::default(),
            CancellationToken::new(),
            CancellationToken::new(),
        );
        let here = "10.0.0.1:9090";
        let [first, second] =
            [here, "10.0.0.2:9090"].map(|address| elector(&api).at_address(Some(address.to_owned())));
        assert!(first.acquire(&stop, |_| panic!("nobody holds it")).await);
        let waits = std::sync::atomic::AtomicUsize::new(0);
        let count = |address: Option<&str>| {
            assert_eq!(address, Some(here));
            if waits.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                done.cancel();
            }
        };
        let (lost, acquired) = tokio::join!(first.hold(&done), second.acquire(&stop, count));
        assert_eq!((lost, acquired), (Lost::Released, true));
        assert!(waits.into_inner() >= 1 && holder(&api) == second.identity);
        let annotations = &api.get(PATH).unwrap()["metadata"]["annotations"];
        assert_eq!(annotations[annotation::REPLICA_ADDRESS], "10.0.0.2:9090");
    }
}
