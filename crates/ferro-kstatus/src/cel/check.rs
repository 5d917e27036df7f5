//! A light type check: enough to tell what an expression yields, and to refuse unknown names.
//!
//! Fields of objects have no known type; what is built from literals, operators and functions has. The check
//! is not complete: what it lets pass and is wrong fails when it is evaluated.

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};

/// What an expression yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Null,
    List,
    Map,
    Duration,
    Timestamp,
    Optional,
    Kind,
    Dyn,
}

impl Type {
    /// The name that error messages use.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Null => "null_type",
            Self::List => "list(dyn)",
            Self::Map => "map(dyn, dyn)",
            Self::Duration => "google.protobuf.Duration",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Optional => "optional_type(dyn)",
            Self::Kind => "type",
            Self::Dyn => "dyn",
        }
    }

    fn is(self, other: Self) -> bool {
        self == Self::Dyn || self == other
    }
}

/// The names of types, which are values as well.
const TYPE_NAMES: [&str; 10] = [
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
];

/// Tells what `expr` yields when the given variables are maps with values of any type.
pub(super) fn type_of(expr: &IdedExpr, variables: &[&str]) -> Result<Type, String> {
    let mut scope: BTreeSet<String> = variables.iter().map(|name| (*name).to_owned()).collect();
    check(expr, &mut scope)
}

fn check(expr: &IdedExpr, scope: &mut BTreeSet<String>) -> Result<Type, String> {
    match &expr.expr {
        Expr::Unspecified => Ok(Type::Dyn),
        Expr::Literal(literal) => Ok(literal_type(literal)),
        Expr::Ident(name) if name.starts_with('@') || scope.contains(name) => Ok(Type::Dyn),
        Expr::Ident(name) if TYPE_NAMES.contains(&name.as_str()) => Ok(Type::Kind),
        Expr::Ident(name) => Err(format!("undeclared reference to '{name}'")),
        Expr::List(list) => {
            all(&list.elements, scope)?;
            Ok(Type::List)
        }
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    check(&entry.key, scope)?;
                    check(&entry.value, scope)?;
                }
            }
            Ok(Type::Map)
        }
        Expr::Struct(message) => Err(format!("undeclared reference to '{}'", message.type_name)),
        Expr::Select(select) => {
            let operand = check(&select.operand, scope)?;
            if !matches!(operand, Type::Dyn | Type::Map | Type::Optional) {
                return Err(format!(
                    "type '{}' does not support field selection",
                    operand.name()
                ));
            }
            Ok(if select.test { Type::Bool } else { Type::Dyn })
        }
        Expr::Call(call) => check_call(call, scope),
        Expr::Comprehension(loops) => {
            check(&loops.iter_range, scope)?;
            let accumulated = check(&loops.accu_init, scope)?;
            let added: Vec<String> = [Some(&loops.iter_var), loops.iter_var2.as_ref()]
                .into_iter()
                .flatten()
                .filter(|name| scope.insert((*name).clone()))
                .cloned()
                .collect();
            let parts = [&loops.loop_cond, &loops.loop_step, &loops.result];
            let types = parts.map(|part| check(part, scope));
            for name in added {
                scope.remove(&name);
            }
            let [_, step, result] = types;
            step?;
            // The result of a macro is its accumulator, or a comparison of it.
            result.map(|result| if result == Type::Dyn { accumulated } else { result })
        }
    }
}

fn all(exprs: &[IdedExpr], scope: &mut BTreeSet<String>) -> Result<Vec<Type>, String> {
    exprs.iter().map(|expr| check(expr, scope)).collect()
}

fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::String,
        LiteralValue::UInt(_) => Type::Uint,
    }
}

