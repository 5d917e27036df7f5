//! Validation itself, in upstream's order.

use std::collections::BTreeSet;

use ferro_gocompat::regexp::Regex;
use serde_json::{Map, Value as Json};

use super::document::{Document, Draft, Node, Target};
use super::failure::{Failure, Kind, join_quoted, quote};
use super::number::{Decimal, grouped};
use super::{format, validate_object};

/// Checks a value against the whole document.
pub(super) fn validate(document: &Document<'_>, value: &Json, steps: usize) -> Result<(), Failure> {
    let Some(root) = document.root() else {
        return Ok(());
    };
    let mut validator = Validator {
        document,
        scopes: Vec::new(),
        location: Vec::new(),
        value_id: 0,
        next_value_id: 1,
        steps,
    };
    let Err(failure) = validator.schema(root, value, false) else {
        return Ok(());
    };
    let causes = match failure.kind {
        Kind::Group => failure.causes,
        _ => vec![failure],
    };
    Err(Failure::new(&[], Kind::Schema).because(causes))
}

/// What of a value no keyword has looked at yet, where a schema wants to know.
#[derive(Clone, Debug, Default)]
pub(super) struct Unevaluated {
    pub(super) properties: BTreeSet<String>,
    pub(super) items: BTreeSet<usize>,
}

impl Unevaluated {
    fn is_empty(&self) -> bool {
        self.properties.is_empty() && self.items.is_empty()
    }

    /// Leaves what the other one has not evaluated either.
    fn merge(&mut self, other: &Self) {
        self.properties.retain(|name| other.properties.contains(name));
        self.items.retain(|index| other.items.contains(index));
    }
}

type Outcome = Result<Unevaluated, Failure>;

/// A schema that is being looked at, and the value that it is looked at for.
struct Scope {
    schema: usize,
    value: usize,
    resource: usize,
}

pub(super) struct Validator<'d, 's> {
    pub(super) document: &'d Document<'s>,
    scopes: Vec<Scope>,
    location: Vec<String>,
    value_id: usize,
    next_value_id: usize,
    steps: usize,
}

/// One schema and one value.
pub(super) struct Check<'s, 'v> {
    pub(super) node: Node<'s>,
    pub(super) object: &'s Map<String, Json>,
    pub(super) value: &'v Json,
    pub(super) draft: Draft,
    pub(super) unevaluated: Unevaluated,
    pub(super) failures: Vec<Failure>,
}

