//! Git's configuration format, as files in repositories have it.

/// One line that sets something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The section, in lower case.
    pub(crate) section: String,
    /// What stands in quotes behind it.
    pub(crate) subsection: Option<String>,
    /// The key, in lower case.
    pub(crate) key: String,
    /// The value.
    pub(crate) value: String,
}

/// Reads the settings of a file; what is malformed is skipped.
pub(crate) fn parse(text: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut current: Option<(String, Option<String>)> = None;
    for line in logical_lines(text) {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            let end = header.rfind(']').unwrap_or(header.len());
            current = Some(section(header.get(..end).unwrap_or(header)));
            continue;
        }
        if let (Some((section, subsection)), Some((key, value))) = (&current, line.split_once('=')) {
            settings.push(Setting {
                section: section.clone(),
                subsection: subsection.clone(),
                key: key.trim().to_ascii_lowercase(),
                value: unquote(value),
            });
        }
    }
    settings
}

/// The value of `section.key`; the last one counts.
pub(crate) fn value_of(text: &str, section: &str, key: &str) -> Option<String> {
    let is_it =
        |setting: &Setting| setting.section == section && setting.subsection.is_none() && setting.key == key;
    parse(text).into_iter().rfind(is_it).map(|setting| setting.value)
}

/// The parts of `section "subsection"`.
fn section(header: &str) -> (String, Option<String>) {
    match header.trim().split_once(char::is_whitespace) {
        Some((section, name)) => (section.to_ascii_lowercase(), Some(unquote(name))),
        None => (header.trim().to_ascii_lowercase(), None),
    }
}

/// Lines without comments, with those that end in a backslash joined.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending = String::new();
    for line in text.lines() {
        let line = strip_comment(line);
        match line.strip_suffix('\\') {
            Some(head) if !head.ends_with('\\') => pending.push_str(head),
            _ => {
                pending.push_str(line);
                lines.push(std::mem::take(&mut pending));
            }
        }
    }
    lines.push(pending);
    lines
}

fn strip_comment(line: &str) -> &str {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (index, character) in line.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '#' | ';' if !is_quoted => return line.get(..index).unwrap_or(line),
            _ => {}
        }
    }
    line
}

fn unquote(value: &str) -> String {
    let (mut text, mut is_escaped) = (String::new(), false);
    for character in value.trim().chars() {
        match character {
            'n' if is_escaped => text.push('\n'),
            't' if is_escaped => text.push('\t'),
            _ if is_escaped => text.push(character),
            '\\' => {
                is_escaped = true;
                continue;
            }
            '"' => continue,
            _ => text.push(character),
        }
        is_escaped = false;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_of_takes_the_last_of_the_section_itself() {
        let text = "url = a\n[lfs]\n\tURL = \"https://h/b\" # note\n[lfs \"x\"]\nurl = c\n[LFS]\nurl = https://h/d\nother = e\n";
        assert_eq!(value_of(text, "lfs", "url").as_deref(), Some("https://h/d"));
        assert_eq!(value_of("[lfs]\nurl\n[", "lfs", "url"), None);
    }
}
