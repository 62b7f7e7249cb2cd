//! A profile that ships as one of this site's policy.

use std::collections::BTreeMap;

use serde::Serialize;

use super::file::{Need, Rule, Shipped, Source};
use crate::baseline::{Written, profile_text};
use crate::bindings::Bindings;
use crate::policy::Vocabulary;

/// What the site has to say before the profile can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// `endpoint` or `service`.
    pub kind: &'static str,
    /// What rules call it.
    pub name: String,
    /// What it is.
    pub what: String,
    /// What to write, and where.
    pub help: String,
}

/// A profile of the policy.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    /// What it is called.
    pub profile: String,
    /// What devices it is of.
    pub title: String,
    /// What to look at before it is used.
    pub notes: Vec<String>,
    /// Where it is documented.
    pub sources: Vec<Source>,
    /// Its rules, with what the site has in place of the names.
    pub rules: Vec<Rule>,
    /// What is bound to nobody, and what the policy does not name.
    pub missing: Vec<Missing>,
    /// The profile as a policy writes it.
    pub policy: String,
}

/// What stands for the names of a file.
type Meant<'s> = BTreeMap<&'s str, Vec<String>>;

/// Makes a profile called `profile` of one that ships.
///
/// # Errors
/// When a binding means nothing at this site, with every one that does not.
pub fn import(
    shipped: &Shipped,
    profile: &str,
    bindings: &Bindings,
    vocabulary: &Vocabulary,
) -> Result<Imported, Vec<String>> {
    let (mut missing, mut wrong) = (Vec::new(), Vec::new());
    // `dns` may be both: who is asked, and what.
    let (mut peers, mut services) = (Meant::new(), Meant::new());
    for Need { name, what, .. } in &shipped.endpoints {
        let bound = bindings.peers(name);
        if let Some(Err(why)) = bound.map(|peers| vocabulary.peers(peers)) {
            wrong.push(format!("the binding of `{name}`: {}", why.join("; ")));
        }
        if bound.is_none() && !vocabulary.endpoints.contains_key(name) {
            let help = format!(
                "add `{name} = [\"ADDRESS\"]` to `[endpoints]` of the policy, or to `[peers]` of the file of `--bindings`"
            );
            missing.push(Missing { kind: "endpoint", name: name.clone(), what: what.clone(), help });
        }
        peers.insert(name, bound.map_or_else(|| vec![name.clone()], <[String]>::to_vec));
    }
    for Need { name, what, default } in &shipped.services {
        let bound = bindings.services(name);
        if let Some(Err(why)) = bound.map(|services| vocabulary.services(services)) {
            wrong.push(format!("the binding of `{name}`: {}", why.join("; ")));
        }
        let is_named = vocabulary.services.contains_key(name);
        if bound.is_none() && !is_named && default.is_empty() {
            let help = format!(
                "add `{name} = [\"PORT/tcp\"]` to `[services]` of the policy, or of the file of `--bindings`"
            );
            missing.push(Missing { kind: "service", name: name.clone(), what: what.clone(), help });
        }
        let own = || if is_named || default.is_empty() { vec![name.clone()] } else { default.clone() };
        services.insert(name, bound.map_or_else(own, <[String]>::to_vec));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let meant = |words: &[String], means: &Meant<'_>| -> Vec<String> {
        let own = |word: &String| means.get(word.as_str()).cloned().unwrap_or_else(|| vec![word.clone()]);
        words.iter().flat_map(own).collect()
    };
    let rule = |rule: &Rule| Rule {
        peers: meant(&rule.peers, &peers),
        services: meant(&rule.services, &services),
        ..rule.clone()
    };
    let rules = shipped.rules.iter().map(rule).collect();
    let mut imported = Imported {
        profile: profile.to_owned(),
        title: shipped.title.clone(),
        notes: shipped.notes.clone(),
        sources: shipped.sources.clone(),
        rules,
        missing,
        policy: String::new(),
    };
    imported.policy = policy(shipped, &imported);
    Ok(imported)
}

fn policy(shipped: &Shipped, imported: &Imported) -> String {
    let mut heading = vec![shipped.title.clone()];
    let source = |source: &Source| format!("{}: {}, {}", source.name, source.title, source.url);
    heading.extend(shipped.sources.iter().map(source));
    let rules: Vec<Written<'_>> = imported
        .rules
        .iter()
        .map(|rule| Written {
            direction: rule.direction,
            peers: &rule.peers,
            services: &rule.services,
            comment: vec![format!("{}: {}", rule.source, rule.note)],
        })
        .collect();
    profile_text(&imported.profile, &heading, &rules)
}
