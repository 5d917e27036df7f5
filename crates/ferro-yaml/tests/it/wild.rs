//! Texts as nobody should write them: with comments in all places, damaged, or put together by chance.

use proptest::prelude::*;

use crate::strategy::text;

/// Pieces that mean something to a scanner.
const PIECES: [&str; 64] = [
    "a",
    "b",
    "key",
    "1",
    "~",
    "x y",
    "é",
    "日本",
    " ",
    " ",
    "  ",
    "    ",
    "\t",
    "\n",
    "\n",
    "\n",
    "\n\n",
    "\n  ",
    "\n  ",
    "\n    ",
    "\r\n",
    "\r",
    "- ",
    "- ",
    "-",
    "? ",
    "?",
    ": ",
    ": ",
    ":",
    ":\n",
    ",",
    ", ",
    "[",
    "]",
    "{",
    "}",
    "#",
    "# c\n",
    " # d\n",
    "  # e\n",
    "\n# f\n\n",
    "'",
    "''",
    "\"",
    "\\",
    "\\\n",
    "\\x41",
    "\\n",
    "|\n",
    "|-\n ",
    "|2\n",
    ">\n  ",
    ">+\n",
    "&a ",
    "*a",
    "!",
    "!!str ",
    "!t!x ",
    "---",
    "--- ",
    "\n---\n",
    "...\n",
    "<<: ",
];

/// Pieces that are rarer still.
const RARE: [&str; 22] = [
    "%YAML 1.1\n---\n",
    "%YAML 1.2\n",
    "%TAG ! tag:x,1:\n--- ",
    "%TAG !t! !u\n---\n",
    "%",
    "@",
    "`",
    "\u{85}",
    "\u{2028}",
    "\u{2029}",
    "\u{feff}",
    "\u{feff}\u{feff}",
    "\u{a0}",
    "\u{1f600}",
    "\u{7}",
    "!<tag:yaml.org,2002:int> ",
    "!%41 ",
    "!!binary aGk=",
    "\\u12",
    "\"\\ud800\"",
    "&é",
    "0x_1",
];

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(PIECES.to_vec()),
        1 => prop::sample::select(RARE.to_vec()),
    ]
    .prop_map(str::to_owned)
}

/// Pieces in any order.
pub(crate) fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 1..24).prop_map(|pieces| pieces.concat())
}

/// A well-formed text with comments and empty lines put between and behind its lines.
pub(crate) fn commented() -> impl Strategy<Value = String> {
    let comment = (0..4_usize, "# [a-c]{0,2}|#|#d #", 0..3_usize).prop_map(|(indent, comment, empty)| {
        format!("{}{comment}\n{}", "  ".repeat(indent), "\n".repeat(empty))
    });
    let insertion = prop_oneof![
        4 => comment,
        1 => Just("\n".to_owned()),
        3 => "(  ?|\t| )# [x-z]{1,2}".prop_map(|text| format!("<{text}")),
    ];
    let insertions = prop::collection::vec((any::<prop::sample::Index>(), insertion), 1..7);
    (text(), insertions).prop_map(|(text, insertions)| {
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        for (index, insertion) in insertions {
            let at = index.index(lines.len() + 1);
            match (insertion.strip_prefix('<'), lines.get_mut(at)) {
                (Some(comment), Some(line)) => *line = format!("{}{comment}\n", line.trim_end_matches('\n')),
                (Some(_), None) => {}
                (None, _) => lines.insert(at, insertion),
            }
        }
        lines.concat()
    })
}

/// A change at some place of a text.
#[derive(Clone, Debug)]
enum Change {
    Insert(String),
    Replace(String),
    Delete(usize),
    Cut,
    RepeatLine,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => piece().prop_map(Change::Insert),
        2 => piece().prop_map(Change::Replace),
        2 => (1..4_usize).prop_map(Change::Delete),
        1 => Just(Change::Cut),
        1 => Just(Change::RepeatLine),
    ]
}

fn apply(text: &str, at: prop::sample::Index, change: &Change) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let at = at.index(chars.len() + 1);
    let end = |length: usize| (at + length).min(text.chars().count());
    match change {
        Change::Insert(piece) => drop(chars.splice(at..at, piece.chars())),
        Change::Replace(piece) => drop(chars.splice(at..end(1), piece.chars())),
        Change::Delete(length) => drop(chars.drain(at..end(*length))),
        Change::Cut => chars.truncate(at),
        Change::RepeatLine => {
            let start = chars[..at]
                .iter()
                .rposition(|c| *c == '\n')
                .map_or(0, |found| found + 1);
            let line: Vec<char> = chars[start..]
                .iter()
                .copied()
                .take_while(|c| *c != '\n')
                .chain(['\n'])
                .collect();
            drop(chars.splice(start..start, line));
        }
    }
    chars.into_iter().collect()
}

/// A text with a few changes that mostly break it.
pub(crate) fn damaged() -> impl Strategy<Value = String> {
    let base = prop_oneof![3 => text().boxed(), 2 => commented().boxed()];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), change()), 1..5);
    (base, changes).prop_map(|(text, changes)| {
        changes
            .iter()
            .fold(text, |text, (at, change)| apply(&text, *at, change))
    })
}

/// Text with wrong bytes in it, some of it longer than what Go reads at once.
pub(crate) fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let filler = prop_oneof![
        3 => Just(String::new()),
        1 => (440..560_usize).prop_map(|length| format!("{}\n", "# filler".repeat(length / 8))),
        1 => (440..560_usize).prop_map(|length| format!("k: {}\n", "é ".repeat(length / 3))),
        1 => (980..1060_usize).prop_map(|length| format!("k: '{}'\n", "x".repeat(length))),
    ];
    let base = prop_oneof![damaged().boxed(), soup().boxed()];
    let flips = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let wide = prop_oneof![6 => Just(0_u8), 1 => 1..=2_u8];
    (filler, base, flips, wide).prop_map(|(filler, base, flips, wide)| {
        let text = filler + &base;
        let mut bytes: Vec<u8> = match wide {
            0 => text.into_bytes(),
            1 => [0xFEFF]
                .into_iter()
                .chain(text.encode_utf16())
                .flat_map(u16::to_le_bytes)
                .collect(),
            _ => [0xFEFF]
                .into_iter()
                .chain(text.encode_utf16())
                .flat_map(u16::to_be_bytes)
                .collect(),
        };
        for (at, byte) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    })
}
