//! Countries.

pub mod codes;
