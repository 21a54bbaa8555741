//! Mentions as the index keeps them: the target, and the bits in one byte.

use super::tables::{
    ABOUT, BY_DIGEST, DIGEST, ENTITY, HAS_FROM, INFERRED, INPUT, OUTPUT, PARTIAL, ROLE, ROLE_SHIFT, SIDE,
};

/// Where the flags stand that each side has of its own; the side, the role and [`ENTITY`] stand where they are.
const FLAGS: [(u16, u16, u16); 6] = [
    (INPUT, BY_DIGEST, 1 << 6),
    (INPUT, INFERRED, 1 << 7),
    (OUTPUT, PARTIAL, 1 << ROLE_SHIFT),
    (OUTPUT, HAS_FROM, 1 << (ROLE_SHIFT + 1)),
    (ABOUT, BY_DIGEST, 1 << 6),
    (ABOUT, DIGEST, 1 << 7),
];

/// The bits of a mention in a byte.
pub(crate) fn pack(bits: u16) -> u8 {
    let own = FLAGS.iter().filter(|(side, flag, _)| *side == bits & SIDE && bits & flag != 0);
    let flags = own.fold(0, |all, (.., place)| all | place);
    (bits & (SIDE | ROLE | ENTITY) | flags) as u8
}

const fn unpacked(code: u16) -> u16 {
    let side = code & SIDE;
    // Only inputs have a role.
    let mut bits = code & if side == INPUT { SIDE | ROLE | ENTITY } else { SIDE | ENTITY };
    let mut i = 0;
    while i < FLAGS.len() {
        if FLAGS[i].0 == side && code & FLAGS[i].2 != 0 {
            bits |= FLAGS[i].1;
        }
        i += 1;
    }
    bits
}

const BITS: [u16; 256] = {
    let mut bits = [0; 256];
    let mut code = 0;
    while code < bits.len() {
        bits[code] = unpacked(code as u16);
        code += 1;
    }
    bits
};

/// The bits of a mention.
#[inline]
pub(crate) fn unpack(code: u8) -> u16 {
    BITS[usize::from(code)]
}

/// The mentions of one event.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mentions<'a> {
    pub(crate) targets: &'a [u32],
    pub(crate) codes: &'a [u8],
}

impl<'a> Mentions<'a> {
    /// How many there are.
    pub(crate) fn len(self) -> usize {
        self.targets.len()
    }

    /// Targets and bits.
    #[inline]
    pub(crate) fn iter(self) -> impl Iterator<Item = (u32, u16)> + Clone + use<'a> {
        self.targets.iter().zip(self.codes).map(|(target, code)| (*target, unpack(*code)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_says_all_that_a_mention_of_its_side_can() {
        let flags = |side: u16| FLAGS.iter().filter(move |(of, ..)| *of == side).map(|(_, flag, _)| *flag);
        for side in [INPUT, OUTPUT, ABOUT] {
            let roles = if side == INPUT { 0..6 } else { 0..1 };
            for role in roles {
                for chosen in 0..8u16 {
                    let more = flags(side).chain([ENTITY]).zip(0..).filter(|(_, i)| chosen >> i & 1 == 1);
                    let bits = more.fold(side | role << ROLE_SHIFT, |all, (flag, _)| all | flag);
                    assert_eq!(unpack(pack(bits)), bits, "{bits:#b}");
                }
            }
        }
    }
}
