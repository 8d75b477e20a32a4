//! The door of the platform's event socket.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};

use super::At;
use crate::stream::{line, socket};

/// `GET /v2/events/event-socket`: nobody has to say who they are until the first message.
pub(super) async fn open(State(site): At, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let urls = site.terms.urls(&parts, &socket::SIGNED);
    match line::agree(&mut parts) {
        Ok((upgrade, response)) => {
            let sockets = site.streams.sockets().clone();
            sockets.spawn(socket::serve(Arc::clone(&site), upgrade, urls));
            response
        }
        Err(response) => response.into_response(),
    }
}
