//! Cutting a file into documents.

/// Cuts a file where lines start with `---`, whatever follows it on the line. Blank documents are dropped, and
/// the space before each.
///
/// ```
/// let documents: Vec<&str> = ferro_helm::manifest::split("\n---apiVersion: v1\n---  \n\n a: 1\n").collect();
/// assert_eq!(documents, ["apiVersion: v1\n", "a: 1\n"]);
/// ```
pub fn split(file: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(file.trim_start());
    let mut at_line_start = true;
    std::iter::from_fn(move || {
        let text = rest?;
        let (document, after) = match next_separator(text, at_line_start) {
            Some((start, end)) => (text.get(..start), text.get(end..)),
            None => (Some(text), None),
        };
        rest = after;
        // What follows a separator is on its line.
        at_line_start = false;
        document
    })
    .filter(|document| !document.trim().is_empty())
    .map(str::trim_start)
}

/// The start and end of the next separator.
fn next_separator(text: &str, at_line_start: bool) -> Option<(usize, usize)> {
    let start = if at_line_start && text.starts_with("---") {
        0
    } else {
        text.find("\n---")? + 1
    };
    let after = start + 3;
    let blanks = text
        .get(after..)?
        .bytes()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    Some((start, after + blanks))
}
