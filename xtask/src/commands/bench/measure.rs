//! What the processes use: CPU from /proc, peak memory, and requests by verb from their own metrics.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use xtask::cluster::Cluster;
use xtask::http;

use super::super::programs::Controller;

/// What one process used in all.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    pub name: String,
    /// Whether it is ours, or part of the control plane.
    pub is_ours: bool,
    pub cpu: f64,
    pub peak_mib: f64,
    /// Requests to the API server by verb.
    pub requests: BTreeMap<String, u64>,
}

/// The processes that are measured.
#[derive(Debug)]
pub(super) struct Meter {
    controllers: Vec<Controller>,
    control_plane: Vec<(String, u32)>,
    ticks: f64,
    /// CPU seconds that each process had used before the workload began.
    before: BTreeMap<u32, f64>,
    /// CPU seconds and requests of our processes when the phase began.
    phase: (f64, u64),
    /// CPU seconds that each process had used by then.
    shares: Vec<(String, f64)>,
}

impl Meter {
    pub(super) fn new(controllers: Vec<Controller>, cluster: &Cluster) -> Result<Self> {
        let control_plane = cluster
            .processes()
            .map(|(name, id)| (name.to_owned(), id))
            .collect();
        let ticks = rustix::param::clock_ticks_per_second();
        let ticks = u32::try_from(ticks).map_or(100.0, f64::from);
        let mut it = Self {
            controllers,
            control_plane,
            ticks,
            before: BTreeMap::new(),
            phase: (0.0, 0),
            shares: Vec::new(),
        };
        // Start-up is counted for ours, which are measured in all, but not for the control plane, which serves anyone.
        it.before = it
            .control_plane
            .iter()
            .map(|(_, id)| Ok((*id, it.cpu(*id)?)))
            .collect::<Result<_>>()?;
        Ok(it)
    }

    /// Fails when a controller has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        self.controllers.iter_mut().try_for_each(Controller::check)
    }

    pub(super) fn begin_phase(&mut self) -> Result<()> {
        self.phase = self.so_far()?;
        self.shares = self.all()?;
        Ok(())
    }

    /// CPU seconds that each process used since the phase began, for a person.
    pub(super) fn phase_shares(&self) -> Result<String> {
        let now = self.all()?;
        let shares = now.iter().zip(&self.shares).map(|((name, now), (_, before))| {
            let used = now - before;
            format!("{name} {used:.2}")
        });
        Ok(shares.collect::<Vec<_>>().join(", "))
    }

    /// CPU seconds that each process has used.
    fn all(&self) -> Result<Vec<(String, f64)>> {
        let ours = self.controllers.iter();
        let ours = ours.map(|it| (it.process.name(), it.process.id()));
        let others = self.control_plane.iter().map(|(name, id)| (name.as_str(), *id));
        ours.chain(others)
            .map(|(name, id)| Ok((name.to_owned(), self.cpu(id)?)))
            .collect()
    }

    /// What our processes used since the phase began, for a person.
    pub(super) fn phase_cost(&self) -> Result<String> {
        let (cpu, requests) = self.so_far()?;
        Ok(format!(
            "{:.2} CPU s, {} requests",
            cpu - self.phase.0,
            requests.saturating_sub(self.phase.1)
        ))
    }

    fn so_far(&self) -> Result<(f64, u64)> {
        let mut sum = (0.0, 0);
        for it in &self.controllers {
            sum.0 += self.cpu(it.process.id())?;
            sum.1 += requests(it)?.values().sum::<u64>();
        }
        Ok(sum)
    }

    pub(super) fn usage(&self) -> Result<Vec<Usage>> {
        let mut all = Vec::new();
        for it in &self.controllers {
            let id = it.process.id();
            let name = it.process.name().to_owned();
            let (cpu, peak_mib) = (self.cpu(id)?, peak(id)?);
            all.push(Usage {
                name,
                is_ours: true,
                cpu,
                peak_mib,
                requests: requests(it)?,
            });
        }
        for (name, id) in &self.control_plane {
            let cpu = self.cpu(*id)? - self.before.get(id).copied().unwrap_or_default();
            let usage = Usage {
                name: name.clone(),
                cpu,
                peak_mib: peak(*id)?,
                ..Usage::default()
            };
            all.push(usage);
        }
        Ok(all)
    }

    pub(super) fn logs(&self) -> String {
        self.controllers
            .iter()
            .map(|it| format!("{}:\n{}", it.process.name(), it.process.log_tail(15)))
            .collect()
    }

    /// Seconds of CPU, user and system, that a process has used.
    fn cpu(&self, id: u32) -> Result<f64> {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).with_context(|| format!("process {id}"))?;
        // The second field is the program's name in parentheses and may hold anything.
        let rest = text.rsplit_once(") ").map_or("", |it| it.1);
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = |index: usize| fields.get(index).and_then(|it| it.parse::<f64>().ok());
        let used = ticks(11)
            .zip(ticks(12))
            .with_context(|| format!("/proc/{id}/stat is not as expected"))?;
        Ok((used.0 + used.1) / self.ticks)
    }
}

/// The most memory that a process has had resident, in MiB.
fn peak(id: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{id}/status")).with_context(|| format!("process {id}"))?;
    let line = text.lines().find_map(|it| it.strip_prefix("VmHWM:"));
    let kib = line.and_then(|it| it.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("/proc/{id}/status is not as expected"))? / 1024.0)
}

/// Requests to the API server by verb, from the metric that client-go's users know.
fn requests(controller: &Controller) -> Result<BTreeMap<String, u64>> {
    let text = http::get(controller.metrics, "/metrics", Duration::from_secs(10))?;
    let mut sums = BTreeMap::new();
    for line in text
        .lines()
        .filter(|it| it.starts_with("rest_client_requests_total{"))
    {
        let verb = line.split("method=\"").nth(1).and_then(|it| it.split('"').next());
        let value = line.rsplit(' ').next().and_then(|it| it.parse::<f64>().ok());
        if let (Some(verb), Some(value)) = (verb, value) {
            // A count, which a metric prints as a float.
            *sums.entry(verb.to_owned()).or_default() += value as u64;
        }
    }
    Ok(sums)
}

/// The value below which this percentage of sorted values lies.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_is_the_nearest_rank() {
        let values: Vec<Duration> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!(percentile(&values, 50), Duration::from_millis(10));
        assert_eq!(percentile(&values, 95), Duration::from_millis(19));
        assert_eq!(percentile(&values[..1], 95), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
