//! The functions of the language.

mod compare;
mod index;

use ferro_gocompat::escape;

pub(crate) use self::index::{length, slice};
use crate::error::Error;
use crate::exec::limit;
use crate::func::{Builtin, Call, Function};
use crate::print::{self, Show, TOO_DEEP, limited};
use crate::value::{Type, Value};

const ANY: &Type = &Type::Any;
const BOOL: &Type = &Type::Bool;
const TEXT: &Type = &Type::String;
const INT: &Type = &Type::Int(crate::value::IntKind::Int);

/// Returns all of them.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Function)> {
    let special = |builtin, result| Function::builtin(builtin, result);
    [
        ("and", special(Builtin::And, ANY)),
        ("or", special(Builtin::Or, ANY)),
        ("call", special(Builtin::Call, ANY)),
        ("len", special(Builtin::Len, INT)),
        (
            "not",
            Function::new(&[ANY], BOOL, |_, args| {
                Ok(Value::Bool(!args.iter().any(Value::is_true)))
            }),
        ),
        (
            "index",
            Function::variadic(&[ANY, ANY], ANY, |_, args| index::index(args)),
        ),
        ("slice", special(Builtin::Slice, ANY)),
        (
            "print",
            Function::variadic(&[ANY], TEXT, |call, args| text(call, |show| show.sprint(args))),
        ),
        (
            "println",
            Function::variadic(&[ANY], TEXT, |call, args| text(call, |show| show.sprintln(args))),
        ),
        ("printf", Function::variadic(&[TEXT, ANY], TEXT, printf)),
        ("html", escaper(escape::html)),
        ("js", escaper(escape::js)),
        ("urlquery", escaper(|text| escape::query(text).into_bytes())),
        (
            "eq",
            Function::variadic(&[ANY, ANY], BOOL, |_, args| compare::eq(args).map(Value::Bool)),
        ),
        ("ne", binary(compare::ne)),
        ("lt", binary(compare::lt)),
        ("le", binary(compare::le)),
        ("gt", binary(compare::gt)),
        ("ge", binary(compare::ge)),
    ]
    .into_iter()
}

fn binary(compare: fn(&Value, &Value) -> Result<bool, Error>) -> Function {
    Function::new(&[ANY, ANY], BOOL, move |_, args| match args {
        [a, b] => compare(a, b).map(Value::Bool),
        _ => Ok(Value::Nil),
    })
}

fn escaper(escape: fn(&[u8]) -> Vec<u8>) -> Function {
    Function::variadic(&[ANY], TEXT, move |call, args| {
        if let [Value::Str(text)] = args {
            return Ok(Value::Str(escape(text.as_bytes()).into()));
        }
        let printed = text(call, |show| show.escapable(args))?;
        Ok(printed
            .as_text()
            .map_or(Value::Nil, |text| Value::Str(escape(text.as_bytes()).into())))
    })
}

fn printf(call: &mut Call<'_>, args: &[Value]) -> Result<Value, Error> {
    let Some((Value::Str(format), args)) = args.split_first() else {
        return Ok(Value::Nil);
    };
    text(call, |show| show.sprintf(format.as_bytes(), args))
}

/// Prints within the limit of the execution.
fn text(call: &Call<'_>, print: impl FnOnce(&mut Show<'_>)) -> Result<Value, Error> {
    let max = call.templates().options().max_output;
    let text = limited(max, print).map_err(|_| limit(TOO_DEEP))?;
    if text.len() > max {
        return Err(limit(&format!("output is larger than {max} bytes")));
    }
    Ok(Value::Str(text))
}

/// What Go's `reflect.Value.String` says: the text of a string, and the type of anything else.
pub(crate) fn value_string(value: &Value) -> String {
    match (value, value.as_text()) {
        (Value::Nil, _) => "<invalid Value>".to_owned(),
        (_, Some(text)) => text.to_string(),
        _ => format!("<{} Value>", value.type_name()),
    }
}

/// `call`: runs a function that is a value.
pub(crate) fn call(call: &mut Call<'_>, callee: &str, args: &[Value]) -> Result<Value, Error> {
    let function = match args.first() {
        None | Some(Value::Nil) => return Err(Error::new("call of nil")),
        Some(Value::Func(function)) => function.clone(),
        Some(other) => {
            let ty = other.type_name();
            return Err(Error::new(format!("non-function {callee} of type {ty}")));
        }
    };
    let args = args.get(1..).unwrap_or_default();
    let params = function.params();
    let given = args.len();
    let fixed = params.len() - usize::from(function.is_variadic() && !params.is_empty());
    if function.is_variadic() && given < fixed {
        let text = format!("wrong number of args for {callee}: got {given} want at least {fixed}");
        return Err(Error::new(text));
    }
    if !function.is_variadic() && given != fixed {
        return Err(Error::new(format!(
            "wrong number of args for {callee}: got {given} want {fixed}"
        )));
    }
    let mut prepared = Vec::with_capacity(given);
    for (number, arg) in args.iter().enumerate() {
        let param = params
            .get(number.min(params.len().saturating_sub(1)))
            .copied()
            .unwrap_or(ANY);
        let arg = index::prepare(arg, param).map_err(|text| Error::new(format!("arg {number}: {text}")))?;
        prepared.push(arg);
    }
    function.run(call, &prepared)
}

/// Prints a value for an error: `%v`, or `%s`.
fn shown(value: &Value, verb: char) -> String {
    print::verb(value, verb)
}
