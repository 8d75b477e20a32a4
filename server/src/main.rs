//! The sonnette command.
fn main() {}
