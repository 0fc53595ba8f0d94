//! What a handler may ask of its caller: what the organization owns, and what its plan has.

use axum::extract::Path;
use tollgate::access::authenticated;
use tollgate::core::keyring::NewOrganization;
use tollgate::{Denial, Gate, Principal, Routes};

use crate::support::{TestApp, actor, org};

fn routes(gate: &Gate) -> Routes {
    let owns = async |caller: Principal, Path(domain): Path<String>| {
        let asked = if domain == "none" {
            None
        } else {
            Some(&*domain)
        };
        caller.owns("domain", asked).map(str::to_owned)
    };
    let below = async |caller: Principal, Path(host): Path<String>| {
        let below = |owned: &str, asked: &str| {
            asked
                .strip_suffix(owned)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        caller
            .owns_by("domain", Some(&host), below)
            .map(str::to_owned)
    };
    let feature = async |caller: Principal, Path(feature): Path<String>| -> Result<(), Denial> {
        caller.entitled(&feature)
    };
    let number = async |caller: Principal, Path(number): Path<u64>| -> Result<(), Denial> {
        caller.entitled_to("seats", number)
    };
    let free = || authenticated().rate_cost(0);
    gate.routes()
        .get("/owns/{domain}", owns, free())
        .get("/below/{host}", below, free())
        .get("/feature/{feature}", feature, free())
        .get("/seats/{number}", number, free())
}

#[tokio::test]
async fn an_organization_is_served_what_it_owns_and_nothing_of_others() {
    let app = TestApp::new(routes).await;
    for (name, domain) in [("one", "one.example"), ("two", "two.example")] {
        let new = NewOrganization::new(org(name), "free").resource("domain", domain);
        app.gate
            .keyring()
            .create_organization(new, &actor())
            .await
            .unwrap();
    }
    let (one, nobody) = (app.key("one", []).await, app.key("acme", []).await);
    for (path, of_one, of_nobody) in [
        ("/owns/one.example", 200, 403),
        ("/owns/%20one.example%20", 200, 403),
        ("/owns/two.example", 403, 403),
        ("/owns/ONE.example", 403, 403),
        ("/owns/www.one.example", 403, 403),
        ("/owns/%20", 400, 400),
        ("/owns/none", 400, 400),
        ("/below/one.example", 200, 403),
        ("/below/www.one.example", 200, 403),
        ("/below/notone.example", 403, 403),
        ("/below/www.two.example", 403, 403),
    ] {
        assert_eq!(app.get(path).key(&one).status().await, of_one, "{path}");
        let status = app.get(path).key(&nobody).status().await;
        assert_eq!(status, of_nobody, "{path}");
    }
}

#[tokio::test]
async fn what_a_plan_does_not_have_its_keys_are_refused() {
    let app = TestApp::new(routes).await;
    let free = app.key("acme", []).await;
    let pro = app.key_with("acme", |key| key.plan("pro")).await;
    for (path, of_free, of_pro) in [
        ("/feature/format.stix", 403, 200),
        ("/feature/format", 403, 403),
        ("/feature/format.stix2", 403, 403),
        // A number that a plan does not have is none.
        ("/seats/0", 200, 200),
        ("/seats/1", 403, 403),
    ] {
        assert_eq!(app.get(path).key(&free).status().await, of_free, "{path}");
        assert_eq!(app.get(path).key(&pro).status().await, of_pro, "{path}");
    }
}
