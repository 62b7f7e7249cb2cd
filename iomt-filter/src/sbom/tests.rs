//! Each format in small, and what others may make of it.

use super::*;

fn bill(text: &str) -> Bill {
    read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn refused(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

fn said(bill: &Bill) -> Vec<(&str, State, Vec<&str>)> {
    let said = bill.statements.iter();
    said.map(|said| {
        let targets = said.targets.iter().map(|target| target.reference.as_str()).collect();
        (said.vulnerability.as_str(), said.state, targets)
    })
    .collect()
}

const CYCLONEDX: &str = r#"{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 2, "unknown": [{"a": 1}],
  "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
  "metadata": {"timestamp": "2026-10-02T03:04:05Z", "component": {"type": "device", "name": "Pump", "version": "9", "bom-ref": "pump"}},
  "components": [
    {"type": "operating-system", "name": "Windows 7", "bom-ref": "os", "cpe": "cpe:2.3:o:microsoft:windows_7:-:sp1:*:*:*:*:*:*",
      "components": [{"type": "library", "group": "org.apache", "name": "log4j-core", "version": "2.14.1", "bom-ref": "log", "purl": "pkg:maven/org.apache/log4j-core@2.14.1"}]}],
  "vulnerabilities": [
    {"id": "CVE-2017-0144", "affects": [{"ref": "os"}], "analysis": {"state": "exploitable"},
      "ratings": [{"score": 8.1, "method": "CVSSv31"}, {"score": 9.3, "method": "CVSSv2"}, {"score": 99, "method": "OWASP"}]},
    {"id": "GHSA-jfh8-c2jp-5v3q", "references": [{"id": "CVE-2021-44228", "source": {}}], "affects": [{"ref": "log"}],
      "analysis": {"state": "not_affected", "justification": "code_not_reachable", "lastUpdated": "2026-10-03T00:00:00Z"}},
    {"id": "cve-2020-0601"}]}"#;

#[test]
fn cyclonedx_with_vulnerabilities() {
    let bill = bill(CYCLONEDX);
    assert_eq!((bill.format, bill.version.as_str(), bill.revision), (Format::CycloneDx, "1.6", Some(2)));
    let names: Vec<_> = bill.components.iter().map(Component::called).collect();
    assert_eq!(names, ["Pump 9", "Windows 7", "org.apache/log4j-core 2.14.1"]);
    assert_eq!(bill.product().map(|product| product.name.as_str()), Some("Pump"));
    assert_eq!(
        said(&bill),
        [
            ("CVE-2017-0144", State::Exploitable, vec!["os"]),
            ("CVE-2021-44228", State::NotAffected, vec!["log"]),
            ("CVE-2020-0601", State::Listed, vec![]),
        ]
    );
    assert_eq!(bill.ratings["CVE-2017-0144"].cvss, Some(9.3));
    assert_eq!(bill.statements[1].justification.as_deref(), Some("code_not_reachable"));
    assert!(bill.is_sbom() && bill.statements[1].time > bill.created);
}

#[test]
fn spdx_2_with_advisories() {
    let bill = bill(
        r#"{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "documentNamespace": "https://maker.example/pump",
        "creationInfo": {"created": "2026-10-02T03:04:05Z"}, "packages": [
        {"SPDXID": "SPDXRef-pump", "name": "pump", "versionInfo": "9"},
        {"SPDXID": "SPDXRef-ssh", "name": "openssh", "versionInfo": "7.2p2", "externalRefs": [
          {"referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a:openbsd:openssh:7.2:p2:*:*:*:*:*:*"},
          {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:deb/debian/openssh@7.2p2"},
          {"referenceCategory": "SECURITY", "referenceType": "advisory", "referenceLocator": "https://nvd.nist.gov/vuln/detail/CVE-2016-6515"},
          {"referenceCategory": "SECURITY", "referenceType": "advisory", "referenceLocator": "https://maker.example/advisories"},
          {"referenceCategory": "SECURITY", "referenceType": "fix", "referenceLocator": "https://example.org/CVE-2016-6210"}]}],
        "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-pump"}]}"#,
    );
    assert_eq!(said(&bill), [("CVE-2016-6515", State::Listed, vec!["SPDXRef-ssh"])]);
    assert_eq!((bill.roots.as_slice(), bill.components.len()), (&["SPDXRef-pump".to_owned()][..], 2));
    assert!(bill.components[1].purl.is_some() && bill.components[1].cpe.is_some() && bill.is_sbom());
}

