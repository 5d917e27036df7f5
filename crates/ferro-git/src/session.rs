//! One conversation with a remote: handshake, refs, fetch.

use std::io::{self, BufRead, Read};
use std::num::NonZeroU32;
use std::sync::Arc;

use gix_hash::{Kind, ObjectId};
use gix_protocol::fetch::negotiate::{Action, Round, one_round};
use gix_protocol::fetch::{Arguments, Negotiate, Options, Response, Shallow, Tags};
use gix_protocol::handshake::Ref;
use gix_protocol::ls_refs::RefPrefixes;
use gix_protocol::{Handshake, LsRefsCommand};
use gix_transport::client::blocking_io::{Transport, http};
use gix_transport::{Protocol, Service};
use gix_utils::progress::Discard;

use crate::interrupt::Interrupt;
use crate::pack::{Bounds, PackError, receive_blocking};
use crate::refs::RemoteRef;
use crate::remote::Scheme;
use crate::repository::Repository;
use crate::transport::Failure;
use crate::transport::http::HttpClient;
use crate::transport::ssh;
use crate::{Error, Remote, Result};

/// How much history comes with a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The commit alone.
    One,
    /// Everything that it descends from.
    Full,
}

/// A conversation; it ends when it is dropped.
pub(crate) struct Session {
    transport: Box<dyn Transport + Send>,
    handshake: Handshake,
    interrupt: Arc<Interrupt>,
    failure: Failure,
    /// The URL before redirects.
    opened: Vec<u8>,
}

fn agent() -> (&'static str, Option<String>) {
    ("agent", Some(crate::transport::agent()))
}

impl Session {
    /// Connects and learns what the server can do. Blocks the thread.
    pub(crate) fn open(remote: &Remote, interrupt: &Arc<Interrupt>) -> Result<Self> {
        let failure = Failure::default();
        let mut transport: Box<dyn Transport + Send> = match remote.url.scheme() {
            Scheme::Http => {
                let client = HttpClient::new(remote, interrupt.clone(), failure.clone())?;
                // Authentication is the client's business.
                let url = remote.url.url().without_credentials();
                let url = gix_url::parse(url.as_str()).map_err(|error| Error::InvalidUrl {
                    reason: error.to_string(),
                })?;
                Box::new(http::connect_http(client, url, Protocol::V2, false))
            }
            Scheme::Ssh => ssh::connect(remote, interrupt, &failure)?,
        };
        let opened = transport.to_url().to_vec();
        let no_helper = |_| Ok(None);
        let handshake = gix_protocol::handshake(
            &mut transport,
            Service::UploadPack,
            no_helper,
            Vec::new(),
            &mut Discard,
        );
        let handshake = handshake.map_err(|error| translate(&error, &failure, interrupt))?;
        Ok(Self {
            transport,
            handshake,
            interrupt: interrupt.clone(),
            failure,
            opened,
        })
    }

    /// The hash function of the repository.
    pub(crate) fn object_hash(&self) -> Result<Kind> {
        let format = self.handshake.capabilities.capability("object-format");
        let Some(name) = format.and_then(|capability| capability.value().map(ToString::to_string)) else {
            return Ok(Kind::Sha1);
        };
        let unknown = |_| Error::UnexpectedAnswer {
            reason: format!("unknown object format '{name}'"),
        };
        name.parse().map_err(unknown)
    }

    /// Whether refs can be asked for without a handshake next time, see [`crate::transport::listing`].
    pub(crate) fn allows_listing(&self, remote: &Remote) -> bool {
        remote.url.scheme() == Scheme::Http
            && self.handshake.server_protocol_version == Protocol::V2
            && self.transport.to_url().as_ref() == self.opened.as_slice()
    }

    /// The remote's refs that start with one of `prefixes`, or all of them when there are none.
    pub(crate) fn list_refs(&mut self, prefixes: &[String]) -> Result<Vec<RemoteRef>> {
        let found: Vec<Ref> = match &self.handshake.refs {
            // Before version 2 the handshake brings all refs.
            Some(refs) => refs.clone(),
            None => {
                let filter = (!prefixes.is_empty()).then(|| {
                    let mut filter = RefPrefixes::new();
                    filter.extend(prefixes.iter().map(|prefix| prefix.as_str().into()));
                    filter
                });
                let command = LsRefsCommand::new(filter, &self.handshake.capabilities, agent());
                command
                    .invoke_blocking(&mut self.transport, &mut Discard, false)
                    .map_err(|error| translate(&error, &self.failure, &self.interrupt))?
            }
        };
        Ok(found.into_iter().filter_map(RemoteRef::from_protocol).collect())
    }

