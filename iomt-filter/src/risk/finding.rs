//! What all files of a device say together: for each vulnerability and component the statement that counts.
//!
//! What somebody has judged counts more than what is only listed, what was said later more than what was said before, and
//! of what was said at once, that which leaves something to do. A statement about the product is one about all of its
//! components. One that refers to another SBOM than those of the device says nothing of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use crate::sbom::{Component, Kept, Rating, State, Statement, Target};

/// What counts of a vulnerability in a component.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resolved {
    pub(super) vulnerability: String,
    pub(super) component: Component,
    pub(super) file: String,
    pub(super) state: State,
    pub(super) justification: Option<String>,
    pub(super) rating: Rating,
}

/// Somebody's word, in the order in which it counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim<'k> {
    is_judged: bool,
    time: Timestamp,
    imported: Timestamp,
    is_open: bool,
    state: &'static str,
    justification: Option<&'k str>,
    file: &'k str,
}

/// Whom a statement is about.
enum Subject<'k> {
    /// A component of a file.
    Component(usize, &'k Component),
    /// The product of a file, or whatever the device is.
    Product(Option<usize>),
    /// Something that no file names.
    Other(&'k str),
}

/// What a component is known by.
type Name<'k> = (&'k str, Option<&'k str>, Option<&'k str>);

#[derive(Default)]
struct Vulnerability<'k> {
    components: BTreeMap<Name<'k>, Affected<'k>>,
    product: Vec<(Option<usize>, Claim<'k>, State)>,
}

#[derive(Default)]
struct Affected<'k> {
    component: Option<&'k Component>,
    files: BTreeSet<usize>,
    claims: Vec<(Claim<'k>, State)>,
}

/// The files of a device, by what they are referred to.
struct Index<'k> {
    kept: &'k [&'k Kept],
    own: Vec<HashMap<&'k str, &'k Component>>,
    serials: HashMap<&'k str, usize>,
    names: HashMap<&'k str, (usize, &'k Component)>,
    has_sbom: bool,
}

/// What counts, in the order of vulnerabilities; and how many statements are about other SBOMs.
pub(super) fn resolve(kept: &[&Kept]) -> (Vec<Resolved>, usize) {
    let index = Index::of(kept);
    let mut vulnerabilities: BTreeMap<&str, Vulnerability<'_>> = BTreeMap::new();
    let mut elsewhere = 0;
    for (number, file) in kept.iter().enumerate() {
        for said in &file.bill.statements {
            let vulnerability = vulnerabilities.entry(&said.vulnerability).or_default();
            if said.targets.is_empty() {
                let of = file.about.is_sbom.then_some(number);
                vulnerability.product.push((of, claim(file, said, said.state), said.state));
            }
            for target in &said.targets {
                elsewhere += usize::from(!index.hear(number, said, target, vulnerability));
            }
        }
    }
    let mut ratings: HashMap<&str, Rating> = HashMap::new();
    for (name, rating) in kept.iter().flat_map(|file| &file.bill.ratings) {
        let rated = ratings.entry(name).or_default();
        *rated = rated.or_graver(*rating);
    }
    let rating = |name: &str| ratings.get(name).copied().unwrap_or_default();
    let resolved =
        vulnerabilities.into_iter().flat_map(|(name, found)| index.counts(name, found, rating(name)));
    (resolved.collect(), elsewhere)
}

