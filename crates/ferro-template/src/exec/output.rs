//! What executions write.

use crate::value::Text;

/// One text for all executions within each other: what an inner one has written is at the end, and is taken from
/// there when it is done.
pub(crate) struct Output(Form);

enum Form {
    Text(String),
    /// Something that is not UTF-8 was written.
    Bytes(Vec<u8>),
}

impl Output {
    pub(crate) fn new() -> Self {
        Self(Form::Text(String::new()))
    }

    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Form::Text(text) => text.len(),
            Form::Bytes(bytes) => bytes.len(),
        }
    }

    pub(crate) fn push_str(&mut self, text: &str) {
        match &mut self.0 {
            Form::Text(all) => all.push_str(text),
            Form::Bytes(all) => all.extend_from_slice(text.as_bytes()),
        }
    }

    pub(crate) fn push_text(&mut self, text: &Text) {
        match text.as_str() {
            Some(text) => self.push_str(text),
            None => self.push_bytes(text.as_bytes()),
        }
    }

    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return self.push_str(text);
        }
        if let Form::Text(text) = &mut self.0 {
            self.0 = Form::Bytes(std::mem::take(text).into_bytes());
        }
        if let Form::Bytes(all) = &mut self.0 {
            all.extend_from_slice(bytes);
        }
    }

    pub(crate) fn push_integer(&mut self, number: i64) {
        self.push_str(itoa::Buffer::new().format(number));
    }

    /// Takes what was written since the text had this length.
    pub(crate) fn take(&mut self, start: usize) -> Text {
        match &mut self.0 {
            Form::Text(all) => {
                let text = Text::from(all.get(start..).unwrap_or_default());
                all.truncate(start);
                text
            }
            Form::Bytes(all) => {
                let text = Text::from_bytes(all.get(start..).unwrap_or_default());
                all.truncate(start);
                text
            }
        }
    }
}
