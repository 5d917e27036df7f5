//! Parsing the templates of a tree of charts, with the help of a second thread, and before it is known which charts are enabled.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use ferro_template::{Parsed, Templates};

/// From so many bytes on a second thread is worth its while.
const SHARED_SIZE: usize = 32 << 10;

/// What became of a text.
pub(super) type Parsing = Result<Parsed, ferro_template::Error>;

/// Texts to parse. They do not depend on each other before they are added to a set, so that any thread may take the next.
pub(crate) struct Ahead<'c> {
    templates: Templates,
    texts: Vec<Pending<'c>>,
    next: AtomicUsize,
}

struct Pending<'c> {
    name: String,
    text: &'c [u8],
    is_wanted: AtomicBool,
    parsing: OnceLock<Parsing>,
}

impl<'c> Ahead<'c> {
    /// Takes names and texts, in the order in which they are to be parsed.
    pub(super) fn new(templates: Templates, texts: impl Iterator<Item = (String, &'c [u8])>) -> Self {
        let pending = |(name, text)| Pending {
            name,
            text,
            is_wanted: AtomicBool::new(true),
            parsing: OnceLock::new(),
        };
        Self {
            templates,
            texts: texts.map(pending).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// Has a thread begin, if there is enough to do and a thread to have.
    pub(crate) fn start<'s>(&'s self, scope: &'s Scope<'s, '_>) -> Option<ScopedJoinHandle<'s, ()>> {
        let size: usize = self.texts.iter().map(|pending| pending.text.len()).sum();
        if size < SHARED_SIZE {
            return None;
        }
        Builder::new().spawn_scoped(scope, || self.work()).ok()
    }

    /// Parses what nobody has taken yet.
    fn work(&self) {
        while let Some(pending) = self.texts.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            if pending.is_wanted.load(Ordering::Relaxed) {
                let parsing = self.templates.parse_apart(&pending.name, pending.text);
                // Each is taken by one thread only.
                drop(pending.parsing.set(parsing));
            }
        }
    }

    /// Leaves what was not begun.
    pub(super) fn abandon(&self) {
        self.next.store(self.texts.len(), Ordering::Relaxed);
    }

    /// Sees to it that these texts are parsed, and gives what became of each, in order.
    pub(super) fn finish(
        &self,
        wanted: &[(&str, &[u8])],
        thread: Option<ScopedJoinHandle<'_, ()>>,
    ) -> Vec<Parsing> {
        let known: HashMap<&str, &Pending<'_>> = self
            .texts
            .iter()
            .map(|pending| (pending.name.as_str(), pending))
            .collect();
        let found = |name: &str, text: &[u8]| {
            let pending = known.get(name).copied();
            pending.filter(|pending| std::ptr::eq(pending.text, text))
        };
        let found: Vec<_> = wanted.iter().map(|(name, text)| found(name, text)).collect();
        if found.iter().flatten().count() < self.texts.len() {
            for pending in &self.texts {
                pending.is_wanted.store(false, Ordering::Relaxed);
            }
            for pending in found.iter().flatten() {
                pending.is_wanted.store(true, Ordering::Relaxed);
            }
        }
        self.work();
        if let Some(thread) = thread {
            // Should it have failed, what it left is parsed here.
            drop(thread.join());
        }
        let parsing = |(name, text): &(&str, &[u8]), found: Option<&Pending<'_>>| match found
            .and_then(|pending| pending.parsing.get())
        {
            Some(Ok(parsed)) => Ok(parsed.clone()),
            // Errors are few, and the same again.
            Some(Err(_)) | None => self.templates.parse_apart(name, text),
        };
        wanted
            .iter()
            .zip(found)
            .map(|(wanted, found)| parsing(wanted, found))
            .collect()
    }
}
