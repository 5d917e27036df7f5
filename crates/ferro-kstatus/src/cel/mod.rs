//! CEL: expressions that users write about health and readiness.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::view::View;
use crate::{Health, Status};

mod check;
mod depth;
mod meter;
mod program;
mod sets;

use self::program::Program;

/// Why an expression cannot be used at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExprError {
    /// The text is not CEL, or names something that does not exist.
    #[error("failed to parse the CEL expression '{expr}': {message}")]
    Parse {
        /// The expression.
        expr: String,
        /// What is wrong with it.
        message: String,
    },
    /// The expression cannot yield a truth value.
    #[error("CEL expression output type mismatch: expected bool, got {0}")]
    OutputType(&'static str),
    /// One of a health check's expressions cannot be used.
    #[error("failed to parse the expression {field}: {source}")]
    Field {
        /// Which one.
        field: &'static str,
        /// Why.
        source: Box<Self>,
    },
    /// A health check lacks the expression that it must have.
    #[error("expression Current not specified")]
    NoCurrent,
    /// The API version of a health check is malformed.
    #[error("invalid apiVersion '{0}'")]
    ApiVersion(String),
    /// Two health checks are for the same kind.
    #[error("duplicate health check expressions for '{0}'")]
    Duplicate(String),
    /// A health check of the list cannot be used.
    #[error("failed to create status evaluator for healthchecks[{index}]: {source}")]
    At {
        /// Its place in the list.
        index: usize,
        /// Why.
        source: Box<Self>,
    },
}

/// Why an evaluation gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The evaluation failed, for instance on a field that is not there.
    #[error("failed to evaluate the CEL expression '{expr}': {message}")]
    Failed {
        /// The expression.
        expr: String,
        /// What went wrong.
        message: String,
    },
    /// The result is not a truth value.
    #[error("failed to evaluate CEL expression as boolean: '{0}'")]
    NotBool(String),
}

/// The health expressions of one kind, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthExpr<'a> {
    /// The API version; only its group counts.
    pub api_version: &'a str,
    /// The kind, empty for every kind of the group.
    pub kind: &'a str,
    /// True when the object is ready.
    pub current: &'a str,
    /// True while it is on its way.
    pub in_progress: Option<&'a str>,
    /// True when it has failed.
    pub failed: Option<&'a str>,
}

/// Compiled health expressions by group and kind.
#[derive(Debug, Default)]
pub struct HealthExprs {
    evaluators: BTreeMap<(String, String), Arc<Evaluator>>,
    /// What was last found of each object, and at which resource version: who waits asks again and again, and an evaluation may be dear.
    found: Mutex<HashMap<String, (String, Health)>>,
}