#[test]
fn spdx_3_with_its_security_profile() {
    let bill = bill(
        r#"{"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": [
        {"type": "CreationInfo", "@id": "_:c", "specVersion": "3.0.1", "created": "2026-10-02T03:04:05Z", "createdBy": ["https://a.example/x"]},
        {"type": "SpdxDocument", "spdxId": "https://a.example/doc", "creationInfo": "_:c", "rootElement": ["https://a.example/sbom"]},
        {"type": "software_Sbom", "spdxId": "https://a.example/sbom", "rootElement": ["https://a.example/pump"]},
        {"type": "software_Package", "spdxId": "https://a.example/pump", "name": "pump", "software_packageVersion": "9"},
        {"type": "software_Package", "spdxId": "https://a.example/ssl", "name": "openssl", "software_packageVersion": "1.0.1",
          "externalIdentifier": [{"type": "ExternalIdentifier", "externalIdentifierType": "cpe23", "identifier": "cpe:2.3:a:openssl:openssl:1.0.1:*:*:*:*:*:*:*"}]},
        {"type": "security_Vulnerability", "spdxId": "https://a.example/v1", "externalIdentifier": [{"externalIdentifierType": "cve", "identifier": "CVE-2014-0160"}]},
        {"type": "security_Vulnerability", "spdxId": "https://a.example/CVE-2014-0224"},
        {"type": "Relationship", "spdxId": "https://a.example/r0", "from": "https://a.example/ssl", "relationshipType": "hasAssociatedVulnerability", "to": ["https://a.example/v1", "https://a.example/CVE-2014-0224"]},
        {"type": "security_VexNotAffectedVulnAssessmentRelationship", "spdxId": "https://a.example/r1", "from": "https://a.example/v1", "relationshipType": "doesNotAffect",
          "to": ["https://a.example/ssl"], "security_justificationType": "vulnerableCodeNotPresent", "security_publishedTime": "2026-10-03T00:00:00Z"},
        {"type": "security_EpssVulnAssessmentRelationship", "spdxId": "https://a.example/r2", "from": "https://a.example/v1", "relationshipType": "hasAssessmentFor", "to": ["https://a.example/ssl"], "security_probability": 0.94, "security_percentile": 0.99},
        {"type": "security_ExploitCatalogVulnAssessmentRelationship", "spdxId": "https://a.example/r3", "from": "https://a.example/v1", "relationshipType": "hasAssessmentFor", "to": ["https://a.example/ssl"], "security_catalogType": "kev", "security_exploited": true}]}"#,
    );
    let ssl = "https://a.example/ssl";
    assert_eq!(
        said(&bill),
        [
            ("CVE-2014-0160", State::Listed, vec![ssl]),
            ("CVE-2014-0224", State::Listed, vec![ssl]),
            ("CVE-2014-0160", State::NotAffected, vec![ssl]),
        ]
    );
    assert_eq!(bill.roots, ["https://a.example/pump"]);
    let rating = Rating { cvss: None, epss: Some(0.94), is_exploited: true };
    assert_eq!((bill.version.as_str(), bill.ratings["CVE-2014-0160"]), ("3.0.1", rating));
}

#[test]
fn openvex() {
    let bill = bill(
        r#"{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://a.example/vex", "author": "a", "timestamp": "2026-10-02T03:04:05Z", "version": 1,
        "statements": [
          {"vulnerability": {"@id": "https://nvd.nist.gov/vuln/detail/CVE-2023-1255", "name": "CVE-2023-1255"}, "status": "fixed",
            "products": [{"@id": "pkg:oci/pump", "subcomponents": [{"@id": "pkg:apk/openssl@3.0.8"}]}]},
          {"vulnerability": {"name": "GHSA-1", "aliases": ["CVE-2023-2650"]}, "status": "under_investigation", "products": [{"@id": "x", "identifiers": {"purl": "pkg:oci/pump"}}]},
          {"vulnerability": "CVE-2023-5678", "status": "not_affected", "justification": "component_not_present", "products": ["pkg:oci/pump"]}]}"#,
    );
    assert_eq!(
        said(&bill),
        [
            ("CVE-2023-1255", State::Resolved, vec!["pkg:apk/openssl@3.0.8"]),
            ("CVE-2023-2650", State::InTriage, vec!["pkg:oci/pump"]),
            ("CVE-2023-5678", State::NotAffected, vec!["pkg:oci/pump"]),
        ]
    );
    assert!(!bill.is_sbom());
}

