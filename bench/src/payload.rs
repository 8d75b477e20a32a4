//! The event that is posted: of an exact size, with a number and a time at fixed places.
//!
//! The places are found once; after that an event costs a copy and a few digits.

use std::io::Write;
use std::ops::Range;

use anyhow::ensure;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use crate::clock;

/// The kind that is posted. No default hook listens to it, so nothing is owed but what a run asks for.
pub const KIND: &str = "GIT_PUSH";
/// The largest number an event can carry.
pub const MAX_NUMBER: u64 = 999_999_999_999;

const SOURCE: &str = "bench";
const APPLICATION: &str = "app_5f0c3d1e-7a52-4a57-9a53-3f1c2b7d9e10";
const OWNER_LEN: usize = 41;
const UUID_LEN: usize = 36;
const TIME_LEN: usize = 19;
const NUMBER_LEN: usize = 12;

/// An event body that is stamped again and again.
#[derive(Debug, Clone)]
pub struct Payload {
    bytes: Vec<u8>,
    owner: Range<usize>,
    id: Option<Range<usize>>,
    time: Range<usize>,
    number: Range<usize>,
    tail: Range<usize>,
}

impl Payload {
    /// A body of exactly `size` bytes; with (`source`, `id`) if `ids`.
    ///
    /// # Errors
    /// If `size` has no room for the fields (about 300 bytes).
    pub fn new(size: usize, ids: bool) -> anyhow::Result<Self> {
        let mut bytes = format!(r#"{{"event":"{KIND}","ownerId":""#).into_bytes();
        let owner = room(&mut bytes, OWNER_LEN);
        let id = ids.then(|| {
            bytes.extend_from_slice(format!(r#"","source":"{SOURCE}","id":""#).as_bytes());
            room(&mut bytes, UUID_LEN)
        });
        bytes.extend_from_slice(format!(r#"","data":{{"appId":"{APPLICATION}","t":"#).as_bytes());
        let time = room(&mut bytes, TIME_LEN);
        bytes.extend_from_slice(br#","n":""#);
        let number = room(&mut bytes, NUMBER_LEN);
        bytes.extend_from_slice(br#"","commit":""#);
        let start = bytes.len();
        let end = br#""}}"#;
        ensure!(size > start + end.len(), "an event needs more than {} bytes", start + end.len());
        // Always the same letters, counted from the end: a shorter body ends as a longer one does. And no run of one
        // letter that some layer could make short work of.
        let mut letters = SmallRng::seed_from_u64(1);
        let backwards = (start..size - end.len()).map(|_| b"0123456789abcdef"[letters.random_range(0..16)]);
        bytes.extend(backwards.collect::<Vec<_>>().iter().rev());
        let tail = start..bytes.len();
        bytes.extend_from_slice(end);
        Ok(Self { bytes, owner, id, time, number, tail })
    }

    /// Writes whose event it is, which number it has and what time it carries (see [`clock::now`]); the id is left out
    /// where the body has no place for one.
    pub fn stamp(&mut self, owner: &str, number: u64, time: u64, id: Uuid) -> &[u8] {
        write(&mut self.bytes[self.owner.clone()], format_args!("{owner:41}"));
        write(&mut self.bytes[self.time.clone()], format_args!("{time:019}"));
        write(&mut self.bytes[self.number.clone()], format_args!("{number:012}"));
        if let Some(place) = &self.id {
            id.as_hyphenated().encode_lower(&mut self.bytes[place.clone()]);
        }
        &self.bytes
    }

    /// Whether events carry an id.
    pub fn has_id(&self) -> bool {
        self.id.is_some()
    }

    /// How the frame of such an event ends: `data` is its last key, and a text. The frame of an event of the same size
    /// without an id, whose filling is longer, ends so too.
    pub fn frame_tail(&self) -> Vec<u8> {
        let mut tail = self.bytes[self.tail.clone()].to_vec();
        tail.extend_from_slice(br#"\"}"}"#);
        tail
    }
}

fn room(bytes: &mut Vec<u8>, len: usize) -> Range<usize> {
    let start = bytes.len();
    bytes.resize(start + len, b'0');
    start..start + len
}

fn write(mut place: &mut [u8], text: std::fmt::Arguments<'_>) {
    // Too long a text is cut at the end of its place, where a test would see it.
    let _ = place.write_fmt(text);
}

/// What an event carries back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// Its number.
    pub number: u64,
    /// The time it carries.
    pub time: u64,
}

/// Reads number and time out of a frame, or out of an event as posted.
pub fn marks(body: &[u8]) -> Option<Marks> {
    read(body, br#"\"t\":"#, br#",\"n\":\""#).or_else(|| read(body, br#""t":"#, br#","n":""#))
}

fn read(body: &[u8], before_time: &[u8], before_number: &[u8]) -> Option<Marks> {
    let start = body.windows(before_time.len()).position(|window| window == before_time)? + before_time.len();
    let rest = &body[start..];
    let number = rest.get(TIME_LEN..)?.strip_prefix(before_number)?;
    Some(Marks { time: digits(rest.get(..TIME_LEN)?)?, number: digits(number.get(..NUMBER_LEN)?)? })
}

fn digits(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The event's id out of a frame, whose first key it is.
pub fn event_id(frame: &[u8]) -> Option<&str> {
    let rest = frame.strip_prefix(br#"{"id":""#)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

/// A UUID of version 4 that is always the same for the same pair of numbers.
pub fn uuid_of(seed: u64, number: u64) -> Uuid {
    let mut bits = SmallRng::seed_from_u64(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    uuid::Builder::from_random_bytes(bits.random()).into_uuid()
}

/// The id of the organisation of this number.
pub fn owner(number: u64) -> String {
    format!("orga_{}", uuid_of(0x0A, number).as_hyphenated())
}

/// The time an event carries when nobody measures: the same on every post of it, because it is part of its content.
pub fn constant_time(number: u64) -> u64 {
    clock::BASE + number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_exactly_the_size_asked_for_and_carries_its_marks() {
        for ids in [false, true] {
            let mut payload = Payload::new(1024, ids).unwrap();
            let body = payload.stamp(&owner(7), 42, clock::BASE + 9, uuid_of(1, 42));
            assert_eq!(body.len(), 1024);
            assert_eq!(marks(body), Some(Marks { number: 42, time: clock::BASE + 9 }));
            let value: serde_json::Value = serde_json::from_slice(body).unwrap();
            assert_eq!(value["ownerId"], owner(7));
            assert_eq!(value["data"]["n"], "000000000042");
            assert_eq!(value.get("id").is_some(), ids);
        }
    }

    #[test]
    fn marks_and_tail_are_read_out_of_a_frame() {
        let mut payload = Payload::new(600, false).unwrap();
        let tail = payload.frame_tail();
        let body = payload.stamp(&owner(1), MAX_NUMBER, clock::now(), Uuid::nil()).to_vec();
        let text = std::str::from_utf8(&body).unwrap();
        let data = &text[text.find(r#""data":"#).unwrap() + 7..text.len() - 1];
        let frame =
            format!(r#"{{"id":"evt_01","event":"{KIND}","data":{}}}"#, serde_json::to_string(data).unwrap());
        assert_eq!(marks(frame.as_bytes()).unwrap().number, MAX_NUMBER);
        assert_eq!(event_id(frame.as_bytes()), Some("evt_01"));
        assert!(frame.as_bytes().ends_with(&tail));
    }

    #[test]
    fn an_event_with_an_id_ends_as_one_without() {
        let (with, without) = (Payload::new(1024, true).unwrap(), Payload::new(1024, false).unwrap());
        assert!(without.frame_tail().ends_with(&with.frame_tail()));
        assert!(with.frame_tail().len() > 500);
    }

    #[test]
    fn too_small_an_event_is_refused() {
        assert!(Payload::new(100, true).is_err());
    }
}
