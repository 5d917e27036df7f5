//! How deep the tree of an expression can become, told from its text.
//!
//! The parser bounds the nesting of brackets only. A chain of operators (`1+1+…`, `a.b.c…`) is a tree as deep as the chain is
//! long, and whatever walks the tree, down to its destructor, recurses once a level: a few kilobytes would
//! overflow the stack, which ends the process.

/// A bracket that is open, or the whole expression.
#[derive(Default)]
struct Level {
    /// Operators since the last separator; each may put one level above all that is beside it.
    run: usize,
    /// The deepest bracket among them.
    inner: usize,
    /// The deepest run so far.
    deepest: usize,
    /// `&&` and `||`, of which the parser makes a balanced tree.
    logical: usize,
}

impl Level {
    fn end_run(&mut self) {
        self.deepest = self.deepest.max(self.run + self.inner);
        (self.run, self.inner) = (0, 0);
    }

    fn depth(mut self) -> usize {
        self.end_run();
        self.deepest + self.logical.checked_ilog2().map_or(0, |bits| bits as usize + 1)
    }
}

/// A bound on the depth of the expression's tree.
pub(super) fn bound(source: &str) -> usize {
    // In a text that ends within a string, nothing is taken for one: it is refused by the parser anyhow, which must
    // survive reading it.
    scan(source, true)
        .or_else(|| scan(source, false))
        .unwrap_or(usize::MAX)
}

/// Walks over the tokens; none when a string does not end.
fn scan(source: &str, has_strings: bool) -> Option<usize> {
    let (mut outer, mut level) = (Vec::new(), Level::default());
    let mut rest = source.as_bytes();
    let mut word_start = rest;
    while let Some((&byte, after)) = rest.split_first() {
        let word = word_start
            .get(..word_start.len() - rest.len())
            .unwrap_or_default();
        if has_strings && matches!(byte, b'"' | b'\'') {
            let raw = matches!(word, b"r" | b"R" | b"br" | b"bR" | b"Br" | b"BR");
            rest = after_string(rest, raw)?;
            word_start = rest;
            continue;
        }
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            rest = after;
            continue;
        }
        if word == b"in" {
            level.run += 1;
        }
        rest = after;
        match byte {
            b'/' if after.first() == Some(&b'/') => {
                let end = after.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                rest = end.and_then(|end| after.get(end..)).unwrap_or_default();
            }
            b'(' | b'[' | b'{' => {
                level.run += 1;
                outer.push(std::mem::take(&mut level));
            }
            b')' | b']' | b'}' => {
                let inner = std::mem::replace(&mut level, outer.pop().unwrap_or_default()).depth();
                level.inner = level.inner.max(inner);
            }
            b',' => level.end_run(),
            b'&' | b'|' => {
                level.logical += 1;
                level.end_run();
            }
            b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' | b'!' | b'.' | b'?' => level.run += 1,
            _ => {}
        }
        word_start = rest;
    }
    while let Some(mut around) = outer.pop() {
        around.inner = around.inner.max(level.depth());
        level = around;
    }
    Some(level.depth())
}

/// What comes after the string that `text` begins with.
fn after_string(text: &[u8], raw: bool) -> Option<&[u8]> {
    let quote = text.get(..1)?;
    let triple = text.get(..3).filter(|three| matches!(*three, b"'''" | b"\"\"\""));
    let end = triple.unwrap_or(quote);
    let mut rest = text.get(end.len()..)?;
    loop {
        if let Some(after) = rest.strip_prefix(end) {
            return Some(after);
        }
        let (byte, after) = rest.split_first()?;
        rest = match byte {
            b'\\' if !raw => after.get(1..)?,
            b'\n' | b'\r' if triple.is_none() => return None,
            _ => after,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::bound;

    #[test]
    fn chains_and_brackets_deepen_but_neighbours_do_not() {
        assert_eq!(bound("a"), 0);
        assert_eq!(bound("a.b.c"), 2);
        assert_eq!(bound("a + b * -c"), 3);
        assert_eq!(bound("f(g(h(1)))"), 3);
        assert_eq!(bound("[1 + 1, 2 + 2, x in y]"), 2);
        assert_eq!(bound("(1 + 1) + 1 + 1"), 4);
        // `&` and `|` are counted singly: four operators, hence three levels.
        assert_eq!(bound("a.b && c.d || e.f"), 1 + 3);
        assert_eq!(bound("((("), 3);
        assert_eq!(bound("a // + + +\n+ b"), 1);
    }

    #[test]
    fn strings_are_no_operators_and_cannot_hide_them() {
        assert_eq!(bound(r"'a.b\'.c' + r'\' + 1"), 2);
        assert_eq!(bound(r#""""a"+"+""" + b"+""#), 1);
        assert_eq!(bound("x.matches('a,b')"), 2);
        assert_eq!(bound("in + inner"), 2);
        // Unterminated: all of it counts.
        assert_eq!(bound("'a + b + c"), 2);
        assert_eq!(bound("'a\n' + b + '"), 2);
    }
}
