//! `doctor` needs neither an agent nor a configuration that can be used.

use serde_json::Value;

use crate::program::run;

#[test]
fn a_configuration_that_is_missing_is_a_problem_among_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let config = path.to_str().unwrap();
    let text = run(["doctor", "--config", config]);
    assert_eq!((text.code, text.stderr.as_str()), (1, ""), "{text:?}");
    let problem = format!("problem  configuration {config}: failed to read the configuration");
    assert!(text.stdout.contains(&problem), "{}", text.stdout);
    let mend = format!("         mend: iomt-filter check --config {config}\n");
    assert!(text.stdout.contains(&mend), "{}", text.stdout);
    assert!(text.stdout.lines().last().unwrap().starts_with("not fit: "), "{}", text.stdout);

    let documents = [&["--json"][..], &["--output", "json"]].map(|format| {
        let answer = run([&["doctor", "--config", config], format].concat());
        assert_eq!(answer.code, 1, "{answer:?}");
        serde_json::from_str::<Value>(&answer.stdout).unwrap()
    });
    for document in &documents {
        assert!(document["problems"].as_u64() >= Some(1) && document["warnings"].is_u64(), "{document:#}");
        for finding in document["findings"].as_array().unwrap() {
            let keys: Vec<_> = finding.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(keys, ["check", "found", "interface", "level", "mend"], "{finding:#}");
        }
    }
    assert_eq!(documents[0]["problems"], documents[1]["problems"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no file is left behind");
}
