//! Which proxy leads to an address, as curl reads the environment: `HTTPS_PROXY` for `https://`, `HTTP_PROXY` for
//! `http://`, else `ALL_PROXY`; in lower case before upper case; and `NO_PROXY` for what is reached directly.
//!
//! Variables and an address come in, a proxy goes out. Nothing is connected here.

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

use super::FetchError;

/// The proxy for an address; `None` to reach it directly. `variable` gives the value of an environment variable.
pub(super) fn choose(
    url: &Url,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<ureq::Proxy>, FetchError> {
    let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let either = |name: &str| set(&name.to_ascii_lowercase()).or_else(|| set(name));
    let name = if url.scheme() == "https" { "HTTPS_PROXY" } else { "HTTP_PROXY" };
    let (name, value) = match (either(name), either("ALL_PROXY")) {
        (Some(value), _) => (name, value),
        (None, Some(value)) => ("ALL_PROXY", value),
        (None, None) => return Ok(None),
    };
    if either("NO_PROXY").is_some_and(|list| is_direct(url, &list)) {
        return Ok(None);
    }
    // The value may hold a password, and is not shown.
    let refused = |reason: &str| Err(FetchError::setting(name, reason));
    match ureq::Proxy::new(value.trim()) {
        Ok(proxy) if proxy.protocol().to_string().starts_with("SOCKS") => {
            refused("SOCKS proxies are not supported; set one that speaks HTTP")
        }
        Ok(proxy) => Ok(Some(proxy)),
        Err(_) => refused("the variable names no proxy; set it as in `http://proxy.example:3128`"),
    }
}

/// Whether `list`, a value of `NO_PROXY`, has the address: by name, by a domain above it, by its address or a
/// prefix, or by `*`.
fn is_direct(url: &Url, list: &str) -> bool {
    let Some(host) = url.host() else { return false };
    list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| match &host {
        _ if entry == "*" => true,
        Host::Domain(name) => {
            let domain = entry.trim_start_matches('*').trim_start_matches('.').trim_end_matches('.');
            let name = name.trim_end_matches('.');
            let above = name.len().checked_sub(domain.len()).map(|length| name.split_at_checked(length));
            match above.flatten() {
                Some((below, tail)) => {
                    !domain.is_empty()
                        && tail.eq_ignore_ascii_case(domain)
                        && (below.is_empty() || below.ends_with('.'))
                }
                None => false,
            }
        }
        Host::Ipv4(address) => has(entry, IpAddr::V4(*address)),
        Host::Ipv6(address) => has(entry, IpAddr::V6(*address)),
    })
}

fn has(entry: &str, address: IpAddr) -> bool {
    let entry = entry.trim_start_matches('[').trim_end_matches(']');
    entry.parse() == Ok(address) || entry.parse().is_ok_and(|network: IpNet| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(url: &str, variables: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        };
        let proxy = choose(&url.parse().unwrap(), variable).unwrap();
        proxy.map(|proxy| format!("{}:{}", proxy.host(), proxy.port()))
    }

    #[test]
    fn each_scheme_has_its_variable_and_lower_case_comes_first() {
        let both = [("HTTPS_PROXY", "http://secure.example:1"), ("HTTP_PROXY", "plain.example:2")];
        assert_eq!(host("https://list.example/", &both).unwrap(), "secure.example:1");
        assert_eq!(host("http://list.example/", &both).unwrap(), "plain.example:2");
        let lower = [("https_proxy", "http://lower.example:1"), ("HTTPS_PROXY", "http://upper.example:1")];
        assert_eq!(host("https://list.example/", &lower).unwrap(), "lower.example:1");
        assert_eq!(host("http://list.example/", &lower), None);
        assert_eq!(host("http://list.example/", &[("ALL_PROXY", "all.example:3")]).unwrap(), "all.example:3");
        assert_eq!(host("http://list.example/", &[("HTTP_PROXY", " ")]), None);
    }

    #[test]
    fn what_no_proxy_names_is_reached_directly() {
        for (url, list, is_direct) in [
            ("http://list.example/", "list.example", true),
            ("http://a.list.example/", "list.example", true),
            ("http://a.list.example/", ".list.example, other.example", true),
            ("http://a.list.example/", "*.LIST.example", true),
            ("http://alist.example/", "list.example", false),
            ("http://list.example/", "a.list.example", false),
            ("http://list.example/", "other.example,", false),
            ("http://list.example/", "*", true),
            ("http://192.0.2.9:8080/", "192.0.2.9", true),
            ("http://192.0.2.9/", "192.0.2.0/24", true),
            ("http://192.0.2.9/", "198.51.100.0/24 2.9", false),
            ("http://[2001:db8::9]/", "2001:db8::/32", true),
            ("http://[2001:db8::9]/", "[2001:db8::9]", true),
        ] {
            let variables = [("HTTP_PROXY", "http://proxy.example:3128"), ("NO_PROXY", list)];
            assert_eq!(host(url, &variables).is_none(), is_direct, "{url} {list}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_without_its_password() {
        for value in ["http://user:geheim@", "socks5://user:geheim@proxy.example", "gopher://user:geheim@x"] {
            let url = "http://list.example/".parse().unwrap();
            let error = choose(&url, |name| (name == "HTTP_PROXY").then(|| value.to_owned())).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("HTTP_PROXY") && !shown.contains("geheim"), "{shown}");
        }
    }
}
