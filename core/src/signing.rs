//! Signatures receivers can check: Standard Webhooks 1.0.0, symmetric scheme `v1`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::model::Millis;
use crate::secret::Secret;

/// What every signing secret begins with.
pub const PREFIX: &str = "whsec_";

/// Writes 32 bytes of chance as a signing secret.
pub fn secret(bytes: &[u8; 32]) -> Secret {
    Secret::new(format!("{PREFIX}{}", STANDARD.encode(bytes)))
}

/// The value of `webhook-signature` for one attempt: one `v1,<base64>` a secret, separated by a space.
///
/// Signs `{id}.{timestamp in seconds}.{body}` (Standard Webhooks 1.0.0, "Signature scheme"). A secret that is not
/// `whsec_` and base64 signs nothing.
pub fn sign<'a>(secrets: impl IntoIterator<Item = &'a Secret>, id: &str, at: Millis, body: &[u8]) -> String {
    let timestamp = timestamp(at);
    let mut value = String::new();
    for secret in secrets {
        let Some(key) = secret.expose().strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok())
        else {
            continue;
        };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { continue };
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        if !value.is_empty() {
            value.push(' ');
        }
        value.push_str("v1,");
        STANDARD.encode_string(mac.finalize().into_bytes(), &mut value);
    }
    value
}

/// The value of `webhook-timestamp`: whole seconds since 1970.
pub fn timestamp(at: Millis) -> String {
    at.div_euclid(1000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_vector_of_the_specification_holds() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed =
            sign([&secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330_000, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[expect(clippy::disallowed_methods, reason = "the reference library compares with the system's clock")]
    fn now() -> Millis {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        i64::try_from(since.as_millis()).unwrap()
    }

    proptest! {
        #[test]
        fn the_reference_library_accepts_what_we_sign(key: [u8; 32], body: String, event in 0..i64::MAX, n: u32) {
            let id = crate::ids::DeliveryId { event: crate::ids::EventId(event), n }.to_string();
            let secret = secret(&key);
            let now = now();
            let other = super::secret(&[1; 32]);
            let mut headers = http::HeaderMap::new();
            headers.insert("webhook-id", id.parse().unwrap());
            headers.insert("webhook-timestamp", timestamp(now).parse().unwrap());
            headers.insert("webhook-signature", sign([&other, &secret], &id, now, body.as_bytes()).parse().unwrap());
            let reference = standardwebhooks::Webhook::new(secret.expose()).unwrap();
            prop_assert!(reference.verify(body.as_bytes(), &headers).is_ok());
            let mut changed = body.clone().into_bytes();
            changed.push(0);
            prop_assert!(reference.verify(&changed, &headers).is_err());
        }
    }
}
