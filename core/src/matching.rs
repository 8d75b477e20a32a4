//! Who is owed what: the one rule that turns an event and its owner's hooks into deliveries.
//!
//! The store calls [`plan`] inside the transaction that accepts the event, on the hooks as they are there, so that a
//! hook switched off a moment ago holds what it is owed, and the property tests call the very same function.

use crate::ids::{DestinationId, HookId, OwnerId, ResourceId};
use crate::model::{Held, Hook, HookState, State, Way};

/// A set of kinds, as the catalogue numbers them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KindSet(Vec<u64>);

impl KindSet {
    /// Adds a kind.
    pub fn insert(&mut self, kind: u16) {
        let word = usize::from(kind / 64);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (kind % 64);
    }

    /// Whether it holds a kind.
    pub fn contains(&self, kind: u16) -> bool {
        self.0.get(usize::from(kind / 64)).is_some_and(|word| word >> (kind % 64) & 1 == 1)
    }
}

/// A hook reduced to what matching reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The hook.
    pub hook: HookId,
    /// Its kinds, families opened; `None` means every kind.
    pub kinds: Option<KindSet>,
    /// Its applications and add-ons, sorted; `None` means all.
    pub scope: Option<Vec<ResourceId>>,
    /// Letters or posts.
    pub email: bool,
    /// Where what it is owed waits.
    pub destinations: Vec<DestinationId>,
    /// What the owner decided.
    pub state: HookState,
}

impl Rule {
    /// Reduces a hook. `open` gives the kinds of the names a hook lists; names no longer in the catalogue match nothing.
    pub fn of(hook: &Hook, open: impl FnOnce(&[String]) -> KindSet) -> Self {
        let mut scope = hook.scope.clone();
        if let Some(scope) = &mut scope {
            scope.sort();
        }
        Self {
            hook: hook.id,
            kinds: hook.events.as_deref().map(open),
            scope,
            email: matches!(hook.way, Way::Email { .. }),
            destinations: hook.destination_ids(),
            state: hook.state,
        }
    }
}

/// An event reduced to what matching reads.
#[derive(Debug, Clone, Copy)]
pub struct Occurrence<'a> {
    /// Whose.
    pub owner: OwnerId,
    /// Its kind.
    pub kind: u16,
    /// The application or add-on it is about, under every id it has (an add-on has two).
    pub resource: &'a [ResourceId],
    /// The hook it is about.
    pub about_hook: Option<HookId>,
    /// Whether its kind tells the owner's admins without any hook.
    pub tells_admins: bool,
    /// Whether its kind is private: then no hook is owed it.
    pub private: bool,
}

/// One delivery an event owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    /// By which hook; `None` for the house's own letters.
    pub hook: Option<HookId>,
    /// Where it waits.
    pub destination: DestinationId,
    /// Whether it is a letter, to be resolved into one per address.
    pub email: bool,
    /// Pending, or held.
    pub state: State,
}

/// The deliveries an event owes, given its owner's rules, in the rules' order.
pub fn plan(event: &Occurrence<'_>, rules: &[Rule]) -> Vec<Owed> {
    if event.private {
        return Vec::new();
    }
    let mut owed = Vec::new();
    for rule in rules.iter().filter(|rule| matches(event, rule)) {
        let state = match rule.state {
            HookState::Enabled => State::Pending,
            HookState::Paused => State::Held(Held::Paused),
            HookState::Disabled => State::Held(Held::Disabled),
        };
        owed.extend(rule.destinations.iter().map(|destination| Owed {
            hook: Some(rule.hook),
            destination: *destination,
            email: rule.email,
            state,
        }));
    }
    if event.tells_admins {
        // Last, so that a hook that mails an admin is resolved first and the house's letter finds its address taken.
        owed.push(Owed { hook: None, destination: DestinationId::HOUSE, email: true, state: State::Pending });
    }
    owed
}

fn matches(event: &Occurrence<'_>, rule: &Rule) -> bool {
    event.about_hook != Some(rule.hook)
        && rule.kinds.as_ref().is_none_or(|kinds| kinds.contains(event.kind))
        && rule
            .scope
            .as_ref()
            .is_none_or(|scope| event.resource.iter().any(|resource| scope.binary_search(resource).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    fn resource(n: u8) -> ResourceId {
        format!("app_11111111-1111-4111-8111-1111111111{n:02}").parse().unwrap()
    }

    prop_compose! {
        fn any_rule()(
            hook in 1..50_i64,
            kinds in option::of(vec(0..70_u16, 0..6)),
            scope in option::of(vec(0..5_u8, 0..4)),
            email: bool,
            destinations in 1..4_i64,
            state in 0..3_usize,
        ) -> Rule {
            Rule {
                hook: HookId(hook),
                kinds: kinds.map(|kinds| {
                    let mut set = KindSet::default();
                    kinds.into_iter().for_each(|k| set.insert(k));
                    set
                }),
                scope: scope.map(|s| {
                    let mut s: Vec<_> = s.into_iter().map(resource).collect();
                    s.sort();
                    s
                }),
                email,
                destinations: (0..destinations).map(|d| DestinationId(hook * 10 + d)).collect(),
                state: HookState::ALL[state],
            }
        }
    }

    proptest! {
        #[test]
        fn a_hook_is_owed_exactly_what_its_events_and_scope_say(
            rules in vec(any_rule(), 0..8), kind in 0..70_u16, about in option::of(0..5_u8), hook in option::of(1..50_i64),
        ) {
            let ids: Vec<_> = about.map(resource).into_iter().collect();
            let event = Occurrence {
                owner: "orga_22222222-2222-4222-8222-222222222222".parse().unwrap(),
                kind, resource: &ids, about_hook: hook.map(HookId), tells_admins: false, private: false,
            };
            let owed = plan(&event, &rules);
            let mut expected = Vec::new();
            for rule in &rules {
                let by_kind = rule.kinds.as_ref().is_none_or(|k| k.contains(kind));
                let by_scope = match (&rule.scope, ids.first()) {
                    (None, _) => true,
                    (Some(scope), Some(id)) => scope.contains(id),
                    (Some(_), None) => false,
                };
                if by_kind && by_scope && Some(rule.hook) != event.about_hook {
                    for d in &rule.destinations {
                        expected.push((Some(rule.hook), *d, rule.state == HookState::Enabled));
                    }
                }
            }
            let got: Vec<_> = owed.iter().map(|o| (o.hook, o.destination, o.state == State::Pending)).collect();
            prop_assert_eq!(got, expected);
            prop_assert!(owed.iter().all(|o| o.state.is_live() || matches!(o.state, State::Held(_))));
        }

        #[test]
        fn a_private_kind_is_owed_to_nobody_and_admins_are_told_last(rules in vec(any_rule(), 0..8)) {
            let mut event = Occurrence {
                owner: "orga_22222222-2222-4222-8222-222222222222".parse().unwrap(),
                kind: 1, resource: &[], about_hook: None, tells_admins: true, private: false,
            };
            let owed = plan(&event, &rules);
            prop_assert_eq!(owed.last().map(|o| (o.hook, o.email)), Some((None, true)));
            event.private = true;
            prop_assert!(plan(&event, &rules).is_empty());
        }

        #[test]
        fn a_set_of_kinds_holds_what_was_put_in(put in vec(0..300_u16, 0..20), probe in 0..300_u16) {
            let mut set = KindSet::default();
            put.iter().for_each(|k| set.insert(*k));
            prop_assert_eq!(set.contains(probe), put.contains(&probe));
        }
    }
}
