//! Every command of the README, and of the pages about feeds and plans, that needs no agent.

use iomt_filter_tests::readme::{commands, commands_of, root};

use crate::program::command as program;

#[test]
fn every_command_without_an_agent_works() {
    let commands = commands("check");
    assert!(commands.len() >= 5);
    for words in commands
        .into_iter()
        .chain(commands_of("docs/feeds.md", "check"))
        .chain(commands_of("docs/plan.md", "check"))
    {
        let output = program().current_dir(root()).args(&words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        assert!(!output.stdout.is_empty(), "{words:?} prints nothing");
    }
}
