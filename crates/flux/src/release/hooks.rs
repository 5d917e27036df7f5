//! The hooks that a release would execute, beside those that it has executed before.

use anyhow::{Result, anyhow};
use ferro_api::helm::HelmRelease;
use ferro_apply::Object;
use ferro_helm::plan::hooks_of;
use ferro_helm::record::StoredHook;
use ferro_release::objects;

use super::compare::{Change, Fate, difference, whole};
use super::{Blueprint, scope};

/// The stages at which a release executes hooks, in their order.
pub(super) fn stages(release: &HelmRelease, is_upgrade: bool) -> Vec<&'static str> {
    let spec = &release.spec;
    let is_disabled = match is_upgrade {
        true => spec.upgrade.as_ref().is_some_and(|it| it.disable_hooks),
        false => spec.install.as_ref().is_some_and(|it| it.disable_hooks),
    };
    let mut stages = match (is_disabled, is_upgrade) {
        (true, _) => Vec::new(),
        (false, true) => vec!["pre-upgrade", "post-upgrade"],
        (false, false) => vec!["pre-install", "post-install"],
    };
    if spec.test.as_ref().is_some_and(|test| test.enable) {
        stages.push("test");
    }
    stages
}

/// A hook of some stages.
struct Staged {
    object: Object,
    /// What it is called.
    name: String,
}

/// The hooks that would be executed, and those that would not be any more.
pub(super) fn compare(blueprint: &Blueprint) -> Result<Vec<Change>> {
    let read = |hooks: &[StoredHook]| staged(hooks, blueprint);
    let old = match &blueprint.previous {
        Some(record) => read(&record.hooks)?,
        None => Vec::new(),
    };
    let new = read(&blueprint.made.hooks)?;
    let mut changes = Vec::new();
    for hook in &new {
        let before = old.iter().find(|known| known.object.id() == hook.object.id());
        let fate = match before {
            None => Fate::Created(whole(&hook.object)?),
            Some(before) => {
                let changed = difference(before.object.value().clone(), hook.object.value().clone())?;
                match changed.is_empty() {
                    true => Fate::Executed,
                    false => Fate::Changed(changed),
                }
            }
        };
        let object = hook.name.clone();
        changes.push(Change { object, fate });
    }
    let is_gone = |hook: &&Staged| !new.iter().any(|known| known.object.id() == hook.object.id());
    changes.extend(old.iter().filter(is_gone).map(|hook| Change {
        object: hook.name.clone(),
        fate: Fate::Dropped,
    }));
    Ok(changes)
}

/// The hooks of the stages that are due, each once, in the order in which they are executed.
fn staged(hooks: &[StoredHook], blueprint: &Blueprint) -> Result<Vec<Staged>> {
    let order = blueprint.stages.iter().flat_map(|stage| hooks_of(hooks, stage));
    let mut staged: Vec<Staged> = Vec::new();
    for hook in order.filter_map(|index| hooks.get(index)) {
        let parsed = objects::parse(&hook.manifest).map_err(|problem| anyhow!("{}: {problem}", hook.path))?;
        for object in scope::settle(parsed, &blueprint.definitions, &blueprint.target.namespace)? {
            if staged.iter().all(|known| known.object.id() != object.id()) {
                let name = format!("{} (hook: {})", object.id(), hook.events.join(", "));
                staged.push(Staged { object, name });
            }
        }
    }
    Ok(staged)
}
