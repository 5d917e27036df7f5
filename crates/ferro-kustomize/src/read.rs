//! From text to resources: splitting, unwrapping of lists, checks.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use ferro_yaml::{Dialect, Node, ParseOptions, parse_documents, parse_first, parse_one};

use crate::error::{Error, ErrorKind, Location, Result, fail};
use crate::resource::{Resource, Source};
use crate::scalar::is_nil_or_empty;

/// Reads text the way kustomization files are read: YAML 1.1, the first document, the last of equal keys.
pub(crate) fn configuration(text: &[u8]) -> Result<Node, ferro_yaml::Error> {
    parse_one(
        text,
        &ParseOptions {
            dialect: Dialect::V2,
            ..ParseOptions::default()
        },
    )
}

/// Says in which file the text of an error stands.
fn in_file(error: Error, file: Option<&str>) -> Error {
    match (error.kind(), file) {
        (ErrorKind::MalformedYaml { message, file: None }, Some(file)) => {
            let kind = ErrorKind::MalformedYaml {
                message: message.clone(),
                file: Some(file.into()),
            };
            Error::from(kind).at(error.location().cloned())
        }
        _ => error,
    }
}

/// A piece of a text between separators.
struct Piece<'t> {
    text: Cow<'t, str>,
    line_offset: u32,
}

/// Reads all resources of a text. `file` is what the text is called in messages.
pub(crate) fn resources(text: &[u8], file: Option<&str>) -> Result<Vec<Resource>> {
    resources_at(text, file, file.unwrap_or_default(), false)
}

/// Reads them where `place` is the file's way from the first layer, and with their comments if wanted, which then go where a
/// replacement copies what they belong to.
pub(crate) fn resources_at(
    text: &[u8],
    file: Option<&str>,
    place: &str,
    with_comments: bool,
) -> Result<Vec<Resource>> {
    resources_inner(text, place, with_comments).map_err(|error| in_file(error, file))
}

fn resources_inner(text: &[u8], place: &str, with_comments: bool) -> Result<Vec<Resource>> {
    let text = decode(text)?;
    let pieces = split(&text)?;
    let is_single = pieces.len() == 1;
    let name: Arc<str> = place.into();
    let options = ParseOptions {
        comments: with_comments && text.contains('#'),
        ..ParseOptions::default()
    };
    let mut queue = VecDeque::new();
    for (index, piece) in pieces.iter().enumerate() {
        let document = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        let source = Source {
            file: Arc::clone(&name),
            document,
            line_offset: piece.line_offset,
        };
        let Some(node) = parse_piece(piece, &source, &options)? else {
            continue;
        };
        if is_single && is_wrapper(&node) {
            let items = node.get("items").map(Node::items).unwrap_or_default();
            queue.extend(items.iter().map(|item| (item.clone(), source.clone())));
        } else {
            queue.push_back((node, source));
        }
    }
    let mut checked = VecDeque::with_capacity(queue.len());
    for (node, source) in queue {
        checked.extend(check(node, &source)?.map(|node| (node, source)));
    }
    expand_lists(checked)
}

fn decode(text: &[u8]) -> Result<Cow<'_, str>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = std::str::from_utf8(text).map_err(|_| ErrorKind::MalformedYaml {
        message: "invalid UTF-8".to_owned(),
        file: None,
    })?;
    Ok(if text.contains("\r\n") {
        Cow::Owned(text.replace("\r\n", "\n"))
    } else {
        Cow::Borrowed(text)
    })
}

/// Splits at every line that starts with `---`, unless it is the first line, the last without a line
/// break, or directly behind another such line.
fn split(text: &str) -> Result<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let (mut start, mut from, mut lines) = (0, 0, 0_u32);
    while let Some(found) = text.get(from..).and_then(|rest| rest.find("\n---")) {
        let separator = from + found;
        let rest = text.get(separator + 1..).unwrap_or_default();
        let Some(length) = rest.find('\n') else { break };
        let line = rest.get(..length).unwrap_or_default();
        let after = line.get(3..).unwrap_or_default().trim();
        if !after.is_empty() && !after.starts_with('#') {
            fail!("invalid document separator: {}", line.trim());
        }
        let piece = text.get(start..separator).unwrap_or_default();
        pieces.push(Piece {
            text: Cow::Owned(format!("{piece}\n")),
            line_offset: lines,
        });
        lines = lines.saturating_add(count_lines(piece)).saturating_add(2);
        start = separator + 1 + length + 1;
        // The line break that ended the separator cannot begin the next one.
        from = start;
    }
    if !text.is_empty() {
        let rest = text.get(start..).unwrap_or_default();
        pieces.push(Piece {
            text: Cow::Borrowed(rest),
            line_offset: lines,
        });
    }
    Ok(pieces)
}

fn count_lines(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
}

