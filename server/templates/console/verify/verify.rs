// Cargo.toml: base64 = "0.22", hmac = "0.13", sha2 = "0.11"
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Whether a request is genuine: `id`, `time` and `signature` are its headers, `body` its bytes as they came, `now` in seconds.
pub fn genuine(secret: &str, id: &str, time: &str, signature: &str, body: &[u8], now: i64) -> bool {
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap_or_default();
    let fresh = time.parse::<i64>().is_ok_and(|time| (now - time).abs() <= 300);
    fresh
        && signature.split(' ').filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok()).any(
            |theirs| {
                let mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length of key");
                mac.chain_update(format!("{id}.{time}.")).chain_update(body).verify_slice(&theirs).is_ok()
            },
        )
}
