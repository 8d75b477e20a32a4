//! How the world meets it.
