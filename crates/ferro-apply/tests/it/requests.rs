//! A record of requests.

use std::sync::{Arc, Mutex};

/// The requests made so far, as `VERB path?query`.
#[derive(Clone, Default)]
pub(crate) struct Requests(Arc<Mutex<Vec<String>>>);

impl Requests {
    /// The user who is impersonated, if any, is put behind the request.
    pub(crate) fn note<B>(&self, request: &http::Request<B>) {
        let target = request.uri().path_and_query();
        let target = target.map_or("", |target| target.as_str());
        let user = request.headers().get("impersonate-user");
        let user = user.map_or(String::new(), |user| format!(" as {}", user.to_str().unwrap()));
        let text = format!("{} {target}{user}", request.method());
        self.0.lock().unwrap().push(text);
    }

    /// How many there were of a sort.
    pub(crate) fn count(&self, wanted: impl Fn(&str) -> bool) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|request| wanted(request))
            .count()
    }

    /// Those made since the last call, without discovery, lists and watches, shortened to verb and kind of request.
    pub(crate) fn take(&self) -> Vec<String> {
        let all = std::mem::take(&mut *self.0.lock().unwrap());
        let plain = all.iter().filter(|request| {
            !request.contains("watch=")
                && !request.contains("labelSelector=")
                && !request.contains("limit=")
                && !request.ends_with(" /api?")
                && !request.ends_with(" /apis?")
                && !request.ends_with(" /api")
                && !request.ends_with(" /apis")
        });
        plain.map(|request| short(request)).collect()
    }
}

/// `PATCH configmaps/a`, with ` dry-run` where it is one, and ` as USER` for another user.
fn short(request: &str) -> String {
    let (verb, target) = request.split_once(' ').unwrap();
    let (target, user) = target.split_once(" as ").unwrap_or((target, ""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut tail: Vec<&str> = path.rsplit('/').take(2).collect();
    tail.reverse();
    let dry_run = if query.contains("dryRun=All") {
        " dry-run"
    } else {
        ""
    };
    let user = match user {
        "" => String::new(),
        user => format!(" as {user}"),
    };
    format!("{verb} {}{dry_run}{user}", tail.join("/"))
}
