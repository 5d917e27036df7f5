//! Bounds on evaluation: the interpreter has none of its own.
//!
//! After parsing, calls to metering functions are built into the expression: the range of each
//! comprehension pays for its elements before the loop begins; what goes into a list or map and what a function
//! returns pays for its size. Functions whose result may be far larger than their arguments are replaced by ones that look
//! first. The names begin with `@`, which cannot be written in CEL.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, operators};
use cel::common::types::{CelBytes, CelInt, CelMap, CelString};
use cel::common::value::{CowVal, Val};
use cel::{Context, DeclarationError, ExecutionError, FunctionContext};

use super::program::children_mut;

/// What one evaluation may spend: about one unit a byte that is produced.
const BUDGET: u64 = 32 << 20;
/// The price of one turn of a loop or one call.
const STEP: u64 = 64;
/// The price of a pattern match, which may have to compile its pattern.
const MATCH: u64 = 16 << 10;

const COPIED: &str = "@copied";
const MATCHED: &str = "@matched";
const ADD: &str = "@add";
const REPLACE: &str = "@replace";
const JOIN: &str = "@join";

/// Builds the meters into an expression.
pub(super) fn install(expr: &mut IdedExpr) {
    children_mut(expr, &mut install);
    match &mut expr.expr {
        // Elements and values are copied into what holds them.
        Expr::List(list) => list.elements.iter_mut().for_each(|element| wrap(element, COPIED)),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    wrap(&mut entry.value, COPIED);
                }
            }
        }
        Expr::Comprehension(comprehension) => wrap(&mut comprehension.iter_range, COPIED),
        Expr::Call(call) => match (call.func_name.as_str(), call.args.len()) {
            (operators::ADD, 2) if !is_accumulator(call.args.first()) => call.func_name = ADD.to_owned(),
            ("replace", 2 | 3) if call.target.is_some() => to_function(call, REPLACE),
            ("join", 0 | 1) if call.target.is_some() => to_function(call, JOIN),
            ("format", 1) => {
                call.args.iter_mut().for_each(|list| wrap(list, COPIED));
                wrap(expr, COPIED);
            }
            ("matches", _) => wrap(expr, MATCHED),
            (name, _)
                if name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
                    && !is_operator(name) =>
            {
                wrap(expr, COPIED);
            }
            _ => {}
        },
        _ => {}
    }
}

/// The accumulator of a macro's loop; the interpreter appends to it in place if its step keeps its form.
fn is_accumulator(expr: Option<&IdedExpr>) -> bool {
    matches!(expr, Some(IdedExpr { expr: Expr::Ident(name), .. }) if name.starts_with('@'))
}

fn is_operator(name: &str) -> bool {
    name.starts_with('_') || name.ends_with('_')
}

fn wrap(expr: &mut IdedExpr, function: &str) {
    let id = expr.id;
    let inner = std::mem::take(expr);
    let call = CallExpr {
        func_name: function.to_owned(),
        target: None,
        args: vec![inner],
    };
    *expr = IdedExpr {
        id,
        expr: Expr::Call(call),
    };
}

fn to_function(call: &mut CallExpr, name: &str) {
    if let Some(target) = call.target.take() {
        call.args.insert(0, *target);
        call.func_name = name.to_owned();
    }
}

/// Gives a context the metering functions, with a full budget.
pub(super) fn bind(context: &mut Context<'_, '_>) -> Result<(), DeclarationError> {
    let meter = Arc::new(Meter(AtomicU64::new(BUDGET)));
    let mut add = |name, function: Metered| {
        let meter = Arc::clone(&meter);
        let function: Function = Box::new(move |call| function(&meter, call));
        context.add_function(name, function)
    };
    add(COPIED, copied)?;
    add(MATCHED, matched)?;
    add(ADD, sum)?;
    add(REPLACE, replace)?;
    add(JOIN, join)
}

type Answer<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;
type Function = Box<dyn for<'b, 'v> Fn(&mut FunctionContext<'b, 'v>) -> Answer<'b, 'v> + Send + Sync>;
type Metered = for<'b, 'v> fn(&Meter, &mut FunctionContext<'b, 'v>) -> Answer<'b, 'v>;

struct Meter(AtomicU64);

impl Meter {
    fn pay(&self, price: u64) -> Result<(), ExecutionError> {
        let left = self.0.load(Ordering::Relaxed);
        let after = left.checked_sub(price);
        self.0.store(after.unwrap_or(0), Ordering::Relaxed);
        match after {
            Some(_) => Ok(()),
            None => Err(ExecutionError::function_error(
                "evaluation",
                "takes more steps or memory than allowed",
            )),
        }
    }
}

