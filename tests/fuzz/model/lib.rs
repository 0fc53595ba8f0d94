//! What the targets hold the parsers against: the rules again, told more simply and more slowly.

pub mod key;
pub mod query;
pub mod request;
