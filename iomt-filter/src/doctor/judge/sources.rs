//! Whether the files are valid, and the country database not too old.

use super::super::facts::sources::{Country, Sources};
use super::super::finding::{Check, Finding};

/// Configuration, policy, inventory, feeds and country database.
pub(super) fn judge(sources: &Sources) -> Vec<Finding> {
    let mut found = vec![files(sources)];
    found.extend(sources.country.as_ref().map(country));
    found
}

fn files(sources: &Sources) -> Finding {
    const CHECK: Check = Check::Configuration;
    let mend = format!("iomt-filter check --config {}", sources.config.display());
    let more = |count: usize| if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
    if let Some(first) = sources.errors.first() {
        return Finding::problem(CHECK, format!("{first}{}", more(sources.errors.len()))).mend(mend);
    }
    if let Some(first) = sources.warnings.first() {
        return Finding::warning(CHECK, format!("valid; {first}{}", more(sources.warnings.len()))).mend(mend);
    }
    let devices = match sources.devices {
        1 => "1 device".to_owned(),
        count => format!("{count} devices"),
    };
    Finding::ok(CHECK, format!("`{}` and what it names is valid: {devices}", sources.config.display()))
}

fn country(country: &Country) -> Finding {
    const CHECK: Check = Check::Country;
    let (path, most) = (country.path.display(), country.most);
    let mend = format!("put a newer one in the place of `{path}`, then `iomt-filter reload`");
    let age = country.age.map_or("of unknown age".to_owned(), |days| format!("{days} days old"));
    if let Some(why) = &country.kept {
        let found = format!("the last good copy is used in the place of `{path}`: {why}");
        return Finding::warning(CHECK, found).mend(mend);
    }
    if !country.is_stale {
        return Finding::ok(CHECK, format!("`{path}` is {age}"));
    }
    let then = match country.refuses {
        true => "where a profile has `geo`, every public address is refused",
        false => "what it says counts on",
    };
    Finding::warning(CHECK, format!("`{path}` is {age}, more than {most} are too many: {then}")).mend(mend)
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Level;
    use super::*;

    fn sources() -> Sources {
        Sources { config: "config.toml".into(), devices: 1, ..Sources::default() }
    }

    #[test]
    fn valid_files_are_counted() {
        let found = &judge(&sources())[0];
        assert_eq!(found.found, "`config.toml` and what it names is valid: 1 device");
    }

    #[test]
    fn the_first_mistake_is_said_and_where_the_others_are() {
        let wrong = Sources { errors: vec!["policy.toml:3: no".into(), "two".into()], ..sources() };
        let found = &judge(&wrong)[0];
        assert_eq!((found.level, found.found.as_str()), (Level::Problem, "policy.toml:3: no (and 1 more)"));
        assert_eq!(found.mend.as_deref(), Some("iomt-filter check --config config.toml"));
        let doubtful = Sources { warnings: vec!["two rules overlap".into()], ..sources() };
        let found = &judge(&doubtful)[0];
        assert_eq!((found.level, found.found.as_str()), (Level::Warning, "valid; two rules overlap"));
    }

    #[test]
    fn the_country_database_may_be_too_old() {
        let country = Country { path: "c.mmdb".into(), age: Some(100), most: 90, ..Country::default() };
        let one = |country: Country| judge(&Sources { country: Some(country), ..sources() })[1].clone();
        assert_eq!(one(country.clone()).level, Level::Ok);
        let stale = Country { is_stale: true, ..country };
        assert!(one(stale.clone()).found.ends_with("what it says counts on"));
        let refusing = one(Country { refuses: true, ..stale.clone() });
        assert!(refusing.level == Level::Warning && refusing.found.ends_with("is refused"));
        assert!(one(Country { kept: Some("gone".into()), ..stale }).found.ends_with("gone"));
    }
}
