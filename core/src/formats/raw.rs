//! The event itself, byte for byte as every other reader gets it, signed.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};

use super::reply::again;
use super::{Can, EXAMPLE, Format, Outcome, Render, Rendering, anything, never, nothing};
use crate::model::Millis;
use crate::ports::{Outgoing, Reply};

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "raw",
    title: "The event as JSON",
    render: Render::Frame(render),
    classify,
    recognises: |_| false,
    check: anything,
    fields: &[],
    brings: nothing,
    secret_url: false,
    signed: true,
    hosts: &[],
    example: EXAMPLE,
    limits: &[],
    can: Can { once: true, ..Can::POST },
    thread_root: None,
    misread: never,
};

fn render(it: &Rendering<'_>) -> Outgoing {
    let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Outgoing { method: Method::POST, url: it.url.clone(), headers, body: Bytes::clone(&it.event.frame) }
}

/// A receiver is somebody's application: while it is deployed again it answers 404, 502, or a redirect to a page that
/// says so. Only 410 is a word about the destination.
pub(super) fn classify(reply: &Reply, now: Millis) -> Outcome {
    match reply.status {
        200..=299 => Outcome::Delivered,
        410 => Outcome::Gone,
        _ => again(reply, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::{self, reply};
    use crate::secret::Secret;

    #[test]
    fn the_frame_is_sent_byte_for_byte() {
        let url = Secret::new("https://example.com/");
        for message in samples::messages() {
            let request = samples::request(&FORMAT, &url, &message);
            assert_eq!(request.body, samples::event(&message).frame);
            assert_eq!(request.headers, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
            assert_eq!(request.url, url);
        }
    }

    #[test]
    fn everything_but_success_and_gone_is_tried_again() {
        for status in 100..600 {
            let expected = match status {
                200..=299 => Outcome::Delivered,
                410 => Outcome::Gone,
                _ => Outcome::Again { not_before: None },
            };
            assert_eq!(classify(&reply(status, "gone, sorry"), 0), expected, "{status}");
        }
    }

    #[test]
    fn a_receiver_that_names_a_time_is_obeyed() {
        for status in [408, 429, 503] {
            let reply = Reply { retry_after: Some("30".into()), ..reply(status, "") };
            assert_eq!(classify(&reply, 1_000), Outcome::Again { not_before: Some(31_000) });
        }
    }
}
