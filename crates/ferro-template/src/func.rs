//! Functions that templates call, and what they can do with the execution that calls them.

use std::any::Any;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::error::Error;
use crate::exec::Run;
use crate::set::Templates;
use crate::value::{Text, Type, Value};

type RunFn = dyn Fn(&mut Call<'_>, &[Value]) -> Result<Value, Error> + Send + Sync;

/// A function with the signature against which arguments are checked before it runs.
///
/// ```
/// use ferro_template::{Function, Type, Value};
///
/// let upper = Function::new(&[&Type::String], &Type::String, |_, args| match args {
///     [Value::Str(text)] => Ok(Value::from(text.to_str().to_uppercase())),
///     _ => Ok(Value::Nil),
/// });
/// assert_eq!(upper.type_text(), "func(string) string");
/// ```
#[derive(Clone)]
pub struct Function(Arc<Inner>);

struct Inner {
    params: Vec<&'static Type>,
    is_variadic: bool,
    result: &'static Type,
    builtin: Option<Builtin>,
    run: Box<RunFn>,
}

/// Functions of the language whose evaluation is not that of an ordinary call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Builtin {
    /// Stops at the first false operand.
    And,
    /// Stops at the first true operand.
    Or,
    /// Calls a value.
    Call,
    /// Tells a nil interface from no value.
    Len,
    /// Takes no index that is in an interface.
    Slice,
}

impl Function {
    /// Makes a function of fixed parameters. When it runs, the arguments have these types; an argument of
    /// an interface type may be [`Value::Nil`].
    pub fn new(
        params: &[&'static Type],
        result: &'static Type,
        run: impl Fn(&mut Call<'_>, &[Value]) -> Result<Value, Error> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            params: params.to_vec(),
            is_variadic: false,
            result,
            builtin: None,
            run: Box::new(run),
        }))
    }

    /// Makes a function whose last parameter takes any number of arguments; its type is given for one.
    pub fn variadic(
        params: &[&'static Type],
        result: &'static Type,
        run: impl Fn(&mut Call<'_>, &[Value]) -> Result<Value, Error> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            params: params.to_vec(),
            is_variadic: true,
            result,
            builtin: None,
            run: Box::new(run),
        }))
    }

    /// Makes a function of the language that the executor evaluates itself.
    pub(crate) fn builtin(builtin: Builtin, result: &'static Type) -> Self {
        let is_variadic = builtin != Builtin::Len;
        let params: Vec<&'static Type> = match builtin {
            Builtin::Len => vec![&Type::Any],
            _ => vec![&Type::Any, &Type::Any],
        };
        Self(Arc::new(Inner {
            params,
            is_variadic,
            result,
            builtin: Some(builtin),
            run: Box::new(|_, args| Ok(args.first().cloned().unwrap_or_default())),
        }))
    }

    pub(crate) fn as_builtin(&self) -> Option<Builtin> {
        self.0.builtin
    }

    /// Returns the types of the parameters; of a variadic function the last is that of one argument.
    pub fn params(&self) -> &[&'static Type] {
        &self.0.params
    }

    /// Tells whether the last parameter takes any number of arguments.
    pub fn is_variadic(&self) -> bool {
        self.0.is_variadic
    }

    /// Returns the type of the result.
    pub fn result(&self) -> &'static Type {
        self.0.result
    }

    /// Runs the function with arguments that were checked.
    pub fn run(&self, call: &mut Call<'_>, args: &[Value]) -> Result<Value, Error> {
        (self.0.run)(call, args)
    }

    /// Returns the Go type as `%T` prints it.
    pub fn type_text(&self) -> String {
        let mut text = "func(".to_owned();
        for (index, param) in self.0.params.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let is_last = index + 1 == self.0.params.len();
            let dots = if is_last && self.0.is_variadic { "..." } else { "" };
            let _ = write!(text, "{comma}{dots}{param}");
        }
        let _ = write!(text, ") {}", self.0.result);
        text
    }

    /// Tells whether both are the same function.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The functions that a set of templates can call, by name.
#[derive(Clone)]
pub struct Functions {
    by_name: HashMap<Box<str>, Function, RandomState>,
}

impl Functions {
    /// The functions of the language itself: `and`, `printf`, `eq`, …
    pub fn builtins() -> Self {
        let by_name = crate::builtin::all()
            .map(|(name, function)| (Box::from(name), function))
            .collect();
        Self { by_name }
    }

    /// Adds a function, or replaces the one of that name.
    pub fn insert(&mut self, name: &str, function: Function) {
        self.by_name.insert(Box::from(name), function);
    }

    /// Takes a function away; templates that name it no longer parse.
    pub fn remove(&mut self, name: &str) -> Option<Function> {
        self.by_name.remove(name)
    }

    /// Returns the function of that name.
    pub fn get(&self, name: &str) -> Option<&Function> {
        self.by_name.get(name)
    }

    /// Returns the names, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(|name| &**name)
    }
}

/// The execution that a function is called from.
pub struct Call<'c> {
    pub(crate) run: &'c mut Run,
    pub(crate) templates: &'c Templates,
    pub(crate) template: &'c str,
    pub(crate) state: &'c dyn Any,
}

impl Call<'_> {
    /// Returns the templates of the execution.
    pub fn templates(&self) -> &Templates {
        self.templates
    }

    /// Returns the name of the template that is being executed.
    pub fn template_name(&self) -> &str {
        self.template
    }

    /// Returns what the caller of the execution passed along for functions, when it is a `T`.
    pub fn state<T: Any>(&self) -> Option<&T> {
        self.state.downcast_ref()
    }

    /// Executes a template of the same set and returns its output, as `include` does.
    pub fn execute(&mut self, name: &str, data: &Value) -> Result<Text, Error> {
        self.execute_in(self.templates, name, data)
    }

    /// Executes a template of another set (for `tpl`: a [child](Templates::child) into which a text was
    /// parsed) within the limits of this execution.
    pub fn execute_in(&mut self, templates: &Templates, name: &str, data: &Value) -> Result<Text, Error> {
        crate::exec::execute_nested(self, templates, name.as_bytes(), data)
    }
}
