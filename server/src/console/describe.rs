//! Hooks in words: which events, for what, to whom, and how it went lately.

use std::collections::HashMap;
use std::fmt;

use askama::filters::HtmlSafe;
use sonnette_core::catalogue::Catalogue;
use sonnette_core::ids::{ResourceId, UserId};
use sonnette_core::model::{Delivery, Millis, State, Target};

use super::words::{Lang, Words};

/// Names told before the rest is only counted.
const TOLD: usize = 3;

/// What people call a kind or a family. An operator's own have the catalogue's words, in its language.
pub(super) fn event(lang: Lang, catalogue: &Catalogue, name: &str) -> String {
    if let Some(ours) = lang.named(name) {
        return ours.to_owned();
    }
    if let Some(family) = catalogue.family(name) {
        return family.label.clone();
    }
    let kind = catalogue.find(name).map(|(_, kind)| kind.description.trim_end_matches('.'));
    kind.unwrap_or(name).to_owned()
}

/// What a hook tells of.
pub(super) fn events(lang: Lang, catalogue: &Catalogue, names: Option<&[String]>) -> String {
    match names {
        None => lang.every_event().to_owned(),
        Some(names) => some_of(lang, names.iter().map(|name| event(lang, catalogue, name))),
    }
}

/// For which applications and add-ons. One that is gone has only its id left.
pub(super) fn scope(lang: Lang, scope: Option<&[ResourceId]>, names: &HashMap<ResourceId, String>) -> String {
    match scope {
        None => lang.all_resources().to_owned(),
        Some(ids) => some_of(
            lang,
            ids.iter().map(|id| match names.get(id) {
                Some(name) => name.clone(),
                None => format!("{id} ({})", lang.resource_gone()),
            }),
        ),
    }
}

/// To whom an e-mail hook writes.
pub(super) fn recipients(
    lang: Lang,
    targets: &[Target],
    people: &HashMap<UserId, String>,
    personal: bool,
) -> String {
    let mut told = Vec::new();
    for target in targets {
        match target {
            Target::Organisation { .. } if personal => told.push(lang.you().to_owned()),
            Target::Organisation { roles } if roles.is_empty() => {
                told.push(lang.whole_organisation().to_owned());
            }
            Target::Organisation { roles } => {
                let roles: Vec<_> =
                    roles.iter().map(|role| lang.named(role.as_str()).unwrap_or(role.as_str())).collect();
                told.push(lang.roles_of(roles.join(", ")));
            }
            Target::User(id) | Target::Maker(id) => {
                told.push(people.get(id).cloned().unwrap_or_else(|| id.to_string()));
            }
            Target::Addresses(addresses) => told.extend(addresses.iter().cloned()),
        }
    }
    some_of(lang, told.into_iter())
}

fn some_of(lang: Lang, names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(TOLD);
    let told: Vec<_> = names.take(TOLD).collect();
    if more == 0 { told.join(", ") } else { lang.and_more(told.join(", "), more) }
}

/// Some addresses, if there are any.
pub(super) fn addresses<'a>(
    lang: Lang,
    addresses: impl ExactSizeIterator<Item = &'a String>,
) -> Option<String> {
    (addresses.len() > 0).then(|| some_of(lang, addresses.cloned()))
}

/// The last results of a hook, newest first, as dots with their words. Holds no user's words.
#[derive(Debug, Clone, Default)]
pub(super) struct Dots {
    results: Vec<(&'static str, &'static str)>,
    label: String,
}

impl Dots {
    /// Of these deliveries, newest first.
    pub(super) fn of(lang: Lang, deliveries: &[Delivery]) -> Self {
        let results: Vec<_> = deliveries.iter().map(|delivery| result(lang, delivery.state)).collect();
        let words: Vec<_> = results.iter().map(|(_, word)| *word).collect();
        let label = lang.newest_first(words.join(", "));
        Self { results, label }
    }

    /// Whether nothing was owed yet.
    pub(super) fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// The last result, in a word.
    pub(super) fn last(&self) -> &'static str {
        self.results.first().map_or("", |(_, word)| word)
    }
}

/// The class and the word of a state.
pub(super) fn result(lang: Lang, state: State) -> (&'static str, &'static str) {
    match state {
        State::Delivered => ("good", lang.result_delivered()),
        State::Dead(_) => ("bad", lang.result_dead()),
        State::Pending | State::Retrying | State::Held(_) => ("wait", lang.result_waiting()),
        State::Cancelled(_) => ("none", lang.result_cancelled()),
    }
}

impl fmt::Display for Dots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"<span class="dots" role="img" aria-label="{0}" title="{0}">"#, self.label)?;
        for (class, _) in &self.results {
            // Not by colour alone: what went wrong is a square.
            let shape = match *class {
                "bad" => r#"<rect x="1" y="1" width="10" height="10" rx="1.5" class="dot-bad"/>"#.to_owned(),
                class => format!(r#"<circle cx="6" cy="6" r="5" class="dot-{class}"/>"#),
            };
            write!(f, r#"<svg viewBox="0 0 12 12" aria-hidden="true">{shape}</svg>"#)?;
        }
        f.write_str("</span>")
    }
}

impl HtmlSafe for Dots {}

/// Since when a hook fails: when the oldest of its last deliveries in a row came that were tried and not made.
pub(super) fn failing_since(deliveries: &[Delivery]) -> Option<Millis> {
    let failed = |delivery: &&Delivery| matches!(delivery.state, State::Retrying | State::Dead(_));
    deliveries
        .iter()
        .filter(|delivery| !matches!(delivery.state, State::Cancelled(_) | State::Pending | State::Held(_)))
        .take_while(failed)
        .last()
        .map(|delivery| delivery.id.event.at())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_are_named_and_the_rest_is_counted() {
        let names = |n: usize| (0..n).map(|n| format!("n{n}"));
        assert_eq!(some_of(Lang::En, names(3)), "n0, n1, n2");
        assert_eq!(some_of(Lang::Fr, names(5)), "n0, n1, n2 et 2 de plus");
        let catalogue = Catalogue::builtin().unwrap();
        assert_eq!(events(Lang::En, &catalogue, None), "Every event");
        assert_eq!(
            events(Lang::Fr, &catalogue, Some(&["META_CREDITS".to_owned(), "NOT_ANY_MORE".to_owned()])),
            "Crédits, NOT_ANY_MORE"
        );
    }
}
