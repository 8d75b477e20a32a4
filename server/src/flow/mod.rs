//! One event's way: `ingest` (accepted, on disk) → `dispatch` (leased) → `work` (rendered, sent, recorded); `tidy` keeps
//! the house. Verbs only; nothing here knows HTTP, SQL or SMTP.

pub mod dispatch;
pub mod ingest;
pub mod tidy;
pub mod work;

use std::sync::Arc;

use sonnette_core::catalogue::Catalogue;
use sonnette_core::formats::Format;
use sonnette_core::mail::House;
use sonnette_core::message::LinkTemplates;
use sonnette_core::ports::{Clock, Egress, Luck, Store};

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
}
