//! The answer as a table: columns as wide as their widest cell, two spaces between them.

use super::guest::{Answer, Report};

const COLUMNS: usize = 8;
const HEADING: [&str; COLUMNS] =
    ["KERNEL", "PROMISED", "PASSED", "FAILED", "VERIFIED", "TRANSLATED", "JITED", "ANSWER"];
/// Columns of numbers stand to the right.
const NUMBERS: std::ops::Range<usize> = 2..7;

/// One kernel's line.
pub(crate) fn row(release: &str, is_promised: bool, report: &Report) -> [String; COLUMNS] {
    let dash = || "-".to_owned();
    let promised = if is_promised { "yes" } else { "no" }.to_owned();
    let (numbers, answer) = match &report.answer {
        Answer::Loaded(program) => {
            let end = if report.has_ended { "" } else { ", tests failed or did not end" };
            let numbers =
                [program.verified, program.translated, program.jited].map(|number| number.to_string());
            (numbers, format!("loaded in {} ms (emulated){end}", program.milliseconds))
        }
        Answer::Refused(sentence) => ([dash(), dash(), dash()], sentence.clone()),
        Answer::None => ([dash(), dash(), dash()], "did not boot, or did not end".to_owned()),
    };
    let (passed, failed) = match &report.answer {
        Answer::Loaded(_) => (report.passed.to_string(), report.failed.to_string()),
        Answer::Refused(_) | Answer::None => (dash(), dash()),
    };
    let [verified, translated, jited] = numbers;
    [release.to_owned(), promised, passed, failed, verified, translated, jited, answer]
}

/// The heading and all rows, without a line end behind the last.
pub(crate) fn show(rows: &[[String; COLUMNS]]) -> String {
    let heading = HEADING.map(str::to_owned);
    let lines: Vec<_> = std::iter::once(&heading).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let line = |cells: &[String; COLUMNS]| {
        let cells = cells.iter().enumerate().map(|(column, cell)| {
            let width = width(column);
            if NUMBERS.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(|cells| line(cells)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guest::Program;

    #[test]
    fn loaded_and_refused_line_up() {
        let program = Program { verified: 64_000, translated: 9_000, jited: 5_000, milliseconds: 800 };
        let loaded = Report { answer: Answer::Loaded(program), passed: 6, failed: 0, has_ended: true };
        let refused = Report { answer: Answer::Refused("too old".to_owned()), ..Report::default() };
        let shown = show(&[row("5.10.0-32", false, &refused), row("6.1.0-56", true, &loaded)]);
        let expected = [
            "KERNEL     PROMISED  PASSED  FAILED  VERIFIED  TRANSLATED  JITED  ANSWER",
            "5.10.0-32  no             -       -         -           -      -  too old",
            "6.1.0-56   yes            6       0     64000        9000   5000  loaded in 800 ms (emulated)",
        ];
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    }
}
