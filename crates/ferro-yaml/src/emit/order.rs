//! The order in which go-yaml sorts keys.

use std::cmp::Ordering;

use ferro_gocompat::unicode::{is_digit, is_letter};

use super::Flavor;

/// Compares two keys: letters after other characters, runs of digits by their value. In v3, after a
/// common digit, a letter comes first.
pub(super) fn compare_keys(left: &str, right: &str, flavor: Flavor) -> Ordering {
    if left.is_ascii() && right.is_ascii() {
        return compare(
            left.bytes().map(char::from),
            right.bytes().map(char::from),
            flavor,
        );
    }
    compare(left.chars(), right.chars(), flavor)
}

fn compare<I: Iterator<Item = char> + Clone>(mut left: I, mut right: I, flavor: Flavor) -> Ordering {
    let mut after_digit = false;
    // Whether the common run of digits just before has one that is not 0.
    let mut in_number = false;
    loop {
        let (left_tail, right_tail) = (left.clone(), right.clone());
        let (a, b) = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => (a, b),
        };
        if a == b {
            after_digit = is_digit(a);
            in_number = after_digit && (in_number || a != '0');
            continue;
        }
        return match (is_letter(a), is_letter(b)) {
            (true, true) => a.cmp(&b),
            (a_is_letter, b_is_letter) if a_is_letter || b_is_letter => {
                let letter_first = flavor == Flavor::V3 && after_digit;
                if a_is_letter == letter_first {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            _ => {
                let start = i64::from(in_number && (a == '0' || b == '0'));
                number(left_tail, start)
                    .cmp(&number(right_tail, start))
                    .then(a.cmp(&b))
            }
        };
    }
}

/// The value and the length of the digits at the start, with Go's silent overflow.
fn number(digits: impl Iterator<Item = char>, start: i64) -> (i64, usize) {
    digits
        .take_while(|c| is_digit(*c))
        .fold((start, 0), |(value, length), digit| {
            let digit = i64::from(u32::from(digit)) - i64::from(u32::from('0'));
            (value.wrapping_mul(10).wrapping_add(digit), length + 1)
        })
}
