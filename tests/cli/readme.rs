//! Every command of the README that needs no agent.

use iomt_filter_tests::readme::{commands, root};

use crate::program::command as program;

#[test]
fn every_command_without_an_agent_works() {
    let commands = commands("check");
    assert!(commands.len() >= 5);
    for words in commands {
        let output = program().current_dir(root()).args(&words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        assert!(!output.stdout.is_empty(), "{words:?} prints nothing");
    }
}