impl<'s> Validator<'_, 's> {
    pub(super) fn failure(&self, problem: String) -> Failure {
        Failure::new(&self.location, Kind::Keyword(problem))
    }

    /// Checks the same value against another schema.
    pub(super) fn same(&mut self, check: &mut Check<'s, '_>, schema: &'s Json) -> Result<(), Failure> {
        let node = self.document.inner(check.node, schema);
        self.same_node(check, node)
    }

    fn same_node(&mut self, check: &mut Check<'s, '_>, node: Node<'s>) -> Result<(), Failure> {
        let wants_unevaluated = !check.unevaluated.is_empty();
        let unevaluated = self.schema(node, check.value, wants_unevaluated)?;
        check.unevaluated.merge(&unevaluated);
        Ok(())
    }

    /// Checks a part of the value.
    pub(super) fn part(
        &mut self,
        check: &Check<'s, '_>,
        schema: &'s Json,
        part: &Json,
        step: &str,
    ) -> Result<(), Failure> {
        let node = self.document.inner(check.node, schema);
        let outer = std::mem::replace(&mut self.value_id, self.next_value_id);
        self.next_value_id += 1;
        self.location.push(step.to_owned());
        let outcome = self.schema(node, part, false);
        self.location.pop();
        self.value_id = outer;
        outcome.map(drop)
    }

    /// Checks a name by itself.
    pub(super) fn name(
        &mut self,
        check: &Check<'s, '_>,
        schema: &'s Json,
        name: &str,
    ) -> Result<(), Failure> {
        let location = std::mem::take(&mut self.location);
        let node = self.document.inner(check.node, schema);
        let outer = std::mem::replace(&mut self.value_id, self.next_value_id);
        self.next_value_id += 1;
        let outcome = self.schema(node, &Json::String(name.to_owned()), false);
        self.location = location;
        self.value_id = outer;
        outcome.map(drop).map_err(|failure| {
            let causes = match failure.kind {
                Kind::Group => failure.causes,
                _ => vec![failure],
            };
            let problem = format!("invalid propertyName {}", quote(name));
            Failure::new(&[], Kind::Keyword(problem)).because(causes)
        })
    }

    fn schema(&mut self, node: Node<'s>, value: &Json, wants_unevaluated: bool) -> Outcome {
        stacker::maybe_grow(128 << 10, 1 << 20, || {
            self.schema_inside(node, value, wants_unevaluated)
        })
    }

    fn schema_inside(&mut self, node: Node<'s>, value: &Json, wants_unevaluated: bool) -> Outcome {
        let Some(steps) = self.steps.checked_sub(1) else {
            return Err(self.failure("validation takes too many steps".to_owned()));
        };
        self.steps = steps;
        let object = match node.schema {
            Json::Bool(false) => return Err(self.failure("false schema".to_owned())),
            Json::Object(object) => object,
            _ => {
                return Ok(unevaluated_of(
                    &Map::new(),
                    Draft::V2020,
                    value,
                    wants_unevaluated,
                ));
            }
        };
        let scope = Scope {
            schema: std::ptr::from_ref(node.schema).addr(),
            value: self.value_id,
            resource: node.resource,
        };
        let same_value = self
            .scopes
            .iter()
            .rev()
            .take_while(|other| other.value == scope.value);
        if same_value.into_iter().any(|other| other.schema == scope.schema) {
            return Err(self.failure("references lead back to the same schema".to_owned()));
        }
        self.scopes.push(scope);
        let draft = self.document.draft(node);
        let mut check = Check {
            node,
            object,
            value,
            draft,
            unevaluated: unevaluated_of(object, draft, value, wants_unevaluated),
            failures: Vec::new(),
        };
        let outcome = self.keywords(&mut check);
        self.scopes.pop();
        outcome?;
        match check.failures.len() {
            0 => Ok(check.unevaluated),
            1 => Err(check.failures.remove(0)),
            _ => Err(Failure::new(&self.location, Kind::Group).because(check.failures)),
        }
    }

    fn keywords(&mut self, check: &mut Check<'s, '_>) -> Result<(), Failure> {
        let reference = check.object.get("$ref").and_then(Json::as_str);
        if let Some(reference) = reference.filter(|_| check.draft < Draft::V2019) {
            // What stands beside a reference does not count, but upstream forgets that for this keyword.
            self.constant(check)?;
            return self.reference(check, reference);
        }
        self.type_const_enum(check)?;
        self.format(check)?;
        if let Some(reference) = reference {
            let outcome = self.reference(check, reference);
            check.failures.extend(outcome.err());
        }
        match check.value {
            Json::Object(object) => validate_object::object(self, check, object),
            Json::Array(items) => validate_object::array(self, check, items),
            Json::String(text) => self.string(check, text),
            Json::Number(number) => self.number(check, Decimal::of(number)),
            Json::Null | Json::Bool(_) => {}
        }
        if check.draft >= Draft::V2019 {
            self.dynamic_references(check);
        }
        self.combinations(check);
        if check.draft >= Draft::V2019 {
            validate_object::unevaluated(self, check);
        }
        Ok(())
    }

    fn type_const_enum(&mut self, check: &Check<'s, '_>) -> Result<(), Failure> {
        if let Some(types) = check.object.get("type")
            && let Some(problem) = type_problem(types, check.value)
        {
            return Err(self.failure(problem));
        }
        self.constant(check)?;
        if let Some(Json::Array(wanted)) = check.object.get("enum")
            && !wanted.iter().any(|wanted| equals(check.value, wanted))
        {
            return Err(self.failure(enum_problem(wanted)));
        }
        Ok(())
    }

    fn constant(&self, check: &Check<'s, '_>) -> Result<(), Failure> {
        if let Some(wanted) = check.object.get("const").filter(|_| check.draft >= Draft::V6)
            && !equals(check.value, wanted)
        {
            let problem = match wanted {
                Json::Array(_) | Json::Object(_) => "'const' failed".to_owned(),
                wanted => format!("value must be {}", display(wanted)),
            };
            return Err(self.failure(problem));
        }
        Ok(())
    }

    fn format(&mut self, check: &Check<'s, '_>) -> Result<(), Failure> {
        let format = check.object.get("format").and_then(Json::as_str);
        let is_asserted = self.document.asserts_formats(check.draft);
        let (Some(name), Json::String(text)) = (format.filter(|_| is_asserted), check.value) else {
            return Ok(());
        };
        format::check(name, text)
            .map_err(|problem| self.failure(format!("{} is not valid {name}: {problem}", quote(text))))
    }

    fn reference(&mut self, check: &mut Check<'s, '_>, reference: &str) -> Result<(), Failure> {
        match self.document.resolve(check.node, reference) {
            Ok(Target::Schema(target)) => self.follow(check, target),
            Ok(Target::Anything(_)) => Ok(()),
            Err(problem) => Err(self.failure(problem)),
        }
    }

    fn follow(&mut self, check: &mut Check<'s, '_>, target: Node<'s>) -> Result<(), Failure> {
        self.same_node(check, target).map_err(|failure| {
            let causes = match failure.kind {
                Kind::Group => failure.causes,
                _ => vec![failure],
            };
            Failure::new(&self.location, Kind::Reference).because(causes)
        })
    }

    fn dynamic_references(&mut self, check: &mut Check<'s, '_>) {
        let since = [("$recursiveRef", Draft::V2019), ("$dynamicRef", Draft::V2020)];
        let draft = check.draft;
        for (keyword, _) in since.into_iter().filter(|(_, since)| draft >= *since) {
            let Some(reference) = check.object.get(keyword).and_then(Json::as_str) else {
                continue;
            };
            let outcome = match self.document.resolve(check.node, reference) {
                Ok(Target::Schema(target)) => {
                    let target = self.outermost(keyword, reference, target);
                    self.follow(check, target)
                }
                Ok(Target::Anything(_)) => Ok(()),
                Err(problem) => Err(self.failure(problem)),
            };
            check.failures.extend(outcome.err());
        }
    }

    /// The outermost schema on the way here that a dynamic reference can mean.
    fn outermost(&self, keyword: &str, reference: &str, target: Node<'s>) -> Node<'s> {
        let scopes = self.scopes.iter().map(|scope| scope.resource);
        let resource = |index: usize| self.document.resources.get(index);
        if keyword == "$recursiveRef" {
            let is_anchored = |index: usize| resource(index).is_some_and(|found| found.has_recursive_anchor);
            if !is_anchored(target.resource) {
                return target;
            }
            let outer = scopes
                .into_iter()
                .find(|index| is_anchored(*index))
                .unwrap_or(target.resource);
            let schema = resource(outer).map_or(target.schema, |found| found.root);
            return Node {
                schema,
                resource: outer,
            };
        }
        let anchor = reference.split_once('#').map_or("", |(_, anchor)| anchor);
        let own = target.schema.get("$dynamicAnchor").and_then(Json::as_str);
        if anchor.is_empty() || own != Some(anchor) {
            return target;
        }
        let found = scopes.into_iter().find_map(|index| {
            let schema = resource(index)?.dynamic_anchors.get(anchor)?;
            Some(Node {
                schema,
                resource: index,
            })
        });
        found.unwrap_or(target)
    }

    fn string(&mut self, check: &mut Check<'s, '_>, text: &str) {
        let length = text.chars().count();
        self.bounds(check, length, ["minLength", "maxLength"]);
        if let Some(pattern) = check.object.get("pattern").and_then(Json::as_str)
            && let Ok(regex) = Regex::go(pattern)
            && !regex.is_match(text)
        {
            let problem = format!("{} does not match pattern {}", quote(text), quote(pattern));
            check.failures.push(self.failure(problem));
        }
    }

    /// Checks a size against a least and a largest one.
    pub(super) fn bounds(&mut self, check: &mut Check<'s, '_>, size: usize, keywords: [&str; 2]) {
        let [least, most] = keywords;
        let fails = [
            (least, size_of(check.object, least).filter(|bound| size < *bound)),
            (most, size_of(check.object, most).filter(|bound| size > *bound)),
        ];
        for (keyword, bound) in fails {
            if let Some(bound) = bound {
                let (got, want) = (grouped(&size.to_string()), grouped(&bound.to_string()));
                check
                    .failures
                    .push(self.failure(format!("{keyword}: got {got}, want {want}")));
            }
        }
    }

    fn number(&mut self, check: &mut Check<'s, '_>, got: Decimal) {
        let bound = |keyword: &str| match check.object.get(keyword) {
            Some(Json::Number(number)) => Some(Decimal::of(number)),
            _ => None,
        };
        // Draft 4 says by a boolean whether a bound itself is allowed.
        let is_exclusive = |keyword: &str| check.object.get(keyword) == Some(&Json::Bool(true));
        let split = |plain: &str, exclusive: &str| {
            if is_exclusive(exclusive) {
                (None, bound(plain))
            } else {
                (bound(plain), bound(exclusive))
            }
        };
        let (minimum, exclusive_minimum) = split("minimum", "exclusiveMinimum");
        let (maximum, exclusive_maximum) = split("maximum", "exclusiveMaximum");
        let checks = [
            ("minimum", minimum.filter(|want| got.compare(*want).is_lt())),
            ("maximum", maximum.filter(|want| got.compare(*want).is_gt())),
            (
                "exclusiveMinimum",
                exclusive_minimum.filter(|want| got.compare(*want).is_le()),
            ),
            (
                "exclusiveMaximum",
                exclusive_maximum.filter(|want| got.compare(*want).is_ge()),
            ),
            (
                "multipleOf",
                bound("multipleOf").filter(|want| !got.is_multiple_of(*want)),
            ),
        ];
        for (keyword, want) in checks {
            if let Some(want) = want {
                let problem = format!("{keyword}: got {}, want {}", got.show(), want.show());
                check.failures.push(self.failure(problem));
            }
        }
    }

    fn combinations(&mut self, check: &mut Check<'s, '_>) {
        if let Some(not) = check.object.get("not")
            && self.same(check, not).is_ok()
        {
            check.failures.push(self.failure("'not' failed".to_owned()));
        }
        if let Some(Json::Array(all)) = check.object.get("allOf") {
            let causes: Vec<Failure> = all
                .iter()
                .filter_map(|schema| self.same(check, schema).err())
                .collect();
            if !causes.is_empty() {
                check
                    .failures
                    .push(self.failure("'allOf' failed".to_owned()).because(causes));
            }
        }
        self.any_of(check);
        self.one_of(check);
        if check.draft >= Draft::V7
            && let Some(condition) = check.object.get("if")
        {
            let holds = self.same(check, condition).is_ok();
            let consequence = check.object.get(if holds { "then" } else { "else" });
            let failure = consequence.and_then(|schema| self.same(check, schema).err());
            check.failures.extend(failure);
        }
    }

    fn any_of(&mut self, check: &mut Check<'s, '_>) {
        let Some(Json::Array(any)) = check.object.get("anyOf").filter(|any| is_filled(any)) else {
            return;
        };
        let mut causes = Vec::new();
        let mut has_match = false;
        for schema in any {
            match self.same(check, schema) {
                Err(failure) => causes.push(failure),
                Ok(()) => {
                    has_match = true;
                    if check.unevaluated.is_empty() {
                        break;
                    }
                }
            }
        }
        if !has_match {
            check
                .failures
                .push(self.failure("'anyOf' failed".to_owned()).because(causes));
        }
    }

    fn one_of(&mut self, check: &mut Check<'s, '_>) {
        let Some(Json::Array(one)) = check.object.get("oneOf").filter(|one| is_filled(one)) else {
            return;
        };
        let mut causes = Vec::new();
        let mut matched = None;
        for (index, schema) in one.iter().enumerate() {
            match (self.same(check, schema), matched) {
                (Err(failure), None) => causes.push(failure),
                (Err(_), Some(_)) => {}
                (Ok(()), None) => matched = Some(index),
                (Ok(()), Some(first)) => {
                    let problem = format!("'oneOf' failed, subschemas {first}, {index} matched");
                    return check.failures.push(self.failure(problem));
                }
            }
        }
        if matched.is_none() {
            check.failures.push(
                self.failure("'oneOf' failed, none matched".to_owned())
                    .because(causes),
            );
        }
    }
}

