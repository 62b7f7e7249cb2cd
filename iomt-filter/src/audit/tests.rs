//! Logs that go on, are changed, cut, replaced, and cannot be written.

use super::*;

fn entry(about: &str) -> Entry {
    Entry { who: "root".into(), what: "feed release".into(), about: Some(about.into()), ..Entry::default() }
}

fn log(entries: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    for about in entries {
        // Opened anew each time, as by another agent.
        Audit::open(&path, Timestamp::UNIX_EPOCH)
            .unwrap()
            .append(entry(about), Timestamp::UNIX_EPOCH)
            .unwrap();
    }
    (folder, path)
}

/// How many lines there are, or the first thing that is wrong.
fn verified(path: &Path) -> Result<u64, Broken> {
    let Verified { lines, broken, .. } = verify(read(path).unwrap(), Mark::beside(path));
    broken.first().map_or(Ok(lines), |broken| Err(*broken))
}

fn add(audit: &mut Audit, about: &str) {
    audit.append(entry(about), Timestamp::UNIX_EPOCH).unwrap();
}

/// What the lines are about, or what they are.
fn lines(path: &Path) -> Vec<(u64, String)> {
    let line = |text: &str| -> (u64, String) {
        let line: Line = serde_json::from_str(text).unwrap();
        (line.sequence, line.entry.about.unwrap_or(line.entry.what))
    };
    fs::read_to_string(path).unwrap().lines().map(line).collect()
}

#[test]
fn a_log_goes_on_over_restarts_and_is_whole() {
    let (_folder, path) = log(&["a", "b", "c"]);
    assert_eq!(verified(&path), Ok(3));
}

#[test]
fn a_line_that_was_changed_moved_or_taken_out_shows() {
    let (_folder, path) = log(&["a", "b", "c"]);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for (lines, line, fault) in [
        (vec![lines[0].replace("\"a\"", "\"x\""), lines[1].into()], 1, Fault::Changed),
        (vec![lines[0].replacen('{', "{\"approved\":true,", 1), lines[1].into()], 1, Fault::Changed),
        (vec![lines[0].into(), lines[2].into()], 2, Fault::Missing { from: 2, to: 2 }),
        (vec![lines[1].into(), lines[0].into()], 1, Fault::Begins(2)),
        (vec![lines[0].into(), lines[1].into(), lines[0].into()], 3, Fault::Unordered),
        (vec![lines[0].into(), String::new(), lines[1].into()], 2, Fault::NoEntry),
    ] {
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        assert_eq!(verified(&path), Err(Broken { line, fault }));
    }
}

#[test]
fn what_a_power_cut_left_of_a_line_is_taken_off_and_said() {
    let (_folder, path) = log(&["a", "b"]);
    let whole = fs::read(&path).unwrap();
    // Nobody was told that the third one is there.
    fs::write(&path, [&whole, &whole[..7]].concat()).unwrap();
    let mut audit = Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap();
    audit.append(entry("c"), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(verified(&path), Ok(4));
    assert_eq!(lines(&path)[2], (3, "audit mend".to_owned()));
    assert!(fs::read_to_string(&path).unwrap().contains("bytes of an unfinished line were taken off"));
}

#[test]
fn two_who_add_to_one_log_follow_on_each_other() {
    let (_folder, path) = log(&[]);
    let open = || Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap();
    let (mut one, mut other) = (open(), open());
    for about in ["a", "b", "c"] {
        one.append(entry(about), Timestamp::UNIX_EPOCH).unwrap();
        other.append(entry(about), Timestamp::UNIX_EPOCH).unwrap();
    }
    assert_eq!(verified(&path), Ok(6));
    // At once, and with half a line of a third that was cut off.
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"sequ").unwrap();
    thread::scope(|scope| {
        for audit in [&mut one, &mut other] {
            scope.spawn(|| {
                for _ in 0..50 {
                    audit.append(entry("d"), Timestamp::UNIX_EPOCH).unwrap();
                }
            });
        }
    });
    assert_eq!(verified(&path), Ok(6 + 1 + 100));
    assert_eq!(verify(read(&path).unwrap(), None).lines, 107);
}