fn argument<'b, 'v>(call: &mut FunctionContext<'b, 'v>, index: usize) -> Answer<'b, 'v> {
    let count = call.args.len();
    call.args
        .get(index)
        .cloned()
        .ok_or_else(|| ExecutionError::invalid_argument_count(index + 1, count))
}

fn text<'a>(value: &'a (dyn Val + '_), function: &str) -> Result<&'a str, ExecutionError> {
    value
        .downcast_ref::<CelString>()
        .map(|text| text.inner())
        .ok_or_else(|| no_overload(function, value))
}

fn no_overload(function: &str, value: &dyn Val) -> ExecutionError {
    ExecutionError::no_such_overload(function, vec![value.get_type().name().to_owned()])
}

/// What a copy of a value costs: its bytes, with all that it contains.
fn size(value: &dyn Val) -> u64 {
    let mut total = STEP;
    add_size(value, &mut total);
    total
}

fn add_size(value: &dyn Val, total: &mut u64) {
    if *total > BUDGET {
        return;
    }
    if let Some(text) = value.downcast_ref::<CelString>() {
        *total += text.inner().len() as u64;
    } else if let Some(bytes) = value.downcast_ref::<CelBytes>() {
        *total += bytes.inner().len() as u64;
    } else if let Some(iterable) = value.as_iterable() {
        let values = value.downcast_ref::<CelMap>();
        let mut items = iterable.iter();
        while let Some(item) = items.next()
            && *total <= BUDGET
        {
            *total += STEP;
            add_size(item, total);
            if let Some(Ok(below)) = values.and_then(Val::as_indexer).map(|map| map.get(item)) {
                add_size(below.as_ref(), total);
            }
        }
    }
}

fn copied<'b, 'v>(meter: &Meter, call: &mut FunctionContext<'b, 'v>) -> Answer<'b, 'v> {
    let value = argument(call, 0)?;
    meter.pay(size(value.as_ref()))?;
    Ok(value)
}

fn matched<'b, 'v>(meter: &Meter, call: &mut FunctionContext<'b, 'v>) -> Answer<'b, 'v> {
    meter.pay(MATCH)?;
    argument(call, 0)
}

fn sum<'b, 'v>(meter: &Meter, call: &mut FunctionContext<'b, 'v>) -> Answer<'b, 'v> {
    let (left, right) = (argument(call, 0)?, argument(call, 1)?);
    meter.pay(size(left.as_ref()) + size(right.as_ref()))?;
    let adder = left
        .as_adder()
        .ok_or_else(|| no_overload(operators::ADD, left.as_ref()))?;
    let sum = adder.add(right.as_ref()).map_err(|error| match error {
        ExecutionError::UnsupportedBinaryOperator(..) => no_overload(operators::ADD, right.as_ref()),
        other => other,
    })?;
    Ok(CowVal::Owned(sum.into_owned()))
}

fn replace<'b, 'v>(meter: &Meter, call: &mut FunctionContext<'b, 'v>) -> Answer<'b, 'v> {
    let (this, old, new) = (argument(call, 0)?, argument(call, 1)?, argument(call, 2)?);
    let (this, old, new) = (
        text(this.as_ref(), "replace")?,
        text(old.as_ref(), "replace")?,
        text(new.as_ref(), "replace")?,
    );
    let limit = match call.args.get(3) {
        None => usize::MAX,
        // A negative limit means no limit.
        Some(limit) => match limit.downcast_ref::<CelInt>() {
            Some(limit) => usize::try_from(*limit.inner()).unwrap_or(usize::MAX),
            None => return Err(no_overload("replace", limit.as_ref())),
        },
    };
    let found = this.matches(old).take(limit).count() as u64;
    meter.pay(STEP + this.len() as u64 + found.saturating_mul(new.len() as u64))?;
    Ok(CowVal::owned(CelString::from(this.replacen(old, new, limit))))
}

fn join<'b, 'v>(meter: &Meter, call: &mut FunctionContext<'b, 'v>) -> Answer<'b, 'v> {
    let list = argument(call, 0)?;
    let separator = match call.args.get(1) {
        None => "",
        Some(separator) => text(separator.as_ref(), "join")?,
    };
    let iterable = list
        .as_iterable()
        .ok_or_else(|| no_overload("join", list.as_ref()))?;
    let count = list
        .as_sizer()
        .map_or(0, |sizer| u64::try_from(*sizer.size().inner()).unwrap_or(0));
    meter.pay(size(list.as_ref()).saturating_add(count.saturating_mul(separator.len() as u64)))?;
    let mut items = iterable.iter();
    let mut joined = String::new();
    let mut first = true;
    while let Some(item) = items.next() {
        if !first {
            joined.push_str(separator);
        }
        first = false;
        joined.push_str(text(item, "join")?);
    }
    Ok(CowVal::owned(CelString::from(joined)))
}
