//! Calls of functions and methods, and the checks of their arguments.

use std::fmt;

use smallvec::SmallVec;

use super::eval::{Site, zero};
use super::{Exec, Operand};
use crate::ast::{Expr, Source, Span};
use crate::builtin;
use crate::error::{Error, ErrorKind};
use crate::func::{Builtin, Call, Function};
use crate::show::Node;
use crate::value::types::Kind;
use crate::value::{Method, Type, Value};

/// What errors call a function: only then is it looked up.
#[derive(Clone, Copy)]
enum Name<'t> {
    Function(&'t Source, Span),
    Method(&'static str),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(source, span) => f.write_str(&source.lossy(*span)),
            Self::Method(name) => f.write_str(name),
        }
    }
}

/// What arguments are checked against.
struct Signature<'s> {
    name: Name<'s>,
    params: &'s [&'static Type],
    is_variadic: bool,
}

impl Signature<'_> {
    /// The parameters that must have an argument.
    fn fixed(&self) -> usize {
        self.params.len() - usize::from(self.is_variadic && !self.params.is_empty())
    }

    /// The type of an argument.
    fn param(&self, index: usize) -> &'static Type {
        let last = self.params.len().saturating_sub(1);
        self.params.get(index.min(last)).copied().unwrap_or(&Type::Any)
    }
}

type Args = SmallVec<[Value; 4]>;