fn check_call(call: &CallExpr, scope: &mut BTreeSet<String>) -> Result<Type, String> {
    // `sets.contains` is a call of `contains` on something named `sets`.
    let namespace = call.target.as_ref().and_then(|target| match &target.expr {
        Expr::Ident(name) if !scope.contains(name) => Some(name.clone()),
        _ => None,
    });
    if let Some(namespace) = namespace {
        let args = all(&call.args, scope)?;
        let name = format!("{namespace}.{}", call.func_name);
        return function_type(&name, &args).ok_or_else(|| format!("undeclared reference to '{name}'"));
    }
    let target = call
        .target
        .as_ref()
        .map(|target| check(target, scope))
        .transpose()?;
    let args = all(&call.args, scope)?;
    if let Some(found) = operator_type(&call.func_name, &args) {
        return found.map_err(|()| no_overload(&call.func_name, target, &args));
    }
    let found = match target {
        Some(target) => method_type(&call.func_name, target),
        None => function_type(&call.func_name, &args),
    };
    found.ok_or_else(|| {
        if is_known(&call.func_name) {
            no_overload(&call.func_name, target, &args)
        } else {
            format!("undeclared reference to '{}'", call.func_name)
        }
    })
}

fn no_overload(name: &str, target: Option<Type>, args: &[Type]) -> String {
    let target = target.map_or_else(String::new, |target| format!("{}.", target.name()));
    let args: Vec<&str> = args.iter().map(|arg| arg.name()).collect();
    format!(
        "found no matching overload for '{name}' applied to '{target}({})'",
        args.join(", ")
    )
}

/// The type of an operator; `None` when the name is not that of one.
fn operator_type(name: &str, args: &[Type]) -> Option<Result<Type, ()>> {
    let bools = || {
        args.iter()
            .all(|arg| arg.is(Type::Bool))
            .then_some(Type::Bool)
            .ok_or(())
    };
    Some(match name {
        operators::LOGICAL_AND
        | operators::LOGICAL_OR
        | operators::LOGICAL_NOT
        | operators::NOT_STRICTLY_FALSE => bools(),
        operators::CONDITIONAL => match args {
            [condition, left, right] if condition.is(Type::Bool) => match (left, right) {
                (left, right) if left == right => Ok(*left),
                (Type::Dyn, _) | (_, Type::Dyn | Type::Null) | (Type::Null, _) => Ok(Type::Dyn),
                _ => Err(()),
            },
            _ => Err(()),
        },
        operators::EQUALS | operators::NOT_EQUALS => match args {
            [left, right] if comparable(*left, *right) || *left == Type::Null || *right == Type::Null => {
                Ok(Type::Bool)
            }
            _ => Err(()),
        },
        operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS => {
            match args {
                [left, right] if comparable(*left, *right) && ordered(*left) && ordered(*right) => {
                    Ok(Type::Bool)
                }
                _ => Err(()),
            }
        }
        operators::IN => match args {
            [_, Type::List | Type::Map | Type::Dyn] => Ok(Type::Bool),
            _ => Err(()),
        },
        operators::INDEX | operators::OPT_INDEX => match args {
            [Type::List | Type::Map | Type::Dyn | Type::Optional, _] => Ok(index_type(name)),
            _ => Err(()),
        },
        operators::OPT_SELECT => Ok(Type::Optional),
        operators::NEGATE => match args {
            [one @ (Type::Int | Type::Double | Type::Dyn)] => Ok(*one),
            _ => Err(()),
        },
        operators::ADD
        | operators::SUBSTRACT
        | operators::MULTIPLY
        | operators::DIVIDE
        | operators::MODULO => match args {
            [left, right] => arithmetic(name, *left, *right).ok_or(()),
            _ => Err(()),
        },
        _ => return None,
    })
}

fn index_type(name: &str) -> Type {
    if name == operators::INDEX {
        Type::Dyn
    } else {
        Type::Optional
    }
}

fn is_number(kind: Type) -> bool {
    matches!(kind, Type::Int | Type::Uint | Type::Double)
}

fn comparable(left: Type, right: Type) -> bool {
    left == right || left == Type::Dyn || right == Type::Dyn || (is_number(left) && is_number(right))
}

fn ordered(kind: Type) -> bool {
    !matches!(
        kind,
        Type::List | Type::Map | Type::Null | Type::Optional | Type::Kind
    )
}

