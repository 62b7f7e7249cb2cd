//! A table as rules of the policy.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::column::{Column, plain};
use super::line::{self, Meaning, Opening};
use super::report::{Imported, LeftOut, Rule};
use super::table::{Row, Table};
use crate::bindings::Bindings;
use crate::contacts::Direction;
use crate::foreign::shown;
use crate::nearest::did_you_mean;
use crate::policy::service::PortRange;
use crate::policy::{Vocabulary, wording};

/// What a table is understood by.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'g> {
    /// Who stands behind its far ends.
    pub bindings: &'g Bindings,
    /// The names that the policy gives.
    pub vocabulary: &'g Vocabulary,
    /// The profile that is made of it.
    pub profile: &'g str,
    /// What the file is called.
    pub file: &'g str,
    /// The device whose lines count, where it is about several.
    pub model: Option<&'g str>,
    /// Who opens by lines that do not say it.
    pub direction: Option<Direction>,
    /// Whether ports of who opens are passed over, and `both` is taken for both.
    pub widen: bool,
}

/// Why nothing comes of a table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImportError {
    /// Nobody said which of its devices is meant.
    #[error("it is about several devices; name one with `--model`: {0}")]
    Models(String),
    /// It is about others.
    #[error("it is not about `{0}`; {1}")]
    NoModel(String, String),
    /// It does not say what it is about.
    #[error("it has no column `model` to look for `{0}` in")]
    NoModels(String),
}

/// Makes a profile of a table.
///
/// # Errors
/// When it is not clear which lines count.
pub fn import(table: &Table, ground: &Ground<'_>) -> Result<Imported, ImportError> {
    let model = model(table, ground.model)?;
    let file = shown(ground.file);
    let (mut left_out, mut notes, mut openings) = (Vec::new(), Vec::new(), Vec::new());
    let (mut others, mut lines) = (0_usize, 0_usize);
    for row in &table.rows {
        let place = format!("{file}:{}", row.line);
        match (&model, table.cell(row, Column::Model)) {
            (Some(model), Some(own)) if plain(own) != *model => {
                others += 1;
                continue;
            }
            (Some(_), None) => {
                left_out.push(LeftOut { place, why: "it does not say which device it is about".to_owned() });
                continue;
            }
            _ => lines += 1,
        }
        match line::meaning(table, row, ground) {
            Err(why) => left_out.push(LeftOut { place, why }),
            Ok(Meaning::Nothing(why)) => notes.push(format!("{place} gets no rule: {why}")),
            Ok(Meaning::Opens(found, said)) => {
                notes.extend(said.into_iter().map(|said| format!("{place}: {said}")));
                openings.extend(found.into_iter().map(|opening| (place.clone(), opening)));
            }
        }
    }
    if others > 0 {
        notes.push(format!("{others} lines are about other devices"));
    }
    if table.above > 0 {
        notes.push(format!("{} lines above the titles are not looked at", table.above));
    }
    if !table.ignored.is_empty() {
        notes.push(format!("columns that are not looked at: {}", table.ignored.join(", ")));
    }
    let rules = rules(openings, ground);
    let mut warnings = Vec::new();
    if rules.is_empty() {
        warnings.push("no rule came of it: enforced, the device could do nothing at all".to_owned());
    }
    let profile = ground.profile.to_owned();
    Ok(Imported { profile, lines, rules, left_out, warnings, notes, policy: String::new() }.written(ground))
}

/// The device that counts, in the form of [`plain`]; nothing where there is only one.
fn model(table: &Table, wanted: Option<&str>) -> Result<Option<String>, ImportError> {
    let cell = |row: &Row| table.cell(row, Column::Model).map(str::to_owned);
    let all: BTreeMap<String, String> =
        table.rows.iter().filter_map(cell).map(|name| (plain(&name), shown(&name))).collect();
    let known = || all.values().map(String::as_str);
    match wanted {
        None if all.len() <= 1 => Ok(None),
        None => Err(ImportError::Models(did_you_mean("", known()))),
        Some(wanted) if all.is_empty() => Err(ImportError::NoModels(shown(wanted))),
        Some(wanted) if all.contains_key(&plain(wanted)) => Ok(Some(plain(wanted))),
        Some(wanted) => Err(ImportError::NoModel(shown(wanted), did_you_mean(wanted, known()))),
    }
}

/// Who opens, and with whom.
type Ends = (Direction, Vec<String>);

