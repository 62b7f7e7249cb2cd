//! Tables in lines hold what their rows say, for every address, with as many rows as they are made for.

use iomt_filter_tests::lookups::{Lists, MILLION};

/// Addresses of a run of the tests, which are not optimised; `IOMT_FILTER_CASES` looks up as many as one likes, and
/// `cargo xtask bench -- --control` ten million.
const ADDRESSES: u64 = 1_000_000;

#[test]
fn a_million_hosts_prefixes_and_countries_are_found_as_a_plain_search_finds_them() {
    let number = std::env::var("IOMT_FILTER_CASES").ok().and_then(|text| text.parse().ok());
    let addresses = number.unwrap_or(ADDRESSES);
    let seen =
        Lists::new(1, MILLION).compare(2, addresses).unwrap_or_else(|difference| panic!("{difference}"));
    assert_eq!(seen.addresses, addresses);
    if addresses < ADDRESSES {
        return;
    }
    // Both answers are common, or less would be compared than it looks.
    for common in [seen.listed, seen.with_country, addresses - seen.listed, addresses - seen.with_country] {
        assert!(common * 10 > addresses, "{seen:?}");
    }
}

#[test]
fn a_host_that_the_tables_have_lost_is_noticed() {
    let difference = Lists::flawed(1, 1000).compare(2, 100_000).unwrap_err();
    assert!(difference.contains("the tables say"), "{difference}");
}
