use std::io::Read as _;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use super::testing::{DELTA_AT, DELTA_OF, Op, Pack, Store, append, delta, id_of, sign};
use super::*;

fn read(objects: &Objects, kind: Kind, data: &[u8]) {
    let id = id_of(kind, data);
    let (size, mut source) = objects.stream(&id, kind).unwrap();
    let mut found = Vec::new();
    source.read_to_end(&mut found).unwrap();
    assert_eq!(size, data.len() as u64);
    assert!(found == data, "{id}");
}

/// Text that does not repeat itself.
fn noise(size: usize, mut state: u64) -> Vec<u8> {
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'0' + (state >> 58) as u8
    };
    (0..size).map(next).collect()
}

#[test]
fn receive_keeps_objects_of_every_form() {
    let store = Store::new();
    let (one, two, three, four) = (b"one".as_slice(), b"onetwo", b"onetwothree", b"onetwo4");
    let mut pack = Pack::new();
    // The base comes later than what builds on it.
    pack.delta_of(&id_of(Kind::Blob, three), &append(three, b"!"));
    let base = pack.whole(Kind::Blob, one);
    let second = pack.delta_at(base, &append(one, b"two"));
    pack.delta_at(second, &append(two, b"three"));
    pack.delta_of(&id_of(Kind::Blob, two), &append(two, b"4"));
    pack.whole(Kind::Commit, b"tree");
    pack.whole(Kind::Blob, b"");
    pack.whole(Kind::Blob, &noise(200_000, 1));
    pack.whole(Kind::Blob, one);
    store.receive(&pack.finish()).unwrap();
    let objects = store.objects();
    for data in [one, two, three, four, b"onetwothree!", b"", &noise(200_000, 1)] {
        read(&objects, Kind::Blob, data);
    }
    read(&objects, Kind::Commit, b"tree");
    assert!(!objects.has(&id_of(Kind::Blob, b"other")));
    let error = objects
        .read(&id_of(Kind::Commit, b"tree"), Kind::Tag)
        .unwrap_err();
    assert_eq!(error.to_string().split_once(' ').unwrap().0, "object");
    // A later pack builds on both.
    let mut pack = Pack::new();
    pack.delta_of(&id_of(Kind::Blob, three), &append(three, b"?"));
    let base = pack.delta_of(&id_of(Kind::Blob, b""), &append(b"", b"x"));
    pack.delta_at(base, &append(b"x", b"y"));
    store.receive(&pack.finish()).unwrap();
    for data in [b"onetwothree?".as_slice(), b"x", b"xy", three] {
        read(&store.objects(), Kind::Blob, data);
    }
    let error = store.receive(&Pack::new().finish());
    assert!(error.is_ok(), "nothing new is no error");
}

/// Deltas of large objects go over the disk, and so do objects of which many are needed at once.
#[test]
fn receive_large_deltas_without_holding_them() {
    let store = Store::new();
    let large = noise(SPILL as usize + 10, 2);
    let mut pack = Pack::new();
    let base = pack.whole(Kind::Blob, &large);
    let first = pack.delta_at(base, &append(&large, b"1"));
    pack.delta_at(base, &append(&large, b"2"));
    let one = [&large[..], b"1"].concat();
    pack.delta_at(first, &delta(one.len() as u64, 5, &[Op::Copy(SPILL + 6, 5)]));
    // Each of these is needed again after the next has been made: more than may be held.
    let mut text = noise(1 << 20, 3);
    let mut at = pack.whole(Kind::Blob, &text);
    let mut all = Vec::new();
    for _ in 0..40 {
        pack.delta_at(at, &append(&text, b"leaf"));
        all.push([&text[..], b"leaf"].concat());
        at = pack.delta_at(at, &append(&text, b"+"));
        text.push(b'+');
    }
    all.push(text);
    store.receive(&pack.finish()).unwrap();
    let objects = store.objects();
    for data in [
        &large,
        &one,
        &[&large[..], b"2"].concat(),
        &one[one.len() - 5..].to_vec(),
    ] {
        read(&objects, Kind::Blob, data);
    }
    for data in &all {
        read(&objects, Kind::Blob, data);
    }
}