#[test]
fn what_is_something_else_is_refused_with_what_to_do() {
    let utf16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let be16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (bytes, said) in [
        (&b""[..], "it is empty"),
        (&utf16, "iconv -f UTF-16"),
        (&be16, "UTF-16"),
        (b"\0\0\0\0", "no text"),
        (b"\x1f\x8b\x08", "gunzip"),
        (b"<?xml version=\"1.0\"?><bom/>", "cyclonedx convert"),
        (b"SPDXVersion: SPDX-2.3\n", "tag-value"),
        (b"bom", "no object"),
        (b"[]", "no object"),
        (b"{}", "no SBOM and no VEX document"),
        (b"{\"bomFormat\": \"Other\"}", "no SBOM"),
        (b"{\"@context\": 3}", "no SBOM"),
        (br#"{"bomFormat": "CycloneDX", "specVersion": "1.3"}"#, "CycloneDX 1.3, and 1.4 to 1.7 is read"),
        (br#"{"bomFormat": "CycloneDX"}"#, "without `specVersion`"),
        (br#"{"spdxVersion": "SPDX-2.1"}"#, "SPDX 2.1"),
        (br#"{"@graph": [{"type": "CreationInfo", "specVersion": "3.1.0"}]}"#, "SPDX 3.1.0"),
        (b"{\"bomFormat\": \"CycloneDX\",\n\"specVersion\": 1.5}", "at line 2"),
        (b"{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.5\",\n\"components\": {}}", "line 2 column 14"),
        (br#"{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [], "components": []}"#, "duplicate field"),
        (br#"{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{"type": "library"}]}"#, "missing field `name`"),
        (br#"{"bomFormat": "CycloneDX", "specVersion": "1.5", "vulnerabilities": [{"analysis": {"state": "fine"}}]}"#, "unknown variant `fine`"),
        (b"{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.5\", \"version\": 1", "EOF"),
        (b"{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.5\"} {}", "trailing"),
        (b"{\"bomFormat\": \"Cyclone\xffDX\"}", "line 1"),
    ] {
        let why = refused(bytes);
        assert!(why.contains(said), "{:?}: {why}", String::from_utf8_lossy(bytes));
    }
    assert!(read(&[b"\xef\xbb\xbf\n".as_slice(), CYCLONEDX.as_bytes()].concat()).is_ok());
}

#[test]
fn files_are_bounded() {
    let nested = |depth: usize| {
        let inner = r#"{"name": "a", "components": ["#.repeat(depth) + &"]}".repeat(depth);
        format!(r#"{{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{inner}]}}"#)
    };
    assert_eq!(bill(&nested(50)).components.len(), 50);
    assert!(refused(nested(100).as_bytes()).contains("recursion limit"));
    assert!(refused(nested(10_000).as_bytes()).contains("recursion limit"));
    let unread = "[".repeat(100_000) + &"]".repeat(100_000);
    bill(&format!(r#"{{"x": {unread}, "bomFormat": "CycloneDX", "specVersion": "1.5"}}"#));
    let many = |item: &str, count: usize| {
        let items = vec![item; count].join(",");
        format!(r#"{{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{items}]}}"#)
    };
    assert_eq!(bill(&many(r#"{"name":"a"}"#, MOST_COMPONENTS)).components.len(), MOST_COMPONENTS);
    assert!(refused(many(r#"{"name":"a"}"#, MOST_COMPONENTS + 1).as_bytes()).contains("components"));
    assert!(refused(many("{}", 1_500_001).as_bytes()).contains("objects"));
    let long =
        format!(r#"{{"bomFormat": "CycloneDX", "specVersion": "1.5", "x": "{}"}}"#, "x".repeat(50 << 20));
    bill(&long);
    assert!(refused(&vec![b' '; LARGEST + 1]).contains("more than 67108864 bytes"));
}

#[test]
fn versions_of_a_target_say_what_holds_for_one() {
    let target = |status, which: &[&str]| Target {
        reference: "a".into(),
        versions: which.iter().map(|which| Versions { which: (*which).to_owned(), status }).collect(),
    };
    let affected = target(Status::Affected, &["2.4", "vers:generic/>=2.9|<=4.1"]);
    let spared = target(Status::Unaffected, &["vers:generic/<2.0"]);
    for (target, version, state, expected) in [
        (&affected, Some("2.4"), State::Exploitable, Some(State::Exploitable)),
        (&affected, Some("4.0"), State::Resolved, Some(State::Exploitable)),
        (&affected, Some("2.5"), State::Exploitable, None),
        (&affected, None, State::Exploitable, Some(State::Exploitable)),
        (&affected, Some("4.1-r2"), State::Exploitable, Some(State::Exploitable)),
        (&affected, Some("4.1-r2"), State::NotAffected, None),
        (&spared, Some("1.9"), State::Listed, Some(State::NotAffected)),
        (&spared, Some("1.9"), State::NotAffected, Some(State::NotAffected)),
        (&spared, Some("2.0"), State::NotAffected, None),
        (&spared, None, State::NotAffected, None),
    ] {
        assert_eq!(target.state(version, state), expected, "{version:?} {state:?}");
    }
}

#[test]
fn identifiers_of_the_cve_list_are_known_wherever_they_stand() {
    for (text, expected) in [
        ("CVE-2017-0144", Some("CVE-2017-0144")),
        ("https://nvd.nist.gov/vuln/detail/cve-2017-0144/", Some("CVE-2017-0144")),
        ("https://cve.mitre.org/cgi-bin/cvename.cgi?name=CVE-2017-0144", Some("CVE-2017-0144")),
        ("urn:spdx.dev:vuln-cve-2017-0144", None),
        ("CVE-2017-014", None),
        ("CVE-17-0144", None),
        ("CVE-2017-0144\n] x = [", None),
        ("GHSA-jfh8-c2jp-5v3q", None),
    ] {
        assert_eq!(cve(text).as_deref(), expected, "{text}");
    }
}
