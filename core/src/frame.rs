//! The frame: the bytes of an event, built once when it is accepted and sent to every reader ever after.
//!
//! One JSON object, keys in this order: `id`, `event`, `date` (milliseconds since 1970, a number), `ownerId`,
//! `authorId` (left out if unknown), `data` (left out if none; a *string* that holds JSON text: Clever Cloud's clients
//! parse it twice). The id is known only inside the accepting transaction, so a frame is made with room for it,
//! and [`stamp`] fills the room in place.

use std::ops::Range;

use crate::ids::{ENCODED_LEN, EventId, OwnerId, UserId, encode};
use crate::model::Millis;

const HEAD: &[u8] = b"{\"id\":\"evt_";
const ROOM: Range<usize> = HEAD.len()..HEAD.len() + ENCODED_LEN;

/// Builds a frame with room for its id. `data` is JSON text, taken byte for byte.
pub fn build(
    kind: &str,
    date: Millis,
    owner: OwnerId,
    author: Option<UserId>,
    data: Option<&str>,
) -> Vec<u8> {
    let mut frame = Vec::with_capacity(200 + data.map_or(0, |d| d.len() + d.len() / 4));
    frame.extend_from_slice(HEAD);
    frame.extend_from_slice(&[b'0'; ENCODED_LEN]);
    frame.extend_from_slice(b"\",\"event\":");
    quote(&mut frame, kind);
    frame.extend_from_slice(format!(",\"date\":{date},\"ownerId\":\"{owner}\"").as_bytes());
    if let Some(author) = author {
        frame.extend_from_slice(format!(",\"authorId\":\"{author}\"").as_bytes());
    }
    if let Some(data) = data {
        frame.extend_from_slice(b",\"data\":");
        quote(&mut frame, data);
    }
    frame.push(b'}');
    frame
}

/// Writes the id into the room [`build`] left for it.
pub fn stamp(frame: &mut [u8], id: EventId) {
    if let Some(room) = frame.get_mut(ROOM) {
        room.copy_from_slice(&encode(id.0));
    }
}

/// Writes a JSON string. RFC 8259 §7: only `"`, `\` and controls need an escape.
fn quote(out: &mut Vec<u8>, text: &str) {
    // Serialising a `str` into a `Vec` has no way to fail.
    let _: Result<(), serde_json::Error> = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn owner() -> OwnerId {
        "orga_22222222-2222-4222-8222-222222222222".parse().unwrap()
    }

    #[test]
    fn the_keys_stand_in_the_order_of_the_contract() {
        let author = "user_11111111-1111-4111-8111-111111111111".parse().unwrap();
        let mut frame =
            build("GIT_PUSH", 1_767_348_000_000, owner(), Some(author), Some(r#"{"b":1.50,"a":"é"}"#));
        stamp(&mut frame, EventId(1));
        assert_eq!(
            String::from_utf8(frame).unwrap(),
            concat!(
                r#"{"id":"evt_0000000000001","event":"GIT_PUSH","date":1767348000000,"#,
                r#""ownerId":"orga_22222222-2222-4222-8222-222222222222","#,
                r#""authorId":"user_11111111-1111-4111-8111-111111111111","data":"{\"b\":1.50,\"a\":\"é\"}"}"#
            )
        );
        let bare = String::from_utf8(build("ORGANISATION_EDITION", 0, owner(), None, None)).unwrap();
        assert!(
            bare.ends_with(r#""date":0,"ownerId":"orga_22222222-2222-4222-8222-222222222222"}"#),
            "{bare}"
        );
    }

    proptest! {
        #[test]
        fn a_frame_gives_back_the_data_byte_for_byte(data: String, id in 0..i64::MAX) {
            let mut frame = build("GIT_PUSH", 1, owner(), None, Some(&data));
            stamp(&mut frame, EventId(id));
            let value: serde_json::Value = serde_json::from_slice(&frame).unwrap();
            prop_assert_eq!(value["data"].as_str().unwrap(), data);
            prop_assert_eq!(value["id"].as_str().unwrap(), EventId(id).to_string());
        }
    }
}
