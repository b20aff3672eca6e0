//! The user as whom a command runs, looked up in the machine's accounts.
//!
//! Never: falls back to another user. An account that is not there is a refusal.

use super::policy::RunAs;
use keiko_core::refusal::{Code, Refusal, Result};
use nix::unistd::{Gid, Uid, User, getgrouplist};
use std::ffi::CString;

/// What a process needs to become a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
    /// Its supplementary groups.
    pub groups: Vec<u32>,
}

/// The account to change to; `None` if the process stays who it is (also as confined root).
///
/// Asks the name service, so it may block: call it where that is allowed.
///
/// # Errors
/// [`Code::ExecRefused`] if this machine has no such account.
pub fn resolve(run_as: &RunAs) -> Result<Option<Account>> {
    let (user, shown) = match run_as {
        RunAs::Daemon | RunAs::ConfinedRoot => return Ok(None),
        RunAs::Uid(uid) => (User::from_uid(Uid::from_raw(*uid)), format!("uid {uid}")),
        RunAs::User(name) => (User::from_name(name), format!("user {name:?}")),
    };
    let refused = |why: String| {
        Refusal::new(Code::ExecRefused, format!("the command can't run as {shown}"))
            .cause(why)
            .hint("create the account, or set [exec] user in keiko.toml to one that exists")
    };
    let user = user
        .map_err(|error| refused(error.to_string()))?
        .ok_or_else(|| refused("this machine has no such account".into()))?;
    let name = CString::new(user.name).map_err(|error| refused(error.to_string()))?;
    let groups = getgrouplist(&name, user.gid).map_err(|error| refused(error.to_string()))?;
    Ok(Some(Account {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        groups: groups.into_iter().map(Gid::as_raw).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_accounts_up() {
        let check = |run_as: RunAs, expect: std::result::Result<Option<u32>, Code>| {
            let uid = resolve(&run_as).map(|account| account.map(|account| account.uid));
            assert_eq!(uid.map_err(|refusal| refusal.code), expect);
        };
        check(RunAs::Daemon, Ok(None));
        check(RunAs::ConfinedRoot, Ok(None));
        check(RunAs::User("root".into()), Ok(Some(0)));
        check(RunAs::Uid(0), Ok(Some(0)));
        check(RunAs::Uid(3_999_999_999), Err(Code::ExecRefused));
        check(RunAs::User("no such user".into()), Err(Code::ExecRefused));
    }
}
