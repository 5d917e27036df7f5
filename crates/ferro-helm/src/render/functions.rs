//! The functions that need to know the render: `include`, `tpl`, `required`, `fail`, `lookup`.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use ferro_template::types::ANY_MAP;
use ferro_template::{Call, Error, Function, Functions, Text, Type, Value};
use serde_json::{Map, Value as Json};

use super::texts::Texts;
use super::{Mode, error};
use crate::Notice;
use crate::values::to_map;

/// How often a template may be included while it is being included.
const MAX_INCLUDES: u32 = 1000;
/// What `tpl` texts are called, wherever they come from.
pub(super) const ROOT: &str = "gotpl";

/// Where `lookup` finds what is in the cluster.
pub trait Lookup {
    /// Finds an object, or with an empty name a list of them. What does not exist is an empty map; an error
    /// fails the template.
    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Map<String, Json>, String>;
}

/// What the functions know of the render.
pub(super) struct State {
    pub(super) mode: Mode,
    pub(super) lookup: Option<Rc<dyn Lookup>>,
    /// How often each template is being included right now; they are few.
    included: RefCell<Vec<(Text, u32)>>,
    texts: Arc<Texts>,
    pub(super) notices: RefCell<Vec<Notice>>,
}

impl State {
    pub(super) fn new(mode: Mode, lookup: Option<Rc<dyn Lookup>>, texts: Arc<Texts>) -> Self {
        Self {
            mode,
            lookup,
            texts,
            included: RefCell::default(),
            notices: RefCell::default(),
        }
    }
}

/// Adds the functions that need to know the render to those that do not.
pub(super) fn complete(mut functions: Functions) -> Arc<Functions> {
    let text = &Type::String;
    functions.insert("include", Function::new(&[text, &Type::Any], text, include));
    functions.insert("tpl", Function::new(&[text, &Type::Any], text, tpl));
    functions.insert(
        "required",
        Function::new(&[text, &Type::Any], &Type::Any, required),
    );
    functions.insert("fail", Function::new(&[text], text, fail));
    functions.insert(
        "lookup",
        Function::new(&[text, text, text, text], ANY_MAP, lookup),
    );
    functions.insert(
        "getHostByName",
        Function::new(&[text], text, |_, _| Ok(Value::from(""))),
    );
    Arc::new(functions)
}

fn text(arguments: &[Value], index: usize) -> Text {
    arguments
        .get(index)
        .and_then(Value::as_text)
        .cloned()
        .unwrap_or_default()
}

fn include(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Error> {
    let name = text(arguments, 0);
    let data = arguments.get(1).cloned().unwrap_or_default();
    enter(call, &name)?;
    let output = call.execute(&name.to_str(), &data);
    leave(call, &name);
    output.map(Value::Str)
}

fn enter(call: &Call<'_>, name: &Text) -> Result<(), Error> {
    let Some(state) = call.state::<State>() else {
        return Ok(());
    };
    let mut included = state.included.borrow_mut();
    let Some((_, count)) = included.iter_mut().find(|(known, _)| known == name) else {
        included.push((name.clone(), 1));
        return Ok(());
    };
    if *count > MAX_INCLUDES {
        return Err(Error::new(format!(
            "rendering template has a nested reference name: {name}: unable to execute template"
        )));
    }
    *count += 1;
    Ok(())
}

fn leave(call: &Call<'_>, name: &Text) {
    let Some(state) = call.state::<State>() else {
        return;
    };
    let mut included = state.included.borrow_mut();
    // It is the last one nearly always.
    if let Some(at) = included.iter().rposition(|(known, _)| known == name)
        && let Some((_, count)) = included.get_mut(at)
    {
        *count -= 1;
        if *count == 0 {
            included.swap_remove(at);
        }
    }
}

fn tpl(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Error> {
    let source = text(arguments, 0);
    let source = source.to_str();
    let data = arguments.get(1).cloned().unwrap_or_default();
    let mut templates = call.templates().child();
    let is_nested = templates.contains(ROOT);
    let parsed = match call.state::<State>() {
        Some(state) => state.texts.parse(&templates, &source),
        None => templates.parse_apart(ROOT, source.as_bytes()),
    };
    let parsed = parsed.map_err(|cause| error::tpl_parse(&source, cause))?;
    templates.add(&parsed);
    if is_nested && parsed.has_blank() {
        // Go executes a text even when it is blank, but a blank text replaces no other of its name, and the
        // text that calls this one has the same. With an action that prints nothing no text is blank.
        let filled = format!("{source}{{{{\"\"}}}}");
        let parsed = templates.parse(ROOT, filled.as_bytes());
        parsed.map_err(|cause| error::tpl_parse(&source, cause))?;
    }
    let output = call.execute_in(&templates, ROOT, &data);
    let output = output.map_err(|cause| error::tpl_execution(&source, cause))?;
    Ok(Value::Str(without_no_value(output)))
}

/// Drops the text that Go prints for nothing.
pub(super) fn without_no_value(output: Text) -> Text {
    const NO_VALUE: &str = "<no value>";
    match output.as_str() {
        Some(text) if !text.contains(NO_VALUE) => output,
        Some(text) => Text::from(text.replace(NO_VALUE, "")),
        None => bytes_without_no_value(output.as_bytes(), NO_VALUE.as_bytes()),
    }
}

fn bytes_without_no_value(mut bytes: &[u8], no_value: &[u8]) -> Text {
    let mut kept = Vec::with_capacity(bytes.len());
    while let Some((first, rest)) = bytes.split_first() {
        if let Some(rest) = bytes.strip_prefix(no_value) {
            bytes = rest;
        } else {
            kept.push(*first);
            bytes = rest;
        }
    }
    Text::from(kept)
}

fn required(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Error> {
    let message = text(arguments, 0);
    let value = arguments.get(1).cloned().unwrap_or_default();
    let is_missing = match &value {
        Value::Nil => true,
        Value::Str(text) => text.is_empty(),
        _ => false,
    };
    if !is_missing {
        return Ok(value);
    }
    let said = match value {
        Value::Nil => "missing required value",
        _ => "missing required values",
    };
    if lints(call, Notice::warn(said).with("message", message.to_string())) {
        return Ok(Value::from(""));
    }
    Err(error::failure(&message.to_str()))
}

fn fail(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Error> {
    let message = text(arguments, 0);
    if lints(
        call,
        Notice::info("funcMap fail").with("message", message.to_string()),
    ) {
        return Ok(Value::from(""));
    }
    Err(error::failure(&message.to_str()))
}

/// Notes what would have failed, when that is all that is wanted.
fn lints(call: &Call<'_>, notice: Notice) -> bool {
    match call.state::<State>() {
        Some(state) if state.mode == Mode::Lint => {
            state.notices.borrow_mut().push(notice);
            true
        }
        _ => false,
    }
}

fn lookup(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Error> {
    let lookup = call.state::<State>().filter(|state| state.mode != Mode::Lint);
    let Some(lookup) = lookup.and_then(|state| state.lookup.clone()) else {
        return Ok(Value::Map(ferro_template::Map::new()));
    };
    let [api_version, kind, namespace, name] = [0, 1, 2, 3].map(|index| text(arguments, index));
    let found = lookup.lookup(
        &api_version.to_str(),
        &kind.to_str(),
        &namespace.to_str(),
        &name.to_str(),
    );
    found.map(|found| Value::Map(to_map(&found))).map_err(Error::new)
}
