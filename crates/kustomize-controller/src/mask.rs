//! Keeping values that came from Secrets out of conditions, events and logs.
//!
//! Errors quote what they are about: an API server that refuses a label quotes the label. Where the value came from a Secret by
//! substitution, it is replaced, as upstream does.

use k8s_openapi::ByteString;

/// What is shown instead.
const MASK: &str = "*****";
/// Shorter values are replaced only where they stand alone: a `1` is part of too many words.
const SHORT: usize = 4;

/// Values that must not be shown, in each form in which they may be quoted, the longest first.
#[derive(Clone, Default)]
pub(crate) struct Mask(Vec<String>);

impl Mask {
    /// Hides `values`.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms: Vec<String> = values.into_iter().flat_map(forms).collect();
        forms.retain(|form| !form.is_empty());
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self(forms)
    }

    /// The text without them.
    pub(crate) fn hide(&self, text: String) -> String {
        self.0.iter().fold(text, |text, value| {
            if value.len() < SHORT {
                hide_alone(&text, value)
            } else {
                text.replace(value, MASK)
            }
        })
    }
}

/// A value as it is, as Secrets hold it, as JSON and Go quote it, and each of its lines.
fn forms(value: &str) -> Vec<String> {
    let json = serde_json::Value::String(value.to_owned()).to_string();
    let quoted = json.strip_prefix('"').and_then(|json| json.strip_suffix('"'));
    let encoded = serde_json::to_value(ByteString(value.as_bytes().to_vec()));
    let encoded = encoded
        .ok()
        .and_then(|encoded| encoded.as_str().map(str::to_owned));
    let lines = value.lines().map(|line| line.trim().to_owned());
    [value.replace('\n', ""), value.to_owned()]
        .into_iter()
        .chain(quoted.map(str::to_owned))
        .chain(encoded)
        .chain(lines)
        .collect()
}

/// Replaces `value` where neither a letter nor a digit is beside it.
fn hide_alone(text: &str, value: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    while let Some(at) = rest.find(value) {
        let (before, from) = rest.split_at(at);
        let after = from.get(value.len()..).unwrap_or_default();
        shown.push_str(before);
        let alone = !joins(shown.chars().next_back()) && !joins(after.chars().next());
        shown.push_str(if alone { MASK } else { value });
        rest = after;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hide_replaces_every_form_of_a_value() {
        let mask = Mask::new(["hunter2", "line one\nline two", "say \"hi\"", "", "1"]);
        for (text, shown) in [
            ("Invalid value: \"hunter2\": bad", "Invalid value: \"*****\": bad"),
            ("data aHVudGVyMg== is", "data ***** is"),
            ("it has line two in it", "it has ***** in it"),
            ("it has line oneline two in it", "it has ***** in it"),
            ("quoted as say \\\"hi\\\"", "quoted as *****"),
            ("apps/v1 of 12 is 1", "apps/v1 of 12 is *****"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(mask.hide(text.to_owned()), shown, "{text}");
        }
    }

    #[test]
    fn hide_leaves_nothing_of_a_longer_value_that_begins_with_a_shorter_one() {
        let mask = Mask::new(["secret", "secret-and-more"]);
        assert_eq!(mask.hide("secret-and-more".to_owned()), MASK);
    }
}
