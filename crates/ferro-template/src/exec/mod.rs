//! Execution: frames, scopes and loops.
//!
//! Templates that call each other, and control structures within them, live on stacks of their own; only
//! parentheses and functions that execute templates use the thread's.

mod call;
mod eval;
mod iter;
mod output;

use std::any::Any;
use std::fmt::Display;

use ferro_gocompat::quote::quote_bytes;
use smallvec::{SmallVec, smallvec};

pub(crate) use self::call::limit;
pub(crate) use self::eval::zero;
use self::iter::Iter;
pub(crate) use self::output::Output;
use crate::ast::{Label, Op, Range, Span, Tree, Variable};
use crate::error::{Error, ErrorKind};
use crate::func::Call;
use crate::print;
use crate::set::{Options, Templates};
use crate::show::Node;
use crate::stack::guarded;
use crate::value::{Text, Value};

/// How deep templates may call each other; Go's `maxExecDepth`.
const MAX_DEPTH: usize = 100_000;

/// A value in the course of evaluation: Go's `reflect.Value`.
#[derive(Clone, Default)]
pub(crate) struct Operand {
    pub(crate) value: Value,
    /// Whether its static type is an interface: then nil is a value, and errors name the interface.
    pub(crate) is_interface: bool,
}

impl Operand {
    pub(crate) fn new(value: Value) -> Self {
        Self {
            value,
            is_interface: false,
        }
    }

    pub(crate) fn interface(value: Value) -> Self {
        Self {
            value,
            is_interface: true,
        }
    }

    /// No value at all, in distinction from a nil interface.
    fn is_invalid(&self) -> bool {
        matches!(self.value, Value::Nil) && !self.is_interface
    }

    fn type_name(&self) -> String {
        if self.is_interface {
            "interface {}".to_owned()
        } else {
            self.value.type_name()
        }
    }
}

/// What an execution and those nested in it have used of their limits.
pub(crate) struct Run {
    out: Output,
    nesting: usize,
    written: usize,
    steps: u64,
}

/// Executes a template from outside.
pub(crate) fn execute(
    templates: &Templates,
    name: &[u8],
    data: &Value,
    state: &dyn Any,
) -> Result<Text, Error> {
    let mut run = Run {
        out: Output::new(),
        nesting: 0,
        written: 0,
        steps: 0,
    };
    execute_tree(templates, name, data, state, &mut run)
}

/// Executes a template for a function.
pub(crate) fn execute_nested(
    call: &mut Call<'_>,
    templates: &Templates,
    name: &[u8],
    data: &Value,
) -> Result<Text, Error> {
    let limit = templates.options().max_nesting;
    if call.run.nesting >= limit {
        let text = format!("exceeded maximum nesting of executions ({limit})");
        return Err(Error::of_kind(ErrorKind::Limit, text));
    }
    call.run.nesting += 1;
    let output = guarded(|| execute_tree(templates, name, data, call.state, call.run));
    call.run.nesting -= 1;
    output
}

fn execute_tree(
    templates: &Templates,
    name: &[u8],
    data: &Value,
    state: &dyn Any,
    run: &mut Run,
) -> Result<Text, Error> {
    let Some(tree) = templates.lookup(name) else {
        let (name, root) = (quote_bytes(name), quote_bytes(templates.name().as_bytes()));
        return Err(Error::new(format!(
            "template: no template {name} associated with template {root}"
        )));
    };
    let dot = Operand::new(data.clone());
    let start = run.out.len();
    let mut exec = Exec {
        templates,
        options: templates.options(),
        state,
        run,
        tree,
        pc: 0,
        dot: dot.clone(),
        at: None,
        variables: smallvec![(0, dot)],
        variable_base: 0,
        scopes: SmallVec::new(),
        scope_base: 0,
        frames: Vec::new(),
    };
    let result = exec.execute();
    let output = run.out.take(start);
    result.map(|()| output)
}

/// An execution of a template and of those that it calls by `template`.
struct Exec<'t, 'r> {
    templates: &'t Templates,
    options: &'t Options,
    state: &'r dyn Any,
    run: &'r mut Run,
    // The current frame.
    tree: &'t Tree,
    pc: Label,
    dot: Operand,
    /// The node that errors are about.
    at: Option<Node<'t>>,
    /// All variables of all frames, and where those of the current one start. They are found by name from
    /// the end, as in Go: which declaration a use means may depend on what was evaluated.
    variables: SmallVec<[(Variable, Operand); 6]>,
    variable_base: usize,
    scopes: SmallVec<[Scope<'t>; 4]>,
    scope_base: usize,
    frames: Vec<Frame<'t>>,
}

/// A template that waits for the one it called.
struct Frame<'t> {
    tree: &'t Tree,
    pc: Label,
    dot: Operand,
    at: Option<Node<'t>>,
    variable_base: usize,
    scope_base: usize,
}

