//! `explain`, asked of a running agent: it knows what the files do not say, and touches nothing.

use iomt_filter_tests::hospital::host::HTTPS;
use iomt_filter_tests::hospital::program::Answer;
use iomt_filter_tests::hospital::{Hospital, Host, Version};
use serde_json::Value;

use crate::can_run;
use crate::hospital::{agent, filter};

#[test]
fn explain_says_what_the_agent_has_loaded() {
    if !can_run() {
        return;
    }
    let hospital = Hospital::build(crate::PREFIX).unwrap();
    let mut filter = filter(&hospital, &agent());
    let read = |answer: &Answer| -> Value { serde_json::from_str(&answer.output).unwrap() };
    for version in Version::BOTH {
        let at = |host: Host| host.at(version, HTTPS).ip().to_string();
        let vendor = at(Host::Vendor);
        let question =
            ["explain", "--device", "ct-1", "--to", &vendor, "--service", "https", "--output", "json"];
        let free = filter.ask(&question).unwrap();
        assert_eq!(free.status.code(), Some(0), "{free:?}");
        assert!(free.errors.contains("answered by the agent"), "{}", free.errors);
        let said = read(&free);
        assert_eq!((&said["reason"], &said["answer"]["reason"]), (&"allowed".into(), &"established".into()));
        assert_eq!(said["generation"], filter.json(&["status"]).unwrap()["generation"]);

        filter.tell(&["block", "add", &vendor, "--score", "70"]).unwrap();
        let blocked = filter.ask(&question).unwrap();
        assert_eq!(blocked.status.code(), Some(1), "{blocked:?}");
        let said = read(&blocked);
        assert_eq!((&said["reason"], &said["stage"]), (&"blocklist".into(), &"far-end".into()));
        assert_eq!((&said["feed"], &said["score"]), (&"manual".into(), &70.into()));
        assert!(said["next"].as_str().unwrap().contains("iomt-filter block remove"), "{said}");
        assert_eq!(said["generation"], filter.json(&["status"]).unwrap()["generation"]);
        filter.tell(&["block", "remove", &vendor]).unwrap();

        let denied = at(Host::Denied);
        let question = ["explain", "--device", "pump-1", "--to", &denied, "--service", "https", "-o", "json"];
        let said = read(&filter.ask(&question).unwrap());
        assert_eq!((&said["reason"], &said["country"]), (&"geo".into(), &"KP".into()), "{said}");
    }
    let flows = filter.json(&["flows"]).unwrap();
    assert_eq!(flows.as_array().map(Vec::len), Some(0), "a question left a flow behind: {flows}");
    let unknown = filter.ask(&["explain", "--device", "ct-2", "--to", "pacs", "--service", "dicom"]).unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(unknown.errors.contains("did you mean `ct-1`?"), "{}", unknown.errors);

    filter.kill().unwrap();
    let orphan = filter.ask(&["explain", "--device", "ct-1", "--to", "pacs", "--service", "dicom"]).unwrap();
    assert_eq!(orphan.status.code(), Some(0), "{orphan:?}");
    assert!(orphan.errors.contains("no agent answers"), "{}", orphan.errors);
    filter.remove().unwrap();
}
