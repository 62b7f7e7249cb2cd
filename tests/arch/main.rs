//! The rules of this repository, as tests.

mod boundaries;
mod hygiene;
mod reasons;
mod sources;
