//! The texts that `tpl` has parsed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ferro_template::{Error, Parsed, Templates};

use super::functions::ROOT;

/// The longest text that is kept; what is longer is hardly rendered twice.
const MAX_LEN: usize = 16 << 10;
/// How long all texts that are kept may be together.
const MAX_SIZE: usize = 256 << 10;
/// How many may be kept.
const MAX_COUNT: usize = 4096;

/// Values with actions in them are rendered again and again, by each template that uses them and in each render.
#[derive(Default)]
pub(super) struct Texts(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    parsed: HashMap<Box<str>, Parsed>,
    size: usize,
}

impl Texts {
    /// Parses a text for a set of templates; all sets must have the same functions.
    pub(super) fn parse(&self, templates: &Templates, text: &str) -> Result<Parsed, Error> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parsed) = lock().parsed.get(text) {
            return Ok(parsed.clone());
        }
        let parsed = templates.parse_apart(ROOT, text.as_bytes())?;
        if text.len() <= MAX_LEN {
            lock().keep(text, parsed.clone());
        }
        Ok(parsed)
    }
}

impl Kept {
    fn keep(&mut self, text: &str, parsed: Parsed) {
        self.size += text.len();
        if self.size > MAX_SIZE || self.parsed.len() >= MAX_COUNT {
            self.parsed.clear();
            self.size = text.len();
        }
        self.parsed.insert(text.into(), parsed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ferro_template::Functions;

    use super::*;

    #[test]
    fn what_is_kept_is_bounded() {
        let templates = Templates::new(ROOT, Arc::new(Functions::builtins()));
        let texts = Texts::default();
        for number in 0..100 {
            let text = format!("{number}{}", "x".repeat(MAX_LEN - 10));
            assert!(texts.parse(&templates, &text).is_ok());
        }
        assert!(texts.parse(&templates, &"y".repeat(MAX_LEN + 1)).is_ok());
        assert!(texts.parse(&templates, "{{").is_err());
        let kept = texts.0.lock().unwrap();
        assert!((1..=MAX_SIZE / (MAX_LEN - 10) + 1).contains(&kept.parsed.len()));
        assert!(kept.size <= MAX_SIZE);
    }
}
