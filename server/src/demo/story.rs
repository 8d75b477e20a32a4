//! The story the demo tells, and whom each of its events must reach.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::Cast;

/// Members of Acme and their roles; the last one is the author of everything.
pub(super) const PEOPLE: &[(&str, &str)] =
    &[("Alice", "ADMIN"), ("Carol", "ACCOUNTING"), ("Bob", "DEVELOPER")];

/// One event of the story.
pub(super) struct Step {
    /// Its kind.
    pub(super) kind: &'static str,
    /// What happens, for the audience.
    pub(super) says: &'static str,
    worker: bool,
    slack: bool,
    letters: &'static [&'static str],
}

/// A deployment that succeeds, one that fails, and credits that run low.
pub(super) const STORY: &[Step] = &[
    Step {
        kind: "DEPLOYMENT_ACTION_BEGIN",
        says: "Bob deploys web",
        worker: false,
        slack: false,
        letters: &[],
    },
    Step {
        kind: "DEPLOYMENT_SUCCESS",
        says: "it works: everybody hears of it, by the default e-mails",
        worker: false,
        slack: true,
        letters: &["Alice", "Bob", "Carol"],
    },
    Step {
        kind: "DEPLOYMENT_ACTION_BEGIN",
        says: "Bob deploys worker",
        worker: true,
        slack: false,
        letters: &[],
    },
    Step {
        kind: "DEPLOYMENT_FAIL",
        says: "it does not work",
        worker: true,
        slack: true,
        letters: &["Alice", "Bob", "Carol"],
    },
    Step {
        kind: "CREDITS_WARNING",
        says: "credits run low: those who pay and those who decide are told",
        worker: false,
        slack: false,
        letters: &["Alice", "Carol"],
    },
];

/// Where a member's letters go.
pub(super) fn address(name: &str) -> String {
    format!("{}@acme.example", name.to_lowercase())
}

impl Step {
    /// The event as it is posted.
    pub(super) fn event(&self, cast: &Cast) -> Value {
        let data = if self.kind.starts_with("CREDITS") {
            json!({"ownerId": cast.organisation, "balance": 4.2, "currency": "EUR", "daysLeft": 3})
        } else {
            let (id, name) = if self.worker { (&cast.worker, "worker") } else { (&cast.web, "web") };
            let state = match self.kind {
                "DEPLOYMENT_SUCCESS" => "OK",
                "DEPLOYMENT_FAIL" => "FAIL",
                _ => "WIP",
            };
            json!({
                "id": id, "appId": id, "ownerId": cast.organisation, "name": name,
                "uuid": "deployment_5d0c7b2e-1f3a-4c8b-9d7e-2a6b4c8d0e1f", "state": state, "action": "DEPLOY",
                "commit": "9f1c2d3e4b5a69788796a5b4c3d2e1f001122334", "cause": "Git",
            })
        };
        json!({"event": self.kind, "ownerId": cast.organisation, "authorId": cast.author, "data": data})
    }

    /// Checks that the event reached those it must, and nobody else.
    pub(super) fn check(&self, deliveries: &[Value]) -> Result<()> {
        let mut expected = vec!["raw".to_owned()];
        expected.extend(self.slack.then(|| "slack".to_owned()));
        expected.extend(self.letters.iter().map(|name| address(name)));
        expected.sort();
        let made = deliveries.iter().filter(|one| one["state"] == "delivered");
        let mut reached: Vec<String> = made
            .map(|one| {
                one["recipient"]["address"].as_str().or(one["format"].as_str()).unwrap_or_default().to_owned()
            })
            .collect();
        reached.sort();
        if reached != expected {
            bail!("it should reach {expected:?}, and reached {reached:?}: {deliveries:?}");
        }
        Ok(())
    }
}
