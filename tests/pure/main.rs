//! Parsing and judging on byte slices: no root, no kernel, no clock.

mod differential;
