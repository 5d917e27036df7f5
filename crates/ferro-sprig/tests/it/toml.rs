//! TOML read, whole and damaged.

use std::sync::Arc;

use serde_json::json;

use crate::environment::Fixed;
use crate::oracle::{Answer, Oracle, cases};
use crate::random::Random;
use crate::render::{Functions, bytes_of, latin, reference, render};

const PIECES: &[&str] = &[
    "a = 1\n",
    "b = \"x\\ty\\u00e9\"\n",
    "c = 'raw\\n'\n",
    "d = 1.5e3\n",
    "e = [1, 2, 'x', [true]]\n",
    "f = {x = 1, y = {z = 2}}\n",
    "[t]\n",
    "[t.u]\n",
    "[[arr]]\n",
    "[[arr]]\nk = 1\n",
    "[arr.sub]\n",
    "g.h.i = 1\n",
    "g.h.j = 2\n",
    "\"quoted key\" = true\n",
    "# comment\n",
    "k = 2020-01-02T03:04:05Z\n",
    "l = 2020-01-02\n",
    "m = 03:04:05.5\n",
    "n = 0x1F\n",
    "o = 0o17\n",
    "p = 0b11\n",
    "q = 1_000\n",
    "r = inf\n",
    "s = -nan\n",
    "u = \"\"\"\nmulti \\\n   line\"\"\"\n",
    "v = '''\nraw\n'''\n",
    "w = +1\n",
    "x = 01\n",
    "y = 1.\n",
    "z = 1__0\n",
    "aa = [\n 1,\n 2, # c\n]\n",
    "bb = [{x = 1}, {y = 2}]\n",
    "cc = 9223372036854775808\n",
    "a = 2\n",
    "[a]\n",
    "= 1\n",
    "dd\n",
    "ee = \n",
    "ff = tru\n",
    "\r\n",
    "gg = 2020-1-2\n",
    "hh = \"open\n",
    "ii = \"\\q\"\n",
    "jj = {a = 1, }\n",
    "kk = [1 2]\n",
    "ll = 2020-01-02T03:04:05.123+02:00\n",
    "[t.u.v.w]\n",
    "[]\n",
    "[x.]\n",
    "mm = .5\n",
    "nn = -\n",
    "oo = nap\n",
    "pp = \"\\ud800\"\n",
];

fn text(random: &mut Random) -> String {
    let mut text: String = (0..1 + random.below(6)).map(|_| random.pick(PIECES)).collect();
    if random.one_in(3) {
        let chars: Vec<char> = text.chars().collect();
        let at = random.below(chars.len());
        let other = random.pick(&[
            '"', '\'', '[', ']', '{', '}', '=', '.', ',', '\n', ' ', '#', 'x', '0', '_', '\\', '\u{1}', 'é',
        ]);
        text = chars
            .iter()
            .enumerate()
            .map(|(index, c)| if index == at { other } else { *c })
            .collect();
        if random.one_in(3) {
            text = text.chars().take(at).collect();
        }
    }
    text
}

#[test]
fn texts_are_read_like_the_reference_reads_them() {
    let Some(mut oracle) = Oracle::start() else { return };
    let mut random = Random::new(5);
    let template = "{{ $r := fromToml .Values.a }}{{ printf \"%v\" $r }}|{{ toToml $r }}".as_bytes();
    let mut differences = Vec::new();
    for _ in 0..cases() {
        let text = text(&mut random);
        let values = json!({"a": {"string": latin(text.as_bytes())}});
        let ours = render(Functions::Helm, Arc::new(Fixed::default()), template, &values).unwrap();
        let Answer::Output(theirs) = reference(&mut oracle, Functions::Helm, template, &values) else {
            continue;
        };
        let theirs = bytes_of(&theirs);
        if ours != theirs {
            let (ours, theirs) = (String::from_utf8_lossy(&ours), String::from_utf8_lossy(&theirs));
            differences.push(format!("{text:?}\n  ours   {ours:?}\n  theirs {theirs:?}"));
        }
    }
    let count = differences.len();
    differences.truncate(20);
    assert!(
        differences.is_empty(),
        "{count} differences:\n{}",
        differences.join("\n")
    );
}
