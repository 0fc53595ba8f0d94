//! The most telling tests of the five APIs, over PostgreSQL in place of memory. The largest matrices
//! stay in memory: they make thousands of keys.

use std::sync::{LazyLock, mpsc};

use tokio::runtime::Runtime;
use tollgate_servers::Postgres;
use tollgate_sqlx::PostgresOptions;
use tollgate_testkit::app::{TestStore, with_stores};

use crate::{classify_jobs, dataleaks, mailer, phishing_lab, threat_intel};

/// Where connections live: the tests' own runtimes stand still while a test waits for an answer.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
});

/// In a database of its own.
fn store() -> TestStore {
    let options = PostgresOptions::new(Postgres::shared().fresh()).allow_lost_commits();
    let (tell, told) = mpsc::channel();
    RUNTIME.spawn(async move { tell.send(options.open().await) });
    TestStore::new(told.recv().unwrap().unwrap(), RUNTIME.handle().clone())
}

macro_rules! on_postgres {
    ($($example:ident::$module:ident::$test:ident;)+) => { $(
        #[test]
        fn $test() {
            with_stores(store, $example::$module::$test);
        }
    )+ };
}

on_postgres! {
    classify_jobs::keys::a_rotated_key_replaces_an_exposed_one_immediately;
    classify_jobs::keys::an_organization_has_several_keys_with_different_permissions;
    classify_jobs::organizations::credits_are_the_organizations;
    classify_jobs::organizations::rates_are_counted_for_the_organization_with_all_its_keys;
    classify_jobs::permissions::each_permission_opens_its_routes_and_no_others;
    classify_jobs::permissions::every_route_is_as_documented;
    dataleaks::rotation::an_old_secret_is_warned_of_and_stays_good;
    dataleaks::scope::leaks_are_told_to_whom_they_belong;
    dataleaks::scope::scope_is_what_the_workspace_owns_now;
    dataleaks::table::every_route_is_tried_with_a_good_request;
    mailer::keys::keys_that_follow_a_level_follow_its_changes_and_custom_ones_do_not;
    mailer::keys::usage_is_counted_by_key_and_changes_are_on_record;
    mailer::permissions::sending_only_opens_sending_and_every_other_operation_is_a_403;
    mailer::tenants::a_foreign_id_looks_like_none_whatever_is_done_with_it;
    phishing_lab::keys::permissions_are_edited_and_the_key_stays_as_it_is;
    phishing_lab::permissions::a_key_without_the_permission_gets_a_403_insufficient_permissions;
    phishing_lab::prices::a_chat_that_the_wallet_cannot_pay_costs_nothing;
    phishing_lab::prices::a_lookup_costs_three_credits_for_each_indicator;
    phishing_lab::prices::each_endpoint_costs_its_credits_and_not_one_less;
    threat_intel::access::a_plan_of_the_key_goes_over_its_organizations;
    threat_intel::keys::requests_are_counted_and_the_newest_key_comes_first;
    threat_intel::keys::revoked_keys_stay_listed;
    threat_intel::rates::each_key_is_counted_alone;
    threat_intel::rates::the_free_plan_has_a_thousand_requests_a_day;
}
