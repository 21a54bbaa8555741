//! Values of parameters and metrics, packed into 32 bits where they fit.

use crate::event::canonical;

/// A parameter or metric as it is queried.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number; NaN and the infinities included.
    Number(f64),
    /// A text.
    Text(String),
    /// A truth value.
    Bool(bool),
    /// Null, a list or an object: present, shown in the event, but not comparable.
    Other,
}

/// Decimal numbers: 25 bits of mantissa, a sign, four bits of negative exponent.
const DECIMAL: u32 = 0;
/// An index into the wide numbers.
const WIDE: u32 = 1;
/// A symbol.
const SYMBOL: u32 = 2;
/// `false`, `true`, anything else.
const WORD: u32 = 3;
const TAG_SHIFT: u32 = 30;
const PAYLOAD: u32 = (1 << TAG_SHIFT) - 1;
const MANTISSA_BITS: u32 = 25;

/// What a packed value refers to.
pub(crate) enum Packed {
    Number(f64),
    Wide(u32),
    Symbol(u32),
    Bool(bool),
    Other,
}

/// Packs a small decimal given as canonical JSON text.
pub(crate) fn pack_decimal(text: &str) -> Option<u32> {
    let (negative, digits) = text.strip_prefix('-').map_or((0, text), |d| (1, d));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() > 9 || fraction.len() > 15 {
        return None;
    }
    let mut mantissa = 0u32;
    for digit in whole.bytes().chain(fraction.bytes()) {
        mantissa = mantissa * 10 + u32::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    if mantissa >= 1 << MANTISSA_BITS || (negative == 1 && mantissa == 0) {
        return None;
    }
    Some(DECIMAL << TAG_SHIFT | (fraction.len() as u32) << 26 | negative << MANTISSA_BITS | mantissa)
}

/// Packs an index into the wide numbers.
pub(crate) fn pack_wide(index: u32) -> u32 {
    WIDE << TAG_SHIFT | index
}

/// Packs a symbol.
pub(crate) fn pack_symbol(symbol: u32) -> u32 {
    SYMBOL << TAG_SHIFT | symbol
}

/// Packs a JSON word, list or object.
pub(crate) fn pack_word(text: &str) -> u32 {
    let code = match text {
        "false" => 0,
        "true" => 1,
        _ => 2,
    };
    WORD << TAG_SHIFT | code
}

/// What a packed value holds.
pub(crate) fn unpack(packed: u32) -> Packed {
    let payload = packed & PAYLOAD;
    match packed >> TAG_SHIFT {
        DECIMAL => {
            let mantissa = f64::from(payload & ((1 << MANTISSA_BITS) - 1));
            let sign = if payload >> MANTISSA_BITS & 1 == 1 { -1.0 } else { 1.0 };
            // Both sides are exact, so the quotient is the double nearest to the decimal.
            Packed::Number(sign * mantissa / 10f64.powi((payload >> 26) as i32))
        }
        WIDE => Packed::Wide(payload),
        SYMBOL => Packed::Symbol(payload),
        _ => match payload {
            0 => Packed::Bool(false),
            1 => Packed::Bool(true),
            _ => Packed::Other,
        },
    }
}

/// A JSON number or one of the words NaN, Infinity, -Infinity as a double.
pub(crate) fn number(text: &str) -> Option<f64> {
    match text {
        "\"NaN\"" => Some(f64::NAN),
        "\"Infinity\"" => Some(f64::INFINITY),
        "\"-Infinity\"" => Some(f64::NEG_INFINITY),
        _ if text.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) => text.parse().ok(),
        _ => None,
    }
}

/// The text of a JSON string.
pub(crate) fn text(json: &str) -> Option<String> {
    canonical::text_of(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_survive_packing() {
        for text in ["0", "1", "-1", "0.93", "-12.5", "0.00001", "0.93211", "33554431", "1000000"] {
            let Some(packed) = pack_decimal(text) else { panic!("{text} does not pack") };
            let Packed::Number(value) = unpack(packed) else { panic!("{text} is no number") };
            assert_eq!(value.to_bits(), text.parse::<f64>().expect("a number").to_bits(), "{text}");
        }
        for text in ["33554432", "0.1234567891", "1e-7", "-0.0"] {
            assert_eq!(pack_decimal(text), None, "{text}");
        }
    }
}
