//! How often something may be asked for: so many times in ten minutes for each name, in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sonnette_core::model::{MINUTE, Millis};

/// Over which time is counted.
const WINDOW: Millis = 10 * MINUTE;
/// Names counted at once. Beyond, the oldest windows are forgotten first, and if none is over everybody waits.
const MOST: usize = 50_000;

/// Counts.
#[derive(Default)]
pub(super) struct Limits(Mutex<HashMap<String, (Millis, u32)>>);

impl Limits {
    /// Counts one more for a name: whether it is within `most`.
    pub(super) fn allow(&self, name: &str, most: u32, now: Millis) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST && !counts.contains_key(name) {
            counts.retain(|_, (since, _)| now - *since < WINDOW);
            if counts.len() >= MOST {
                return false;
            }
        }
        let (since, count) = counts.entry(name.to_owned()).or_insert((now, 0));
        if now - *since >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_so_many_in_ten_minutes_and_others_have_theirs() {
        let limits = Limits::default();
        let given: Vec<_> = (0..4).map(|at| limits.allow("a", 3, at)).collect();
        assert_eq!(given, [true, true, true, false]);
        assert!(limits.allow("b", 3, 4));
        assert!(!limits.allow("a", 3, WINDOW - 1) && limits.allow("a", 3, WINDOW));
    }
}
