//! Numbers as protobuf's JSON has them: whole ones also as strings, and the three values that JSON has no word for.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A whole number of 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Int(pub i64);

/// A double, also NaN and the infinities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Double(pub f64);

impl Serialize for Int {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Int;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of 64 bits")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Int, E> {
                Ok(Int(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Int, E> {
                i64::try_from(value).map(Int).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Int, E> {
                // Python's clients write a time that was divided as 1.7e12.
                if value.fract() == 0.0 && value.abs() < 9.0e18 {
                    return Ok(Int(value as i64));
                }
                Err(E::invalid_value(de::Unexpected::Float(value), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Int, E> {
                text.parse().map(Int).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Whole)
    }
}

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match word(self.0) {
            Some(word) => serializer.serialize_str(word),
            None => serializer.serialize_f64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Double;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or NaN, Infinity or -Infinity as a string")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Double, E> {
                Ok(Double(value as f64))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Double, E> {
                Ok(Double(value as f64))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Double, E> {
                Ok(Double(value))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Double, E> {
                text.parse().map(Double).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Number)
    }
}

/// The word for what JSON has no number for.
pub(super) fn word(value: f64) -> Option<&'static str> {
    match value {
        v if v.is_nan() => Some("NaN"),
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_in_several_spellings() {
        let ints: Vec<Int> = serde_json::from_str(r#"[1,"-2",3.0,9223372036854775807]"#).expect("numbers");
        assert_eq!(ints, [1, -2, 3, i64::MAX].map(Int));
        for bad in ["1.5", "\"x\"", "18446744073709551615", "true"] {
            assert!(serde_json::from_str::<Int>(bad).is_err(), "{bad}");
        }
        let text = r#"[1.5,"NaN","Infinity","-Infinity",2]"#;
        let doubles: Vec<Double> = serde_json::from_str(text).expect("numbers");
        assert!(doubles[1].0.is_nan());
        assert_eq!(serde_json::to_string(&doubles).expect("text"), text.replace(",2]", ",2.0]"));
    }

    #[test]
    fn a_double_is_read_to_the_last_bit() {
        let (mut bits, mut read) = (0x9e37_79b9_7f4a_7c15_u64, 0);
        for _ in 0..2000 {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            let value = f64::from_bits(bits);
            if value.is_finite() {
                let text = format!("[{value:e}]");
                let [Double(told)] = serde_json::from_str(&text).expect("a number");
                assert_eq!(told.to_bits(), bits, "{text}");
                read += 1;
            }
        }
        assert!(read > 1900, "{read}");
    }
}
