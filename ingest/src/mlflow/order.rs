//! The order of what a search finds: keys with a direction, and values that come before those that are missing.

use std::cmp::Ordering;

use super::error::Error;
use super::filter;

/// The most keys of one order.
const KEYS_MAX: usize = 16;

/// One key of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct By {
    /// What stands before the first dot, in lower case; empty where there is none.
    entity: String,
    key: String,
    descending: bool,
}

/// A value by which is ordered.
#[derive(Clone, Debug)]
pub(super) enum Sort<'a> {
    Number(f64),
    Whole(i64),
    Text(&'a str),
    Missing,
}

impl<'a> Sort<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text(text)
    }

    pub(super) fn whole(number: i64) -> Self {
        Self::Whole(number)
    }

    /// Numbers come before what is no number, and that before what is missing, in both directions.
    fn rank(&self) -> u8 {
        match self {
            Self::Number(number) if number.is_nan() => 1,
            Self::Missing => 2,
            _ => 0,
        }
    }

    fn compare(&self, other: &Self, descending: bool) -> Ordering {
        let natural = match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Whole(a), Self::Whole(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ => Ordering::Equal,
        };
        let natural = if descending { natural.reverse() } else { natural };
        self.rank().cmp(&other.rank()).then(natural)
    }
}

/// Reads keys such as `metrics.loss DESC`.
pub(super) fn parse(texts: &[String]) -> Result<Vec<By>, Error> {
    if texts.len() > KEYS_MAX {
        return Err(Error::invalid(format!("an order has at most {KEYS_MAX} keys")));
    }
    texts.iter().map(|text| one(text)).collect()
}

fn one(text: &str) -> Result<By, Error> {
    let ((entity, key), rest) = filter::name(text)?;
    let descending = match rest.trim().to_ascii_lowercase().as_str() {
        "" | "asc" => false,
        "desc" => true,
        _ => return Err(Error::invalid(format!("Invalid order_by clause '{}'", text.escape_debug()))),
    };
    Ok(By { entity, key, descending })
}

impl By {
    /// A key that was not read from a text.
    pub(super) fn new(entity: &str, key: &str, descending: bool) -> Self {
        Self { entity: entity.to_owned(), key: key.to_owned(), descending }
    }
}

/// It names what a search does not know.
pub(super) fn unknown(key: &str, valid: &str) -> Error {
    Error::invalid(format!("Invalid order_by key '{}'. Valid are {valid}", key.escape_debug()))
}

/// Tells the value of a member under an entity and a key.
type ValueOf<'f, 'a, T> = &'f dyn Fn(T, (&str, &str)) -> Result<Sort<'a>, Error>;

/// Orders a list, and leaves what is equal as it was.
pub(super) fn sort<T: Copy>(list: &mut Vec<T>, keys: &[By], value: ValueOf<'_, '_, T>) -> Result<(), Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let mut keyed = Vec::with_capacity(list.len());
    for member in list.iter() {
        let values = keys.iter().map(|by| value(*member, (&by.entity, &by.key))).collect::<Result<Vec<_>, _>>()?;
        keyed.push((values, *member));
    }
    keyed.sort_by(|(a, _), (b, _)| {
        let mut order = a.iter().zip(b).zip(keys).map(|((a, b), by)| a.compare(b, by.descending));
        order.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
    list.clear();
    list.extend(keyed.into_iter().map(|(_, member)| member));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_values_come_last_in_both_directions() {
        let values = [Some(1.0), None, Some(f64::NAN), Some(3.0), Some(2.0)];
        let order = |text: &str| {
            let mut list: Vec<usize> = (0..values.len()).collect();
            let keys = parse(&[text.to_owned()]).expect("an order");
            sort(&mut list, &keys, &|i, _| Ok(values[i].map_or(Sort::Missing, Sort::Number))).expect("an order");
            list
        };
        assert_eq!(order("metrics.a"), [0, 4, 3, 2, 1]);
        assert_eq!(order("metrics.`a` DESC"), [3, 4, 0, 2, 1]);
    }

    #[test]
    fn keys_are_read() {
        let keys = parse(&["metrics.`a b` desc".to_owned(), "name".to_owned()]).expect("keys");
        assert_eq!(keys, [By::new("metrics", "a b", true), By::new("", "name", false)]);
        assert!(parse(&["name down".to_owned()]).is_err());
        assert!(parse(&vec!["name".to_owned(); KEYS_MAX + 1]).is_err());
        assert!(parse(&[String::new()]).is_err());
    }
}
