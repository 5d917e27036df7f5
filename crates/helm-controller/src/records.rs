//! The texts of records that were read or written last, so that a record that has not changed is not fetched again.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::lock;

/// Bytes that are kept at most. Most records are a few kilobytes as they are packed; the API server takes up to a mebibyte.
const LIMIT: usize = 8 << 20;

/// Packed records by the uid of their Secret. A text is good only for the resource version that it was seen with, which whoever asks has
/// from the API server, with the rights of whoever asks.
#[derive(Default)]
pub(crate) struct Records(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    entries: HashMap<String, Entry>,
    bytes: usize,
    clock: u64,
}

struct Entry {
    version: String,
    text: Vec<u8>,
    used: u64,
}

/// Which form of which Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) uid: String,
    pub(crate) version: String,
}

impl Records {
    /// The text of the Secret in this form, if it is kept.
    pub(crate) fn get(&self, form: &Form) -> Option<Vec<u8>> {
        let mut kept = lock(&self.0);
        kept.clock += 1;
        let now = kept.clock;
        let entry = kept.entries.get_mut(&form.uid)?;
        if entry.version != form.version {
            return None;
        }
        entry.used = now;
        Some(entry.text.clone())
    }

    /// Keeps a text in place of what there was of the Secret, and lets go of those that were used longest ago until all fit.
    pub(crate) fn keep(&self, form: &Form, text: Vec<u8>) {
        self.forget(&form.uid);
        if form.uid.is_empty() || text.len() > LIMIT {
            return;
        }
        let mut kept = lock(&self.0);
        kept.clock += 1;
        kept.bytes += text.len();
        let entry = Entry {
            version: form.version.clone(),
            text,
            used: kept.clock,
        };
        kept.entries.insert(form.uid.clone(), entry);
        while kept.bytes > LIMIT {
            let oldest = kept.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(uid, _)| uid.clone()) else {
                return;
            };
            kept.remove(&oldest);
        }
    }

    /// Lets go of a Secret that is gone, or will not be asked for.
    pub(crate) fn forget(&self, uid: &str) {
        lock(&self.0).remove(uid);
    }
}

impl Kept {
    fn remove(&mut self, uid: &str) {
        if let Some(entry) = self.entries.remove(uid) {
            self.bytes -= entry.text.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(uid: &str, version: &str) -> Form {
        Form {
            uid: uid.to_owned(),
            version: version.to_owned(),
        }
    }

    #[test]
    fn text_is_given_for_the_form_that_it_was_kept_of() {
        let records = Records::default();
        records.keep(&form("a", "1"), b"one".to_vec());
        assert_eq!(records.get(&form("a", "1")).as_deref(), Some(&b"one"[..]));
        assert_eq!(records.get(&form("a", "2")), None);
        assert_eq!(records.get(&form("b", "1")), None);
        records.keep(&form("a", "2"), b"two".to_vec());
        assert_eq!(records.get(&form("a", "1")), None);
        records.forget("a");
        assert_eq!(records.get(&form("a", "2")), None);
        assert_eq!(lock(&records.0).bytes, 0);
    }

    #[test]
    fn oldest_texts_make_room() {
        let records = Records::default();
        for uid in ["a", "b", "c"] {
            records.keep(&form(uid, "1"), vec![0; LIMIT / 3]);
        }
        assert!(records.get(&form("a", "1")).is_some());
        records.keep(&form("d", "1"), vec![0; LIMIT / 3]);
        assert!(records.get(&form("b", "1")).is_none());
        assert!(records.get(&form("a", "1")).is_some());
        records.keep(&form("e", "1"), vec![0; LIMIT + 1]);
        assert!(records.get(&form("e", "1")).is_none());
    }
}
