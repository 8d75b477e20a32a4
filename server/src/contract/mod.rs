//! What goes over the wire: shapes only, no store and no clock.

pub mod cloudevents;
pub mod directory;
pub mod fields;
pub mod hooks;
pub mod mail;
pub mod posted;
pub mod preview;
pub mod problem;
pub mod seen;
pub mod v2;
