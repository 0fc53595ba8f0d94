//! What is recorded of changes of users and sessions, and in whose chain.

use serde::Serialize;

use super::{Membership, User, UserSession};
use crate::audit::AuditEvent;
use crate::id::OrgId;

/// An event, and the organization in whose chain it is recorded.
pub type Recorded = (Option<OrgId>, AuditEvent);

/// What is recorded of a change from one user to another: made, if there is none before, and
/// deleted, if there is none after. A membership is in the chain of its organization.
#[must_use]
pub fn user_events(before: Option<&User>, after: Option<&User>, password: bool) -> Vec<Recorded> {
    let Some(user) = after.or(before) else {
        return Vec::new();
    };
    let target = format!("user:{}", user.id);
    let none: &[Membership] = &[];
    let of = |user: Option<&User>| user.map_or(none, |user| &user.memberships).to_vec();
    let (had, has) = (of(before), of(after));
    let mut places: Vec<_> = had.iter().chain(&has).map(|of| &of.organization).collect();
    places.sort();
    places.dedup();
    let changed = places.into_iter().filter_map(|place| {
        let here = |list: &'_ [Membership]| {
            let found = list.iter().find(|of| of.organization == *place);
            found.map(|of| Member {
                email: user.email.to_string(),
                role: of.role.to_string(),
            })
        };
        let (old, new) = (here(&had), here(&has));
        let action = match (&old, &new) {
            (None, _) => "member.add",
            (_, None) => "member.remove",
            (Some(old), Some(new)) if old.role == new.role => return None,
            _ => "member.edit",
        };
        let event = AuditEvent::new(action, target.clone(), old.as_ref(), new.as_ref());
        Some((place.clone(), event))
    });
    let action = match (before, after) {
        (None, _) => Some("user.create"),
        (_, None) => Some("user.delete"),
        (Some(old), Some(new)) if !old.disabled && new.disabled => Some("user.disable"),
        (Some(old), Some(new)) if old.disabled && !new.disabled => Some("user.enable"),
        _ if password => Some("user.set_password"),
        _ => None,
    };
    let own = action.map(|action| {
        let event = AuditEvent::new(action, target.clone(), before, after);
        (None, event)
    });
    own.into_iter().chain(changed).collect()
}

/// What is recorded of a session that begins or ends.
#[must_use]
pub fn session_event(session: &UserSession, begins: bool) -> Recorded {
    let target = format!("session:{}", session.id);
    let event = if begins {
        AuditEvent::new("session.begin", target, None, Some(session))
    } else {
        AuditEvent::new("session.end", target, Some(session), None)
    };
    (None, event)
}

/// What is recorded of a membership.
#[derive(Serialize)]
struct Member {
    email: String,
    role: String,
}
