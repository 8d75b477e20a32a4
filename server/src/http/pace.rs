//! How often something may be asked: so many times in any minute, by whatever it is counted.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use sonnette_core::model::{MINUTE, Millis, SECOND};

/// Names that are counted at once. Beyond, nothing new is let through until old ones are a minute old.
const MOST: usize = 10_000;

/// What is wanted, counted by one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Such as `owner orga_…`.
    pub(super) by: String,
    /// How many times now.
    pub(super) times: usize,
    /// How many times in a minute at most.
    pub(super) most: usize,
}

/// When what was let through.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<String, VecDeque<Millis>>>);

impl Pace {
    /// Lets all of it through, or nothing.
    ///
    /// # Errors
    /// The seconds to wait, at least 1, and the name that counts too many.
    pub(super) fn take(&self, wanted: &[Wanted], now: Millis) -> Result<(), (u64, String)> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old = |times: &mut VecDeque<Millis>| {
            while times.front().is_some_and(|at| now - at >= MINUTE) {
                times.pop_front();
            }
            times.is_empty()
        };
        if seen.len() >= MOST {
            seen.retain(|_, times| !old(times));
        }
        for one in wanted {
            let Some(times) = seen.get_mut(&one.by) else {
                if seen.len() >= MOST || one.times > one.most {
                    return Err((60, one.by.clone()));
                }
                continue;
            };
            old(times);
            let over = (times.len() + one.times).saturating_sub(one.most);
            if over > 0 {
                let free = times.get(over - 1).map_or(now, |at| *at) + MINUTE;
                let wait = (free - now).clamp(1, MINUTE).unsigned_abs();
                return Err((wait.div_ceil(SECOND.unsigned_abs()), one.by.clone()));
            }
        }
        for one in wanted {
            seen.entry(one.by.clone()).or_default().extend(std::iter::repeat_n(now, one.times));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by(name: &str, times: usize, most: usize) -> Wanted {
        Wanted { by: name.to_owned(), times, most }
    }

    #[test]
    fn what_is_refused_counts_nowhere_and_says_when_to_ask_again() {
        let pace = Pace::default();
        let both = [by("owner", 1, 2), by("host", 2, 3)];
        assert_eq!(pace.take(&both, 0), Ok(()));
        assert_eq!(pace.take(&both, 10_000), Err((50, "host".to_owned())));
        assert_eq!(pace.take(&both[..1], 20_500), Ok(()), "the refused one did not count for the owner");
        assert_eq!(pace.take(&both[..1], 30_000), Err((30, "owner".to_owned())));
        assert_eq!(pace.take(&both[..1], 60_000), Ok(()));
        assert_eq!(pace.take(&both[..1], 60_000), Err((21, "owner".to_owned())));
        assert_eq!(pace.take(&[by("never", 4, 3)], 0), Err((60, "never".to_owned())));
    }

    #[test]
    fn names_without_end_do_not_fill_the_memory() {
        let pace = Pace::default();
        let taken = (0..MOST + 50).filter(|n| pace.take(&[by(&n.to_string(), 1, 1)], 0).is_ok()).count();
        assert_eq!(taken, MOST);
        assert_eq!(pace.take(&[by("another", 1, 1)], MINUTE), Ok(()));
        assert_eq!(pace.0.lock().unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn never_more_than_so_many_in_any_minute(steps in prop::collection::vec((0..30_000_i64, 1..4_usize), 1..80)) {
            let (pace, mut now, mut through) = (Pace::default(), 0, Vec::new());
            for (later, times) in steps {
                now += later;
                match pace.take(&[by("x", times, 5)], now) {
                    Ok(()) => through.extend(std::iter::repeat_n(now, times)),
                    Err((wait, _)) => {
                        prop_assert!((1..=60).contains(&wait));
                        let at = now + i64::try_from(wait).unwrap() * SECOND;
                        let left = through.iter().filter(|then| at - **then < MINUTE).count();
                        prop_assert!(left + times <= 5, "after the wait there is room");
                    }
                }
            }
            for at in &through {
                prop_assert!(through.iter().filter(|then| (0..MINUTE).contains(&(*then - at))).count() <= 5);
            }
        }
    }
}
