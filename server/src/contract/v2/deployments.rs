//! An application's deployments, read off the events that tell of them.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sonnette_core::model::{Event, Millis};

/// A deployment as shown.
#[derive(Debug, Serialize)]
pub struct Deployment {
    id: i64,
    uuid: String,
    date: Millis,
    state: String,
    action: String,
    commit: Option<String>,
    cause: String,
    instances: u32,
    author: Author,
}

#[derive(Debug, Serialize)]
struct Author {
    id: Option<String>,
    name: Option<String>,
}

/// What is known of one deployment so far.
#[derive(Debug)]
struct Row {
    uuid: String,
    date: Millis,
    state: String,
    action: Option<String>,
    commit: Option<String>,
    cause: Option<String>,
    author: Option<String>,
}

/// Collects deployments from events, which come newest first.
#[derive(Debug)]
pub struct Deployments {
    rows: Vec<Row>,
    /// Where the row of each deployment is.
    places: HashMap<String, usize>,
    offset: usize,
    limit: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame<'a> {
    date: Millis,
    #[serde(borrow)]
    author_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
}

impl Deployments {
    /// The kinds that tell of deployments.
    pub const KINDS: &'static [&'static str] =
        &["DEPLOYMENT_ACTION_BEGIN", "DEPLOYMENT_ACTION_END", "DEPLOYMENT_SUCCESS", "DEPLOYMENT_FAIL"];

    /// At most `limit`, behind the newest `offset`.
    pub fn new(offset: usize, limit: usize) -> Self {
        Self { rows: Vec::new(), places: HashMap::new(), offset, limit }
    }

    /// Takes the next older event. `false` once an older one can hardly add anything.
    pub fn add(&mut self, event: &Event) -> bool {
        // What a kind says of the state when `data` does not.
        let (usual, begins) = match event.kind.as_str() {
            "DEPLOYMENT_ACTION_BEGIN" => ("WIP", true),
            "DEPLOYMENT_ACTION_END" | "DEPLOYMENT_SUCCESS" => ("OK", false),
            "DEPLOYMENT_FAIL" => ("FAIL", false),
            _ => return true,
        };
        let Ok(frame) = serde_json::from_slice::<Frame<'_>>(&event.frame) else { return true };
        let data: serde_json::Value =
            frame.data.and_then(|data| serde_json::from_str(&data).ok()).unwrap_or_default();
        let text = |name: &str| data[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        // Without it nobody can say which deployment is meant.
        let Some(uuid) = text("uuid") else { return true };
        let at = match self.places.get(&uuid) {
            Some(at) => *at,
            None if self.rows.len() == self.offset.saturating_add(self.limit) => return false,
            None => {
                self.places.insert(uuid.clone(), self.rows.len());
                let (date, state) = (frame.date, text("state").unwrap_or_else(|| usual.to_owned()));
                self.rows.push(Row {
                    uuid,
                    date,
                    state,
                    action: None,
                    commit: None,
                    cause: None,
                    author: None,
                });
                self.rows.len() - 1
            }
        };
        let row = &mut self.rows[at];
        if begins {
            row.date = frame.date;
        }
        for (known, name) in
            [(&mut row.action, "action"), (&mut row.commit, "commit"), (&mut row.cause, "cause")]
        {
            if known.is_none() {
                *known = text(name);
            }
        }
        row.author = row.author.take().or_else(|| frame.author_id.map(Cow::into_owned));
        true
    }

    /// The deployments, newest first.
    pub fn shown(self) -> Vec<Deployment> {
        let shown = |row: Row| Deployment {
            // The platform counts them; we are not told its numbers.
            id: row.date,
            uuid: row.uuid,
            date: row.date,
            state: row.state,
            action: row.action.unwrap_or_else(|| "DEPLOY".to_owned()),
            commit: row.commit,
            cause: row.cause.unwrap_or_default(),
            instances: 1,
            author: Author { id: row.author, name: None },
        };
        self.rows.into_iter().skip(self.offset).map(shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use sonnette_core::frame;
    use sonnette_core::ids::EventId;

    fn event(kind: &str, date: Millis, data: &Value) -> Event {
        let owner = "orga_22222222-2222-4222-8222-222222222222".parse().unwrap();
        let mut frame = frame::build(kind, date, owner, None, Some(&data.to_string()));
        frame::stamp(&mut frame, EventId(date));
        Event { id: EventId(date), owner, kind: kind.to_owned(), resource: None, frame: frame.into() }
    }

    #[test]
    fn each_deployment_is_one_row_with_its_latest_state_and_the_date_it_began() {
        let mut found = Deployments::new(0, 2);
        for (kind, date, data, more) in [
            (
                "DEPLOYMENT_ACTION_BEGIN",
                90,
                json!({"uuid": "deployment_c", "state": "WIP", "commit": "cc", "cause": "Git"}),
                true,
            ),
            ("DEPLOYMENT_SUCCESS", 80, json!({"appId": "app_x"}), true),
            ("DEPLOYMENT_FAIL", 70, json!({"uuid": "deployment_b"}), true),
            (
                "DEPLOYMENT_ACTION_END",
                60,
                json!({"uuid": "deployment_b", "state": "CANCELLED", "action": "CANCEL"}),
                true,
            ),
            ("GIT_PUSH", 55, json!({"uuid": "deployment_z"}), true),
            (
                "DEPLOYMENT_ACTION_BEGIN",
                50,
                json!({"uuid": "deployment_b", "commit": "bb", "cause": "console"}),
                true,
            ),
            ("DEPLOYMENT_ACTION_END", 40, json!({"uuid": "deployment_a"}), false),
        ] {
            assert_eq!(found.add(&event(kind, date, &data)), more, "{kind} {date}");
        }
        let rows = serde_json::to_value(found.shown()).unwrap();
        let row = |at: usize, name: &str| rows[at][name].clone();
        assert_eq!(rows.as_array().unwrap().len(), 2);
        assert_eq!(
            (row(0, "uuid"), row(0, "state"), row(0, "commit")),
            (json!("deployment_c"), json!("WIP"), json!("cc"))
        );
        assert_eq!(
            (row(1, "uuid"), row(1, "state"), row(1, "date")),
            (json!("deployment_b"), json!("FAIL"), json!(50))
        );
        assert_eq!(
            (row(1, "action"), row(1, "commit"), row(1, "cause")),
            (json!("CANCEL"), json!("bb"), json!("console"))
        );
    }
}