impl<'t> Exec<'t, '_> {
    pub(super) fn call_function(
        &mut self,
        function: u32,
        name: Span,
        site: Site<'t, '_>,
    ) -> Result<Operand, Error> {
        let Some(function) = self.tree.lists.functions.get(function as usize) else {
            return Ok(Operand::default());
        };
        let name = Name::Function(&self.tree.source, name);
        let signature = Signature {
            name,
            params: function.params(),
            is_variadic: function.is_variadic(),
        };
        if let Some(builtin) = function.as_builtin() {
            return self.call_builtin(builtin, function, &signature, site);
        }
        let args = self.args(&signature, site)?;
        self.finish(name, function.result(), site, |call| function.run(call, &args))
    }

    pub(super) fn call_method(
        &mut self,
        method: &'static Method,
        receiver: &Value,
        site: Site<'t, '_>,
    ) -> Result<Operand, Error> {
        let signature = Signature {
            name: Name::Method(method.name),
            params: method.params,
            is_variadic: method.is_variadic,
        };
        let args = self.args(&signature, site)?;
        self.finish(signature.name, method.result, site, |call| {
            (method.run)(call, receiver, &args)
        })
    }

    /// Runs a function and says where it failed.
    fn finish(
        &mut self,
        name: Name<'_>,
        result: &Type,
        site: Site<'t, '_>,
        run: impl FnOnce(&mut Call<'_>) -> Result<Value, Error>,
    ) -> Result<Operand, Error> {
        let tree = self.tree;
        let template = tree.name.to_str();
        let mut call = Call {
            run: &mut *self.run,
            templates: self.templates,
            template: &template,
            state: self.state,
        };
        match run(&mut call) {
            Ok(value) => Ok(Operand {
                value,
                is_interface: result.kind() == Kind::Interface,
            }),
            Err(error) => {
                self.at = Some(site.node);
                Err(self
                    .error(format_args!("error calling {name}: "))
                    .caused_by(error))
            }
        }
    }

    fn call_builtin(
        &mut self,
        builtin: Builtin,
        function: &'t Function,
        signature: &Signature<'_>,
        site: Site<'t, '_>,
    ) -> Result<Operand, Error> {
        self.check_count(signature, site)?;
        match builtin {
            Builtin::And | Builtin::Or => self.short_circuit(builtin == Builtin::Or, site),
            Builtin::Len => {
                let args = self.operands(site)?;
                self.finish(signature.name, function.result(), site, |_| {
                    builtin::length(&args)
                })
            }
            Builtin::Slice => {
                let args = self.operands(site)?;
                self.finish(signature.name, function.result(), site, |_| builtin::slice(&args))
            }
            Builtin::Call => {
                let callee = match (site.args.get(1), site.piped) {
                    (Some(node), _) => self.shown(node),
                    (None, Some(piped)) => builtin::value_string(&piped.value),
                    (None, None) => String::new(),
                };
                let args = self.args(signature, site)?;
                self.finish(signature.name, function.result(), site, |call| {
                    builtin::call(call, &callee, &args)
                })
            }
        }
    }

    /// Evaluates arguments without losing whether they are in interfaces.
    fn operands(&mut self, site: Site<'t, '_>) -> Result<SmallVec<[Operand; 4]>, Error> {
        let mut operands = SmallVec::new();
        for node in site.args.iter().skip(1) {
            operands.push(self.operand(node)?);
        }
        operands.extend(site.piped.cloned());
        Ok(operands)
    }

    /// `and` and `or` evaluate no more than they must and return what decided.
    fn short_circuit(&mut self, wanted: bool, site: Site<'t, '_>) -> Result<Operand, Error> {
        let mut value = Operand::default();
        for node in site.args.get(1..).unwrap_or_default() {
            value = self.operand(node)?;
            if value.value.is_true() == wanted {
                return Ok(value);
            }
        }
        Ok(site.piped.cloned().unwrap_or(value))
    }

    fn check_count(&self, signature: &Signature<'_>, site: Site<'_, '_>) -> Result<(), Error> {
        let given = site.args.len().saturating_sub(1);
        let count = given + usize::from(site.piped.is_some());
        let Signature { name, params, .. } = signature;
        if signature.is_variadic {
            let fixed = signature.fixed();
            if count < fixed {
                let text = format!("wrong number of args for {name}: want at least {fixed} got {given}");
                return Err(self.error(text));
            }
        } else if count != params.len() {
            let want = params.len();
            return Err(self.error(format_args!(
                "wrong number of args for {name}: want {want} got {count}"
            )));
        }
        Ok(())
    }

    fn args(&mut self, signature: &Signature<'_>, site: Site<'t, '_>) -> Result<Args, Error> {
        self.check_count(signature, site)?;
        let mut args = Args::new();
        for (index, node) in site.args.iter().skip(1).enumerate() {
            args.push(self.arg(node, signature.param(index))?);
        }
        if let Some(piped) = site.piped {
            args.push(self.validate(piped.clone(), signature.param(args.len()))?);
        }
        Ok(args)
    }

    /// Evaluates an argument for a parameter of a type.
    fn arg(&mut self, node: &'t Expr, ty: &'static Type) -> Result<Value, Error> {
        match node {
            Expr::Nil { .. } => {
                self.at = Some(Node::Expr(node));
                if ty.can_be_nil() {
                    return Ok(zero(ty));
                }
                Err(self.error(format_args!("cannot assign nil to {ty}")))
            }
            Expr::Bool { .. } | Expr::Number { .. } | Expr::Str { .. } => {
                self.at = Some(Node::Expr(node));
                self.literal(node, ty)
            }
            _ => {
                let operand = self.operand(node)?;
                self.validate(operand, ty)
            }
        }
    }

    /// Evaluates an argument for a parameter that takes anything.
    fn operand(&mut self, node: &'t Expr) -> Result<Operand, Error> {
        self.at = Some(Node::Expr(node));
        let alone = Site {
            node: Node::Expr(node),
            args: &[],
            piped: None,
        };
        match node {
            Expr::Field { .. } => self.field_node(node, alone),
            Expr::Variable { .. } => self.variable_node(node, alone),
            Expr::Pipe(pipe) => self.nested_pipeline(pipe),
            Expr::Function { name, function, .. } => self.call_function(*function, *name, alone),
            Expr::Chain { .. } => self.chain_node(node, alone),
            other => self.constant(other),
        }
    }

    /// A literal has no type of its own: it becomes what the parameter asks for.
    fn literal(&mut self, node: &'t Expr, ty: &'static Type) -> Result<Value, Error> {
        let number = match node {
            Expr::Number { number, .. } => Some(number),
            _ => None,
        };
        let (value, what) = match ty.kind() {
            Kind::Bool => match node {
                Expr::Bool { value, .. } => (Some(Value::Bool(*value)), "bool"),
                _ => (None, "bool"),
            },
            Kind::String => match node {
                Expr::Str { text, .. } => (Some(Value::Str(text.clone())), "string"),
                _ => (None, "string"),
            },
            Kind::Int(kind) if kind.is_signed() => (
                number
                    .and_then(|number| number.int)
                    .map(|int| Value::int_of(kind, int)),
                "integer",
            ),
            Kind::Int(kind) => {
                let uint = number.and_then(|number| number.uint);
                (
                    uint.map(|uint| Value::int_of(kind, uint as i64)),
                    "unsigned integer",
                )
            }
            Kind::Float64 => (number.and_then(|number| number.float).map(Value::Float), "float"),
            Kind::Float32 => (
                number
                    .and_then(|number| number.float)
                    .map(|float| Value::Float32(float as f32)),
                "float",
            ),
            Kind::Complex128 => {
                let complex = number.and_then(|number| number.complex);
                (complex.map(|(re, im)| Value::Complex(re, im)), "complex")
            }
            Kind::Interface if *ty == Type::Any => return Ok(self.constant(node)?.value),
            _ => {
                let shown = self.shown(node);
                return Err(self.error(format_args!("can't handle {shown} for arg of type {ty}")));
            }
        };
        match (value, ty) {
            (Some(value), Type::Named(named)) => Ok(Value::named(named, value)),
            (Some(value), _) => Ok(value),
            (None, _) => {
                let shown = self.shown(node);
                Err(self.error(format_args!("expected {what}; found {shown}")))
            }
        }
    }

    /// Checks that a value can be assigned to a type and converts it as an assignment does.
    fn validate(&self, operand: Operand, ty: &'static Type) -> Result<Value, Error> {
        if matches!(ty, Type::Any) {
            return Ok(match &operand.value {
                Value::Object(object) => object.copied().unwrap_or(operand.value),
                _ => operand.value,
            });
        }
        if operand.is_invalid() {
            if ty.can_be_nil() {
                return Ok(zero(ty));
            }
            return Err(self.error(format_args!("invalid value; expected {ty}")));
        }
        if let Some(own) = operand.value.go_type() {
            if own == *ty {
                return Ok(operand.value);
            }
            if own.is_assignable_to(ty) {
                return Ok(operand.value.retyped(ty));
            }
            if *ty == Type::Error && operand.value.is_error() {
                return Ok(operand.value);
            }
            if let Type::Ptr(target) = own
                && target.is_assignable_to(ty)
                && !operand.value.is_nil()
            {
                return Ok(operand.value);
            }
        }
        let got = match operand.value {
            Value::Nil => "interface {}".to_owned(),
            ref value => value.type_name(),
        };
        Err(self.error(format_args!("wrong type for value; expected {ty}; got {got}")))
    }
}

/// Makes the error of a limit that a function ran into.
pub(crate) fn limit(message: &str) -> Error {
    Error::of_kind(ErrorKind::Limit, message)
}
