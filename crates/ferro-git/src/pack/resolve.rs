//! Naming the objects that are stored as deltas: each is made once, and hashed.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use gix_hash::ObjectId;

use super::content::Content;
use super::entry::Stored;
use super::inflate::{Inflate, Pool};
use super::receive::{Bounds, Listing};
use super::store::{Objects, read_header};
use super::{Kind, MAX_CHAIN, MAX_DELTA, PackError, delta, finish, hasher};

/// How much of memory the objects may take that others still build on, for each thread.
const MEMORY: usize = 16 << 20;
/// The same on disk.
const DISK: u64 = 2 << 30;
/// Fewer deltas are not worth a second thread.
const MANY: usize = 256;

/// Finds the names of all objects of `listing` that are stored as deltas in `pack`.
pub(super) fn resolve(
    pack: &File,
    listing: &mut Listing,
    known: &Objects,
    directory: &Path,
    bounds: Bounds<'_>,
) -> Result<(), PackError> {
    let count = listing.of_place.len() + listing.of_name.len();
    if count == 0 {
        return Ok(());
    }
    listing.of_place.sort_unstable();
    let mut of_name: HashMap<ObjectId, Vec<u32>> = HashMap::new();
    for (id, index) in listing.of_name.drain(..) {
        of_name.entry(id).or_default().push(index);
    }
    let roots = roots(listing, &of_name);
    let names = std::mem::replace(&mut listing.names, super::index::Names::new(bounds.hash));
    let work = Work {
        pack,
        directory,
        bounds,
        offsets: &listing.offsets,
        of_place: &listing.of_place,
        of_name: Mutex::new(of_name),
        names: Mutex::new(names),
    };
    work.run(&roots, if count < MANY { 1 } else { 2 })?;
    work.build_on(known)?;
    listing.names = work.names.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(())
}

/// The whole objects that deltas build on.
fn roots(listing: &Listing, of_name: &HashMap<ObjectId, Vec<u32>>) -> Vec<u32> {
    let is_whole = |index: &u32| listing.is_whole.get(*index as usize) == Some(&true);
    let mut roots: Vec<u32> = listing.of_place.iter().map(|(base, _)| *base).collect();
    if !of_name.is_empty() {
        let is_wanted = |index: &u32| {
            let id = ObjectId::try_from(listing.names.get(*index as usize));
            id.is_ok_and(|id| of_name.contains_key(&id))
        };
        roots.extend((0..listing.offsets.len() as u32).filter(is_wanted));
    }
    roots.retain(is_whole);
    roots.sort_unstable();
    roots.dedup();
    roots
}

struct Work<'a> {
    pack: &'a File,
    directory: &'a Path,
    bounds: Bounds<'a>,
    offsets: &'a [u64],
    of_place: &'a [(u32, u32)],
    /// Who makes the base takes the deltas.
    of_name: Mutex<HashMap<ObjectId, Vec<u32>>>,
    names: Mutex<super::index::Names>,
}

