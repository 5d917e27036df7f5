//! Defaults, choices, copies.

use ferro_template::{List, Map, Value};

use crate::args::{ANY, BOOL, Outcome, STRING, Table, fail};

/// So deep a value is copied.
const MAX_DEPTH: usize = 10_000;

pub(crate) fn register(table: &mut Table<'_>) {
    table.add_variadic(&["default"], &[ANY, ANY], ANY, |args| {
        let given = args.any(1);
        Ok(if is_empty(given) {
            args.any(0).clone()
        } else {
            given.clone()
        })
    });
    table.add(&["empty"], &[ANY], BOOL, |args| {
        Ok(Value::Bool(is_empty(args.any(0))))
    });
    table.add_variadic(&["coalesce"], &[ANY], ANY, |args| {
        let first = args.rest(0).iter().find(|value| !is_empty(value));
        Ok(first.cloned().unwrap_or_default())
    });
    table.add_variadic(&["all"], &[ANY], BOOL, |args| {
        Ok(Value::Bool(!args.rest(0).iter().any(is_empty)))
    });
    table.add_variadic(&["any"], &[ANY], BOOL, |args| {
        Ok(Value::Bool(!args.rest(0).iter().all(is_empty)))
    });
    table.add(&["ternary"], &[ANY, ANY, BOOL], ANY, |args| {
        Ok(args.any(usize::from(!args.bool(2))).clone())
    });
    table.add(&["fail"], &[STRING], STRING, |args| fail(args.string(0)));
    table.add(&["deepCopy"], &[ANY], ANY, |args| copy(args.any(0)));
    table.add(&["mustDeepCopy"], &[ANY], ANY, |args| copy(args.any(0)));
}

/// sprig's `empty`: zero, false, without elements, or nil. A struct never is.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.is_nil(),
        Value::Func(_) => false,
        other => !other.is_true(),
    }
}

/// Copies lists and maps at every level.
fn copy(value: &Value) -> Outcome {
    if matches!(value, Value::Nil) {
        return fail("reflect: call of reflect.Value.Type on zero Value");
    }
    copy_at(value, 0)
}

fn copy_at(value: &Value, depth: usize) -> Outcome {
    if depth > MAX_DEPTH {
        return fail(format!("a value is nested deeper than {MAX_DEPTH} levels"));
    }
    let inner = |value: &Value| stacker::maybe_grow(64 << 10, 1 << 20, || copy_at(value, depth + 1));
    match value {
        Value::List(list) if !list.is_nil() => {
            let items = list.items().iter().map(inner).collect::<Result<_, _>>()?;
            Ok(Value::List(List::with_type(list.ty(), items)))
        }
        Value::Map(map) if !map.is_nil() => {
            let copied = Map::with_type(map.ty());
            for (key, value) in map.entries().iter() {
                copied.insert_key(key.clone(), inner(value)?);
            }
            Ok(Value::Map(copied))
        }
        Value::Object(object) => Ok(object.deep_copied().unwrap_or_else(|| value.clone())),
        other => Ok(other.clone()),
    }
}
