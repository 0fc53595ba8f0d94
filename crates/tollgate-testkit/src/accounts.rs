//! What every [`AccountStore`] must do, on a store that keeps the audit trail too.
//!
//! [`account_contract!`](crate::account_contract) makes one test of each case.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics when the store breaks its contract"
)]

use futures_util::future::join_all;
use tollgate_core::accounts::{
    AccountStore, Email, Membership, PasswordHash, Role, User, UserSession,
};
use tollgate_core::audit::AuditStore;
use tollgate_core::error::StoreErrorKind::{Conflict, NotFound};
use tollgate_core::id::{OrgId, SessionId, UserId};

use crate::records::{at, change, digest, org};

/// Makes a test of every case, with the store that `$make` builds.
#[macro_export]
macro_rules! account_contract {
    ($make:expr) => {
        $crate::__contract_tests! { accounts, $make;
            a_user_is_read_as_written,
            an_address_belongs_to_one_user,
            users_are_listed_by_organization_and_in_pages,
            an_update_of_another_version_is_refused,
            a_session_is_found_by_its_token,
            a_touch_moves_the_last_use_forward_only,
            an_ended_session_is_gone,
            a_new_password_and_being_disabled_end_every_session,
            a_deleted_user_leaves_nothing,
            a_new_session_removes_those_that_are_over,
            each_change_is_recorded_in_the_chain_it_concerns,
            no_hash_and_no_token_is_recorded,
            of_two_updates_at_once_one_wins,
        }
    };
}

fn user(n: u8) -> User {
    User {
        id: UserId::from_bytes([n; 16]),
        email: Email::new(&format!("user{n}@acme.example")).unwrap(),
        memberships: vec![
            member(None, Role::Viewer),
            member(Some("acme"), Role::Admin),
        ],
        disabled: false,
        created_at: at(u32::from(n).into()),
        version: 1,
    }
}

fn member(organization: Option<&str>, role: Role) -> Membership {
    Membership {
        organization: organization.map(org),
        role,
    }
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash::from_phc(format!("$argon2id${text}"))
}

fn session(n: u8, user: u8) -> UserSession {
    UserSession {
        id: SessionId::from_bytes([n; 16]),
        user: UserId::from_bytes([user; 16]),
        address: Some([203, 0, 113, 7].into()),
        created_at: at(10),
        last_seen_at: at(10),
        expires_at: at(100),
    }
}

async fn add<S: AccountStore>(store: &S, n: u8) -> User {
    let user = user(n);
    let added = store.insert_user(user.clone(), hash("first"), change(1));
    added.await.unwrap();
    user
}

async fn begin<S: AccountStore>(store: &S, n: u8, user: u8) -> UserSession {
    let session = session(n, user);
    let found = store.user(&session.user).await.unwrap().unwrap();
    let begun = store.insert_session(session.clone(), found.version, digest(n), change(10));
    begun.await.unwrap();
    session
}

/// With memberships, and with the hash when asked by address.
pub async fn a_user_is_read_as_written<S: AccountStore>(store: &S) {
    let user = add(store, 1).await;
    assert_eq!(store.user(&user.id).await.unwrap(), Some(user.clone()));
    let found = store.user_by_email(&user.email).await.unwrap();
    assert_eq!(found, Some((user.clone(), hash("first"))));
    let nobody = Email::new("nobody@acme.example").unwrap();
    assert_eq!(store.user_by_email(&nobody).await.unwrap(), None);
    let nobody = UserId::from_bytes([9; 16]);
    assert_eq!(store.user(&nobody).await.unwrap(), None);
    let alone = User {
        memberships: vec![],
        ..self::user(2)
    };
    let added = store.insert_user(alone.clone(), hash("x"), change(1));
    added.await.unwrap();
    assert_eq!(store.user(&alone.id).await.unwrap(), Some(alone));
}

/// When one is made, and when one is changed.
pub async fn an_address_belongs_to_one_user<S: AccountStore>(store: &S) {
    let first = add(store, 1).await;
    let mut second = user(2);
    second.email.clone_from(&first.email);
    let refused = store.insert_user(second, hash("x"), change(2)).await;
    assert_eq!(refused.unwrap_err().kind(), Conflict);
    let again = store.insert_user(first.clone(), hash("x"), change(2)).await;
    assert_eq!(again.unwrap_err().kind(), Conflict);
    let mut second = add(store, 2).await;
    second.email = first.email;
    let refused = store.update_user(second, None, change(3)).await;
    assert_eq!(refused.unwrap_err().kind(), Conflict);
}