fn arithmetic(operator: &str, left: Type, right: Type) -> Option<Type> {
    let plus = operator == operators::ADD;
    let minus = operator == operators::SUBSTRACT;
    match (left, right) {
        (Type::Dyn, Type::Dyn) => Some(Type::Dyn),
        (Type::Timestamp, Type::Timestamp) if minus => Some(Type::Duration),
        (Type::Timestamp, Type::Duration) if plus || minus => Some(Type::Timestamp),
        (Type::Duration, Type::Timestamp) if plus => Some(Type::Timestamp),
        (Type::Duration, Type::Duration) if plus || minus => Some(Type::Duration),
        (Type::String | Type::Bytes | Type::List, _) if plus && (left == right || right == Type::Dyn) => {
            Some(left)
        }
        (Type::Dyn, Type::String | Type::Bytes | Type::List) if plus => Some(right),
        (Type::Double, Type::Double) => (operator != operators::MODULO).then_some(left),
        (Type::Int | Type::Uint, _) if left == right => Some(left),
        (Type::Dyn, Type::Timestamp | Type::Duration) | (Type::Timestamp | Type::Duration, Type::Dyn)
            if plus || minus =>
        {
            Some(Type::Dyn)
        }
        (Type::Dyn, number) | (number, Type::Dyn) if is_number(number) => Some(number),
        _ => None,
    }
}

const CONVERSIONS: [(&str, Type); 10] = [
    ("bool", Type::Bool),
    ("int", Type::Int),
    ("uint", Type::Uint),
    ("double", Type::Double),
    ("string", Type::String),
    ("bytes", Type::Bytes),
    ("duration", Type::Duration),
    ("timestamp", Type::Timestamp),
    ("type", Type::Kind),
    ("dyn", Type::Dyn),
];

/// What a function called without a target yields.
fn function_type(name: &str, args: &[Type]) -> Option<Type> {
    if let ([_], Some((_, kind))) = (args, CONVERSIONS.iter().find(|(known, _)| *known == name)) {
        return Some(*kind);
    }
    Some(match (name, args.len()) {
        ("size", 1) => Type::Int,
        ("matches", 2) | ("sets.contains" | "sets.equivalent" | "sets.intersects", 2) => Type::Bool,
        ("strings.quote", 1) | ("base64.encode", 1) => Type::String,
        ("base64.decode", 1) => Type::Bytes,
        ("optional.of" | "optional.ofNonZeroValue", 1) | ("optional.none", 0) => Type::Optional,
        _ => return None,
    })
}

/// Methods: the type they are called on, their names, what they yield.
const METHODS: [(Type, &[&str], Type); 11] = [
    (
        Type::String,
        &["contains", "startsWith", "endsWith", "matches"],
        Type::Bool,
    ),
    (Type::String, &["indexOf", "lastIndexOf", "size"], Type::Int),
    (
        Type::String,
        &[
            "charAt",
            "lowerAscii",
            "upperAscii",
            "replace",
            "substring",
            "trim",
            "format",
            "reverse",
        ],
        Type::String,
    ),
    (Type::String, &["split"], Type::List),
    (Type::List, &["join"], Type::String),
    (Type::List, &["size"], Type::Int),
    (Type::Map, &["size"], Type::Int),
    (
        Type::Timestamp,
        &[
            "getFullYear",
            "getMonth",
            "getDate",
            "getDayOfMonth",
            "getDayOfWeek",
            "getDayOfYear",
            "getHours",
            "getMinutes",
            "getSeconds",
            "getMilliseconds",
        ],
        Type::Int,
    ),
    (
        Type::Duration,
        &["getHours", "getMinutes", "getSeconds", "getMilliseconds"],
        Type::Int,
    ),
    (Type::Optional, &["hasValue"], Type::Bool),
    (Type::Optional, &["value", "orValue", "or"], Type::Dyn),
];

fn method_type(name: &str, target: Type) -> Option<Type> {
    METHODS
        .iter()
        .find(|(on, names, _)| target.is(*on) && names.contains(&name))
        .map(|(_, _, yields)| *yields)
}

fn is_known(name: &str) -> bool {
    METHODS.iter().any(|(_, names, _)| names.contains(&name))
        || CONVERSIONS.iter().any(|(known, _)| *known == name)
        || matches!(name, "size" | "matches")
}