/// A rule for each other end and direction, in the order of the file.
fn rules(openings: Vec<(String, Opening)>, ground: &Ground<'_>) -> Vec<Rule> {
    let mut order: Vec<Ends> = Vec::new();
    let mut found: BTreeMap<Ends, Vec<(String, Opening)>> = BTreeMap::new();
    for (place, opening) in openings {
        let key = (opening.direction, opening.peers.clone());
        let same = found.entry(key.clone()).or_default();
        if same.is_empty() {
            order.push(key);
        }
        same.push((place, opening));
    }
    let rule = |key: Ends| {
        let same = found.remove(&key)?;
        let ranges: BTreeSet<PortRange> =
            same.iter().flat_map(|(_, opening)| &opening.ranges).copied().collect();
        let ranges: Vec<Option<PortRange>> = ranges.into_iter().map(Some).collect();
        let said = same.into_iter().map(|(place, opening)| format!("{place}: {}", opening.said));
        let services = wording::services(&ranges, &ground.vocabulary.services);
        Some(Rule { direction: key.0, peers: key.1, services, lines: said.collect() })
    };
    order.into_iter().filter_map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceFile;
    use crate::mds2::read;

    fn imported(table: &str, widen: bool, direction: Option<Direction>) -> Imported {
        let bindings = Bindings::parse(&SourceFile::new(
            "bindings.toml",
            "[peers]\npacs = \"10.0.0.1\"\nring = \"profile:own\"\nodd = \"nobody\"\n",
        ));
        let ground = Ground {
            bindings: &bindings.unwrap(),
            vocabulary: &Vocabulary::default(),
            profile: "own",
            file: "table.csv",
            model: None,
            direction,
            widen,
        };
        import(&read(table.as_bytes()).unwrap(), &ground).unwrap()
    }

    fn rules(table: &str, widen: bool, direction: Option<Direction>) -> Vec<String> {
        let Imported { rules, left_out, .. } = imported(table, widen, direction);
        assert_eq!(left_out, [], "{table}");
        let text = |rule: Rule| {
            let word = if rule.direction == Direction::FromDevice { "to" } else { "from" };
            format!("{word} {} {}", rule.peers.join(","), rule.services.join(","))
        };
        rules.into_iter().map(text).collect()
    }

    #[test]
    fn tables_as_makers_write_them() {
        let titles = "Local port,Remote port,Protocol,Direction,Peer\n";
        for (table, expected) in [
            ("port,protocol,direction,peer\n104,TCP,out,pacs\n", &["to 10.0.0.1 104/tcp"][..]),
            ("port,protocol,direction,peer\n\"104,11112\",TCP,out,PACS\n", &["to 10.0.0.1 dicom"]),
            ("port,protocol,direction,destination\n104,TCP,out,10.9.0.0/16\n", &["to 10.9.0.0/16 104/tcp"]),
            ("port,protocol,in,out,peer\n104,TCP,yes,no,pacs\n", &["from 10.0.0.1 104/tcp"]),
            ("port,protocol,in,out,peer\n104,TCP,no,no,pacs\n", &[]),
            ("port,service,direction,peer\n,DICOM,out,pacs\n", &["to 10.0.0.1 dicom"]),
            ("port,protocol,direction,peer\n,ICMP,in,pacs\n", &["from 10.0.0.1 icmp"]),
            ("port,protocol,direction,purpose\n104,TCP,in,pacs\n", &["from 10.0.0.1 104/tcp"]),
            ("port,protocol,direction,peer\n5,UDP,in,ring\n", &["from profile:own 5/udp"]),
            ("port,protocol,direction,peer,status\n104,TCP,in,pacs,closed\n", &[]),
            (
                &format!("{titles}Any,104,TCP,out,pacs\n161,>1023,UDP,in,pacs\n"),
                &["to 10.0.0.1 104/tcp", "from 10.0.0.1 snmp"],
            ),
            (
                "port,protocol,direction,peer\n1,TCP,in,pacs\n2,TCP,out,pacs\n3,TCP,in,pacs\n",
                &["from 10.0.0.1 1/tcp,3/tcp", "to 10.0.0.1 2/tcp"],
            ),
        ] {
            assert_eq!(rules(table, false, None), expected, "{table}");
        }
        let untold = "port,protocol,peer\n104,TCP,pacs\n";
        assert_eq!(rules(untold, false, Some(Direction::ToDevice)), ["from 10.0.0.1 104/tcp"]);
        let both = "port,protocol,direction,peer\n104,TCP,bidirectional,pacs\n";
        assert_eq!(rules(both, true, None), ["to 10.0.0.1 104/tcp", "from 10.0.0.1 104/tcp"]);
        assert_eq!(rules(&format!("{titles}68,67,UDP,out,pacs\n"), true, None), ["to 10.0.0.1 dhcp"]);
    }

    #[test]
    fn every_line_that_is_not_clear_is_named() {
        let titles = "port,protocol,direction,peer,source port,status,model\n";
        for (line, why) in [
            ("104,TCP,,pacs", "it does not say who opens"),
            ("104,TCP,sideways,pacs", "`sideways` does not say who opens: write `in` or `out`"),
            ("104,TCP,both,pacs", "both ways may mean answers or that both open"),
            ("104,TCP,in/out,pacs", "both ways may mean answers or that both open"),
            ("104,TCP,in,", "it says nothing of the other end: add a column `peer`"),
            ("104,TCP,in,someone", "`someone` is bound to nobody"),
            ("104,TCP,in,any", "`any` is bound to nobody"),
            ("104,TCP,in,gateway", "`gateway` is bound to nobody"),
            ("104,TCP,in,0.0.0.0/0", "`0.0.0.0/0` is bound to nobody"),
            ("104,TCP,in,odd", "the binding of `odd`: unknown endpoint `nobody`"),
            (",TCP,in,pacs", "it names no port that is opened to"),
            (",acme,in,pacs", "`acme` is no protocol that is known"),
            ("104,,in,pacs", "`104` has no protocol: write TCP or UDP"),
            ("104,TCP,in,pacs,99", "it goes by the port of who opens too (`99`)"),
            ("104,TCP,in,pacs,,perhaps", "`perhaps` does not say whether it is in use"),
            ("104,TCP,in,pacs,,,CT,more", "it has 8 cells below 7 titles"),
        ] {
            let found = imported(&format!("{titles}{line}\n"), false, None);
            assert!(found.rules.is_empty() && found.left_out.len() == 1, "{line}: {found:?}");
            assert_eq!(found.left_out[0].place, "table.csv:2", "{line}");
            assert!(found.left_out[0].why.contains(why), "{line}: {}", found.left_out[0].why);
        }
        let found = imported("port,protocol,in,out,peer\n104,TCP,maybe,no,pacs\n", false, None);
        assert!(found.left_out[0].why.contains("`maybe` does not say who opens: write yes or no"));
    }
}
