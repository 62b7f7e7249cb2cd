//! Finds a compiler route.
