//! Parsing templates on a second thread: from the moment they are read, before it is known what they are called and which charts are
//! enabled.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

use ferro_template::{Parsed, Templates, Unnamed};

use super::program::Engine;
use crate::chart::File;

/// From so many bytes on a second thread is worth its while: what is less is parsed in the time that it takes to start.
const SHARED_SIZE: usize = 32 << 10;

/// What became of a text.
pub(super) type Parsing = Result<Parsed, ferro_template::Error>;

/// Parses templates while a chart is being loaded: what is pushed is found again by its memory, which the chart shares.
pub struct Ahead {
    shared: Arc<Shared>,
    /// Whether there is a second thread, or was to be.
    is_shared: bool,
    /// The size of all texts.
    size: usize,
}

struct Shared {
    templates: Templates,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<[u8]>>,
    /// None for those that have errors.
    parsed: Vec<(Arc<[u8]>, Option<Unnamed>)>,
    /// Whether nothing more is to come.
    is_closed: bool,
    /// Whether the thread has nothing to do; to wake one that has costs a system call, too.
    is_idle: bool,
}

impl Ahead {
    /// Takes the functions that the templates may call.
    pub fn new(engine: &Engine) -> Self {
        Self {
            shared: Arc::new(Shared {
                templates: engine.empty_set(),
                state: Mutex::default(),
                news: Condvar::new(),
            }),
            is_shared: false,
            size: 0,
        }
    }

    /// Takes a file of the chart to be, if its name is that of a template of the chart or of one in its `charts/`.
    pub fn push(&mut self, file: &File) {
        if is_template(&file.name) {
            self.push_text(&file.data);
        }
    }

    pub(super) fn push_text(&mut self, text: &Arc<[u8]>) {
        self.size += text.len();
        let mut state = self.shared.lock();
        state.waiting.push_back(Arc::clone(text));
        let is_idle = state.is_idle;
        drop(state);
        if is_idle {
            self.shared.news.notify_one();
        } else if !self.is_shared && SHARED_SIZE <= self.size {
            self.is_shared = true;
            let shared = Arc::clone(&self.shared);
            // Nobody waits for its end, nor for its start, which takes long where it finds no processor.
            // Without a thread to have, all is parsed in the end.
            drop(Builder::new().spawn(move || shared.help()));
        }
    }

    /// Sees to it that these texts are parsed, and gives what became of each, in order.
    pub(super) fn finish(self, wanted: &[(&str, &Arc<[u8]>)]) -> Vec<Parsing> {
        let texts: HashSet<usize> = wanted.iter().map(|(_, text)| address(text)).collect();
        let mut state = self.shared.lock();
        state.waiting.retain(|text| texts.contains(&address(text)));
        state.is_closed = true;
        drop(state);
        self.shared.news.notify_one();
        let parsed = self.shared.rest();
        let mut parsed: HashMap<usize, Unnamed> = parsed
            .into_iter()
            .filter_map(|(text, parsed)| Some((address(&text), parsed?)))
            .collect();
        let templates = &self.shared.templates;
        wanted
            .iter()
            .map(|(name, text)| match parsed.remove(&address(text)) {
                Some(parsed) => parsed.named(name),
                // It was never pushed, is used twice, or is in the thread's hands. Errors are few, and the same again, but with the name.
                None => templates.parse_apart(name, Arc::clone(text)),
            })
            .collect()
    }
}

impl Drop for Ahead {
    /// Leaves what was not begun.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        state.waiting.clear();
        drop(state);
        self.shared.news.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Parses what nobody has taken yet, and gives what is done. What the thread has in hand is not waited for: where somebody else has its
    /// processor, that takes longer than to parse it again.
    fn rest(&self) -> Vec<(Arc<[u8]>, Option<Unnamed>)> {
        let mut state = self.lock();
        while let Some(text) = state.waiting.pop_front() {
            drop(state);
            let parsed = self.parse(text);
            state = self.lock();
            state.parsed.push(parsed);
        }
        std::mem::take(&mut state.parsed)
    }

