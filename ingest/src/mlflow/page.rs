//! Pages of long lists: so many members, and a token that leads to the next ones.

use super::error::Error;

/// Which members are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    offset: usize,
    limit: usize,
}

impl Page {
    /// Reads how many are wanted and the token of the page before.
    pub(super) fn read(wanted: Option<i64>, token: Option<&str>, default: usize, max: usize) -> Result<Self, Error> {
        let limit = match wanted {
            None => default,
            Some(wanted) => usize::try_from(wanted).ok().filter(|n| (1..=max).contains(n)).ok_or_else(|| {
                let text = format!("Invalid value {wanted} for parameter 'max_results': it must be from 1 to {max}");
                Error::invalid(text)
            })?,
        };
        let offset = match token.filter(|token| !token.is_empty()) {
            None => 0,
            Some(token) => token
                .strip_prefix('p')
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(|| Error::invalid(format!("Invalid page token '{}'", token.escape_debug())))?,
        };
        Ok(Self { offset, limit })
    }

    /// The members of this page, and the token of the next if there is one.
    pub(super) fn of<T>(self, mut list: Vec<T>) -> (Vec<T>, Option<String>) {
        let end = self.offset.saturating_add(self.limit);
        let next = (list.len() > end).then(|| format!("p{end}"));
        list.truncate(end);
        (list.split_off(self.offset.min(list.len())), next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let page = |wanted, token: Option<&str>| Page::read(wanted, token, 2, 3);
        let all = vec![1, 2, 3, 4, 5];
        let (first, next) = page(None, None).expect("a page").of(all.clone());
        assert_eq!(first, [1, 2]);
        let (second, next) = page(Some(3), next.as_deref()).expect("a page").of(all.clone());
        assert_eq!((second, next), (vec![3, 4, 5], None));
        assert_eq!(page(None, Some("p9")).expect("a page").of(all), (vec![], None));
        assert!(page(Some(0), None).is_err() && page(Some(4), None).is_err() && page(None, Some("x")).is_err());
    }
}
