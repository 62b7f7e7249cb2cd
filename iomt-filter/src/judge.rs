//! The judgement in user space: the very functions that the kernel program is made of, on the rows of a generation.
//!
//! Rows and a memory come in, [`RowsTables`] answer what [`decide`](iomt_filter_common::decide()) asks. What is judged
//! here is judged by nobody else: no map is read or written, and what passes here has passed nowhere.

mod flows;
mod tables;

pub use tables::{Memory, RowsTables};
