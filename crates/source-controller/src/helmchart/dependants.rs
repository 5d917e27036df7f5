//! Which charts come from which source, so that a new artifact has them built at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferro_api::source::HelmChart;
use ferro_artifact::revision;
use ferro_runtime::controller::Triggers;
use ferro_runtime::reconcile::{Outcome, Pass, Reconciler};
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};

use crate::reconcile::SourceObject;

/// A source: kind, namespace, name.
type SourceId = (String, String, String);
/// A chart: namespace, name.
type ChartId = (String, String);

/// Which charts come from which source. Clones share it.
#[derive(Clone)]
pub(crate) struct Dependants {
    edges: Arc<Mutex<Edges>>,
    store: Store<HelmChart>,
    triggers: Triggers<HelmChart>,
}

#[derive(Debug, Default)]
struct Edges {
    sources: HashMap<ChartId, SourceId>,
    charts: HashMap<SourceId, BTreeSet<String>>,
}

impl Dependants {
    pub(crate) fn new(store: Store<HelmChart>, triggers: Triggers<HelmChart>) -> Self {
        Self {
            edges: Arc::default(),
            store,
            triggers,
        }
    }

    /// Notes where a chart comes from now.
    pub(crate) fn chart_seen(&self, chart: &HelmChart) {
        let namespace = chart.namespace().unwrap_or_default();
        let reference = &chart.spec.source_ref;
        let source = (reference.kind.to_string(), namespace, reference.name.clone());
        self.replace(chart, Some(source));
    }

    /// Forgets a chart that is gone.
    pub(crate) fn chart_gone(&self, chart: &HelmChart) {
        self.replace(chart, None);
    }

    fn replace(&self, chart: &HelmChart, source: Option<SourceId>) {
        let name = chart.name_any();
        let id = (chart.namespace().unwrap_or_default(), name.clone());
        let mut edges = self.lock();
        if edges.sources.get(&id) == source.as_ref() {
            return;
        }
        if let Some(old) = edges.sources.remove(&id)
            && let Some(names) = edges.charts.get_mut(&old)
        {
            names.remove(&name);
            if names.is_empty() {
                edges.charts.remove(&old);
            }
        }
        if let Some(source) = source {
            edges.charts.entry(source.clone()).or_default().insert(name);
            edges.sources.insert(id, source);
        }
    }

    /// Has the charts of a source built that were not made from its artifact.
    fn source_seen<K: SourceObject>(&self, source: &K) {
        for chart in self.outdated(source) {
            self.triggers.enqueue(chart);
        }
    }

    fn outdated<K: SourceObject>(&self, source: &K) -> Vec<ObjectRef<HelmChart>> {
        let Some(artifact) = source.artifact() else {
            return Vec::new();
        };
        let namespace = source.namespace().unwrap_or_default();
        let id = (K::KIND.to_owned(), namespace.clone(), source.name_any());
        let Some(names) = self.lock().charts.get(&id).cloned() else {
            return Vec::new();
        };
        let is_outdated = |chart: &HelmChart| {
            let status = chart.status.as_ref();
            let observed = status.and_then(|status| status.observed_source_artifact_revision.as_deref());
            observed.is_none_or(|observed| !revision::equal(observed, &artifact.revision))
        };
        let keys = names
            .into_iter()
            .map(|name| ObjectRef::new(&name).within(&namespace));
        keys.filter(|key| self.store.get(key).is_some_and(|chart| is_outdated(&chart)))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Edges> {
        self.edges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reconciler of a kind of source, whose charts hear of its artifacts.
pub(crate) struct Telling<R> {
    reconciler: R,
    dependants: Dependants,
}

impl<R> Telling<R> {
    pub(crate) fn new(reconciler: R, dependants: Dependants) -> Self {
        Self {
            reconciler,
            dependants,
        }
    }
}

impl<R: Reconciler> Reconciler for Telling<R>
where
    R::Object: SourceObject,
{
    type Object = R::Object;

    async fn reconcile(&self, pass: &mut Pass<R::Object>) -> Outcome {
        self.reconciler.reconcile(pass).await
    }

    async fn finalize(&self, pass: &mut Pass<R::Object>) -> Result<(), String> {
        self.reconciler.finalize(pass).await
    }

    fn is_static(&self, object: &R::Object) -> bool {
        self.reconciler.is_static(object)
    }

    fn observed(&self, object: &R::Object) {
        self.reconciler.observed(object);
        self.dependants.source_seen(object);
    }

    fn suspended(&self, object: &mut R::Object) {
        self.reconciler.suspended(object);
    }

    fn finish(&self, object: &mut R::Object, outcome: &Outcome) {
        self.reconciler.finish(object, outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_api::meta::Artifact;
    use ferro_api::source::{ChartSourceKind, GitRepository, GitRepositorySpec, HelmChartSpec};
    use ferro_runtime::controller::Controller;
    use kube::runtime::{reflector, watcher};

    fn chart(namespace: &str, name: &str, kind: ChartSourceKind, observed: Option<&str>) -> HelmChart {
        let mut chart = HelmChart::new(name, HelmChartSpec::default());
        chart.metadata.namespace = Some(namespace.to_owned());
        chart.spec.source_ref.kind = kind;
        chart.spec.source_ref.name = "app".to_owned();
        let status = chart.status.get_or_insert_default();
        status.observed_source_artifact_revision = observed.map(str::to_owned);
        chart
    }

    #[test]
    fn outdated_names_the_charts_of_the_namespace_that_lack_the_artifact() {
        let git = ChartSourceKind::GitRepository;
        let charts = [
            chart("default", "old", git, Some("main@sha1:1")),
            chart("default", "new", git, Some("main@sha1:2")),
            chart("default", "first", git, None),
            chart("default", "other-kind", ChartSourceKind::HelmRepository, None),
            chart("other", "old", git, None),
        ];
        let (store, mut writer) = reflector::store();
        let triggers = Controller::<HelmChart>::default().triggers;
        let dependants = Dependants::new(store, triggers);
        for chart in &charts {
            writer.apply_watcher_event(&watcher::Event::Apply(chart.clone()));
            dependants.chart_seen(chart);
        }
        let mut source = GitRepository::new("app", GitRepositorySpec::default());
        source.metadata.namespace = Some("default".to_owned());
        assert!(dependants.outdated(&source).is_empty());
        source.set_artifact(Some(Artifact {
            revision: "main@sha1:2".to_owned(),
            ..Artifact::default()
        }));
        let names = || -> Vec<String> {
            let outdated = dependants.outdated(&source);
            outdated.into_iter().map(|key| key.name).collect()
        };
        assert_eq!(names(), ["first", "old"]);
        let mut moved = charts[0].clone();
        moved.spec.source_ref.name = "elsewhere".to_owned();
        dependants.chart_seen(&moved);
        assert_eq!(names(), ["first"]);
        charts
            .iter()
            .chain([&moved])
            .for_each(|chart| dependants.chart_gone(chart));
        let edges = dependants.lock();
        assert!(edges.sources.is_empty() && edges.charts.is_empty());
    }
}
