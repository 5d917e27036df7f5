//! DSA keys, which sprig still makes.

use num_bigint::BigUint;

use super::der::{INTEGER, Reader, SEQUENCE, integer, sequence};
use crate::random::Dice;

/// Sizes of the primes, in bits.
const P_BITS: u64 = 2_048;
const Q_BITS: u64 = 256;
/// Rounds of the primality test; a composite passes one with a probability of a quarter at most.
const ROUNDS: usize = 64;

/// A key: the parameters, the public and the private value.
pub(super) struct Key {
    p: BigUint,
    q: BigUint,
    g: BigUint,
    y: BigUint,
    x: BigUint,
}

impl Key {
    /// Makes parameters and a key, by the steps of Go's `crypto/dsa`.
    pub(super) fn generate(dice: &Dice) -> Self {
        let (p, q) = primes(dice);
        let one = BigUint::from(1_u32);
        let exponent = (&p - &one) / &q;
        let mut base = BigUint::from(2_u32);
        let g = loop {
            let candidate = base.modpow(&exponent, &p);
            if candidate != one {
                break candidate;
            }
            base += 1_u32;
        };
        let x = loop {
            let candidate = random(Q_BITS, dice);
            if candidate > BigUint::ZERO && candidate < q {
                break candidate;
            }
        };
        let y = g.modpow(&x, &p);
        Self { p, q, g, y, x }
    }

    pub(super) fn to_der(&self) -> Vec<u8> {
        let number = |value: &BigUint| integer(&value.to_bytes_be());
        sequence(&[
            &integer(&[0]),
            &number(&self.p),
            &number(&self.q),
            &number(&self.g),
            &number(&self.y),
            &number(&self.x),
        ])
    }

    pub(super) fn from_der(der: &[u8]) -> Result<Self, String> {
        Self::read(der).ok_or_else(|| "asn1: structure error: this is no DSA private key".to_owned())
    }

    fn read(der: &[u8]) -> Option<Self> {
        let mut key = Reader(Reader(der).expect(SEQUENCE)?);
        key.expect(INTEGER)?;
        let mut number = || key.expect(INTEGER).map(BigUint::from_bytes_be);
        Some(Self {
            p: number()?,
            q: number()?,
            g: number()?,
            y: number()?,
            x: number()?,
        })
    }
}

fn random(bits: u64, dice: &Dice) -> BigUint {
    let mut bytes = vec![0; usize::try_from(bits / 8).unwrap_or(0)];
    dice.fill(&mut bytes);
    BigUint::from_bytes_be(&bytes)
}

/// A prime of 2048 bits, and one of 256 bits that divides its predecessor.
fn primes(dice: &Dice) -> (BigUint, BigUint) {
    loop {
        let mut q = random(Q_BITS, dice);
        q.set_bit(0, true);
        q.set_bit(Q_BITS - 1, true);
        if !is_prime(&q, dice) {
            continue;
        }
        for _ in 0..4 * P_BITS {
            let mut p = random(P_BITS, dice);
            p.set_bit(0, true);
            p.set_bit(P_BITS - 1, true);
            let rest = &p % &q;
            p = p + 1_u32 - rest;
            if p.bit(0) && p.bits() == P_BITS && is_prime(&p, dice) {
                return (p, q);
            }
        }
    }
}

/// Divides by small primes, then tests by Miller and Rabin.
fn is_prime(candidate: &BigUint, dice: &Dice) -> bool {
    const SMALL: [u32; 45] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101,
        103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173, 179, 181, 191, 193, 197, 199,
    ];
    if SMALL.iter().any(|prime| (candidate % prime) == BigUint::ZERO) {
        return false;
    }
    let one = BigUint::from(1_u32);
    let minus_one = candidate - &one;
    let twos = minus_one.trailing_zeros().unwrap_or(0);
    let odd = &minus_one >> twos;
    let passes = |base: &BigUint| {
        let mut power = base.modpow(&odd, candidate);
        if power == one || power == minus_one {
            return true;
        }
        for _ in 1..twos {
            power = &power * &power % candidate;
            if power == minus_one {
                return true;
            }
        }
        false
    };
    // Most composites fail for the base 2.
    passes(&BigUint::from(2_u32))
        && (0..ROUNDS).all(|_| {
            let base = random(candidate.bits().div_ceil(8) * 8, dice) % candidate;
            base <= one || passes(&base)
        })
}
