//! When a failed delivery is tried again.
//!
//! Steps are those of Standard Webhooks 1.0.0 ("Deliverability and reliability"), carried on daily to the seventh day
//! after the event. Jitter only ever adds, and a receiver's `Retry-After` may delay a step but never hurry one.

use crate::model::{DAY, HOUR, MINUTE, Millis, SECOND};

/// After this long an event is not tried again by itself.
pub const GIVE_UP_AFTER: Millis = 7 * DAY;

/// After this long a letter is not tried again by itself: what it tells of is old by then.
pub const MAIL_GIVE_UP_AFTER: Millis = DAY;

/// The longest `Retry-After` that is obeyed.
pub const LONGEST_STEP: Millis = DAY;

/// Waits before attempts 2, 3, … of a post; the last is repeated until [`GIVE_UP_AFTER`].
pub const POST_STEPS: &[Millis] =
    &[5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

/// Waits before attempts 2, 3, … of a letter; the last is repeated until [`MAIL_GIVE_UP_AFTER`].
pub const MAIL_STEPS: &[Millis] = &[MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR];

/// What is known when an attempt has failed.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// Attempts made, this one included.
    pub attempts: u32,
    /// When the event was accepted.
    pub accepted: Millis,
    /// When the attempt ended.
    pub now: Millis,
    /// What the receiver asked for, as a time.
    pub not_before: Option<Millis>,
    /// Chance, in `0.0..1.0`.
    pub luck: f64,
}

/// When to try again, or `None` when the schedule is at its end: nothing is tried later than `within` after it was accepted.
pub fn after(failure: Failure, steps: &[Millis], within: Millis) -> Option<Millis> {
    let made = usize::try_from(failure.attempts.max(1)).ok()?;
    let step = *steps.get(made - 1).or(steps.last())?;
    let step = step.clamp(SECOND, LONGEST_STEP);
    // Jitter: up to a tenth, never less than the step.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "steps are days at most"
    )]
    let jitter = (step as f64 * 0.1 * failure.luck.clamp(0.0, 1.0)) as Millis;
    let mut due = failure.now.saturating_add(step + jitter);
    if let Some(asked) = failure.not_before {
        due = due.max(asked.min(failure.now.saturating_add(LONGEST_STEP)));
    }
    (due <= failure.accepted.saturating_add(within)).then_some(due)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_default_schedule_is_the_contracts_and_ends_on_the_seventh_day() {
        let (mut now, mut waits, mut attempts) = (0, Vec::new(), 1);
        while let Some(due) = after(
            Failure { attempts, accepted: 0, now, not_before: None, luck: 0.0 },
            POST_STEPS,
            GIVE_UP_AFTER,
        ) {
            waits.push(due - now);
            now = due;
            attempts += 1;
        }
        assert_eq!(&waits[..POST_STEPS.len()], POST_STEPS);
        assert!(waits[POST_STEPS.len()..].iter().all(|wait| *wait == DAY));
        assert!(now <= GIVE_UP_AFTER && now + DAY > GIVE_UP_AFTER);
    }

    #[test]
    fn a_letter_is_tried_for_a_day_whatever_chance_adds() {
        for luck in [0.0, 0.5, 1.0] {
            let (mut now, mut waits, mut attempts) = (0, Vec::new(), 1);
            let again = |attempts, now| {
                let failure = Failure { attempts, accepted: 0, now, not_before: None, luck };
                after(failure, MAIL_STEPS, MAIL_GIVE_UP_AFTER)
            };
            while let Some(due) = again(attempts, now) {
                waits.push((due - now) / MINUTE);
                now = due;
                attempts += 1;
            }
            assert!(now <= DAY && now > DAY - 5 * HOUR, "{waits:?}");
            if luck == 0.0 {
                assert_eq!(waits, [1, 5, 15, 30, 60, 120, 240, 240, 240, 240, 240]);
            }
        }
    }

    proptest! {
        #[test]
        fn jitter_only_adds_and_at_most_a_tenth(attempts in 1..12_u32, luck in 0.0..1.0_f64, now in 0..DAY) {
            let at = |luck| after(Failure { attempts, accepted: 0, now, not_before: None, luck }, POST_STEPS, GIVE_UP_AFTER).unwrap();
            let step = at(0.0) - now;
            prop_assert!(at(luck) >= now + step && at(luck) <= now + step + step / 10);
        }

        #[test]
        fn what_the_receiver_asks_delays_and_never_hurries(attempts in 1..12_u32, asked in -DAY..10 * DAY) {
            let plain = Failure { attempts, accepted: 0, now: 0, not_before: None, luck: 0.3 };
            let due = after(plain, POST_STEPS, GIVE_UP_AFTER).unwrap();
            let with = after(Failure { not_before: Some(asked), ..plain }, POST_STEPS, GIVE_UP_AFTER).unwrap();
            prop_assert_eq!(with, due.max(asked.min(LONGEST_STEP)));
        }

        #[test]
        fn no_number_makes_it_panic(attempts: u32, accepted: i64, now: i64, asked: Option<i64>, luck: f64, within: i64) {
            let _ = after(Failure { attempts, accepted, now, not_before: asked, luck }, MAIL_STEPS, MAIL_GIVE_UP_AFTER);
            let _ = after(Failure { attempts, accepted, now, not_before: asked, luck }, &[], within);
        }
    }
}
