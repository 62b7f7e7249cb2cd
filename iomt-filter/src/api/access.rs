//! Who may do what: the role that somebody has, and the role that a request asks for.
//!
//! `[access]` of the configuration and the kernel's word on who connected come in, a [`Role`] goes out. What a client
//! says of itself counts for nothing. This is the one place that says which requests only read.

use axum::http::Method;
use nix::unistd::{Gid, Group, Uid};
use tokio::net::UnixStream;

use super::credentials::Credentials;
use crate::audit::Author;
use crate::config::{AccessConfig, GROUP};

/// Where questions about addresses and domains go.
pub(super) const LOOKUP: &str = "/v1/lookup";

/// Where plans are made.
pub(super) const PLAN: &str = "/v1/plan";

/// Requests that change nothing, though they are sent as if they did: they may be long.
const ONLY_READ: [&str; 2] = [LOOKUP, PLAN];

/// What somebody may do; each may do what the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Nothing.
    None,
    /// Ask.
    Read,
    /// Change something.
    Write,
}

impl Role {
    /// What a request asks for: whatever is not known to read, writes.
    #[must_use]
    pub fn needed(method: &Method, path: &str) -> Self {
        if method == Method::GET || ONLY_READ.contains(&path) { Self::Read } else { Self::Write }
    }
}

/// Who has which role.
#[derive(Clone, Debug)]
pub struct Access {
    own: Uid,
    read: Vec<Member>,
    write: Vec<Member>,
}

/// A group that gives a role.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    name: String,
    group: Gid,
}

impl Access {
    /// What a configuration says, for an agent of this process' user; and the groups that it names and there are not.
    #[must_use]
    pub fn of(config: &AccessConfig) -> (Self, Vec<String>) {
        let usual = [GROUP.to_owned()];
        let write = config.write.as_deref().unwrap_or(&usual);
        let named = |groups: &[String]| -> Vec<Member> {
            let known = |name: &String| Some(Member { name: name.clone(), group: group(name)? });
            groups.iter().filter_map(known).collect()
        };
        let is_unknown = |name: &&String| group(name).is_none();
        let written = config.read.iter().chain(config.write.iter().flatten());
        let unknown = written.filter(is_unknown).cloned().collect();
        let own = Uid::effective();
        (Self { own, read: named(&config.read), write: named(write) }, unknown)
    }

    /// The same of an agent that runs as `own` by now.
    #[must_use]
    pub fn run_by(self, own: Uid) -> Self {
        Self { own, ..self }
    }

    /// The one group that has a role, which a file's mode can express; nothing where there are more.
    pub(super) fn only_group(&self) -> Option<Gid> {
        let mut groups = self.groups();
        let first = groups.next()?;
        groups.all(|group| group == first).then_some(first)
    }

    /// Whether any group has a role.
    pub(super) fn names_groups(&self) -> bool {
        self.groups().next().is_some()
    }

    fn groups(&self) -> impl Iterator<Item = Gid> {
        self.read.iter().chain(&self.write).map(|member| member.group)
    }

    fn role(&self, caller: &Credentials) -> Role {
        let is_in = |members: &[Member]| members.iter().any(|member| caller.groups.contains(&member.group));
        if caller.user.is_root() || caller.user == self.own || is_in(&self.write) {
            Role::Write
        } else if is_in(&self.read) {
            Role::Read
        } else {
            Role::None
        }
    }

    /// Who is at the other end of a connection, and may do what.
    pub(super) fn peer(&self, stream: &UnixStream) -> Peer {
        match Credentials::of(stream) {
            Ok(caller) => Peer { user: Some(caller.user), role: self.role(&caller) },
            Err(error) => {
                tracing::error!(%error, "the kernel does not say who asks: they are told nothing");
                Peer { user: None, role: Role::None }
            }
        }
    }

    /// Why somebody may not do what they ask for.
    pub(super) fn refusal(&self, peer: &Peer, needed: Role) -> String {
        let (may, groups): (_, Vec<&Member>) = match needed {
            Role::Write => ("change anything", self.write.iter().collect()),
            Role::Read | Role::None => ("ask this agent", self.read.iter().chain(&self.write).collect()),
        };
        let mut who = match self.own.is_root() {
            true => "root".to_owned(),
            false => format!("root, the agent's own user `{}`", Author::of(self.own).name),
        };
        let names: Vec<_> = groups.iter().map(|member| format!("`{}`", member.name)).collect();
        if let Some((last, before)) = names.split_last() {
            let groups = match before {
                [] => format!("the group {last}"),
                _ => format!("the groups {} and {last}", before.join(", ")),
            };
            who.push_str(&format!(" and members of {groups}"));
        }
        format!("`{}` may not {may} here: {who} may", peer.author().name)
    }
}