/// Who has a role everywhere is no member of each.
pub async fn users_are_listed_by_organization_and_in_pages<S: AccountStore>(store: &S) {
    for n in 1..=4 {
        add(store, n).await;
    }
    let mut other = user(5);
    other.memberships = vec![member(Some("other"), Role::Owner)];
    let added = store.insert_user(other, hash("x"), change(1));
    added.await.unwrap();
    let ids = async |organization: Option<&OrgId>, after: Option<u8>, limit| {
        let after = after.map(|n| UserId::from_bytes([n; 16]));
        let users = store.users(organization, after, limit).await.unwrap();
        let ids = users.iter().map(|user| user.id.as_bytes()[0]);
        ids.collect::<Vec<_>>()
    };
    assert_eq!(ids(None, None, 10).await, [1, 2, 3, 4, 5]);
    assert_eq!(ids(None, Some(2), 2).await, [3, 4]);
    assert_eq!(ids(Some(&org("acme")), None, 10).await, [1, 2, 3, 4]);
    assert_eq!(ids(Some(&org("acme")), Some(1), 2).await, [2, 3]);
    assert_eq!(ids(Some(&org("other")), None, 10).await, [5]);
    let nobody = ids(Some(&org("nobody")), None, 10).await;
    assert!(nobody.is_empty());
}

/// And the version counts up.
pub async fn an_update_of_another_version_is_refused<S: AccountStore>(store: &S) {
    let mut user = add(store, 1).await;
    user.memberships = vec![member(Some("other"), Role::Owner)];
    let updated = store.update_user(user.clone(), None, change(2)).await;
    assert_eq!(updated.as_ref().unwrap().version, 2);
    assert_eq!(store.user(&user.id).await.unwrap(), updated.ok());
    let late = store.update_user(user, Some(hash("late")), change(3)).await;
    assert_eq!(late.unwrap_err().kind(), Conflict);
    let found = store.user_by_email(&self::user(1).email).await.unwrap();
    assert_eq!(found.unwrap().1, hash("first"));
    let nobody = store.update_user(self::user(9), None, change(3)).await;
    assert_eq!(nobody.unwrap_err().kind(), NotFound);
}

/// With its user, as they are now.
pub async fn a_session_is_found_by_its_token<S: AccountStore>(store: &S) {
    let user = add(store, 1).await;
    let first = begin(store, 1, 1).await;
    let second = begin(store, 2, 1).await;
    let found = store.find_session(&digest(2)).await.unwrap();
    assert_eq!(found, Some((second.clone(), user)));
    assert_eq!(store.find_session(&digest(3)).await.unwrap(), None);
    let theirs = store.sessions(&first.user).await.unwrap();
    assert_eq!(theirs, [first.clone(), second]);
    let again = store.insert_session(first, 1, digest(9), change(11)).await;
    assert_eq!(again.unwrap_err().kind(), Conflict);
    let same = store.insert_session(session(3, 1), 1, digest(1), change(11));
    assert_eq!(same.await.unwrap_err().kind(), Conflict);
    let nobody = store.insert_session(session(4, 9), 1, digest(4), change(11));
    assert_eq!(nobody.await.unwrap_err().kind(), NotFound);
    let changed = store.insert_session(session(5, 1), 2, digest(5), change(11));
    assert_eq!(changed.await.unwrap_err().kind(), Conflict);
    assert_eq!(store.find_session(&digest(5)).await.unwrap(), None);
}

/// Two requests may note their use in either order.
pub async fn a_touch_moves_the_last_use_forward_only<S: AccountStore>(store: &S) {
    add(store, 1).await;
    let begun = begin(store, 1, 1).await;
    for second in [30, 20] {
        store.touch_session(&begun.id, at(second)).await.unwrap();
    }
    let (found, _) = store.find_session(&digest(1)).await.unwrap().unwrap();
    assert_eq!(found.last_seen_at, at(30));
    let nobody = SessionId::from_bytes([9; 16]);
    store.touch_session(&nobody, at(30)).await.unwrap();
}

/// Only this one, and only once.
pub async fn an_ended_session_is_gone<S: AccountStore>(store: &S) {
    add(store, 1).await;
    let ended = begin(store, 1, 1).await;
    begin(store, 2, 1).await;
    store.end_session(&ended.id, change(20)).await.unwrap();
    assert_eq!(store.find_session(&digest(1)).await.unwrap(), None);
    assert!(store.find_session(&digest(2)).await.unwrap().is_some());
    let again = store.end_session(&ended.id, change(21)).await;
    assert_eq!(again.unwrap_err().kind(), NotFound);
}