/// A control structure that has begun.
struct Scope<'t> {
    /// How many variables there were before it.
    mark: usize,
    /// The dot outside, when the structure changes it.
    dot: Option<Operand>,
    body: Option<Box<Loop<'t>>>,
}

/// A loop that has begun.
struct Loop<'t> {
    range: &'t Range,
    iter: Iter,
    /// How many variables there were before the body.
    mark: usize,
    start: Label,
    /// Whether there was nothing to iterate over.
    is_over: bool,
}

impl<'t> Exec<'t, '_> {
    fn execute(&mut self) -> Result<(), Error> {
        loop {
            let tree = self.tree;
            let Some(op) = tree.code.get(self.pc as usize) else {
                if self.leave() {
                    continue;
                }
                return Ok(());
            };
            self.pc += 1;
            self.count_step()?;
            match op {
                Op::Text(span) => self.write(tree, *span)?,
                Op::Action(action) => {
                    let value = self.pipeline(&action.pipe)?;
                    if action.pipe.variables.as_slice().is_empty() {
                        self.print(&value, Node::Action(action))?;
                    }
                }
                Op::If { pipe, otherwise } => {
                    self.open();
                    if !self.pipeline(pipe)?.value.is_true() {
                        self.pc = *otherwise;
                    }
                }
                Op::With { pipe, otherwise } => {
                    self.open();
                    let value = self.pipeline(pipe)?;
                    if value.value.is_true() {
                        self.set_dot(value);
                    } else {
                        self.pc = *otherwise;
                    }
                }
                Op::Range(range) => self.begin_loop(range)?,
                Op::Next => self.next_iteration()?,
                Op::Jump(label) => self.pc = *label,
                Op::EndScope => self.close(),
                Op::Break => {
                    let range = self.unwind(true);
                    self.pc = range.map_or(Label::MAX, |range| range.end);
                }
                Op::Continue => {
                    let range = self.unwind(false);
                    self.pc = range.map_or(Label::MAX, |range| range.next);
                }
                Op::Template(invoke) => {
                    self.at = Some(Node::Invoke(invoke));
                    let Some(tree) = self.templates.lookup(invoke.name.as_bytes()) else {
                        let name = quote_bytes(invoke.name.as_bytes());
                        return Err(self.error(format_args!("template {name} not defined")));
                    };
                    if self.frames.len() >= MAX_DEPTH {
                        return Err(self.error(format_args!("exceeded maximum template depth ({MAX_DEPTH})")));
                    }
                    let dot = match &invoke.pipe {
                        Some(pipe) => self.pipeline(pipe)?,
                        None => Operand::default(),
                    };
                    self.enter(tree, dot);
                }
            }
        }
    }

    fn count_step(&mut self) -> Result<(), Error> {
        self.run.steps += 1;
        if self.run.steps > self.options.max_steps {
            let text = format!("exceeded maximum number of steps ({})", self.options.max_steps);
            return Err(self.limit(text));
        }
        Ok(())
    }

    fn enter(&mut self, tree: &'t Tree, dot: Operand) {
        self.frames.push(Frame {
            tree: self.tree,
            pc: self.pc,
            dot: std::mem::replace(&mut self.dot, dot.clone()),
            at: self.at,
            variable_base: self.variable_base,
            scope_base: self.scope_base,
        });
        self.tree = tree;
        self.pc = 0;
        self.variable_base = self.variables.len();
        self.scope_base = self.scopes.len();
        self.variables.push((0, dot));
    }

    /// Goes back to the template that called this one, if one did.
    fn leave(&mut self) -> bool {
        let Some(frame) = self.frames.pop() else {
            return false;
        };
        self.variables.truncate(self.variable_base);
        self.tree = frame.tree;
        self.pc = frame.pc;
        self.dot = frame.dot;
        self.at = frame.at;
        self.variable_base = frame.variable_base;
        self.scope_base = frame.scope_base;
        true
    }

    fn open(&mut self) {
        self.scopes.push(Scope {
            mark: self.variables.len(),
            dot: None,
            body: None,
        });
    }

    fn set_dot(&mut self, dot: Operand) {
        let outer = std::mem::replace(&mut self.dot, dot);
        if let Some(scope) = self.scopes.last_mut() {
            scope.dot.get_or_insert(outer);
        }
    }

    fn close(&mut self) {
        if let Some(scope) = self.scopes.pop() {
            self.variables.truncate(scope.mark);
            if let Some(dot) = scope.dot {
                self.dot = dot;
            }
        }
    }

    /// Closes the scopes within the innermost loop and returns that. The branch for nothing counts as part
    /// of its loop for `break`, but not for `continue`: Go's own quirk.
    fn unwind(&mut self, is_break: bool) -> Option<&'t Range> {
        while self.scopes.len() > self.scope_base {
            match self.scopes.last() {
                Some(Scope { body: Some(body), .. }) if is_break || !body.is_over => return Some(body.range),
                _ => self.close(),
            }
        }
        None
    }

    fn begin_loop(&mut self, range: &'t Range) -> Result<(), Error> {
        self.open();
        let value = self.pipeline(&range.pipe)?.value;
        let iter = match Iter::new(value, range.pipe.variables.as_slice().len()) {
            Ok(iter) => iter,
            Err(message) => return Err(self.error(message)),
        };
        let mark = self.variables.len();
        let start = self.pc;
        if let Some(scope) = self.scopes.last_mut() {
            scope.body = Some(Box::new(Loop {
                range,
                iter,
                mark,
                start,
                is_over: false,
            }));
        }
        if !self.advance(range)? {
            if let Some(body) = self.scopes.last_mut().and_then(|scope| scope.body.as_mut()) {
                body.is_over = true;
            }
            self.pc = range.otherwise;
        }
        Ok(())
    }

    fn next_iteration(&mut self) -> Result<(), Error> {
        let Some((range, start)) = self.scopes.last().and_then(|scope| {
            let body = scope.body.as_ref()?;
            Some((body.range, body.start))
        }) else {
            return Ok(());
        };
        self.pc = if self.advance(range)? { start } else { range.end };
        Ok(())
    }

    /// Takes the next element of the innermost loop.
    fn advance(&mut self, range: &'t Range) -> Result<bool, Error> {
        let Some(body) = self.scopes.last_mut().and_then(|scope| scope.body.as_mut()) else {
            return Ok(false);
        };
        let Some((index, element)) = body.iter.next() else {
            return Ok(false);
        };
        let mark = body.mark;
        self.variables.truncate(mark);
        match range.pipe.variables.as_slice() {
            [] => {}
            [first, second, ..] if range.pipe.is_assign => {
                self.assign(*first, index)?;
                self.assign(*second, element.clone())?;
            }
            [only] if range.pipe.is_assign => self.assign(*only, element.clone())?,
            variables => {
                // The pipeline has declared them last.
                self.set_top(1, element.clone());
                if variables.len() > 1 {
                    self.set_top(2, index);
                }
            }
        }
        self.set_dot(element);
        Ok(true)
    }

    fn set_top(&mut self, from_end: usize, value: Operand) {
        let slot = self.variables.len().checked_sub(from_end);
        if let Some((_, variable)) = slot.and_then(|slot| self.variables.get_mut(slot)) {
            *variable = value;
        }
    }

    fn print(&mut self, operand: &Operand, node: Node<'t>) -> Result<(), Error> {
        self.at = Some(node);
        let start = self.run.out.len();
        let budget = self.options.max_output.saturating_sub(self.run.written);
        match print::action(&mut self.run.out, &operand.value, budget) {
            Ok(()) => self.count_output(self.run.out.len() - start),
            Err(print::Unprintable::Function) => {
                let ty = operand.value.type_name();
                Err(self.error(format_args!(
                    "can't print {} of type {ty}",
                    node.text(self.tree.names())
                )))
            }
            Err(print::Unprintable::TooDeep) => Err(self.limit(print::TOO_DEEP)),
        }
    }

    fn write(&mut self, tree: &Tree, span: Span) -> Result<(), Error> {
        match tree.source.str(span) {
            Some(text) => self.run.out.push_str(text),
            None => self.run.out.push_bytes(tree.source.bytes(span)),
        }
        self.count_output(span.len as usize)
    }

    fn count_output(&mut self, len: usize) -> Result<(), Error> {
        self.run.written = self.run.written.saturating_add(len);
        if self.run.written > self.options.max_output {
            let text = format!("output is larger than {} bytes", self.options.max_output);
            return Err(self.limit(text));
        }
        Ok(())
    }

    /// Makes an error about the current node.
    #[cold]
    fn error(&self, message: impl Display) -> Error {
        self.error_of(ErrorKind::Exec, &message)
    }

    #[cold]
    fn limit(&self, message: impl Display) -> Error {
        self.error_of(ErrorKind::Limit, &message)
    }

    fn error_of(&self, kind: ErrorKind, message: &dyn Display) -> Error {
        Error::of_kind(kind, format!("{}{message}", self.prefix()))
    }

    fn prefix(&self) -> String {
        let name = &self.tree.name;
        let Some(node) = self.at else {
            return format!("template: {name}: ");
        };
        let location = self.tree.location(node.pos());
        let name = quote_bytes(name.as_bytes());
        format!(
            "template: {location}: executing {name} at <{}>: ",
            node.text(self.tree.names())
        )
    }
}