impl<'k> Index<'k> {
    fn of(kept: &'k [&'k Kept]) -> Self {
        let own = kept.iter().map(|file| {
            let components = file.bill.components.iter();
            components.filter(|it| !it.reference.is_empty()).map(|it| (it.reference.as_str(), it)).collect()
        });
        let serial = |(number, file): (usize, &&'k Kept)| Some((uuid(file.bill.serial.as_deref()?), number));
        let mut names = HashMap::new();
        for (number, file) in kept.iter().enumerate() {
            for component in &file.bill.components {
                for name in [&component.purl, &component.cpe].into_iter().flatten() {
                    names.entry(name.as_str()).or_insert((number, component));
                }
            }
        }
        Self {
            kept,
            own: own.collect(),
            serials: kept.iter().enumerate().filter_map(serial).collect(),
            names,
            has_sbom: kept.iter().any(|file| file.about.is_sbom),
        }
    }

    /// Takes down what is said of a target; `false` where that is none of this device.
    fn hear(
        &self,
        number: usize,
        said: &'k Statement,
        target: &'k Target,
        vulnerability: &mut Vulnerability<'k>,
    ) -> bool {
        let Some((subject, is_this_revision)) = self.subject(number, &target.reference) else { return false };
        let version = match &subject {
            Subject::Component(_, component) => component.version.as_deref(),
            Subject::Product(of) => self.version(of.unwrap_or(number)),
            Subject::Other(_) => None,
        };
        let Some(state) = target.state(version, said.state) else { return true };
        if !is_this_revision && !state.is_open() {
            return false;
        }
        let Some(file) = self.kept.get(number) else { return true };
        let claim = claim(file, said, state);
        match subject {
            Subject::Product(of) => vulnerability.product.push((of, claim, state)),
            Subject::Component(of, component) => {
                let name = (component.name.as_str(), component.version.as_deref(), component.purl.as_deref());
                let affected = vulnerability.components.entry(name).or_default();
                affected.component = affected.component.or(Some(component));
                affected.files.insert(of);
                affected.claims.push((claim, state));
            }
            Subject::Other(name) => {
                let affected = vulnerability.components.entry((name, None, None)).or_default();
                affected.claims.push((claim, state));
            }
        }
        true
    }

    /// Whom a reference in a file means, and whether it means the revision that was imported; nothing where that is
    /// another product's.
    fn subject(&self, number: usize, reference: &'k str) -> Option<(Subject<'k>, bool)> {
        if let Some(link) = reference.strip_prefix("urn:cdx:") {
            let (document, fragment) = link.split_once('#').unwrap_or((link, ""));
            let (serial, revision) = document.split_once('/').unwrap_or((document, ""));
            let Some(&of) = self.serials.get(serial) else {
                return (!self.has_sbom).then_some((Subject::Other(reference), true));
            };
            let imported = self.kept.get(of).and_then(|file| file.bill.revision).unwrap_or(1);
            let is_this = revision.parse() == Ok(imported);
            if fragment.is_empty() {
                return Some((Subject::Product(Some(of)), is_this));
            }
            let own = self.own.get(of);
            let found =
                own.and_then(|own| own.get(fragment).or_else(|| own.get(unescaped(fragment).as_str())));
            return Some((found.map_or(Subject::Other(reference), |found| self.meant(of, found)), is_this));
        }
        let others = (0..self.own.len()).filter(|other| *other != number);
        for of in std::iter::once(number).chain(others) {
            if let Some(found) = self.own.get(of).and_then(|own| own.get(reference)) {
                return Some((self.meant(of, found), true));
            }
        }
        let named = self.names.get(reference).map(|&(of, found)| self.meant(of, found));
        Some((named.unwrap_or(Subject::Other(reference)), true))
    }

    fn meant(&self, number: usize, component: &'k Component) -> Subject<'k> {
        let is_root = |file: &&Kept| file.bill.roots.contains(&component.reference);
        match self.kept.get(number).filter(|file| is_root(file)) {
            Some(file) => Subject::Product(file.about.is_sbom.then_some(number)),
            None => Subject::Component(number, component),
        }
    }

    /// The version of the product of a file; where it does not say, that of the only SBOM.
    fn version(&self, number: usize) -> Option<&'k str> {
        let of = |file: &&'k Kept| file.bill.product()?.version.as_deref();
        let mut sboms = self.kept.iter().filter(|file| file.about.is_sbom);
        let only = sboms.next().filter(|_| sboms.next().is_none());
        self.kept.get(number).and_then(of).or_else(|| only.and_then(of))
    }

    fn counts(&self, name: &str, found: Vulnerability<'k>, rating: Rating) -> Vec<Resolved> {
        let Vulnerability { components, product } = found;
        let resolved = |component: Component, (claim, state): (Claim<'k>, State)| Resolved {
            vulnerability: name.to_owned(),
            component,
            file: claim.file.to_owned(),
            state,
            justification: claim.justification.map(str::to_owned),
            rating,
        };
        if components.is_empty() {
            let product_of = |file: &&Kept| file.bill.product().cloned();
            let last = product
                .into_iter()
                .map(|(of, claim, state)| (of, (claim, state)))
                .max_by(|a, b| a.1.0.cmp(&b.1.0));
            return last
                .map(|(of, counts)| {
                    let own = of.and_then(|of| self.kept.get(of)).and_then(product_of);
                    let any = || self.kept.iter().find_map(product_of);
                    let unknown = || Component { name: "the device".to_owned(), ..Component::default() };
                    resolved(own.or_else(any).unwrap_or_else(unknown), counts)
                })
                .into_iter()
                .collect();
        }
        let of_component = |(name, affected): (Name<'k>, Affected<'k>)| {
            let concerns = |of: &Option<usize>| of.is_none_or(|of| affected.files.contains(&of));
            let of_product = product.iter().filter(|(of, ..)| concerns(of));
            let of_product = of_product.map(|(_, claim, state)| (claim.clone(), *state));
            let counts = affected.claims.into_iter().chain(of_product).max_by(|a, b| a.0.cmp(&b.0))?;
            let unnamed = || Component { name: name.0.to_owned(), ..Component::default() };
            Some(resolved(affected.component.cloned().unwrap_or_else(unnamed), counts))
        };
        components.into_iter().filter_map(of_component).collect()
    }
}

