//! Evaluation of pipelines, commands and fields.

use ferro_gocompat::quote::quote;

use super::{Exec, Operand};
use crate::ast::{Command, Expr, Ideal, Number, Pipe, Variable};
use crate::error::Error;
use crate::set::MissingKey;
use crate::show::Node;
use crate::stack::guarded;
use crate::value::types::Kind;
use crate::value::{Key, Map, Object, Type, Value};

/// Where the fields of an operand are looked up: the operand itself, for errors, and the arguments that a
/// method would get.
#[derive(Clone, Copy)]
pub(super) struct Site<'t, 'a> {
    pub(super) node: Node<'t>,
    /// The whole command, or nothing where no arguments can follow.
    pub(super) args: &'t [Expr],
    /// The value of the command before, which is the last argument.
    pub(super) piped: Option<&'a Operand>,
}

impl Site<'_, '_> {
    fn has_args(&self) -> bool {
        self.args.len() > 1 || self.piped.is_some()
    }
}

impl<'t> Exec<'t, '_> {
    /// Evaluates a pipeline and sets the variables that it declares.
    pub(super) fn pipeline(&mut self, pipe: &'t Pipe) -> Result<Operand, Error> {
        self.at = Some(Node::Pipe(pipe));
        let mut value = self.command(&pipe.first, None)?;
        // What is inside an interface counts from here on.
        value.is_interface = false;
        for command in self.tree.lists.others(pipe) {
            value = self.command(command, Some(&value))?;
            value.is_interface = false;
        }
        for variable in pipe.variables.as_slice() {
            if pipe.is_assign {
                self.assign(*variable, value.clone())?;
            } else {
                self.variables.push((*variable, value.clone()));
            }
        }
        Ok(value)
    }

    /// Evaluates a pipeline in parentheses.
    pub(super) fn nested_pipeline(&mut self, pipe: &'t Pipe) -> Result<Operand, Error> {
        guarded(|| self.pipeline(pipe))
    }

    pub(super) fn assign(&mut self, variable: Variable, value: Operand) -> Result<(), Error> {
        match self.slot(variable) {
            Some(slot) => {
                *slot = value;
                Ok(())
            }
            None => Err(self.undefined(variable)),
        }
    }

    fn undefined(&self, variable: Variable) -> Error {
        let name = self.tree.lists.variable(variable);
        self.error(format_args!("undefined variable: {name}"))
    }

    fn slot(&mut self, variable: Variable) -> Option<&mut Operand> {
        let visible = self.variables.get_mut(self.variable_base..)?;
        visible
            .iter_mut()
            .rev()
            .find(|(id, _)| *id == variable)
            .map(|(_, value)| value)
    }

    fn command(&mut self, command: &'t Command, piped: Option<&Operand>) -> Result<Operand, Error> {
        let args = self.tree.lists.operands(command);
        let Some(first) = args.first() else {
            return Ok(Operand::default());
        };
        let site = Site {
            node: Node::Expr(first),
            args,
            piped,
        };
        match first {
            Expr::Field { .. } => return self.field_node(first, site),
            Expr::Chain { .. } => return self.chain_node(first, site),
            Expr::Variable { .. } => return self.variable_node(first, site),
            Expr::Function { name, function, .. } => {
                self.at = Some(Node::Expr(first));
                let site = Site {
                    node: Node::Command(command),
                    ..site
                };
                return self.call_function(*function, *name, site);
            }
            Expr::Pipe(pipe) => {
                self.refuse_args(site, first)?;
                return self.nested_pipeline(pipe);
            }
            _ => {}
        }
        self.at = Some(Node::Expr(first));
        self.refuse_args(site, first)?;
        match first {
            Expr::Nil { .. } => Err(self.error("nil is not a command")),
            other => self.constant(other),
        }
    }

    /// Returns the text of an operand.
    pub(super) fn shown(&self, expr: &Expr) -> String {
        Node::Expr(expr).text(self.tree.names())
    }

    fn refuse_args(&self, site: Site<'_, '_>, first: &Expr) -> Result<(), Error> {
        if site.has_args() {
            let shown = self.shown(first);
            return Err(self.error(format_args!("can't give argument to non-function {shown}")));
        }
        Ok(())
    }

    /// Evaluates an operand that stands for itself.
    pub(super) fn constant(&mut self, expr: &'t Expr) -> Result<Operand, Error> {
        Ok(match expr {
            Expr::Bool { value, .. } => Operand::new(Value::Bool(*value)),
            Expr::Dot { .. } => self.dot.clone(),
            Expr::Number { number, .. } => {
                self.at = Some(Node::Expr(expr));
                Operand::new(self.ideal(number)?)
            }
            Expr::Str { text, .. } => Operand::new(Value::Str(text.clone())),
            _ => Operand::default(),
        })
    }

    fn ideal(&self, number: &Number) -> Result<Value, Error> {
        Ok(match number.ideal() {
            Ideal::Int(value) => Value::int(value),
            Ideal::Float(value) => Value::Float(value),
            Ideal::Complex(re, im) => Value::Complex(re, im),
            Ideal::Overflow => return Err(self.error(format_args!("{} overflows int", number.text))),
        })
    }

    pub(super) fn field_node(&mut self, node: &'t Expr, site: Site<'t, '_>) -> Result<Operand, Error> {
        let Expr::Field { fields, .. } = node else {
            return Ok(Operand::default());
        };
        self.at = Some(site.node);
        // The first field is looked up in dot without holding on to it.
        let fields = self.tree.lists.fields(*fields);
        let Some((first, rest)) = fields.split_first() else {
            return Ok(Operand::default());
        };
        if let Value::Map(map) = &self.dot.value
            && is_plain(map)
            && !(rest.is_empty() && site.has_args())
            && let Some(value) = map.get_key(first)
        {
            let receiver = Operand::interface(value);
            return if rest.is_empty() {
                Ok(receiver)
            } else {
                self.field_chain(receiver, rest, site)
            };
        }
        self.field_chain(self.dot.clone(), fields, site)
    }

    pub(super) fn chain_node(&mut self, node: &'t Expr, site: Site<'t, '_>) -> Result<Operand, Error> {
        let Expr::Chain { base, fields, .. } = node else {
            return Ok(Operand::default());
        };
        self.at = Some(site.node);
        let receiver = self.chain_base(base)?;
        self.field_chain(receiver, self.tree.lists.fields(*fields), site)
    }

    fn chain_base(&mut self, base: &'t Expr) -> Result<Operand, Error> {
        self.at = Some(Node::Expr(base));
        let alone = Site {
            node: Node::Expr(base),
            args: &[],
            piped: None,
        };
        match base {
            Expr::Pipe(pipe) => self.nested_pipeline(pipe),
            Expr::Function { name, function, .. } => self.call_function(*function, *name, alone),
            Expr::Field { .. } => self.field_node(base, alone),
            Expr::Chain { .. } => self.chain_node(base, alone),
            Expr::Variable { .. } => self.variable_node(base, alone),
            other => self.constant(other),
        }
    }

    pub(super) fn variable_node(&mut self, node: &'t Expr, site: Site<'t, '_>) -> Result<Operand, Error> {
        let Expr::Variable { variable, fields, .. } = node else {
            return Ok(Operand::default());
        };
        self.at = Some(site.node);
        let fields = self.tree.lists.fields(*fields);
        let Some(value) = self.slot(*variable) else {
            return Err(self.undefined(*variable));
        };
        let Some((first, rest)) = fields.split_first() else {
            let value = value.clone();
            self.refuse_args(site, node)?;
            return Ok(value);
        };
        if let Value::Map(map) = &value.value
            && is_plain(map)
            && !(rest.is_empty() && site.has_args())
            && let Some(value) = map.get_key(first)
        {
            let receiver = Operand::interface(value);
            return if rest.is_empty() {
                Ok(receiver)
            } else {
                self.field_chain(receiver, rest, site)
            };
        }
        let value = value.clone();
        self.field_chain(value, fields, site)
    }

    /// Follows fields; the last one may be a method that gets the arguments.
    fn field_chain(
        &mut self,
        mut receiver: Operand,
        fields: &'t [Key],
        site: Site<'t, '_>,
    ) -> Result<Operand, Error> {
        let Some((last, others)) = fields.split_last() else {
            return Ok(receiver);
        };
        for field in others {
            let alone = Site {
                args: &[],
                piped: None,
                ..site
            };
            receiver = self.field(&receiver, field, alone)?;
        }
        self.field(&receiver, last, site)
    }

    fn field(&mut self, receiver: &Operand, key: &'t Key, site: Site<'t, '_>) -> Result<Operand, Error> {
        if let Value::Map(map) = &receiver.value
            && is_plain(map)
            && !site.has_args()
            && let Some(value) = map.get_key(key)
        {
            return Ok(Operand::interface(value));
        }
        let name = key.as_text();
        if receiver.is_invalid() {
            if self.options.missing_key == MissingKey::Error {
                return Err(self.error(format_args!("nil data; no entry for key {}", quote(name))));
            }
            return Ok(Operand::default());
        }
        if matches!(receiver.value, Value::Nil) {
            return Err(self.error(format_args!("nil pointer evaluating interface {{}}.{name}")));
        }
        if let Some(method) = receiver.value.method(name) {
            return self.call_method(method, &receiver.value, site);
        }
        match &receiver.value {
            Value::Map(map) if matches!(map.key_type(), Type::String | Type::Any) => {
                if site.has_args() {
                    return Err(self.error(format_args!("{name} is not a method but has arguments")));
                }
                return self.map_field(map, name);
            }
            Value::Object(object) => {
                if let Some(value) = object.field(name) {
                    if site.has_args() {
                        let text = format!("{name} has arguments but cannot be invoked as function");
                        return Err(self.error(text));
                    }
                    let is_interface = object.is_interface_field(name);
                    return Ok(Operand { value, is_interface });
                }
                self.check_object(&**object, receiver, name)?;
            }
            _ => {}
        }
        let ty = receiver.type_name();
        Err(self.error(format_args!("can't evaluate field {name} in type {ty}")))
    }

    fn map_field(&self, map: &Map, name: &str) -> Result<Operand, Error> {
        if let Some(value) = map.get(name.as_bytes()) {
            return Ok(element(map.elem(), value));
        }
        match self.options.missing_key {
            MissingKey::Invalid => Ok(Operand::default()),
            MissingKey::Zero => Ok(element(map.elem(), zero(map.elem()))),
            MissingKey::Error => Err(self.error(format_args!("map has no entry for key {}", quote(name)))),
        }
    }

    /// Says what is special about an object without the field, if something is.
    fn check_object(&self, object: &dyn Object, receiver: &Operand, name: &str) -> Result<(), Error> {
        let ty = receiver.type_name();
        let is_field = object.fields().iter().any(|(field, _)| *field == name);
        if is_field && object.is_nil() {
            return Err(self.error(format_args!("nil pointer evaluating {ty}.{name}")));
        }
        if is_field {
            return Err(self.error(format_args!("{name} is an unexported field of struct type {ty}")));
        }
        Ok(())
    }
}

