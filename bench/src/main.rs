//! Load generator and receiver.
fn main() {}
