//! How values stand in columns, and back.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, Type, ValueRef};
use rusqlite::{Row, ToSql};
use serde::{Deserialize, Serialize};
use sonnette_core::ids::{OrganisationId, OwnerId, ResourceId, UserId};
use sonnette_core::model::{Cancelled, Dead, Held, HookState, Role, State, Target};
use sonnette_core::stops::Why;
use uuid::Uuid;

/// A value in its column.
pub(super) struct Col<T>(pub T);

fn uuid(value: ValueRef<'_>) -> FromSqlResult<Uuid> {
    Uuid::from_slice(value.as_blob()?).map_err(|error| FromSqlError::Other(Box::new(error)))
}

macro_rules! uuid_column {
    ($($name:ident),+) => {$(
        impl ToSql for Col<$name> {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.0.as_bytes())))
            }
        }
        impl FromSql for Col<$name> {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                uuid(value).map(|id| Self($name(id)))
            }
        }
    )+};
}

uuid_column!(UserId, OrganisationId);

/// Owners stand as one letter and the UUID's bytes.
impl ToSql for Col<OwnerId> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let (letter, uuid) = match &self.0 {
            OwnerId::User(id) => (b'u', id.0),
            OwnerId::Organisation(id) => (b'o', id.0),
        };
        let mut bytes = Vec::with_capacity(17);
        bytes.push(letter);
        bytes.extend_from_slice(uuid.as_bytes());
        Ok(ToSqlOutput::from(bytes))
    }
}

impl FromSql for Col<OwnerId> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let (letter, rest) = value.as_blob()?.split_first().ok_or(FromSqlError::InvalidType)?;
        let uuid = Uuid::from_slice(rest).map_err(|error| FromSqlError::Other(Box::new(error)))?;
        match letter {
            b'u' => Ok(Self(UserId(uuid).into())),
            b'o' => Ok(Self(OrganisationId(uuid).into())),
            other => Err(FromSqlError::OutOfRange(i64::from(*other))),
        }
    }
}

impl FromSql for Col<ResourceId> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map(Self).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

const DEAD: i64 = 10;
const HELD: i64 = 20;
pub(super) const CANCELLED: i64 = 30;

/// The number of a state: 0 to 2, or ten times its sort plus its reason. The schema's partial indexes know the tens.
pub(super) fn state_number(state: State) -> i64 {
    fn nth<R: PartialEq>(base: i64, all: &[R], reason: &R) -> i64 {
        base + all.iter().position(|r| r == reason).and_then(|p| i64::try_from(p).ok()).unwrap_or_default()
    }
    match state {
        State::Pending => 0,
        State::Retrying => 1,
        State::Delivered => 2,
        State::Dead(reason) => nth(DEAD, Dead::ALL, &reason),
        State::Held(reason) => nth(HELD, Held::ALL, &reason),
        State::Cancelled(reason) => nth(CANCELLED, Cancelled::ALL, &reason),
    }
}

impl ToSql for Col<State> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(state_number(self.0)))
    }
}

impl FromSql for Col<State> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = value.as_i64()?;
        State::all()
            .find(|state| state_number(*state) == number)
            .map(Self)
            .ok_or(FromSqlError::OutOfRange(number))
    }
}

macro_rules! listed_column {
    ($($name:ident),+) => {$(
        impl ToSql for Col<$name> {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                let place = $name::ALL.iter().position(|one| *one == self.0).unwrap_or_default();
                Ok(ToSqlOutput::from(i64::try_from(place).unwrap_or_default()))
            }
        }
        impl FromSql for Col<$name> {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let number = value.as_i64()?;
                usize::try_from(number).ok().and_then(|n| $name::ALL.get(n).copied()).map(Self)
                    .ok_or(FromSqlError::OutOfRange(number))
            }
        }
    )+};
}

listed_column!(Role, HookState, Why);

/// Whether a delivery is a letter, and whom for.
pub(super) mod letter {
    pub(in crate::sqlite) const POST: i64 = 0;
    pub(in crate::sqlite) const UNRESOLVED: i64 = 1;
    pub(in crate::sqlite) const RESOLVED: i64 = 2;
}

/// What a changed hook still has to do with its rows (see `house.rs`).
pub(super) mod settle {
    pub(in crate::sqlite) const NOTHING: i64 = 0;
    pub(in crate::sqlite) const HOLD: i64 = 1;
    pub(in crate::sqlite) const RELEASE: i64 = 2;
    /// Nothing but its `skip` mark, which any of these may come with.
    pub(in crate::sqlite) const SKIP: i64 = 3;
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TargetColumn {
    Roles(Vec<String>),
    User(String),
    Maker(String),
    /// One, or several with a comma between: no address holds one.
    Address(String),
}

pub(super) fn targets_to_text(targets: &[Target]) -> String {
    let columns: Vec<_> = targets
        .iter()
        .map(|target| match target {
            Target::Organisation { roles } => {
                TargetColumn::Roles(roles.iter().map(|r| r.as_str().to_owned()).collect())
            }
            Target::User(id) => TargetColumn::User(id.to_string()),
            Target::Maker(id) => TargetColumn::Maker(id.to_string()),
            Target::Addresses(addresses) => TargetColumn::Address(addresses.join(",")),
        })
        .collect();
    serde_json::to_string(&columns).unwrap_or_default()
}

pub(super) fn targets_from_text(text: &str) -> rusqlite::Result<Vec<Target>> {
    from_json::<Vec<TargetColumn>>(text)?
        .into_iter()
        .map(|column| match column {
            TargetColumn::Roles(roles) => {
                Ok(Target::Organisation { roles: roles.iter().filter_map(|r| Role::parse(r)).collect() })
            }
            TargetColumn::User(id) => id.parse().map(Target::User).map_err(bad),
            TargetColumn::Maker(id) => id.parse().map(Target::Maker).map_err(bad),
            TargetColumn::Address(addresses) => {
                Ok(Target::Addresses(addresses.split(',').map(str::to_owned).collect()))
            }
        })
        .collect()
}

pub(super) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(bad)
}

/// A column that does not read.
pub(super) fn bad(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
}

/// Reads a column through [`Col`].
pub(super) fn col<T>(row: &Row<'_>, index: usize) -> rusqlite::Result<T>
where
    Col<T>: FromSql,
{
    row.get::<_, Col<T>>(index).map(|col| col.0)
}

/// Reads a nullable column through [`Col`].
pub(super) fn maybe<T>(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<T>>
where
    Col<T>: FromSql,
{
    row.get::<_, Option<Col<T>>>(index).map(|col| col.map(|c| c.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn states_have_their_own_numbers_within_the_tens_the_indexes_know() {
        let numbers: BTreeSet<_> = State::all().map(state_number).collect();
        assert_eq!(numbers.len(), State::all().count());
        for state in State::all() {
            let tens = state_number(state) / 10;
            assert_eq!(tens == 1, matches!(state, State::Dead(_)));
            assert_eq!(tens == 2, matches!(state, State::Held(_)));
        }
    }

    #[test]
    fn targets_read_back() {
        let targets = vec![
            Target::Organisation { roles: BTreeSet::from([Role::Admin, Role::Accounting]) },
            Target::Organisation { roles: BTreeSet::new() },
            Target::User("user_11111111-1111-4111-8111-111111111111".parse().unwrap()),
            Target::Maker("user_11111111-1111-4111-8111-111111111111".parse().unwrap()),
            Target::Addresses(vec!["a@example.org".into(), "b@example.org".into()]),
        ];
        assert_eq!(targets_from_text(&targets_to_text(&targets)).unwrap(), targets);
    }
}
