//! Who may do what: one function, asked everywhere.

use std::collections::BTreeSet;

use crate::ids::OwnerId;
use crate::model::{Caller, Role};

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Post events.
    Publish,
    /// Hand in what came back of letters.
    HandInBounces,
    /// Change users, organisations, members and resources; make and revoke anybody's tokens; keep the list of addresses
    /// that are not written to.
    ManageDirectory,
    /// See an owner's events, hooks, deliveries, members and resources.
    Read(OwnerId),
    /// Make, change, pause and delete an owner's hooks; resend what they owe.
    ChangeHooks(OwnerId),
}

/// What the installation lets roles do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The roles that may change an organisation's hooks.
    pub change_hooks: BTreeSet<Role>,
}

impl Default for Policy {
    /// ADMIN and MANAGER: those who may edit an organisation.
    fn default() -> Self {
        Self { change_hooks: BTreeSet::from([Role::Admin, Role::Manager]) }
    }
}

/// Why not, for the one who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// People do not post events, and no mail server is a person.
    #[error("only operator tokens publish events and hand in bounces")]
    OperatorTokenOnly,
    /// The directory is the platform's.
    #[error("only operators keep the directory and the list of suppressed addresses")]
    OperatorOnly,
    /// Not theirs to see, so it is not said whether it is there.
    #[error("no such owner, or you are not one of its members")]
    NotAMember,
    /// Theirs to see, not to change.
    #[error("your role in this organisation may read its hooks but not change them")]
    RoleTooLow,
}

/// Decides. `role` is the caller's role in the owner the action names; `None` if they are no member of it.
///
/// # Errors
/// The reason it may not be done.
pub fn permit(caller: &Caller, action: Action, role: Option<Role>, policy: &Policy) -> Result<(), Denied> {
    let Caller::Person { user, operator } = caller else { return Ok(()) };
    match action {
        Action::Publish | Action::HandInBounces => Err(Denied::OperatorTokenOnly),
        Action::ManageDirectory if *operator => Ok(()),
        Action::ManageDirectory => Err(Denied::OperatorOnly),
        Action::Read(_) | Action::ChangeHooks(_) if *operator => Ok(()),
        Action::Read(owner) | Action::ChangeHooks(owner) if owner == OwnerId::User(*user) => Ok(()),
        Action::Read(_) => role.map(|_| ()).ok_or(Denied::NotAMember),
        Action::ChangeHooks(_) => match role {
            None => Err(Denied::NotAMember),
            Some(role) if policy.change_hooks.contains(&role) => Ok(()),
            Some(_) => Err(Denied::RoleTooLow),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_who_may_do_what() {
        let user = "user_11111111-1111-4111-8111-111111111111".parse().unwrap();
        let orga: OwnerId = "orga_22222222-2222-4222-8222-222222222222".parse().unwrap();
        let (person, operator) =
            (Caller::Person { user, operator: false }, Caller::Person { user, operator: true });
        let ask = |caller: &Caller, action, role| permit(caller, action, role, &Policy::default());

        for action in [
            Action::Publish,
            Action::HandInBounces,
            Action::ManageDirectory,
            Action::Read(orga),
            Action::ChangeHooks(orga),
        ] {
            assert_eq!(ask(&Caller::Operator, action, None), Ok(()));
        }
        for action in [Action::Publish, Action::HandInBounces] {
            assert_eq!(ask(&operator, action, None), Err(Denied::OperatorTokenOnly));
        }
        assert_eq!(ask(&operator, Action::ManageDirectory, None), Ok(()));
        assert_eq!(ask(&person, Action::ManageDirectory, Some(Role::Admin)), Err(Denied::OperatorOnly));
        assert_eq!(ask(&person, Action::ChangeHooks(user.into()), None), Ok(()), "one's own space");
        assert_eq!(ask(&person, Action::Read(orga), None), Err(Denied::NotAMember));
        for role in Role::ALL {
            assert_eq!(ask(&person, Action::Read(orga), Some(role)), Ok(()));
            let change = ask(&person, Action::ChangeHooks(orga), Some(role));
            let may = matches!(role, Role::Admin | Role::Manager);
            assert_eq!(change, if may { Ok(()) } else { Err(Denied::RoleTooLow) });
        }
    }
}
