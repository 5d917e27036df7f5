//! Compiling and evaluating one expression.

use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::objects::{Key, Map};
use cel::{Context, Env, Value as CelValue, extensions};
use serde_json::Value;

use super::{EvalError, ExprError, check, depth, meter, sets};

/// The longest expression that is accepted, in bytes.
const MAX_LENGTH: usize = 64 << 10;
/// The deepest tree that an expression may become; the reference's parser has the same bound for nesting.
const MAX_DEPTH: usize = 250;
/// Stack for parsing and evaluating: a level takes some ten kilobytes of it, more than a worker thread has. Only what is used of it
/// becomes memory.
const STACK: usize = 128 << 20;

/// The environment of all Flux expressions: standard macros and functions, optional values, and the
/// strings, sets and encoders libraries.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    for extension in [extensions::strings, extensions::encoders, sets::extension] {
        env.add_extension(extension)
            .expect("the libraries declare different functions");
    }
    Arc::new(env)
});

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Program {
    source: String,
    /// The expression with meters built in, see [`meter`].
    expr: IdedExpr,
    /// The top-level variables that it reads.
    variables: Vec<String>,
}

impl Program {
    /// Parses an expression without looking at types or names.
    pub(crate) fn parse(source: &str) -> Result<Self, ExprError> {
        parse(source).map(|expr| Self::of(source, expr))
    }

    fn of(source: &str, mut expr: IdedExpr) -> Self {
        let variables = expr
            .references()
            .variables()
            .into_iter()
            .map(str::to_owned)
            .collect();
        meter::install(&mut expr);
        Self {
            source: source.to_owned(),
            expr,
            variables,
        }
    }

    /// Parses an expression over the given variables that must yield a truth value.
    pub(crate) fn checked(source: &str, variables: &[&str]) -> Result<Self, ExprError> {
        let expr = parse(source)?;
        match check::type_of(&expr, variables).map_err(|message| unusable(source, message))? {
            check::Type::Bool => Ok(Self::of(source, expr)),
            other => Err(ExprError::OutputType(other.name())),
        }
    }

    /// Evaluates over the top-level fields of an object.
    pub(crate) fn eval_bool(&self, object: &Value) -> Result<bool, EvalError> {
        let fields: Vec<(&str, &Value)> = self
            .variables
            .iter()
            .filter_map(|name| Some((name.as_str(), object.get(name)?)))
            .collect();
        self.eval_bool_with(&fields)
    }

    /// Evaluates over named values.
    pub(crate) fn eval_bool_with(&self, variables: &[(&str, &Value)]) -> Result<bool, EvalError> {
        let failed = |message: String| EvalError::Failed {
            expr: self.source.clone(),
            message,
        };
        let mut context = Context::with_env(Arc::clone(&ENV));
        meter::bind(&mut context).map_err(|error| failed(error.to_string()))?;
        for (name, value) in variables {
            context.add_variable_from_value(*name, to_cel(value));
        }
        match stacker::maybe_grow(STACK, STACK, || context.resolve(&self.expr)) {
            Ok(CelValue::Bool(answer)) => Ok(answer),
            Ok(_) => Err(EvalError::NotBool(self.source.clone())),
            Err(error) => Err(failed(describe(&error))),
        }
    }
}

fn parse(source: &str) -> Result<IdedExpr, ExprError> {
    if source.len() > MAX_LENGTH {
        return Err(unusable(source, format!("longer than {MAX_LENGTH} bytes")));
    }
    if depth::bound(source) > MAX_DEPTH {
        let message = format!("more than {MAX_DEPTH} operators or brackets deep");
        return Err(unusable(source, message));
    }
    let parsed = stacker::maybe_grow(STACK, STACK, || ENV.parser().parse(source));
    parsed.map_err(|errors| unusable(source, errors.to_string()))
}

fn unusable(source: &str, message: String) -> ExprError {
    ExprError::Parse {
        expr: source.to_owned(),
        message,
    }
}

/// Names what went wrong without printing values: an object may be a Secret.
fn describe(error: &cel::ExecutionError) -> String {
    use cel::ExecutionError as E;
    match error {
        E::NoSuchKey(key) => format!("no such key: {key}"),
        E::UndeclaredReference(name) => format!("no such attribute(s): {name}"),
        E::NoSuchOverload(overload) => overload.to_string(),
        E::FunctionError { function, message } => format!("{function}: {message}"),
        E::InvalidArgumentCount { expected, actual } => {
            format!("expected {expected} arguments, got {actual}")
        }
        E::DivisionByZero(_) | E::RemainderByZero(_) => "division by zero".to_owned(),
        E::Overflow(operator, ..) => format!("overflow in '{operator}'"),
        E::IndexOutOfBounds(_) => "index out of bounds".to_owned(),
        E::UnexpectedType { want, .. } => format!("unexpected type, want '{want}'"),
        E::UnsupportedBinaryOperator(operator, ..) => format!("no such overload: '{operator}'"),
        E::DuplicateKey(_) => "repeated key".to_owned(),
        _ => "no such overload".to_owned(),
    }
}

/// Whole numbers are ints, as Go's decoder makes them; only those beyond its range are unsigned.
fn to_cel(value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(flag) => CelValue::Bool(*flag),
        Value::Number(number) => number
            .as_i64()
            .map(CelValue::Int)
            .or_else(|| number.as_u64().map(CelValue::UInt))
            .or_else(|| number.as_f64().map(CelValue::Float))
            .unwrap_or(CelValue::Null),
        Value::String(text) => CelValue::String(Arc::new(text.clone())),
        Value::Array(items) => CelValue::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(fields) => {
            let map = fields
                .iter()
                .map(|(name, value)| (Key::String(Arc::new(name.clone())), to_cel(value)))
                .collect();
            CelValue::Map(Map { map: Arc::new(map) })
        }
    }
}

/// Calls `visit` on the direct children of an expression.
pub(super) fn children_mut(expr: &mut IdedExpr, visit: &mut dyn FnMut(&mut IdedExpr)) {
    match &mut expr.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Call(call) => {
            if let Some(target) = &mut call.target {
                visit(target);
            }
            call.args.iter_mut().for_each(visit);
        }
        Expr::Comprehension(comprehension) => {
            let parts = &mut **comprehension;
            for part in [
                &mut parts.iter_range,
                &mut parts.accu_init,
                &mut parts.loop_cond,
                &mut parts.loop_step,
                &mut parts.result,
            ] {
                visit(part);
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(visit),
        Expr::Map(map) => map
            .entries
            .iter_mut()
            .for_each(|entry| visit_entry(&mut entry.expr, visit)),
        Expr::Select(select) => visit(&mut select.operand),
        Expr::Struct(message) => message
            .entries
            .iter_mut()
            .for_each(|entry| visit_entry(&mut entry.expr, visit)),
    }
}

fn visit_entry(entry: &mut EntryExpr, visit: &mut dyn FnMut(&mut IdedExpr)) {
    match entry {
        EntryExpr::StructField(field) => visit(&mut field.value),
        EntryExpr::MapEntry(entry) => {
            visit(&mut entry.key);
            visit(&mut entry.value);
        }
    }
}
