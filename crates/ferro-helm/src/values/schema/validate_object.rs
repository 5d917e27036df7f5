//! The keywords of objects and arrays.

use ferro_gocompat::regexp::Regex;
use serde_json::{Map, Value as Json};

use super::document::Draft;
use super::failure::{Failure, join_quoted, quote};
use super::number::grouped;
use super::validate::{Check, Validator, dependency_problem, equals, missing, size_of};

pub(super) fn object<'s>(
    validator: &mut Validator<'_, 's>,
    check: &mut Check<'s, '_>,
    object: &Map<String, Json>,
) {
    validator.bounds(check, object.len(), ["minProperties", "maxProperties"]);
    let required = check.object.get("required").map(|wanted| missing(object, wanted));
    match required.as_deref() {
        None | Some([]) => {}
        Some([only]) => check
            .failures
            .push(validator.failure(format!("missing property {}", quote(only)))),
        Some(several) => {
            let problem = format!("missing properties {}", join_quoted(several));
            check.failures.push(validator.failure(problem));
        }
    }
    dependencies(validator, check, object);
    properties(validator, check, object);
    if check.draft >= Draft::V6
        && let Some(schema) = check.object.get("propertyNames")
    {
        for name in object.keys() {
            let failure = validator.name(check, schema, name).err();
            check.failures.extend(failure);
        }
    }
    if check.draft >= Draft::V2019 {
        dependents(validator, check, object);
    }
}

fn dependencies<'s>(
    validator: &mut Validator<'_, 's>,
    check: &mut Check<'s, '_>,
    object: &Map<String, Json>,
) {
    let Some(Json::Object(dependencies)) = check.object.get("dependencies") else {
        return;
    };
    for (property, wanted) in dependencies
        .iter()
        .filter(|(property, _)| object.contains_key(*property))
    {
        if wanted.is_array() {
            require(validator, check, object, (property, wanted));
        } else {
            let failure = validator.same(check, wanted).err();
            check.failures.extend(failure);
        }
    }
}

fn require<'s>(
    validator: &Validator<'_, 's>,
    check: &mut Check<'s, '_>,
    object: &Map<String, Json>,
    (property, wanted): (&str, &Json),
) {
    let missing = missing(object, wanted);
    if !missing.is_empty() {
        check
            .failures
            .push(validator.failure(dependency_problem(&missing, property)));
    }
}

fn dependents<'s>(validator: &mut Validator<'_, 's>, check: &mut Check<'s, '_>, object: &Map<String, Json>) {
    if let Some(Json::Object(schemas)) = check.object.get("dependentSchemas") {
        for (_, schema) in schemas
            .iter()
            .filter(|(property, _)| object.contains_key(*property))
        {
            let failure = validator.same(check, schema).err();
            check.failures.extend(failure);
        }
    }
    if let Some(Json::Object(required)) = check.object.get("dependentRequired") {
        for (property, wanted) in required
            .iter()
            .filter(|(property, _)| object.contains_key(*property))
        {
            require(validator, check, object, (property, wanted));
        }
    }
}

fn properties<'s>(validator: &mut Validator<'_, 's>, check: &mut Check<'s, '_>, object: &Map<String, Json>) {
    let known = check.object.get("properties").and_then(Json::as_object);
    let patterns: Vec<(Regex, &'s Json)> = check
        .object
        .get("patternProperties")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(pattern, schema)| Some((Regex::go(pattern).ok()?, schema)))
        .collect();
    let additional = check.object.get("additionalProperties");
    let mut unexpected = Vec::new();
    for (name, value) in object {
        let own = known.and_then(|known| known.get(name));
        let by_pattern = patterns
            .iter()
            .filter(|(regex, _)| regex.is_match(name))
            .map(|(_, schema)| *schema);
        let schemas: Vec<&'s Json> = own.into_iter().chain(by_pattern).collect();
        let mut is_evaluated = !schemas.is_empty();
        for schema in schemas {
            let failure = validator.part(check, schema, value, name).err();
            check.failures.extend(failure);
        }
        if !is_evaluated && let Some(additional) = additional {
            is_evaluated = true;
            match additional {
                Json::Bool(false) => unexpected.push(name.clone()),
                Json::Bool(true) => {}
                schema => {
                    let failure = validator.part(check, schema, value, name).err();
                    check.failures.extend(failure);
                }
            }
        }
        if is_evaluated {
            check.unevaluated.properties.remove(name);
        }
    }
    if !unexpected.is_empty() {
        let problem = format!("additional properties {} not allowed", join_quoted(&unexpected));
        check.failures.push(validator.failure(problem));
    }
}