fn claim<'k>(file: &'k Kept, said: &'k Statement, state: State) -> Claim<'k> {
    Claim {
        is_judged: state != State::Listed,
        time: said.time.or(file.bill.created).unwrap_or(file.about.imported),
        imported: file.about.imported,
        is_open: state.is_open(),
        state: state.name(),
        justification: said.justification.as_deref(),
        file: &file.about.file,
    }
}

/// A serial number without what it begins with.
fn uuid(serial: &str) -> &str {
    serial.strip_prefix("urn:uuid:").unwrap_or(serial)
}

/// A fragment of an address (RFC 3986 §2.1).
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.filter(|_| first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbom::{Bill, Imported, Whose, read};

    /// A file that was imported at this second.
    fn kept(second: i64, file: &str, text: &str) -> Kept {
        let bill: Bill = read(text.as_bytes()).unwrap();
        let about = Imported {
            device: Whose("ct-1".into()),
            file: file.into(),
            imported: Timestamp::from_second(2_000_000_000 + second).unwrap(),
            ..Imported::default()
        };
        Kept { about: about.of(&bill), bill }
    }

    fn sbom(serial: u8, revision: u8) -> Kept {
        kept(
            0,
            &format!("bom-{serial}.json"),
            &format!(
                r#"{{"bomFormat": "CycloneDX", "specVersion": "1.5", "version": {revision}, "serialNumber": "urn:uuid:{serial}",
            "metadata": {{"component": {{"name": "pump", "version": "2.5", "bom-ref": "pump"}}}},
            "components": [{{"name": "log", "version": "1", "bom-ref": "a b", "purl": "pkg:x/log@1"}}, {{"name": "ssh", "bom-ref": "ssh"}}],
            "vulnerabilities": [{{"id": "CVE-2021-44228", "affects": [{{"ref": "a b"}}]}}]}}"#
            ),
        )
    }

    fn vex(second: i64, statements: &str) -> Kept {
        kept(
            second,
            &format!("vex-{second}.json"),
            &format!(
                r#"{{"bomFormat": "CycloneDX", "specVersion": "1.5", "metadata": {{"component": {{"name": "pump", "bom-ref": "p"}}}},
            "vulnerabilities": [{statements}]}}"#
            ),
        )
    }

    fn said(reference: &str, state: &str) -> String {
        format!(
            r#"{{"id": "CVE-2021-44228", "affects": [{{"ref": "{reference}"}}], "analysis": {{"state": "{state}"}}}}"#
        )
    }

    fn states(files: &[&Kept]) -> Vec<(String, State)> {
        let (resolved, _) = resolve(files);
        resolved.into_iter().map(|it| (it.component.called(), it.state)).collect()
    }

    #[test]
    fn the_word_that_counts_is_the_last_one_of_somebody_who_judged() {
        let bom = sbom(1, 1);
        let of_log = |state| vec![("log 1".to_owned(), state)];
        assert_eq!(states(&[&bom]), of_log(State::Listed));
        for reference in ["urn:cdx:1/1#a%20b", "urn:cdx:1/1#a b", "a b", "pkg:x/log@1", "p", "urn:cdx:1/1"] {
            let closed = vex(1, &said(reference, "not_affected"));
            assert_eq!(states(&[&bom, &closed]), of_log(State::NotAffected), "{reference}");
            assert_eq!(states(&[&closed, &bom]), of_log(State::NotAffected), "{reference}");
            let later = vex(2, &said(reference, "exploitable"));
            assert_eq!(states(&[&later, &bom, &closed]), of_log(State::Exploitable), "{reference}");
            let both = vex(3, &[said(reference, "exploitable"), said(reference, "resolved")].join(","));
            assert_eq!(states(&[&bom, &both]), of_log(State::Exploitable), "at once, {reference}");
        }
    }

    #[test]
    fn what_is_said_of_another_sbom_closes_nothing() {
        let bom = sbom(1, 2);
        for (reference, elsewhere) in [("urn:cdx:9/1#a b", 1), ("urn:cdx:1/1#a b", 1)] {
            let closed = vex(1, &said(reference, "not_affected"));
            assert_eq!(resolve(&[&bom, &closed]).1, elsewhere);
            assert_eq!(states(&[&bom, &closed]), [("log 1".to_owned(), State::Listed)], "{reference}");
        }
        // What is open of an older revision may still be.
        let open = vex(1, &said("urn:cdx:1/1#a b", "exploitable"));
        assert_eq!(states(&[&bom, &open]), [("log 1".to_owned(), State::Exploitable)]);
        // Without an SBOM there is nothing that it could not be about.
        let alone = vex(1, &said("urn:cdx:9/1#x", "exploitable"));
        assert_eq!(states(&[&alone]), [("urn:cdx:9/1#x".to_owned(), State::Exploitable)]);
        // Of two products, each has its own.
        let other = sbom(2, 1);
        let closed = vex(1, &said("urn:cdx:2/1", "resolved"));
        let found = states(&[&bom, &other, &closed]);
        assert_eq!(found, [("log 1".to_owned(), State::Resolved)], "they are the same component");
    }

    #[test]
    fn versions_of_the_product_count() {
        let bom = sbom(1, 1);
        let of = |version: &str, state: &str, status: &str| {
            format!(
                r#"{{"id": "CVE-2021-44228", "analysis": {{"state": "{state}"}},
                "affects": [{{"ref": "p", "versions": [{{"{version}", "status": "{status}"}}]}}]}}"#
            )
            .replace("version:", "version\": \"")
            .replace("range:", "range\": \"")
        };
        let closed = vex(1, &of("version:2.5", "not_affected", "unaffected"));
        assert_eq!(states(&[&bom, &closed]), [("log 1".to_owned(), State::NotAffected)]);
        let others = vex(1, &of("range:vers:generic/<=2.3", "not_affected", "unaffected"));
        assert_eq!(states(&[&bom, &others]), [("log 1".to_owned(), State::Listed)]);
    }

    #[test]
    fn what_names_nobody_is_about_the_product() {
        let alone = vex(1, r#"{"id": "CVE-2020-11896"}, {"id": "X-1", "affects": [{"ref": "nobody"}]}"#);
        let (found, _) = resolve(&[&alone]);
        let told: Vec<_> =
            found.iter().map(|it| (it.vulnerability.as_str(), it.component.name.as_str())).collect();
        assert_eq!(told, [("CVE-2020-11896", "pump"), ("X-1", "nobody")]);
    }
}
