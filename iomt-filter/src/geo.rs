//! Countries: their codes, the database ([`database`]), its age ([`age`]), and rows made from it ([`expand`]).
//!
//! A database in MaxMind's format comes in, prefixes with countries go out, no more of them than the
//! policy tells apart.

pub mod codes;
pub mod tree;
pub mod age;
pub mod database;
pub mod expand;

pub use database::{CountryDatabase, DatabaseError};
pub use expand::{Distinctions, expand};