    /// What the thread does: it parses, and waits for more until no more is to come.
    fn help(&self) {
        let mut state = self.lock();
        loop {
            if let Some(text) = state.waiting.pop_front() {
                drop(state);
                let parsed = self.parse(text);
                state = self.lock();
                state.parsed.push(parsed);
            } else if state.is_closed {
                return;
            } else {
                state.is_idle = true;
                state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.is_idle = false;
            }
        }
    }

    fn parse(&self, text: Arc<[u8]>) -> (Arc<[u8]>, Option<Unnamed>) {
        let parsed = self.templates.parse_unnamed(Arc::clone(&text)).ok();
        (text, parsed)
    }
}

/// Where a text is. As long as somebody has it, nothing else is there.
fn address(text: &Arc<[u8]>) -> usize {
    text.as_ptr().addr()
}

fn is_template(mut name: &str) -> bool {
    while let Some(inner) = name.strip_prefix("charts/") {
        name = inner.split_once('/').map_or("", |(_, rest)| rest);
    }
    name.starts_with("templates/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(count: usize) -> Vec<(String, Arc<[u8]>)> {
        let text = |n| {
            format!(
                "{{{{define \"d{n}\"}}}}{}{{{{end}}}}{n}",
                "x".repeat(SHARED_SIZE / 4)
            )
        };
        (0..count)
            .map(|n| (format!("t{n}"), text(n).into_bytes().into()))
            .collect()
    }

    fn engine() -> Engine {
        Engine::with_functions(ferro_template::Functions::builtins())
    }

    #[test]
    fn texts_are_the_same_wherever_they_are_parsed() {
        let texts = texts(12);
        let mut ahead = Ahead::new(&engine());
        // Some that nobody wants, some that are not pushed.
        for (_, text) in texts.iter().take(9) {
            ahead.push_text(text);
        }
        assert!(ahead.is_shared);
        let wanted: Vec<_> = texts
            .iter()
            .skip(3)
            .map(|(name, text)| (name.as_str(), text))
            .collect();
        let mut set = engine().empty_set();
        for parsed in ahead.finish(&wanted) {
            set.add(&parsed.unwrap());
        }
        for n in 3..12 {
            assert!(
                set.contains(&format!("t{n}")) && set.contains(&format!("d{n}")),
                "{n}"
            );
        }
        assert!(!set.contains("t0") && !set.contains(""));
    }

    #[test]
    fn errors_tell_the_name_and_a_text_may_be_used_twice() {
        let bad: Arc<[u8]> = Arc::from(b"\n{{end}}".as_slice());
        let own: Arc<[u8]> = Arc::from(b"{{define \"self\"}}a{{end}}b".as_slice());
        let mut ahead = Ahead::new(&engine());
        ahead.push_text(&bad);
        ahead.push_text(&own);
        let wanted = [("bad", &bad), ("other", &own), ("self", &own)];
        let parsed: Vec<_> = ahead
            .finish(&wanted)
            .into_iter()
            .map(|parsed| parsed.err().map(|error| error.to_string()))
            .collect();
        assert_eq!(
            parsed,
            [
                Some("template: bad:2: unexpected {{end}}".to_owned()),
                None,
                Some("template: self:1: template: multiple definition of template \"self\"".to_owned()),
            ]
        );
    }

    #[test]
    fn templates_are_known_by_their_path() {
        for name in [
            "templates/a.yaml",
            "charts/a/templates/b",
            "charts/a/charts/b/templates/_c.tpl",
        ] {
            assert!(is_template(name), "{name}");
        }
        for name in [
            "values.yaml",
            "files/templates/a",
            "charts/a.tgz",
            "charts/templates",
            "charts/a/x",
        ] {
            assert!(!is_template(name), "{name}");
        }
    }
}
