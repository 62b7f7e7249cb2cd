//! Every command of the README and of the other pages that asks an agent, asked of one.

use iomt_filter_tests::hospital::connection::{Service, Session};
use iomt_filter_tests::hospital::host::DICOM;
use iomt_filter_tests::hospital::{Hospital, Host, Version};
use iomt_filter_tests::readme::{commands, commands_of};

use crate::can_run;
use crate::hospital::{LIMIT, agent, filter};

#[test]
fn every_command_for_an_agent_works() {
    if !can_run() {
        return;
    }
    let hospital = Hospital::build(crate::PREFIX).unwrap();
    let filter = filter(&hospital, &agent());
    // What is tried on live packets needs some.
    let pacs = Host::Pacs.at(Version::V4, DICOM);
    let _service = Service::start(&hospital[Host::Pacs], pacs).unwrap();
    let _session = Session::start(&hospital[Host::Ct], pacs, LIMIT).unwrap();
    let commands = commands("agent");
    assert!(commands.len() >= 9);
    let pages = ["feeds", "service", "operations", "doctor", "plan", "learn", "events", "risk"]
        .map(|name| format!("docs/{name}.md"));
    for command in commands.into_iter().chain(pages.iter().flat_map(|page| commands_of(page, "agent"))) {
        let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        let answer = filter.ask(&arguments).unwrap();
        assert!(answer.status.success(), "{command:?}: {answer:?}");
    }
    filter.remove().unwrap();
}