    /// Brings `wants` into the cache, as a pack that may build on what is there. Blocks the thread.
    pub(crate) fn fetch(
        &mut self,
        repository: &Repository,
        wants: &[ObjectId],
        depth: Depth,
        limit: u64,
    ) -> Result<()> {
        let objects = repository.objects()?;
        let mut negotiation = Negotiation {
            wants,
            haves: repository.tips(),
        };
        let shallow = match depth {
            Depth::One => Shallow::DepthAtRemote(NonZeroU32::MIN),
            Depth::Full => Shallow::NoChange,
        };
        let options = Options {
            shallow_file: repository.shallow_file(),
            shallow: &shallow,
            tags: Tags::None,
            reject_shallow_remote: false,
        };
        let failure = self.failure.clone();
        // Part of a pack comes with each multiple of its size in messages and framing.
        self.interrupt.allow(limit.saturating_add(limit / 8));
        let directory = repository.pack_directory();
        let bounds = Bounds {
            hash: repository.kind(),
            interrupted: self.interrupt.flag(),
        };
        // What is wrong with the pack cannot travel through the protocol code.
        let mut received: Option<Result<(), PackError>> = None;
        let outcome = gix_protocol::fetch(
            &mut negotiation,
            |pack, _progress, _interrupted| {
                let mut pack = Capped {
                    inner: pack,
                    left: limit,
                    limit,
                    failure,
                };
                let outcome = receive_blocking(&mut pack, &directory, &objects, bounds);
                let is_whole = outcome.is_ok();
                received = Some(outcome);
                if is_whole {
                    Ok(true)
                } else {
                    Err(gix_error::message("the pack was not received").into())
                }
            },
            Discard,
            self.interrupt.flag(),
            gix_protocol::fetch::Context {
                handshake: &mut self.handshake,
                transport: &mut self.transport,
                user_agent: agent(),
                trace_packetlines: false,
            },
            options,
        );
        outcome.map(drop).map_err(|error| match received {
            // The server has not refused: what it sent cannot be used, or not be stored.
            Some(Err(error)) => self.ended().unwrap_or_else(|| Error::Pack {
                reason: error.to_string(),
            }),
            Some(Ok(())) | None => translate(&error, &self.failure, &self.interrupt),
        })
    }

    /// Why the exchange ended, if that is known better than by who was cut off.
    fn ended(&self) -> Option<Error> {
        self.failure.take().or_else(|| self.interrupt.check().err())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Polite to servers that keep a process for us; over HTTP it does nothing.
        drop(gix_protocol::indicate_end_of_interaction(
            &mut self.transport,
            false,
        ));
    }
}

/// The typed error of a transport if it left one, else what the protocol code says.
fn translate(error: &gix_error::Error, failure: &Failure, interrupt: &Interrupt) -> Error {
    if let Some(error) = failure.take() {
        return error;
    }
    if let Err(error) = interrupt.check() {
        return error;
    }
    let mut reason = String::new();
    for cause in error.iter_errors() {
        let text = cause.to_string();
        if !reason.contains(&text) {
            reason.push_str(if reason.is_empty() { "" } else { ": " });
            reason.push_str(&text);
        }
    }
    Error::Protocol { reason }
}

/// Asks for exactly some commits, and says what we have of earlier fetches.
struct Negotiation<'a> {
    wants: &'a [ObjectId],
    haves: &'a [ObjectId],
}

impl Negotiate for Negotiation<'_> {
    fn mark_complete_and_common_ref(&mut self) -> gix_error::Result<Action> {
        Ok(Action::MustNegotiate {
            remote_ref_target_known: Vec::new(),
        })
    }

    fn add_wants(&mut self, arguments: &mut Arguments, _remote_ref_target_known: &[bool]) -> bool {
        for want in self.wants {
            arguments.want(want);
        }
        !self.wants.is_empty()
    }

    fn one_round(
        &mut self,
        _state: &mut one_round::State,
        arguments: &mut Arguments,
        _previous_response: Option<&Response>,
    ) -> gix_error::Result<(Round, bool)> {
        // All we have fits in one round, which is therefore the last.
        for have in self.haves {
            arguments.have(have);
        }
        let round = Round {
            haves_sent: self.haves.len(),
            in_vain: 0,
            haves_to_send: self.haves.len(),
            previous_response_had_at_least_one_in_common: false,
        };
        Ok((round, true))
    }
}

/// Ends a pack that is larger than allowed.
struct Capped<'a> {
    inner: &'a mut dyn BufRead,
    left: u64,
    limit: u64,
    failure: Failure,
}

impl Read for Capped<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Capped<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let available = self.inner.fill_buf()?;
        if self.left == 0 && !available.is_empty() {
            return Err(self.failure.record(Error::PackTooLarge { limit: self.limit }));
        }
        let allowed = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(available.len());
        Ok(available.get(..allowed).unwrap_or(available))
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount as u64);
        self.inner.consume(amount);
    }
}
