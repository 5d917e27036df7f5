//! Differences of texts, line by line, as `diff -u` prints them.

use std::fmt::Write as _;

/// Lines that are shown around a change.
const CONTEXT: usize = 3;
/// Pairs of lines that are compared at most; larger differences are shown as a whole.
const LIMIT: usize = 4 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit<'t> {
    Keep(&'t str),
    Remove(&'t str),
    Add(&'t str),
}

impl Edit<'_> {
    /// Whether the line is in the first text.
    const fn is_old(&self) -> bool {
        !matches!(self, Self::Add(_))
    }

    /// Whether the line is in the second text.
    const fn is_new(&self) -> bool {
        !matches!(self, Self::Remove(_))
    }
}

/// Writes what differs between two texts, nothing if they are the same.
#[must_use]
pub fn unified(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let edits = edits(&old, &new);
    let mut text = String::new();
    for (first, last) in hunks(&edits) {
        let hunk = edits.get(first..last).unwrap_or_default();
        let earlier = edits.get(..first).unwrap_or_default();
        let range = |counts: fn(&Edit<'_>) -> bool| {
            let count = |edits: &[Edit<'_>]| edits.iter().filter(|edit| counts(edit)).count();
            let length = count(hunk);
            // An empty range names the line before it.
            format!("{},{length}", count(earlier) + usize::from(length > 0))
        };
        writeln!(
            text,
            "@@ -{} +{} @@",
            range(|edit| edit.is_old()),
            range(|edit| edit.is_new())
        )
        .unwrap_or_default();
        for edit in hunk {
            let (sign, line) = match edit {
                Edit::Keep(line) => (' ', line),
                Edit::Remove(line) => ('-', line),
                Edit::Add(line) => ('+', line),
            };
            writeln!(text, "{sign}{line}").unwrap_or_default();
        }
    }
    text
}

/// The ranges of edits that are shown: changes with what is around them.
fn hunks(edits: &[Edit<'_>]) -> Vec<(usize, usize)> {
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (index, edit) in edits.iter().enumerate() {
        if matches!(edit, Edit::Keep(_)) {
            continue;
        }
        let (first, last) = (
            index.saturating_sub(CONTEXT),
            (index + CONTEXT + 1).min(edits.len()),
        );
        match hunks.last_mut() {
            Some((_, end)) if *end >= first => *end = last,
            _ => hunks.push((first, last)),
        }
    }
    hunks
}

fn edits<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<Edit<'t>> {
    let same = |(a, b): &(&&str, &&str)| a == b;
    let prefix = old.iter().zip(new).take_while(same).count();
    let (old_rest, new_rest) = (
        old.get(prefix..).unwrap_or_default(),
        new.get(prefix..).unwrap_or_default(),
    );
    let suffix = old_rest
        .iter()
        .rev()
        .zip(new_rest.iter().rev())
        .take_while(same)
        .count();
    let middle = |rest: &[&'t str]| rest.get(..rest.len() - suffix).unwrap_or_default().to_vec();
    let (old_middle, new_middle) = (middle(old_rest), middle(new_rest));
    let kept = |lines: Option<&[&'t str]>| -> Vec<Edit<'t>> {
        lines
            .unwrap_or_default()
            .iter()
            .map(|line| Edit::Keep(line))
            .collect()
    };
    let mut edits = kept(old.get(..prefix));
    edits.extend(changes(&old_middle, &new_middle));
    edits.extend(kept(old.get(old.len() - suffix..)));
    edits
}

/// The edits between lines that differ at both ends, by their longest common subsequence.
fn changes<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<Edit<'t>> {
    if old.len().saturating_mul(new.len()) > LIMIT {
        let removed = old.iter().map(|line| Edit::Remove(line));
        return removed.chain(new.iter().map(|line| Edit::Add(line))).collect();
    }
    // How long the common subsequence of the rests is that begin at each pair of lines.
    let width = new.len() + 1;
    let mut lengths = vec![0_u32; width * (old.len() + 1)];
    let length = |lengths: &[u32], i: usize, j: usize| lengths.get(i * width + j).copied().unwrap_or(0);
    for (i, before) in old.iter().enumerate().rev() {
        for (j, after) in new.iter().enumerate().rev() {
            let longest = if before == after {
                length(&lengths, i + 1, j + 1) + 1
            } else {
                length(&lengths, i + 1, j).max(length(&lengths, i, j + 1))
            };
            if let Some(cell) = lengths.get_mut(i * width + j) {
                *cell = longest;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut edits = Vec::with_capacity(old.len() + new.len());
    loop {
        match (old.get(i), new.get(j)) {
            (None, None) => return edits,
            (Some(before), Some(after)) if before == after => {
                edits.push(Edit::Keep(before));
                (i, j) = (i + 1, j + 1);
            }
            (Some(before), after)
                if after.is_none() || length(&lengths, i + 1, j) >= length(&lengths, i, j + 1) =>
            {
                edits.push(Edit::Remove(before));
                i += 1;
            }
            (_, Some(after)) => {
                edits.push(Edit::Add(after));
                j += 1;
            }
            (Some(before), None) => {
                edits.push(Edit::Remove(before));
                i += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_shown_with_their_surroundings() {
        let before = "a\nb\nc\nd\ne\nf\ng\nh\n";
        let after = "a\nb\nc\nd\nE\nf\ng\nh\ni\n";
        assert_eq!(
            unified(before, after),
            "@@ -2,7 +2,8 @@\n b\n c\n d\n-e\n+E\n f\n g\n h\n+i\n"
        );
        assert_eq!(unified(before, before), "");
        assert_eq!(unified("", "a\n"), "@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(unified("a\nb\n", "b\n"), "@@ -1,2 +1,1 @@\n-a\n b\n");
    }

    #[test]
    fn changes_far_from_each_other_are_shown_apart() {
        let lines = |first: &str, last: &str| format!("{first}\n{}{last}\n", "x\n".repeat(20));
        let text = unified(&lines("a", "b"), &lines("A", "B"));
        assert_eq!(text.matches("@@ -").count(), 2);
        assert!(text.contains("@@ -19,4 +19,4 @@\n x\n x\n x\n-b\n+B\n"), "{text}");
    }

    #[test]
    fn what_is_shown_leads_from_one_text_to_the_other() {
        // Texts of few different lines, made up from numbers: the common subsequence is anything but obvious.
        let text = |seed: u64| {
            let line =
                |n: u64| char::from(b'a' + u8::try_from((seed * 31 + n * n * 7 + n * seed) % 4).unwrap());
            (0..12).map(|n| format!("{}\n", line(n))).collect::<String>()
        };
        for seed in 0..200 {
            let (before, after) = (text(seed), text(seed + 1));
            let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
            let edits = edits(&old, &new);
            let side = |removed: bool| -> Vec<&str> {
                let lines = edits.iter().filter_map(|edit| match edit {
                    Edit::Keep(line) => Some(*line),
                    Edit::Remove(line) => removed.then_some(*line),
                    Edit::Add(line) => (!removed).then_some(*line),
                });
                lines.collect()
            };
            assert_eq!((side(true), side(false)), (old, new), "{seed}");
        }
    }
}