impl HealthExprs {
    /// Compiles a list of expressions.
    ///
    /// # Errors
    /// When an expression is malformed or missing, or two are for the same kind.
    pub fn compile(exprs: &[HealthExpr<'_>]) -> Result<Self, ExprError> {
        let mut compiled = BTreeMap::new();
        for (index, expr) in exprs.iter().enumerate() {
            let at = |source: ExprError| ExprError::At {
                index,
                source: Box::new(source),
            };
            let group = match expr.api_version.split('/').collect::<Vec<_>>().as_slice() {
                [_] => "",
                [group, _] => group,
                _ => return Err(at(ExprError::ApiVersion(expr.api_version.to_owned()))),
            };
            let evaluator = Evaluator::compile(expr).map_err(at)?;
            if compiled
                .insert((group.to_owned(), expr.kind.to_owned()), Arc::new(evaluator))
                .is_some()
            {
                let name = if expr.kind.is_empty() {
                    group.to_owned()
                } else {
                    format!("{group}/{}", expr.kind)
                };
                return Err(at(ExprError::Duplicate(name)));
            }
        }
        Ok(Self {
            evaluators: compiled,
            found: Mutex::default(),
        })
    }

    /// These expressions, and others for the kinds that these do not cover. Nothing is compiled again.
    #[must_use]
    pub fn with_defaults(&self, defaults: &Self) -> Self {
        let free = defaults.evaluators.iter();
        let free = free.filter(|((group, kind), _)| !self.cover(group, kind));
        Self {
            evaluators: self
                .evaluators
                .iter()
                .chain(free)
                .map(|(key, evaluator)| (key.clone(), Arc::clone(evaluator)))
                .collect(),
            found: Mutex::default(),
        }
    }

    /// Tells whether a kind is judged by expressions.
    #[must_use]
    pub fn cover(&self, group: &str, kind: &str) -> bool {
        self.find(group, kind).is_some()
    }

    /// Judges an object by the expressions for its kind; `None` when there are none.
    ///
    /// They replace the rules of [`crate::health`] wholly: an object that is being deleted may be current.
    #[must_use]
    pub fn health(&self, object: &Value) -> Option<Health> {
        let view = View::new(object);
        let evaluator = self.find(view.group(), view.kind())?;
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
        let known = text("/metadata/uid").zip(text("/metadata/resourceVersion"));
        if let Some((uid, version)) = known
            && let Some((_, health)) = self.found().get(uid).filter(|(seen, _)| seen == version)
        {
            return Some(health.clone());
        }
        let health = evaluator
            .health(object)
            .unwrap_or_else(|error| Health::new(Status::Unknown, error));
        if let Some((uid, version)) = known {
            self.found()
                .insert(uid.to_owned(), (version.to_owned(), health.clone()));
        }
        Some(health)
    }

    fn found(&self) -> std::sync::MutexGuard<'_, HashMap<String, (String, Health)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The expressions for the kind, or else those for its whole group.
    fn find(&self, group: &str, kind: &str) -> Option<&Evaluator> {
        if self.evaluators.is_empty() {
            return None;
        }
        let get = |kind: &str| {
            let key = (group.to_owned(), kind.to_owned());
            self.evaluators.get(&key).map(|it| &**it)
        };
        get(kind).or_else(|| get(""))
    }
}

#[derive(Debug)]
struct Evaluator {
    in_progress: Option<Program>,
    failed: Option<Program>,
    current: Program,
}

impl Evaluator {
    fn compile(expr: &HealthExpr<'_>) -> Result<Self, ExprError> {
        if expr.current.is_empty() {
            return Err(ExprError::NoCurrent);
        }
        let compile = |field, text: &str| {
            Program::parse(text).map_err(|source| ExprError::Field {
                field,
                source: Box::new(source),
            })
        };
        let optional = |field, text: Option<&str>| {
            text.filter(|text| !text.is_empty())
                .map(|text| compile(field, text))
                .transpose()
        };
        Ok(Self {
            current: compile("Current", expr.current)?,
            failed: optional("Failed", expr.failed)?,
            in_progress: optional("InProgress", expr.in_progress)?,
        })
    }

    fn health(&self, object: &Value) -> Result<Health, String> {
        let view = View::new(object);
        let read = |pointer| view.optional_int(pointer).map_err(|error| error.to_string());
        if let Some(observed) = read("/status/observedGeneration")?
            && read("/metadata/generation")?.is_some_and(|generation| generation != observed)
        {
            return Ok(Health::new(Status::InProgress, "generation is not observed"));
        }
        let steps = [
            (self.in_progress.as_ref(), Status::InProgress),
            (self.failed.as_ref(), Status::Failed),
            (Some(&self.current), Status::Current),
        ];
        for (program, status) in steps {
            if let Some(program) = program
                && program.eval_bool(object).map_err(|error| error.to_string())?
            {
                return Ok(Health::new(status, "expression is true"));
            }
        }
        Ok(Health::new(Status::InProgress, "no expression is true"))
    }
}

/// A compiled `readyExpr`: a truth value about an object and one that it depends on.
#[derive(Debug)]
pub struct ReadyExpr(Program);

impl ReadyExpr {
    /// Compiles an expression over `self` and `dep`.
    ///
    /// # Errors
    /// When it is malformed, names other variables or unknown functions, or may yield something that is not
    /// a truth value: the type of `dep.x` is not known beforehand, that of `dep.x == true` is.
    pub fn compile(expr: &str) -> Result<Self, ExprError> {
        Program::checked(expr, &["self", "dep"]).map(Self)
    }

    /// Evaluates the expression.
    ///
    /// # Errors
    /// When a field is missing, types do not fit, or the evaluation takes too much.
    pub fn eval(&self, this: &Value, dep: &Value) -> Result<bool, EvalError> {
        self.0.eval_bool_with(&[("self", this), ("dep", dep)])
    }
}
