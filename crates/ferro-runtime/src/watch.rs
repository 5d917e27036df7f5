//! The loop around a watch: what all who follow objects must get right, once.
//!
//! * A list reaches the follower whole, when its last page is there: until then nobody knows what is gone, and a store
//!   still shows the old state. What is kept of an object meanwhile is up to the follower.
//! * The pause after an error grows, and any sign of life resets it. (kube's watcher resumes after most errors without a new list, so a reset
//!   at the end of a list would never come.)
//! * Since when the watch does not work is told with each failure: what is known about the objects is as old as that.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::Api;
use kube::runtime::watcher::{self, watcher};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

/// The pause after the first failure; it doubles with each further one, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

/// What a follower is told.
#[derive(Debug)]
pub enum Change<T> {
    /// The object was made or changed.
    Applied(T),
    /// The object is gone; its last form.
    Deleted(T),
    /// These are all the objects there are; others that were known are gone.
    Listed(Vec<T>),
    /// The watch does not work; it is tried again.
    Failing {
        /// Why.
        error: watcher::Error,
        /// Since when nothing came.
        since: Instant,
    },
}

/// Follows what `api` shows, for ever. `keep` reduces an object to what is kept of it, or leaves it out; `tell` is told of each change.
pub async fn follow<K, T>(
    api: Api<K>,
    config: watcher::Config,
    keep: impl FnMut(K) -> Option<T>,
    tell: impl FnMut(Change<T>),
) where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    follow_stream(watcher(api, config), keep, tell).await;
}

async fn follow_stream<K, T>(
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>>,
    mut keep: impl FnMut(K) -> Option<T>,
    mut tell: impl FnMut(Change<T>),
) {
    let mut events = pin!(events);
    let mut list = Vec::new();
    let (mut pause, mut failing) = (SHORTEST, None);
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                let since = *failing.get_or_insert_with(Instant::now);
                tell(Change::Failing { error, since });
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
                continue;
            }
        };
        // That a list begins is no sign of life: the request for it comes after.
        if !matches!(event, watcher::Event::Init) {
            (pause, failing) = (SHORTEST, None);
        }
        match event {
            watcher::Event::Init => list.clear(),
            watcher::Event::InitApply(object) => list.extend(keep(object)),
            watcher::Event::InitDone => tell(Change::Listed(std::mem::take(&mut list))),
            watcher::Event::Apply(object) => keep(object)
                .into_iter()
                .for_each(|kept| tell(Change::Applied(kept))),
            watcher::Event::Delete(object) => keep(object)
                .into_iter()
                .for_each(|kept| tell(Change::Deleted(kept))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::runtime::watcher::Event;

    fn failure() -> watcher::Error {
        watcher::Error::NoResourceVersion
    }

    async fn told(events: Vec<watcher::Result<Event<u32>>>) -> (Vec<String>, Vec<Duration>) {
        let (mut told, mut at) = (Vec::new(), Vec::new());
        let start = Instant::now();
        let keep = |number| (number != 13).then_some(number);
        follow_stream(futures::stream::iter(events), keep, |change| {
            at.push(start.elapsed());
            told.push(match change {
                Change::Failing { since, .. } => format!("Failing({})", (since - start).as_millis()),
                change => format!("{change:?}"),
            });
        })
        .await;
        (told, at)
    }

    #[tokio::test]
    async fn list_is_told_when_it_is_complete() {
        let events = [
            Event::Init,
            Event::InitApply(1),
            // It breaks off, and begins again.
            Event::Init,
            Event::InitApply(2),
            Event::InitApply(13),
            Event::InitApply(3),
            Event::InitDone,
            Event::Apply(4),
            Event::Delete(2),
        ];
        let (told, _) = told(events.into_iter().map(Ok).collect()).await;
        assert_eq!(told, ["Listed([2, 3])", "Applied(4)", "Deleted(2)"]);
    }

    #[tokio::test(start_paused = true)]
    async fn pause_grows_until_a_sign_of_life() {
        let mut events: Vec<_> = (0..8).map(|_| Err(failure())).collect();
        events.insert(3, Ok(Event::Init));
        // Resumed without a list.
        events.push(Ok(Event::Apply(1)));
        events.extend([Err(failure()), Ok(Event::Apply(2))]);
        let (told, at) = told(events).await;
        assert!(told[..8].iter().all(|change| change == "Failing(0)"), "{told:?}");
        let pauses: Vec<_> = at
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).as_millis())
            .collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 6400, 10000, 10000, 0, 200]);
        let resumed = at[8].as_millis();
        assert_eq!(
            told[8..],
            [
                "Applied(1)".to_owned(),
                format!("Failing({resumed})"),
                "Applied(2)".to_owned()
            ]
        );
    }
}