pub(super) fn array<'s>(validator: &mut Validator<'_, 's>, check: &mut Check<'s, '_>, items: &[Json]) {
    validator.bounds(check, items.len(), ["minItems", "maxItems"]);
    if check.object.get("uniqueItems") == Some(&Json::Bool(true))
        && let Some((first, second)) = duplicates(items)
    {
        let (first, second) = (grouped(&first.to_string()), grouped(&second.to_string()));
        check
            .failures
            .push(validator.failure(format!("items at {first} and {second} are equal")));
    }
    let tuple = if check.draft < Draft::V2020 {
        "items"
    } else {
        "prefixItems"
    };
    let tuple = check.object.get(tuple).and_then(Json::as_array);
    for (index, (item, schema)) in items.iter().zip(tuple.into_iter().flatten()).enumerate() {
        part(validator, check, schema, item, index);
    }
    let seen = tuple.map_or(0, |tuple| tuple.len().min(items.len()));
    let rest = match tuple {
        Some(_) if check.draft < Draft::V2020 => check.object.get("additionalItems"),
        _ => check.object.get("items"),
    };
    match rest {
        Some(Json::Bool(false)) if tuple.is_some() && check.draft < Draft::V2020 => {
            let count = items.len() - seen;
            let problem = format!(
                "last {} additionalItem(s) not allowed",
                grouped(&count.to_string())
            );
            check
                .failures
                .extend((count > 0).then(|| validator.failure(problem)));
        }
        Some(schema) => {
            for (index, item) in items.iter().enumerate().skip(seen) {
                part(validator, check, schema, item, index);
            }
        }
        None => {}
    }
    if check.draft >= Draft::V6 {
        contains(validator, check, items);
    }
}

fn part<'s>(
    validator: &mut Validator<'_, 's>,
    check: &mut Check<'s, '_>,
    schema: &'s Json,
    item: &Json,
    index: usize,
) {
    let failure = validator.part(check, schema, item, &index.to_string()).err();
    check.failures.extend(failure);
}

fn contains<'s>(validator: &mut Validator<'_, 's>, check: &mut Check<'s, '_>, items: &[Json]) {
    let Some(schema) = check.object.get("contains") else {
        return;
    };
    let mut causes: Vec<Failure> = Vec::new();
    let mut matched = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match validator.part(check, schema, item, &index.to_string()) {
            Err(failure) => causes.push(failure),
            Ok(()) => {
                matched.push(index.to_string());
                if check.draft >= Draft::V2020 {
                    check.unevaluated.items.remove(&index);
                }
            }
        }
    }
    let bound = |keyword| size_of(check.object, keyword).filter(|_| check.draft >= Draft::V2019);
    let (least, most) = (bound("minContains"), bound("maxContains"));
    let found = format!("but matched {} items at {}", matched.len(), matched.join(" "));
    match least {
        Some(least) if matched.len() < least => {
            let found = if matched.is_empty() {
                "but none matched"
            } else {
                &found
            };
            let problem = format!("min {least} items required to match contains schema, {found}");
            check.failures.push(validator.failure(problem).because(causes));
        }
        None if matched.is_empty() => {
            let problem = "no items match contains schema".to_owned();
            check.failures.push(validator.failure(problem).because(causes));
        }
        _ => {}
    }
    if let Some(most) = most.filter(|most| matched.len() > *most) {
        let problem = format!("max {most} items required to match contains schema, {found}");
        check.failures.push(validator.failure(problem));
    }
}

/// The first two items that are equal, found in upstream's order.
fn duplicates(items: &[Json]) -> Option<(usize, usize)> {
    items.iter().enumerate().find_map(|(second, item)| {
        let first = items.iter().take(second).position(|other| equals(item, other))?;
        Some((first, second))
    })
}

pub(super) fn unevaluated<'s>(validator: &mut Validator<'_, 's>, check: &mut Check<'s, '_>) {
    match check.value {
        Json::Object(object) => {
            let Some(schema) = check.object.get("unevaluatedProperties") else {
                return;
            };
            for name in std::mem::take(&mut check.unevaluated.properties) {
                if let Some(value) = object.get(&name) {
                    let failure = validator.part(check, schema, value, &name).err();
                    check.failures.extend(failure);
                }
            }
        }
        Json::Array(items) => {
            let Some(schema) = check.object.get("unevaluatedItems") else {
                return;
            };
            for index in std::mem::take(&mut check.unevaluated.items) {
                if let Some(item) = items.get(index) {
                    part(validator, check, schema, item, index);
                }
            }
        }
        _ => {}
    }
}
