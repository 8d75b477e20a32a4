//! The loss ledger, as short as the test command can bear; `sonnette-bench ledger` runs it as long as anybody likes.

use std::path::{Path, PathBuf};

use sonnette_bench::ledger::{self, Options};

use crate::program::BINARY;

#[test]
fn twenty_kills_under_load_lose_nothing_and_invent_nothing() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ledger");
    let report = ledger::run(Options::new(PathBuf::from(BINARY), root, 20)).unwrap();
    assert!(report.holds(), "{report}");
    assert_eq!(report.kills, 20);
    assert!(report.balance.accepted > 0 && report.balance.received >= report.balance.accepted, "{report}");
}