#[test]
fn texts_are_cut_and_say_so_and_whatever_was_written_is_followed_on() {
    let (_folder, path) = log(&["a"]);
    let long = "ü\u{1}".repeat(1 << 20);
    let value = serde_json::json!({ "text": long, "many": vec!["\u{1}"; 1 << 20], "deep": [[long]] });
    let huge = Entry {
        who: long.clone(),
        uid: None,
        what: long.clone(),
        about: Some(long.clone()),
        before: value.clone(),
        after: serde_json::json!({ "errors": [long], "entries": 7 }),
        note: Some(long.clone()),
        at: None,
    };
    Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap().append(huge, Timestamp::UNIX_EPOCH).unwrap();
    Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap().append(entry("b"), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(verified(&path), Ok(3));
    let text = fs::read_to_string(&path).unwrap();
    let line = text.lines().nth(1).unwrap();
    assert!(line.len() < 1 << 20, "{}", line.len());
    let line: Line = serde_json::from_str(line).unwrap();
    let end = format!("… (cut, it has {} bytes)", long.len());
    assert!(line.entry.note.unwrap().ends_with(&end) && line.entry.who.ends_with(&end));
    assert_eq!(line.entry.after["entries"], 7);
    assert!(line.entry.after["errors"][0].as_str().unwrap().ends_with(&end));
    assert!(line.entry.before.as_str().unwrap().contains("… (cut, it has "));
}

#[test]
fn a_line_that_is_longer_than_any_that_is_written_now_is_followed_on() {
    let (_folder, path) = log(&["a"]);
    let mut audit = Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap();
    let long = Entry { note: Some("x".repeat(3 << 20)), ..entry("b") };
    let end = audit.end().unwrap();
    audit.write(&end, [long], Timestamp::UNIX_EPOCH).unwrap();
    Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap().append(entry("c"), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(verified(&path), Ok(3));
}

#[test]
fn several_entries_are_lines_that_follow_on_each_other_and_lines_without_a_user_number_stay_good() {
    let (_folder, path) = log(&["a"]);
    let by = |uid| Author { name: "bob".into(), uid };
    let entries = [Entry::by(&by(Some(1_001)), "grant"), Entry::by(&by(None), "reload")];
    let mut audit = Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap();
    audit.append_all(entries.clone(), Timestamp::UNIX_EPOCH, PATIENCE).unwrap();
    audit.append_all([], Timestamp::UNIX_EPOCH, PATIENCE).unwrap();
    audit.append(entries[0].failed(&["full".into()]), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(verified(&path), Ok(4));
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<Line> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines[1].entry.uid, lines[2].entry.uid), (Some(1_001), None));
    assert!(!text.lines().next().unwrap().contains("uid"), "as it always was");
    assert_eq!((lines[3].entry.what.as_str(), &lines[3].entry.after[0]), ("grant failed", &"full".into()));
}

#[test]
fn one_that_another_keeps_to_itself_is_not_waited_for_without_end() {
    let (_folder, path) = log(&["a"]);
    let mut audit = Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap();
    let other = File::open(&path).unwrap();
    other.lock_shared().unwrap();
    let refused = audit.append(entry("b"), Timestamp::UNIX_EPOCH);
    assert!(matches!(refused, Err(AuditError::Busy(_))), "{refused:?}");
    drop(other);
    audit.append(entry("b"), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(verified(&path), Ok(2));
}

#[test]
fn a_log_with_another_end_is_not_written_over() {
    let (_folder, path) = log(&["a"]);
    fs::write(&path, "nonsense\n").unwrap();
    assert!(matches!(Audit::open(&path, Timestamp::UNIX_EPOCH), Err(AuditError::Damaged(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), "nonsense\n");
}

#[test]
fn a_log_that_is_replaced_while_it_is_open_is_followed_on_and_says_what_is_missing() {
    type Replace = fn(&Path);
    let replaced: [(&str, Replace, Result<u64, Fault>); 6] = [
        ("removed", |path| fs::remove_file(path).unwrap(), Err(Fault::Begins(4))),
        (
            "moved by logrotate, which makes a new one",
            |path| {
                fs::rename(path, path.with_added_extension("1")).unwrap();
                File::create(path).unwrap();
            },
            Err(Fault::Begins(4)),
        ),
        ("emptied in place", |path| drop(File::create(path).unwrap()), Err(Fault::Begins(4))),
        (
            "cut in place",
            |path| {
                let text = fs::read_to_string(path).unwrap();
                let first = text.find('\n').unwrap() + 1;
                File::options().write(true).open(path).unwrap().set_len(first as u64).unwrap();
            },
            Err(Fault::Missing { from: 2, to: 3 }),
        ),
        (
            "copied and put in its place, as sed -i does, without the last line",
            |path| {
                let text = fs::read_to_string(path).unwrap();
                let end = text.trim_end().rfind('\n').unwrap() + 1;
                fs::write(path.with_added_extension("new"), &text[..end]).unwrap();
                fs::rename(path.with_added_extension("new"), path).unwrap();
            },
            Err(Fault::Missing { from: 3, to: 3 }),
        ),
        (
            "copied and put in its place as it was",
            |path| {
                fs::copy(path, path.with_added_extension("new")).unwrap();
                fs::rename(path.with_added_extension("new"), path).unwrap();
            },
            Ok(5),
        ),
    ];
    for (how, replace, expected) in replaced {
        let (folder, path) = log(&["a", "b"]);
        let mut audit = Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap();
        add(&mut audit, "c");
        replace(&path);
        // The mark is no help to who remembers.
        fs::remove_file(folder.path().join(mark::MARK)).unwrap();
        add(&mut audit, "d");
        assert_eq!(verified(&path).map_err(|broken| broken.fault), expected, "{how}");
        let last = lines(&path);
        let told: Vec<_> = last.iter().rev().take(2).rev().cloned().collect();
        assert_eq!(told, [(4, "audit replaced".to_owned()), (5, "d".to_owned())], "{how}");
        add(&mut audit, "e");
        assert_eq!(lines(&path).last(), Some(&(6, "e".to_owned())), "{how}: it is said once");
    }
}

#[test]
fn a_log_that_was_cut_while_nobody_had_it_open_shows_at_once_and_for_good() {
    for kept in 0..3 {
        let (_folder, path) = log(&["a", "b", "c"]);
        let text = fs::read_to_string(&path).unwrap();
        let text: String = text.split_inclusive('\n').take(kept).collect();
        fs::write(&path, text).unwrap();
        let last = kept as u64;
        let fault = Fault::Ends { last, written: 3 };
        assert_eq!(verified(&path), Err(Broken { line: last + 1, fault }));
        assert!(Broken { line: 1, fault }.fault.is_of_all());
        let mut audit = Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap();
        add(&mut audit, "d");
        let fault = match kept {
            0 => Fault::Begins(4),
            _ => Fault::Missing { from: last + 1, to: 3 },
        };
        assert_eq!(verified(&path), Err(Broken { line: last + 1, fault }));
        let found = verify(read(&path).unwrap(), Mark::beside(&path));
        assert_eq!((found.lines, found.broken.len()), (last + 2, 1), "what is there is looked at to its end");
    }
}

#[test]
fn a_log_without_a_line_is_not_whole_nor_is_another_one() {
    let (_folder, path) = log(&[]);
    fs::write(&path, "").unwrap();
    assert_eq!(verified(&path), Err(Broken { line: 1, fault: Fault::Empty }));
    let (_one, path) = log(&["a", "b"]);
    let (_other, other) = log(&["x", "b", "c"]);
    fs::copy(&other, &path).unwrap();
    assert_eq!(verified(&path), Err(Broken { line: 4, fault: Fault::Another(2) }));
}

#[test]
fn a_log_whose_folder_is_gone_takes_nothing_until_it_is_back() {
    let (folder, path) = log(&["a"]);
    let mut audit = Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap();
    let away = folder.path().with_added_extension("away");
    fs::rename(folder.path(), &away).unwrap();
    audit.append(entry("b"), Timestamp::UNIX_EPOCH).unwrap_err();
    fs::rename(&away, folder.path()).unwrap();
    add(&mut audit, "b");
    assert_eq!(verified(&path), Ok(2));
}
