//! `tollgate usage`.

use tollgate_core::clock::Timestamp;
use tollgate_core::usage::{KeyUsage, UsageStore as _};

use crate::place::Place;

#[tokio::test]
pub(crate) async fn the_totals_of_a_key_are_shown() {
    let place = Place::new().await;
    let (id, _) = place.key(&[]);
    assert_eq!(place.json(["usage", "show", &id])["total_requests"], 0);
    let store = place.store().await;
    let used = KeyUsage {
        key: id.parse().unwrap(),
        last_used_at: Timestamp::from_secs(1_700_000_000),
        last_address: Some("192.0.2.7".parse().unwrap()),
        with_old_secret: 1,
        counts: vec![tollgate_core::usage::UsageCount {
            route: "GET /iocs".into(),
            outcome: "2xx".into(),
            hour: Timestamp::from_secs(1_699_999_200),
            requests: 3,
        }],
    };
    store.record_usage(vec![used]).await.unwrap();
    let shown = place.json(["usage", "show", &id]);
    assert_eq!(shown["total_requests"], 3);
    assert_eq!(shown["with_old_secret"], 1);
    assert_eq!(shown["last_used_at"], "2023-11-14T22:13:20Z");
    assert_eq!(shown["last_address"], "192.0.2.7");
    assert_eq!(place.json(["key", "show", &id])["total_requests"], 3);
    let nobody = "01a20070-4c7b-7298-8d51-8fe39914d77e";
    let said = place.refused(1, ["usage", "show", nobody]);
    assert_eq!(said, format!("there is no key `{nobody}`"));
}
