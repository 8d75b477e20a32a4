//! Style, script and icon: in the binary, under names made of their content, so that a browser may keep them for ever.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::http::Place;

/// One of them.
struct Asset {
    path: String,
    media: &'static str,
    bytes: &'static [u8],
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        Asset::new("css", "text/css; charset=utf-8", include_bytes!("../../assets/console.css")),
        Asset::new("js", "text/javascript; charset=utf-8", include_bytes!("../../assets/console.js")),
        Asset::new("svg", "image/svg+xml", include_bytes!("../../assets/console.svg")),
    ]
});

impl Asset {
    fn new(extension: &str, media: &'static str, bytes: &'static [u8]) -> Self {
        let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(bytes)[..9]);
        Self { path: format!("/assets/console.{digest}.{extension}"), media, bytes }
    }
}

/// The path of the style.
pub(super) fn css() -> &'static str {
    &ASSETS[0].path
}

/// The path of the script.
pub(super) fn js() -> &'static str {
    &ASSETS[1].path
}

/// The path of the icon.
pub(super) fn icon() -> &'static str {
    &ASSETS[2].path
}

/// `GET /assets/{name}`
pub(super) async fn get(Place(name): Place<String>) -> Response {
    let found = ASSETS.iter().find(|asset| asset.path.strip_prefix("/assets/") == Some(&name));
    let Some(asset) = found else { return StatusCode::NOT_FOUND.into_response() };
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.media)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, asset.bytes).into_response()
}
