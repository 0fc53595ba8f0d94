//! The reference implementations keep every contract.

use std::sync::Arc;

use tollgate_core::memory::MemoryStore;

fn store() -> std::future::Ready<Arc<MemoryStore>> {
    std::future::ready(Arc::default())
}

mod key_store {
    tollgate_testkit::key_store_contract!(super::store);
}

mod key_lists {
    tollgate_testkit::key_lists_contract!(super::store);
}

mod key_import {
    tollgate_testkit::key_import_contract!(super::store);
}

mod key_requests {
    tollgate_testkit::key_requests_contract!(super::store);
}

mod ledger {
    tollgate_testkit::ledger_contract!(super::store);
}

mod quota_store {
    tollgate_testkit::quota_store_contract!(super::store);
}

mod usage_store {
    tollgate_testkit::usage_store_contract!(super::store);
}

mod change_feed {
    tollgate_testkit::change_feed_contract!(super::store);
}

mod audit {
    tollgate_testkit::audit_contract!(super::store);
}

mod accounts {
    tollgate_testkit::account_contract!(super::store);
}

mod limiter {
    use tollgate_core::rate::LocalLimiter;

    tollgate_testkit::limiter_contract!(async || Box::new(LocalLimiter::new()));
}

/// `TOLLGATE_SEQUENCES` says how many.
#[test]
fn any_sequence_of_operations_on_a_ledger_does_what_the_model_does() {
    let count = std::env::var("TOLLGATE_SEQUENCES").map_or(400, |text| text.parse().unwrap());
    tollgate_testkit::ledger::sequences::run(count, async || Arc::new(MemoryStore::default()));
}
