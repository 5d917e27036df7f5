//! Objects that only the build needs: they are marked, take part in all of it, and are not printed.

use std::collections::HashMap;

use crate::error::{Error, Result, fail};
use crate::id::ResourceId;
use crate::resmap::{FixedState, ResMap};
use crate::resource::Resource;
use crate::schema::Schema;

const MARK: &str = "config.kubernetes.io/local-config";

fn is_local(resource: &Resource) -> bool {
    resource.annotation(MARK).is_some_and(|mark| mark != "false")
}

/// Refuses what is no object any more, and drops what is local. Those that stay must differ.
pub(crate) fn drop_local(resources: &mut ResMap, schema: &Schema) -> Result<()> {
    resources.drop_empties();
    resources.iter().try_for_each(refuse_incomplete)?;
    let has_local = resources.iter().any(is_local);
    resources.refuse_collisions(schema, |resource| !is_local(resource))?;
    if !has_local {
        return Ok(());
    }
    let mut ids: HashMap<ExactId, Count, FixedState> = HashMap::default();
    for resource in resources.iter() {
        let count = ids.entry(exact(resource, schema)).or_default();
        count.all += 1;
        count.local += usize::from(is_local(resource));
    }
    // What is local is found again by its identity, so one that is not local keeps its namesake.
    for resource in resources.iter().filter(|resource| is_local(resource)) {
        match ids.get(&exact(resource, schema)) {
            Some(count) if count.local == count.all && count.all > 1 => {
                fail!("id {} not found in removal", resource.id(schema));
            }
            _ => {}
        }
    }
    resources.list_mut().retain(|resource| {
        let count = ids.get(&exact(resource, schema)).copied().unwrap_or_default();
        !is_local(resource) || count.local < count.all
    });
    Ok(())
}

/// Every part of an identity, as it is written.
type ExactId = (crate::id::Gvk, ferro_yaml::Text, ferro_yaml::Text);

fn exact(resource: &Resource, schema: &Schema) -> ExactId {
    let ResourceId {
        gvk, name, namespace, ..
    } = resource.id(schema);
    (gvk, name, namespace)
}

/// How many resources have an identity, and how many of them are local.
#[derive(Clone, Copy, Default)]
struct Count {
    all: usize,
    local: usize,
}

fn refuse_incomplete(resource: &Resource) -> Result<()> {
    if crate::read::metadata_problem(&resource.node).is_some() {
        let problem = crate::read::metadata_problem(&resource.shown_in_messages()).unwrap_or_default();
        return Err(Error::other(problem).at(resource.location()));
    }
    let mut history = resource.record.history.iter();
    if history.any(|previous| previous.name.is_empty()) {
        // Upstream keeps the three in texts, in which a blank name is none.
        let words =
            "number of previous names, number of previous namespaces, number of previous kinds not equal";
        return Err(Error::other(words).at(resource.location()));
    }
    Ok(())
}
