//! Whether a key is the one a store was made with.

use rusqlite::{Connection, OptionalExtension};
use sonnette_core::ids::HookId;
use sonnette_core::ports::Luck;
use sonnette_core::secret::{Sealer, Secret};

use super::hooks;

const PLACE: &str = "seal";

/// Whether what is sealed here opens with this key. A store without a mark is given one, unless a secret it holds already
/// says that the key is another.
pub(super) fn fits(db: &Connection, sealer: &Sealer, luck: &dyn Luck) -> rusqlite::Result<bool> {
    let mark: Option<Vec<u8>> = db.query_row("SELECT mark FROM seal", [], |row| row.get(0)).optional()?;
    if let Some(mark) = mark {
        return Ok(sealer.open(PLACE, &mark).is_ok());
    }
    let held: Option<(i64, Vec<u8>)> = db
        .query_row("SELECT id, secret FROM hooks WHERE secret IS NOT NULL LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    if held.is_some_and(|(id, sealed)| sealer.open(&hooks::place_of_secret(HookId(id)), &sealed).is_err()) {
        return Ok(false);
    }
    let mut nonce = [0; 24];
    luck.fill(&mut nonce);
    let mark = sealer.seal(PLACE, &Secret::new("sonnette"), nonce);
    db.execute("INSERT INTO seal (mark) VALUES (?1)", [mark])?;
    Ok(true)
}