impl Work<'_> {
    /// Makes all that builds on objects of the pack.
    fn run(&self, roots: &[u32], threads: usize) -> Result<(), PackError> {
        let next = AtomicUsize::new(0);
        let work = || -> Result<(), PackError> {
            let pool = Pool::default();
            while let Some(root) = roots.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome = self.family(*root, &pool);
                if outcome.is_err() {
                    next.store(roots.len(), Ordering::Relaxed);
                    return outcome;
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            let mut outcome = work();
            for other in others {
                let theirs = other
                    .join()
                    .unwrap_or_else(|_| Err(std::io::Error::other("resolving deltas failed").into()));
                outcome = outcome.and(theirs);
            }
            outcome
        })
    }

    /// Makes all that builds on objects that came earlier.
    fn build_on(&self, known: &Objects) -> Result<(), PackError> {
        let pool = Pool::default();
        let mut wanted: Vec<ObjectId> = self.lock_of_name().keys().copied().collect();
        wanted.sort_unstable();
        for id in wanted {
            let Some((kind, content)) = known.content_of(&id)? else {
                continue;
            };
            let children = self.lock_of_name().remove(&id).unwrap_or_default();
            self.descend(kind, content, children, &pool)?;
        }
        match self.lock_of_name().keys().min() {
            Some(id) => Err(PackError::NoBase { id: *id }),
            None => Ok(()),
        }
    }

    fn lock_of_name(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectId, Vec<u32>>> {
        self.of_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offset(&self, index: u32) -> u64 {
        self.offsets.get(index as usize).copied().unwrap_or_default()
    }

    /// What is inflated of an object.
    fn open<'s>(&'s self, index: u32, pool: &'s Pool) -> Result<(Stored, u64, Inflate<'s>), PackError> {
        let at = self.offset(index);
        let header = read_header(self.pack, at, self.bounds.hash)?;
        let source = Inflate::new(self.pack, at + header.length, header.size, pool);
        Ok((header.stored, header.size, source))
    }

    fn family(&self, root: u32, pool: &Pool) -> Result<(), PackError> {
        let (stored, size, mut source) = self.open(root, pool)?;
        let Stored::Whole(kind) = stored else {
            return Ok(());
        };
        kind.check(size, MAX_DELTA)?;
        let content = Content::read(&mut source, size, self.directory)?;
        drop(source);
        let id = {
            let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            ObjectId::try_from(names.get(root as usize)).ok()
        };
        let children = self.children(root, id.as_ref());
        self.descend(kind, content, children, pool)
    }

    fn children(&self, index: u32, id: Option<&ObjectId>) -> Vec<u32> {
        let start = self.of_place.partition_point(|(base, _)| *base < index);
        let of_place = self.of_place.get(start..).unwrap_or_default();
        let of_place = of_place.iter().take_while(|(base, _)| *base == index);
        let mut children: Vec<u32> = of_place.map(|(_, delta)| *delta).collect();
        if let Some(id) = id {
            children.extend(self.lock_of_name().remove(id).unwrap_or_default());
        }
        children
    }

    /// Makes `children` of `content`, and all that builds on them.
    fn descend(
        &self,
        kind: Kind,
        content: Content,
        children: Vec<u32>,
        pool: &Pool,
    ) -> Result<(), PackError> {
        let mut stack = Stack::default();
        stack.push(
            Frame {
                content,
                children,
                depth: 0,
            },
            self.directory,
        )?;
        while let Some(frame) = stack.frames.last_mut() {
            self.bounds.check()?;
            let Some(child) = frame.children.pop() else {
                stack.pop();
                continue;
            };
            let depth = frame.depth + 1;
            let (_, _, source) = self.open(child, pool)?;
            let at = self.offset(child);
            let made = delta::apply(source, &frame.content, kind, at, self.directory)?;
            if frame.children.is_empty() {
                stack.pop();
            }
            let id = self.name(kind, &made)?;
            self.names
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .set(child as usize, &id);
            let children = self.children(child, Some(&id));
            if children.is_empty() {
                continue;
            }
            if depth >= MAX_CHAIN {
                return Err(PackError::TooDeep);
            }
            let content = made;
            stack.push(
                Frame {
                    content,
                    children,
                    depth,
                },
                self.directory,
            )?;
        }
        Ok(())
    }

    fn name(&self, kind: Kind, content: &Content) -> Result<ObjectId, PackError> {
        let mut hasher = hasher(self.bounds.hash, kind, content.len());
        match content {
            Content::Memory(bytes) => hasher.update(bytes),
            Content::Disk(..) => {
                let mut reader = content.clone().reader();
                let mut buffer = vec![0; 64 << 10];
                loop {
                    let count = reader.read(&mut buffer)?;
                    if count == 0 {
                        break;
                    }
                    hasher.update(buffer.get(..count).unwrap_or_default());
                }
            }
        }
        finish(hasher)
    }
}

/// An object, and the deltas of it that are still to be made.
struct Frame {
    content: Content,
    children: Vec<u32>,
    depth: usize,
}

/// The objects from the whole one to the one at hand, but those that nothing builds on any more.
#[derive(Default)]
struct Stack {
    frames: Vec<Frame>,
    memory: usize,
    disk: u64,
}

impl Stack {
    fn push(&mut self, frame: Frame, directory: &Path) -> Result<(), PackError> {
        self.count(&frame.content);
        self.frames.push(frame);
        let mut spilled = 0;
        while self.memory > MEMORY {
            // The first ones are needed last.
            let Some(first) = self
                .frames
                .iter_mut()
                .skip(spilled)
                .find(|it| it.content.weight() > 0)
            else {
                break;
            };
            self.memory -= first.content.weight();
            first.content.spill(directory)?;
            self.disk += first.content.len();
            spilled += 1;
        }
        if self.disk > DISK {
            let (size, limit) = (self.disk, DISK);
            return Err(PackError::TooLarge { size, limit });
        }
        Ok(())
    }

    fn count(&mut self, content: &Content) {
        match content {
            Content::Memory(bytes) => self.memory += bytes.len(),
            Content::Disk(_, length) => self.disk += length,
        }
    }

    fn pop(&mut self) {
        if let Some(frame) = self.frames.pop() {
            match frame.content {
                Content::Memory(bytes) => self.memory -= bytes.len(),
                Content::Disk(_, length) => self.disk -= length,
            }
        }
    }
}