/// Parses one document; nothing if it is empty or null.
fn parse_piece(piece: &Piece<'_>, source: &Source, options: &ParseOptions) -> Result<Option<Node>> {
    let place = |line: u32| Location {
        file: Arc::clone(&source.file),
        document: source.document,
        line: if line == 0 { 0 } else { line + source.line_offset },
    };
    let malformed = |error: &ferro_yaml::Error| {
        let text = error.to_string();
        let message = text.strip_prefix("yaml: ").unwrap_or(&text).to_owned();
        let line = match error {
            ferro_yaml::Error::Syntax { line, .. } => *line,
            _ => 0,
        };
        Error::from(ErrorKind::MalformedYaml { message, file: None }).at(Some(place(line)))
    };
    let found = parse_first(piece.text.as_ref(), options).map_err(|error| malformed(&error))?;
    let Some(mut document) = found else {
        return Ok(None);
    };
    if has_end_mark(&piece.text) && !is_alone(&piece.text, options) {
        let text = "a document starts inside another one; kustomize would drop it without a word";
        return Err(Error::from(ErrorKind::DataLoss(text.to_owned())).at(Some(place(0))));
    }
    document
        .expand(&options.limits)
        .map_err(|error| malformed(&error))?;
    Ok((!document.root.is_null()).then_some(document.root))
}

/// Tells whether a line may end the document before the text ends.
fn has_end_mark(text: &str) -> bool {
    text.starts_with("...") || text.contains("\n...")
}

/// Tells whether nothing but blanks and comments follows the first document.
fn is_alone(text: &str, options: &ParseOptions) -> bool {
    parse_documents(text, options)
        .is_ok_and(|documents| documents.iter().skip(1).all(|document| document.root.is_null()))
}

fn is_wrapper(node: &Node) -> bool {
    let kind = node.get("kind").and_then(Node::text).unwrap_or_default();
    (kind == "List" || kind == "ResourceList")
        && (node.get("items").is_some() || node.get("functionConfig").is_some())
}

/// Refuses what is no Kubernetes object; nothing if the node is empty.
fn check(node: Node, source: &Source) -> Result<Option<Node>> {
    if is_nil_or_empty(&node) {
        return Ok(None);
    }
    let Some(text) = metadata_problem(&node) else {
        return Ok(Some(node));
    };
    let line = node.position().line;
    let line = if line == 0 { 0 } else { line + source.line_offset };
    let place = Location {
        file: Arc::clone(&source.file),
        document: source.document,
        line,
    };
    Err(Error::other(text).at(Some(place)))
}

/// Says what an object lacks, if anything.
pub(crate) fn metadata_problem(node: &Node) -> Option<String> {
    fn stated(node: Option<&Node>) -> &str {
        node.filter(|node| !node.is_null())
            .and_then(Node::text)
            .unwrap_or_default()
    }
    let text = |key: &str| stated(node.get(key));
    let metadata = |key: &str| node.lookup(["metadata", key]);
    let metadata_text = |key: &str| stated(metadata(key));
    let has_map = |key: &str| metadata(key).is_some_and(|map| !is_nil_or_empty(map));
    let has_text = |value: Option<&Node>| value.is_some_and(|value| !is_nil_or_empty(value));
    if !has_text(node.get("apiVersion"))
        && !has_text(node.get("kind"))
        && !has_text(metadata("name"))
        && !has_text(metadata("namespace"))
        && !has_map("labels")
        && !has_map("annotations")
    {
        return Some("missing Resource metadata".to_owned());
    }
    let missing = if text("kind").is_empty() {
        "kind"
    } else if text("kind").ends_with("List") || !metadata_text("name").is_empty() {
        return None;
    } else {
        "metadata.name"
    };
    let map = |key: &str| {
        let mut pairs: Vec<String> = metadata(key)
            .map(Node::entries)
            .unwrap_or_default()
            .iter()
            .map(|entry| {
                format!(
                    "{}:{}",
                    entry.name().unwrap_or_default(),
                    stated(Some(&entry.value))
                )
            })
            .collect();
        pairs.sort();
        pairs.join(" ")
    };
    Some(format!(
        "missing {missing} in object {{{{{} {}}} {{{{{} {}}} map[{}] map[{}]}}}}",
        text("apiVersion"),
        text("kind"),
        metadata_text("name"),
        metadata_text("namespace"),
        map("labels"),
        map("annotations"),
    ))
}

/// Takes the items out of every object whose kind ends in `List`; they go to the end of the line.
fn expand_lists(mut queue: VecDeque<(Node, Source)>) -> Result<Vec<Resource>> {
    let mut resources = Vec::with_capacity(queue.len());
    while let Some((node, source)) = queue.pop_front() {
        let kind = node.get("kind").and_then(Node::text).unwrap_or_default();
        let items = if kind.ends_with("List") {
            node.get("items")
        } else {
            None
        };
        if kind.ends_with("List") {
            refuse_undecodable(&node, kind)?;
        }
        match items {
            None => {
                let mut resource = Resource::new(node);
                resource.source = Some(source);
                resources.push(resource);
            }
            Some(items) if items.is_null() => {}
            Some(items) if items.is_sequence() => {
                for item in as_json(items, kind)? {
                    let inner = is_wrapper(&item)
                        .then(|| item.get("items").map(Node::items).unwrap_or_default().to_vec());
                    for item in inner.unwrap_or_else(|| vec![item]) {
                        queue.extend(check(item, &source)?.map(|item| (item, source.clone())));
                    }
                }
            }
            Some(items) => {
                fail!("expected array in {kind}/items, but found {}", go_type(items));
            }
        }
    }
    Ok(resources)
}