#[test]
fn receive_refuses_what_is_not_as_it_should_be() {
    let base = b"base".as_slice();
    let blob = |pack: &mut Pack| pack.whole(Kind::Blob, base);
    let with = |change: &dyn Fn(&mut Pack) -> u64| {
        let mut pack = Pack::new();
        change(&mut pack);
        pack.finish()
    };
    let on_base = |bytes: &[u8]| {
        with(&|pack| {
            let at = blob(pack);
            pack.delta_at(at, bytes)
        })
    };
    let mut other_version = b"PACK\0\0\0\x04\0\0\0\0".to_vec();
    sign(&mut other_version);
    let mut wrong_sum = with(&|pack| blob(pack));
    *wrong_sum.last_mut().unwrap() ^= 1;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no pack", b"<html><body>".to_vec()),
        ("no pack", other_version),
        ("cut short", Vec::new()),
        ("checksum", wrong_sum),
        ("more than 16777216 objects", Pack::new().finish_saying(u32::MAX)),
        ("unknown type", with(&|pack| pack.entry(0, 1, &[], b"x"))),
        ("unknown type", with(&|pack| pack.entry(5, 1, &[], b"x"))),
        ("larger than it says", with(&|pack| pack.entry(3, 3, &[], base))),
        ("smaller than it says", with(&|pack| pack.entry(3, 5, &[], base))),
        (
            "larger than it says",
            with(&|pack| pack.entry(3, 3, &[], &noise(1 << 20, 4))),
        ),
        ("out of range", with(&|pack| pack.entry(3, u64::MAX, &[], base))),
        (
            "too large",
            with(&|pack| pack.entry(2, MAX_STRUCTURE + 1, &[], base)),
        ),
        (
            "too large",
            with(&|pack| pack.entry(DELTA_OF, MAX_DELTA + 1, id_of(Kind::Blob, base).as_bytes(), base)),
        ),
        (
            "outside of the pack",
            with(&|pack| pack.entry(DELTA_AT, 4, &[0x7f], base)),
        ),
        (
            "outside of the pack",
            with(&|pack| pack.entry(DELTA_AT, 4, &[0], base)),
        ),
        (
            "out of range",
            with(&|pack| pack.entry(DELTA_AT, 4, &[0xff; 20], base)),
        ),
        (
            "no object",
            with(&|pack| {
                let at = blob(pack);
                pack.delta_at(at + 1, &append(base, b"x"))
            }),
        ),
        (
            "not there",
            with(&|pack| pack.delta_of(&id_of(Kind::Blob, b"gone"), &append(b"gone", b"x"))),
        ),
        ("base of another size", on_base(&delta(5, 1, &[Op::Copy(0, 1)]))),
        ("base does not have", on_base(&delta(4, 5, &[Op::Copy(0, 5)]))),
        (
            "base does not have",
            on_base(&delta(4, 1, &[Op::Copy(u64::from(u32::MAX), 1)])),
        ),
        ("more than it says", on_base(&delta(4, 3, &[Op::Copy(0, 4)]))),
        ("more than it says", on_base(&delta(4, 3, &[Op::Insert(b"1234")]))),
        ("less than it says", on_base(&delta(4, 5, &[Op::Copy(0, 4)]))),
        (
            "less than it says",
            on_base(&delta(4, MAX_DELTA, &[Op::Copy(0, 4)])),
        ),
        ("too large", on_base(&delta(4, MAX_DELTA + 1, &[Op::Copy(0, 4)]))),
        ("unknown instruction", on_base(&delta(4, 1, &[Op::Insert(b"")]))),
        ("out of range", on_base(&[0xff; 20])),
        ("cut short", on_base(&[4])),
        ("cut short", on_base(&[4, 9, 5, b'x'])),
    ];
    for (text, bytes) in cases {
        let store = Store::new();
        let error = store.receive(&bytes).expect_err(text).to_string();
        assert!(error.contains(text), "{text}: {error}");
        assert!(store.is_empty(), "{text}: something is left");
    }
    // Commits and trees are read whole, so they must not become large as deltas either.
    let mut pack = Pack::new();
    let at = pack.whole(Kind::Tree, base);
    pack.delta_at(at, &delta(4, MAX_STRUCTURE + 1, &[Op::Copy(0, 4)]));
    let error = Store::new().receive(&pack.finish()).unwrap_err();
    assert!(matches!(error, PackError::TooLarge { .. }), "{error}");
}

