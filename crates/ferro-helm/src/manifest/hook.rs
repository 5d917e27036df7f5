//! Hooks: manifests that an action applies by itself at its stages.

use std::collections::BTreeMap;
use std::fmt;

use crate::Notice;
use crate::chart::Head;

/// The annotation that makes a manifest a hook.
pub(super) const ANNOTATION: &str = "helm.sh/hook";
const WEIGHT: &str = "helm.sh/hook-weight";
const DELETE_POLICY: &str = "helm.sh/hook-delete-policy";
const OUTPUT_LOG_POLICY: &str = "helm.sh/hook-output-log-policy";

/// A stage of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum HookEvent {
    PreInstall,
    PostInstall,
    PreDelete,
    PostDelete,
    PreUpgrade,
    PostUpgrade,
    PreRollback,
    PostRollback,
    Test,
}

impl HookEvent {
    /// Its name in annotations and release records.
    pub fn name(self) -> &'static str {
        match self {
            Self::PreInstall => "pre-install",
            Self::PostInstall => "post-install",
            Self::PreDelete => "pre-delete",
            Self::PostDelete => "post-delete",
            Self::PreUpgrade => "pre-upgrade",
            Self::PostUpgrade => "post-upgrade",
            Self::PreRollback => "pre-rollback",
            Self::PostRollback => "post-rollback",
            Self::Test => "test",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        const ALL: [HookEvent; 9] = [
            HookEvent::PreInstall,
            HookEvent::PostInstall,
            HookEvent::PreDelete,
            HookEvent::PostDelete,
            HookEvent::PreUpgrade,
            HookEvent::PostUpgrade,
            HookEvent::PreRollback,
            HookEvent::PostRollback,
            HookEvent::Test,
        ];
        // Helm 2 told tests that succeed from others.
        if text == "test-success" {
            return Some(Self::Test);
        }
        ALL.into_iter().find(|event| event.name() == text)
    }
}

impl fmt::Display for HookEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When a hook's object is deleted. Any text is accepted; those that are not known have no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum DeletePolicy {
    BeforeHookCreation,
    HookSucceeded,
    HookFailed,
    Other(String),
}

impl DeletePolicy {
    /// Its name in annotations and release records.
    pub fn name(&self) -> &str {
        match self {
            Self::BeforeHookCreation => "before-hook-creation",
            Self::HookSucceeded => "hook-succeeded",
            Self::HookFailed => "hook-failed",
            Self::Other(name) => name,
        }
    }

    fn parse(name: String) -> Self {
        match name.as_str() {
            "before-hook-creation" => Self::BeforeHookCreation,
            "hook-succeeded" => Self::HookSucceeded,
            "hook-failed" => Self::HookFailed,
            _ => Self::Other(name),
        }
    }
}

/// When the log of a hook's pods is copied. Any text is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum OutputLogPolicy {
    HookSucceeded,
    HookFailed,
    Other(String),
}

impl OutputLogPolicy {
    /// Its name in annotations and release records.
    pub fn name(&self) -> &str {
        match self {
            Self::HookSucceeded => "hook-succeeded",
            Self::HookFailed => "hook-failed",
            Self::Other(name) => name,
        }
    }

    fn parse(name: String) -> Self {
        match name.as_str() {
            "hook-succeeded" => Self::HookSucceeded,
            "hook-failed" => Self::HookFailed,
            _ => Self::Other(name),
        }
    }
}

/// A manifest that an action applies by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its `metadata.name`.
    pub name: String,
    /// Its `kind`.
    pub kind: String,
    /// The file that it comes from.
    pub path: String,
    /// Its text.
    pub manifest: String,
    /// The stages that it is for.
    pub events: Vec<HookEvent>,
    /// Its place among the hooks of a stage.
    pub weight: i64,
    /// When it is deleted, as the annotation has it.
    pub delete_policies: Vec<DeletePolicy>,
    /// When its log is copied.
    pub output_log_policies: Vec<OutputLogPolicy>,
}

impl Hook {
    /// Reads a hook; one with a stage that is not known is none, and no manifest either.
    pub(super) fn read(
        path: &str,
        document: &str,
        head: Head,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Self, Notice> {
        let stages = annotations
            .get(ANNOTATION)
            .map(String::as_str)
            .unwrap_or_default();
        let events = words(stages)
            .map(|stage| HookEvent::parse(&stage))
            .collect::<Option<_>>();
        let events =
            events.ok_or_else(|| Notice::info("skipping unknown hooks").with("hookTypes", stages))?;
        let listed = |annotation| {
            annotations
                .get(annotation)
                .into_iter()
                .flat_map(|text| words(text))
        };
        let weight = annotations.get(WEIGHT).and_then(|weight| weight.parse().ok());
        Ok(Self {
            name: head.name,
            kind: head.kind,
            path: path.to_owned(),
            manifest: document.to_owned(),
            events,
            weight: weight.unwrap_or_default(),
            delete_policies: listed(DELETE_POLICY).map(DeletePolicy::parse).collect(),
            output_log_policies: listed(OUTPUT_LOG_POLICY).map(OutputLogPolicy::parse).collect(),
        })
    }

    /// Tells whether it is a test.
    pub fn is_test(&self) -> bool {
        self.events.contains(&HookEvent::Test)
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(|word| word.trim().to_lowercase())
}
