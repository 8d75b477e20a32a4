//! Lists: page after page until there is enough, a table for people, a line of JSON an item for scripts.

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::Client;
use super::failure::Failure;
use super::table;
use super::terminal::Terminal;

/// The longest page the API gives.
const LONGEST_PAGE: usize = 200;

/// How much of a long list is wanted.
#[derive(Debug, Clone, Args)]
pub struct Paging {
    /// How many are listed
    #[arg(long, value_name = "N", default_value = "50", value_parser = parse_limit)]
    pub limit: usize,
    /// List all of them
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// Go on after this id, as the end of the list before said
    #[arg(long, value_name = "ID")]
    pub after: Option<String>,
}

fn parse_limit(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| "it must be a number from 1".into())
}

/// What a list shows of an item: the names of the columns, and what stands in them.
pub struct Columns<T> {
    /// One name a column.
    pub header: &'static [&'static str],
    /// One cell a column.
    pub row: fn(&T) -> Vec<String>,
}

// By hand: a derived one would ask the same of `T`.
impl<T> Clone for Columns<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Columns<T> {}

/// Reads one item of a reply.
///
/// # Errors
/// If it is not what this version understands.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    T::deserialize(value)
        .map_err(|error| Failure::Failed(format!("the server's reply is not understood: {error}")))
}

/// The items and the cursor of a page.
///
/// # Errors
/// If the reply is no page.
pub fn page(mut reply: Value) -> Result<(Vec<Value>, Option<String>), Failure> {
    let next = reply.get("next").and_then(Value::as_str).map(str::to_owned);
    match reply.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => Ok((items, next)),
        _ => Err(Failure::Failed("the server's reply is not understood: it has no `items`".into())),
    }
}

/// Shows `visit` every item of the list at `path`, page after page.
///
/// # Errors
/// As every call, and what `visit` says.
pub async fn walk(
    client: &mut Client,
    path: &str,
    mut visit: impl FnMut(&Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after: Option<String> = None;
    loop {
        let mut query = vec![("limit", "200")];
        query.extend(after.as_deref().map(|id| ("after", id)));
        let (items, next) = page(client.get(path, &query).await?)?;
        items.iter().try_for_each(&mut visit)?;
        match next {
            // A cursor that does not move would never end.
            Some(next) if !items.is_empty() && after.as_ref() != Some(&next) => after = Some(next),
            _ => return Ok(()),
        }
    }
}

/// Prints items.
///
/// # Errors
/// If an item is not understood, or standard output does not take it.
pub fn show<T: DeserializeOwned>(
    terminal: &mut Terminal,
    items: &[Value],
    columns: Columns<T>,
) -> Result<(), Failure> {
    if terminal.json {
        return items.iter().try_for_each(|item| terminal.say(&table::json_line(item)));
    }
    if items.is_empty() {
        return Ok(());
    }
    let rows = items.iter().map(|item| read(item).map(|item: T| (columns.row)(&item)));
    terminal.say(&table::render(columns.header, rows.collect::<Result<Vec<_>, _>>()?))
}

/// Prints the list at `path`: whole if it has no pages, else as much as `paging` wants.
///
/// # Errors
/// As every call, and if an item is not understood.
pub async fn print<T: DeserializeOwned>(
    client: &mut Client,
    terminal: &mut Terminal,
    path: &str,
    filter: &[(&str, &str)],
    paging: Option<&Paging>,
    columns: Columns<T>,
) -> Result<(), Failure> {
    let mut wanted = match paging {
        Some(paging) if !paging.all => paging.limit,
        _ => usize::MAX,
    };
    let mut after = paging.and_then(|paging| paging.after.clone());
    let mut seen = false;
    loop {
        let size = wanted.min(LONGEST_PAGE).to_string();
        let mut query = filter.to_vec();
        if paging.is_some() {
            query.push(("limit", &size));
            query.extend(after.as_deref().map(|id| ("after", id)));
        }
        let (mut items, next) = page(client.get(path, &query).await?)?;
        items.truncate(wanted);
        wanted -= items.len();
        seen |= !items.is_empty();
        show(terminal, &items, columns)?;
        match next {
            Some(next) if wanted == 0 => {
                return terminal.note(&format!("There are more: --after {}, or --all.", table::clean(&next)));
            }
            Some(next) if !items.is_empty() && after.as_ref() != Some(&next) => after = Some(next),
            _ if !seen && !terminal.json => return terminal.note("None."),
            _ => return Ok(()),
        }
    }
}