/// Other changes end none.
pub async fn a_new_password_and_being_disabled_end_every_session<S: AccountStore>(store: &S) {
    add(store, 2).await;
    begin(store, 9, 2).await;
    let mut user = add(store, 1).await;
    for (session, password, disabled, ends) in [
        (1, None, false, false),
        (2, Some(hash("second")), false, true),
        (3, None, true, true),
    ] {
        begin(store, session, 1).await;
        user.disabled = disabled;
        let updated = store.update_user(user, password, change(20));
        user = updated.await.unwrap();
        let found = store.find_session(&digest(session)).await.unwrap();
        assert_eq!(found.is_none(), ends);
    }
    let found = store.user_by_email(&user.email).await.unwrap();
    assert_eq!(found, Some((user, hash("second"))));
    assert!(store.find_session(&digest(9)).await.unwrap().is_some());
}

/// Neither sessions nor the address.
pub async fn a_deleted_user_leaves_nothing<S: AccountStore>(store: &S) {
    let user = add(store, 1).await;
    begin(store, 1, 1).await;
    store.delete_user(&user.id, change(20)).await.unwrap();
    assert_eq!(store.user(&user.id).await.unwrap(), None);
    assert_eq!(store.find_session(&digest(1)).await.unwrap(), None);
    assert_eq!(store.users(Some(&org("acme")), None, 9).await.unwrap(), []);
    let again = store.delete_user(&user.id, change(21)).await;
    assert_eq!(again.unwrap_err().kind(), NotFound);
    add(store, 1).await;
}

/// Of the same user.
pub async fn a_new_session_removes_those_that_are_over<S: AccountStore>(store: &S) {
    add(store, 1).await;
    add(store, 2).await;
    begin(store, 1, 1).await;
    begin(store, 2, 2).await;
    let mut later = session(3, 1);
    later.expires_at = at(500);
    let begun = store.insert_session(later, 1, digest(3), change(100));
    begun.await.unwrap();
    assert_eq!(store.find_session(&digest(1)).await.unwrap(), None);
    for left in [2, 3] {
        let found = store.find_session(&digest(left)).await.unwrap();
        assert!(found.is_some(), "{left}");
    }
}

/// Users and sessions in that of none, memberships in that of their organization.
pub async fn each_change_is_recorded_in_the_chain_it_concerns<S>(store: &S)
where
    S: AccountStore + AuditStore,
{
    let mut user = add(store, 1).await;
    let begun = begin(store, 1, 1).await;
    store.touch_session(&begun.id, at(15)).await.unwrap();
    store.end_session(&begun.id, change(20)).await.unwrap();
    user.memberships = vec![
        member(Some("acme"), Role::Viewer),
        member(Some("other"), Role::Owner),
    ];
    let updated = store.update_user(user, Some(hash("second")), change(30));
    let mut user = updated.await.unwrap();
    for disabled in [true, false] {
        user.disabled = disabled;
        user = store.update_user(user, None, change(40)).await.unwrap();
    }
    store.delete_user(&user.id, change(50)).await.unwrap();
    let actions = async |organization: Option<&str>| {
        let of = organization.map(org);
        let records = store.audit_after(of.as_ref(), 0, 100).await.unwrap();
        let actions = records.into_iter().map(|record| record.action);
        actions.collect::<Vec<_>>()
    };
    let own = [
        "user.create",
        "member.add",
        "session.begin",
        "session.end",
        "user.set_password",
        "member.remove",
        "user.disable",
        "user.enable",
        "user.delete",
    ];
    assert_eq!(actions(None).await, own);
    let acme = ["member.add", "member.edit", "member.remove"];
    assert_eq!(actions(Some("acme")).await, acme);
    let other = ["member.add", "member.remove"];
    assert_eq!(actions(Some("other")).await, other);
}

/// Nor anywhere else in the trail.
pub async fn no_hash_and_no_token_is_recorded<S: AccountStore + AuditStore>(store: &S) {
    let user = add(store, 1).await;
    begin(store, 1, 1).await;
    let updated = store.update_user(user, Some(hash("second")), change(20));
    updated.await.unwrap();
    let records = store.audit_after(None, 0, 100).await.unwrap();
    let text = serde_json::to_string(&records).unwrap();
    assert!(text.contains("user1@acme.example"), "{text}");
    for secret in ["argon2", "first", "second", "01010101010101"] {
        let found = text.replace("01010101-0101-0101-0101-010101010101", "");
        assert!(!found.contains(secret), "{secret} in {text}");
    }
}

/// The others are told.
pub async fn of_two_updates_at_once_one_wins<S: AccountStore>(store: &S) {
    let user = add(store, 1).await;
    let updates = (0..8).map(|_| {
        store
            .update_user(user.clone(), None, change(2))
            .into_future()
    });
    let done = join_all(updates).await;
    let won = done.iter().filter(|done| done.is_ok()).count();
    assert_eq!(won, 1);
    let lost = done.into_iter().filter_map(Result::err);
    assert!(lost.into_iter().all(|error| error.kind() == Conflict));
}