/// Tells whether it is a `map[string]interface {}` without methods: the usual case.
fn is_plain(map: &Map) -> bool {
    matches!(map.ty(), Type::Map(Type::String, Type::Any))
}

/// A value that came out of something with elements of a type.
pub(super) fn element(elem: &Type, value: Value) -> Operand {
    Operand {
        value,
        is_interface: elem.kind() == Kind::Interface,
    }
}

/// The zero value of a type.
pub(crate) fn zero(ty: &'static Type) -> Value {
    use crate::value::{IntKind, List, NilPointer, Text};
    let value = match ty.underlying() {
        Type::Any | Type::Error | Type::Func(_) | Type::Struct(_) | Type::Named(_) => Value::Nil,
        Type::Bool => Value::Bool(false),
        Type::Int(kind) => Value::int_of(*kind, 0),
        Type::Float32 => Value::Float32(0.0),
        Type::Float64 => Value::Float(0.0),
        Type::Complex => Value::Complex(0.0, 0.0),
        Type::String => Value::Str(Text::new()),
        Type::Slice(Type::Int(IntKind::Uint8)) => return Value::Bytes([].into()),
        Type::Slice(_) => return Value::List(List::nil(ty)),
        Type::Array(len, elem) => return Value::List(List::with_type(ty, vec![zero(elem); *len])),
        Type::Map(..) => return Value::Map(Map::nil(ty)),
        Type::Ptr(_) => return Value::object(NilPointer { ty: *ty, fields: &[] }),
    };
    match ty {
        Type::Named(named) if !matches!(value, Value::Nil) => Value::named(named, value),
        _ => value,
    }
}