/// The group of a name, or of a number.
fn group(name: &str) -> Option<Gid> {
    if let Ok(number) = name.parse() {
        return Some(Gid::from_raw(number));
    }
    Group::from_name(name).ok().flatten().map(|group| group.gid)
}

/// Somebody who has connected.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    user: Option<Uid>,
    role: Role,
}

impl Peer {
    /// Whether it has at least this role.
    pub(super) fn has(&self, role: Role) -> bool {
        self.role >= role
    }

    /// Whether it may change anything.
    pub(super) fn may_write(&self) -> bool {
        self.has(Role::Write)
    }

    /// As it stands beside what it changes, and in the audit log.
    pub(super) fn author(&self) -> Author {
        match self.user {
            Some(user) => Author::of(user),
            None => Author { name: "unknown".into(), uid: None },
        }
    }
}

impl Peer {
    /// Somebody who may only read, whoever it is.
    pub(super) const fn reader() -> Self {
        Self { user: None, role: Role::Read }
    }
}

#[cfg(test)]
impl Peer {
    pub(super) const fn with(role: Role) -> Self {
        Self { user: None, role }
    }

    pub(super) const fn writer() -> Self {
        Self::with(Role::Write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(read: &[&str], write: Option<&[&str]>) -> (Access, Vec<String>) {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (access, unknown) = Access::of(&AccessConfig { read: owned(read), write: write.map(owned) });
        (access.run_by(Uid::from_raw(4_000_998)), unknown)
    }

    fn caller(user: u32, groups: &[u32]) -> Credentials {
        let groups = groups.iter().copied().map(Gid::from_raw).collect();
        Credentials { user: Uid::from_raw(user), groups }
    }

    #[test]
    fn roles_go_by_user_and_by_every_group() {
        let (access, unknown) = access(&["5001", "5002"], Some(&["5003"]));
        assert!(unknown.is_empty());
        for (user, groups, role) in [
            (0, &[0][..], Role::Write),
            (4_000_998, &[998], Role::Write),
            (1_000, &[1_000], Role::None),
            (1_000, &[1_000, 5_002], Role::Read),
            (1_000, &[5_001], Role::Read),
            (1_000, &[1_000, 7, 5_003], Role::Write),
            (1_000, &[5_001, 5_003], Role::Write),
        ] {
            assert_eq!(access.role(&caller(user, groups)), role, "{user} {groups:?}");
        }
    }

    #[test]
    fn a_mode_can_express_one_group_and_no_more() {
        let only = |read: &[&str], write| access(read, write).0.only_group().map(Gid::as_raw);
        assert_eq!(only(&[], Some(&["5003"])), Some(5_003));
        assert_eq!(only(&["5003"], Some(&["5003"])), Some(5_003));
        assert_eq!(only(&["5001"], Some(&["5003"])), None);
        assert_eq!(only(&[], Some(&[])), None);
        assert!(!access(&[], Some(&[])).0.names_groups());
    }

    #[test]
    fn groups_that_are_not_there_are_named_where_somebody_has_named_them() {
        let (found, unknown) = access(&["no-such-group"], Some(&["root"]));
        assert_eq!(unknown, ["no-such-group"]);
        assert_eq!(found.only_group(), Some(Gid::from_raw(0)));
        assert!(access(&[], None).1.is_empty(), "the usual one need not be there");
    }

    #[test]
    fn whatever_is_not_known_to_read_writes() {
        for (method, path, needed) in [
            (Method::GET, "/v1/status", Role::Read),
            (Method::GET, "/v1/blocks", Role::Read),
            (Method::POST, "/v1/lookup", Role::Read),
            (Method::POST, "/v1/lookups", Role::Write),
            (Method::POST, "/v1/blocks", Role::Write),
            (Method::DELETE, "/v1/status", Role::Write),
            (Method::PUT, "/v1/what-is-yet-to-come", Role::Write),
            (Method::HEAD, "/v1/status", Role::Write),
        ] {
            assert_eq!(Role::needed(&method, path), needed, "{method} {path}");
        }
    }

    #[test]
    fn who_is_refused_is_told_who_may() {
        let (access, _) = access(&["5001"], Some(&["5002", "5003"]));
        let peer = Peer { user: Some(Uid::from_raw(4_000_001)), role: Role::Read };
        assert_eq!(
            access.refusal(&peer, Role::Write),
            "`uid 4000001` may not change anything here: root, the agent's own user `uid 4000998` and members of the groups `5002` and `5003` may"
        );
        assert!(
            access.refusal(&peer, Role::Read).contains("ask this agent here: root, the agent's own user")
        );
        let alone = self::access(&[], Some(&[])).0.run_by(Uid::from_raw(0));
        assert_eq!(alone.refusal(&peer, Role::Write), "`uid 4000001` may not change anything here: root may");
    }
}
