//! The same on PostgreSQL, and what is special about a server.

use crate::place::{Done, Place, on_postgres};
use crate::{audit, catalog, credits, imports, keys, live, organizations, people, running, usage};

mod transfer;

/// Runs tests of other modules with their databases on PostgreSQL.
macro_rules! on_postgres {
    ($($module:ident::$($test:ident)::+;)+) => { $(on_postgres!(@ $module $($test)+);)+ };
    (@ $module:ident $test:ident) => {
        #[test]
        fn $test() {
            on_postgres($module::$test);
        }
    };
    (@ $module:ident $inner:ident $test:ident) => {
        #[test]
        fn $test() {
            on_postgres($module::$inner::$test);
        }
    };
}

on_postgres! {
    audit::a_change_with_another_key_is_refused_before_it_breaks_the_trail;
    audit::a_whole_trail_is_whole_also_past_heads_that_were_kept;
    audit::records_are_listed_the_newest_first_of_one_chain_or_all;
    audit::what_is_exported_can_be_verified_elsewhere;
    catalog::the_catalog_that_the_app_recorded_is_shown;
    credits::a_balance_has_the_allowance_that_the_next_request_would_find;
    credits::credits_are_granted_once_for_each_reference_and_adjusted_both_ways;
    imports::a_file_is_imported_once;
    imports::csv_says_all_of_a_key;
    imports::ctrl_c_leaves_nothing_behind;
    imports::imported_keys_open_the_routes_of_a_running_app;
    imports::killed::a_killed_import_leaves_nothing_good_and_the_next_imports_all;
    keys::a_key_is_made_as_it_was_asked_for;
    keys::a_list_is_narrowed_down;
    keys::a_rotation_prints_a_new_secret_and_keeps_the_old_one_for_its_grace;
    keys::keys_are_listed_of_one_organization_or_all;
    keys::keys_are_switched_off_and_on_revoked_and_deleted;
    live::a_running_app_tells_what_is_left;
    organizations::an_organization_goes_from_status_to_status;
    organizations::an_organization_is_made_edited_and_listed;
    organizations::resources_are_added_listed_by_kind_and_removed;
    people::a_session_is_a_cookie_that_is_printed_once;
    people::a_user_is_made_given_roles_and_removed;
    running::each_step_is_explained;
    running::the_life_of_a_key;
    usage::the_totals_of_a_key_are_shown;
}

#[test]
fn only_the_first_organization_makes_tables() {
    on_postgres(|| {
        let place = Place::bare();
        let said = place.refused(1, ["org", "list"]);
        assert!(said.starts_with("the database `fresh_"), "{said}");
        let remedy = "it has none of its tables; the app makes it at its first start, and so does \
                      `tollgate org create` with `--catalog FILE`";
        assert!(said.ends_with(remedy), "{said}");
        let create = ["org", "create", "acme", "--plan", "free"];
        place.good(["--catalog", "catalog.toml"].into_iter().chain(create));
        place.good(["org", "list"]);
    });
}

#[test]
fn a_server_that_may_lose_charges_has_to_be_allowed() {
    on_postgres(|| {
        let place = Place::bare();
        let list = |allow: Option<&str>, flag: &[&str]| {
            let mut command = place.command();
            command.env_remove("TOLLGATE_ALLOW_LOST_COMMITS");
            if let Some(allow) = allow {
                command.env("TOLLGATE_ALLOW_LOST_COMMITS", allow);
            }
            Done::of(&command.args(flag).args(["org", "list"]).output().unwrap())
        };
        for done in [list(None, &[]), list(Some("false"), &[])] {
            assert_eq!(done.code, 1);
            let told = "runs with `fsync = off` and may lose charges that were made; turn it on, \
                        or allow lost commits";
            assert!(done.stderr.contains(told), "{}", done.stderr);
        }
        for done in [list(Some("1"), &[]), list(None, &["--allow-lost-commits"])] {
            assert!(!done.stderr.contains("fsync"), "{}", done.stderr);
        }
        assert_eq!(list(Some("perhaps"), &[]).code, 2);
    });
}

#[test]
fn the_password_of_a_url_is_never_told() {
    on_postgres(|| {
        let place = Place::bare();
        let url = place.url().replacen("postgres@", "postgres:hunter2@", 1);
        let elsewhere = |from: &str, to: &str| url.replacen(from, to, 1);
        let no_port = format!("{}:1/none", url.rsplit_once(':').unwrap().0);
        let odd = elsewhere("hunter2", "12/hunter2");
        let urls = [
            (url.clone(), "has none of its tables"),
            (elsewhere("/fresh_", "/none_"), "does not exist"),
            (elsewhere("postgres:h", "nobody:h"), "does not exist"),
            (no_port, "on 127.0.0.1:1 cannot be opened: "),
            (odd, "`/` is written `%2F`"),
            (
                format!("{url}?passwd=hunter2"),
                "a parameter that is not known",
            ),
        ];
        for (url, told) in &urls {
            for more in [&[][..], &["--json"]] {
                let args = [&["--database", url, "org", "list"][..], more].concat();
                let said = place.refused(1, args);
                assert!(said.contains(told), "{said}");
                assert!(!said.contains("hunter2"), "{said}");
                // One sentence says it once.
                assert!(said.matches("does not exist").count() < 2, "{said}");
            }
            let said = place.run(["org", "list", url]).stderr;
            assert!(said.contains("unexpected argument"), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    });
}