fn is_filled(list: &Json) -> bool {
    list.as_array().is_some_and(|list| !list.is_empty())
}

/// A bound of a size; only whole numbers count.
pub(super) fn size_of(object: &Map<String, Json>, keyword: &str) -> Option<usize> {
    let number = object.get(keyword)?.as_f64()?;
    // Sizes beyond what a float holds exactly are no sizes of anything.
    (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as usize)
}

fn unevaluated_of(object: &Map<String, Json>, draft: Draft, value: &Json, is_wanted: bool) -> Unevaluated {
    let mut unevaluated = Unevaluated::default();
    match value {
        Json::Object(value) => {
            let is_wanted =
                is_wanted || (draft >= Draft::V2019 && object.contains_key("unevaluatedProperties"));
            if is_wanted && !object.contains_key("additionalProperties") {
                unevaluated.properties = value.keys().cloned().collect();
            }
        }
        Json::Array(items) => {
            let is_wanted = is_wanted || (draft >= Draft::V2019 && object.contains_key("unevaluatedItems"));
            let tuple = if draft < Draft::V2020 {
                "items"
            } else {
                "prefixItems"
            };
            let has_all = match object.get("items") {
                Some(Json::Array(_)) if draft < Draft::V2020 => object.contains_key("additionalItems"),
                found => found.is_some(),
            };
            if is_wanted && !has_all {
                let seen = object.get(tuple).and_then(Json::as_array).map_or(0, Vec::len);
                unevaluated.items = (seen..items.len()).collect();
            }
        }
        _ => {}
    }
    unevaluated
}

fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

fn type_problem(types: &Json, value: &Json) -> Option<String> {
    const ORDER: [&str; 7] = [
        "null", "boolean", "number", "integer", "string", "array", "object",
    ];
    let is_listed = |name: &str| match types {
        Json::String(only) => only == name,
        Json::Array(names) => names.iter().any(|listed| listed.as_str() == Some(name)),
        _ => false,
    };
    let wanted: Vec<&str> = ORDER.into_iter().filter(|name| is_listed(name)).collect();
    let got = type_name(value);
    let is_integer = || matches!(value, Json::Number(number) if Decimal::of(number).is_integer());
    if wanted.is_empty() || wanted.contains(&got) || (wanted.contains(&"integer") && is_integer()) {
        return None;
    }
    Some(format!("got {got}, want {}", wanted.join(" or ")))
}

fn enum_problem(wanted: &[Json]) -> String {
    if wanted.iter().any(|value| value.is_array() || value.is_object()) {
        return "'enum' failed".to_owned();
    }
    let shown: Vec<String> = wanted.iter().map(display).collect();
    match shown.as_slice() {
        [only] => format!("value must be {only}"),
        _ => format!("value must be one of {}", shown.join(", ")),
    }
}

fn display(value: &Json) -> String {
    match value {
        Json::Null => "<nil>".to_owned(),
        Json::String(text) => quote(text),
        other => other.to_string(),
    }
}

pub(super) fn equals(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => Decimal::of(a).compare(Decimal::of(b)).is_eq(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equals(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equals(a, b)))
        }
        (a, b) => a == b,
    }
}

/// The names that are wanted and not there.
pub(super) fn missing(object: &Map<String, Json>, wanted: &Json) -> Vec<String> {
    let names = wanted.as_array().into_iter().flatten().filter_map(Json::as_str);
    names
        .filter(|name| !object.contains_key(*name))
        .map(str::to_owned)
        .collect()
}

/// What is said when one property asks for others.
pub(super) fn dependency_problem(missing: &[String], property: &str) -> String {
    format!(
        "properties {} required, if {} exists",
        join_quoted(missing),
        quote(property)
    )
}
