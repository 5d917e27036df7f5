//! The sets library: `sets.contains`, `sets.equivalent` and `sets.intersects`.
#![expect(clippy::needless_pass_by_value, reason = "the interpreter's signature")]

use cel::common::traits::Iterable;
use cel::common::types::{CelBool, LIST_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

/// The most comparisons that one call may make.
const MAX_PAIRS: usize = 4_000_000;

/// Declares the three functions.
pub(super) fn extension(env: &mut Env) -> Result<(), DeclarationError> {
    let lists = || vec![LIST_TYPE, LIST_TYPE];
    env.add_overload("sets.contains", "list_sets_contains_list", lists(), contains)?;
    env.add_overload(
        "sets.equivalent",
        "list_sets_equivalent_list",
        lists(),
        equivalent,
    )?;
    env.add_overload(
        "sets.intersects",
        "list_sets_intersects_list",
        lists(),
        intersects,
    )
}

type Args<'b, 'v> = Vec<CowVal<'b, 'v>>;

fn contains<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (left, right) = lists(&args)?;
    answer(subset(right, left))
}

fn equivalent<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (left, right) = lists(&args)?;
    answer(subset(right, left) && subset(left, right))
}

fn intersects<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (left, right) = lists(&args)?;
    answer(any(left, |item| any(right, |other| item.equals(other))))
}

fn answer<'b, 'v>(flag: bool) -> Result<CowVal<'b, 'v>, ExecutionError> {
    Ok(CowVal::owned(CelBool::from(flag)))
}

fn lists<'a, 'v>(
    args: &'a Args<'_, 'v>,
) -> Result<(&'a (dyn Iterable + 'v), &'a (dyn Iterable + 'v)), ExecutionError> {
    let [left, right] = args.as_slice() else {
        return Err(ExecutionError::invalid_argument_count(2, args.len()));
    };
    let sizes = [left, right].map(|list| {
        list.as_sizer().map_or(0, |sizer| {
            usize::try_from(*sizer.size().inner()).unwrap_or(usize::MAX)
        })
    });
    if sizes
        .iter()
        .fold(1, |product: usize, size| product.saturating_mul(*size))
        > MAX_PAIRS
    {
        return Err(ExecutionError::function_error(
            "sets",
            "lists are too long to compare",
        ));
    }
    match (left.as_iterable(), right.as_iterable()) {
        (Some(left), Some(right)) => Ok((left, right)),
        _ => Err(ExecutionError::function_error("sets", "arguments must be lists")),
    }
}

fn subset(part: &dyn Iterable, whole: &dyn Iterable) -> bool {
    !any(part, |item| !any(whole, |other| item.equals(other)))
}

fn any(list: &dyn Iterable, test: impl Fn(&dyn Val) -> bool) -> bool {
    let mut items = list.iter();
    while let Some(item) = items.next() {
        if test(item) {
            return true;
        }
    }
    false
}