/// A delta of itself, by name, over a detour: nothing of it can be made.
#[test]
fn receive_refuses_deltas_in_a_circle() {
    let (one, two) = (id_of(Kind::Blob, b"1"), id_of(Kind::Blob, b"2"));
    let mut pack = Pack::new();
    pack.delta_of(&one, &delta(1, 1, &[Op::Insert(b"2")]));
    pack.delta_of(&two, &delta(1, 1, &[Op::Insert(b"1")]));
    let error = Store::new().receive(&pack.finish()).unwrap_err();
    assert!(matches!(error, PackError::NoBase { .. }), "{error}");
    // With a whole one beside them all is well, and reading does not go round either.
    let store = Store::new();
    let mut pack = Pack::new();
    pack.delta_of(&one, &delta(1, 1, &[Op::Insert(b"2")]));
    pack.delta_of(&two, &delta(1, 1, &[Op::Insert(b"1")]));
    pack.whole(Kind::Blob, b"1");
    store.receive(&pack.finish()).unwrap();
    read(&store.objects(), Kind::Blob, b"1");
    read(&store.objects(), Kind::Blob, b"2");
}

#[test]
fn receive_refuses_chains_longer_than_git_makes() {
    let chain = |length: usize| {
        let mut pack = Pack::new();
        let mut at = pack.whole(Kind::Blob, b"0");
        for index in 0..length {
            let text = index.to_string();
            let next = (index + 1).to_string();
            at = pack.delta_at(
                at,
                &delta(
                    text.len() as u64,
                    next.len() as u64,
                    &[Op::Insert(next.as_bytes())],
                ),
            );
        }
        pack.finish()
    };
    let store = Store::new();
    store.receive(&chain(MAX_CHAIN)).unwrap();
    read(&store.objects(), Kind::Blob, MAX_CHAIN.to_string().as_bytes());
    let error = Store::new().receive(&chain(MAX_CHAIN + 1)).unwrap_err();
    assert!(matches!(error, PackError::TooDeep), "{error}");
}

/// A small pack that becomes large: each delta is a hundred times its base. It ends at the limit, not with the memory.
#[test]
fn receive_refuses_a_bomb_of_deltas() {
    let mut pack = Pack::new();
    let mut size = 60_000_u64;
    let mut at = pack.whole(Kind::Blob, &vec![b'0'; size as usize]);
    let mut copies = Vec::new();
    while size <= MAX_DELTA {
        copies.clear();
        copies.extend((0..100).map(|_| Op::Copy(0, size.min(0xff_ffff))));
        let next: u64 = 100 * size.min(0xff_ffff);
        at = pack.delta_at(at, &delta(size, next, &copies));
        size = next;
    }
    pack.delta_at(at, b"");
    let error = Store::new().receive(&pack.finish()).unwrap_err();
    assert!(
        matches!(error, PackError::TooLarge { limit: MAX_DELTA, .. }),
        "{error}"
    );
}

