//! Streams: an owner's events, or those of all owners of a person, as they happen and from any place before.
//!
//! Nothing is queued for a reader. A reader is a cursor for each owner; when there is something new it is woken, and reads on
//! from the store as fast as it takes what it is given. Who is slow falls behind in the store, not in memory.
//!
//! - `hub`: who listens, woken by the store, and the bounds all streams share.
//! - `feed`: one reader's way through the events. `filter`: what of them is wanted.
//! - `line`: a WebSocket with bounds.
//! - `socket`: the platform's event socket. `live`: our own streams, as Server-Sent Events and as a WebSocket.

pub(crate) mod feed;
pub(crate) mod filter;
pub(crate) mod hub;
pub(crate) mod line;
pub(crate) mod live;
pub(crate) mod socket;

pub use hub::Hub;
