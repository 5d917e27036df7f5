//! A view of a cluster for programs that have no Kubernetes client: plain HTTP through `kubectl proxy`.
//!
//! Waiting is done by watching, so that the times it gives are good to a few milliseconds and cost the cluster nothing.

use std::io::{self, BufRead as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::process::{self, Nursery, Process};
use crate::{http, ports};

const TIMEOUT: Duration = Duration::from_secs(60);
/// How long a server may keep us waiting that is not ready yet.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a wait looks up from its watch, to see whether it should go on.
const PULSE: Duration = Duration::from_millis(250);

/// A collection of objects, such as `/api/v1/namespaces/demo/pods`.
pub type Collection = str;

/// The API server of a cluster.
#[derive(Debug)]
pub struct Api {
    address: SocketAddr,
    proxy: Process,
}

/// A change that a watch tells of.
#[derive(Debug)]
pub struct Change {
    /// Whether the object is gone.
    pub is_deleted: bool,
    /// The object, as it is now or was at last.
    pub object: Value,
}

impl Api {
    /// Starts the proxy; `kubectl` is that of the cluster, with its kubeconfig.
    ///
    /// # Errors
    /// When the proxy does not start.
    pub fn start(mut kubectl: Command, nursery: &Nursery, dir: &Path) -> Result<Self> {
        let port = ports::free()?;
        kubectl.args(["proxy", &format!("--port={port}"), "--disable-filter=false"]);
        let mut proxy = nursery.start("kubectl-proxy", kubectl, &dir.join("kubectl-proxy.log"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let ready = || http::get(address, "/readyz", TIMEOUT).ok();
        process::until(
            "the API server through kubectl proxy",
            TIMEOUT,
            ready,
            || match proxy.exited() {
                Some(status) => bail!("kubectl proxy died ({status}):\n{}", proxy.log_tail(5)),
                None => Ok(()),
            },
        )?;
        Ok(Self { address, proxy })
    }

    /// The process id of the proxy.
    #[must_use]
    pub fn proxy(&self) -> u32 {
        self.proxy.id()
    }

    /// Sends a request, again and again while the API server asks to come back later, as it does for a moment when a kind is new.
    fn send(&self, method: &str, path: &str, body: Option<(&str, &str)>) -> Result<http::Response> {
        let end = Instant::now() + PATIENCE;
        loop {
            let res = http::send(self.address, method, path, body, TIMEOUT)?;
            if res.status != 429 || end < Instant::now() {
                return Ok(res);
            }
            thread::sleep(PULSE);
        }
    }

    /// Gets an object or a list.
    ///
    /// # Errors
    /// When the answer is not a success.
    pub fn get(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&http::text(
            self.send("GET", path, None)?,
            path,
        )?)?)
    }

    /// Gets an object that may be absent.
    ///
    /// # Errors
    /// When the answer is neither a success nor 404.
    pub fn find(&self, path: &str) -> Result<Option<Value>> {
        let res = self.send("GET", path, None)?;
        if res.status == 404 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&http::text(res, path)?)?))
    }

    /// Changes an object by a JSON merge patch, as a person does by `kubectl edit`.
    ///
    /// # Errors
    /// When the answer is not a success.
    pub fn merge(&self, path: &str, patch: &Value) -> Result<Value> {
        let body = patch.to_string();
        let content = ("application/merge-patch+json", body.as_str());
        let res = self.send("PATCH", path, Some(content))?;
        Ok(serde_json::from_str(&http::text(res, path)?)?)
    }

    /// Creates an object in a collection.
    ///
    /// # Errors
    /// When the answer is not a success.
    pub fn create(&self, collection: &Collection, object: &Value) -> Result<()> {
        let body = object.to_string();
        let res = self.send("POST", collection, Some(("application/json", &body)))?;
        http::text(res, collection).map(drop)
    }

    /// Deletes an object, or all of a collection; it is no error that it is absent.
    ///
    /// # Errors
    /// When the answer is neither a success nor 404.
    pub fn delete(&self, path: &str) -> Result<()> {
        let res = self.send("DELETE", path, None)?;
        if res.status == 404 {
            Ok(())
        } else {
            http::text(res, path).map(drop)
        }
    }

    /// Shows the objects of a collection and then each change to them, until `see` gives a value.
    ///
    /// `alive` is asked a few times a second whether to go on.
    ///
    /// # Errors
    /// When the limit is over, the API server cannot be reached, or `alive` or `see` fails.
    pub fn follow<T>(
        &self,
        collection: &Collection,
        limit: Duration,
        mut see: impl FnMut(Change) -> Result<Option<T>>,
        mut alive: impl FnMut() -> Result<()>,
    ) -> Result<T> {
        let end = Instant::now() + limit;
        loop {
            let list = self.get(collection)?;
            for object in list.get("items").and_then(Value::as_array).into_iter().flatten() {
                if let Some(value) = see(Change {
                    is_deleted: false,
                    object: object.clone(),
                })? {
                    return Ok(value);
                }
            }
            let version = list
                .pointer("/metadata/resourceVersion")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if let Some(value) = self.watch(collection, version, end, &mut see, &mut alive)? {
                return Ok(value);
            }
            if end < Instant::now() {
                bail!("not within {} s", limit.as_secs());
            }
        }
    }

    /// Watches until `see` gives a value, the limit is over, or the server ends the watch.
    fn watch<T>(
        &self,
        collection: &Collection,
        version: &str,
        end: Instant,
        see: &mut impl FnMut(Change) -> Result<Option<T>>,
        alive: &mut impl FnMut() -> Result<()>,
    ) -> Result<Option<T>> {
        let separator = if collection.contains('?') { '&' } else { '?' };
        let path = format!("{collection}{separator}watch=true&resourceVersion={version}");
        let mut res = self.send("GET", &path, None)?;
        if res.status != 200 {
            return http::text(res, &path).map(|_| None);
        }
        res.body.get_ref().set_read_timeout(Some(PULSE))?;
        let mut line = Vec::new();
        loop {
            alive()?;
            match res.body.read_until(b'\n', &mut line) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                // What was read of a line stays in `line`, and the rest follows.
                Err(err) if matches!(err.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if end < Instant::now() {
                        return Ok(None);
                    }
                    continue;
                }
                Err(err) => return Err(err).context("the watch broke off"),
            }
            let mut event: Value = serde_json::from_slice(&line).context("not an event of a watch")?;
            line.clear();
            let object = event.get_mut("object").map(Value::take).unwrap_or_default();
            let is_deleted = match event.get("type").and_then(Value::as_str) {
                Some("ADDED" | "MODIFIED") => false,
                Some("DELETED") => true,
                // The version is too old to go on from: list again.
                _ => return Ok(None),
            };
            if let Some(value) = see(Change { is_deleted, object })? {
                return Ok(Some(value));
            }
        }
    }
}

/// A text of an object, empty if it is not there.
#[must_use]
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A condition of an object.
#[must_use]
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|it| text(it, "/type") == kind)
}

/// Whether the object says that it is ready, and says it of its present generation.
#[must_use]
pub fn is_ready(object: &Value) -> bool {
    let generation = object.pointer("/metadata/generation");
    condition(object, "Ready")
        .is_some_and(|it| text(it, "/status") == "True" && it.get("observedGeneration") == generation)
}
