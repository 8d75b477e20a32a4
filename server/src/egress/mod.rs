//! The way out: the only part that talks to strangers, with its own limits of time, size and reach.
//!
//! [`guard`] says where we may go, [`post`] goes there, [`mailer`] hands letters to a relay, [`maildir`] keeps them
//! where there is none. [`provider`] is whom people sign in at, if somebody else than us.

use std::io;

use async_trait::async_trait;
use sonnette_core::ports::{Egress, Letter, Outgoing, Posted, Reply, SendError, Traced};

pub mod authorities;
pub mod dkim;
pub mod guard;
mod idle;
pub mod maildir;
pub mod mailer;
pub mod post;
pub mod provider;

pub use mailer::Letterhead;
pub use post::heading;

use guard::Guard;
use mailer::{MailSettings, Mailer};
use post::Poster;

/// The world, for real.
#[derive(Debug)]
pub struct Outside {
    /// Posts webhooks.
    pub post: Poster,
    /// Sends letters.
    pub mail: Mailer,
}

impl Outside {
    /// Builds both. Opens no connection; makes the Maildir if there is no relay.
    ///
    /// # Errors
    /// If the relay's name cannot be verified by TLS, the sender is no address, or the Maildir cannot be made.
    pub fn new(guard: Guard, mail: MailSettings) -> io::Result<Self> {
        Ok(Self { post: Poster::new(guard)?, mail: Mailer::new(mail)? })
    }
}

#[async_trait]
impl Egress for Outside {
    async fn post(&self, request: Outgoing) -> Result<Reply, SendError> {
        self.post.post(&request).await
    }

    async fn trace(&self, request: Outgoing) -> Traced {
        self.post.trace(&request).await
    }

    async fn mail(&self, letter: Letter) -> Posted {
        self.mail.mail(&letter).await
    }
}
