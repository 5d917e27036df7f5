//! Writing a value: into a field, into a part of its text, or into data that the text holds.

use ferro_yaml::{Document, EmitOptions, Kind, Node, ParseOptions, Tag, documents_to_string, parse_first};

use super::replacement_path::{Make, get, split, visit};
use crate::Quirks;
use crate::error::{Context, Error, Result, fail};
use crate::path::MAX_DEPTH;
use crate::types::FieldOptions;

/// Reads the data that a text holds.
pub(super) fn parse(text: &str) -> Result<Node> {
    parse_document(text).map(|document| document.root)
}

/// Reads the data that a text holds, with its comments, for they are written again.
fn parse_document(text: &str) -> Result<Document> {
    let options = ParseOptions {
        comments: true,
        ..ParseOptions::default()
    };
    let read = || {
        let mut document = parse_first(text, &options)?.unwrap_or_else(|| Node::null().into());
        document.expand(&options.limits)?;
        Ok(document)
    };
    read().map_err(|error: ferro_yaml::Error| Error::other(error.to_string()))
}

/// Writes a value to a path of an object.
pub(super) fn write(
    object: &mut Node,
    value: &Node,
    path: &str,
    options: Option<&FieldOptions>,
    quirks: Quirks,
) -> Result<()> {
    let creates = options.is_some_and(|options| options.create);
    let make = if creates {
        Make::Like(value.kind())
    } else {
        Make::Nothing
    };
    let parts = split(path);
    if parts.len() > MAX_DEPTH {
        fail!("a path of more than {MAX_DEPTH} levels in replacement target");
    }
    if write_structured(object, value, &parts, make, quirks)?.is_some() {
        return Ok(());
    }
    let words = || {
        let quoted = ferro_gocompat::quote::quote(path);
        let action = if creates { "find or create" } else { "find" };
        format!("unable to {action} field {quoted} in replacement target")
    };
    // Only the search is described by these words, not what goes wrong with what it found.
    let mut failure = None;
    let count = visit(object, &parts, make, &mut |field, is_new| {
        if failure.is_none() {
            failure = set(field, value, options, is_new && quirks == Quirks::Fixed).err();
        }
        Ok(())
    })
    .during(words)?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    if count == 0 {
        fail!("{}", words());
    }
    Ok(())
}

/// Makes the fields of a path that are not there. What goes wrong is for [`write`] to say.
pub(super) fn make_missing(object: &mut Node, path: &str, kind: Kind) {
    let parts = split(path);
    // Another element would be added by each visit.
    let adds_element = parts.iter().any(|part| part == "-");
    if parts.len() <= MAX_DEPTH && !adds_element && find_text(object, &parts).is_none() {
        visit(object, &parts, Make::Like(kind), &mut |_, _| Ok(())).ok();
    }
}

fn text_of(node: &Node) -> &str {
    node.text().unwrap_or_default()
}

/// Writes to one field. Only the text of a scalar is replaced, its type stays; a field that was made for
/// this takes the type of the value.
fn set(field: &mut Node, value: &Node, options: Option<&FieldOptions>, takes_type: bool) -> Result<()> {
    let mut value = value.clone();
    let mut text = text_of(&value).to_owned();
    if let Some(options) = options.filter(|options| !options.delimiter.is_empty()) {
        let Some(old) = field.text() else {
            fail!("delimiter option can only be used with scalar nodes")
        };
        let mut parts: Vec<&str> = old.split(&options.delimiter).collect();
        let new = text;
        match usize::try_from(options.index) {
            Err(_) => parts.insert(0, &new),
            Ok(index) => match parts.get_mut(index) {
                Some(part) => *part = &new,
                None => parts.push(&new),
            },
        }
        text = parts.join(&options.delimiter);
        value.set_text(text.clone());
    }
    if field.is_scalar() && !(takes_type && value.is_scalar()) {
        field.set_text(text);
    } else {
        *field = value;
    }
    Ok(())
}

/// Writes into data that a text on the way holds. Nothing is returned if there is none, or the path leads
/// to nothing in it.
fn write_structured(
    object: &mut Node,
    value: &Node,
    parts: &[String],
    make: Make,
    quirks: Quirks,
) -> Result<Option<()>> {
    let Some((length, text)) = find_text(object, parts) else {
        return Ok(None);
    };
    let (outer, inner) = parts.split_at(length);
    let Ok(mut data) = parse_document(&text) else {
        return Ok(None);
    };
    let mut is_mismatch = false;
    let count = visit(&mut data.root, inner, make, &mut |field, is_new| {
        if !field.is_scalar() {
            *field = value.clone();
        } else if quirks == Quirks::Fixed && (is_new || !reads_as(field, text_of(value))) {
            *field = typed_like(value);
        } else {
            is_mismatch |= !reads_as(field, text_of(value));
            field.set_text(text_of(value));
        }
        Ok(())
    });
    if !matches!(count, Ok(1..)) {
        return Ok(None);
    }
    let Some(written) = serialize(&data, &text, is_mismatch) else {
        return Ok(None);
    };
    visit(object, outer, Make::Nothing, &mut |field, _| {
        field.set_text(written.clone());
        Ok(())
    })?;
    Ok(Some(()))
}