/// Whatever is changed in a pack, the outcome is an error or objects that can be looked for.
#[test]
fn receive_survives_changed_and_cut_packs() {
    let mut pack = Pack::new();
    let base = pack.whole(Kind::Blob, b"base");
    let next = pack.delta_at(base, &append(b"base", b"next"));
    pack.delta_at(next, &append(b"basenext", b"last"));
    pack.delta_of(&id_of(Kind::Blob, b"base"), &append(b"base", b"other"));
    pack.whole(Kind::Tree, b"tree");
    let whole = pack.finish();
    let content = &whole[..whole.len() - 20];
    for cut in 0..whole.len() {
        assert!(Store::new().receive(&whole[..cut]).is_err(), "cut to {cut}");
    }
    let store = Store::new();
    for at in 0..content.len() {
        for change in [1, 0x10, 0x80, 0xff] {
            let mut bytes = content.to_vec();
            bytes[at] ^= change;
            sign(&mut bytes);
            if store.receive(&bytes).is_ok() {
                store.objects().has(&id_of(Kind::Blob, b"base"));
            }
        }
    }
}

#[test]
fn receive_ends_when_it_is_called_off() {
    let mut pack = Pack::new();
    pack.whole(Kind::Blob, b"1");
    let store = Store::new();
    let error = store
        .receive_unless(&pack.finish(), &AtomicBool::new(true))
        .unwrap_err();
    assert!(matches!(error, PackError::Interrupted), "{error}");
    assert!(store.is_empty());
}

/// Packs that Git makes, of many versions of files, and what Git finds in them.
#[test]
fn receive_packs_of_git() {
    let dir = tempfile::tempdir().unwrap();
    for format in ["sha1", "sha256"] {
        let home = dir.path().join(format);
        let git = |args: &[&str]| {
            let output = Command::new("git")
                .args(["-c", "user.name=T", "-c", "user.email=t@example.com"])
                .args(args)
                .current_dir(if home.exists() { &home } else { dir.path() })
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{args:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            output.stdout
        };
        git(&["init", "--quiet", &format!("--object-format={format}"), format]);
        for round in 0..12 {
            for file in 0..30 {
                let mut text = noise(3000, file + 1);
                text.truncate(3000 - 10 * round);
                text.extend(format!("version {round} of {file}\n").bytes());
                std::fs::create_dir_all(home.join(format!("dir-{}", file % 5))).unwrap();
                std::fs::write(home.join(format!("dir-{}/file-{file}", file % 5)), text).unwrap();
            }
            git(&["add", "."]);
            git(&["commit", "--quiet", "--message", &format!("Round {round}")]);
        }
        git(&["repack", "-adq", "--depth=20", "--window=30"]);
        let packs = std::fs::read_dir(home.join(".git/objects/pack")).unwrap();
        let pack = packs
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|it| it == "pack"));
        let bytes = std::fs::read(pack.unwrap()).unwrap();
        let hash: gix_hash::Kind = format.parse().unwrap();
        let store = tempfile::tempdir().unwrap();
        let known = Objects::open(store.path(), hash).unwrap();
        let interrupted = AtomicBool::new(false);
        let bounds = Bounds {
            hash,
            interrupted: &interrupted,
        };
        receive_blocking(&mut bytes.as_slice(), store.path(), &known, bounds).unwrap();
        // Git takes our index for its own.
        let index = store.path().join("pack-00000001.idx");
        git(&[
            "verify-pack",
            &format!("--object-format={format}"),
            &index.to_string_lossy(),
        ]);
        let objects = Objects::open(store.path(), hash).unwrap();
        let listed = git(&[
            "cat-file",
            "--batch-all-objects",
            "--batch-check=%(objectname) %(objecttype)",
        ]);
        let listed = String::from_utf8(listed).unwrap();
        assert!(listed.lines().count() > 400, "{}", listed.lines().count());
        for line in listed.lines() {
            let (id, kind) = line.split_once(' ').unwrap();
            let kinds = [Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag];
            let kind = kinds.into_iter().find(|it| it.name() == kind).unwrap();
            let id = ObjectId::from_hex(id.as_bytes()).unwrap();
            let data = objects.read(&id, kind).unwrap();
            let mut hasher = hasher(hash, kind, data.len() as u64);
            hasher.update(&data);
            assert_eq!(finish(hasher).unwrap(), id);
        }
    }
}