/// Refuses a list that is no data; what is data and not JSON is found later.
fn refuse_undecodable(node: &Node, kind: &str) -> Result<()> {
    let problem = node.decode().err().map(|error| error.to_string());
    match problem.filter(|problem| !problem.starts_with("json: ")) {
        Some(problem) => fail!(
            "trouble expanding list of {kind}; received error {problem} for the following resource:\n{}",
            crate::emit::kyaml(node)
        ),
        None => Ok(()),
    }
}

/// Takes items through JSON, as upstream does: what is no JSON is refused, and texts are quoted ever after.
fn as_json(items: &Node, kind: &str) -> Result<Vec<Node>> {
    let known = items.items();
    known
        .iter()
        .map(|item| {
            let mut item = item.clone();
            spell_out(&mut item);
            let json = item.to_json().map_err(|error| {
                let text = error.to_string();
                if text.starts_with("json: ") {
                    Error::other(text)
                } else {
                    Error::other(format!("trouble expanding list of {kind}; {text}"))
                }
            })?;
            let text = ferro_gocompat::json::to_string(&json);
            let mut node = parse_one(text.as_str(), &ParseOptions::default())
                .map_err(|error| Error::other(error.to_string()))?;
            node.set_position(item.position());
            Ok(node)
        })
        .collect()
}

/// Makes explicit what would be read otherwise once it was written: nulls without a text, and dates of all forms.
fn spell_out(node: &mut Node) {
    if node.is_null() {
        *node = Node::null();
    } else if node.is_scalar() && node.tag() == ferro_yaml::Tag::Timestamp {
        if let Some(text) = node.text().and_then(ferro_yaml::to_rfc3339) {
            *node = Node::string(text);
        }
    } else if let Some(items) = node.as_sequence_mut() {
        items.as_mut_slice().iter_mut().for_each(spell_out);
    } else if let Some(entries) = node.as_mapping_mut() {
        let values = entries.as_mut_slice().iter_mut().map(|entry| &mut entry.value);
        values.for_each(spell_out);
    }
}

/// Names the type that Go decodes the node to.
pub(crate) fn go_type(node: &Node) -> &'static str {
    use ferro_yaml::Tag;
    if node.is_mapping() {
        return "map[string]interface {}";
    }
    if node.is_sequence() {
        return "[]interface {}";
    }
    match node.tag() {
        Tag::Bool => "bool",
        Tag::Int => "int",
        Tag::Float => "float64",
        Tag::Timestamp => "time.Time",
        Tag::Null => "<nil>",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let found = resources(text.as_bytes(), Some("f.yaml")).unwrap();
        found.iter().map(|resource| resource.name().to_owned()).collect()
    }

    fn problem(text: &str) -> String {
        resources(text.as_bytes(), Some("f.yaml"))
            .unwrap_err()
            .to_string()
    }

    fn object(name: &str) -> String {
        format!("kind: K\nmetadata:\n  name: {name}\n")
    }

    #[test]
    fn documents_are_split_at_separators() {
        let text = format!(
            "--- # first\n{}---  \n# nothing\n---\n{}--- # c\n{}",
            object("a"),
            object("b"),
            object("c")
        );
        assert_eq!(names(&text), ["a", "b", "c"]);
        assert_eq!(
            problem(&format!("{}---x\n{}", object("a"), object("b"))),
            "invalid document separator: ---x"
        );
    }

    #[test]
    fn lists_are_unwrapped_and_expanded_at_the_end() {
        let item = |name: &str| format!("- kind: K\n  metadata: {{name: {name}}}\n");
        let list = format!("apiVersion: v1\nkind: List\nitems:\n{}{}", item("a"), item("b"));
        assert_eq!(names(&list), ["a", "b"]);
        assert_eq!(names(&format!("{list}---\n{}", object("d"))), ["d", "a", "b"]);
        assert_eq!(
            problem("kind: FooList\nitems: 3\n"),
            "expected array in FooList/items, but found int"
        );
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_place() {
        let error = resources(
            format!("{}---\n\nkind: K\n", object("a")).as_bytes(),
            Some("f.yaml"),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "missing metadata.name in object {{ K} {{ } map[] map[]}}"
        );
        assert_eq!(error.location().unwrap().to_string(), "f.yaml:6 (document 2)");
        assert_eq!(problem("a: b\n"), "missing Resource metadata");
    }

    #[test]
    fn a_document_inside_a_piece_is_not_lost_silently() {
        assert!(problem(&format!("{}...\n{}", object("a"), object("b"))).contains("without a word"));
    }
}