/// Finds the first scalar on the way, which does not end there.
fn find_text(object: &Node, parts: &[String]) -> Option<(usize, String)> {
    (1..parts.len()).find_map(|length| {
        let found = get(object, parts.get(..length)?).ok()??;
        let text = found.text()?;
        // An empty text holds no data to write into.
        (!text.trim().is_empty() && parse(text).is_ok()).then(|| (length, text.to_owned()))
    })
}

/// Tells whether a scalar's type allows for another text.
fn reads_as(field: &Node, text: &str) -> bool {
    match field.tag() {
        Tag::Str | Tag::Unset => true,
        tag => ferro_yaml::Dialect::V3.resolve(text).tag() == tag,
    }
}

/// A scalar of the value's own type.
fn typed_like(value: &Node) -> Node {
    match value.tag() {
        Tag::Unset => crate::scalar::resolved(text_of(value)),
        tag => Node::scalar(text_of(value), tag),
    }
}

/// Writes the data in the notation that it had.
fn serialize(data: &Document, old: &str, is_mismatch: bool) -> Option<String> {
    if !old.trim_start().starts_with(['{', '[']) {
        let yaml = documents_to_string([data], &EmitOptions::kyaml()).ok()?;
        return Some(yaml.trim().to_owned());
    }
    let data = &data.root;
    if is_mismatch {
        return None;
    }
    let compact = crate::emit::json(data);
    let is_indented = old.contains('\n') && old.contains("  ");
    if is_indented {
        Some(crate::emit::pretty_json(data))
    } else {
        Some(compact)
    }
}

#[cfg(test)]
mod tests {
    use ferro_yaml::parse_one;

    use super::*;

    fn written(object: &str, value: &Node, path: &str, options: Option<&FieldOptions>) -> Node {
        let mut node = parse_one(object, &ParseOptions::default()).unwrap();
        write(&mut node, value, path, options, Quirks::Fixed).unwrap();
        node
    }

    fn text(node: &Node, key: &str) -> String {
        node.get(key).and_then(Node::text).unwrap().to_owned()
    }

    #[test]
    fn parts_of_a_text_are_replaced() {
        let options = |index| FieldOptions {
            delimiter: "/".to_owned(),
            index,
            ..FieldOptions::default()
        };
        let value = &Node::string("x");
        assert_eq!(
            text(&written("{a: 1/2}", value, "a", Some(&options(1))), "a"),
            "1/x"
        );
        assert_eq!(
            text(&written("{a: 1/2}", value, "a", Some(&options(9))), "a"),
            "1/2/x"
        );
        assert_eq!(
            text(&written("{a: 1/2}", value, "a", Some(&options(-1))), "a"),
            "x/1/2"
        );
    }

    #[test]
    fn the_type_of_a_scalar_stays_and_that_of_a_new_one_is_the_values() {
        let node = written("{a: 'x'}", &Node::int(7), "a", None);
        assert_eq!(node.get("a").unwrap().tag(), Tag::Str);
        let create = FieldOptions {
            create: true,
            ..FieldOptions::default()
        };
        let node = written("{}", &Node::string("5"), "a.b", Some(&create));
        assert_eq!(node.lookup(["a", "b"]).unwrap().tag(), Tag::Str);
    }

    #[test]
    fn data_in_texts_is_edited() {
        let node = written("{c: '{\"a\":{\"b\":1}}'}", &Node::int(2), "c.a.b", None);
        assert_eq!(text(&node, "c"), "{\"a\":{\"b\":2}}");
        let node = written(
            "{c: \"z: 1\\na:\\n  b: x\\n\"}",
            &Node::string("y"),
            "c.a.b",
            None,
        );
        assert_eq!(text(&node, "c"), "z: 1\na:\n  b: y");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let mut node = parse_one("{a: {}}", &ParseOptions::default()).unwrap();
        let error = write(&mut node, &Node::int(1), "a.b", None, Quirks::Fixed).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unable to find field \"a.b\" in replacement target"
        );
    }
}
