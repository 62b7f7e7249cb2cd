//! The command line: exit codes, standard output and standard error.
