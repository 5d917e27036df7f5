//! What an apply or a prune did to each object.

use std::fmt;

use crate::inventory::Entry;
use crate::object::ObjectId;

/// What was done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It was not there.
    Created,
    /// It was there and different.
    Configured,
    /// It was as it should be.
    Unchanged,
    /// It was left alone because it, or the manifest, says so.
    Skipped,
    /// It was removed.
    Deleted,
}

impl Action {
    /// The word used in events and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
            Self::Skipped => "skipped",
            Self::Deleted => "deleted",
        }
    }
}

/// What was done to one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which object, and the version used.
    pub entry: Entry,
    /// What was done.
    pub action: Action,
}

/// What was done to all of them, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeSet(pub Vec<Change>);

impl ChangeSet {
    /// Notes a change.
    pub fn push(&mut self, entry: Entry, action: Action) {
        self.0.push(Change { entry, action });
    }

    /// Every object, for the inventory.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.0.iter().map(|change| change.entry.clone()).collect()
    }

    /// The objects on which something was done: not skipped.
    pub fn managed(&self) -> impl Iterator<Item = &ObjectId> {
        self.0
            .iter()
            .filter(|change| change.action != Action::Skipped)
            .map(|change| &change.entry.id)
    }

    /// The part that users are told of in events.
    #[must_use]
    pub fn notable(&self) -> Self {
        let notable = |action| matches!(action, Action::Created | Action::Configured | Action::Deleted);
        Self(
            self.0
                .iter()
                .filter(|change| notable(change.action))
                .cloned()
                .collect(),
        )
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One line an object: `Kind/namespace/name action`.
impl fmt::Display for ChangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, change) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{} {}", change.entry.id, change.action.as_str())?;
        }
        Ok(())
    }
}
