//! One event's way: `ingest` (accepted, on disk) → `dispatch` (leased) → `work` (rendered, sent, recorded); `tidy` keeps
//! the house, `stop` stops writing to addresses. `preview` shows what `work` would send, `test` sends it and keeps
//! nothing; all three `render` one way. Verbs only; nothing here knows HTTP, SQL or SMTP.

pub mod dispatch;
pub mod ingest;
pub mod preview;
pub mod render;
pub mod stop;
pub mod test;
pub mod tidy;
pub mod work;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use sonnette_core::catalogue::Catalogue;
use sonnette_core::formats::Format;
use sonnette_core::lang::Lang;
use sonnette_core::mail::House;
use sonnette_core::message::LinkTemplates;
use sonnette_core::ports::{Clock, Egress, Luck, Store};
use sonnette_core::secret::Sealer;

use crate::egress::Letterhead;

/// What every step of the way needs.
#[derive(Clone)]
pub struct Parts {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// The way out.
    pub egress: Arc<dyn Egress>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub luck: Arc<dyn Luck>,
    /// Kinds and families.
    pub catalogue: Arc<Catalogue>,
    /// The format of a name: [`sonnette_core::formats::find`].
    pub formats: fn(&str) -> Option<&'static Format>,
    /// Links in messages.
    pub links: Arc<LinkTemplates>,
    /// Who our letters are from.
    pub house: Arc<House>,
    /// What makes bytes of a letter.
    pub letterhead: Arc<Letterhead>,
    /// Makes and reads the links and tags of letters.
    pub sealer: Sealer,
    /// The address people know us by, which pages of ours are under; without one no letter has a link to such a page.
    pub public_url: Option<Arc<str>>,
    /// When the operator was last told that a relay refuses letters by policy, as [`Millis`](sonnette_core::model::Millis).
    pub policy_told: Arc<AtomicI64>,
}

impl Parts {
    /// What the installation adds to an event.
    pub fn words(&self) -> render::Words<'_> {
        self.words_in(None)
    }

    /// The same, for a reader of this language, or of none that is known.
    pub fn words_in(&self, lang: Option<Lang>) -> render::Words<'_> {
        render::Words {
            catalogue: &self.catalogue,
            links: &self.links,
            house: &self.house,
            lang: lang.unwrap_or(self.house.lang),
        }
    }
}
