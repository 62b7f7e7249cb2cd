//! Real traffic through network namespaces. Needs root; says so where it has to skip.

mod namespaces;
